"""Files as tables without configuration: ``'path'`` in FROM, ``stdin``, named data files.

A quoted path is always the file, a bare name always the table: there is no guessing between them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.catalog.catalogs import Catalogs, near_names
from dovetail.catalog.model import TableInfo
from dovetail.connectors.base import Connector
from dovetail.errors import DataError, DovetailError, Location, UnknownNameError
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from dovetail.connectors.files import FileTable, PathsConnector
    from dovetail.connectors.files_lines import LinesConnector
    from dovetail.connectors.open_lines import OpenLines
    from dovetail.downloads import Downloads
    from dovetail.language.sql.judge import FileFunction

_GLOB = frozenset("*?[/\\~")
_LOOKED_AHEAD = frozenset(("csv", "tsv", "json", "jsonl", "parquet"))
_MOST_LOOKED_AHEAD = 4


class LocalTables:
    """Finds local tables. ``connectors`` holds the sources that they are read from."""

    def __init__(
        self,
        directories: Sequence[Path],
        stdin: Path | None,
        data: Mapping[str, str | Path],
        spool_directory: str,
        taken: Sequence[str],
        downloads: Downloads | None = None,
    ) -> None:
        self.connectors: dict[str, Connector] = {}
        self._directories = directories
        self._stdin = stdin
        self._data = {name.lower(): path for name, path in data.items()}
        self._spool = Path(spool_directory)
        self._downloads = downloads
        self._name = "local" if "local" not in taken else "_dovetail_local"
        self._lock = threading.Lock()
        self._spooled: Path | None = None
        self._lines: OpenLines | None = None
        self._stream: LinesConnector | None = None
        self._paths: PathsConnector | None = None
        self._databases: dict[tuple[str, Path], str] = {}
        self._written: dict[str, str] = {}  # source of a database → its path, as it was written

    def find(
        self, parts: tuple[str, ...], location: Location | None, catalogs: Catalogs
    ) -> TableInfo | None:
        """The local table that a name means, or None when it is not written like one.

        Raises:
            RefusedError: the path lies outside the allowed directories.
            UnknownNameError: nothing is there.
        """
        try:
            return self._find(parts, catalogs)
        except DovetailError as error:
            if error.location is None:
                error.location = location
            raise

    def _find(self, parts: tuple[str, ...], catalogs: Catalogs) -> TableInfo | None:
        if len(parts) == 1:
            name = parts[0]
            if self._stdin is not None and name.lower() == "stdin":
                return self._open().spooled(self._spooled_stdin(self._stdin))
            if name.lower() in self._data:
                return self._named(name, self._data[name.lower()])
            # As './trades.dat' is: a file whose ending says nothing is known by its first bytes.
            a_file = is_path(name) or ("." in name and Path(name).is_file())
            return self._at(name) if a_file else None
        if not is_path(parts[0]) or catalogs.source_name(parts[0]) is not None:
            return None
        return self._in_database(parts)

    def _spooled_stdin(self, path: Path) -> Path:
        """Standard input in the session's own folder, where any format can be told by its bytes."""
        from dovetail.connectors.files_formats import spool_stdin

        with self._lock:
            if self._spooled is None:
                if path.resolve().is_relative_to(self._spool.resolve()):
                    self._spooled = path
                else:
                    with self._opened(path).stream() as stream:
                        self._spooled = spool_stdin(stream, self._spool)
            return self._spooled

    def _opened(self, path: Path) -> OpenLines:
        from dovetail.connectors.open_lines import OpenLines

        if self._lines is None:
            try:
                self._lines = OpenLines(path)
            except OSError as error:
                raise DataError(f"standard input cannot be read: {error.strerror}") from None
        return self._lines

    def _at(self, path: str) -> FileTable:
        """The table of a path or an address."""
        fetched = self._fetched(path)
        if fetched is None:
            return self._open().path(path)
        return self._open().reading(str(fetched), None, {})

    def _fetched(self, path: str) -> Path | None:
        """The file of an address; None for a path, and where no addresses are read."""
        if self._downloads is None or "://" not in path:
            return None
        from dovetail.downloads import is_address

        return self._downloads.fetch(path) if is_address(path) else None

    def _named(self, name: str, path: str | Path) -> TableInfo:
        from dovetail.connectors.files import FileTable

        table = self._at(str(path))
        return FileTable(self._name, "", name, table.files, refind=table.refind)

    def function(self, call: FileFunction) -> TableInfo:
        """The table of a ``read_csv(…)`` call."""
        try:
            arguments = tuple(self._local(value) for value in call.arguments)
            return self._open().function(call.name, arguments, call.options)
        except DovetailError as error:
            if error.location is None:
                error.location = call.location
            raise

    def _local(self, argument: object) -> object:
        """An argument of a call with the files of addresses in their place."""
        if isinstance(argument, list):
            return [self._local(item) for item in argument]
        fetched = self._fetched(argument) if isinstance(argument, str) else None
        return argument if fetched is None else str(fetched)

    @property
    def spool_directory(self) -> Path:
        """The session's private folder."""
        return self._spool

    def file(self, path: str, format: str | None, options: Mapping[str, object]) -> TableInfo:
        """A file read by a given format and options; None and nothing is as in FROM."""
        paths = self._open()
        if format is None and not options:
            return paths.path(path)
        return paths.reading(path, format, options)

    def stdin(self) -> TableInfo | None:
        """Standard input as a table, or None when the session has none."""
        if self._stdin is None:
            return None
        return self._open().spooled(self._spooled_stdin(self._stdin))

    def open_stdin(self) -> tuple[OpenLines, LinesConnector] | None:
        """Standard input while it is still open, and the source that its batches are.

        None when there is none, when it has been read, or when it does not begin like JSON lines.
        """
        from dovetail.connectors.files_formats import kind_of_bytes
        from dovetail.connectors.files_lines import LinesConnector

        if self._stdin is None or self._spooled is not None:
            return None
        with self._lock:
            lines = self._opened(self._stdin)
            try:
                head = b"".join(lines.head().lines)
            except DataError:
                return None
            if kind_of_bytes(head) != ("jsonl", None):
                return None
            if self._stream is None:
                self._stream = LinesConnector("stdin", self._spool)
                self.connectors["stdin"] = self._stream  # a name that no source may have
            return lines, self._stream

    def has_more(self) -> bool:
        """Whether standard input has been opened, and not read to its end."""
        return self._lines is not None and self._spooled is None and not self._lines.ended

    def _in_database(self, parts: tuple[str, ...]) -> TableInfo:
        from dovetail.config import DuckDBSettings, SQLiteSettings
        from dovetail.connectors.registry import open_connector

        kind, path = self._open().database(str(self._fetched(parts[0]) or parts[0]))
        with self._lock:
            name = self._databases.get((kind, path))
            if name is None:
                name = f"{self._name}_{len(self._databases) + 1}"
                settings: SQLiteSettings | DuckDBSettings
                if kind == "sqlite":
                    settings = SQLiteSettings(kind="sqlite", path=path)
                else:
                    settings = DuckDBSettings(kind="duckdb", path=path)
                options = {"spool_directory": str(self._spool)}
                self.connectors[name] = open_connector(name, settings, options)
                self._databases[(kind, path)] = name
                self._written[name] = str(parts[0])
        catalog = self.connectors[name].catalog()
        schema = parts[1] if len(parts) == 3 else None
        table = catalog.table(schema, parts[-1])
        if table is None:
            pool = [t.name for t in catalog.tables]
            near = near_names(parts[-1], pool) or pool[:5]
            raise UnknownNameError(
                f'no table "{parts[-1]}" in {parts[0]}; it has {", ".join(near) or "no tables"}',
                suggestions=near,
            )
        return table

    def qualified_name(self, table: TableInfo) -> str:
        """A table of any source as messages name it: in a database named by path, by that path."""
        path = self._written.get(table.source)
        if path is None:
            return table.qualified_name
        return ".".join((sql_string(path), table.schema, table.name))

    def _open(self) -> PathsConnector:
        from dovetail.connectors.files import PathsConnector

        with self._lock:
            if self._paths is None:
                self._paths = PathsConnector(
                    self._name,
                    base_directory=Path.cwd(),
                    allowed_directories=self._directories,
                    spool_directory=self._spool,
                )
                self.connectors[self._name] = self._paths
            return self._paths

    def refresh(self) -> None:
        """Fetch addresses again on next use."""
        if self._downloads is not None:
            self._downloads.forget()

    def close(self) -> None:
        """Close the connectors; whoever waits for standard input waits no more."""
        if self._lines is not None:
            self._lines.stop()
        if self._downloads is not None:
            self._downloads.close()
        for connector in self.connectors.values():
            connector.close()


def is_path(name: str) -> bool:
    """Whether a name in FROM is written like a path: a separator, a glob, or a known ending."""
    from dovetail.connectors.files_formats import DATABASE_FORMATS, TABLE_FORMATS, split_name

    if set(name) & _GLOB:
        return True
    parts = split_name(name)
    return parts.packing is not None or parts.format in (*TABLE_FORMATS, *DATABASE_FORMATS)


def look_ahead(names: Iterable[str]) -> None:
    """Begin to look at those of ``names`` that are plain files of a known ending, in threads.

    Telling the columns of a large file takes DuckDB a tenth of a second, and so does importing the
    planner. The planner recalls what is found here; what goes wrong it finds again, and says where.
    """
    from dovetail.connectors.files_formats import split_name

    paths = []
    for name in dict.fromkeys(names):
        parts = split_name(name)
        if parts.packing is None and parts.format in _LOOKED_AHEAD and _is_file(name):
            paths.append(name)
    if not paths:
        return
    # Imported by one thread: two that import modules of one circle may get half of one.
    import duckdb  # noqa: F401

    from dovetail.connectors.files import PathsConnector

    looking = PathsConnector(
        "ahead",
        base_directory=Path.cwd(),
        allowed_directories=[Path("/")],
        spool_directory=Path(),  # nothing is unpacked
    )

    def look(path: str) -> None:
        with suppress(Exception):
            _ = looking.path(path).look

    for path in paths[:_MOST_LOOKED_AHEAD]:
        threading.Thread(target=look, args=(path,), name="dovetail-ahead", daemon=True).start()


def _is_file(name: str) -> bool:
    with suppress(OSError, ValueError, RuntimeError):
        return Path(name).expanduser().is_file()
    return False
