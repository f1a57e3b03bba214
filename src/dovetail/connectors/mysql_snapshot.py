"""One query's view of a MySQL or MariaDB server: several connections, one consistent state.

A result set occupies its connection, so every fragment that streams needs one of its own, and
MySQL cannot hand a snapshot from one connection to another. So the connections open their
snapshots together, and the server's log position is compared before the first and after the last:
had anything been committed in between, it would have moved. When it keeps moving, one connection
serves all fragments, and what is in its way is put into a spool file first: slower, never wrong.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import FragmentRequest, NativeRelation, Snapshot, Stream
from dovetail.connectors.mysql_connect import Pool, Session, map_error
from dovetail.connectors.mysql_rows import RowReader, error_packet
from dovetail.connectors.mysql_sql import Fragment
from dovetail.errors import (
    CancelledError,
    SourceError,
    SourceUnavailableError,
    TempSpaceExceededError,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.connectors.mysql import MySQLConnector

_ATTEMPTS = 6
_START = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
# MariaDB's and MySQL's name of InnoDB's log position. Every commit that changed a row moves it.
_MARKERS = ("Innodb_lsn_current", "Innodb_redo_log_current_lsn")
_MARKER_SQL = f"SHOW GLOBAL STATUS WHERE Variable_name IN {_MARKERS}"


class MySQLSnapshot(Snapshot):
    """See the module. Sessions stay in their transaction until :meth:`close`."""

    def __init__(self, connector: MySQLConnector, pool: Pool, spool_directory: str | None) -> None:
        self._connector = connector
        self._pool = pool
        self._spool_directory = spool_directory
        self._opening = threading.Lock()  # held while connections open or a stream is spooled
        self._state = threading.Condition()  # held for moments only
        self._starting = 0
        self._sessions: list[Session] = []
        self._free: list[Session] = []
        self._streams: list[_RunningStream] = []
        self._zeros: dict[str, int] = {}
        self._room = 0
        self._cancelled = False
        self._closed = False
        self.validated = True
        """False when no common snapshot of several connections came about."""

    def native(self, request: FragmentRequest, alias: str) -> NativeRelation | None:
        """Always None: the road is :meth:`read`."""
        return None

    def prepare(
        self, requests: list[FragmentRequest], later: Sequence[FragmentRequest] = ()
    ) -> None:
        """Open as many connections on one snapshot as the fragments can use."""
        with self._opening:
            if not self._sessions and requests:
                self._open(len(requests))

    def read(self, request: FragmentRequest) -> Stream:
        """Start a fragment. Raises what the source says before the first row."""
        import pyarrow as pa

        fragment = self._connector.fragment(request)
        table = request.scan.table.qualified_name if request.scan else None
        session = self._session()
        # Outside the lock: a grouping fragment may compute for long before its first row.
        try:
            session.send(self._connector.render(request))
            if self._cancelled or self._closed:
                self._kill([session])
            session.columns()
            expected = self._connector.expected_rows(request) or 0.0
            stream = _RunningStream(self, session, fragment, table, expected)
        except BaseException as error:
            self._started(None)
            if self._cancelled or self._closed:
                raise self._ended() from None
            mapped = map_error(error, self._pool.name, table=table)
            mapped.table = mapped.table or table
            raise mapped from error
        self._started(stream)
        return Stream(
            pa.RecordBatchReader.from_batches(stream.schema, stream.batches()),
            tuple(field.road.decode for field in fragment.fields),
        )

    # --- connections ------------------------------------------------------------------------

    def _session(self) -> Session:
        """A connection on the snapshot with nothing outstanding; counted as starting."""
        with self._opening:
            self._check_open()
            if not self._sessions:
                self._open(1)
            while True:
                with self._state:
                    while not self._free and self._starting and not self._running():
                        self._state.wait()
                    if self._free:
                        self._starting += 1
                        return self._free.pop()
                    running = self._running()
                self._check_open()
                if not running:
                    raise SourceUnavailableError(
                        f"source {self._pool.name}: the connection of this query was lost, and "
                        "with it its snapshot",
                        source=self._pool.name,
                        retryable=True,
                    )
                min(running, key=lambda stream: stream.expected).spool(self._spool_directory)

    def _running(self) -> list[_RunningStream]:
        return [stream for stream in self._streams if not stream.detached]

    def _started(self, stream: _RunningStream | None) -> None:
        with self._state:
            self._starting -= 1
            if stream is not None:
                self._streams.append(stream)
            self._state.notify_all()

    def _open(self, wanted: int) -> None:
        self._check_open()
        self._room = self._pool.reserve(min(wanted, self._pool.size))
        try:
            try:
                self._connect()
                self._begin()
            except SourceUnavailableError:
                # An idle connection may have died unnoticed; new ones tell how the server is.
                for session in self._sessions:
                    session.close()
                self._sessions = []
                self._pool.forget_idle()
                self._check_open()
                self._connect()
                self._begin()
        except BaseException as error:
            self.close()
            if self._cancelled:
                raise self._ended() from None
            raise map_error(error, self._pool.name) from error
        self._free = list(self._sessions)

    def _connect(self) -> None:
        while len(self._sessions) < self._room:
            try:
                session = self._pool.session()
            except SourceError:
                if not self._sessions:
                    raise
                return  # the server has no more connections to give; fewer will do
            with self._state:
                self._sessions.append(session)

    def _begin(self) -> None:
        """Start one snapshot on all sessions, or keep a single session."""
        sessions = self._sessions
        for _ in range(_ATTEMPTS if len(sessions) > 1 else 1):
            before = _marker(sessions[0]) if len(sessions) > 1 else None
            # Sent to all before any answer is awaited: the gap is as short as can be.
            for session in sessions:
                session.send(_START)
            for session in sessions:
                session.acknowledge()
            if len(sessions) == 1:
                return
            if before is None:
                break
            if _marker(sessions[0]) == before:
                return
        self.validated = False
        with self._state:
            spare, self._sessions = sessions[1:], sessions[:1]
        for session in spare:
            self._pool.give_back(session)
        self._pool.release(self._room - 1)
        self._room = 1

    def _finished(self, stream: _RunningStream) -> None:
        with self._state:
            for label, count in stream.reader.zeros.items():
                self._zeros[label] = self._zeros.get(label, 0) + count
            if not self._closed and stream.session.clean:
                self._free.append(stream.session)
            self._state.notify_all()

    def _ended(self) -> CancelledError:
        return CancelledError(f"the query on source {self._pool.name} was cancelled")

    def _check_open(self) -> None:
        if self._cancelled or self._closed:
            raise self._ended()

    # --- ending -----------------------------------------------------------------------------

    def cancel(self) -> None:
        """End every statement at the server; whoever waits for rows wakes up with an error."""
        self._cancelled = True
        with self._state:
            running = [stream.session for stream in self._running()]
            waiting = [s for s in self._sessions if not s.clean and s not in running]
        self._kill([*running, *waiting])

    def _kill(self, sessions: list[Session]) -> None:
        """End sessions at the server, then wake whoever waits for them."""
        if not sessions:
            return
        with contextlib.suppress(SourceError), self._pool.borrowed() as control:
            for session in sessions:
                # The session may be gone already.
                with contextlib.suppress(Exception), control.connection.cursor() as cursor:
                    cursor.execute(f"KILL {session.id}")
        for session in sessions:
            session.shutdown()

    def close(self) -> None:
        """Give the connections back; statements that still run are ended first."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            streams = list(self._streams)
        busy = [session for session in self._sessions if not session.clean]
        self._kill(busy)
        for stream in streams:
            stream.drop()
        with self._state:
            sessions, self._sessions, self._free = self._sessions, [], []
            room, self._room = self._room, 0
        for session in sessions:
            self._pool.give_back(session)
        if room:
            self._pool.release(room)

    def warnings(self) -> tuple[str, ...]:
        """Zero and partial dates read as NULL, per column."""
        with self._state:
            zeros = dict(self._zeros)
            for stream in self._streams:
                if not stream.detached:
                    for label, count in stream.reader.zeros.items():
                        zeros[label] = zeros.get(label, 0) + count
        return tuple(
            f"{label}: {count} zero or partial date{'s' if count > 1 else ''} read as NULL"
            for label, count in sorted(zeros.items())
        )


class _RunningStream:
    """A fragment's rows: from its session, or once spooled from a file."""

    def __init__(
        self,
        snapshot: MySQLSnapshot,
        session: Session,
        fragment: Fragment,
        table: str | None,
        expected: float,
    ) -> None:
        self.session = session
        self.expected = expected
        self.detached = False  # no longer needs its session
        self._snapshot = snapshot
        self._table = table
        self._lock = threading.Lock()
        self._spool: _Spool | None = None
        session.begin_rows()
        self.reader = RowReader(
            fragment.fields,
            fragment.extra,
            snapshot._pool.name,
            session.receive,
            self._failed,
            snapshot._pool.settings.zero_dates,
        )
        self.schema = self.reader.schema
        self._rows = iter(self.reader)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches, each read under the lock so that a spooling thread can come between."""
        while True:
            with self._lock:
                batch = self._next()
            if batch is None:
                return
            yield batch

    def _next(self) -> pa.RecordBatch | None:
        if self._spool is not None:
            return self._spool.next()
        if self.detached:
            return None
        try:
            batch = next(self._rows, None)
        except BaseException:
            self.detached = True
            self.session.clean = False
            raise
        if batch is None:
            self._detach()
        return batch

    def _detach(self) -> None:
        self.detached = True
        self.session.end_rows()
        self._snapshot._finished(self)

    def spool(self, directory: str | None) -> None:
        """Read the rest into a file, so that the session is free for another fragment."""
        with self._lock:
            if self.detached:
                return
            spool = _Spool(self.schema, directory, self._snapshot._pool.name)
            try:
                while (batch := self._next()) is not None:
                    spool.add(batch)
            except BaseException:
                spool.close()
                raise
            spool.rewind()
            self._spool = spool

    def drop(self) -> None:
        """Free the spool file, if any."""
        with self._lock:
            self.detached = True
            if self._spool is not None:
                self._spool.close()

    def _failed(self, payload: bytes | None) -> Exception:
        import pymysql

        name = self._snapshot._pool.name
        if self._snapshot._cancelled or self._snapshot._closed:
            return self._snapshot._ended()
        if payload is None:
            return SourceUnavailableError(
                f"source {name} went away while it was read",
                source=name,
                table=self._table,
                retryable=True,
            )
        number, text = error_packet(payload)
        return map_error(pymysql.err.OperationalError(number, text), name, table=self._table)


class _Spool:
    """Batches in a private temporary file that has no name."""

    def __init__(self, schema: pa.Schema, directory: str | None, source: str) -> None:
        import pyarrow as pa

        self._source = source
        descriptor, path = tempfile.mkstemp(prefix="dovetail-spool-", dir=directory)
        os.close(descriptor)
        try:
            self._sink: Any = pa.OSFile(path, "wb")
            self._writer: Any = pa.ipc.new_stream(self._sink, schema)
            self._file: Any = pa.OSFile(path, "rb")
        finally:
            os.unlink(path)
        self._reader: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        try:
            self._writer.write_batch(batch)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, None):
                raise TempSpaceExceededError(
                    f"no space left for the spool file of source {self._source}: {error}"
                ) from error
            raise

    def rewind(self) -> None:
        import pyarrow as pa

        self._writer.close()
        self._sink.close()
        self._reader = pa.ipc.open_stream(self._file)

    def next(self) -> pa.RecordBatch | None:
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            return None

    def close(self) -> None:
        for part in (self._writer, self._sink, self._file):
            with contextlib.suppress(Exception):
                part.close()


def _marker(session: Session) -> str | None:
    """InnoDB's log position now, or None when the server does not tell."""
    rows = session.rows(_MARKER_SQL)
    session.clean = True
    return str(rows[0][1]) if rows else None
