"""The layouts for eyes: table, markdown and vertical.

Column widths come from the first 1,000 rows; later rows stream, so a wider value further down
pushes its line out and memory does not grow. Characters that could drive a terminal are shown as
escapes (``\\n``, ``\\x1b``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

MEASURED_ROWS = 1_000

# C0 and C1 controls, DEL, the line and paragraph separators, and what reorders text on screen.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def visible(text: str) -> str:
    """``text`` with control characters shown as escapes."""
    return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    import wcwidth

    return max(0, wcwidth.wcswidth(text))


def cut(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` columns with an ellipsis; 0 is no limit."""
    if limit <= 0 or (len(text) <= limit and width(text) <= limit):
        return text
    kept = text[: max(limit - 1, 0)]
    while width(kept) > limit - 1:
        kept = kept[:-1]
    return kept + "…"


def _padded(text: str, wanted: int, right: bool) -> str:
    missing = wanted - width(text)
    if missing <= 0:
        return text
    return " " * missing + text if right else text + " " * missing


class GridWriter:
    """What the three layouts share: values as text, widths from the first rows, then a stream."""

    default_null = "NULL"

    def __init__(
        self, stream: ByteStream, schema: pa.Schema, columns: Sequence[Column], layout: Layout
    ) -> None:
        self._stream = stream
        self._layout = layout
        self._texts = Texts(schema, columns)
        self._null = visible(self.default_null if layout.null is None else layout.null)
        self._names = [self._clean(column.name) for column in columns]
        self._right = [self._texts.is_number(index) for index in range(len(columns))]
        self._held: list[list[str | None]] | None = [[] for _ in columns]
        self._widths: list[int] = []

    def _clean(self, text: str) -> str:
        return cut(visible(text), self._layout.max_width)

    def _cells(self, table: pa.Table) -> list[list[str | None]]:
        columns: list[list[str | None]] = []
        for index, cells in enumerate(self._texts.cells(table)):
            if self._texts.is_text(index) or self._layout.max_width:
                columns.append([None if c is None else self._clean(c) for c in cells])
            else:
                columns.append(cells)
        return columns

    def begin(self) -> None:
        """Nothing yet: the header needs the widths."""

    def chunk(self, table: pa.Table) -> None:
        """Write some rows, or hold them until the widths are known."""
        cells = self._cells(table)
        if self._held is None:
            self._rows(cells)
            return
        for held, more in zip(self._held, cells, strict=True):
            held.extend(more)
        if self._layout.prompt or (self._held and len(self._held[0]) >= MEASURED_ROWS):
            self._start()

    def end(self) -> None:
        """Write what is still held."""
        if self._held is not None:
            self._start()

    def _start(self) -> None:
        cells, self._held = self._held or [], None
        self._widths = [
            max(
                [width(name), self._least()]
                + [width(self._null if c is None else c) for c in column[:MEASURED_ROWS]]
            )
            for name, column in zip(self._names, cells, strict=True)
        ]
        if self._layout.header:
            self._write(self._header())
        self._rows(cells)

    def _least(self) -> int:
        return 0

    def _header(self) -> list[str]:
        raise NotImplementedError

    def _lines(self, cells: list[list[str | None]]) -> list[str]:
        raise NotImplementedError

    def _rows(self, cells: list[list[str | None]]) -> None:
        self._write(self._lines(cells))

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._stream.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))

    def _column(self, cells: list[str | None], index: int) -> list[str]:
        wanted, right = self._widths[index], self._right[index]
        null = _padded(self._null, wanted, right)
        if self._layout.color:
            null = null.replace(self._null, f"{_DIM}{self._null}{_PLAIN}") if self._null else null
        return [null if c is None else _padded(c, wanted, right) for c in cells]

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()


class TableWriter(GridWriter):
    """Numbers to the right, text to the left, one rule line, no trailing spaces."""

    def _header(self) -> list[str]:
        names = [
            _padded(name, self._widths[index], self._right[index])
            for index, name in enumerate(self._names)
        ]
        rule = "+".join("-" * (wanted + 2) for wanted in self._widths)
        if self._layout.color:
            line = " " + " | ".join(f"{_BOLD}{name}{_PLAIN}" for name in names)
        else:
            line = (" " + " | ".join(names)).rstrip(" ")
        return [line, rule]

    def _lines(self, cells: list[list[str | None]]) -> list[str]:
        columns = [self._column(column, index) for index, column in enumerate(cells)]
        return [(" " + " | ".join(row)).rstrip(" ") for row in zip(*columns, strict=True)]


class MarkdownWriter(GridWriter):
    """A GitHub-flavoured Markdown table."""

    def _clean(self, text: str) -> str:
        text = text.replace("\r\n", "\n").replace("|", "\\|")
        parts = [visible(part) for part in text.split("\n")]
        return cut("<br>".join(parts), self._layout.max_width)

    def _least(self) -> int:
        return 3

    def _header(self) -> list[str]:
        names = [
            _padded(name, self._widths[index], self._right[index])
            for index, name in enumerate(self._names)
        ]
        rules = [
            "-" * (wanted - 1) + ":" if right else "-" * wanted
            for wanted, right in zip(self._widths, self._right, strict=True)
        ]
        return [f"| {' | '.join(names)} |", f"| {' | '.join(rules)} |"]

    def _lines(self, cells: list[list[str | None]]) -> list[str]:
        columns = [self._column(column, index) for index, column in enumerate(cells)]
        return [f"| {' | '.join(row)} |" for row in zip(*columns, strict=True)]


class VerticalWriter(GridWriter):
    """One block per row, one line per value."""

    def __init__(
        self, stream: ByteStream, schema: pa.Schema, columns: Sequence[Column], layout: Layout
    ) -> None:
        super().__init__(stream, schema, columns, layout)
        widest = max((width(name) for name in self._names), default=0)
        self._labels = [_padded(name, widest, False) for name in self._names]
        self._number = 0
        self._held = None  # nothing to measure

    def end(self) -> None:
        """Nothing stands after the last row."""

    def _lines(self, cells: list[list[str | None]]) -> list[str]:
        null = f"{_DIM}{self._null}{_PLAIN}" if self._layout.color else self._null
        lines = []
        for row in zip(*cells, strict=True):
            self._number += 1
            lines.append(f"-[ {self._number} ]-")
            lines += [
                f"{label} | {null if value is None else value}".rstrip(" ")
                for label, value in zip(self._labels, row, strict=True)
            ]
        return lines
