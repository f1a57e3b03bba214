"""Figures over the history."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from dovetail.execution.figures import Figures
from dovetail.workspace.access import Actor
from dovetail.workspace.history import show_run, whose_runs
from dovetail.workspace.models import FragmentRow, QueryRow
from dovetail.workspace.problems import invalid
from dovetail.workspace.shapes import QueryStats, StatsRow
from dovetail.workspace.store import Store

_SLOWEST = 20
_BY = ("day", "source", "user")
_BATCH = 2_000


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

            overall, sums = Figures(), defaultdict[str, Figures](Figures)
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
                _add(overall, status, cache, time, rows, size)
                if by != "source":
                    key = name if by == "user" else created.date().isoformat()
                    _add(sums[key], status, cache, time, rows, size)
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
                    _add(sums[connection or source], status, cache, time, rows, size)
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
            since, until, _row("all", overall), tuple(_row(k, sums[k]) for k in keys), shown
        )


def _add(
    figures: Figures,
    status: str,
    cache: str,
    time: float | None,
    rows: int | None,
    size: int | None,
) -> None:
    failed, cancelled = status == "FAILED", status == "CANCELLED"
    figures.add(time, rows, size, failed=failed, cancelled=cancelled, cached=cache == "hit")


def _row(key: str, figures: Figures) -> StatsRow:
    return StatsRow(
        key,
        figures.count,
        figures.failed,
        figures.average,
        figures.percentile(50),
        figures.percentile(95),
        figures.percentile(99),
        figures.longest,
        figures.rows,
        figures.bytes,
        figures.cached,
    )
