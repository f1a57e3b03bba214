"""The audit log: append-only, one line per act that matters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dovetail.secrets import redact
from dovetail.workspace.access import Actor
from dovetail.workspace.models import AuditRow
from dovetail.workspace.paging import page
from dovetail.workspace.shapes import AuditEntry, Page
from dovetail.workspace.store import Store

_EXPORT_ROWS = 1_000


def record(
    session: Session,
    actor: Actor | None,
    action: str,
    object_kind: str | None = None,
    object_id: str | None = None,
    *,
    outcome: str = "ok",
    sql: str | None = None,
    address: str | None = None,
    request_id: str | None = None,
) -> None:
    """Add a line in the transaction of the act itself: neither is there without the other."""
    session.add(
        AuditRow(
            user_id=actor.user_id if actor else None,
            user_name=actor.name if actor else None,
            token_id=actor.token_id if actor else None,
            address=address or (actor.address if actor else None),
            request_id=request_id or (actor.request_id if actor else None),
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            outcome=outcome,
            sql=None if sql is None else redact(sql),
        )
    )


class Audit:
    """Who did what. The workspace's own calls write it; interfaces add downloads and refusals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(
        self,
        actor: Actor | None,
        action: str,
        *,
        object_kind: str | None = None,
        object_id: str | None = None,
        outcome: str = "ok",
        sql: str | None = None,
        address: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Add a line; secrets are taken out of ``sql``."""
        with self._store.write() as session:
            record(
                session,
                actor,
                action,
                object_kind,
                object_id,
                outcome=outcome,
                sql=sql,
                address=address,
                request_id=request_id,
            )

    def list(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        user: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[AuditEntry]:
        """Newest first; admins only."""
        actor.require("administer")
        statement = select(AuditRow)
        if user is not None:
            statement = statement.where((AuditRow.user_id == user) | (AuditRow.user_name == user))
        if action is not None:
            statement = statement.where(AuditRow.action == action)
        if since is not None:
            statement = statement.where(AuditRow.at >= since)
        if until is not None:
            statement = statement.where(AuditRow.at < until)
        with self._store.read() as session:
            return page(
                session, statement, AuditRow.at, AuditRow.id, _entry, limit=limit, cursor=cursor
            )

    def export(self, actor: Actor) -> Iterator[AuditEntry]:
        """Everything, oldest first, streaming; admins only."""
        actor.require("administer")
        return self._all()

    def _all(self) -> Iterator[AuditEntry]:
        last = 0
        while True:
            with self._store.read() as session:
                rows = session.scalars(
                    select(AuditRow)
                    .where(AuditRow.id > last)
                    .order_by(AuditRow.id)
                    .limit(_EXPORT_ROWS)
                ).all()
            if not rows:
                return
            yield from map(_entry, rows)
            last = rows[-1].id


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.id,
        row.at,
        row.user_id,
        row.user_name,
        row.token_id,
        row.address,
        row.request_id,
        row.action,
        row.object_kind,
        row.object_id,
        row.outcome,
        row.sql,
    )
