"""Teams: named sets of users, to whom a right can be granted at once."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dovetail.workspace.access import Actor
from dovetail.workspace.audit import record
from dovetail.workspace.models import TeamMemberRow, TeamRow
from dovetail.workspace.named import checked_name, find_named, require_free
from dovetail.workspace.paging import contains, page
from dovetail.workspace.problems import not_found
from dovetail.workspace.shapes import Page, Team, TeamMember
from dovetail.workspace.store import Store
from dovetail.workspace.users import user_named


class Teams:
    """Admins make and change teams; their members may see them.

    Whoever joins a team has what is granted to it from then on, whoever leaves it has it no more.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, actor: Actor, name: str) -> Team:
        """Raises ``forbidden``, ``name-taken`` (ignoring case), ``validation``."""
        actor.require("administer")
        name = checked_name(name)
        with self._store.write() as session:
            require_free(session, TeamRow, "team", name)
            row = TeamRow(name=name, name_key=name.lower(), members=[])
            session.add(row)
            session.flush()
            record(session, actor, "create team", "team", row.id)
            return _show(row)

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[Team]:
        """All teams for admins, one's own for others; newest first."""
        actor.require("read")
        statement = select(TeamRow).options(_WITH_MEMBERS)
        if not actor.is_admin:
            mine = select(TeamMemberRow.team_id).where(TeamMemberRow.user_id == actor.user_id)
            statement = statement.where(TeamRow.id.in_(mine))
        if q:
            statement = statement.where(contains(TeamRow.name, q))
        with self._store.read() as session:
            return page(
                session,
                statement,
                TeamRow.created_at,
                TeamRow.id,
                _show,
                limit=limit,
                cursor=cursor,
            )

    def get(self, actor: Actor, team_id: str) -> Team:
        """One team, for its members and admins; for others there is none."""
        actor.require("read")
        with self._store.read() as session:
            return _show(_visible(session, actor, team_id))

    def update(self, actor: Actor, team_id: str, *, name: str) -> Team:
        """Raises as :meth:`create`."""
        with self._store.write() as session:
            row = _changeable(session, actor, team_id)
            name = checked_name(name)
            require_free(session, TeamRow, "team", name, but=row.id)
            row.name, row.name_key = name, name.lower()
            record(session, actor, "change team", "team", row.id)
            return _show(row)

    def delete(self, actor: Actor, team_id: str) -> None:
        """With everything that was granted to it."""
        with self._store.write() as session:
            row = _changeable(session, actor, team_id)
            record(session, actor, "delete team", "team", row.id)
            session.delete(row)

    def add_member(self, actor: Actor, team_id: str, user: str) -> Team:
        """Put a user (id or name) into a team; one who is in it stays."""
        with self._store.write() as session:
            row = _changeable(session, actor, team_id)
            joining = user_named(session, user)
            if joining.id not in (member.user_id for member in row.members):
                row.members.append(TeamMemberRow(user=joining))
                session.flush()
                record(session, actor, f"add {joining.name[:30]} to team", "team", row.id)
            return _show(row)

    def remove_member(self, actor: Actor, team_id: str, user: str) -> None:
        """Raises ``not-found`` for who is no member."""
        with self._store.write() as session:
            row = _changeable(session, actor, team_id)
            leaving = user_named(session, user)
            member = next((one for one in row.members if one.user_id == leaving.id), None)
            if member is None:
                raise not_found("member of the team")
            row.members.remove(member)
            record(session, actor, f"remove {leaving.name[:30]} from team", "team", row.id)


_WITH_MEMBERS = selectinload(TeamRow.members).joinedload(TeamMemberRow.user)


def team_named(session: Session, name_or_id: str) -> TeamRow:
    """A team by id or name; raises ``not-found``."""
    found = find_named(session, TeamRow, name_or_id)
    if found is None:
        raise not_found("team")
    return found


def _visible(session: Session, actor: Actor, team_id: str) -> TeamRow:
    row = session.get(TeamRow, team_id, options=[_WITH_MEMBERS])
    seen = row is not None and (
        actor.is_admin or actor.user_id in (member.user_id for member in row.members)
    )
    if row is None or not seen:
        raise not_found("team")
    return row


def _changeable(session: Session, actor: Actor, team_id: str) -> TeamRow:
    """Raises ``not-found`` to whom the team is hidden, ``forbidden`` to a mere member."""
    row = _visible(session, actor, team_id)
    actor.require("administer")
    return row


def _show(row: TeamRow) -> Team:
    members = sorted(row.members, key=lambda member: member.user.name_key)
    return Team(
        row.id,
        row.name,
        tuple(TeamMember(member.user_id, member.user.name) for member in members),
        row.created_at,
    )
