"""``sources``, ``tables`` and ``describe``: what there is to query."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output, write_rows
from dovetail.interfaces.cli.remembered import remember_tables
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from dovetail.session import Session

_SQL_STARTS = ("select", "with", "from", "values", "(")


def sources(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    check: Annotated[
        bool, Option("--check", help="Connect to each; add round trip and version.")
    ] = False,
) -> Job:
    """List the configured sources. Addresses are shown without secrets.

    dovetail sources --check
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> int:
        with run.session(where) as session:
            listed = session.sources()
            columns = [("name", "VARCHAR"), ("kind", "VARCHAR"), ("address", "VARCHAR")]
            if not check:
                rows = [(s.name, s.kind, s.address, s.state) for s in listed]
                write_rows(output, [*columns, ("state", "VARCHAR")], rows, run.diagnostics)
                return 0
            healths = check_all(session, [s.name for s in listed])
            columns += [("state", "VARCHAR"), ("round_trip_ms", "DOUBLE"), ("version", "VARCHAR")]
            checked = []
            for source, health in zip(listed, healths, strict=True):
                trip = None if health.round_trip is None else round(health.round_trip * 1000, 1)
                state = "ok" if health.problem is None else health.problem
                version = health.version or None
                checked.append((source.name, source.kind, source.address, state, trip, version))
            write_rows(output, columns, checked, run.diagnostics)
            return 3 if any(health.problem for health in healths) else 0

    return Job(messages, work)


def check_all(session: Any, names: Sequence[str]) -> list[Any]:
    """The health of each source, asked at the same time: one that is down holds up no other."""
    if not names:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(names))) as pool:
        return list(pool.map(session.check, names))


def tables(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    pattern: Annotated[
        str | None,
        Argument(metavar="[PATTERN]", help="A glob over source.schema.table.", complete="tables"),
    ] = None,
    refresh: Annotated[bool, Option("--refresh", help="Read the catalogs anew.")] = False,
) -> Job:
    """List tables and views with the row counts that the sources estimate.

    dovetail tables 'crm.*'
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> None:
        with run.session(where) as session:
            if refresh:
                session.refresh()
            found = session.tables(pattern=pattern)
            if pattern is None:
                remember_tables(where.config, [table.qualified_name for table in found])
            columns = [
                ("source", "VARCHAR"),
                ("schema", "VARCHAR"),
                ("table", "VARCHAR"),
                ("kind", "VARCHAR"),
                ("columns", "BIGINT"),
                ("rows", "BIGINT"),
                ("comment", "VARCHAR"),
            ]
            rows = [
                (
                    table.source,
                    table.schema or None,
                    table.name,
                    table.kind,
                    len(table.columns),
                    table.row_estimate,
                    table.comment or None,
                )
                for table in found
            ]
            write_rows(output, columns, rows, run.diagnostics)
            if not rows and pattern:
                run.diagnostics.note(f'no table matches "{pattern}"')

    return Job(messages, work)


def describe(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    subject: Annotated[
        str, Argument(metavar="TABLE|FILE|SQL", help="What to describe.", complete="tables")
    ],
) -> Job:
    """Show the columns of a table, a file or a query.

    dovetail describe crm.customers

    dovetail describe exports/products.csv

    dovetail describe "select * from crm.customers join shop.orders using (customer_id)"
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> None:
        with run.session(where) as session:
            columns = [
                ("column", "VARCHAR"),
                ("type", "VARCHAR"),
                ("nullable", "BOOLEAN"),
                ("key", "VARCHAR"),
                ("comment", "VARCHAR"),
            ]
            rows = [
                (c.column, c.type, c.nullable, c.key or None, c.comment or None)
                for c in session.describe(named(subject, session))
            ]
            write_rows(output, columns, rows, run.diagnostics)

    return Job(messages, work)


def named(subject: str, session: Session) -> str:
    """The subject as SQL names it: a path gets the quotes that make it a file.

    What ends like a file is one, unless it begins with the name of a source.
    """
    from dovetail.local_tables import is_path

    first = subject.lstrip().split(None, 1)[0].lower() if subject.strip() else ""
    if subject.startswith(("'", '"')) or first.startswith("(") or first in _SQL_STARTS:
        return subject
    source = subject.partition(".")[0].lower()
    of_a_source = source in (status.name.lower() for status in session.sources())
    if Path(subject).expanduser().is_file() or (is_path(subject) and not of_a_source):
        return sql_string(subject)
    return subject


def relation(subject: str) -> str:
    """A :func:`named` subject as it stands in FROM: a query in parentheses, a table as it is."""
    first = subject.lstrip("( \t\n").split(None, 1)[0].lower()
    is_query = first in _SQL_STARTS
    return f"({subject.rstrip().rstrip(';')}\n) AS looked_at" if is_query else subject


COMMANDS = {"sources": sources, "tables": tables, "describe": describe}
