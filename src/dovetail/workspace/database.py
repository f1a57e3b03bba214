"""The store's database: SQLite in a file, or PostgreSQL by URL; transactions for both.

SQLite allows one writer at a time, so writing transactions of this process queue up at a lock and
begin IMMEDIATE: none of them can fail half-way because another one wrote first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from dovetail.secrets import redact
from dovetail.workspace.problems import WorkspaceError


def store_url(url: str | None, folder: Path) -> URL:
    """The SQLAlchemy URL of a store; without ``url`` the SQLite file in ``folder``.

    Raises:
        WorkspaceError: ``configuration``: neither SQLite nor PostgreSQL.
    """
    if url is None:
        return URL.create("sqlite+pysqlite", database=str(folder / "workspace.db"))
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise WorkspaceError(
            "configuration", "the store's URL is not one; write postgresql://user@host/database"
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    raise WorkspaceError(
        "configuration", f"a store is kept in sqlite or postgresql, not in {backend}"
    )


class Database:
    """Engine and transactions of the store. Thread-safe."""

    def __init__(self, url: URL) -> None:
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.url = url
        options: dict[str, Any] = {}
        if self.is_sqlite:
            options["connect_args"] = {"timeout": 30, "check_same_thread": False}
        else:
            options = {"pool_size": 10, "max_overflow": 30, "pool_pre_ping": True}
        self.engine: Engine = create_engine(url, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writer = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with Session(self.engine, expire_on_commit=False) as session, _translated():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in a transaction that commits at the end, or rolls back."""
        with (
            self._writer if self.is_sqlite else nullcontext(),
            _translated(),
            self.engine.connect().execution_options(writes=True) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = redact(str(error.orig)).strip().splitlines()[0]
        raise WorkspaceError("busy", f"the workspace's store failed: {reason}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise WorkspaceError("busy", "the connection to the store was lost") from error
        raise


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver would begin transactions by itself, and not for DDL; _begin_sqlite does instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=30000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    # Past SQLAlchemy, whose way to run a statement costs more than this one does.
    raw: Any = connection.connection.dbapi_connection
    raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
