"""The workspace's front door: opens the store, mends what a crash left, hands out its parts."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select, text

from dovetail.cache.lookup import store_of
from dovetail.workspace.audit import Audit
from dovetail.workspace.connections import Connections
from dovetail.workspace.database import Database, store_url
from dovetail.workspace.datasets import Datasets
from dovetail.workspace.grants import Grants
from dovetail.workspace.groups import Groups
from dovetail.workspace.history import History
from dovetail.workspace.idempotency import Idempotency
from dovetail.workspace.models import QueryRow, now
from dovetail.workspace.problems import WorkspaceError
from dovetail.workspace.queries import Queries
from dovetail.workspace.running import Runner
from dovetail.workspace.saved import SavedQueries
from dovetail.workspace.schema import Schema
from dovetail.workspace.sessions import Sessions
from dovetail.workspace.settings import GIB, MIB, WorkspaceSettings
from dovetail.workspace.shapes import Readiness
from dovetail.workspace.statements import Statements
from dovetail.workspace.stats import Stats
from dovetail.workspace.store import Folders, Store
from dovetail.workspace.sweeping import Sweeper
from dovetail.workspace.teams import Teams
from dovetail.workspace.uploads import Uploads
from dovetail.workspace.users import Users
from dovetail.workspace.views import Views
from dovetail.workspace.workers import Worker

# Below this much free disk nothing can be written for long.
_LEAST_FREE = 64 * MIB


class Workspace:
    """One open workspace. Thread-safe; close it, or use it in a ``with`` block."""

    def __init__(self, store: Store, schema: Schema) -> None:
        """Use :meth:`open`."""
        self._store = store
        self._schema = schema
        self.settings = store.settings
        self._worker = Worker(store) if store.settings.serving else None
        self._statements = Statements()
        self.audit = Audit(store)
        self.idempotency = Idempotency(store)
        self.users = Users(store)
        self.teams = Teams(store)
        self.connections = Connections(store)
        self.grants = Grants(store, self.connections)
        views = Views(store, self.connections)
        self._sessions = Sessions(store, views)
        self._uploads = Uploads(store)
        self.datasets = Datasets(store, self.connections, views, self._sessions, self._uploads)
        self.groups = Groups(store, self.datasets)
        records = History(store)
        self._runner = Runner(store, self._sessions, records, self._statements)
        self.queries = Queries(
            store, views, self._sessions, self._runner, records, self._statements, self.datasets
        )
        self.saved = SavedQueries(store, self.queries)
        self.stats = Stats(store)
        self._sweeper = Sweeper(store, self.datasets.remove)
        self._closed = False
        if self._worker is not None:
            self._worker.recover()
            self._worker.beat(self._cancel, self.sweep)

    @staticmethod
    def open(settings: WorkspaceSettings) -> Workspace:
        """Open (and make, or upgrade when ``settings.migrate``) the store; recover from a crash.

        Raises:
            WorkspaceError: ``configuration``: the schema is old and may not be upgraded, or newer
                than this version knows; the store cannot be reached.
        """
        folders = Folders(Path(settings.folder).expanduser().absolute())
        try:
            folders.make()
        except OSError as error:
            raise WorkspaceError(
                "configuration", f"the workspace's folder {folders.root}: {error.strerror}"
            ) from None
        if settings.limits.memory is None:
            limits = replace(settings.limits, memory=_share_of_memory())
            settings = replace(settings, limits=limits)
        database = Database(store_url(settings.url, folders.root))
        try:
            schema = Schema(database, folders.root)
            if settings.migrate:
                schema.upgrade(keep_copy=True)
            else:
                schema.require_current()
            return Workspace(Store(settings, folders, database), schema)
        except BaseException:
            database.close()
            raise

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self._store.folders.root

    def readiness(self) -> Readiness:
        """Checks ``workspace``, ``migrations``, ``engine``, ``result_store``; within a second."""
        checks: dict[str, dict[str, str]] = {}
        try:
            with self._store.read() as session:
                session.execute(text("SELECT 1"))
            checks["workspace"] = {"status": "ok"}
            current, newest = self._schema.current(), self._schema.newest()
            checks["migrations"] = (
                {"status": "ok"}
                if current == newest
                else {"status": "failed", "note": f"schema {current}, wanted {newest}"}
            )
        except Exception:
            checks["workspace"] = {"status": "failed", "note": "the store cannot be reached"}
            checks["migrations"] = {"status": "failed", "note": "unknown"}
        try:
            self._statements.has_limit("SELECT 1")
            checks["engine"] = {"status": "ok"}
        except Exception:
            checks["engine"] = {"status": "failed", "note": "the engine does not answer"}
        checks["result_store"] = self._disk()
        return Readiness(all(c["status"] != "failed" for c in checks.values()), checks)

    def _disk(self) -> dict[str, str]:
        folder = self._store.folders.results
        if not os.access(folder, os.W_OK):
            return {"status": "failed", "note": "results cannot be written"}
        if shutil.disk_usage(folder).free < _LEAST_FREE:
            return {"status": "failed", "note": "the disk is full"}
        return {"status": "ok"}

    def gauges(self) -> dict[str, float]:
        """``running`` and ``queued`` of this process; ``result_store_bytes`` and ``cache_hits`` of
        the store.
        """
        with self._store.read() as session:
            size = session.scalar(
                select(func.coalesce(func.sum(QueryRow.result_bytes), 0)).where(
                    QueryRow.expires_at > now()
                )
            )
        return {
            "running": self._runner.admission.running,
            "queued": self._runner.admission.queued,
            "result_store_bytes": float(size or 0),
            "cache_hits": float(store_of(self._store.kept_results).hits),
        }

    def sweep(self) -> None:
        """Remove what is past its time: results, versions, deleted datasets, history, audit.

        Runs by itself every few minutes while the workspace is open.
        """
        self._sweeper.sweep()

    def _cancel(self, query_id: str) -> None:
        job = self._runner.job(query_id)
        if job is not None:
            self._runner.cancel(job)

    def close(self, *, grace: float = 0.0) -> None:
        """Take no new query, give running ones ``grace`` seconds, cancel the rest. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._runner.close(grace)
        self._sessions.close()
        self._runner.admission.join()
        self._uploads.close()
        if self._worker is not None:
            self._worker.close()
        self._statements.close()
        self._store.database.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _share_of_memory() -> int:
    """What one session's engine may use when nothing is said: a seventh of the machine's memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(256 * MIB, min(total // 7, 16 * GIB))
