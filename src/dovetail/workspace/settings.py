"""Where a workspace lives and what its users may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.config import Config

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class WorkspaceLimits:
    """Bytes, rows, seconds and counts; see the table of limits in ``docs/service.md``."""

    sql_characters: int = 100_000
    upload_bytes: int = 2 * GIB
    user_store_bytes: int = 20 * GIB
    expansion: int = 100
    sync_rows: int = 10_000
    sync_bytes: int = 16 * MIB
    async_rows: int = 10_000_000
    async_bytes: int = 4 * GIB
    default_limit: int = 1_000
    sync_timeout: float = 60.0
    sync_timeout_max: float = 300.0
    async_timeout: float = 3_600.0
    running_per_user: int = 4
    running: int = 16
    queue: int = 100
    memory: int | None = None
    threads: int | None = None
    temp_space: int | None = None
    max_bytes_moved: int | None = None
    result_store_bytes: int = 10 * GIB
    result_seconds: float = 24 * 3600.0
    history_days: int = 90
    history_per_user: int = 10_000
    group_members: int = 50
    kept_sessions: int = 8
    parallel_uploads: int = 2


@dataclass(frozen=True)
class WorkspaceSettings:
    """``folder`` holds files (and, without ``url``, the SQLite store ``workspace.db``).

    ``url`` is an SQLAlchemy or ``postgresql://`` URL of the store. ``config`` brings the sources of
    ``dovetail.yaml``. ``secret_key`` encrypts stored passwords (None: ``DOVETAIL_SECRET_KEY``).
    ``migrate`` upgrades an old schema on opening; otherwise an old one is refused. ``workers``
    says that other processes use this store too. ``serving`` False only looks: it recovers
    nothing and runs nothing. ``file_roots`` are folders in which an editor may make a connection
    to a file; elsewhere only an admin may.
    """

    folder: Path
    url: str | None = None
    config: Config | None = None
    secret_key: str | None = None
    migrate: bool = True
    workers: bool = False
    serving: bool = True
    file_roots: tuple[Path, ...] = ()
    limits: WorkspaceLimits = field(default_factory=WorkspaceLimits)

    @staticmethod
    def default_folder() -> Path:
        """The user's data folder (``DOVETAIL_WORKSPACE`` overrides it)."""
        import os

        named = os.environ.get("DOVETAIL_WORKSPACE")
        if named:
            return Path(named).expanduser()
        from platformdirs import user_data_path

        return user_data_path("dovetail", appauthor=False) / "workspace"
