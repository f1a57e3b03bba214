"""Dataset groups: datasets under aliases, which are the table names of a query over the group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import and_, not_, or_, select
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.orm import selectinload

from dovetail.errors import DovetailError
from dovetail.workspace.access import Actor
from dovetail.workspace.aliases import alias_of, require_alias
from dovetail.workspace.audit import record
from dovetail.workspace.connections import require_match
from dovetail.workspace.datasets import Datasets, show_dataset
from dovetail.workspace.models import DatasetRow, GroupRow, MemberRow, RelationshipRow, now
from dovetail.workspace.named import checked_name, require_free
from dovetail.workspace.paging import contains, page, require_limit
from dovetail.workspace.problems import WorkspaceError, invalid, not_found, problem_of
from dovetail.workspace.rights import rights_on, visible, visible_dataset
from dovetail.workspace.shapes import (
    Group,
    MemberPreview,
    MemberSchema,
    Membership,
    Page,
    Problem,
    Relationship,
    Rows,
    SchemaColumn,
)
from dovetail.workspace.store import Store
from dovetail.workspace.views import visible_group

S = TypeVar("S")
V = TypeVar("V")

_JOIN_TYPES = ("inner", "left", "right", "full")
_MOST_PREVIEWED = 1_000


class Groups:
    """Groups. The rights on a group are those on its datasets; its owner alone changes it."""

    def __init__(self, store: Store, datasets: Datasets) -> None:
        self._store = store
        self._datasets = datasets

    def create(self, actor: Actor, name: str, *, description: str | None = None) -> Group:
        """Raises ``name-taken`` (ignoring case, per owner), ``validation``."""
        actor.require("edit groups")
        name = checked_name(name)
        _check_description(description)
        with self._store.write() as session:
            _require_free(session, actor.user_id, name)
            row = GroupRow(
                name=name,
                name_key=name.lower(),
                description=description or None,
                owner_id=actor.user_id,
                members=[],
            )
            session.add(row)
            session.flush()
            record(session, actor, "create group", "group", row.id)
            return _show(session, actor, row)

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[Group]:
        """Own groups and those all of whose members the actor may view, newest first."""
        actor.require("read")
        statement = select(GroupRow).options(
            selectinload(GroupRow.members).joinedload(MemberRow.dataset)
        )
        if q:
            statement = statement.where(contains(GroupRow.name, q))
        seen = visible(actor, "dataset", DatasetRow.id, DatasetRow.owner_id)
        if seen is not None:
            live = (
                select(MemberRow.id)
                .join(DatasetRow)
                .where(MemberRow.group_id == GroupRow.id, DatasetRow.deleted_at.is_(None))
            )
            sees_all = and_(live.exists(), not_(live.where(not_(seen)).exists()))
            statement = statement.where(or_(GroupRow.owner_id == actor.user_id, sees_all))
        with self._store.read() as session:
            found = page(
                session,
                statement,
                GroupRow.created_at,
                GroupRow.id,
                lambda row: row,
                limit=limit,
                cursor=cursor,
            )
            return Page(_show_all(session, actor, found.items), found.next_cursor, found.total)

    def get(self, actor: Actor, group_id: str) -> Group:
        """One group with its members, by ``display_order``, then time added."""
        actor.require("read")
        with self._store.read() as session:
            return _show(session, actor, visible_group(session, actor, group_id))

    def update(
        self,
        actor: Actor,
        group_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        if_match: str | None = None,
    ) -> Group:
        """An empty ``description`` removes it."""
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            require_match(if_match, str(row.revision))
            if name is not None:
                name = checked_name(name)
                _require_free(session, row.owner_id, name, but=row.id)
                row.name, row.name_key = name, name.lower()
            if description is not None:
                _check_description(description)
                row.description = description or None
            _changed(row)
            record(session, actor, "change group", "group", row.id)
            return _show(session, actor, row)

    def delete(self, actor: Actor, group_id: str) -> None:
        """The datasets stay."""
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            record(session, actor, "delete group", "group", row.id)
            session.delete(row)

    # -- members --------------------------------------------------------------------------------

    def add(
        self,
        actor: Actor,
        group_id: str,
        dataset_id: str,
        *,
        alias: str | None = None,
        display_order: int = 0,
        allow_repeat: bool = False,
    ) -> Membership:
        """Needs ``view`` on the dataset. Without ``alias`` one is made from its name.

        Raises:
            WorkspaceError: ``alias-taken`` (``aliases``), ``alias-invalid`` and
                ``alias-reserved`` (``suggestion``), ``already-member``, ``validation`` (50).
        """
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            dataset, right = visible_dataset(session, actor, dataset_id)
            most = self._store.limits.group_members
            if len(row.members) >= most:
                raise invalid("dataset_id", f"a group has {most} members at most")
            taken = [member.alias for member in row.members]
            same = [member.alias for member in row.members if member.dataset_id == dataset_id]
            if same and not allow_repeat:
                raise WorkspaceError(
                    "already-member",
                    f'{dataset.name} is in the group as {", ".join(same)}; "allow_repeat": true '
                    "adds it again under another alias",
                    aliases=same,
                )
            if alias is None:
                alias = alias_of(dataset.default_alias, taken)
            else:
                require_alias(alias)
                _require_alias_free(alias, taken)
            member = MemberRow(
                dataset_id=dataset_id,
                alias=alias,
                alias_key=alias.lower(),
                display_order=display_order,
                created_at=now(),
            )
            row.members.append(member)
            _changed(row)
            session.flush()
            record(session, actor, f"add member {alias}", "group", row.id)
            member.dataset = dataset
            return _membership(member, right)

    def update_member(
        self,
        actor: Actor,
        group_id: str,
        dataset_id: str,
        *,
        alias: str | None = None,
        display_order: int | None = None,
        current_alias: str | None = None,
    ) -> Membership:
        """``current_alias`` says which member is meant when the dataset is in twice."""
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            member = _member(row, dataset_id, current_alias)
            if alias is not None and alias != member.alias:
                require_alias(alias)
                _require_alias_free(alias, [m.alias for m in row.members if m is not member])
                for relation in session.scalars(
                    select(RelationshipRow).where(RelationshipRow.group_id == row.id)
                ):
                    if relation.from_alias == member.alias:
                        relation.from_alias = alias
                    if relation.to_alias == member.alias:
                        relation.to_alias = alias
                member.alias, member.alias_key = alias, alias.lower()
            if display_order is not None:
                member.display_order = display_order
            _changed(row)
            record(session, actor, f"change member {member.alias}", "group", row.id)
            owners: dict[str, str | None] = {member.dataset_id: member.dataset.owner_id}
            return _membership(
                member, rights_on(session, actor, "dataset", owners)[member.dataset_id]
            )

    def remove(
        self, actor: Actor, group_id: str, dataset_id: str, *, alias: str | None = None
    ) -> None:
        """Raises ``not-found`` "Dataset not in group"; ``ambiguous-member`` (``aliases``)."""
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            member = _member(row, dataset_id, alias)
            for relation in session.scalars(
                select(RelationshipRow).where(RelationshipRow.group_id == row.id)
            ):
                if member.alias in (relation.from_alias, relation.to_alias):
                    session.delete(relation)
            row.members.remove(member)
            _changed(row)
            record(session, actor, f"remove member {member.alias}", "group", row.id)

    def schemas(self, actor: Actor, group_id: str) -> tuple[MemberSchema, ...]:
        """Every member's columns; one that cannot be read has ``error`` instead."""
        actor.require("read")
        none: tuple[SchemaColumn, ...] = ()

        def columns_of(row: DatasetRow) -> tuple[SchemaColumn, ...]:
            return self._datasets.schema_of(row).columns

        return self._read_each(actor, group_id, MemberSchema, columns_of, none)

    def preview(
        self, actor: Actor, group_id: str, *, limit: int = 100
    ) -> tuple[MemberPreview, ...]:
        """Every member's first rows; one that cannot be read has ``error`` instead."""
        actor.require("read")
        require_limit(limit, _MOST_PREVIEWED)

        def rows_of(row: DatasetRow) -> Rows | None:
            return self._datasets.preview(actor, row.id, limit=limit)

        return self._read_each(actor, group_id, MemberPreview, rows_of, None)

    def _read_each(
        self,
        actor: Actor,
        group_id: str,
        made: Callable[[str, str | None, str, str, int | None, V, Problem | None], S],
        read: Callable[[DatasetRow], V],
        nothing: V,
    ) -> tuple[S, ...]:
        """What ``made`` makes of each member and what is ``read`` of it, or ``nothing`` and why."""
        result = []
        for member, seen in self._members(actor, group_id):
            dataset = member.dataset
            found, error = nothing, None
            try:
                _require_seen(member, seen)
                found = read(dataset)
            except DovetailError as failure:
                error = problem_of(failure)
            result.append(
                made(
                    member.dataset_id,
                    dataset.name if seen else None,
                    member.alias,
                    _status(member),
                    dataset.row_count if seen else None,
                    found,
                    error,
                )
            )
        return tuple(result)

    def _members(self, actor: Actor, group_id: str) -> Sequence[tuple[MemberRow, bool]]:
        """The members in order, each with whether the actor may see it."""
        with self._store.read() as session:
            row = visible_group(session, actor, group_id)
            owners: dict[str, str | None] = {m.dataset_id: m.dataset.owner_id for m in row.members}
            rights = rights_on(session, actor, "dataset", owners)
            return [(member, rights[member.dataset_id] is not None) for member in row.members]

    # -- relationships --------------------------------------------------------------------------

    def relationships(self, actor: Actor, group_id: str) -> tuple[Relationship, ...]:
        """The known joins, oldest first."""
        actor.require("read")
        with self._store.read() as session:
            row = visible_group(session, actor, group_id)
            found = session.scalars(
                select(RelationshipRow)
                .where(RelationshipRow.group_id == row.id)
                .order_by(RelationshipRow.created_at, RelationshipRow.id)
            )
            return tuple(_relationship(one) for one in found)

    def add_relationship(
        self,
        actor: Actor,
        group_id: str,
        *,
        from_alias: str,
        from_column: str,
        to_alias: str,
        to_column: str,
        join_type: str = "inner",
        source: str = "user",
    ) -> Relationship:
        """Aliases and columns must exist (``validation`` with ``valid``)."""
        if join_type not in _JOIN_TYPES:
            raise invalid("join_type", "must be one of these", valid=list(_JOIN_TYPES))
        if source not in ("user", "suggested"):
            raise invalid("source", "must be one of these", valid=["user", "suggested"])
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            aliases = {member.alias: member.dataset for member in row.members}
            for end, alias, column in (
                ("from", from_alias, from_column),
                ("to", to_alias, to_column),
            ):
                if alias not in aliases:
                    raise invalid(f"{end}_alias", "is not in the group", valid=list(aliases))
                columns = [entry["name"] for entry in aliases[alias].columns]
                if column not in columns:
                    raise invalid(f"{end}_column", f"{alias} has no such column", valid=columns)
            relation = RelationshipRow(
                group_id=row.id,
                from_alias=from_alias,
                from_column=from_column,
                to_alias=to_alias,
                to_column=to_column,
                join_type=join_type,
                source=source,
            )
            session.add(relation)
            session.flush()
            record(session, actor, "add relationship", "group", row.id)
            return _relationship(relation)

    def remove_relationship(self, actor: Actor, group_id: str, relationship_id: str) -> None:
        """Forget one."""
        with self._store.write() as session:
            row = _own_group(session, actor, group_id)
            relation = session.get(RelationshipRow, relationship_id)
            if relation is None or relation.group_id != row.id:
                raise not_found("relationship")
            record(session, actor, "remove relationship", "group", row.id)
            session.delete(relation)


def _own_group(session: Transaction, actor: Actor, group_id: str) -> GroupRow:
    """A group that the actor may change.

    Raises:
        WorkspaceError: ``not-found``, ``forbidden``.
    """
    row = visible_group(session, actor, group_id)
    actor.require("edit groups")
    if row.owner_id != actor.user_id and not actor.is_admin:
        raise WorkspaceError(
            "forbidden", "only the owner of a group may change it", missing="ownership"
        )
    return row


def _changed(row: GroupRow) -> None:
    row.updated_at = now()
    row.revision += 1


def _check_description(description: str | None) -> None:
    if description is not None and len(description) > 1_000:
        raise invalid("description", "must be 1,000 characters at most")


def _require_free(session: Transaction, owner_id: str, name: str, but: str = "") -> None:
    require_free(session, GroupRow, "group", name, GroupRow.owner_id == owner_id, but=but)


def _require_alias_free(alias: str, taken: list[str]) -> None:
    if alias.lower() in (other.lower() for other in taken):
        raise WorkspaceError(
            "alias-taken",
            f"{alias} is taken in this group; its aliases are {', '.join(taken)}",
            aliases=taken,
            suggestion=alias_of(alias, taken),
        )


def _member(row: GroupRow, dataset_id: str, alias: str | None) -> MemberRow:
    found = [member for member in row.members if member.dataset_id == dataset_id]
    if alias is not None:
        found = [member for member in found if member.alias_key == alias.lower()]
    if not found:
        raise not_found("member of the group", title="Dataset not in group")
    if len(found) > 1:
        aliases = [member.alias for member in found]
        raise WorkspaceError(
            "ambiguous-member",
            f"the dataset is in the group as {' and '.join(aliases)}; say which alias",
            aliases=aliases,
        )
    return found[0]


def _require_seen(member: MemberRow, seen: bool) -> None:
    if not seen:
        raise WorkspaceError(
            "forbidden", f"you may not view the dataset behind {member.alias}", missing="right view"
        )
    if member.dataset.deleted_at is not None:
        from dovetail.workspace.views import not_ready

        raise not_ready(member.alias, "DELETED")


def _status(member: MemberRow) -> str:
    return "DELETED" if member.dataset.deleted_at is not None else member.dataset.status


def _show(session: Transaction, actor: Actor, row: GroupRow) -> Group:
    return _show_all(session, actor, (row,))[0]


def _show_all(session: Transaction, actor: Actor, rows: Sequence[GroupRow]) -> tuple[Group, ...]:
    """Groups as the workspace hands them out; the rights on all their members are one look."""
    owners: dict[str, str | None] = {
        member.dataset_id: member.dataset.owner_id for row in rows for member in row.members
    }
    rights = rights_on(session, actor, "dataset", owners)
    return tuple(_group(row, rights) for row in rows)


def _group(row: GroupRow, rights: dict[str, str | None]) -> Group:
    members = sorted(row.members, key=lambda m: (m.display_order, m.created_at, m.id))
    return Group(
        row.id,
        row.name,
        row.description,
        row.owner_id,
        row.created_at,
        row.updated_at,
        sum(m.dataset.deleted_at is None for m in members),
        tuple(_membership(m, rights[m.dataset_id]) for m in members),
        str(row.revision),
    )


def _membership(member: MemberRow, right: str | None) -> Membership:
    return Membership(
        member.id,
        member.dataset_id,
        member.alias,
        member.display_order,
        right is not None,
        member.created_at,
        show_dataset(member.dataset, right) if right is not None else None,
    )


def _relationship(row: RelationshipRow) -> Relationship:
    return Relationship(
        row.id,
        row.from_alias,
        row.from_column,
        row.to_alias,
        row.to_column,
        row.join_type,
        row.source,
    )
