"""``dovetail diff``: how two tables, files or queries differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from dovetail.errors import DataError, UsageError
from dovetail.interfaces.cli.commands.catalog import named, relation
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.expectation import parse_expectation
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output, write_batches, write_rows
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.session import Session
    from dovetail.sqltools.diff import Side

_MOST_KEYS = 5
_COLUMNS = [("change", "VARCHAR"), ("column", "VARCHAR"), ("a", "VARCHAR"), ("b", "VARCHAR")]


def diff(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    a: Annotated[str, Argument(metavar="A", help="A table, file or query.", complete="tables")],
    b: Annotated[str, Argument(metavar="B", help="Another.", complete="tables")],
    data: Annotated[
        bool, Option("--data", help="List the rows that were added, removed and changed.")
    ] = False,
    key: Annotated[
        list[str] | None,
        Option(
            "--key",
            metavar="COLS",
            help="With --data: the columns that tell rows apart; unset: their primary key.",
        ),
    ] = None,
    limit: Annotated[int | None, Option("--limit", min=0, help="At most this many lines.")] = None,
    expect: Annotated[
        str | None,
        Option("--expect", metavar="ROWS", help="Exit 5 unless: none, some, N, '>=N'."),
    ] = None,
) -> Job:
    """Show how B differs from A: columns, types and number of rows; with --data the rows too.

    What is equal is not listed, so no line means no difference. A NULL in a key equals a NULL;
    a key that two rows of one side have is an error. Columns of one side only are not compared.

    dovetail diff crm.customers customers.csv

    dovetail diff --data --key id,day yesterday.csv today.csv

    dovetail diff --data --key order_id --expect none "from shop.orders" orders.parquet
    """
    output = choose_output(out, messages.color)
    expected = parse_expectation(expect)
    keys = [name.strip() for text in key or () for name in text.split(",")]
    if keys and not data:
        raise UsageError("--key goes with --data, which compares rows")
    if not all(keys):
        raise UsageError("--key takes names of columns, such as id or id,day")

    def work(run: Run) -> None:
        from dovetail.sqltools.diff import (
            column_differences,
            compared_as_text,
            data_sql,
            key_of,
        )

        with run.session(where) as session:
            left, right = _side(session, a), _side(session, b)
            columns = column_differences(left, right)
            if not data:
                rows = _with_counts(session, left, right, columns)[:limit]
                if not rows:
                    run.diagnostics.note("the same columns and number of rows")
                write_rows(output, _COLUMNS, rows, run.diagnostics)
                count = len(rows)
            else:
                names = key_of(left, right, keys)
                for side in (left, right):
                    _refuse_duplicates(session, side, names)
                for change, column, *_ in columns:
                    if change != "type":
                        run.diagnostics.note(f'"{column}" is {change}, so it is not compared')
                    elif compared_as_text(left, right, column):
                        run.diagnostics.note(f'"{column}" is compared as text, as its type differs')
                started = run.interruption.register
                with session.sql(
                    data_sql(left, right, names), limit=limit, on_start=started
                ) as result:
                    started(result.cancel)
                    count = write_batches(
                        output, result.batches(), result.schema, result.columns, run.diagnostics
                    ).rows
                if not count:
                    run.diagnostics.note("the same rows")
        if expected is not None:
            expected.check(count)

    return Job(messages, work)


def _side(session: Session, subject: str) -> Side:
    from dovetail.sqltools.diff import Side

    text = named(subject, session)
    columns = session.describe(text)
    return Side(
        subject if len(subject) <= 60 else subject[:59] + "…",
        relation(text),
        tuple((c.column, c.type) for c in columns),
        tuple(c.column for c in columns if c.key == "primary"),
    )


def _with_counts(
    session: Session,
    a: Side,
    b: Side,
    columns: Sequence[tuple[str, str, str | None, str | None]],
) -> list[tuple[str, str | None, str | None, str | None]]:
    from dovetail.sqltools.diff import count_sql

    counts = []
    for side in (a, b):
        with session.sql(count_sql(side)) as result:
            counts.append(str(result.rows()[0][0]))
    rows: list[tuple[str, str | None, str | None, str | None]] = [*columns]
    before, after = counts
    return rows if before == after else [("rows", None, before, after), *rows]


def _refuse_duplicates(session: Session, side: Side, key: Sequence[str]) -> None:
    from dovetail.sqltools.diff import duplicates_sql

    with session.sql(duplicates_sql(side, key, _MOST_KEYS + 1)) as result:
        found = result.rows()
    if not found:
        return
    shown = [
        f"{', '.join('NULL' if v is None else str(v) for v in values)} ({count} rows)"
        for *values, count in found[:_MOST_KEYS]
    ]
    more = " and more" if len(found) > _MOST_KEYS else ""
    raise DataError(
        f"the key {', '.join(key)} is not unique in {side.shown}: {'; '.join(shown)}{more}; "
        "add columns to --key"
    )


COMMANDS = {"diff": diff}
