"""Files on their way in: streamed to disk with limits, then converted, then visible at once.

An upload lies in this process's temporary folder until it has become Parquet; the folder with the
finished file is moved into the store by one rename, and the dataset is READY by one transaction. A
process that dies anywhere before leaves nothing but its temporary folder, which the next start
removes.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from dovetail.workspace.access import Actor
from dovetail.workspace.aliases import alias_of
from dovetail.workspace.audit import record
from dovetail.workspace.conversion import Converted, convert
from dovetail.workspace.models import DatasetRow, DatasetVersionRow, new_id, now
from dovetail.workspace.problems import WorkspaceError, invalid, problem_of
from dovetail.workspace.rights import visible_dataset
from dovetail.workspace.store import Store, sync_folder
from dovetail.workspace.upload_formats import recognize
from dovetail.workspace.views import DATA_FILE

_LONGEST_NAME = 255


class Uploads:
    """Takes uploads of one process. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(store.limits.parallel_uploads, "upload")

    def begin(self, actor: Actor, filename: str, replaces: str | None) -> Incoming:
        """An upload that has not been written yet; rights and space have been checked."""
        actor.require("upload")
        limits = self._store.limits
        with self._store.read() as session:
            owner = actor.user_id
            if replaces is not None:
                row, _ = visible_dataset(session, actor, replaces, "manage")
                if row.connection_id is not None:
                    raise invalid("file", "this dataset is a source's table and has no file")
                owner = row.owner_id
            used = session.scalar(
                select(func.coalesce(func.sum(DatasetVersionRow.size_bytes), 0))
                .join(DatasetRow, DatasetRow.id == DatasetVersionRow.dataset_id)
                .where(DatasetRow.owner_id == owner)
            )
        left = limits.user_store_bytes - int(used or 0)
        if left <= 0:
            raise WorkspaceError("store-full", _full(limits.user_store_bytes))
        folder = self._store.scratch / f"upload-{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700)
        name = filename.replace("\\", "/").rpartition("/")[2].strip()[:_LONGEST_NAME] or "upload"
        name = "".join(c for c in name if c.isprintable())
        return Incoming(self, self._store, actor, folder, name, replaces, left)

    def submit(self, work: Any) -> Future[Any]:
        """Run a conversion when a place is free."""
        return self._pool.submit(work)

    def close(self) -> None:
        """Wait for what is being converted; drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Incoming:
    """One upload; see :class:`dovetail.workspace.datasets.Upload` for what callers see of it."""

    def __init__(
        self,
        uploads: Uploads,
        store: Store,
        actor: Actor,
        folder: Path,
        filename: str,
        replaces: str | None,
        left: int,
    ) -> None:
        self._uploads = uploads
        self._store = store
        self._actor = actor
        self._folder = folder
        self._filename = filename
        self._left = left
        self._written = 0
        self._file = (folder / "incoming").open("wb")
        self._lock = threading.Lock()
        self._finished = False
        self.replaces = replaces
        self.dataset_id = replaces or new_id()

    def write(self, chunk: bytes) -> None:
        """Append; raises ``too-large`` or ``store-full`` as soon as it is too much."""
        self._written += len(chunk)
        most = self._store.limits.upload_bytes
        if self._written > most:
            raise WorkspaceError(
                "too-large", f"an upload may have {most:,} bytes at most", limit=most
            )
        if self._written > self._left:
            raise WorkspaceError("store-full", _full(self._store.limits.user_store_bytes))
        self._file.write(chunk)

    def finish(
        self,
        name: str | None,
        description: str | None,
        options: Mapping[str, Any] | None,
        wait: float,
    ) -> None:
        """Convert; returns when READY, or after ``wait`` seconds. Raises why it cannot be read."""
        with self._lock:
            if self._finished:
                raise invalid("file", "this upload has been finished")
            self._finished = True
        self._file.close()
        shown = (name or self._filename).strip()
        if not 1 <= len(shown) <= _LONGEST_NAME:
            self._remove()
            raise invalid("name", f"must be 1 to {_LONGEST_NAME} characters")
        started = now()
        try:
            if self.replaces is None:
                self._announce(shown, description, started)
            job = self._uploads.submit(lambda: self._convert(dict(options or {})))
        except BaseException:
            self._remove()
            raise
        try:
            job.result(timeout=wait)
        except FutureTimeoutError:
            if not job.done():
                return  # goes on; who asks for the dataset sees how it ended
            self._give_up(job)
        except BaseException:
            self._give_up(job)
            raise

    def abort(self) -> None:
        """Drop what was written; nothing after :meth:`finish`."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
        self._file.close()
        self._remove()

    def _announce(self, name: str, description: str | None, started: datetime) -> None:
        with self._store.write() as session:
            row = DatasetRow(
                id=self.dataset_id,
                name=name,
                description=description or None,
                owner_id=self._actor.user_id,
                source_type=self._filename.rpartition(".")[2].upper()[:20] or "FILE",
                status="PROCESSING",
                default_alias=alias_of(name if name != self._filename else self._filename),
                worker_id=self._store.worker_id,
                created_at=started,
                updated_at=started,
            )
            session.add(row)
            record(session, self._actor, "upload", "dataset", row.id)

    def _give_up(self, job: Future[Any]) -> None:
        """The caller is told of the failure, so a dataset that never was need not stay."""
        error = job.exception()
        if error is None:
            return
        if self.replaces is None:
            with self._store.write() as session:
                row = session.get(DatasetRow, self.dataset_id)
                if row is not None:
                    session.delete(row)
        raise error

    def _convert(self, options: Mapping[str, Any]) -> None:
        try:
            file = recognize(
                self._folder / "incoming", self._filename, self._store.limits.expansion
            )
            made = self._folder / "made"
            made.mkdir(mode=0o700)
            converted = convert(file, self._filename, options, made / DATA_FILE)
            add_version(
                self._store, self.dataset_id, made, converted, file.source_type, self.replaces
            )
        except BaseException as error:
            self._mark_failed(error)
            raise
        finally:
            self._remove()

    def _mark_failed(self, error: BaseException) -> None:
        with self._store.write() as session:
            row = session.get(DatasetRow, self.dataset_id)
            if row is not None:
                # A new version that cannot be read leaves the dataset with the one it has.
                row.status = "FAILED" if self.replaces is None else row.status
                row.error, row.worker_id = problem_of(error).to_dict(), None
                row.updated_at = now()
                row.revision += 1

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def add_version(
    store: Store,
    dataset_id: str,
    made: Path,
    converted: Converted,
    source_type: str,
    replaces: str | None,
) -> None:
    """Move a folder with a finished file into the store and make it the dataset's content."""
    name = f"{dataset_id}/{uuid.uuid4().hex[:12]}"
    target = store.folders.files / name
    target.parent.mkdir(exist_ok=True, mode=0o700)
    sync_folder(made)
    made.rename(target)
    sync_folder(target.parent)
    try:
        with store.write() as session:
            row = session.get(DatasetRow, dataset_id, with_for_update=True)
            if row is None:
                raise WorkspaceError("not-found", "the dataset was removed meanwhile")
            moment = now()
            if replaces is not None:
                session.execute(
                    update(DatasetVersionRow)
                    .where(DatasetVersionRow.dataset_id == dataset_id)
                    .where(DatasetVersionRow.retired_at.is_(None))
                    .values(retired_at=moment)
                )
                row.version += 1
            session.add(
                DatasetVersionRow(
                    dataset_id=dataset_id,
                    version=row.version,
                    folder=name,
                    size_bytes=converted.bytes,
                )
            )
            notes: dict[str, Any] = {}
            if converted.sheets:
                notes["sheets"] = list(converted.sheets)
            if converted.rejected_lines:
                notes["rejected_lines"] = list(converted.rejected_lines)
            row.status, row.error, row.worker_id = "READY", None, None
            row.source_type = source_type
            row.row_count, row.size_bytes = converted.rows, converted.bytes
            row.columns = [{"name": n, "type": t, "nullable": True} for n, t in converted.columns]
            row.rejected_rows, row.notes = converted.rejected_rows, notes
            row.updated_at = moment
            row.revision += 1
    except BaseException:
        with contextlib.suppress(OSError):
            remove_folder(target)
        raise


def remove_folder(folder: Path) -> None:
    """Remove a folder of the store, and its dataset's folder when it was the last one in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _full(most: int) -> str:
    return f"your files may take {most:,} bytes in all; delete and purge some first"
