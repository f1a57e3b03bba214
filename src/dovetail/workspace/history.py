"""Runs as they are stored: written while they go, shown, listed, and who may read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

from sqlalchemy import ColumnElement, Table, delete, insert, select, update
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import selectinload

from dovetail.execution.profile import Profile
from dovetail.secrets import redact
from dovetail.workspace.access import Actor, covers
from dovetail.workspace.models import (
    ConnectionRow,
    DatasetRow,
    FragmentRow,
    QueryRow,
    ReadRow,
    now,
)
from dovetail.workspace.paging import contains, page
from dovetail.workspace.problems import invalid, not_found
from dovetail.workspace.pushed import pushed_operations
from dovetail.workspace.result_files import Taken
from dovetail.workspace.rights import rights_on
from dovetail.workspace.shapes import Column, FragmentRun, Page, Problem, QueryRequest, QueryRun
from dovetail.workspace.store import Store
from dovetail.workspace.views import View

STATUSES = ("PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED")
UNFINISHED = ("PENDING", "RUNNING")


_QUERIES = cast(Table, QueryRow.__table__)
_FRAGMENTS = cast(Table, FragmentRow.__table__)
_READS = cast(Table, ReadRow.__table__)


class RunFilter(TypedDict, total=False):
    """Which runs a list of the history holds; what is None or left out does not narrow it.

    ``q`` is a part of the SQL, ``target`` the id of a dataset, group or connection, ``user`` an id,
    a name or ``*`` for everyone: without it one's own runs, and with another's only for admins.
    """

    q: str | None
    status: str | None
    since: datetime | None
    until: datetime | None
    min_ms: float | None
    target: str | None
    user: str | None
    favourite: bool | None


class History:
    """The table of runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- writing --------------------------------------------------------------------------------

    def add(
        self, actor: Actor, query_id: str, request: QueryRequest, view: View, mode: str
    ) -> QueryRow:
        """A new run, PENDING."""
        row = QueryRow(
            id=query_id,
            user_id=actor.user_id,
            user_name=actor.name,
            sql=redact(request.sql),
            target=dict(view.target),
            origin=request.origin,
            question=request.question,
            mode=mode,
            status="PENDING",
            columns=[],
            truncated=False,
            limit_applied=False,
            created_at=now(),
            engine="duckdb",
            cache="none",
            favourite=False,
            shared=False,
            cancel_requested=False,
            warnings=[],
            worker_id=self._store.worker_id,
        )
        reads = [{"query_id": query_id, "object_kind": k, "object_id": i} for k, i in view.reads]
        with self._store.write() as session:
            session.execute(insert(_QUERIES).values(_values(row)))
            if reads:
                session.execute(insert(_READS), reads)
        return row

    def begin(self, row: QueryRow) -> bool:
        """RUNNING; False when it has been cancelled before."""
        return self._change(row, ("PENDING",), {"status": "RUNNING", "started_at": now()})

    def finish(
        self,
        row: QueryRow,
        status: str,
        *,
        view: View,
        execution_ms: float,
        profile: Profile | None,
        problem: Problem | None = None,
        columns: Sequence[Column] = (),
        taken: Taken | None = None,
        limit_applied: bool = False,
        warnings: Sequence[str] = (),
    ) -> bool:
        """The end of a run, once: False when it had ended otherwise before."""
        moment = now()
        changes: dict[str, Any] = {
            "status": status,
            "finished_at": moment,
            "execution_ms": execution_ms,
            "problem": None if problem is None else problem.to_dict(),
            "warnings": list(warnings),
            "limit_applied": limit_applied,
        }
        if taken is not None:
            changes["columns"] = [[c.name, c.type, c.label] for c in columns]
            changes["row_count"], changes["truncated"] = taken.rows, taken.truncated
            changes["result_bytes"] = taken.bytes
            life = timedelta(seconds=self._store.limits.result_seconds)
            changes["expires_at"] = moment + life
        fragments: list[FragmentRow] = []
        if profile is not None:
            changes.update(_figures(profile))
            fragments = self._fragments(row.id, profile, view, status, problem)
        return self._change(row, UNFINISHED, changes, fragments)

    def _change(
        self,
        row: QueryRow,
        expected: Sequence[str],
        changes: Mapping[str, Any],
        fragments: Sequence[FragmentRow] = (),
    ) -> bool:
        """Change a run in the store, and ``row`` with it, if its status is as expected.

        Plain statements: the unit of work of the ORM costs more here than a short query does.
        """
        with self._store.write() as session:
            changed = session.execute(
                update(_QUERIES)
                .where(_QUERIES.c.id == row.id, _QUERIES.c.status.in_(expected))
                .values(**changes)
            )
            if not changed.rowcount:  # type: ignore[attr-defined]
                return False
            if fragments:
                session.execute(insert(_FRAGMENTS), [_values(one) for one in fragments])
        for name, value in changes.items():
            setattr(row, name, value)
        row.fragments = list(fragments)
        return True

    def _fragments(
        self, query_id: str, profile: Profile, view: View, status: str, problem: Problem | None
    ) -> list[FragmentRow]:
        rows = []
        for fragment in profile.fragments:
            sql = redact(view.without_paths(fragment.sql, self._store.folders.files))
            behind = view.behind.get(fragment.source)
            outcome, error = status, None
            if status == "FAILED" and problem is not None:
                failed = problem.source == fragment.source
                outcome = "FAILED" if failed else "SUCCESS" if fragment.complete else "CANCELLED"
                error = problem.detail if failed else None
            rows.append(
                FragmentRow(
                    query_id=query_id,
                    number=fragment.number,
                    source=fragment.source,
                    kind=fragment.kind,
                    sql=sql,
                    road=fragment.road,
                    status=outcome,
                    rows=fragment.rows,
                    bytes=fragment.bytes,
                    milliseconds=fragment.milliseconds,
                    started_ms=None
                    if fragment.started is None
                    else profile.planning_milliseconds + fragment.started,
                    cache=fragment.cache,
                    connection_id=behind.connection_id if behind else None,
                    connection_name=behind.connection_name if behind else None,
                    dataset_id=behind.dataset_id if behind else None,
                    pushed=list(pushed_operations(fragment.kind, sql)),
                    error=error,
                )
            )
        return rows

    # -- reading --------------------------------------------------------------------------------

    def owned(self, session: Transaction, actor: Actor, query_id: str) -> QueryRow:
        """A run of the actor's own, or anyone's for an admin; else ``not-found``."""
        row = session.get(QueryRow, query_id)
        if row is None or (row.user_id != actor.user_id and not actor.is_admin):
            raise not_found("query", title="Query not found")
        return row

    def readable(self, session: Transaction, actor: Actor, query_id: str) -> QueryRow:
        """A run that the actor may see: his own, or a shared one of whose reads he may view all."""
        row = session.get(QueryRow, query_id)
        if row is not None and (row.user_id == actor.user_id or actor.is_admin):
            return row
        if row is None or not row.shared or not self._holds(session, actor, row, "view"):
            raise not_found("query", title="Query not found")
        return row

    def result_readable(self, session: Transaction, actor: Actor, query_id: str) -> QueryRow:
        """As :meth:`readable`, with the rights on what it read checked for its owner as well."""
        row = self.readable(session, actor, query_id)
        if not self._holds(session, actor, row, "view" if row.shared else "query"):
            raise not_found("query", title="Query not found")
        return row

    def _holds(self, session: Transaction, actor: Actor, row: QueryRow, needed: Any) -> bool:
        if actor.is_admin:
            return True
        for kind, model in (("dataset", DatasetRow), ("connection", ConnectionRow)):
            ids = [read.object_id for read in row.reads if read.object_kind == kind]
            found = session.execute(select(model.id, model.owner_id).where(model.id.in_(ids)))
            owners: dict[str, str | None] = dict.fromkeys(ids) if kind == "connection" else {}
            owners.update((key, owner) for key, owner in found)
            if set(owners) != set(ids):
                return False
            rights = rights_on(session, actor, kind, owners)
            if not all(covers(right, needed) for right in rights.values()):
                return False
        return True

    def list(
        self,
        actor: Actor,
        wanted: RunFilter,
        *,
        limit: int,
        cursor: str | None,
    ) -> Page[QueryRun]:
        """Newest first; see :class:`RunFilter` for whose."""
        actor.require("read")
        statement = select(QueryRow).options(selectinload(QueryRow.fragments))
        with self._store.read() as session:
            whose = whose_runs(session, actor, wanted.get("user"))
            if whose is not None:
                statement = statement.where(QueryRow.user_id == whose)
            return page(
                session,
                statement.where(*_conditions(wanted)),
                QueryRow.created_at,
                QueryRow.id,
                show_run,
                limit=limit,
                cursor=cursor,
            )

    def delete(self, session: Transaction, query_id: str) -> None:
        """Remove a run with its fragments."""
        session.execute(delete(QueryRow).where(QueryRow.id == query_id))


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if q := wanted.get("q"):
        conditions.append(contains(QueryRow.sql, q))
    if (status := wanted.get("status")) is not None:
        if status not in STATUSES:
            raise invalid("status", "must be one of these", valid=list(STATUSES))
        conditions.append(QueryRow.status == status)
    if (since := wanted.get("since")) is not None:
        conditions.append(QueryRow.created_at >= since)
    if (until := wanted.get("until")) is not None:
        conditions.append(QueryRow.created_at < until)
    if (min_ms := wanted.get("min_ms")) is not None:
        conditions.append(QueryRow.execution_ms >= min_ms)
    if (favourite := wanted.get("favourite")) is not None:
        conditions.append(QueryRow.favourite.is_(favourite))
    if (target := wanted.get("target")) is not None:
        read = select(ReadRow.query_id).where(ReadRow.object_id == target)
        conditions.append(QueryRow.id.in_(read))
    return conditions


def whose_runs(session: Transaction, actor: Actor, user: str | None) -> str | None:
    """The id of the user whose runs are asked for; None for everyone's.

    Raises:
        WorkspaceError: ``forbidden`` for another's without being an admin, ``not-found``.
    """
    from dovetail.workspace.users import user_named

    if user is None:
        return actor.user_id
    if user != actor.user_id:
        actor.require("administer")
    return None if user == "*" else user_named(session, user).id


def _figures(profile: Profile) -> dict[str, Any]:
    times = [f.milliseconds for f in profile.fragments if f.milliseconds is not None]
    sources = max(times, default=0.0)
    return {
        "plan_ms": profile.planning_milliseconds,
        "sources_ms": sources,
        "finish_ms": max(0.0, (profile.milliseconds or 0.0) - sources),
        "bytes_moved": profile.bytes_moved,
        "rows_moved": sum(fragment.rows or 0 for fragment in profile.fragments),
        "peak_memory": profile.peak_memory,
        "cache": profile.cache,
    }


def _values(row: QueryRow | FragmentRow) -> dict[str, Any]:
    """The columns of a row that is not in a session, by name."""
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def show_run(row: QueryRow) -> QueryRun:
    """A run as the workspace hands it out."""
    result = "none"
    if row.status == "SUCCESS":
        alive = row.expires_at is not None and row.expires_at > now()
        result = "stored" if alive else "expired"
    return QueryRun(
        id=row.id,
        user_id=row.user_id,
        user_name=row.user_name,
        sql=row.sql,
        target=row.target,
        origin=row.origin,
        question=row.question,
        mode=row.mode,
        status=row.status,
        problem=Problem.from_dict(row.problem) if row.problem else None,
        columns=tuple(Column(name, type_, label) for name, type_, label in row.columns),
        row_count=row.row_count,
        total_rows=None if row.truncated else row.row_count,
        truncated=row.truncated,
        limit_applied=row.limit_applied,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        execution_ms=row.execution_ms,
        plan_ms=row.plan_ms,
        sources_ms=row.sources_ms,
        finish_ms=row.finish_ms,
        bytes_moved=row.bytes_moved,
        rows_moved=row.rows_moved,
        peak_memory=row.peak_memory,
        engine=row.engine,
        cache=row.cache,
        result=result,
        result_bytes=row.result_bytes,
        expires_at=row.expires_at,
        progress_rows=row.row_count or 0,
        progress_bytes=row.bytes_moved or 0,
        favourite=row.favourite,
        shared=row.shared,
        warnings=tuple(row.warnings),
        fragments=tuple(_fragment(fragment) for fragment in row.fragments),
    )


def _fragment(row: FragmentRow) -> FragmentRun:
    return FragmentRun(
        row.number,
        row.source,
        row.kind,
        row.sql,
        row.road,
        row.status,
        row.rows,
        row.bytes,
        row.milliseconds,
        row.started_ms,
        row.cache,
        row.connection_id,
        row.connection_name,
        row.dataset_id,
        tuple(row.pushed),
        row.error,
    )
