"""Rights on datasets and connections, given to users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from dovetail.workspace.access import Actor, Right
from dovetail.workspace.shapes import Grant

ObjectKind = Literal["dataset", "connection"]


class Grants:
    """Who may do what with whose dataset or connection. Managing needs ``manage`` on the object."""

    def list(self, actor: Actor, object_kind: ObjectKind, object_id: str) -> tuple[Grant, ...]:
        """The grants of one object, oldest first."""
        raise NotImplementedError

    def grant(
        self,
        actor: Actor,
        object_kind: ObjectKind,
        object_id: str,
        *,
        user: str,
        right: Right,
        expires_at: datetime | None = None,
    ) -> Grant:
        """Give ``user`` (id or name) a right; an earlier grant to him on the object is replaced."""
        raise NotImplementedError

    def revoke(self, actor: Actor, object_kind: ObjectKind, object_id: str, grant_id: str) -> None:
        """Take a grant back; effective at once, for stored results too."""
        raise NotImplementedError
