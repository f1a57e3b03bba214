"""DuckDB files, attached read-only: every type passes exactly, everything can be pushed.

The catalog is read through the process-wide inspector (:mod:`dovetail.connectors.inspector`),
which keeps the file open until the connector is closed; see there for why. While a session has
the file open no other process can write to it, which is DuckDB's own rule, so a query always sees
one state of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from dovetail.catalog.model import (
    ColumnInfo,
    ForeignKey,
    SourceCatalog,
    TableInfo,
)
from dovetail.connectors import inspector
from dovetail.connectors.base import (
    Connector,
    FragmentRequest,
    Health,
    NativeRelation,
    NativeSetup,
    Snapshot,
    Stream,
)
from dovetail.connectors.file_state import FileState, states_with_logs
from dovetail.errors import (
    DovetailError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from dovetail.quoting import quote, sql_string
from dovetail.types import parse_type

if TYPE_CHECKING:
    import duckdb

    from dovetail.connectors.capabilities import Capabilities

TYPE_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("every DuckDB type", "the same", "native", "the file is attached; no value is converted"),
)

_ATTACH_OPTIONS = "TYPE duckdb, READ_ONLY"


class DuckDBConnector(Connector):
    """One DuckDB database file."""

    kind: ClassVar[str] = "duckdb"
    dialect: ClassVar[str] = "duckdb"

    def __init__(self, name: str, settings: Any, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, settings, options)
        self.path = Path(settings.path).expanduser().absolute()
        self._lock = threading.Lock()
        self._attachment: inspector.Attachment | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._aliases: set[str] = set()  # by which engines know the file

    @property
    def capabilities(self) -> Capabilities:
        """The engine's own semantics: everything is the same."""
        from dovetail.connectors.capabilities import duckdb as table

        return table.CAPABILITIES

    def attached(self) -> inspector.Attachment:
        """The file as the inspector holds it; opens it first if need be."""
        import duckdb

        with self._lock:
            if self._attachment is None:
                self._require_file()
                try:
                    stamp = _stamp(self.path)
                    self._attachment = inspector.hold(str(self.path.resolve()))
                    self._stamp = stamp
                except (duckdb.Error, OSError) as error:
                    raise self._unavailable(error) from None
            return self._attachment

    def catalog(self) -> SourceCatalog:
        """Read tables and views of all schemas; raises :class:`SourceUnavailableError`."""
        import duckdb

        attachment = self.attached()
        connection = attachment.cursor()
        try:
            tables = _read_catalog(connection, attachment.alias, self.name)
        except duckdb.Error as error:
            raise self._unavailable(error) from None
        finally:
            connection.close()
        return SourceCatalog(self.name, "main", tables, time.time())

    def check(self) -> Health:
        """Attach the file and look at its version; a problem comes back as text."""
        started = time.perf_counter()
        try:
            attachment = self.attached()
            connection = attachment.cursor()
            try:
                rows = connection.execute(
                    "SELECT tags['storage_version'] FROM duckdb_databases() "
                    "WHERE database_name = ?",
                    [attachment.alias],
                ).fetchall()
            finally:
                connection.close()
        except DovetailError as error:
            return Health(reachable=False, authenticated=False, problem=error.message)
        version = f"DuckDB storage {rows[0][0]}" if rows and rows[0][0] else "DuckDB file"
        return Health(
            reachable=True,
            authenticated=True,
            version=version,
            read_only=True,
            round_trip=time.perf_counter() - started,
        )

    def render(self, request: FragmentRequest) -> str:
        """The fragment's SQL, tables by schema and name as the file has them."""
        return request.query.sql(dialect="duckdb")

    def snapshot(self) -> DuckDBSnapshot:
        """A view of the attached file.

        Raises :class:`StaleCatalogError`, once, when a writer got at the file since it was opened:
        it is open anew then.
        """
        self.attached()
        with self._lock:
            try:
                unchanged = _stamp(self.path) == self._stamp
            except OSError as error:
                raise self._unavailable(error) from None
        if not unchanged:
            self.close()
            self.attached()
            raise StaleCatalogError(
                f"source {self.name}: {self.path} was changed since it was opened",
                source=self.name,
            )
        return DuckDBSnapshot(self)

    def native_setup(self) -> NativeSetup:
        """Attach the file read-only."""
        self._require_file()
        path = sql_string(str(self.path.resolve()))
        # The comment makes the setup of a changed file another one, for which the engine opens
        # the file anew.
        state = "-".join(map(str, _stamp(self.path)))
        attach = f"ATTACH {path} AS {{alias}} ({_ATTACH_OPTIONS}) /* {state} */"
        return NativeSetup(statements=(attach,))

    def version(self, table: TableInfo) -> tuple[FileState, ...]:
        """The file and its write-ahead log.

        Raises :class:`StaleCatalogError` when it is not the file that was opened any more.
        """
        if self._stamp is not None and _stamp(self.path) != self._stamp:
            raise StaleCatalogError(
                f"source {self.name}: {self.path} was changed", source=self.name
            )
        return states_with_logs(self.path, ".wal")

    def translate_error(self, error: BaseException) -> Exception | None:
        """Errors of reading the attached file as ours; None when they are not about this file."""
        text = str(error)
        gone = "not found in FROM clause" in text or "does not exist" in text
        if gone and any(quote(alias) in text for alias in self._aliases):
            return StaleCatalogError(f"source {self.name}: {_first_line(text)}", source=self.name)
        if str(self.path) in text or str(self.path.resolve()) in text:
            return self._unavailable(error)
        return None

    def close(self) -> None:
        """Let go of the file, so that writers may open it again."""
        with self._lock:
            if self._attachment is not None:
                inspector.release(self._attachment)
                self._attachment = None

    def _require_file(self) -> None:
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise SourceUnavailableError(
                f"source {self.name}: {self.path} {what}; path must name a DuckDB file",
                source=self.name,
            )

    def _unavailable(self, error: BaseException) -> SourceUnavailableError:
        text = str(error)
        if "Could not set lock" in text or "Conflicting lock" in text:
            holder = _between(text, "(PID ", ")")
            by = f" by process {holder}" if holder else ""
            message = (
                f"{self.path} is open for writing{by}; DuckDB files have one writer or readers"
            )
            return SourceUnavailableError(
                f"source {self.name}: {message}", source=self.name, retryable=True
            )
        if "Unique file handle conflict" in text:
            message = (
                f"{self.path} is open for writing in this very process; close that connection, "
                "or open it with read_only=True"
            )
        elif "not a valid DuckDB database file" in text:
            message = f"{self.path} is not a DuckDB database file"
        elif "encrypt" in text.lower():
            message = f"{self.path} is encrypted; encrypted files are not supported yet"
        elif isinstance(error, PermissionError) or "Permission denied" in text:
            message = f"{self.path} may not be read by this user"
        else:
            message = text.split("\n", 1)[0]
        return SourceUnavailableError(f"source {self.name}: {message}", source=self.name)


class DuckDBSnapshot(Snapshot):
    """One query's view of a DuckDB file."""

    def __init__(self, connector: DuckDBConnector) -> None:
        self._connector = connector
        self._cursors = inspector.Cursors()

    def native(self, request: FragmentRequest, alias: str) -> NativeRelation:
        """The fragment over the attached file, its tables prefixed with ``alias``."""
        self._connector._aliases.add(alias)
        return NativeRelation(
            f"({qualified(request.query, alias).sql(dialect='duckdb')})",
            self._connector.render(request),
            parallel=True,
        )

    def read(self, request: FragmentRequest) -> Stream:
        """Run the fragment in the inspector and stream its batches."""
        import duckdb

        attachment = self._connector.attached()
        cursor = attachment.cursor()
        self._cursors.add(cursor)
        try:
            cursor.execute(_for_arrow(request, attachment.alias))
        except duckdb.Error as error:
            raise self._translated(error) from None
        return Stream(inspector.stream(cursor, self._translated), (None,) * len(request.columns))

    def _translated(self, error: Exception) -> Exception:
        import duckdb

        source = self._connector.name
        ended = inspector.ended_by(error, source, cancelled=self._cursors.cancelled)
        if ended is not None:
            return ended
        message = f"source {source}: {_first_line(str(error))}"
        if isinstance(error, (duckdb.CatalogException, duckdb.BinderException)):
            return StaleCatalogError(message, source=source)
        return SourceQueryError(message, source=source)

    def cancel(self) -> None:
        """Interrupt whatever :meth:`read` started; native relations end with the engine."""
        self._cursors.cancel()

    def close(self) -> None:
        """Close the cursors; the file stays attached for the next query."""
        self._cursors.close()


_NOT_IN_ARROW = re.compile(r"\b(BIT|UHUGEINT|TIME WITH TIME ZONE)\b")


def _for_arrow(request: FragmentRequest, alias: str) -> str:
    """The fragment, types that Arrow would change as text; the engine casts them back."""
    text = qualified(request.query, alias).sql(dialect="duckdb")
    if not any(_NOT_IN_ARROW.search(column.type.text) for column in request.columns):
        return text
    items = [
        f"CAST({quote(c.name)} AS VARCHAR) AS {quote(c.name)}"
        if _NOT_IN_ARROW.search(c.type.text)
        else quote(c.name)
        for c in request.columns
    ]
    return f"SELECT {', '.join(items)} FROM ({text})"


def qualified(query: exp.Query, alias: str) -> exp.Query:
    """A copy of ``query`` whose tables carry ``alias`` as their database.

    A bare name that a WITH of the query defines is left alone; any other bare name is a table of
    the default schema.
    """
    copied = query.copy()
    defined = {cte.alias.lower() for cte in copied.find_all(exp.CTE)}
    for table in copied.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.catalog:
            continue
        if not table.db:
            if table.name.lower() in defined:
                continue
            table.set("db", exp.to_identifier("main", quoted=True))
        table.set("catalog", exp.to_identifier(alias, quoted=True))
    return copied


def _read_catalog(
    connection: duckdb.DuckDBPyConnection, alias: str, source: str
) -> tuple[TableInfo, ...]:
    columns: dict[tuple[str, str], list[ColumnInfo]] = {}
    for schema, table, name, data_type, nullable, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, is_nullable, comment "
        "FROM duckdb_columns() WHERE database_name = ? AND NOT internal "
        "ORDER BY schema_name, table_name, column_index",
        [alias],
    ).fetchall():
        columns.setdefault((schema, table), []).append(
            ColumnInfo(
                name, parse_type(data_type), data_type, bool(nullable), comment=comment or ""
            )
        )
    primary: dict[tuple[str, str], tuple[str, ...]] = {}
    unique: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    foreign: dict[tuple[str, str], list[ForeignKey]] = {}
    for schema, table, kind, names, ref_table, ref_names in connection.execute(
        "SELECT schema_name, table_name, constraint_type, constraint_column_names, "
        "referenced_table, referenced_column_names FROM duckdb_constraints() "
        "WHERE database_name = ?",
        [alias],
    ).fetchall():
        place = (schema, table)
        if kind == "PRIMARY KEY":
            primary[place] = tuple(names)
        elif kind == "UNIQUE":
            unique.setdefault(place, []).append(tuple(names))
        elif kind == "FOREIGN KEY":
            key = ForeignKey(tuple(names), schema, ref_table, tuple(ref_names))
            foreign.setdefault(place, []).append(key)
    result = []
    for schema, table, kind, comment, estimate, definition in connection.execute(
        "SELECT schema_name, table_name, 'table', comment, estimated_size, sql "
        "FROM duckdb_tables() "
        "WHERE database_name = $1 AND NOT internal UNION ALL "
        "SELECT schema_name, view_name, 'view', comment, NULL, sql FROM duckdb_views() "
        "WHERE database_name = $1 AND NOT internal ORDER BY 1, 2",
        [alias],
    ).fetchall():
        place = (schema, table)
        found = columns.get(place, [])
        # What a generated column calls, perhaps the clock, is called whenever it is read.
        details: dict[str, object] = {"computed": "GENERATED" in (definition or "")}
        if kind == "view":
            # Nobody has judged what a view in a file calls: whoever plans a query over it does.
            details["definition"] = definition
            found, problem = _view_columns(connection, alias, schema, table)
            if problem:
                details["problem"] = problem
        result.append(
            TableInfo(
                source,
                schema,
                table,
                tuple(found),
                kind=kind,
                comment=comment or "",
                primary_key=primary.get(place, ()),
                unique_keys=tuple(unique.get(place, ())),
                foreign_keys=tuple(foreign.get(place, ())),
                row_estimate=estimate,
                details=details,
            )
        )
    return tuple(result)


def _view_columns(
    connection: duckdb.DuckDBPyConnection, alias: str, schema: str, view: str
) -> tuple[list[ColumnInfo], str]:
    """Columns of a view by binding it; a view that no longer binds is listed with its problem.

    The columns DuckDB stores for a view are those of the day it was made.
    """
    import duckdb

    try:
        rows = connection.execute(
            f"DESCRIBE SELECT * FROM {quote(alias)}.{quote(schema)}.{quote(view)}"
        ).fetchall()
    except duckdb.Error as error:
        return [], str(error).splitlines()[0]
    return [ColumnInfo(row[0], parse_type(row[1]), row[1]) for row in rows], ""


def _first_line(text: str) -> str:
    """DuckDB's message without its kind and the lines that point into our SQL."""
    return text.split("\n", 1)[0].partition("Error: ")[2] or text.split("\n", 1)[0]


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _between(text: str, start: str, end: str) -> str:
    head, found, tail = text.partition(start)
    del head
    return tail.partition(end)[0] if found else ""
