"""Users, passwords, API tokens, and who a token stands for."""

from __future__ import annotations

import hmac
import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dovetail.workspace.access import ROLES, SCOPES, Actor, Role
from dovetail.workspace.audit import record
from dovetail.workspace.models import (
    ConnectionRow,
    DatasetRow,
    GroupRow,
    SavedQueryRow,
    TokenRow,
    UserRow,
    now,
)
from dovetail.workspace.named import LONGEST_NAME, checked_name, find_named, require_free
from dovetail.workspace.paging import contains, page
from dovetail.workspace.problems import WorkspaceError, invalid, not_found
from dovetail.workspace.shapes import NewToken, Page, Token, User
from dovetail.workspace.store import Store
from dovetail.workspace.tokens import hash_of, kept_secret, new_secret

LOCAL_USER = "local"
_IDLE = timedelta(hours=12)
_SESSION = timedelta(days=7)
# When a token was last used is written down at most this often.
_USE_NOTED = timedelta(minutes=1)
_LOGINS_PER_MINUTE = 10
_PASSWORD = (12, 256)


class Users:
    """Who may use the workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._attempts: dict[str, deque[float]] = defaultdict(deque)
        self._local: Actor | None = None
        self._local_token: str | None = None

    # -- local mode -----------------------------------------------------------------------------

    def local_actor(self) -> Actor:
        """The one user of local mode, an admin; made on first use."""
        if self._local is None:
            with self._store.write() as session:
                row = session.scalar(select(UserRow).where(UserRow.name_key == LOCAL_USER))
                if row is None:
                    row = UserRow(name=LOCAL_USER, name_key=LOCAL_USER, role="admin")
                    session.add(row)
                    session.flush()
                self._local = Actor(row.id, row.name, "admin")
        return self._local

    def local_token(self) -> str:
        """The token of local mode: 256 bits in ``<folder>/token``, mode 0600; made on first use."""
        if self._local_token is None:
            self._local_token = kept_secret(self._store.folders.root / "token")
        return self._local_token

    def is_local(self, secret: str) -> bool:
        """Whether that is the token of local mode; nothing is read for it but once."""
        return hmac.compare_digest(secret.encode(), self.local_token().encode())

    # -- who asks -------------------------------------------------------------------------------

    def authenticate(
        self,
        secret: str,
        *,
        address: str | None = None,
        request_id: str | None = None,
    ) -> Actor:
        """The actor an API token or login session stands for.

        Raises:
            WorkspaceError: ``unauthenticated``.
        """
        moment = now()
        with self._store.read() as session:
            found = session.execute(
                select(TokenRow, UserRow)
                .join(UserRow, UserRow.id == TokenRow.user_id)
                .where(TokenRow.hash == hash_of(secret))
            ).one_or_none()
        if found is None or not _is_valid(found[0]) or found[1].disabled:
            raise WorkspaceError(
                "unauthenticated", "the token is unknown, expired or revoked; make a new one"
            )
        row, user = found
        if row.last_used_at is None or moment - row.last_used_at > _USE_NOTED:
            with self._store.write() as session:
                session.execute(
                    update(TokenRow).where(TokenRow.id == row.id).values(last_used_at=moment)
                )
        return Actor(
            user.id, user.name, _role(user), frozenset(row.scopes), row.id, address, request_id
        )

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
        self._count_attempt(address or "")
        with self._store.read() as session:
            row = session.scalar(select(UserRow).where(UserRow.name_key == name.lower()))
        # An unknown name costs the same time as a wrong password.
        good = _verify(row.password_hash if row else None, password)
        with self._store.write() as session:
            if row is None or not good or row.disabled:
                record(
                    session,
                    None,
                    "login",
                    "user",
                    name[:100],
                    outcome="refused",
                    address=address,
                    request_id=request_id,
                )
                user = None
            else:
                user = session.get(UserRow, row.id)
                assert user is not None
                user.last_login_at = now()
                actor = Actor(user.id, user.name, _role(user), address=address)
                made = _add_token(session, user.id, "login", "session", SCOPES, _SESSION)
                record(session, actor, "login", "user", user.id, request_id=request_id)
        if user is None:
            raise WorkspaceError("unauthenticated", "the name or the password is wrong")
        return made

    def logout(self, actor: Actor) -> None:
        """Revoke the token the actor came with."""
        if actor.token_id is not None:
            with self._store.write() as session:
                session.execute(
                    update(TokenRow).where(TokenRow.id == actor.token_id).values(revoked_at=now())
                )
                record(session, actor, "logout", "user", actor.user_id)

    def _count_attempt(self, address: str) -> None:
        moment = time.monotonic()
        with self._lock:
            recent = self._attempts[address]
            while recent and moment - recent[0] > 60:
                recent.popleft()
            if len(recent) >= _LOGINS_PER_MINUTE:
                raise WorkspaceError(
                    "too-many-requests",
                    f"more than {_LOGINS_PER_MINUTE} logins a minute from your address",
                    retry_after=max(1, round(60 - (moment - recent[0]))),
                )
            recent.append(moment)
            if len(self._attempts) > 10_000:
                self._attempts.clear()
                self._attempts[address].append(moment)

    # -- users ----------------------------------------------------------------------------------

    def create_admin(self, name: str, password: str) -> User:
        """For the command line: whoever may write to the store may make its first admin."""
        return self._create(None, name, "admin", password)

    def create(self, actor: Actor, name: str, *, role: Role, password: str | None = None) -> User:
        """Raises ``forbidden``, ``name-taken``, ``validation`` (passwords: 12–256 characters)."""
        actor.require("administer")
        return self._create(actor, name, role, password)

    def _create(self, actor: Actor | None, name: str, role: str, password: str | None) -> User:
        name = name.strip()
        if not 1 <= len(name) <= LONGEST_NAME or ":" in name:
            raise invalid("name", f"must be 1 to {LONGEST_NAME} characters without a colon")
        _require_role(role)
        hashed = None if password is None else _hash(password)
        with self._store.write() as session:
            require_free(session, UserRow, "user", name)
            row = UserRow(name=name, name_key=name.lower(), role=role, password_hash=hashed)
            session.add(row)
            session.flush()
            record(session, actor, "create user", "user", row.id)
            return _user(row)

    def list(
        self, actor: Actor, *, limit: int = 50, cursor: str | None = None, q: str | None = None
    ) -> Page[User]:
        """All users; admins only."""
        actor.require("administer")
        statement = select(UserRow)
        if q:
            statement = statement.where(contains(UserRow.name, q))
        with self._store.read() as session:
            return page(
                session,
                statement,
                UserRow.created_at,
                UserRow.id,
                _user,
                limit=limit,
                cursor=cursor,
            )

    def get(self, actor: Actor, user_id: str) -> User:
        """One user: oneself, or anyone for admins."""
        with self._store.read() as session:
            row = session.get(UserRow, user_id)
            if row is None or (row.id != actor.user_id and not actor.is_admin):
                raise not_found("user")
            return _user(row)

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
        if user_id != actor.user_id or role is not None or disabled is not None:
            actor.require("administer")
        else:
            actor.require("manage tokens")
        hashed = None if password is None else _hash(password)
        with self._store.write() as session:
            row = session.get(UserRow, user_id)
            if row is None:
                raise not_found("user")
            if row.role == "admin" and (disabled or role not in (None, "admin")):
                _require_another_admin(session, row)
            if role is not None:
                _require_role(role)
                row.role = role
            if disabled is not None:
                row.disabled = disabled
            if hashed is not None:
                row.password_hash = hashed
            if hashed is not None or disabled:
                # Whoever knew the old password must not stay in by an open session.
                session.execute(
                    update(TokenRow)
                    .where(TokenRow.user_id == user_id, TokenRow.kind == "session")
                    .where(TokenRow.id != (actor.token_id or ""))
                    .values(revoked_at=now())
                )
            row.revision += 1
            record(session, actor, "change user", "user", row.id)
            return _user(row)

    def delete(self, actor: Actor, user_id: str) -> None:
        """Admins only; his objects then belong to the admin who did it."""
        actor.require("administer")
        with self._store.write() as session:
            row = session.get(UserRow, user_id)
            if row is None:
                raise not_found("user")
            if row.role == "admin":
                _require_another_admin(session, row)
            for model in (DatasetRow, ConnectionRow, SavedQueryRow):
                session.execute(
                    update(model).where(model.owner_id == user_id).values(owner_id=actor.user_id)
                )
            for group in session.scalars(select(GroupRow).where(GroupRow.owner_id == user_id)):
                # Names are unique per owner; his may be the admin's as well.
                group.name = f"{group.name[:60]} ({row.name[:30]})"
                group.name_key = f"{group.name.lower()[:60]} {group.id[:8]}"
                group.owner_id = actor.user_id
            record(session, actor, "delete user", "user", row.id)
            session.flush()  # his objects are another's before he is gone
            session.delete(row)
        if self._local is not None and self._local.user_id == user_id:
            self._local = None

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
        actor.require("manage tokens")
        name = checked_name(name)
        unknown = set(scopes) - set(SCOPES)
        if unknown or not scopes:
            raise invalid("scopes", "must be some of these", valid=list(SCOPES))
        beyond = sorted(set(scopes) - actor.scopes)
        if beyond:
            raise WorkspaceError(
                "forbidden",
                f"your own token lacks the scope {', '.join(beyond)}",
                missing=f"scope {beyond[0]}",
            )
        if days is not None and not 1 <= days <= 3_650:
            raise invalid("days", "must be 1 to 3,650, or null for no end")
        life = None if days is None else timedelta(days=days)
        with self._store.write() as session:
            ordered = [scope for scope in SCOPES if scope in scopes]
            made = _add_token(session, actor.user_id, name, "api", ordered, life)
            record(session, actor, "create token", "token", made.token.id)
            return made

    def tokens(self, actor: Actor, *, user_id: str | None = None) -> tuple[Token, ...]:
        """One's own tokens, newest first; another user's for admins."""
        if user_id is not None and user_id != actor.user_id:
            actor.require("administer")
        with self._store.read() as session:
            rows = session.scalars(
                select(TokenRow)
                .where(TokenRow.user_id == (user_id or actor.user_id))
                .where(TokenRow.revoked_at.is_(None))
                .order_by(TokenRow.created_at.desc())
            )
            return tuple(_token(row) for row in rows)

    def revoke_token(self, actor: Actor, token_id: str) -> None:
        """Revoke one's own token, or anyone's as admin."""
        actor.require("manage tokens")
        with self._store.write() as session:
            row = session.get(TokenRow, token_id)
            if (
                row is None
                or row.revoked_at is not None
                or (row.user_id != actor.user_id and not actor.is_admin)
            ):
                raise not_found("token")
            row.revoked_at = now()
            record(session, actor, "revoke token", "token", row.id)


def user_named(session: Session, name_or_id: str) -> UserRow:
    """A user by id or name; raises ``not-found``."""
    found = find_named(session, UserRow, name_or_id)
    if found is None:
        raise not_found("user")
    return found


def _add_token(
    session: Session,
    user_id: str,
    name: str,
    kind: str,
    scopes: Collection[str],
    life: timedelta | None,
) -> NewToken:
    secret = new_secret()
    row = TokenRow(
        user_id=user_id,
        name=name,
        kind=kind,
        hash=hash_of(secret),
        scopes=list(scopes),
        expires_at=None if life is None else now() + life,
    )
    session.add(row)
    session.flush()
    return NewToken(_token(row), secret)


def _is_valid(row: TokenRow) -> bool:
    moment = now()
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= moment):
        return False
    return row.kind != "session" or moment - (row.last_used_at or row.created_at) <= _IDLE


def _require_role(role: str) -> None:
    if role not in ROLES:
        raise invalid("role", "must be one of these", valid=list(ROLES))


def _require_another_admin(session: Session, row: UserRow) -> None:
    others = session.scalar(
        select(func.count())
        .select_from(UserRow)
        .where(UserRow.role == "admin", UserRow.disabled.is_(False), UserRow.id != row.id)
    )
    if not others:
        raise WorkspaceError("in-use", "this is the last admin; make another one first")


def _hash(password: str) -> str:
    from argon2 import PasswordHasher

    least, most = _PASSWORD
    if not least <= len(password) <= most:
        raise invalid("password", f"must be {least} to {most} characters")
    return PasswordHasher().hash(password)


_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$"
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY"
)


def _verify(hashed: str | None, password: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(hashed or _NOBODY, password) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def _role(row: UserRow) -> Role:
    return next(role for role in ROLES if role == row.role)


def _user(row: UserRow) -> User:
    return User(
        row.id,
        row.name,
        row.role,
        row.disabled,
        row.created_at,
        row.last_login_at,
        str(row.revision),
    )


def _token(row: TokenRow) -> Token:
    return Token(
        row.id,
        row.name,
        row.user_id,
        tuple(row.scopes),
        row.created_at,
        row.expires_at,
        row.last_used_at,
    )
