"""``dovetail sql``: tools over SQL text, for editors and for hands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

from dovetail.errors import DovetailError, UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, SourceFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.reading import read_sql
from dovetail.interfaces.cli.runtime import Job, Run

Sql = Annotated[str | None, Argument(metavar="[SQL]", help="The SQL; without it, -f or stdin.")]
File = Annotated[
    str | None, Option("--file", "-f", metavar="PATH", help="Read the SQL from a file.")
]


def format(
    messages: MessageFlags,
    sql: Sql = None,
    file: File = None,
    check: Annotated[bool, Option("--check", help="Write nothing; exit 1 if it would change.")] = (
        False
    ),
    dialect: Annotated[
        str, Option("--dialect", metavar="NAME", help="The SQL dialect of the text.")
    ] = "duckdb",
) -> Job:
    """Lay SQL out. Comments and paths are kept, and so is the meaning.

    dovetail sql format "select a,count(*) n from 't.csv' group by 1"

    dovetail sql format --check -f report.sql
    """
    text = read_sql(sql, file)

    def work(run: Run) -> int:
        from dovetail.sqltools.format import formatted

        try:
            done = formatted(text, dialect)
        except DovetailError:
            if not check:  # an editor that pipes its text through loses nothing
                write_text(text)
            raise
        if check:
            if done != text.rstrip("\n") + "\n":
                run.diagnostics.note("the layout would change")
                return 1
            return 0
        write_text(done)
        return 0

    return Job(messages, work)


def expand(where: SourceFlags, messages: MessageFlags, sql: Sql = None, file: File = None) -> Job:
    """Write stars out as columns: *, t.*, EXCLUDE, COLUMNS(*).

    dovetail sql expand "select * exclude (cost) from 'exports/products.csv'"
    """
    text = read_sql(sql, file)

    def work(run: Run) -> None:
        from dovetail.sqltools.stars import expanded

        with run.session(where) as session:
            write_text(expanded(text, session))

    return Job(messages, work)


def extract_cte(
    messages: MessageFlags,
    name: Annotated[str, Argument(metavar="NAME", help="The common table expression.")],
    sql: Sql = None,
    file: File = None,
) -> Job:
    """Make one common table expression a query of its own, with those that it needs.

    dovetail sql extract-cte totals -f report.sql
    """
    text = read_sql(sql, file)

    def work(run: Run) -> None:
        from dovetail.sqltools.ctes import extracted

        write_text(extracted(text, name))

    return Job(messages, work)


def analyze(where: SourceFlags, messages: MessageFlags, sql: Sql = None, file: File = None) -> Job:
    """Tell what SQL does, as JSON: statements, tables, columns and their origin, parameters.

    dovetail sql analyze -f report.sql
    """
    text = read_sql(sql, file)

    def work(run: Run) -> None:
        from dovetail.sqltools.analyze import analyzed

        with run.session(where) as session:
            found = analyzed(text, session)
        write_text(json.dumps(found, indent=2, ensure_ascii=False, default=str))

    return Job(messages, work)


def at(
    where: SourceFlags,
    messages: MessageFlags,
    place: Annotated[str, Argument(metavar="LINE:COL", help="A place, both from 1.")],
    sql: Sql = None,
    file: File = None,
) -> Job:
    """Tell what stands at a place, as JSON: statement, clause, tables and columns usable there.

    dovetail sql at 3:14 -f report.sql
    """
    match = re.fullmatch(r"(\d+):(\d+)", place)
    if match is None:
        raise UsageError(f'a place is LINE:COL, such as 3:14, not "{place}"')
    text = read_sql(sql, file)

    def work(run: Run) -> None:
        from dovetail.sqltools.place import place_at

        with run.session(where) as session:
            found = place_at(text, int(match[1]), int(match[2]), session)
        write_text(json.dumps(found, indent=2, ensure_ascii=False))

    return Job(messages, work)


def case(
    messages: MessageFlags,
    column: Annotated[str, Option("--column", metavar="NAME", help="The column, or any SQL.")],
    bands: Annotated[
        str | None, Option("--bands", metavar="0,25,50", help="Rising edges of the bands.")
    ] = None,
    values: Annotated[
        str | None,
        Option("--values", metavar="FILE", help="A value per line, or value,label; - is stdin."),
    ] = None,
) -> Job:
    """Write a CASE: by bands of a number, or by a list of values.

    dovetail sql case --column price --bands 0,25,50

    dovetail sql case --column book --values books.txt
    """
    if (bands is None) == (values is None):
        raise UsageError("sql case takes one of --bands and --values")

    def work(run: Run) -> None:
        from dovetail.sqltools.cases import case_of_bands, case_of_values

        if bands is not None:
            write_text(case_of_bands(column, bands))
            return
        assert values is not None
        try:
            text = sys.stdin.read() if values == "-" else Path(values).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"cannot read {values}: {reason}") from None
        write_text(case_of_values(column, text))

    return Job(messages, work)


COMMANDS = {
    "format": format,
    "expand": expand,
    "extract-cte": extract_cte,
    "analyze": analyze,
    "at": at,
    "case": case,
}
