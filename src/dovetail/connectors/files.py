"""A folder of files as a source, and files named by path in a query.

Each file of a known kind is a table named by its stem; where two stems of one folder are the same
(ignoring case) both tables carry their full file names. Folders below are schemas (``a/b`` for
nested ones), the root is ``main``. A folder that holds ``key=value`` folders is one table with
these keys as columns. Tables named in the configuration come first and may be globs. Links that
lead out of the folder are not followed.

The engine reads CSV, JSON and Parquet itself; Arrow and Excel files come as streams.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
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
from dovetail.connectors.file_state import FileState, states_of
from dovetail.connectors.files_formats import TABLE_FORMATS, split_name, spool_stdin
from dovetail.connectors.files_look import FileSet, readable_paths, reading_error
from dovetail.connectors.files_options import check_options
from dovetail.connectors.files_paths import (
    FILE_FUNCTIONS,
    FileTable,
    database_file,
    file_function,
    file_table,
)
from dovetail.errors import (
    InternalError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from dovetail.quoting import quote

if TYPE_CHECKING:
    from dovetail.connectors.capabilities import Capabilities

__all__ = [
    "FILE_FUNCTIONS",
    "TYPE_TABLE",
    "FileTable",
    "FilesConnector",
    "FilesSnapshot",
    "PathsConnector",
    "database_file",
    "file_function",
    "file_table",
    "spool_stdin",
]

DEFAULT_SCHEMA = "main"
_STREAMED = ("arrow", "excel")

TYPE_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("CSV: whole numbers", "BIGINT", "read_csv", "a later 1.5 is an error, never rounded"),
    ("CSV: numbers with decimals", "DOUBLE", "read_csv", "also whole numbers beyond 64 bits"),
    ("CSV: true, false", "BOOLEAN", "read_csv", ""),
    ("CSV: dates", "DATE", "read_csv", "a later time of day is an error"),
    ("CSV: dates with times", "TIMESTAMP", "read_csv", "up to microseconds, finer is an error"),
    ("CSV: times with a zone", "TIMESTAMP WITH TIME ZONE", "read_csv", "shown in UTC"),
    ("CSV: times of day", "TIME", "read_csv", "up to microseconds, finer is an error"),
    ("CSV: anything else", "VARCHAR", "read_csv", "an empty field, quoted or not, is NULL"),
    ("JSON: whole numbers", "BIGINT", "read_json", "beyond 64 bits DOUBLE, as in DuckDB"),
    ("JSON: other numbers", "DOUBLE", "read_json", ""),
    ("JSON: strings", "VARCHAR, DATE, TIMESTAMP, UUID", "read_json", "by all values"),
    ("JSON: objects and arrays", "STRUCT, MAP, list", "read_json", ""),
    ("JSON: mixed kinds in one key", "JSON", "read_json", ""),
    (
        "Parquet: every type",
        "as DuckDB maps it",
        "read_parquet",
        "decimals beyond 38 digits: error",
    ),
    ("Arrow: timestamp[ns] with zone", "TIMESTAMP WITH TIME ZONE", "stream", "below 1 µs: error"),
    ("Arrow: duration", "INTERVAL", "stream", "below 1 µs: error"),
    ("Arrow: decimal256 beyond 38 digits, union", "unreadable", "", "selecting it is an error"),
    ("Arrow: every other type", "as DuckDB maps it", "stream", ""),
    ("Excel: numbers without fraction", "BIGINT", "stream", "within ±2^53"),
    ("Excel: other numbers", "DOUBLE", "stream", ""),
    ("Excel: dates, times", "DATE, TIMESTAMP, TIME, INTERVAL", "stream", "by cell format"),
    ("Excel: mixed columns", "VARCHAR", "stream", "each cell as DuckDB writes it"),
    ("Excel: empty and error cells", "NULL", "stream", "#N/A, #DIV/0! and the like"),
)


class FilesConnector(Connector):
    """A configured folder."""

    kind: ClassVar[str] = "files"
    dialect: ClassVar[str] = "duckdb"

    def __init__(self, name: str, settings: Any, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, settings, options)
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, str], FileTable] = {}
        self._listed = False

    @property
    def capabilities(self) -> Capabilities:
        """The engine reads files itself: everything is the same."""
        from dovetail.connectors.capabilities import duckdb as table

        return table.CAPABILITIES

    @property
    def spool(self) -> Path:
        """The session's private folder for unpacked files."""
        return Path(self.options["spool_directory"])

    @property
    def root(self) -> Path:
        """The folder, links resolved."""
        return Path(os.path.realpath(Path(self.settings.path).expanduser()))

    def catalog(self) -> SourceCatalog:
        """List the folder; nothing is opened. Raises :class:`SourceUnavailableError`."""
        self._require_folder()
        tables = tuple(self._list())
        with self._lock:
            self._tables = {(t.schema.lower(), t.name.lower()): t for t in tables}
            self._listed = True
        return SourceCatalog(self.name, DEFAULT_SCHEMA, tables, time.time())

    def check(self) -> Health:
        """Whether the folder can be listed."""
        started = time.perf_counter()
        try:
            self._require_folder()
            with os.scandir(self.root) as entries:
                count = sum(1 for _ in entries)
        except SourceUnavailableError as error:
            return Health(reachable=False, authenticated=False, problem=error.message)
        except OSError as error:
            problem = f"{self.root} cannot be listed: {error.strerror}"
            return Health(reachable=True, authenticated=False, problem=problem)
        return Health(
            reachable=True,
            authenticated=True,
            version="folder",
            read_only=True,
            round_trip=time.perf_counter() - started,
            notes=(f"{count} entries",),
        )

    def table(self, schema: str, name: str) -> FileTable:
        """The table of that name. Raises :class:`StaleCatalogError` when there is none."""
        if not self._listed:
            self.catalog()
        with self._lock:
            found = self._tables.get(((schema or DEFAULT_SCHEMA).lower(), name.lower()))
        if found is None:
            raise StaleCatalogError(
                f"source {self.name}: no table {name}", source=self.name, table=name
            )
        return found

    def render(self, request: FragmentRequest) -> str:
        """The reader calls that the engine or the stream runs."""
        if request.scan is not None:
            table = self._file_table(request.scan.table)
            columns = ", ".join(quote(column) for column, _ in request.scan.columns) or "1"
            reader = table.look.reader or f"{table.files.format} {table.files.shown}"
            return f"SELECT {columns} FROM {reader}"
        return request.query.sql(dialect="duckdb")

    def snapshot(self) -> FilesSnapshot:
        """A view for one query: files that change between planning and reading are an error."""
        return FilesSnapshot(self)

    def native_setup(self) -> NativeSetup:
        """Let the engine read the folder, configured globs and the spool folder; nothing else."""
        directories = {str(self.root), os.path.realpath(self.spool)}
        for entry in self.settings.tables.values():
            full = os.path.join(self.root, os.path.expanduser(entry.path))
            while set(full) & set("*?[") or not os.path.isdir(full):
                full = os.path.dirname(full)
            directories.add(os.path.realpath(full))
        return NativeSetup(allowed_directories=tuple(sorted(directories)))

    def estimate(self, request: FragmentRequest) -> Estimate | None:
        """Exact rows where the file records them."""
        if request.scan is None:
            return None
        rows = self._file_table(request.scan.table).row_estimate
        return None if rows is None else Estimate(rows=float(rows), detail="file metadata")

    def version(self, table: TableInfo) -> tuple[FileState, ...]:
        """The files of the table.

        Raises :class:`StaleCatalogError` when they are not those that its columns were told by.
        """
        found = self._file_table(table)
        if found.changed():
            raise StaleCatalogError(
                f"source {self.name}: {found.files.shown} was changed", source=self.name
            )
        return states_of(found.files.paths)

    def translate_error(self, error: BaseException) -> Exception | None:
        """Reading errors of this source's files as ours; None for any other error."""
        text = str(error)
        places = self.native_setup().allowed_directories
        if not any(place in text for place in places):
            return None
        if re.search(r"(?i)no files found|no such file|does not exist|cannot open file", text):
            return StaleCatalogError(
                f"source {self.name}: a file went away while it was read", source=self.name
            )
        if "Permission" in type(error).__name__:
            return SourceQueryError(f"source {self.name}: {text.splitlines()[0]}", source=self.name)
        found = reading_error(error)
        found.source = self.name
        return found

    def _file_table(self, table: TableInfo) -> FileTable:
        if isinstance(table, FileTable):
            return table
        return self.table(table.schema, table.name)

    def _require_folder(self) -> None:
        if not self.root.is_dir():
            what = "is not a folder" if self.root.exists() else "does not exist"
            raise SourceUnavailableError(
                f"source {self.name}: {self.settings.path} {what}; "
                "path must name a folder of files",
                source=self.name,
            )

    def _list(self) -> Iterator[FileTable]:
        configured = {name.lower() for name in self.settings.tables}
        for name, entry in self.settings.tables.items():
            yield self._configured(name, entry)
        for schema, directory, names, partitioned in self._folders():
            for name, path in partitioned:
                if schema != DEFAULT_SCHEMA or name.lower() not in configured:
                    yield self._partitioned(schema, name, path)
            taken = {name.lower() for name, _ in partitioned}
            if schema == DEFAULT_SCHEMA:
                taken |= configured
            stems: dict[str, int] = {}
            for name in names:
                stem = split_name(name).stem.lower()
                stems[stem] = stems.get(stem, 0) + 1
            for name in names:
                stem = split_name(name).stem
                unique = stems[stem.lower()] == 1 and stem.lower() not in taken
                yield self._single(schema, stem if unique else name, os.path.join(directory, name))

    def _folders(self) -> Iterator[tuple[str, str, list[str], list[tuple[str, str]]]]:
        """``(schema, folder, table files, partitioned tables)`` for the root and below."""
        root = str(self.root)
        hidden = self.settings.hidden
        for directory, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if hidden or not f.startswith("."))
            partitioned = []
            for folder in list(folders):
                path = os.path.join(directory, folder)
                if _is_partitioned(path):
                    partitioned.append((folder, path))
                    folders.remove(folder)
            names = [
                name
                for name in sorted(files)
                if (hidden or not name.startswith("."))
                and split_name(name).format in TABLE_FORMATS
                and _within(root, os.path.join(directory, name))
            ]
            relative = os.path.relpath(directory, root)
            schema = DEFAULT_SCHEMA if relative == "." else relative.replace(os.sep, "/")
            yield schema, directory, names, partitioned

    def _single(self, schema: str, name: str, path: str) -> FileTable:
        format_ = split_name(path).format
        assert format_ is not None
        shown = os.path.relpath(path, self.root)
        files = FileSet((os.path.realpath(path),), format_, shown, self.spool)
        return FileTable(self.name, schema, name, files)

    def _partitioned(self, schema: str, name: str, path: str) -> FileTable:
        table = file_table(
            path,
            base_directory=self.root,
            allowed_directories=[self.root],
            spool_directory=self.spool,
            source=self.name,
        )
        return FileTable(self.name, schema, name, table.files, refind=table.refind)

    def _configured(self, name: str, entry: Any) -> FileTable:
        directories = [Path(place) for place in self.native_setup().allowed_directories]
        table = file_table(
            entry.path,
            base_directory=self.root,
            allowed_directories=directories,
            spool_directory=self.spool,
            format=entry.format,
            options=entry.options,
            source=self.name,
        )
        check_options(table.files.format, entry.options, f"source {self.name}, table {name}")
        return FileTable(self.name, DEFAULT_SCHEMA, name, table.files, refind=table.refind)


class PathsConnector(FilesConnector):
    """The unnamed source of a session: files named by path in a query, and ``stdin``.

    Tables come from :meth:`path`, :meth:`function` and :meth:`spooled`, not from a listing.
    ``allowed_directories`` are those of the session, links resolved here.
    """

    def __init__(
        self,
        name: str,
        *,
        base_directory: Path,
        allowed_directories: Sequence[Path],
        spool_directory: Path,
    ) -> None:
        super().__init__(name, None, {"spool_directory": spool_directory})
        self.base_directory = base_directory
        self.allowed_directories = tuple(allowed_directories)

    @property
    def local(self) -> bool:
        """Files that are named by path are read here, like those of a source."""
        return True

    @property
    def root(self) -> Path:
        """The folder that relative paths start from."""
        return Path(os.path.realpath(self.base_directory))

    def catalog(self) -> SourceCatalog:
        """Nothing is listed: a path names a table only in the query that spells it."""
        return SourceCatalog(self.name, DEFAULT_SCHEMA, (), time.time())

    def path(self, path: str | Sequence[str]) -> FileTable:
        """The table of a bare ``'path'`` in FROM; raises as :func:`file_table` does."""
        return file_table(path, source=self.name, **self._places())

    def function(
        self, function: str, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> FileTable:
        """The table of a ``read_csv(…)`` call; raises as :func:`file_function` does."""
        return file_function(function, arguments, options, source=self.name, **self._places())

    def reading(self, path: str, format: str | None, options: Mapping[str, Any]) -> FileTable:
        """The table of a path read by options; also of a file that the session itself wrote."""
        places = self._places()
        if Path(path).is_relative_to(self.spool):
            places["allowed_directories"] = (self.spool,)
        return file_table(path, source=self.name, format=format, options=options, **places)

    def database(self, path: str) -> tuple[str, Path]:
        """Kind and path of the database file in ``'db.sqlite'.table``."""
        return database_file(
            path,
            base_directory=self.base_directory,
            allowed_directories=self.allowed_directories,
        )

    def spooled(self, path: Path, name: str = "stdin") -> FileTable:
        """The table of a file in the spool folder, such as :func:`spool_stdin` wrote."""
        return file_table(
            str(path),
            base_directory=self.spool,
            allowed_directories=[self.spool],
            spool_directory=self.spool,
            source=self.name,
            name=name,
        )

    def native_setup(self) -> NativeSetup:
        """Let the engine read the allowed directories and the spool folder."""
        places = (*self.allowed_directories, self.spool)
        real = {os.path.realpath(place) for place in places}
        return NativeSetup(allowed_directories=tuple(sorted(real)))

    def _places(self) -> dict[str, Any]:
        return {
            "base_directory": self.base_directory,
            "allowed_directories": self.allowed_directories,
            "spool_directory": self.spool,
        }


class FilesSnapshot(Snapshot):
    """One query's view of the files; see :meth:`FilesConnector.snapshot`."""

    def __init__(self, connector: FilesConnector) -> None:
        self._connector = connector
        self._cursors = inspector.Cursors()

    def native(self, request: FragmentRequest, alias: str) -> NativeRelation | None:
        """The reader call with everything pinned; None when an Arrow or Excel file is in it."""
        tables = self._tables(request)
        if any(table.files.format in _STREAMED for table in tables.values()):
            return None
        sources = {key: table.look.relation(_place(table)) for key, table in tables.items()}
        return NativeRelation(_select(request, sources), self._connector.render(request), True)

    def read(self, request: FragmentRequest) -> Stream:
        """Stream the fragment: an Arrow or Excel scan directly, anything else through DuckDB."""
        import duckdb
        import pyarrow as pa

        tables = self._tables(request)
        decode = (None,) * len(request.columns)
        scanned = next(iter(tables.values())) if request.scan is not None else None
        if scanned is not None and request.scan and scanned.files.format in _STREAMED:
            names = [_arrow_name(scanned, column) for column, _ in request.scan.columns]
            reader = _open(scanned, names)
            renamed = [
                field.with_name(output)
                for field, (_, output) in zip(reader.schema, request.scan.columns, strict=True)
            ]
            schema = pa.schema(renamed)
            batches = (
                pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                for batch in self._watched(reader)
            )
            return Stream(pa.RecordBatchReader.from_batches(schema, batches), decode)

        cursor = inspector.cursor()
        self._cursors.add(cursor)
        sources = {}
        for number, (key, table) in enumerate(tables.items()):
            if table.files.format in _STREAMED:
                columns = table.columns
                reader = _open(table, [column.source_name for column in columns])
                cursor.register(
                    f"arrow_{number}",
                    reader.rename_columns([c.name for c in columns])
                    if hasattr(reader, "rename_columns")
                    else reader,
                )
                sources[key] = f"arrow_{number}"
            else:
                sources[key] = table.look.relation(_place(table))
        try:
            cursor.execute(f"FROM {_select(request, sources)}")
        except duckdb.Error as error:
            raise self._translated(error) from None
        return Stream(inspector.stream(cursor, self._translated), decode)

    def cancel(self) -> None:
        """Stop what :meth:`read` started."""
        self._cursors.cancel()

    def close(self) -> None:
        """Close the cursors."""
        self._cursors.close()

    def _translated(self, error: Exception) -> Exception:
        source = self._connector.name
        ended = inspector.ended_by(error, source, cancelled=self._cursors.cancelled)
        if ended is not None:
            return ended
        translated = reading_error(error)
        translated.source = source
        return translated

    def _watched(self, reader: Any) -> Iterator[Any]:
        for batch in reader:
            self._cursors.check()
            yield batch

    def _tables(self, request: FragmentRequest) -> dict[tuple[str, str], FileTable]:
        """The fragment's tables; raises :class:`StaleCatalogError` if their files changed."""
        found: dict[tuple[str, str], FileTable] = {}
        if request.scan is not None:
            found[("", "")] = self._connector._file_table(request.scan.table)
        else:
            defined = {cte.alias.lower() for cte in request.query.find_all(exp.CTE)}
            for node in request.query.find_all(exp.Table):
                if not node.db and node.name.lower() in defined:
                    continue
                found[(node.db, node.name)] = self._connector.table(node.db, node.name)
        for table in found.values():
            if table.changed():
                raise StaleCatalogError(
                    f"source {self._connector.name}: {table.files.shown} was changed since it was "
                    "looked at",
                    source=self._connector.name,
                    table=table.name,
                )
        return found


def _select(request: FragmentRequest, sources: Mapping[tuple[str, str], str]) -> str:
    """The fragment over ``sources``, FROM items by (schema, table) as the query spells them."""
    if request.scan is not None:
        items = [f"{quote(column)} AS {quote(name)}" for column, name in request.scan.columns]
        return f"(SELECT {', '.join(items) or '1'} FROM {sources[('', '')]})"
    query = request.query.copy()
    names = {key: f"dovetail_file_{number}" for number, key in enumerate(sources)}
    for node in list(query.find_all(exp.Table)):
        name = names.get((node.db, node.name))
        if name is not None:
            if not node.alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)))
            node.set("this", exp.to_identifier(name, quoted=True))
            node.set("db", None)
    parts = ", ".join(
        f"{quote(names[key])} AS NOT MATERIALIZED (FROM {item})" for key, item in sources.items()
    )
    if not parts:
        raise InternalError("a fragment of a files source reads no file")
    return f"(WITH {parts} SELECT * FROM ({query.sql(dialect='duckdb')}))"


def _open(table: FileTable, names: Sequence[str]) -> Any:
    from dovetail.connectors.files_arrow import open_arrow

    return open_arrow(table.files, readable_paths(table.files), names)


def _arrow_name(table: FileTable, column: str) -> str:
    """The field's name in the file for a column by visible or source name."""
    found = table.column(column)
    return found.source_name if found is not None else column


def _place(table: FileTable) -> str:
    return table.qualified_name if table.schema else table.files.shown


def _is_partitioned(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any("=" in entry.name and entry.is_dir() for entry in entries)
    except OSError:
        return False


def _within(root: str, path: str) -> bool:
    real = os.path.realpath(path)
    return real.startswith(root.rstrip(os.sep) + os.sep)
