"""What right an actor has on a dataset or a connection: one rule, used by everything.

An admin has ``manage`` on all; an owner on his own; anyone else the most of what was granted to
him, or to a team he is in, and has not expired. Nothing derives from a group: its datasets' rights
are its rights.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dovetail.workspace.access import RIGHTS, Actor, Right, covers
from dovetail.workspace.models import DatasetRow, GrantRow, TeamMemberRow, now
from dovetail.workspace.problems import WorkspaceError, not_found


def rights_on(
    session: Session, actor: Actor, object_kind: str, owners: dict[str, str | None]
) -> dict[str, str | None]:
    """The actor's right on each object; ``owners`` maps object id → owner's id."""
    if actor.is_admin:
        return dict.fromkeys(owners, "manage")
    result: dict[str, str | None] = {
        key: "manage" if owner == actor.user_id else None for key, owner in owners.items()
    }
    foreign = [key for key, right in result.items() if right is None]
    if foreign:
        found = session.execute(
            select(GrantRow.object_id, GrantRow.right).where(
                GrantRow.object_kind == object_kind,
                _is_for(actor),
                GrantRow.object_id.in_(foreign),
                _alive(),
            )
        )
        for key, right in found:
            has = result[key]
            if has is None or RIGHTS.index(right) > RIGHTS.index(has):
                result[key] = right
    return result


def right_on_dataset(session: Session, actor: Actor, row: DatasetRow) -> str | None:
    """The actor's right on one dataset."""
    return rights_on(session, actor, "dataset", {row.id: row.owner_id})[row.id]


def visible(
    actor: Actor,
    object_kind: str,
    key: InstrumentedAttribute[str],
    owner: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
) -> ColumnElement[bool] | None:
    """A condition that keeps what the actor may view; None when that is everything."""
    if actor.is_admin:
        return None
    granted = select(GrantRow.object_id).where(
        GrantRow.object_kind == object_kind, _is_for(actor), _alive()
    )
    return or_(owner == actor.user_id, key.in_(granted))


def require(right: str | None, needed: Right, what: str) -> str:
    """The right, if it covers ``needed``.

    Raises:
        WorkspaceError: ``not-found`` without any right, ``forbidden`` naming what is missing.
    """
    if right is None:
        raise not_found(what)
    if not covers(right, needed):
        raise WorkspaceError(
            "forbidden",
            f"you have the right to {right} this {what}, and this needs the right to {needed} it",
            missing=f"right {needed}",
        )
    return right


def visible_dataset(
    session: Session,
    actor: Actor,
    dataset_id: str,
    needed: Right = "view",
    *,
    deleted: bool = False,
) -> tuple[DatasetRow, str]:
    """A dataset's row and the actor's right on it.

    ``deleted`` asks for a deleted one; otherwise those are not found.

    Raises:
        WorkspaceError: ``not-found``, ``forbidden``.
    """
    row = session.get(DatasetRow, dataset_id)
    if row is None or (row.deleted_at is not None) != deleted:
        raise not_found("dataset", title="Dataset not found")
    right = right_on_dataset(session, actor, row)
    if right is None:
        raise not_found("dataset", title="Dataset not found")
    return row, require(right, needed, "dataset")


def forget_grants(session: Session, object_kind: str, object_id: str) -> None:
    """Remove the grants of an object that is gone."""
    for grant in session.scalars(
        select(GrantRow).where(GrantRow.object_kind == object_kind, GrantRow.object_id == object_id)
    ):
        session.delete(grant)


def _is_for(actor: Actor) -> ColumnElement[bool]:
    teams = select(TeamMemberRow.team_id).where(TeamMemberRow.user_id == actor.user_id)
    return or_(GrantRow.user_id == actor.user_id, GrantRow.team_id.in_(teams))


def _alive() -> ColumnElement[bool]:
    return or_(GrantRow.expires_at.is_(None), GrantRow.expires_at > now())
