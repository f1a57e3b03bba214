"""Figures over the history."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from dovetail.workspace.access import Actor
from dovetail.workspace.history import show_run, whose_runs
from dovetail.workspace.models import FragmentRow, QueryRow
from dovetail.workspace.problems import invalid
from dovetail.workspace.shapes import QueryStats, StatsRow
from dovetail.workspace.store import Store

_SLOWEST = 20
_BY = ("day", "source", "user")
_BATCH = 2_000


@dataclass
class _Sum:
    """Runs of one key. Times are kept for the percentiles; the others are only added up."""

    times: list[float] = field(default_factory=list)
    count: int = 0
    failed: int = 0
    cached: int = 0
    rows: int = 0
    bytes: int = 0

    def add(
        self, status: str, cache: str, time: float | None, rows: int | None, size: int | None
    ) -> None:
        self.count += 1
        self.failed += status == "FAILED"
        self.cached += cache == "hit"
        self.rows += rows or 0
        self.bytes += size or 0
        if status == "SUCCESS" and cache != "hit" and time is not None:
            self.times.append(time)

    def row(self, key: str) -> StatsRow:
        times = sorted(self.times)
        return StatsRow(
            key,
            self.count,
            self.failed,
            math.fsum(times) / len(times) if times else None,
            percentile(times, 50),
            percentile(times, 95),
            percentile(times, 99),
            times[-1] if times else None,
            self.rows,
            self.bytes,
            self.cached,
        )


class Stats:
    """Averages, percentiles, slowest, bytes; over one's own runs, or all as admin."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queries(
        self,
        actor: Actor,
        *,
        by: Literal["day", "source", "user"] = "day",
        since: datetime | None = None,
        until: datetime | None = None,
        user: str | None = None,
    ) -> QueryStats:
        """``user`` (id, name or ``*`` for everyone) is for admins."""
        actor.require("read")
        if by not in _BY:
            raise invalid("by", "must be one of these", valid=list(_BY))
        with self._store.read() as session:
            whose = whose_runs(session, actor, user)

            conditions: list[ColumnElement[bool]] = [
                QueryRow.status.in_(("SUCCESS", "FAILED", "CANCELLED"))
            ]
            if whose is not None:
                conditions.append(QueryRow.user_id == whose)
            if since is not None:
                conditions.append(QueryRow.created_at >= since)
            if until is not None:
                conditions.append(QueryRow.created_at < until)

            overall, sums = _Sum(), defaultdict[str, _Sum](_Sum)
            runs = session.execute(
                select(
                    QueryRow.created_at,
                    QueryRow.user_name,
                    QueryRow.status,
                    QueryRow.cache,
                    QueryRow.execution_ms,
                    QueryRow.row_count,
                    QueryRow.bytes_moved,
                )
                .where(*conditions)
                .execution_options(yield_per=_BATCH)
            )
            for created, name, status, cache, time, rows, size in runs:
                overall.add(status, cache, time, rows, size)
                if by != "source":
                    key = name if by == "user" else created.date().isoformat()
                    sums[key].add(status, cache, time, rows, size)
            if by == "source":
                fragments = session.execute(
                    select(
                        FragmentRow.connection_name,
                        FragmentRow.source,
                        FragmentRow.status,
                        FragmentRow.cache,
                        FragmentRow.milliseconds,
                        FragmentRow.rows,
                        FragmentRow.bytes,
                    )
                    .join(QueryRow, QueryRow.id == FragmentRow.query_id)
                    .where(*conditions)
                    .execution_options(yield_per=_BATCH)
                )
                for connection, source, status, cache, time, rows, size in fragments:
                    sums[connection or source].add(status, cache, time, rows, size)
            slowest = session.scalars(
                select(QueryRow)
                .options(selectinload(QueryRow.fragments))
                .where(*conditions, QueryRow.status == "SUCCESS")
                .order_by(QueryRow.execution_ms.desc(), QueryRow.id)
                .limit(_SLOWEST)
            ).all()
            shown = tuple(show_run(row) for row in slowest)
        keys = sorted(sums, reverse=by == "day")
        return QueryStats(
            since, until, overall.row("all"), tuple(sums[k].row(k) for k in keys), shown
        )


def percentile(times: Sequence[float], share: float) -> float | None:
    """The percentile of sorted ``times``, interpolated between the two nearest of them."""
    if not times:
        return None
    place = share / 100 * (len(times) - 1)
    below = math.floor(place)
    above = min(below + 1, len(times) - 1)
    return times[below] + (times[above] - times[below]) * (place - below)
