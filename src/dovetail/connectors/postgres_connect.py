"""Connections to PostgreSQL: their parameters, and psycopg's side connections with retries.

The engine's connections (DuckDB's scanner) and ours get the same parameters, so that TLS, time
limits and the application name are the same on both.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dovetail.config import PostgresSettings
from dovetail.connectors.postgres_errors import TRANSIENT, classify, source_error
from dovetail.errors import ConfigError

if TYPE_CHECKING:
    import psycopg

# What every transaction of ours starts with. The text forms that fragments may produce depend on
# these, whatever the server, the role or the database has as defaults. Set in the transaction and
# not as a start-up option, since PgBouncer refuses those.
PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",  # floats in their shortest exact form, also before version 12
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
}

_UNREACHABLE_SECONDS = 1.0  # a refused connection is tried again for this long, not for all of
# connect_timeout: a server that is down should be reported soon


def address(settings: PostgresSettings) -> str:
    """Where the server is, for messages: ``host:port/database``."""
    place = settings.host if settings.host.startswith("/") else f"{settings.host}:{settings.port}"
    return f"{place}/{settings.database}" if settings.database else place


def parameters(settings: PostgresSettings, application: str) -> dict[str, str]:
    """libpq's connection parameters, the password among them (never log them)."""
    found = {
        "host": settings.host,
        "port": str(settings.port),
        "dbname": settings.database,
        "user": settings.user,
        "password": settings.password.reveal() if settings.password is not None else "",
        "sslmode": settings.sslmode,
        "sslrootcert": str(settings.sslrootcert) if settings.sslrootcert else "",
        "connect_timeout": str(max(2, math.ceil(settings.connect_timeout))),
        "application_name": application,
        "client_encoding": "UTF8",
        # a peer that vanishes without a word is noticed within a minute
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
    return {name: value for name, value in found.items() if value}


def pin_statement() -> str:
    """``SET LOCAL`` of every pinned setting, as one string of statements."""
    return "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in PINNED.items())


def _open(settings: PostgresSettings, source: str, application: str) -> psycopg.Connection[Any]:
    """Connect; transient failures are tried again with growing pauses. Errors are ours."""
    try:
        import psycopg
    except ImportError:
        raise ConfigError(
            f"source {source}: kind postgres needs psycopg; "
            f"install it with: pip install 'dovetail[postgres]'"
        ) from None
    given = parameters(settings, application)
    start = time.monotonic()
    pause = 0.05
    while True:
        try:
            # no prepared statements of psycopg's own: PgBouncer may hand us another server session
            return psycopg.connect(**given, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
        except psycopg.Error as error:
            outcome = classify(error)
            limit = settings.connect_timeout
            if outcome == "unreachable":
                limit = min(limit, _UNREACHABLE_SECONDS)
            if outcome not in TRANSIENT or time.monotonic() - start + pause > limit:
                raise source_error(error, source, address(settings)) from None
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


@contextlib.contextmanager
def side_connection(
    settings: PostgresSettings, source: str, application: str = "dovetail"
) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg connection for one short task; driver errors leave as ours, and it is closed."""
    import psycopg

    connection = _open(settings, source, application)
    try:
        yield connection
    except psycopg.Error as error:
        raise source_error(error, source, address(settings)) from None
    finally:
        connection.close()


def begin_statement() -> str:
    """Start a transaction like the scanner's own, with the settings pinned."""
    return f"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; {pin_statement()}"


@contextlib.contextmanager
def read_transaction(
    settings: PostgresSettings, source: str, application: str = "dovetail"
) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of a fresh connection in a transaction of :func:`begin_statement`."""
    with side_connection(settings, source, application) as connection:
        cursor = connection.cursor()
        cursor.execute(begin_statement())
        yield cursor
        cursor.execute("ROLLBACK")


class KeptConnection:
    """One side connection that stays open between short tasks; one task at a time."""

    def __init__(self, settings: PostgresSettings, source: str, application: str) -> None:
        self._settings, self._source, self._application = settings, source, application
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def cursor(self, patience: float = -1) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor in a read-only transaction; a connection lost while idle is opened again.

        ``patience``: seconds to wait for another task to end (-1: as long as it takes), then
        ``TimeoutError``.
        """
        import psycopg

        if not self._lock.acquire(timeout=patience):
            raise TimeoutError
        try:
            cursor = self._begin()
            try:
                yield cursor
                cursor.execute("ROLLBACK")
            except psycopg.Error as error:
                self._drop()
                raise source_error(error, self._source, address(self._settings)) from None
            except BaseException:
                self._drop()
                raise
        finally:
            self._lock.release()

    def _begin(self) -> psycopg.Cursor[Any]:
        import psycopg

        if self._connection is not None:
            try:
                return self._connection.execute(begin_statement())
            except psycopg.Error:
                self._drop()
        self._connection = _open(self._settings, self._source, self._application)
        return self._connection.execute(begin_statement())

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the connection, after the task that has it."""
        with self._lock:
            self._drop()
