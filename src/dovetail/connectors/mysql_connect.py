"""Connections to a MySQL or MariaDB server: opened, pinned to known settings, pooled, and what
its errors mean.
"""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from dovetail.config import MySQLSettings
from dovetail.errors import (
    AuthenticationError,
    DovetailError,
    SourceError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from dovetail.secrets import redact, without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.connections import Connection

_TRIES = 4
_IDLE_SECONDS = 60.0
_FRESH_SECONDS = 2.0  # so recently used that asking whether it still answers is not worth a trip
_LEASE_SECONDS = 30.0

_LOGIN = {1044, 1045, 1130, 1131, 1132, 1133, 1698, 1820, 1862, 1873, 2059, 2061, 3118, 3159, 4151}
_CROWDED = {1040, 1203, 1226}
_GONE = {1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013}
_GONE |= {2055, 4031}
_STALE = {1049, 1051, 1054, 1109, 1146, 1305, 1356, 1412}
_TRANSIENT = {1205, 1213, 1290} | _CROWDED | _GONE

# What every session is pinned to, so that a fragment means the same on every server. Values that
# a server does not know are tried on their own and left out (MariaDB and MySQL differ).
_SESSION = (
    "time_zone = '+00:00'",
    "sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
    "sql_select_limit = DEFAULT",
    "sql_big_selects = 1",
    "div_precision_increment = 4",
    "group_concat_max_len = 1073741824",
    "default_week_format = 0",
    "sql_auto_is_null = 0",
    "wait_timeout = 28800",
    # A consumer may pause for long between two batches; the server must wait for it.
    "net_read_timeout = 28800",
    "net_write_timeout = 28800",
)
# MariaDB keeps the answers of a correlated subquery by the outer columns, and compares those by
# their collation: what it found for 'A' it answers for 'a', whatever the subquery compares.
_MARIADB_SESSION = ("optimizer_switch = 'subquery_cache=off'",)


def map_error(
    error: BaseException, source: str, *, table: str | None = None, doing: str = "reading"
) -> DovetailError:
    """A driver or socket error as one of ours, naming the source, secrets taken out."""
    if isinstance(error, DovetailError):
        return error
    number, text = _parts(error)
    detail = redact(text).strip()
    where = f"source {source}"
    retryable = number in _TRANSIENT or isinstance(error, (OSError, EOFError))
    if number == 1049 and doing == "connecting":
        return SourceError(f"{where}: {detail}", source=source)
    if number in _LOGIN:
        if "using password: NO" in detail:
            detail += f"; {without_password(source)}"
        return AuthenticationError(f"{where} refused the login: {detail}", source=source)
    if number in _CROWDED:
        return SourceUnavailableError(
            f"{where} accepts no more connections: {detail}",
            source=source,
            retryable=True,
            suggestions=("lower max_connections of the source, or raise the server's limit",),
        )
    cause = getattr(error, "original_exception", None) or error
    if number == 2026 or isinstance(cause, ssl.SSLError):
        return SourceUnavailableError(f"{where}: TLS failed: {detail}", source=source)
    if number in _GONE or number == 0:
        verb = "cannot be reached" if doing == "connecting" else "went away while it was read"
        return SourceUnavailableError(f"{where} {verb}: {detail}", source=source, retryable=True)
    if number in _STALE:
        return StaleCatalogError(
            f"{where} no longer has what its catalog said: {detail}", source=source, table=table
        )
    if number in (1317, 1969, 3024):
        detail = f"the server ended the statement: {detail}"
    elif number in (1142, 1143, 1227, 1370):
        detail = f"the account may not read this: {detail}"
    return SourceQueryError(
        f"{where}: {detail} (error {number})", source=source, table=table, retryable=retryable
    )


def _parts(error: BaseException) -> tuple[int, str]:
    import pymysql

    if isinstance(error, pymysql.err.MySQLError):
        arguments = error.args
        if arguments and isinstance(arguments[0], int):
            text = str(arguments[1]) if len(arguments) > 1 else type(error).__name__
            if arguments[0] == 0 and not text:
                text = "the connection is closed"
            return arguments[0], text
        return (2013, str(error) or "the connection is closed")
    if isinstance(error, RuntimeError):  # PyMySQL without the package for RSA logins
        return 2059, str(error)
    return 0, str(error) or type(error).__name__


def _connect_locally(connection: Connection[Any], path: str, timeout: float) -> None:
    """Connect over a Unix socket; the driver would leave it open when that fails."""
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.settimeout(timeout)
        channel.connect(path)
        channel.settimeout(None)
        connection.connect(channel)
    except BaseException:
        channel.close()
        raise


class Session:
    """One connection with its pinned settings. Used by one thread at a time; ``kill`` by any."""

    def __init__(self, connection: Connection[Any], source: str) -> None:
        self.connection = connection
        self.source = source
        self.id: int = connection.thread_id()  # type: ignore[no-untyped-call]
        self.version: str = str(connection.get_server_info())  # type: ignore[no-untyped-call]
        self.mariadb = "mariadb" in self.version.lower()
        self.used = time.monotonic()
        self.max_packet = 0
        self.clean = True

    def rows(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; errors are mapped."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
        except Exception as error:
            self.clean = False
            raise map_error(error, self.source) from error

    def send(self, sql: str) -> None:
        """Send a statement without waiting for its answer."""
        from pymysql.constants import COMMAND

        self.clean = False
        command: Any = self.connection
        try:
            command._execute_command(COMMAND.COM_QUERY, sql.encode("utf-8", "strict"))
        except UnicodeEncodeError:
            raise SourceQueryError(
                f"source {self.source}: the query holds text that UTF-8 cannot express",
                source=self.source,
            ) from None
        except Exception as error:
            raise map_error(error, self.source) from error

    def acknowledge(self) -> None:
        """Wait for the OK of a statement that was sent and has no rows."""
        command: Any = self.connection
        try:
            command._read_query_result()
        except Exception as error:
            raise map_error(error, self.source) from error
        self.clean = True

    def columns(self) -> int:
        """Read the head of the answer to what was sent; the rows stay in the socket."""
        command: Any = self.connection
        try:
            packet = command._read_packet()
            count = packet.read_length_encoded_integer()
            for _ in range(count):
                command._read_packet()
            command._read_packet()
        except Exception as error:
            raise map_error(error, self.source) from error
        return int(count)

    def receive(self, view: memoryview) -> int:
        """Raw bytes of the rows into ``view``; 0 when the connection is gone."""
        inner: Any = self.connection
        buffered = inner._rfile
        try:
            # What the driver has read ahead comes first; read1 never waits while it has bytes.
            if self._ahead:
                chunk = buffered.read1(min(len(view), self._ahead))
                self._ahead -= len(chunk)
                view[: len(chunk)] = chunk
                return len(chunk)
            return int(inner._sock.recv_into(view))
        except (OSError, ValueError, AttributeError):
            return 0

    _ahead = 0

    def begin_rows(self) -> None:
        """Switch from the driver's packets to raw bytes, keeping what it has read ahead."""
        inner: Any = self.connection
        raw: Any = inner._rfile
        # peek returns what is buffered; it reads from the socket only when that is nothing.
        inner._sock.settimeout(None)
        try:
            self._ahead = len(raw.peek(1))
        except (OSError, ValueError) as error:
            raise map_error(error, self.source) from error

    def end_rows(self) -> None:
        """After the last row: the driver may use the connection again."""
        inner: Any = self.connection
        inner._next_seq_id = 0
        inner._result = None
        self.clean = True

    def shutdown(self) -> None:
        """Wake a thread that waits on the socket; the connection is of no more use."""
        self.clean = False
        inner: Any = self.connection
        sock = inner._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close at once, politely only when no answer is outstanding."""
        inner: Any = self.connection
        with contextlib.suppress(Exception):
            if self.clean:
                inner.close()
            else:
                inner._force_close()


class Pool:
    """The sessions of one source: at most ``max_connections`` leased at a time, a few kept idle."""

    def __init__(self, name: str, settings: MySQLSettings) -> None:
        self.name = name
        self.settings = settings
        self._changed = threading.Condition()
        self._idle: list[Session] = []
        self._leased = 0
        self._closed = False

    @property
    def size(self) -> int:
        """How many sessions may be leased at once."""
        return max(1, self.settings.max_connections)

    def reserve(self, wanted: int, least: int = 1) -> int:
        """Take room for ``wanted`` sessions, or for as many as there are, at least ``least``.

        Waits up to half a minute for ``least``. Raises :class:`SourceUnavailableError` then.
        """
        deadline = time.monotonic() + _LEASE_SECONDS
        with self._changed:
            while self.size - self._leased < least:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SourceUnavailableError(
                        f"source {self.name}: all {self.size} connections (max_connections) have "
                        f"been in use for {_LEASE_SECONDS:.0f} s",
                        source=self.name,
                        retryable=True,
                        suggestions=("raise max_connections of the source",),
                    )
                self._changed.wait(left)
            granted = min(wanted, self.size - self._leased)
            self._leased += granted
            return granted

    def release(self, count: int) -> None:
        """Give room back."""
        with self._changed:
            self._leased -= count
            self._changed.notify_all()

    def session(self) -> Session:
        """An idle session that still answers, or a new one. The caller holds room for it."""
        while True:
            with self._changed:
                session = self._idle.pop() if self._idle else None
            if session is None:
                return self.open()
            idle = time.monotonic() - session.used
            if idle > _IDLE_SECONDS:
                session.close()
                continue
            if idle < _FRESH_SECONDS:
                return session
            try:
                session.connection.ping(reconnect=False)
            except Exception:
                session.close()
                continue
            return session

    def give_back(self, session: Session) -> None:
        """Keep a session for later if nothing is outstanding on it, else close it."""
        if session.clean and not self._closed:
            try:
                session.connection.rollback()
            except Exception:
                session.close()
                return
            session.used = time.monotonic()
            with self._changed:
                if not self._closed and len(self._idle) < self.size:
                    self._idle.append(session)
                    return
        session.close()

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[Session]:
        """A session for short statements (catalog, estimates, kills), outside the leases."""
        session = self.session()
        try:
            yield session
        finally:
            self.give_back(session)

    def open(self) -> Session:
        """A new session; transient failures are retried with backoff, a refused login is not."""
        delay = 0.05
        for attempt in range(_TRIES):
            try:
                return self._open()
            except SourceError as error:
                if not error.retryable or attempt == _TRIES - 1:
                    raise
            time.sleep(delay * (0.5 + random.random()))  # noqa: S311
            delay *= 4
        raise AssertionError

    def _open(self) -> Session:
        import pymysql

        settings = self.settings
        password = settings.password.reveal() if settings.password is not None else ""
        options: dict[str, Any] = {"ssl_disabled": True}
        if settings.socket is not None:
            options["unix_socket"] = str(settings.socket)
        elif settings.ssl == "prefer":
            options["ssl_disabled"] = False
        elif settings.ssl != "disable":
            options = {"ssl": self._tls()}
        try:
            connection: Connection[Any] = pymysql.connect(
                host=settings.host,
                port=settings.port,
                user=settings.user,
                password=password,
                database=settings.database or None,
                charset="utf8mb4",
                connect_timeout=max(1, min(31536000, round(settings.connect_timeout))),
                autocommit=True,
                program_name="dovetail",
                defer_connect=settings.socket is not None,
                **options,
            )
            if settings.socket is not None:
                _connect_locally(connection, str(settings.socket), settings.connect_timeout)
        except Exception as error:
            raise map_error(error, self.name, doing="connecting") from None
        session = Session(connection, self.name)
        try:
            self._pin(session)
        except BaseException:
            session.close()
            raise
        return session

    def _tls(self) -> Any:
        context = ssl.create_default_context(
            cafile=str(self.settings.ssl_ca) if self.settings.ssl_ca else None
        )
        context.check_hostname = self.settings.ssl == "verify-full"
        if self.settings.ssl == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _pin(self, session: Session) -> None:
        collations = (
            ("utf8mb4_nopad_bin",) if session.mariadb else ("utf8mb4_0900_bin", "utf8mb4_bin")
        )
        cursor = session.connection.cursor()
        with contextlib.closing(cursor):
            for collation in collations:
                try:
                    cursor.execute(f"SET NAMES utf8mb4 COLLATE {collation}")
                    break
                except Exception as error:
                    if collation == collations[-1]:
                        raise map_error(error, self.name) from error
            try:
                pinned = (*_SESSION, *(_MARIADB_SESSION if session.mariadb else ()))
                cursor.execute("SET SESSION " + ", ".join(pinned))
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SELECT @@session.max_allowed_packet")
                row = cursor.fetchone()
            except Exception as error:
                raise map_error(error, self.name) from error
        session.max_packet = int(row[0]) if row else 1 << 22

    def forget_idle(self) -> None:
        """Close the idle sessions: one of them turned out to be dead."""
        with self._changed:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def close(self) -> None:
        """Close what is idle; leased sessions close when they come back."""
        with self._changed:
            self._closed = True
        self.forget_idle()
