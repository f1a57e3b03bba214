"""The workspace's front door: opens the store, mends what a crash left, hands out its parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.workspace.settings import WorkspaceSettings
from dovetail.workspace.shapes import Readiness

if TYPE_CHECKING:
    from dovetail.workspace.audit import Audit
    from dovetail.workspace.connections import Connections
    from dovetail.workspace.datasets import Datasets
    from dovetail.workspace.grants import Grants
    from dovetail.workspace.groups import Groups
    from dovetail.workspace.idempotency import Idempotency
    from dovetail.workspace.queries import Queries
    from dovetail.workspace.saved import SavedQueries
    from dovetail.workspace.stats import Stats
    from dovetail.workspace.users import Users


class Workspace:
    """One open workspace. Thread-safe; close it, or use it in a ``with`` block."""

    settings: WorkspaceSettings
    users: Users
    grants: Grants
    connections: Connections
    datasets: Datasets
    groups: Groups
    queries: Queries
    saved: SavedQueries
    stats: Stats
    audit: Audit
    idempotency: Idempotency

    @staticmethod
    def open(settings: WorkspaceSettings) -> Workspace:
        """Open (and make, or upgrade when ``settings.migrate``) the store; recover from a crash.

        Raises:
            WorkspaceError: ``configuration``: the schema is old and may not be upgraded, or newer
                than this version knows; the store cannot be reached.
        """
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        raise NotImplementedError

    def readiness(self) -> Readiness:
        """Checks ``workspace``, ``migrations``, ``engine``, ``result_store``; within a second."""
        raise NotImplementedError

    def gauges(self) -> dict[str, float]:
        """``running``, ``queued``, ``result_store_bytes``, ``cache_hits`` and the like, by name."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Remove what is past its time: results, versions, deleted datasets, history, audit.

        Runs by itself every few minutes while the workspace is open.
        """
        raise NotImplementedError

    def close(self, *, grace: float = 0.0) -> None:
        """Take no new query, give running ones ``grace`` seconds, cancel the rest. Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
