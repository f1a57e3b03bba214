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
        Option("--format", metavar="text|json|mermaid", help="For people, as data, as a diagram."),
    ] = "text",
) -> Job:
    """Show the fragments that go to the sources and what is left to do here.

    dovetail explain --analyze "select count(*) from crm.customers"
    """
    text = read_sql(sql, file)
    values = parse_parameters(param or [])
    check_parameters(text, values)
    if format not in ("text", "json", "mermaid"):
        raise UsageError(f'explain --format takes text, json or mermaid, not "{format}"')

    def work(run: Run) -> None:
        with run.session(where) as session:
            plan = session.explain(text, values, analyze=analyze, dialect=dialect)
            if format == "json":
                write_text(json.dumps(plan.to_dict(), indent=2, default=str, ensure_ascii=False))
            elif format == "mermaid":
                write_text(_diagram(str(plan.to_dict()["plan"] or "the text of the query itself")))
            elif rules:
                write_text(plan.trace() or "no plan: the engine runs the text of the query itself")
            else:
                write_text(str(plan))

    return Job(messages, work)


def _diagram(plan: str) -> str:
    """The plan, one node a line and indented, as a flow chart of Mermaid: data flows up."""
    lines = ["flowchart BT"]
    above: list[tuple[int, int]] = []  # (indent, number) of the nodes that the next may feed
    for number, line in enumerate(plan.splitlines()):
        indent = len(line) - len(line.lstrip())
        label = line.strip().replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
        shown = label if len(label) <= 120 else label[:119] + "…"
        lines.append(f'  n{number}["{shown}"]')
        while above and above[-1][0] >= indent:
            above.pop()
        if above:
            lines.append(f"  n{number} --> n{above[-1][1]}")
        above.append((indent, number))
    return "\n".join(lines)


COMMANDS = {"explain": explain}
