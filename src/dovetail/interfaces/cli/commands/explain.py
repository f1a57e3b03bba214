"""``dovetail explain``: which source does what."""

from __future__ import annotations

import json
from typing import Annotated

from typer import Argument, Option

from dovetail.errors import UsageError
from dovetail.interfaces.cli.options import MessageFlags, SourceFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run


def explain(
    where: SourceFlags,
    messages: MessageFlags,
    sql: Annotated[str, Argument(metavar="SQL", help="The query.")],
    analyze: Annotated[
        bool, Option("--analyze", help="Run it and show rows, bytes and times.")
    ] = False,
    format: Annotated[
        str, Option("--format", metavar="text|json", help="A text for people, or JSON.")
    ] = "text",
) -> Job:
    """Show the fragments that go to the sources and what is left to do here.

    dovetail explain --analyze "select count(*) from crm.customers"
    """
    if format not in ("text", "json"):
        raise UsageError(f'explain --format takes text or json, not "{format}"')

    def work(run: Run) -> None:
        with run.session(where) as session:
            plan = session.explain(sql, analyze=analyze)
            if format == "json":
                write_text(json.dumps(plan.to_dict(), indent=2, default=str, ensure_ascii=False))
            else:
                write_text(str(plan))

    return Job(messages, work)


COMMANDS = {"explain": explain}
