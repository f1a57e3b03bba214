"""Answers given before, so that a repeated request is not carried out twice."""

from __future__ import annotations

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Remembered


class Idempotency:
    """Keys live 24 hours and belong to one user."""

    def begin(self, actor: Actor, key: str, digest: str) -> Remembered | None:
        """Claim a key for a request with that digest of method, path and body.

        None: go ahead and call :meth:`finish` or :meth:`abandon`. An answer: give that again.

        Raises:
            WorkspaceError: ``key-reused`` for another digest; ``busy`` while the first runs.
        """
        raise NotImplementedError

    def finish(self, actor: Actor, key: str, *, status: int, body: str) -> None:
        """Keep the answer."""
        raise NotImplementedError

    def abandon(self, actor: Actor, key: str) -> None:
        """Give the key up: the request failed and may be tried again."""
        raise NotImplementedError
