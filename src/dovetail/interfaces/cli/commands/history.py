"""``dovetail history`` and ``dovetail stats``: what was run, and what it cost.

Two places keep queries: the history of the user's terminal (``query``, the shell, the full-screen
interface) and the workspace that ``dovetail serve`` keeps for many. Both commands show both, the
first column saying which.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.editing.history import Entry, History
from dovetail.errors import UsageError
from dovetail.execution.figures import Figures
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import Output, choose_output, write_rows, write_text
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, opened

if TYPE_CHECKING:
    from dovetail.workspace import QueryRun, StatsRow

_PAGE = 500
_AGO = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHOWN_SQL = 80
_ALL = 1_000_000  # more than the terminal's history keeps
_SERVICE = "service"

Since = Annotated[
    str | None,
    Option("--since", metavar="WHEN", help="Only later: 2026-01-31, or 30m, 24h, 7d, 2w ago."),
]
Until = Annotated[str | None, Option("--until", metavar="WHEN", help="Only earlier; as --since.")]
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

    dovetail history --failed --since 7d

    dovetail history orders --format json

    dovetail history --run 17
    """
    output = choose_output(out, messages.color)
    begin, end = _moment("--since", since), _moment("--until", until)
    if sum((query_id is not None, again is not None, clear)) > 1:
        raise UsageError("--id, --run and --clear exclude each other")

    def work(run: Run) -> int:
        if clear:
            with _terminal() as kept:
                run.diagnostics.note(f"{kept.clear():,} queries forgotten")
            return 0
        if query_id is not None:
            write_text(json.dumps(_plain(_whole(where, query_id)), indent=2))
            return 0
        if again is not None:
            return _run_again(run, sources, output, _whole(where, again)["sql"])
        found = list(_of_terminal(text or "", limit, failed, begin, end)) if user is None else []
        found += _of_service(where, text, limit, failed, begin, end, user)
        found.sort(key=lambda one: one.when, reverse=True)
        _write(output, found[:limit], run)
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


def _write(output: Output, found: list[Past], run: Run) -> None:
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
    ]
    rows = [
        (
            _shown_time(one.when),
            one.where,
            one.user,
            one.status,
            _rounded(one.milliseconds),
            one.rows,
            one.bytes,
            ", ".join(one.sources) or None,
            _first_line(one.sql) if output.form.for_eyes else one.sql,
            one.id,
        )
        for one in found
    ]
    write_rows(output, columns, rows, run.diagnostics)


# -- where past queries are kept ---------------------------------------------------------------


def _terminal() -> Any:
    from contextlib import closing

    return closing(History())


def _of_terminal(
    text: str, limit: int, failed: bool, since: datetime | None, until: datetime | None
) -> Iterator[Past]:
    with _terminal() as kept:
        for entry in _entries(kept, text, limit, failed, since, until):
            yield Past(
                _began(entry),
                entry.interface,
                None,
                _status(entry),
                entry.milliseconds,
                entry.rows,
                entry.bytes,
                entry.sources,
                entry.sql,
                str(entry.id),
            )


def _entries(
    kept: History,
    text: str = "",
    limit: int = _ALL,
    failed: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Entry]:
    return kept.entries(
        text,
        limit=limit,
        failed=failed,
        since=since.timestamp() if since is not None else None,
        until=until.timestamp() if until is not None else None,
    )


def _began(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.started, UTC)


def _status(entry: Entry) -> str:
    return "SUCCESS" if entry.error is None else "FAILED"


def _of_service(
    where: StoreFlags,
    text: str | None,
    limit: int,
    failed: bool,
    since: datetime | None,
    until: datetime | None,
    user: str | None,
) -> Iterator[Past]:
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
            yield from map(_past, page.items)
            left -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return


def _past(one: QueryRun) -> Past:
    return Past(
        one.created_at,
        _SERVICE,
        one.user_name,
        one.status,
        one.execution_ms,
        one.row_count,
        one.bytes_moved,
        tuple(dict.fromkeys(f.source for f in one.fragments)),
        one.sql,
        one.id,
    )


def _whole(where: StoreFlags, query_id: str) -> dict[str, Any]:
    """Everything that is known of a run: numbers are the terminal's, other ids the service's."""
    from dataclasses import asdict

    if query_id.isdigit():
        with _terminal() as kept:
            entry = kept.entry(int(query_id))
        if entry is None:
            raise UsageError(f"there is no query {query_id} in the history of this terminal")
        return {
            "id": query_id,
            "where": entry.interface,
            "sql": entry.sql,
            "status": _status(entry),
            "error": entry.error,
            "created_at": _began(entry),
            "execution_ms": entry.milliseconds,
            "row_count": entry.rows,
            "bytes_moved": entry.bytes,
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
        return _shown_time(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


# -- figures ----------------------------------------------------------------------------------


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

    Queries of the terminal and of the service stand in lines of their own. By source the figures
    are those of the fragments each source ran.

    dovetail stats --by day --since 30d

    dovetail stats --slowest 5
    """
    output = choose_output(out, messages.color)
    begin, end = _moment("--since", since), _moment("--until", until)
    if by not in ("day", "source", "user"):
        raise UsageError(f'--by "{by}" is not one of day, source, user')

    def work(run: Run) -> None:
        lines: list[tuple[Any, ...]] = []
        slow: list[Past] = []
        totals: list[tuple[str, int, int, int]] = []
        if user is None:
            with _terminal() as kept:
                entries = _entries(kept, since=begin, until=end)
            overall, sums = _summed(entries, by)
            lines += [_figures(key, "terminal", one) for key, one in sums]
            if entries:
                totals.append(("terminal", overall.count, overall.failed, overall.bytes))
            slow += _of_terminal("", _ALL, False, begin, end) if slowest else []
        with opened(where, needed=user is not None) as found:
            if found is not None:
                workspace, actor = found
                figures = workspace.stats.queries(
                    actor,
                    by=by,  # type: ignore[arg-type]
                    since=begin,
                    until=end,
                    user=user or "*",
                )
                lines += [_figures_of(row) for row in figures.rows]
                total = figures.overall
                totals.append((_SERVICE, total.count, total.failed, total.bytes))
                slow += map(_past, figures.slowest)
        if slowest is not None:
            done = [one for one in slow if one.status == "SUCCESS"]
            done.sort(key=lambda one: one.milliseconds or 0, reverse=True)
            _write(output, done[:slowest], run)
            return
        columns = [(by, "VARCHAR"), ("where", "VARCHAR")]
        columns += [("queries", "BIGINT"), ("failed", "BIGINT")]
        columns += [(name, "DOUBLE") for name in ("average_ms", "p50_ms", "p95_ms", "max_ms")]
        columns += [("rows", "BIGINT"), ("bytes", "BIGINT"), ("cached", "BIGINT")]
        write_rows(output, columns, lines, run.diagnostics)
        for place, count, bad, size in totals:
            run.diagnostics.note(
                f"{place}: {count:,} queries, {bad:,} failed, {size:,} bytes moved"
            )

    return Job(messages, work)


def _summed(entries: list[Entry], by: str) -> tuple[Figures, list[tuple[str, Figures]]]:
    """The figures of all queries, and those by key."""
    overall, sums = Figures(), defaultdict[str, Figures](Figures)
    for entry in entries:
        failed = entry.error is not None
        kept = entry.cached
        overall.add(entry.milliseconds, entry.rows, entry.bytes, failed=failed, cached=kept)
        if by == "source":
            for part in entry.parts:
                sums[part.source].add(
                    part.milliseconds, part.rows, part.bytes, failed=failed, cached=kept
                )
        else:
            key = _began(entry).date().isoformat() if by == "day" else "(you)"
            sums[key].add(entry.milliseconds, entry.rows, entry.bytes, failed=failed, cached=kept)
    return overall, sorted(sums.items(), reverse=by == "day")


def _figures(key: str, place: str, one: Figures) -> tuple[Any, ...]:
    return (
        key,
        place,
        one.count,
        one.failed,
        _rounded(one.average),
        _rounded(one.percentile(50)),
        _rounded(one.percentile(95)),
        _rounded(one.longest),
        one.rows,
        one.bytes,
        one.cached,
    )


def _figures_of(row: StatsRow) -> tuple[Any, ...]:
    return (
        row.key,
        _SERVICE,
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
