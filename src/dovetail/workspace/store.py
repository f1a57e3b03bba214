"""What every part of the workspace stands on: the database, the folders, and the settings."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dovetail.config import CacheSettings
from dovetail.workspace.database import Database
from dovetail.workspace.settings import WorkspaceLimits, WorkspaceSettings


@dataclass(frozen=True)
class Folders:
    """The store's folders, all below ``root`` and for its owner alone (mode 0700).

    ``files`` holds datasets, ``results`` those of queries; ``temporary`` has one folder per
    process, so that what a dead one left can be told from what a living one is writing.
    """

    root: Path

    @property
    def files(self) -> Path:
        """``<dataset id>/<version>-<tag>/data.parquet``."""
        return self.root / "files"

    @property
    def results(self) -> Path:
        """``<query id>.arrow``."""
        return self.root / "results"

    @property
    def temporary(self) -> Path:
        """One folder per worker."""
        return self.root / "temporary"

    @property
    def workers(self) -> Path:
        """One lock file per living worker."""
        return self.root / "workers"

    def make(self) -> None:
        """Make them all."""
        for folder in (self.root, self.files, self.results, self.temporary, self.workers):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@dataclass
class Store:
    """One open store. ``worker_id`` is this process in it, empty when it only looks."""

    settings: WorkspaceSettings
    folders: Folders
    database: Database
    worker_id: str = ""

    @property
    def limits(self) -> WorkspaceLimits:
        """The limits of the settings."""
        return self.settings.limits

    @property
    def scratch(self) -> Path:
        """This process's temporary folder."""
        folder = self.folders.temporary / (self.worker_id or f"looking-{os.getpid()}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @property
    def kept_results(self) -> CacheSettings:
        """The cache of results, as the configuration has it, in a folder of the store's own."""
        config = self.settings.config
        cache = CacheSettings() if config is None else config.cache
        if cache.directory is not None:
            return cache
        return cache.model_copy(update={"directory": self.folders.root / "cache"})

    def read(self) -> AbstractContextManager[Session]:
        """A session that only reads."""
        return self.database.read()

    def write(self) -> AbstractContextManager[Session]:
        """A session in a transaction."""
        return self.database.write()


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
