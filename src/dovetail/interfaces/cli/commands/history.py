"""``dovetail history`` and ``dovetail stats``: what the service has run, and what it cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_rows, write_text
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, opened

if TYPE_CHECKING:
    from dovetail.workspace import QueryRun, StatsRow

_NOTHING = "there is no workspace yet; `dovetail serve` makes one"
_PAGE = 500
_AGO = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHOWN_SQL = 80

Since = Annotated[
    str | None,
    Option("--since", metavar="WHEN", help="Only later: 2026-01-31, or 30m, 24h, 7d, 2w ago."),
]
Until = Annotated[str | None, Option("--until", metavar="WHEN", help="Only earlier; as --since.")]
Whose = Annotated[
    str | None, Option("--user", metavar="NAME", help="Only of this user of the workspace.")
]


def history(
    where: StoreFlags,
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
    query_id: Annotated[
        str | None, Option("--id", metavar="ID", help="One query with its fragments, as JSON.")
    ] = None,
) -> Job:
    """List past queries of the workspace, newest first.

    dovetail history --failed --since 7d

    dovetail history orders --format json
    """
    output = choose_output(out, messages.color)
    begin, end = _moment("--since", since), _moment("--until", until)

    def work(run: Run) -> None:
        with opened(where) as found:
            if found is None:
                run.diagnostics.note(_NOTHING)
                return
            workspace, actor = found
            if query_id is not None:
                write_text(json.dumps(_whole(workspace.queries.get(actor, query_id)), indent=2))
                return
            runs: list[QueryRun] = []
            cursor: str | None = None
            while len(runs) < limit:
                page = workspace.queries.history(
                    actor,
                    limit=min(_PAGE, limit - len(runs)),
                    cursor=cursor,
                    q=text,
                    status="FAILED" if failed else None,
                    since=begin,
                    until=end,
                    user=user or "*",
                )
                runs += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
        columns = [
            ("when", "VARCHAR"),
            ("user", "VARCHAR"),
            ("status", "VARCHAR"),
            ("ms", "DOUBLE"),
            ("rows", "BIGINT"),
            ("bytes", "BIGINT"),
            ("sources", "VARCHAR"),
            ("sql", "VARCHAR"),
            ("id", "VARCHAR"),
        ]
        rows = [
            (
                _shown_time(one.created_at),
                one.user_name,
                one.status,
                _rounded(one.execution_ms),
                one.row_count,
                one.bytes_moved,
                ", ".join(dict.fromkeys(f.source for f in one.fragments)) or None,
                _first_line(one.sql) if output.form.for_eyes else one.sql,
                one.id,
            )
            for one in runs
        ]
        write_rows(output, columns, rows, run.diagnostics)

    return Job(messages, work)


def stats(
    where: StoreFlags,
    out: OutputFlags,
    messages: MessageFlags,
    by: Annotated[str, Option("--by", metavar="day|source|user", help="What to sum up by.")] = (
        "source"
    ),
    slowest: Annotated[
        int | None, Option("--slowest", help="List the slowest queries instead.", min=1)
    ] = None,
    since: Since = None,
    until: Until = None,
    user: Whose = None,
) -> Job:
    """Sum up the history: count, errors, average and percentiles of the time, rows, bytes.

    By source the figures are those of the fragments each source ran.

    dovetail stats --by day --since 30d

    dovetail stats --slowest 5
    """
    output = choose_output(out, messages.color)
    begin, end = _moment("--since", since), _moment("--until", until)
    if by not in ("day", "source", "user"):
        raise UsageError(f'--by "{by}" is not one of day, source, user')

    def work(run: Run) -> None:
        with opened(where) as found:
            if found is None:
                run.diagnostics.note(_NOTHING)
                return
            workspace, actor = found
            figures = workspace.stats.queries(
                actor,
                by=by,  # type: ignore[arg-type]
                since=begin,
                until=end,
                user=user or "*",
            )
        if slowest is not None:
            columns = [
                ("ms", "DOUBLE"),
                ("when", "VARCHAR"),
                ("user", "VARCHAR"),
                ("rows", "BIGINT"),
                ("bytes", "BIGINT"),
                ("sql", "VARCHAR"),
                ("id", "VARCHAR"),
            ]
            slow = [
                (
                    _rounded(one.execution_ms),
                    _shown_time(one.created_at),
                    one.user_name,
                    one.row_count,
                    one.bytes_moved,
                    _first_line(one.sql) if output.form.for_eyes else one.sql,
                    one.id,
                )
                for one in figures.slowest[:slowest]
            ]
            write_rows(output, columns, slow, run.diagnostics)
            return
        columns = [(by, "VARCHAR"), ("queries", "BIGINT"), ("failed", "BIGINT")]
        columns += [(name, "DOUBLE") for name in ("average_ms", "p50_ms", "p95_ms", "max_ms")]
        columns += [("rows", "BIGINT"), ("bytes", "BIGINT"), ("cached", "BIGINT")]
        rows = [_figures(row) for row in figures.rows]
        write_rows(output, columns, rows, run.diagnostics)
        total = figures.overall
        run.diagnostics.note(
            f"{total.count:,} queries, {total.failed:,} failed, {total.bytes:,} bytes moved"
        )

    return Job(messages, work)


def _figures(row: StatsRow) -> tuple[Any, ...]:
    return (
        row.key,
        row.count,
        row.failed,
        _rounded(row.average_ms),
        _rounded(row.p50_ms),
        _rounded(row.p95_ms),
        _rounded(row.max_ms),
        row.rows,
        row.bytes,
        row.cached,
    )


def _whole(one: QueryRun) -> dict[str, Any]:
    """Everything that is known of a run."""
    from dataclasses import asdict

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return _shown_time(value)
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    found: dict[str, Any] = plain(asdict(one))
    return found


def _moment(flag: str, text: str | None) -> datetime | None:
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


def _shown_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _first_line(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= _SHOWN_SQL else line[: _SHOWN_SQL - 1] + "…"


COMMANDS = {"history": history, "stats": stats}
