"""JSON lines that come while a query runs: a source that is read batch by batch.

The first batch lies in a file like any other table; columns and types are those of that file. A
statement over the source reads the file that the engine's variable names, so the same statement
serves every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.connectors.base import FragmentRequest, NativeRelation
from dovetail.connectors.files import FilesSnapshot, PathsConnector
from dovetail.connectors.files_paths import FileTable, file_table
from dovetail.errors import InternalError
from dovetail.quoting import quote, sql_string

_VARIABLE = "dovetail_lines"


class LinesConnector(PathsConnector):
    """The source of one stream of JSON lines. ``spool_directory`` is where batches lie."""

    def __init__(self, name: str, spool_directory: Path) -> None:
        super().__init__(
            name,
            base_directory=spool_directory,
            allowed_directories=(),
            spool_directory=spool_directory,
        )

    def table(self, path: Path, options: Mapping[str, Any]) -> FileTable:  # type: ignore[override]
        """The table of the stream, by a file with its first lines."""
        return file_table(
            str(path),
            base_directory=self.spool,
            allowed_directories=[self.spool],
            spool_directory=self.spool,
            format="jsonl",
            options=options,
            source=self.name,
            name="stdin",
        )

    def render(self, request: FragmentRequest) -> str:
        """The columns that are read; the reader call names a file that nobody knows."""
        if request.scan is None:
            return super().render(request)
        columns = ", ".join(quote(column) for column, _ in request.scan.columns) or "1"
        return f"SELECT {columns} FROM stdin"

    def snapshot(self) -> LinesSnapshot:
        """A view of one batch after the other."""
        return LinesSnapshot(self)


class LinesSnapshot(FilesSnapshot):
    """One query's view of the stream."""

    def native(self, request: FragmentRequest, alias: str) -> NativeRelation | None:
        """The reader call over the file that the variable names."""
        found = super().native(request, alias)
        if found is None or request.scan is None:
            raise InternalError("a stream of lines is read by bare scans")
        table = request.scan.table
        assert isinstance(table, FileTable)
        sql = found.sql
        for path in table.files.paths:
            sql = sql.replace(sql_string(path), f"getvariable({sql_string(_VARIABLE)})")
        return NativeRelation(sql, found.described_as, found.parallel)


def next_batch(path: Path) -> str:
    """The statement after which the stream's relations read the batch in ``path``."""
    return f"SET VARIABLE {_VARIABLE} = {sql_string(str(path))}"
