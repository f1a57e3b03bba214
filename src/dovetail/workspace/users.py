"""Users, passwords, API tokens, and who a token stands for."""

from __future__ import annotations

from collections.abc import Collection

from dovetail.workspace.access import Actor, Role
from dovetail.workspace.shapes import NewToken, Page, Token, User


class Users:
    """Who may use the workspace."""

    # -- local mode -----------------------------------------------------------------------------

    def local_actor(self) -> Actor:
        """The one user of local mode, an admin; made on first use."""
        raise NotImplementedError

    def local_token(self) -> str:
        """The token of local mode: 256 bits in ``<folder>/token``, mode 0600; made on first use."""
        raise NotImplementedError

    # -- who asks -------------------------------------------------------------------------------

    def authenticate(
        self, secret: str, *, address: str | None = None, request_id: str | None = None
    ) -> Actor:
        """The actor an API token, login session or the local token stands for.

        Raises:
            WorkspaceError: ``unauthenticated``.
        """
        raise NotImplementedError

    def login(
        self,
        name: str,
        password: str,
        *,
        address: str | None = None,
        request_id: str | None = None,
    ) -> NewToken:
        """A login session (12 h idle, 7 days at most) as a token. Audited either way.

        Raises:
            WorkspaceError: ``unauthenticated``; ``too-many-requests`` (``retry_after``) after ten
                attempts a minute from one address.
        """
        raise NotImplementedError

    def logout(self, actor: Actor) -> None:
        """Revoke the token the actor came with."""
        raise NotImplementedError

    # -- users ----------------------------------------------------------------------------------

    def create_admin(self, name: str, password: str) -> User:
        """For the command line: whoever may write to the store may make its first admin."""
        raise NotImplementedError

    def create(self, actor: Actor, name: str, *, role: Role, password: str | None = None) -> User:
        """Raises ``forbidden``, ``name-taken``, ``validation`` (passwords: 12–256 characters)."""
        raise NotImplementedError

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[User]:
        """All users; admins only."""
        raise NotImplementedError

    def get(self, actor: Actor, user_id: str) -> User:
        """One user: oneself, or anyone for admins."""
        raise NotImplementedError

    def update(
        self,
        actor: Actor,
        user_id: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> User:
        """Admins change anyone (the last admin stays one); others only their own password."""
        raise NotImplementedError

    def delete(self, actor: Actor, user_id: str) -> None:
        """Admins only; his objects then belong to the admin who did it."""
        raise NotImplementedError

    # -- tokens ---------------------------------------------------------------------------------

    def create_token(
        self,
        actor: Actor,
        name: str,
        *,
        scopes: Collection[str] = ("read", "query"),
        days: int | None = 90,
    ) -> NewToken:
        """An API token of the actor's own; it never exceeds his role or his token's scopes."""
        raise NotImplementedError

    def tokens(self, actor: Actor, *, user_id: str | None = None) -> tuple[Token, ...]:
        """One's own tokens, newest first; another user's for admins."""
        raise NotImplementedError

    def revoke_token(self, actor: Actor, token_id: str) -> None:
        """Revoke one's own token, or anyone's as admin."""
        raise NotImplementedError
