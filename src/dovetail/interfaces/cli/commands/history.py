"""``dovetail history``: what was run, at the terminal and by the service."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import Output, choose_output, write_text
from dovetail.interfaces.cli.past import (
    Everywhere,
    Past,
    Since,
    Until,
    Whose,
    began,
    entries_of,
    moment,
    of_service,
    past_of_terminal,
    shown_time,
    status_of,
    terminal,
    write_past,
)
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, opened


def history(
    where: StoreFlags,
    sources: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    text: Annotated[
        str | None, Argument(metavar="[TEXT]", help="Only queries whose SQL holds this.")
    ] = None,
    limit: Annotated[int, Option("--limit", help="How many, newest first.", min=1)] = 20,
    failed: Annotated[bool, Option("--failed", help="Only those that failed.")] = False,
    since: Since = None,
    until: Until = None,
    user: Whose = None,
    everywhere: Everywhere = False,
    query_id: Annotated[
        str | None, Option("--id", metavar="ID", help="One query with its fragments, as JSON.")
    ] = None,
    again: Annotated[
        str | None, Option("--run", metavar="ID", help="Run a query again, over today's sources.")
    ] = None,
    clear: Annotated[
        bool, Option("--clear", help="Forget what was run in the terminal; the service's stays.")
    ] = False,
) -> Job:
    """List past queries, newest first: of the terminal and of the service.

    The terminal's are those under the configuration in use; without one, those in this folder.

    dovetail history --failed --since 7d

    dovetail history orders --format json

    dovetail history --run 17
    """
    output = choose_output(out, messages.color)
    begin, end = moment("--since", since), moment("--until", until)
    if sum((query_id is not None, again is not None, clear)) > 1:
        raise UsageError("--id, --run and --clear exclude each other")

    def work(run: Run) -> int:
        if clear:
            with terminal(sources, everywhere) as kept:
                rest = "" if everywhere else "; --all forgets those of elsewhere too"
                run.diagnostics.note(f"{kept.clear():,} queries forgotten{rest}")
            return 0
        if query_id is not None:
            write_text(json.dumps(_plain(_whole(where, sources, query_id)), indent=2))
            return 0
        if again is not None:
            return _run_again(run, sources, output, _whole(where, sources, again)["sql"])
        found: list[Past] = []
        if user is None:
            with terminal(sources, everywhere) as kept:
                entries = entries_of(kept, text or "", limit, failed, begin, end)
            found += map(past_of_terminal, entries)
        found += of_service(where, text, limit, failed, begin, end, user)
        found.sort(key=lambda one: one.when, reverse=True)
        write_past(output, found[:limit], run, everywhere)
        return 0

    return Job(messages, work)


def _run_again(run: Run, sources: SourceFlags, output: Output, sql: str) -> int:
    from dovetail.interfaces.cli.answering import Answering, Wishes
    from dovetail.interfaces.cli.parameters import check_parameters
    from dovetail.script.statements import split

    check_parameters(sql, {})
    run.diagnostics.note(sql)
    with run.session(sources) as session:
        return Answering(run, session, Wishes(output)).answer(split(sql))


def _whole(where: StoreFlags, config: ConfigFlags, query_id: str) -> dict[str, Any]:
    """Everything that is known of a run: numbers are the terminal's, other ids the service's."""
    from dataclasses import asdict

    if query_id.isdigit():
        with terminal(config) as kept:
            entry = kept.entry(int(query_id))
        if entry is None:
            raise UsageError(f"there is no query {query_id} in the history of this terminal")
        return {
            "id": query_id,
            "where": entry.interface,
            "sql": entry.sql,
            "status": status_of(entry),
            "error": entry.error,
            "created_at": began(entry),
            "execution_ms": entry.milliseconds,
            "row_count": entry.rows,
            "bytes_moved": entry.bytes,
            "workspace": entry.workspace,
            "fragments": [part._asdict() for part in entry.parts],
        }
    with opened(where) as found:
        if found is None:
            raise UsageError(
                f'"{query_id}" is no number, and there is no workspace to look for it in'
            )
        workspace, actor = found
        return asdict(workspace.queries.get(actor, query_id))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return shown_time(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


COMMANDS = {"history": history}
