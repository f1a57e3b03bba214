"""A private DuckDB instance, one per process, with which connectors look at local files.

Why not Python's ``sqlite3`` or a short ``duckdb.connect(path)``: file locks belong to a process,
and closing any handle on a file drops every lock the process holds on it. A second library that
opens and closes a database while the engine reads it would take the engine's lock away, and a
writer in another process could change the file in the middle of a scan. So all reads of one
database go through one copy of the library that manages its locks, and a DuckDB file stays open
here as long as any session of this process uses it.

The instance never downloads an extension and is never handed a user's SQL.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dovetail.errors import DATA_MARK, CancelledError, DataError, DovetailError
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_lock = threading.RLock()
_numbers = itertools.count(1)
_root: duckdb.DuckDBPyConnection | None = None
_root_process = 0
_loaded: set[str] = set()
_held: dict[str, Attachment] = {}

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


@dataclass
class Attachment:
    """A DuckDB file open in a locked instance of its own, counted by :func:`hold`."""

    path: str
    alias: str
    instance: duckdb.DuckDBPyConnection
    users: int = field(default=1)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A fresh cursor. The caller closes it."""
        return self.instance.cursor()


def cursor() -> duckdb.DuckDBPyConnection:
    """A fresh cursor of the shared instance, which may read any file. The caller closes it."""
    global _root, _root_process
    with _lock:
        if _root is None or _root_process != os.getpid():
            import duckdb

            _root = duckdb.connect(":memory:", config=_CONFIG)
            _root.execute("SET GLOBAL TimeZone = 'UTC'")
            _root_process = os.getpid()
            _loaded.clear()
        return _root.cursor()


def load(extension: str) -> None:
    """Load a bundled extension into the shared instance, once (it takes some 0.1 s)."""
    from dovetail.connectors.extensions import extension_path

    with _lock:
        connection = cursor()
        try:
            if extension not in _loaded:
                connection.execute(f"LOAD {sql_string(str(extension_path(extension)))}")
                _loaded.add(extension)
        finally:
            connection.close()


def next_alias() -> str:
    """A database alias that nothing in this process uses yet."""
    return f"inspected_{next(_numbers)}"


def hold(path: str) -> Attachment:
    """Open a DuckDB file read-only in a locked instance, or share the one that is open.

    The instance can read nothing but this file, so a view in it that calls ``read_csv`` finds
    nothing. ``path`` is absolute with links resolved. Raises ``duckdb.Error`` as DuckDB does.
    Give back with :func:`release`.
    """
    with _lock:
        held = _held.get(path)
        if held is not None:
            held.users += 1
            return held
        import duckdb

        alias = next_alias()
        instance = duckdb.connect(":memory:", config=_CONFIG)
        try:
            instance.execute("SET GLOBAL TimeZone = 'UTC'")
            instance.execute(f"ATTACH {sql_string(path)} AS {alias} (TYPE duckdb, READ_ONLY)")
            instance.execute("SET enable_external_access = false")
            instance.execute("SET lock_configuration = true")
        except BaseException:
            instance.close()
            raise
        _held[path] = Attachment(path, alias, instance)
        return _held[path]


def release(attachment: Attachment) -> None:
    """Give an attachment back; the last user closes the file."""
    with _lock:
        attachment.users -= 1
        if attachment.users == 0:
            _held.pop(attachment.path, None)
            attachment.instance.close()


class Cursors:
    """The cursors of one query, which any thread may cancel."""

    def __init__(self) -> None:
        self.cancelled = False
        self._lock = threading.Lock()
        self._open: list[duckdb.DuckDBPyConnection] = []

    def add(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Take a cursor over; once cancelled it is closed instead, with CancelledError."""
        with self._lock:
            if not self.cancelled:
                self._open.append(cursor)
                return
        cursor.close()
        self.check()

    def check(self) -> None:
        """Raise CancelledError once cancelled."""
        if self.cancelled:
            raise CancelledError("the query was cancelled")

    def cancel(self) -> None:
        """Interrupt what they run; nothing runs on them any more."""
        with self._lock:
            self.cancelled = True
            for cursor in self._open:
                cursor.interrupt()

    def close(self) -> None:
        """Close them."""
        with self._lock:
            cursors, self._open = self._open, []
        for cursor in cursors:
            cursor.close()


def ended_by(error: Exception, source: str, *, cancelled: bool) -> DovetailError | None:
    """What ended a read of ``source`` that did not fail there: a cancel, or a value of its data."""
    text = str(error)
    if "interrupt" in text.lower() or cancelled:
        return CancelledError("the query was cancelled")
    _, found, message = text.partition(DATA_MARK)
    return DataError(message.splitlines()[0], source=source) if found else None


def stream(
    connection: duckdb.DuckDBPyConnection, translate: Callable[[Exception], Exception]
) -> pa.RecordBatchReader:
    """The result that ``connection`` has pending, its errors passed through ``translate``."""
    import pyarrow as pa

    reader = connection.to_arrow_reader(65_536)

    def batches() -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except Exception as error:
                raise translate(error) from None
            yield batch

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def holds(path: str) -> bool:
    """Whether this file is open here; then nobody may open and close it (see above)."""
    with _lock:
        return path in _held
