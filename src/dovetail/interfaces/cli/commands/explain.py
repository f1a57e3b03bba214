"""``dovetail explain``: which source does what."""

from __future__ import annotations

import json
from typing import Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, SourceFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.parameters import check_parameters, parse_parameters
from dovetail.interfaces.cli.reading import read_sql
from dovetail.interfaces.cli.runtime import Job, Run


def explain(
    where: SourceFlags,
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
        Option("--param", "-p", metavar="NAME=VALUE", help="Bind $NAME, as in `query`."),
    ] = None,
    dialect: Annotated[
        str, Option("--dialect", metavar="NAME", help="The SQL dialect the query is written in.")
    ] = "duckdb",
    analyze: Annotated[
        bool, Option("--analyze", help="Run it and show rows, bytes and times.")
    ] = False,
    rules: Annotated[
        bool, Option("--rules", help="Show the plan after each rule that changed it.")
    ] = False,
    format: Annotated[
        str,
        Option(
            "--format",
            metavar="text|json|dot|mermaid",
            help="A text for people, JSON, or a drawing for Graphviz or Mermaid.",
        ),
    ] = "text",
) -> Job:
    """Show the fragments that go to the sources and what is left to do here.

    dovetail explain --analyze "select count(*) from crm.customers"
    """
    text = read_sql(sql, file)
    values = parse_parameters(param or [])
    check_parameters(text, values)
    if format not in ("text", "json", "dot", "mermaid"):
        raise UsageError(f'explain --format takes text, json, dot or mermaid, not "{format}"')

    def work(run: Run) -> None:
        with run.session(where) as session:
            plan = session.explain(text, values, analyze=analyze, dialect=dialect)
            if format == "json":
                write_text(json.dumps(plan.to_dict(), indent=2, default=str, ensure_ascii=False))
            elif format == "dot":
                write_text(plan.dot())
            elif format == "mermaid":
                write_text(plan.mermaid())
            elif rules:
                write_text(plan.trace() or "no plan: the engine runs the text of the query itself")
            else:
                write_text(str(plan))

    return Job(messages, work)


COMMANDS = {"explain": explain}
