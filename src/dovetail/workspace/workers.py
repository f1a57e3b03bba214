"""Processes that serve one store, and mending what a dead one left behind.

A worker holds a lock on a file for as long as it lives; the system drops the lock however the
process ends. Whoever can take it knows that the worker is dead: its running queries have failed,
its unfinished uploads are gone, its temporary folder can be removed. On another machine, where
locks may not reach, a worker is dead when it has been silent for half a minute.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO

from sqlalchemy import or_, select, update

from dovetail.workspace.history import UNFINISHED
from dovetail.workspace.models import (
    DatasetRow,
    DatasetVersionRow,
    QueryRow,
    WorkerRow,
    new_id,
    now,
)
from dovetail.workspace.problems import WorkspaceError, problem_of
from dovetail.workspace.store import Store
from dovetail.workspace.uploads import remove_folder

_log = logging.getLogger("dovetail.workspace")
_SILENT = timedelta(seconds=30)
_BEAT_SECONDS = 1.0
_SEEN_BEATS = 5
_SWEEP_BEATS = 300


class Worker:
    """This process as a worker of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.worker_id = new_id()
        self._lock_file: IO[str] = self._path(store.worker_id).open("w")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        with store.write() as session:
            session.add(WorkerRow(id=store.worker_id, host=socket.gethostname(), pid=os.getpid()))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, cancel: Callable[[str], None], sweep: Callable[[], None]) -> None:
        """Begin to tell that it lives, to hear of cancels from other workers, and to sweep."""
        self._thread = threading.Thread(
            target=self._beats, args=(cancel, sweep), name="workspace", daemon=True
        )
        self._thread.start()

    def _beats(self, cancel: Callable[[str], None], sweep: Callable[[], None]) -> None:
        beats = 0
        while not self._stop.wait(_BEAT_SECONDS):
            beats += 1
            try:
                if self._store.settings.workers:
                    for query_id in self._cancels_asked():
                        cancel(query_id)
                if beats % _SEEN_BEATS == 0:
                    self._say_alive()
                if beats % _SWEEP_BEATS == 0:
                    sweep()
            except Exception:  # the store may be away for a while; the next beat tries again
                _log.warning("the workspace's upkeep failed", exc_info=True)

    def _say_alive(self) -> None:
        with self._store.write() as session:
            session.execute(
                update(WorkerRow).where(WorkerRow.id == self._store.worker_id).values(seen_at=now())
            )
        if self._store.settings.workers:
            self.bury_dead()

    def _cancels_asked(self) -> list[str]:
        with self._store.read() as session:
            return list(
                session.scalars(
                    select(QueryRow.id).where(
                        QueryRow.worker_id == self._store.worker_id,
                        QueryRow.status.in_(UNFINISHED),
                        QueryRow.cancel_requested.is_(True),
                    )
                )
            )

    def recover(self) -> None:
        """Mend what dead workers left; at start, before anything is served."""
        self.bury_dead()
        self._remove_strays()

    def bury_dead(self) -> None:
        """Fail the queries and uploads of every dead worker, and forget it."""
        with self._store.read() as session:
            others = session.scalars(
                select(WorkerRow).where(WorkerRow.id != self._store.worker_id)
            ).all()
        for worker in others:
            if self._is_dead(worker):
                self._bury(worker.id)

    def _is_dead(self, worker: WorkerRow) -> bool:
        path = self._path(worker.id)
        if path.exists() and worker.host == socket.gethostname():
            try:
                with path.open("r+") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                return now() - worker.seen_at > _SILENT
            return True
        return now() - worker.seen_at > _SILENT

    def _bury(self, worker_id: str) -> None:
        lost = WorkspaceError("worker-lost", "the process that ran the query ended; run it again")
        cut = WorkspaceError("interrupted", "the server ended while the file was read in")
        moment = now()
        with self._store.write() as session:
            session.execute(
                update(QueryRow)
                .where(QueryRow.worker_id == worker_id, QueryRow.status.in_(UNFINISHED))
                .values(status="FAILED", problem=problem_of(lost).to_dict(), finished_at=moment)
            )
            session.execute(
                update(DatasetRow)
                .where(DatasetRow.worker_id == worker_id, DatasetRow.status == "PROCESSING")
                .values(
                    status="FAILED",
                    error=problem_of(cut).to_dict(),
                    worker_id=None,
                    updated_at=moment,
                    revision=DatasetRow.revision + 1,
                )
            )
            session.execute(WorkerRow.__table__.delete().where(WorkerRow.id == worker_id))  # type: ignore[attr-defined]
        shutil.rmtree(self._store.folders.temporary / worker_id, ignore_errors=True)
        self._path(worker_id).unlink(missing_ok=True)

    def _remove_strays(self) -> None:
        """Files that no row knows of, and folders of workers that no row knows of."""
        folders = self._store.folders
        with self._store.read() as session:
            workers = set(session.scalars(select(WorkerRow.id)))
            versions = set(session.scalars(select(DatasetVersionRow.folder)))
            alive = or_(QueryRow.status == "SUCCESS", QueryRow.status.in_(UNFINISHED))
            results = set(session.scalars(select(QueryRow.id).where(alive)))
            # A living worker may just have moved a file in and not written its row yet.
            if workers - {self._store.worker_id}:
                return
        for folder in folders.temporary.iterdir():
            if folder.name not in workers:
                shutil.rmtree(folder, ignore_errors=True)
        for dataset in folders.files.iterdir():
            for version in dataset.iterdir():
                if f"{dataset.name}/{version.name}" not in versions:
                    remove_folder(version)
        for result in folders.results.iterdir():
            if result.stem not in results:
                result.unlink(missing_ok=True)

    def close(self) -> None:
        """Sign off."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        worker_id = self._store.worker_id
        with self._store.write() as session:
            row = session.get(WorkerRow, worker_id)
            if row is not None:
                session.delete(row)
        self._lock_file.close()
        self._path(worker_id).unlink(missing_ok=True)
        shutil.rmtree(self._store.folders.temporary / worker_id, ignore_errors=True)

    def _path(self, worker_id: str) -> Path:
        return self._store.folders.workers / f"{worker_id}.lock"
