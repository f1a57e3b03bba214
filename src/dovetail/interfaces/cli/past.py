"""Queries that were run, wherever they are kept.

Two places keep them: the history of the user's terminal (``query``, the shell, the full-screen
interface) and the workspace that ``dovetail serve`` keeps for many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.editing.history import Entry, History, workspace_name
from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import ConfigFlags
from dovetail.interfaces.cli.output import Output, write_rows
from dovetail.interfaces.cli.runtime import Run
from dovetail.interfaces.cli.store import StoreFlags, opened

if TYPE_CHECKING:
    from dovetail.workspace import QueryRun

_PAGE = 500
_AGO = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHOWN_SQL = 80
ALL = 1_000_000
"""More than the terminal's history keeps."""
SERVICE = "service"

Since = Annotated[
    str | None,
    Option("--since", metavar="WHEN", help="Only later: 2026-01-31, or 30m, 24h, 7d, 2w ago."),
]
Until = Annotated[str | None, Option("--until", metavar="WHEN", help="Only earlier; as --since.")]
Everywhere = Annotated[
    bool,
    Option("--all", help="The terminal's under every configuration and in every folder."),
]
Whose = Annotated[
    str | None, Option("--user", metavar="NAME", help="Only of this user of the workspace.")
]


@dataclass(frozen=True)
class Past:
    """A query that was run, wherever it is kept."""

    when: datetime
    where: str
    user: str | None
    status: str
    milliseconds: float | None
    rows: int | None
    bytes: int | None
    sources: tuple[str, ...]
    sql: str
    id: str
    workspace: str | None = None
    """The configuration or the folder at the terminal; None for those of the service."""


def terminal(config: ConfigFlags, everywhere: bool = False) -> Any:
    """The history of this user's terminal, closed at the end of a ``with`` block.

    It is that of the workspace that ``config`` means, unless it is wanted of ``everywhere``.
    """
    from contextlib import closing

    from dovetail.config_load import find

    workspace = None if everywhere else workspace_name(find(config.config)[0])
    return closing(History(workspace=workspace))


def entries_of(
    kept: History,
    text: str = "",
    limit: int = ALL,
    failed: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Entry]:
    """What the history keeps between two moments, newest first."""
    return kept.entries(
        text,
        limit=limit,
        failed=failed,
        since=since.timestamp() if since is not None else None,
        until=until.timestamp() if until is not None else None,
    )


def past_of_terminal(entry: Entry) -> Past:
    """A query of the terminal."""
    return Past(
        began(entry),
        entry.interface,
        None,
        status_of(entry),
        entry.milliseconds,
        entry.rows,
        entry.bytes,
        entry.sources,
        entry.sql,
        str(entry.id),
        entry.workspace,
    )


def began(entry: Entry) -> datetime:
    """When a query of the terminal began."""
    return datetime.fromtimestamp(entry.started, UTC)


def status_of(entry: Entry) -> str:
    """How it ended, in the words of the service."""
    if entry.cancelled:
        return "CANCELLED"
    return "SUCCESS" if entry.error is None else "FAILED"


def of_service(
    where: StoreFlags,
    text: str | None,
    limit: int,
    failed: bool,
    since: datetime | None,
    until: datetime | None,
    user: str | None,
) -> Iterator[Past]:
    """Queries of the workspace, newest first; none when there is no workspace."""
    with opened(where, needed=user is not None) as found:
        if found is None:
            return
        workspace, actor = found
        cursor: str | None = None
        left = limit
        while left > 0:
            page = workspace.queries.history(
                actor,
                limit=min(_PAGE, left),
                cursor=cursor,
                q=text,
                status="FAILED" if failed else None,
                since=since,
                until=until,
                user=user or "*",
            )
            yield from map(past_of, page.items)
            left -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return


def past_of(one: QueryRun) -> Past:
    """A run of the service."""
    return Past(
        one.created_at,
        SERVICE,
        one.user_name,
        one.status,
        one.execution_ms,
        one.row_count,
        one.bytes_moved,
        tuple(dict.fromkeys(f.source for f in one.fragments)),
        one.sql,
        one.id,
    )


def write_past(output: Output, found: list[Past], run: Run, everywhere: bool = False) -> None:
    """Write a listing of queries; on one line each where people read it.

    ``everywhere`` has a column for the workspace of the terminal.
    """
    columns = [
        ("when", "VARCHAR"),
        ("where", "VARCHAR"),
        ("user", "VARCHAR"),
        ("status", "VARCHAR"),
        ("ms", "DOUBLE"),
        ("rows", "BIGINT"),
        ("bytes", "BIGINT"),
        ("sources", "VARCHAR"),
        ("sql", "VARCHAR"),
        ("id", "VARCHAR"),
        *([("workspace", "VARCHAR")] if everywhere else []),
    ]
    rows = [
        (
            shown_time(one.when),
            one.where,
            one.user,
            one.status,
            rounded(one.milliseconds),
            one.rows,
            one.bytes,
            ", ".join(one.sources) or None,
            _first_line(one.sql) if output.form.for_eyes else one.sql,
            one.id,
            *([one.workspace] if everywhere else []),
        )
        for one in found
    ]
    write_rows(output, columns, rows, run.diagnostics)


def moment(flag: str, text: str | None) -> datetime | None:
    """A time as written with ``--since``: a date, a date and time, or how long ago."""
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if number.isdigit() and unit in _AGO:
        return datetime.now(UTC) - timedelta(**{_AGO[unit]: int(number)})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f'{flag} "{text}" is no time; write 2026-01-31, 2026-01-31T12:00, or 30m, 24h, 7d, 2w'
        ) from None
    return moment.astimezone(UTC)


def shown_time(moment: datetime) -> str:
    """A moment in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def rounded(value: float | None) -> float | None:
    """A figure with one decimal."""
    return None if value is None else round(value, 1)


def _first_line(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= _SHOWN_SQL else line[: _SHOWN_SQL - 1] + "…"
