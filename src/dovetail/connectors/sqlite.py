"""SQLite files, opened read-only by DuckDB's SQLite library.

How a cell of any storage class arrives exactly is told in
:mod:`dovetail.connectors.sqlite_types`. Everything, the catalog too, goes through one copy of the
SQLite library (see :mod:`dovetail.connectors.inspector`), so locks hold as SQLite means them.

A query reads one state of the file: all its fragments run in one SQLite read transaction, which
DuckDB opens with its own. For that, native scans must not use a connection per thread.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from dovetail.catalog.model import SourceCatalog, TableInfo
from dovetail.connectors import inspector
from dovetail.connectors.base import (
    Connector,
    Estimate,
    FragmentRequest,
    Health,
    NativeRelation,
    NativeSetup,
    Snapshot,
    Stream,
)
from dovetail.connectors.file_state import SETTLED, FileState, states_with_logs
from dovetail.connectors.sqlite_catalog import SCHEMA, read_tables
from dovetail.connectors.sqlite_types import (
    TYPE_TABLE,
    decode,
    encode,
    native_column,
)
from dovetail.errors import (
    CancelledError,
    DataError,
    DovetailError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from dovetail.quoting import backticked, quote, sql_string

if TYPE_CHECKING:
    import duckdb

    from dovetail.connectors.capabilities import Capabilities

__all__ = ["TYPE_TABLE", "SQLiteConnector", "SQLiteSnapshot"]

BUSY_TIMEOUT = 5.0
"""Seconds to wait for a writer before the file counts as locked."""

_EXTENSION = "sqlite_scanner"

Stamp = tuple[tuple[int, int, int] | None, ...]


class SQLiteConnector(Connector):
    """One SQLite database file."""

    kind: ClassVar[str] = "sqlite"
    dialect: ClassVar[str] = "sqlite"

    def __init__(self, name: str, settings: Any, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, settings, options)
        self.path = Path(settings.path).expanduser().absolute()
        self._lock = threading.Lock()
        self._proofs: dict[tuple[str, str], bool] = {}
        self._proofs_of: Stamp | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The engine scans the file itself."""
        from dovetail.connectors.capabilities import sqlite as table

        return table.CAPABILITIES

    def catalog(self) -> SourceCatalog:
        """Read tables, views, keys and estimates; raises :class:`SourceUnavailableError`."""
        with self._attached() as (connection, alias):
            tables = read_tables(lambda sql: _query(connection, alias, sql), self.name)
        return SourceCatalog(self.name, SCHEMA, tables, time.time())

    def check(self) -> Health:
        """Open the file, look at its version and journal mode; a problem comes back as text."""
        started = time.perf_counter()
        try:
            with self._attached() as (connection, alias):
                version = _query(connection, alias, "SELECT sqlite_version()")[0][0]
                mode = _query(connection, alias, "SELECT * FROM pragma_journal_mode")[0][0]
                _query(connection, alias, "SELECT count(*) FROM sqlite_master")
        except DovetailError as error:
            return Health(reachable=False, authenticated=False, problem=error.message)
        return Health(
            reachable=True,
            authenticated=True,
            version=f"SQLite {version}",
            read_only=True,
            round_trip=time.perf_counter() - started,
            notes=(f"journal mode {mode}",),
        )

    def render(self, request: FragmentRequest) -> str:
        """The fragment in SQLite's SQL, as it reads without the encoding of cells."""
        if request.scan is not None:
            columns = ", ".join(quote(column) for column, _ in request.scan.columns) or "1"
            return f"SELECT {columns} FROM {quote(request.scan.table.source_name)}"
        return request.query.sql(dialect="sqlite")

    def snapshot(self) -> SQLiteSnapshot:
        """A view for one query."""
        self._require_file()
        return SQLiteSnapshot(self)

    def native_setup(self) -> NativeSetup:
        """Attach the file read-only."""
        self._require_file()
        return NativeSetup(
            extensions=(_EXTENSION,),
            statements=(
                # Scans with a connection per thread would see different states of the file.
                "SET GLOBAL sqlite_disable_multithreaded_scans = true",
                self.attach_statement("{alias}"),
            ),
        )

    def attach_statement(self, alias: str) -> str:
        """The ATTACH of this file under ``alias`` (quoted)."""
        path = sql_string(str(self.path.resolve()))
        timeout = int(BUSY_TIMEOUT * 1000)
        return f"ATTACH {path} AS {alias} (TYPE sqlite, READ_ONLY, BUSY_TIMEOUT {timeout})"

    def estimate(self, request: FragmentRequest) -> Estimate | None:
        """SQLite estimates nothing itself; a whole table's rows are known from its catalog."""
        rows = request.scan.table.row_estimate if request.scan is not None else None
        return None if rows is None else Estimate(rows=float(rows), detail="catalog")

    def translate_error(self, error: BaseException) -> Exception | None:
        """Errors of SQLite as ours; None for one that does not come from SQLite."""
        return self._error(error)

    def version(self, table: TableInfo) -> tuple[FileState, ...]:
        """The file, its write-ahead log and its rollback journal."""
        return states_with_logs(self.path, "-wal", "-journal")

    def stamp(self) -> Stamp:
        """The state of the file and its write-ahead log as the file system tells it."""
        result: list[tuple[int, int, int] | None] = []
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                status = path.stat()
            except OSError:
                result.append(None)
            else:
                # A reader makes an empty log; nothing is in it.
                state = (status.st_ino, status.st_size, status.st_mtime_ns)
                result.append(state if status.st_size else None)
        return tuple(result)

    def proven(self, table: str, doubts: Sequence[str], stamp: Stamp) -> bool:
        """Whether no cell of the table is doubtful in the state ``stamp``; asked of it only once.

        False also while the file is being written: a change within the clock's tick would leave
        its time stamp as it is, so a fresh one proves nothing.
        """
        newest = max((part[2] for part in stamp if part is not None), default=0)
        if time.time() - newest / 1e9 < SETTLED:
            return False
        with self._lock:
            if self._proofs_of != stamp:
                self._proofs, self._proofs_of = {}, stamp
            known = {doubt: self._proofs.get((table, doubt)) for doubt in doubts}
        asked = [doubt for doubt, is_known in known.items() if is_known is None]
        if False in known.values():
            return False
        if not asked:
            return True
        # A NULL cell makes most doubts NULL, which WHERE takes for false: NULL is never doubtful.
        test = f"SELECT 1 FROM {backticked(table)} WHERE {{}} LIMIT 1"
        with self._attached() as (connection, alias):
            clean = not _query(connection, alias, test.format(_any(asked)))
            found = dict.fromkeys(asked, clean)
            if not clean and len(asked) > 1:
                for doubt in asked:
                    found[doubt] = not _query(connection, alias, test.format(doubt))
        if self.stamp() != stamp:
            return False
        with self._lock:
            if self._proofs_of == stamp:
                self._proofs.update({(table, doubt): is_ok for doubt, is_ok in found.items()})
        return clean

    @contextmanager
    def _attached(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A cursor of the inspector with the file attached; each statement on its own.

        An error would end a transaction, and a broken view must not hide the other tables.
        """
        import duckdb

        self._require_file()
        inspector.load(_EXTENSION)
        alias = inspector.next_alias()
        connection = inspector.cursor()
        try:
            connection.execute("SET GLOBAL sqlite_disable_multithreaded_scans = true")
            connection.execute(self.attach_statement(alias))
            yield connection, alias
        except duckdb.Error as error:
            raise self._error(error) or self._unavailable(str(error)) from None
        finally:
            _quietly(connection, f"DETACH {alias}")
            connection.close()

    def _require_file(self) -> None:
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise SourceUnavailableError(
                f"source {self.name}: {self.path} {what}; path must name a SQLite file",
                source=self.name,
            )

    def _unavailable(self, text: str, *, retryable: bool = False) -> SourceUnavailableError:
        return SourceUnavailableError(
            f"source {self.name}: {text.splitlines()[0]}", source=self.name, retryable=retryable
        )

    def _error(self, error: BaseException) -> DovetailError | None:
        text = str(error)
        named = re.search(r"/\* dovetail ([^*]*?) :", text)
        if named and named[1] != _plain(self.name):
            return None
        if "database is locked" in text or "database table is locked" in text:
            return self._unavailable(
                f"{self.path} is locked by a writer for more than {BUSY_TIMEOUT:g} s",
                retryable=True,
            )
        if "file is not a database" in text:
            return self._unavailable(f"{self.path} is not a SQLite file (or it is encrypted)")
        if "malformed" in text and "database" in text:
            return self._unavailable(f"{self.path} is damaged: {_reason(text)}")
        if "unable to open database file" in text or "Unable to open database" in text:
            return self._unavailable(
                f"{self.path} cannot be opened (in WAL mode the folder must be writable too)"
            )
        if "disk I/O error" in text:
            return self._unavailable(f"{self.path} cannot be read: disk I/O error")
        if re.search(r"no such (table|column)|does not have a column|has no column", text):
            return StaleCatalogError(f"source {self.name}: {_reason(text)}", source=self.name)
        if "Mismatch Type Error" in text:
            return DataError(f"source {self.name}: {_reason(text)}", source=self.name)
        if "Failed to prepare query" in text:
            return SourceQueryError(f"source {self.name}: {_reason(text)}", source=self.name)
        return None


class SQLiteSnapshot(Snapshot):
    """One query's view of a SQLite file; see the module's docstring."""

    def __init__(self, connector: SQLiteConnector) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self._relied_on: Stamp | None = None  # the state that native relations were proven for
        self._begun: Stamp | None = None  # the state that the engine's transaction reads
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._alias = ""
        self._cancelled = False

    def begin_native(self, execute: Callable[[str], list[tuple[Any, ...]]], alias: str) -> None:
        """Start the read transaction; every native relation is then read from its state.

        Raises :class:`StaleCatalogError` when the file is not the one that was proven clean.
        """
        before = self._connector.stamp()
        execute(f"FROM {_sqlite_query(alias, 'SELECT count(*) FROM sqlite_master')}")
        self._begun = before if self._connector.stamp() == before else ()
        if self._relied_on is not None and self._relied_on != self._begun:
            raise StaleCatalogError(
                f"source {self._connector.name}: {self._connector.path} was written to while the "
                "query was planned",
                source=self._connector.name,
            )

    def native(self, request: FragmentRequest, alias: str) -> NativeRelation:
        """A typed scan where it is proven exact, else the encoded fragment with its decoding."""
        shown = self._connector.render(request)
        if request.scan is not None:
            scanned = self._native_scan(request, alias)
            if scanned is not None:
                return NativeRelation(scanned, shown, parallel=True)
        return NativeRelation(self._encoded(request, alias), shown, parallel=True)

    def read(self, request: FragmentRequest) -> Stream:
        """Run the fragment in the inspector and stream its batches.

        One connection serves all reads of a snapshot, so each stream must be read to its end, or
        dropped, before the next one starts.
        """
        import duckdb

        connection, alias = self._private()
        try:
            connection.execute(f"FROM {self._encoded(request, alias)}")
        except duckdb.Error as error:
            raise self._translated(error) from None
        return Stream(
            inspector.stream(connection, self._translated), (None,) * len(request.columns)
        )

    def cancel(self) -> None:
        """Interrupt what :meth:`read` started; native relations end with the engine."""
        with self._lock:
            self._cancelled = True
            if self._connection is not None:
                self._connection.interrupt()

    def close(self) -> None:
        """End the private transaction, if one was needed."""
        with self._lock:
            connection, self._connection = self._connection, None
            alias = self._alias
        if connection is not None:
            _quietly(connection, "ROLLBACK")
            _quietly(connection, f"DETACH {alias}")
            connection.close()

    def _translated(self, error: Exception) -> Exception:
        connector = self._connector
        ended = inspector.ended_by(error, connector.name, cancelled=self._cancelled)
        return ended or connector.translate_error(error) or connector._unavailable(str(error))

    def _private(self) -> tuple[duckdb.DuckDBPyConnection, str]:
        import duckdb

        with self._lock:
            if self._cancelled:
                raise CancelledError("the query was cancelled")
            if self._connection is None:
                inspector.load(_EXTENSION)
                alias = inspector.next_alias()
                connection = inspector.cursor()
                try:
                    connection.execute("SET GLOBAL sqlite_disable_multithreaded_scans = true")
                    connection.execute(self._connector.attach_statement(alias))
                    connection.execute("BEGIN TRANSACTION")
                except duckdb.Error as error:
                    connection.close()
                    translated = self._connector.translate_error(error)
                    raise translated or self._connector._unavailable(str(error)) from None
                self._connection, self._alias = connection, alias
            return self._connection, self._alias

    def _native_scan(self, request: FragmentRequest, alias: str) -> str | None:
        """The attached table as a relation, if every column is proven; else None."""
        assert request.scan is not None
        table = request.scan.table
        if not table.details.get("native"):
            return None
        generated = table.details.get("generated", ())
        doubts, items = [], []
        for (source_name, output), column in zip(
            request.scan.columns, request.columns, strict=True
        ):
            declared = _declared(table, source_name)
            if declared is None or (isinstance(generated, tuple) and source_name in generated):
                return None
            label = column.label or f"{table.qualified_name}.{source_name}"
            road = native_column(source_name, declared, column.type, label)
            if road is None:
                return None
            if not table.details.get("strict"):  # there SQLite itself checks every cell
                doubts.append(road.doubt)
            items.append(f"{road.expression} AS {quote(output)}")
        stamp = self._connector.stamp()
        if self._begun is not None and stamp != self._begun:
            return None
        if not self._connector.proven(table.source_name, doubts, stamp):
            return None
        self._relied_on = stamp
        place = f"{quote(alias)}.{SCHEMA}.{quote(table.source_name)}"
        return f"(SELECT {', '.join(items) or '1'} FROM {place})"

    def _encoded(self, request: FragmentRequest, alias: str) -> str:
        """The fragment through ``sqlite_query``, every column encoded there and decoded here."""
        names = [f"c{index}" for index in range(len(request.columns))]
        if request.scan is not None:
            inputs = [column for column, _ in request.scan.columns]
            origin = backticked(request.scan.table.source_name)
        else:
            inputs = [column.name for column in request.columns]
            query = request.query.copy()
            if query.args.get("order") and not query.args.get("limit"):
                # Without a limit SQLite drops the order of a subquery.
                query = query.limit(exp.Literal.number(-1), copy=False)
            origin = f"({query.sql(dialect='sqlite')})"
        encoded = [
            f"{encode(source, column.type)} AS {name}"
            for source, column, name in zip(inputs, request.columns, names, strict=True)
        ]
        note = f"dovetail {_plain(self._connector.name)} : {_plain(request.tag)}"
        sql = f"/* {note} */ SELECT {', '.join(encoded) or '1'} FROM {origin}"
        decoded = [
            f"{decode(column.type, name, column.label or column.name)} AS {quote(column.name)}"
            for column, name in zip(request.columns, names, strict=True)
        ]
        return f"(SELECT {', '.join(decoded) or '1'} FROM {_sqlite_query(alias, sql)})"


def _sqlite_query(alias: str, sql: str) -> str:
    return f"sqlite_query({sql_string(alias)}, {sql_string(sql)})"


def _plain(text: str) -> str:
    """``text`` with nothing in it that could end a comment."""
    return re.sub(r"[^\w .-]", "_", text)


def _query(
    connection: duckdb.DuckDBPyConnection, alias: str, sql: str
) -> list[tuple[str | None, ...]]:
    return connection.execute(f"FROM {_sqlite_query(alias, sql)}").fetchall()


def _quietly(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Run a statement of cleaning up; what it says is of no use any more."""
    import contextlib

    with contextlib.suppress(Exception):
        connection.execute(sql)


def _any(conditions: Sequence[str]) -> str:
    """All conditions joined by OR, in groups: SQLite allows an expression a depth of 1,000."""
    groups = [conditions[start : start + 100] for start in range(0, len(conditions), 100)]
    return " OR ".join(f"({' OR '.join(group)})" for group in groups)


def _declared(table: TableInfo, source_name: str) -> str | None:
    for column in table.columns:
        if column.source_name == source_name:
            return column.native_type
    return None


def _reason(text: str) -> str:
    """SQLite's own words: what follows the repeated SQL in ``Failed to prepare query "…": …``."""
    last = text.rsplit('": ', 1)[-1] if "Failed to prepare query" in text else text
    return re.sub(r"^[A-Z][\w ]* Error: ", "", last.splitlines()[0]).strip()
