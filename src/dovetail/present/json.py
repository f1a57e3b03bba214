"""JSON (one array of objects, one object per line) and JSON lines.

See :mod:`dovetail.present.values` for what a value looks like. Keys stand in column order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class JsonWriter:
    """Writes a JSON array, or with ``lines`` one object per line."""

    def __init__(
        self,
        stream: ByteStream,
        schema: pa.Schema,
        columns: Sequence[Column],
        layout: Layout,
        *,
        lines: bool,
    ) -> None:
        self._stream = stream
        self._lines = lines
        self._texts = Texts(schema, columns)
        self._first = True
        parts = []
        for index, column in enumerate(columns):
            key = ("," if index else "{") + json.dumps(column.name, ensure_ascii=False) + ":"
            value = self._texts.json(index, exact=layout.exact_numbers)
            parts += [sql_string(key), value]
        # In an array every object brings the separator that goes before it.
        around = (*parts, "'}\n'") if lines else ("',\n'", *parts, "'}'")
        self._line = f"concat({', '.join(around)})"

    def begin(self) -> None:
        """Nothing yet: an empty array is written on one line."""

    def chunk(self, table: pa.Table) -> None:
        """Write some objects."""
        for data in self._texts.lines(table, self._line):
            if self._first and not self._lines:
                self._stream.write(b"[\n")
                data = data[len(",\n") :]
            self._first = False
            self._stream.write(data)

    def end(self) -> None:
        """Close the array."""
        if not self._lines:
            self._stream.write(b"[]\n" if self._first else b"\n]\n")

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()
