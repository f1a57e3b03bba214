"""``dovetail query``: SQL in, a result out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli import sql_text
from dovetail.interfaces.cli.declare import Argument, Occurrences, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import Output, choose_output
from dovetail.interfaces.cli.reading import Text, read_texts
from dovetail.interfaces.cli.runtime import Job, Run

ENGINES = ("duckdb",)
"""Those that ``engine:`` of a configuration takes; a test holds the two together."""


def query(
    sources: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    sql: Annotated[
        str | None, Argument(metavar="[SQL]", help="The query; without it, -c, -f or stdin.")
    ] = None,
    file: Annotated[
        list[str] | None,
        Option("--file", "-f", metavar="PATH", help="Read SQL from a file; - is stdin."),
    ] = None,
    command: Annotated[
        list[str] | None,
        Option("-c", metavar="SQL", help="SQL; mixes with -f in the order given."),
    ] = None,
    order: Annotated[Sequence[str], Occurrences("command", "file")] = (),
    param: Annotated[
        list[str] | None,
        Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="Bind $NAME; NAME:int=5 (date, decimal, bool, text, json) fixes the type, "
            "NAME=@FILE reads it.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        Option("--data", metavar="NAME=PATH", help="Give a file a table name for this run."),
    ] = None,
    stdin_format: Annotated[
        str | None,
        Option("--stdin-format", metavar="NAME", help="What stdin holds: csv, json, parquet, …"),
    ] = None,
    limit: Annotated[
        int | None, Option("--limit", min=0, help="At most this many rows, for the sources too.")
    ] = None,
    result: Annotated[
        str,
        Option("--result", metavar="WHICH", help="Of a script: all, last, or the N-th result."),
    ] = "all",
    statement: Annotated[
        int | None,
        Option("--statement", min=1, help="Run the N-th statement and what it needs, no more."),
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what each statement would do; run nothing.")
    ] = False,
    on_error: Annotated[
        str,
        Option("--on-error", metavar="stop|continue", help="After a statement that failed."),
    ] = "stop",
    no_precheck: Annotated[
        bool,
        Option("--no-precheck", help="Do not look through a script before its first statement."),
    ] = False,
    expect: Annotated[
        str | None,
        Option("--expect", metavar="ROWS", help="Exit 5 unless: none, some, N, '>=N'."),
    ] = None,
    dialect: Annotated[
        str, Option("--dialect", metavar="NAME", help="The SQL dialect the query is written in.")
    ] = "duckdb",
    engine: Annotated[
        str, Option("--engine", metavar="NAME", help="What finishes the work: duckdb.")
    ] = "duckdb",
    timeout: Annotated[
        str | None, Option("--timeout", metavar="TIME", help="Stop after 60s, 5m, …")
    ] = None,
    memory: Annotated[
        str | None,
        Option(
            "--memory", metavar="SIZE", help="Memory of the process; what needs more goes to disk."
        ),
    ] = None,
    max_rows: Annotated[
        int | None, Option("--max-rows", min=1, help="Fail when the result has more rows.")
    ] = None,
    max_bytes: Annotated[
        str | None,
        Option("--max-bytes", metavar="SIZE", help="Fail when more is moved from the sources."),
    ] = None,
    cache: Annotated[
        str | None,
        Option(
            "--cache",
            metavar="[AGE]",
            bare="on",
            value=r"\d[\w.]*",
            help="Answer with kept rows, 5m old at most or AGE; else keep these rows.",
        ),
    ] = None,
    no_cache: Annotated[
        bool, Option("--no-cache", help="Run the query, whatever is configured.")
    ] = False,
    stats: Annotated[
        bool, Option("--stats", help="Print rows, bytes and times as one JSON line on stderr.")
    ] = False,
    progress: Annotated[
        str, Option("--progress", metavar="WHEN", help="Progress on stderr: auto, plain, never.")
    ] = "auto",
) -> Job:
    """Run SQL over any sources and files: one query, or a script of several statements.

    dovetail query "select category, avg(price) from 'exports/products.csv' group by category"

    dovetail query -o top.parquet "select * from crm.customers join shop.orders using (customer_id)"

    cat exports/products.csv | dovetail query --json "select count(*) from stdin"

    dovetail query -f month.sql -p month=2026-01 -o 'month-{n}.csv'
    """
    from dovetail.interfaces.cli.answering import Answering, Wishes, check_result
    from dovetail.interfaces.cli.answering import dry_run as show
    from dovetail.interfaces.cli.expectation import parse_expectation
    from dovetail.interfaces.cli.parameters import check_parameters, parse_parameters
    from dovetail.interfaces.cli.quantities import seconds, size

    if progress not in ("auto", "plain", "never"):
        raise UsageError(f'--progress takes auto, plain or never, not "{progress}"')
    if engine not in ENGINES:
        raise UsageError(f'--engine takes {" or ".join(ENGINES)}, not "{engine}"')
    if on_error not in ("stop", "continue"):
        raise UsageError(f'--on-error takes stop or continue, not "{on_error}"')
    texts = read_texts(sql, command or (), file or (), order)
    whole = ";\n".join(text.sql for text in texts)
    reads_stdin = sql_text.reads_stdin(whole)
    if reads_stdin:
        _check_stdin(texts)
    output = choose_output(out, messages.color)
    _check_target(output, whole)
    values = parse_parameters(param or [])
    check_parameters(whole, values)
    wishes = Wishes(
        output,
        check_result(result),
        statement,
        on_error == "continue",
        not no_precheck,
        parse_expectation(expect),
        stats,
        dialect,
        limit,
        seconds("--timeout", timeout),
        values,
        _cache_wish(cache, no_cache, reads_stdin),
    )
    limits = {
        "max_rows": max_rows,
        "max_bytes_moved": size("--max-bytes", max_bytes),
        "memory": size("--memory", memory),
    }
    files: dict[str, Any] = {}
    if data:
        from dovetail.interfaces.cli.adhoc import parse_data

        files = parse_data(data)

    def work(run: Run) -> int:
        from dovetail.script.statements import Statement, split

        run.diagnostics.progress = progress
        script: list[Statement] = []
        for text in texts:
            script += split(text.sql, text.origin, len(script) + 1)
        if not script:
            raise UsageError("the query is empty")
        with ExitStack() as stack:
            if reads_stdin:
                from dovetail.interfaces.cli.standard_input import spool

                folder = stack.enter_context(run.temporary_folder())
                files["stdin"] = spool(sys.stdin.buffer, folder, stdin_format)
            ahead = [*sql_text.string_literals(whole), *map(str, files.values())]
            session = stack.enter_context(run.session(sources, limits, ahead, data=files))
            if dry_run:
                show(session, script, wishes)
                return 0
            return Answering(run, session, wishes).answer(script)

    return Job(messages, work)


def _cache_wish(age: str | None, never: bool, reads_stdin: bool) -> bool | float | None:
    """Whether to use the cache, and up to what age in seconds; None is as configured."""
    from dovetail.interfaces.cli.quantities import seconds

    if never and age is not None:
        raise UsageError("--cache and --no-cache exclude each other")
    if never or reads_stdin:  # what comes in there comes once
        return False
    return True if age == "on" else seconds("--cache", age)


def _check_stdin(texts: Sequence[Text]) -> None:
    if any(text.from_stdin for text in texts):
        raise UsageError("stdin cannot be both the query and the table stdin")
    if sys.stdin.isatty():
        raise UsageError("the query reads stdin, which is a terminal; pipe or redirect data to it")


def _check_target(output: Output, text: str) -> None:
    """Refuse to write over a file that the query names."""
    if output.path is None or not output.path.exists():
        return
    for literal in sql_text.string_literals(text):
        try:
            same = Path(literal).expanduser().samefile(output.path)
        except (OSError, ValueError, RuntimeError):
            continue
        if same:
            raise UsageError(f"the query reads {output.path}; write the result to another file")


COMMANDS = {"query": query}
