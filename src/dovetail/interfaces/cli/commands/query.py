"""``dovetail query``: SQL in, a result out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli import sql_text
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import Output, choose_output, write_batches
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from dovetail.execution.result import Result


def query(
    sources: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    sql: Annotated[
        str | None,
        Argument(metavar="[SQL]", help="The query; without it, -f or stdin."),
    ] = None,
    file: Annotated[
        str | None, Option("--file", "-f", metavar="PATH", help="Read the SQL from a file.")
    ] = None,
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
    dialect: Annotated[
        str, Option("--dialect", metavar="NAME", help="The SQL dialect the query is written in.")
    ] = "duckdb",
    limit: Annotated[
        int | None, Option("--limit", min=0, help="At most this many rows, for the sources too.")
    ] = None,
    timeout: Annotated[
        str | None, Option("--timeout", metavar="TIME", help="Stop after 60s, 5m, …")
    ] = None,
    max_rows: Annotated[
        int | None, Option("--max-rows", min=1, help="Fail when the result has more rows.")
    ] = None,
    max_bytes: Annotated[
        str | None,
        Option("--max-bytes", metavar="SIZE", help="Fail when more is moved from the sources."),
    ] = None,
    stats: Annotated[
        bool, Option("--stats", help="Print rows, bytes and times as one JSON line on stderr.")
    ] = False,
    progress: Annotated[
        str, Option("--progress", metavar="WHEN", help="Progress on stderr: auto, plain, never.")
    ] = "auto",
) -> Job:
    """Run one SQL query over any sources and files.

    dovetail query "select trader, sum(qty) from 'trades.csv' group by trader"

    dovetail query -o top.parquet "select * from crm.customers join shop.orders using (id)"

    cat trades.csv | dovetail query --json "select count(*) from stdin"
    """
    from dovetail.interfaces.cli.parameters import check_parameters, parse_parameters
    from dovetail.interfaces.cli.quantities import seconds, size

    if progress not in ("auto", "plain", "never"):
        raise UsageError(f'--progress takes auto, plain or never, not "{progress}"')
    text = read_sql(sql, file)
    reads_stdin = sql_text.reads_stdin(text)
    if reads_stdin:
        _check_stdin(sql, file)
    output = choose_output(out, messages.color)
    _check_target(output, text)
    values = parse_parameters(param or [])
    check_parameters(text, values)
    limits = {"max_rows": max_rows, "max_bytes_moved": size("--max-bytes", max_bytes)}
    files: dict[str, Any] = {}
    if data:
        from dovetail.interfaces.cli.adhoc import parse_data

        files = parse_data(data)
    arguments = {
        "params": values,
        "dialect": dialect,
        "limit": limit,
        "timeout": seconds("--timeout", timeout),
    }

    def work(run: Run) -> None:
        run.diagnostics.progress = progress
        with ExitStack() as stack:
            if reads_stdin:
                from dovetail.interfaces.cli.standard_input import spool

                folder = stack.enter_context(run.temporary_folder())
                files["stdin"] = spool(sys.stdin.buffer, folder, stdin_format)
            session = stack.enter_context(run.session(sources, limits, data=files))
            _answer(run, session, text, arguments, output, stats)

    return Job(messages, work)


def _answer(
    run: Run,
    session: Any,
    text: str,
    arguments: dict[str, Any],
    output: Output,
    stats: bool,
) -> None:
    started = time.perf_counter()
    told = run.diagnostics
    on_progress = _progress(run) if told.wants_progress else None
    result: Result = session.sql(text, on_progress=on_progress, **arguments)
    run.interruption.register(result.cancel)
    try:
        done = write_batches(output, result.batches(), result.schema, result.columns, told)
        if done.cut:
            result.cancel()
    except BaseException:
        result.cancel()
        raise
    finally:
        result.close()
        told.end_progress()
    milliseconds = (time.perf_counter() - started) * 1000
    for warning in result.warnings:
        told.warning(warning)
    from dovetail.interfaces.cli.quantities import shown_time

    plural = "" if done.rows == 1 else "s"
    told.summary(f"{done.rows:,} row{plural}, {shown_time(milliseconds)}")
    if stats:
        told.statistics({"rows": done.rows, **result.profile.to_dict()})


def _progress(run: Run) -> Callable[[Any], None]:
    from dovetail.interfaces.cli.progress import describe_progress

    def show(progress: Any) -> None:
        run.diagnostics.show_progress(describe_progress(progress))

    return show


def read_sql(sql: str | None, file: str | None) -> str:
    """The query: the argument, the file, or what stdin sends. Raises :class:`UsageError`."""
    if sql is not None and file is not None:
        raise UsageError("the SQL is given twice: as an argument and with --file")
    if sql == "-" or (sql is None and file == "-"):
        text = sys.stdin.read()
    elif sql is not None:
        text = sql
    elif file is not None:
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"cannot read {file}: {reason}") from None
    elif not sys.stdin.isatty():
        text = sys.stdin.read()
    else:
        raise UsageError("no query; for example: dovetail query \"select * from 'file.csv'\"")
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    if not text.strip():
        raise UsageError("the query is empty")
    return text


def _check_stdin(sql: str | None, file: str | None) -> None:
    if sql in (None, "-") and file in (None, "-"):
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
