"""Dataset groups: datasets under aliases, which are the table names of a query over the group."""

from __future__ import annotations

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import (
    Group,
    MemberPreview,
    MemberSchema,
    Membership,
    Page,
    Relationship,
)


class Groups:
    """Groups. The rights on a group are those on its datasets; its owner alone changes it."""

    def create(self, actor: Actor, name: str, *, description: str | None = None) -> Group:
        """Raises ``name-taken`` (ignoring case, per owner), ``validation``."""
        raise NotImplementedError

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[Group]:
        """Own groups and those all of whose members the actor may view."""
        raise NotImplementedError

    def get(self, actor: Actor, group_id: str) -> Group:
        """One group with its members, by ``display_order``, then time added."""
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, actor: Actor, group_id: str) -> None:
        """The datasets stay."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def remove(
        self, actor: Actor, group_id: str, dataset_id: str, *, alias: str | None = None
    ) -> None:
        """Raises ``not-found`` "Dataset not in group"; ``ambiguous-member`` (``aliases``)."""
        raise NotImplementedError

    def schemas(self, actor: Actor, group_id: str) -> tuple[MemberSchema, ...]:
        """Every member's columns; one that cannot be read has ``error`` instead."""
        raise NotImplementedError

    def preview(
        self, actor: Actor, group_id: str, *, limit: int = 100
    ) -> tuple[MemberPreview, ...]:
        """Every member's first rows; one that cannot be read has ``error`` instead."""
        raise NotImplementedError

    # -- relationships --------------------------------------------------------------------------

    def relationships(self, actor: Actor, group_id: str) -> tuple[Relationship, ...]:
        """The known joins, oldest first."""
        raise NotImplementedError

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
        raise NotImplementedError

    def remove_relationship(self, actor: Actor, group_id: str, relationship_id: str) -> None:
        """Forget one."""
        raise NotImplementedError
