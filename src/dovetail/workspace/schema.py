"""The store's schema over time: upgrade, downgrade, and what version it has.

A lock keeps two processes from migrating at once, and every run of migrations is one transaction,
on SQLite too: a process that dies in the middle leaves the old schema.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from dovetail.workspace.database import Database, store_url
from dovetail.workspace.problems import WorkspaceError, invalid

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from dovetail.workspace.settings import WorkspaceSettings

_LOCK_NUMBER = 4_021_986_713  # any fixed number: PostgreSQL's advisory locks have no names


class Schema:
    """Migrations of one store. ``folder`` holds the lock and copies of an SQLite store."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    @staticmethod
    def of(settings: WorkspaceSettings) -> Schema:
        """The schema of a store that is not otherwise opened; close it, or use it in a ``with``."""
        folder = Path(settings.folder).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Schema(Database(store_url(settings.url, folder)), folder)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Schema:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def current(self) -> str | None:
        """The revision the store is at, None when it is empty."""
        from alembic.runtime.migration import MigrationContext

        with self._database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def newest(self) -> str:
        """The revision this version of Dovetail wants."""
        from alembic.script import ScriptDirectory

        head = ScriptDirectory.from_config(self._config(None)).get_current_head()
        assert head is not None
        return head

    def require_current(self) -> None:
        """Raises ``configuration`` when the store is older or newer than this version knows."""
        current, newest = self.current(), self.newest()
        if current == newest:
            return
        self._require_known(current)
        raise WorkspaceError(
            "configuration",
            f"the workspace's schema is {current or 'empty'}, and this version needs {newest}; "
            "run: dovetail db upgrade",
        )

    def upgrade(self, revision: str = "head", *, keep_copy: bool = False) -> None:
        """Go up to ``revision``; with ``keep_copy`` an SQLite file is copied first.

        Raises:
            WorkspaceError: ``configuration``: the store is newer than this version knows.
        """
        from alembic import command

        if revision == "head" and self.current() == self.newest():
            return
        with self._locked() as connection:
            current = self._current(connection)
            self._require_known(current)
            if keep_copy and current is not None and current != self.newest():
                self._copy(current)
            command.upgrade(self._config(connection), revision)

    def downgrade(self, revision: str) -> None:
        """Go down to ``revision`` (``base`` is empty); what later tables hold is lost.

        Raises:
            WorkspaceError: ``validation``: there is no such revision; ``configuration`` as above.
        """
        from alembic import command
        from alembic.script import ScriptDirectory

        known = [
            r.revision for r in ScriptDirectory.from_config(self._config(None)).walk_revisions()
        ]
        if revision != "base" and revision not in known:
            raise invalid("revision", "must be one of these", valid=["base", *reversed(known)])
        with self._locked() as connection:
            self._require_known(self._current(connection))
            command.downgrade(self._config(connection), revision)

    def drift(self) -> list[str]:
        """Differences between the store and the models; empty when there are none."""
        from alembic.autogenerate import compare_metadata
        from alembic.runtime.migration import MigrationContext

        from dovetail.workspace.models import Base

        with self._database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return [repr(entry) for entry in compare_metadata(context, Base.metadata)]

    @contextmanager
    def _locked(self) -> Iterator[Connection]:
        engine = self._database.engine
        if not self._database.is_sqlite:
            with engine.connect() as connection:
                connection.execute(text(f"SELECT pg_advisory_lock({_LOCK_NUMBER})"))
                connection.commit()
                try:
                    with connection.begin():
                        yield connection
                finally:
                    connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK_NUMBER})"))
                    connection.commit()
            return
        import fcntl

        with (self._folder / "migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with engine.connect().execution_options(writes=True) as connection:
                # SQLite rebuilds a table to change it, which must not cascade to its children.
                # The pragma works outside a transaction only, so past SQLAlchemy.
                _run_plain(connection, "PRAGMA foreign_keys=OFF")
                try:
                    with connection.begin():
                        yield connection
                finally:
                    _run_plain(connection, "PRAGMA foreign_keys=ON")

    def _current(self, connection: Connection) -> str | None:
        from alembic.runtime.migration import MigrationContext

        return MigrationContext.configure(connection).get_current_revision()

    def _require_known(self, revision: str | None) -> None:
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        if revision is None:
            return
        try:
            ScriptDirectory.from_config(self._config(None)).get_revision(revision)
        except CommandError:
            raise WorkspaceError(
                "configuration",
                f"the workspace was made by a newer version of Dovetail (schema {revision}); "
                "use that version, or another --workspace",
            ) from None

    def _copy(self, revision: str) -> None:
        """A copy of the SQLite file as it was, beside it."""
        if not self._database.is_sqlite:
            return
        path = Path(str(self._database.url.database))
        copy = path.with_name(f"{path.name}.before-upgrade-from-{revision}")
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        copy.chmod(0o600)

    def _config(self, connection: Connection | None) -> Config:
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "dovetail.workspace:migrations")
        config.attributes["connection"] = connection
        return config


def _run_plain(connection: Connection, statement: str) -> None:
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
