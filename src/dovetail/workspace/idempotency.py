"""Answers given before, so that a repeated request is not carried out twice."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from dovetail.workspace.access import Actor
from dovetail.workspace.models import IdempotencyRow, now
from dovetail.workspace.problems import WorkspaceError
from dovetail.workspace.shapes import Remembered
from dovetail.workspace.store import Store

LIFE = timedelta(hours=24)
# A request that has not been answered for so long has died with its process.
_GIVEN_UP = timedelta(hours=1)


class Idempotency:
    """Keys live 24 hours and belong to one user."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, actor: Actor, key: str, digest: str) -> Remembered | None:
        """Claim a key for a request with that digest of method, path and body.

        None: go ahead and call :meth:`finish` or :meth:`abandon`. An answer: give that again.

        Raises:
            WorkspaceError: ``key-reused`` for another digest; ``busy`` while the first runs.
        """
        with self._store.write() as session:
            row = session.get(IdempotencyRow, (actor.user_id, key), with_for_update=True)
            if row is not None:
                life = LIFE if row.status else _GIVEN_UP
                if row.created_at < now() - life:
                    session.delete(row)
                    session.flush()
                    row = None
            if row is None:
                session.add(IdempotencyRow(user_id=actor.user_id, key=key, digest=digest))
                return None
            if row.digest != digest:
                raise WorkspaceError(
                    "key-reused", "this idempotency key came with another request before"
                )
            if not row.status:
                raise WorkspaceError(
                    "busy", "the first request with this key is still running", retry_after=1
                )
            return Remembered(row.status, row.body)

    def finish(self, actor: Actor, key: str, *, status: int, body: str) -> None:
        """Keep the answer."""
        with self._store.write() as session:
            row = session.get(IdempotencyRow, (actor.user_id, key))
            if row is not None:
                row.status, row.body = status, body

    def abandon(self, actor: Actor, key: str) -> None:
        """Give the key up: the request failed and may be tried again."""
        with self._store.write() as session:
            session.execute(
                delete(IdempotencyRow).where(
                    IdempotencyRow.user_id == actor.user_id,
                    IdempotencyRow.key == key,
                    IdempotencyRow.status == 0,
                )
            )
