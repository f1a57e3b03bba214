"""``dovetail stats``: what was run, summed up."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.editing.history import Entry
from dovetail.errors import UsageError
from dovetail.execution.figures import Figures
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags, OutputFlags
from dovetail.interfaces.cli.output import choose_output, write_rows
from dovetail.interfaces.cli.past import (
    SERVICE,
    Everywhere,
    Past,
    Since,
    Until,
    Whose,
    began,
    entries_of,
    moment,
    past_of,
    past_of_terminal,
    rounded,
    terminal,
    write_past,
)
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.interfaces.cli.store import StoreFlags, opened

if TYPE_CHECKING:
    from dovetail.workspace import StatsRow


def stats(
    where: StoreFlags,
    config: ConfigFlags,
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
    everywhere: Everywhere = False,
) -> Job:
    """Sum up the history: count, errors, average and percentiles of the time, rows, bytes.

    Queries of the terminal (see `dovetail history`) and of the service stand in lines of their own.
    By source the figures are those of the fragments each source ran.

    dovetail stats --by day --since 30d

    dovetail stats --slowest 5
    """
    output = choose_output(out, messages.color)
    begin, end = moment("--since", since), moment("--until", until)
    if by not in ("day", "source", "user"):
        raise UsageError(f'--by "{by}" is not one of day, source, user')

    def work(run: Run) -> None:
        lines: list[tuple[Any, ...]] = []
        slow: list[Past] = []
        totals: list[tuple[str, int, int, int]] = []
        if user is None:
            with terminal(config, everywhere) as kept:
                entries = entries_of(kept, since=begin, until=end)
            overall, sums = _summed(entries, by)
            lines += [_figures(key, "terminal", one) for key, one in sums]
            if entries:
                totals.append(("terminal", overall.count, overall.failed, overall.bytes))
            slow += map(past_of_terminal, entries)
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
                totals.append((SERVICE, total.count, total.failed, total.bytes))
                slow += map(past_of, figures.slowest)
        if slowest is not None:
            done = [one for one in slow if one.status == "SUCCESS"]
            done.sort(key=lambda one: one.milliseconds or 0, reverse=True)
            write_past(output, done[:slowest], run, everywhere)
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
        how = {
            "failed": entry.error is not None,
            "cancelled": entry.cancelled,
            "cached": entry.cached,
        }
        overall.add(entry.milliseconds, entry.rows, entry.bytes, **how)
        if by == "source":
            for part in entry.parts:
                sums[part.source].add(part.milliseconds, part.rows, part.bytes, **how)
        else:
            key = began(entry).date().isoformat() if by == "day" else "(you)"
            sums[key].add(entry.milliseconds, entry.rows, entry.bytes, **how)
    return overall, sorted(sums.items(), reverse=by == "day")


def _figures(key: str, place: str, one: Figures) -> tuple[Any, ...]:
    return (
        key,
        place,
        one.count,
        one.failed,
        rounded(one.average),
        rounded(one.percentile(50)),
        rounded(one.percentile(95)),
        rounded(one.longest),
        one.rows,
        one.bytes,
        one.cached,
    )


def _figures_of(row: StatsRow) -> tuple[Any, ...]:
    return (
        row.key,
        SERVICE,
        row.count,
        row.failed,
        rounded(row.average_ms),
        rounded(row.p50_ms),
        rounded(row.p95_ms),
        rounded(row.max_ms),
        row.rows,
        row.bytes,
        row.cached,
    )


COMMANDS = {"stats": stats}
