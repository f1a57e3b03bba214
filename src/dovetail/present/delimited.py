"""CSV (RFC 4180) and TSV.

NULL is nothing and the empty string is ``""``, so the two can be told apart; quotes only where
they are needed; lines end with ``\\n``; UTF-8. A TSV is the same with a tab, quotes included, so
that a tab or a line feed in a value survives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_BOM = b"\xef\xbb\xbf"
# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA_STARTS = "=+-@\t"


class DelimitedWriter:
    """Writes CSV or TSV."""

    def __init__(
        self,
        stream: ByteStream,
        schema: pa.Schema,
        columns: Sequence[Column],
        layout: Layout,
        delimiter: str,
    ) -> None:
        self._stream = stream
        self._layout = layout
        self._delimiter = delimiter
        self._null = layout.null or ""
        self._names = [column.name for column in columns]
        self._texts = Texts(schema, columns)
        cells = [self._cell(index) for index in range(len(columns))]
        between = f", {sql_string(delimiter)}, "
        self._line = f"concat({between.join(cells)}, chr(10))"

    def _cell(self, index: int) -> str:
        text = self._texts.text(index)
        null = sql_string(self._null)
        if not self._texts.is_text(index):
            return f"coalesce({text}, {null})"
        if self._layout.escape_formulas:
            starts = sql_string(_FORMULA_STARTS)
            text = (
                f"CASE WHEN {text} <> '' AND contains({starts}, left({text}, 1)) "
                f"THEN '''' || {text} ELSE {text} END"
            )
            text = f"({text})"
        tests = [f"{text} = {null}"] + [
            f"contains({text}, {character})"
            for character in (sql_string(self._delimiter), "'\"'", "chr(10)", "chr(13)")
        ]
        if self._null:
            tests.append(f"{text} = ''")
        return (
            f"CASE WHEN {text} IS NULL THEN {null} WHEN {' OR '.join(tests)} "
            f"THEN '\"' || replace({text}, '\"', '\"\"') || '\"' ELSE {text} END"
        )

    def begin(self) -> None:
        """Write the byte order mark, if wanted, and the header."""
        if self._layout.bom:
            self._stream.write(_BOM)
        if self._layout.header:
            line = self._delimiter.join(self._quoted(name) for name in self._names)
            self._stream.write((line + "\n").encode())

    def _quoted(self, name: str) -> str:
        if name == "" or any(c in name for c in (self._delimiter, '"', "\n", "\r")):
            return '"' + name.replace('"', '""') + '"'
        return name

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""
        for data in self._texts.lines(table, self._line):
            self._stream.write(data)

    def end(self) -> None:
        """Nothing stands after the last row."""

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()
