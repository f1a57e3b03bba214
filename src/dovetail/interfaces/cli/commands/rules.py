"""``dovetail rules``: logic rules in Prolog syntax over the same sources."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import Output, choose_output, write_batches, write_text
from dovetail.interfaces.cli.runtime import Job, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail.program import Program

File = Annotated[str, Argument(metavar="FILE", help="The program, or - for standard input.")]
Goal = Annotated[
    str | None,
    Argument(metavar="[GOAL]", help="The goal to run; without it, the one of the file."),
]
Asked = Annotated[
    str | None, Option("--goal", "-g", metavar="GOAL", help="The goal, as an option.")
]
Params = Annotated[
    list[str] | None,
    Option("--param", "-p", metavar="NAME=VALUE", help="The value of a declared parameter."),
]
Number = Annotated[
    int | None,
    Option("--result", metavar="N", min=1, help="Which goal of the file, when it has several."),
]
Strict = Annotated[bool, Option("--strict", help="Warnings are errors.")]


def run(
    sources: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    file: File,
    goal: Goal = None,
    asked: Asked = None,
    param: Params = None,
    result: Number = None,
    limit: Annotated[
        int | None, Option("--limit", min=0, help="At most this many rows, for the sources too.")
    ] = None,
    timeout: Annotated[
        str | None, Option("--timeout", metavar="TIME", help="Stop after 60s, 5m, …")
    ] = None,
    metrics: Annotated[
        str | None,
        Option("--metrics", metavar="PATH", help="Write records, errors, seconds, rows as JSON."),
    ] = None,
    strict: Strict = False,
) -> Job:
    """Run a goal of a program of rules.

    dovetail rules run cities.pl "city_stats(City, Count, Avg, Max)"

    cat users.jsonl | dovetail rules run cities.pl --jsonl
    """
    from dovetail.interfaces.cli.quantities import seconds

    facts = out.format == "prolog"
    output = choose_output(replace(out, format="jsonl") if facts else out, messages.color)
    most = seconds("--timeout", timeout)
    goal = _one_goal(goal, asked)

    def work(run: Run) -> None:
        with _program(run, sources, file, param, strict, stream=True) as program:
            if goal is None and result is None and len(program.goals) > 1:
                program.read_all()
                _all(run, program, output)
                return
            started = time.perf_counter()
            with program.run(goal, result=result, limit=limit, timeout=most) as answer:
                run.interruption.register(answer.cancel)
                if facts:
                    from dovetail.present.prolog import write_facts

                    functor = program.compile(goal, result=result).functor
                    with output.open() as stream:
                        rows = write_facts(answer.batches(), functor, stream)
                else:
                    layout = replace(output.layout, prompt=answer.profile.streamed)
                    rows = write_batches(
                        replace(output, layout=layout),
                        answer.batches(),
                        answer.schema,
                        answer.columns,
                        run.diagnostics,
                    ).rows
                _tell(run, answer.warnings)
            if metrics is not None:
                _write_metrics(metrics, rows, time.perf_counter() - started, answer.profile)

    return Job(messages, work)


def _all(run: Run, program: Program, output: Output) -> None:
    """Every goal of the file, each under its text and line."""
    if not output.form.for_eyes:
        raise UsageError(
            f"the file has {len(program.goals)} goals, and {output.form.name} holds one result; "
            "choose one with --result N or give a goal"
        )
    for number, (text, line) in enumerate(program.goals, start=1):
        write_text(f"{'' if number == 1 else chr(10)}?- {text}  (line {line})")
        with program.run(result=number) as answer:
            write_batches(output, answer.batches(), answer.schema, answer.columns, run.diagnostics)
            _tell(run, answer.warnings)


def check(
    sources: SourceFlags,
    messages: MessageFlags,
    file: File,
    param: Params = None,
    strict: Strict = False,
) -> Job:
    """Report every mistake of a program without reading a row.

    dovetail rules check cities.pl
    """

    def work(run: Run) -> None:
        with _program(run, sources, file, param, strict) as program:
            for number in range(1, len(program.goals) + 1):
                program.compile(result=number)
            _tell(run, [w.render() for w in program.warnings])
            counts = f"{len(program.predicates)} predicates, {len(program.goals)} goals"
            run.diagnostics.note(f"{file}: no mistakes; {counts}")

    return Job(messages, work)


def compile_(
    sources: SourceFlags,
    messages: MessageFlags,
    file: File,
    goal: Goal = None,
    asked: Asked = None,
    param: Params = None,
    result: Number = None,
    to: Annotated[str, Option("--to", metavar="sql|plan", help="SQL, or the plan.")] = "sql",
    dialect: Annotated[
        str, Option("--dialect", metavar="NAME", help="The SQL dialect to write.")
    ] = "duckdb",
) -> Job:
    """Show a goal as one SQL statement, or as the plan.

    dovetail rules compile cities.pl "large_cities(City, N)"
    """
    if to not in ("sql", "plan"):
        raise UsageError(f'compile --to takes sql or plan, not "{to}"')
    goal = _one_goal(goal, asked)

    def work(run: Run) -> None:
        with _program(run, sources, file, param, False) as program:
            text = program.plan_text if to == "plan" else program.sql
            options: dict[str, Any] = {} if to == "plan" else {"dialect": dialect}
            write_text(text(goal, result=result, **options))

    return Job(messages, work)


def explain(
    sources: SourceFlags,
    messages: MessageFlags,
    file: File,
    goal: Goal = None,
    asked: Asked = None,
    param: Params = None,
    result: Number = None,
    analyze: Annotated[
        bool, Option("--analyze", help="Run it and show rows, bytes and times.")
    ] = False,
    format: Annotated[
        str, Option("--format", metavar="text|json", help="For people, or as data.")
    ] = "text",
) -> Job:
    """Show the fragments of a goal, and how often each source is read.

    dovetail rules explain cities.pl "city_stats(City, Count, Avg, Max)"
    """
    if format not in ("text", "json"):
        raise UsageError(f'explain --format takes text or json, not "{format}"')
    goal = _one_goal(goal, asked)

    def work(run: Run) -> None:
        with _program(run, sources, file, param, False, stream=True) as program:
            plan = program.explain(goal, result=result, analyze=analyze)
            if format == "json":
                write_text(json.dumps(plan.to_dict(), indent=2, default=str, ensure_ascii=False))
            else:
                write_text(str(plan))

    return Job(messages, work)


def _one_goal(goal: str | None, asked: str | None) -> str | None:
    if goal is not None and asked is not None:
        raise UsageError("the goal is given twice: after the file, and with --goal")
    return asked if goal is None else goal


@contextmanager
def _program(
    run: Run,
    sources: SourceFlags,
    file: str,
    param: list[str] | None,
    strict: bool,
    stream: bool = False,
) -> Iterator[Program]:
    from dovetail.interfaces.cli.parameters import parse_parameters

    if file == "-":
        data, name, folder = sys.stdin.buffer.read(), "<stdin>", Path.cwd()
    else:
        path = Path(file).expanduser()
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from None
        name, folder = path.name, path.parent
    values = parse_parameters(param or [])
    # Standard input is data unless it is the program, or a terminal; it is read when it is asked.
    stdin = None if file == "-" or sys.stdin.isatty() else "/dev/stdin"
    with ExitStack() as stack:
        session = stack.enter_context(run.session(sources, None, stdin=stdin))
        yield session.program(
            data,
            values,
            name=name,
            folder=folder,
            strict=strict,
            stream=stream,
            tell=run.diagnostics.note,
        )


def _tell(run: Run, warnings: list[str]) -> None:
    for warning in warnings:
        run.diagnostics.note(warning)


def _write_metrics(path: str, rows: int, taken: float, profile: Any) -> None:
    found = {
        "records": sum(fragment.rows or 0 for fragment in profile.fragments),
        "errors": sum(profile.record_errors.values()),
        "seconds": round(taken, 3),
        "rows": rows,
    }
    try:
        Path(path).expanduser().write_text(json.dumps(found) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


COMMANDS = {"run": run, "check": check, "compile": compile_, "explain": explain}
