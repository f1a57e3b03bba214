"""Rights on datasets and connections, given to users and teams."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from dovetail.workspace.access import RIGHTS, Actor, Right
from dovetail.workspace.audit import record
from dovetail.workspace.models import GrantRow, now
from dovetail.workspace.problems import invalid, not_found
from dovetail.workspace.rights import visible_dataset
from dovetail.workspace.shapes import Grant
from dovetail.workspace.store import Store
from dovetail.workspace.teams import team_named
from dovetail.workspace.users import user_named

if TYPE_CHECKING:
    from dovetail.workspace.connections import Connections

ObjectKind = Literal["dataset", "connection"]


class Grants:
    """Who may do what with whose dataset or connection. Managing needs ``manage`` on the object."""

    def __init__(self, store: Store, connections: Connections) -> None:
        self._store = store
        self._connections = connections

    def list(self, actor: Actor, object_kind: ObjectKind, object_id: str) -> tuple[Grant, ...]:
        """The grants of one object, oldest first."""
        with self._store.read() as session:
            object_id = self._managed(session, actor, object_kind, object_id)
            rows = session.scalars(
                select(GrantRow)
                .where(GrantRow.object_kind == object_kind, GrantRow.object_id == object_id)
                .order_by(GrantRow.created_at, GrantRow.id)
            )
            return tuple(_grant(row) for row in rows)

    def grant(
        self,
        actor: Actor,
        object_kind: ObjectKind,
        object_id: str,
        *,
        right: Right,
        user: str | None = None,
        team: str | None = None,
        expires_at: datetime | None = None,
    ) -> Grant:
        """Give ``user`` or ``team`` (id or name) a right.

        An earlier grant to the same one on the object is replaced.
        """
        actor.require("grant")
        if (user is None) == (team is None):
            raise invalid("user", "name a user or a team, one of them")
        if right not in RIGHTS:
            raise invalid("right", "must be one of these", valid=list(RIGHTS))
        if expires_at is not None and expires_at.tzinfo is None:
            raise invalid("expires_at", "must have a time zone, such as Z")
        if expires_at is not None and expires_at <= now():
            raise invalid("expires_at", "must be in the future")
        with self._store.write() as session:
            object_id = self._managed(session, actor, object_kind, object_id)
            new = GrantRow(object_kind=object_kind, object_id=object_id)
            if user is not None:
                new.user = user_named(session, user)
                name, same = new.user.name, GrantRow.user_id == new.user.id
            else:
                new.team = team_named(session, team or "")
                name, same = new.team.name, GrantRow.team_id == new.team.id
            row = session.scalar(
                select(GrantRow).where(
                    GrantRow.object_kind == object_kind, GrantRow.object_id == object_id, same
                )
            )
            if row is None:
                row = new
                session.add(row)
            row.right, row.expires_at = right, expires_at
            session.flush()
            record(session, actor, f"grant {right} to {name[:30]}", object_kind, object_id)
            return _grant(row)

    def revoke(self, actor: Actor, object_kind: ObjectKind, object_id: str, grant_id: str) -> None:
        """Take a grant back; effective at once, for stored results too."""
        actor.require("grant")
        with self._store.write() as session:
            object_id = self._managed(session, actor, object_kind, object_id)
            row = session.get(GrantRow, grant_id)
            if row is None or (row.object_kind, row.object_id) != (object_kind, object_id):
                raise not_found("grant")
            record(session, actor, "revoke grant", object_kind, object_id)
            session.delete(row)

    def _managed(self, session: Session, actor: Actor, object_kind: str, object_id: str) -> str:
        """The id of the object, on which the actor has ``manage``."""
        if object_kind == "dataset":
            return visible_dataset(session, actor, object_id, "manage")[0].id
        return self._connections.find(session, actor, object_id, "manage").id


def _grant(row: GrantRow) -> Grant:
    return Grant(
        row.id,
        row.object_kind,
        row.object_id,
        row.user_id,
        row.user.name if row.user is not None else None,
        row.team_id,
        row.team.name if row.team is not None else None,
        row.right,
        row.expires_at,
        row.created_at,
    )
