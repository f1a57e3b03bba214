"""Excel workbooks, written row by row: memory does not grow with the result.

Numbers, dates and booleans are typed cells. Whole numbers and decimals of more than 15 digits are
text, because Excel would round them; so is everything that a cell has no type for.
"""

from __future__ import annotations

import tempfile
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import DataError, NotSupportedError, UsageError
from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

MOST_ROWS = 1_048_576  # of a sheet, the header included
_MOST_TEXT = 32_767
_MOST_COLUMNS = 16_384
_FIRST_DATE = date(1900, 3, 1)  # Excel believes in a 29 February 1900
_FORMATS = {"date": "yyyy-mm-dd", "timestamp": "yyyy-mm-dd hh:mm:ss", "time": "hh:mm:ss"}


class Workbook:
    """One file with a sheet for each result."""

    def __init__(self, stream: ByteStream) -> None:
        try:
            import xlsxwriter
        except ImportError:
            raise UsageError(
                "xlsx needs XlsxWriter, which is not installed: pip install 'dovetail[excel]'"
            ) from None
        self._temporary = tempfile.TemporaryDirectory(prefix="dovetail-")
        self._book = xlsxwriter.Workbook(
            stream, {"constant_memory": True, "tmpdir": self._temporary.name}
        )
        self._formats = {
            name: self._book.add_format({"num_format": text}) for name, text in _FORMATS.items()
        }
        self._bold = self._book.add_format({"bold": True})
        self._sheets = 0

    def sheet(self, schema: pa.Schema, columns: Sequence[Column], layout: Layout) -> SheetWriter:
        """A writer for the next result."""
        self._sheets += 1
        sheet = self._book.add_worksheet(f"Result {self._sheets}")
        return SheetWriter(sheet, schema, columns, layout, self._formats, self._bold)

    def counted(
        self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, layout: Layout
    ) -> Iterator[pa.RecordBatch]:
        """The same batches, once it is known that a sheet holds them; till then they lie on disk.

        A million rows take a sheet a minute: nobody should wait that long to read that it was for
        nothing. Raises :class:`DataError` before the first batch.
        """
        import pyarrow as pa

        path = Path(self._temporary.name) / f"result-{self._sheets + 1}.arrow"
        rows = int(layout.header)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as spool:
            for batch in batches:
                rows += batch.num_rows
                if rows > MOST_ROWS:
                    raise DataError(
                        f"a sheet holds {MOST_ROWS:,} rows, the header included, and the result "
                        "has more; write csv or parquet"
                    )
                spool.write_batch(batch)
        with pa.OSFile(str(path)) as file:
            yield from pa.ipc.open_stream(file)
        path.unlink()

    def finish(self) -> None:
        """Write the file."""
        self._book.close()

    def close(self) -> None:
        """Remove what lies in the temporary folder; a file that was not finished is dropped."""
        for sheet in self._book.worksheets():
            handle = getattr(sheet, "row_data_fh", None)
            if handle is not None:
                handle.close()
        self._book.fileclosed = True  # so that its end does not warn
        self._temporary.cleanup()


class SheetWriter:
    """Writes one result into one sheet."""

    def __init__(
        self,
        sheet: Any,
        schema: pa.Schema,
        columns: Sequence[Column],
        layout: Layout,
        formats: dict[str, Any],
        bold: Any,
    ) -> None:
        if len(columns) > _MOST_COLUMNS:
            raise NotSupportedError(f"a sheet has at most {_MOST_COLUMNS:,} columns; write csv")
        self._sheet = sheet
        self._layout = layout
        self._columns = columns
        self._formats = formats
        self._bold = bold
        self._row = 0
        self._as_text: dict[str, None] = {}
        self._texts = Texts(schema, columns)
        self._kinds = [kind.id for kind in self._texts.kinds]

    @property
    def notes(self) -> list[str]:
        """What is not as it seems: columns with numbers kept as text."""
        if not self._as_text:
            return []
        names = ", ".join(self._as_text)
        return [f"numbers of more than 15 digits are text, because Excel rounds them: {names}"]

    def begin(self) -> None:
        """Write the header."""
        if self._layout.header:
            for index, column in enumerate(self._columns):
                self._sheet.write_string(0, index, column.name[:_MOST_TEXT], self._bold)
            self._row = 1

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""
        texts = self._texts.cells(table)
        values = [
            self._values(table, index) if self._is_typed(index) else texts[index]
            for index in range(len(self._columns))
        ]
        for offset in range(table.num_rows):
            for index, column in enumerate(values):
                value = column[offset]
                if value is not None:
                    self._cell(index, value, texts[index][offset])
                elif self._layout.null:
                    self._sheet.write_string(self._row, index, self._layout.null)
            self._row += 1

    def _is_typed(self, index: int) -> bool:
        kind = self._kinds[index]
        return self._texts.is_number(index) or kind in ("boolean", "date", "timestamp", "time")

    def _values(self, table: pa.Table, index: int) -> list[Any]:
        try:
            return list(table.column(index).to_pylist())
        except (ValueError, OverflowError):  # a date that Python does not have
            return list(self._texts.cells(table)[index])

    def _cell(self, index: int, value: Any, text: str | None) -> None:
        sheet, row = self._sheet, self._row
        shown = text or ""
        match value:
            case bool():
                sheet.write_boolean(row, index, value)
            case int() | Decimal() if _is_exact(value):
                sheet.write_number(row, index, value)
            case int() | Decimal():
                self._as_text[self._columns[index].name] = None
                sheet.write_string(row, index, shown)
            case float() if abs(value) < float("inf"):
                sheet.write_number(row, index, value)
            case datetime() if value.date() >= _FIRST_DATE and value.tzinfo is None:
                sheet.write_datetime(row, index, value, self._formats["timestamp"])
            case date() if not isinstance(value, datetime) and value >= _FIRST_DATE:
                sheet.write_datetime(row, index, value, self._formats["date"])
            case time() if value.tzinfo is None:
                sheet.write_datetime(row, index, value, self._formats["time"])
            case _:
                if len(shown) > _MOST_TEXT:
                    raise DataError(
                        f'column "{self._columns[index].name}" holds a text of {len(shown):,} '
                        f"characters; a cell of Excel holds {_MOST_TEXT:,}: write csv or parquet"
                    )
                sheet.write_string(row, index, shown)

    def end(self) -> None:
        """The sheet is written with the workbook."""

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()


def _is_exact(value: int | Decimal) -> bool:
    """Whether Excel shows every digit."""
    if isinstance(value, int):
        return abs(value) < 10**15
    return len(value.as_tuple().digits) <= 15
