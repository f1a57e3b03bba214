"""The audit log: append-only, one line per act that matters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import AuditEntry, Page


class Audit:
    """Who did what. The workspace's own calls write it; interfaces add downloads and refusals."""

    def record(
        self,
        actor: Actor | None,
        action: str,
        *,
        object_kind: str | None = None,
        object_id: str | None = None,
        outcome: str = "ok",
        sql: str | None = None,
        address: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Add a line; secrets are taken out of ``sql``."""
        raise NotImplementedError

    def list(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        user: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[AuditEntry]:
        """Newest first; admins only."""
        raise NotImplementedError

    def export(self, actor: Actor) -> Iterator[AuditEntry]:
        """Everything, oldest first, streaming; admins only."""
        raise NotImplementedError
