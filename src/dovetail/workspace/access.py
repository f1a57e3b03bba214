"""Who asks, and what roles, scopes and rights allow.

An *actor* is a user as authenticated for one request. A role says what kinds of thing someone may
do at all; a right on an object (view < query < manage) what he may do with that one; the scopes of
his token can only narrow both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dovetail.workspace.problems import WorkspaceError

Role = Literal["viewer", "analyst", "editor", "admin"]
Right = Literal["view", "query", "manage"]
Scope = Literal["read", "query", "write", "admin"]

ROLES: tuple[Role, ...] = ("viewer", "analyst", "editor", "admin")
RIGHTS: tuple[Right, ...] = ("view", "query", "manage")
SCOPES: tuple[Scope, ...] = ("read", "query", "write", "admin")

# What an action needs: the least role, and the scope of the token.
ACTIONS: dict[str, tuple[Role, Scope]] = {
    "read": ("viewer", "read"),
    "run saved query": ("viewer", "query"),
    "query": ("analyst", "query"),
    "upload": ("analyst", "write"),
    "save": ("analyst", "write"),
    "edit groups": ("analyst", "write"),
    "edit datasets": ("analyst", "write"),
    "edit connections": ("editor", "write"),
    "grant": ("analyst", "write"),
    "manage tokens": ("viewer", "write"),
    "administer": ("admin", "admin"),
}


@dataclass(frozen=True)
class Actor:
    """Who asks. ``token_id``, ``address`` and ``request_id`` go into the audit log."""

    user_id: str
    name: str
    role: Role
    scopes: frozenset[str] = field(default_factory=lambda: frozenset(SCOPES))
    token_id: str | None = None
    address: str | None = None
    request_id: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether everything is open to him: role and token both say admin."""
        return self.role == "admin" and "admin" in self.scopes

    def may(self, action: str) -> bool:
        """Whether role and token allow an action of :data:`ACTIONS`."""
        role, scope = ACTIONS[action]
        return ROLES.index(self.role) >= ROLES.index(role) and scope in self.scopes

    def require(self, action: str) -> None:
        """Raises :class:`WorkspaceError` ``forbidden`` that names what is missing."""
        role, scope = ACTIONS[action]
        if ROLES.index(self.role) < ROLES.index(role):
            raise WorkspaceError(
                "forbidden",
                f"{action}: your role is {self.role}, this needs {role} or more",
                missing=f"role {role}",
            )
        if scope not in self.scopes:
            raise WorkspaceError(
                "forbidden",
                f"{action}: this token lacks the scope {scope}",
                missing=f"scope {scope}",
            )

    def during(self, *, address: str | None, request_id: str | None) -> Actor:
        """The same actor in one request."""
        return replace(self, address=address, request_id=request_id)


def covers(has: str | None, needed: Right) -> bool:
    """Whether the right ``has`` (None: no right) includes ``needed``."""
    return has is not None and RIGHTS.index(has) >= RIGHTS.index(needed)
