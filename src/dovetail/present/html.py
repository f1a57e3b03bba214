"""HTML: one table, every text escaped, numbers with the class ``n``."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"))


class HtmlWriter:
    """Writes one ``<table>``, a row per line. NULL is an empty cell unless a text is given."""

    def __init__(
        self, stream: ByteStream, schema: pa.Schema, columns: Sequence[Column], layout: Layout
    ) -> None:
        self._stream = stream
        self._layout = layout
        self._names = [column.name for column in columns]
        self._texts = Texts(schema, columns)
        null = sql_string(html.escape(layout.null or ""))
        parts = ["'<tr>'"]
        for index in range(len(columns)):
            text = self._texts.text(index)
            if self._texts.is_text(index):
                for character, entity in _ESCAPES:
                    text = f"replace({text}, {sql_string(character)}, {sql_string(entity)})"
            parts += [sql_string(self._tag("td", index)), f"coalesce({text}, {null})", "'</td>'"]
        self._line = f"concat({', '.join([*parts, sql_string('</tr>')])}, chr(10))"

    def _tag(self, name: str, index: int) -> str:
        return f'<{name} class="n">' if self._texts.is_number(index) else f"<{name}>"

    def begin(self) -> None:
        """Write the header."""
        self._stream.write(b"<table>\n")
        if self._layout.header:
            cells = [
                f"{self._tag('th', index)}{html.escape(name)}</th>"
                for index, name in enumerate(self._names)
            ]
            self._stream.write(f"<thead><tr>{''.join(cells)}</tr></thead>\n".encode())
        self._stream.write(b"<tbody>\n")

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""
        for data in self._texts.lines(table, self._line):
            self._stream.write(data)

    def end(self) -> None:
        """Close the table."""
        self._stream.write(b"</tbody>\n</table>\n")

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()
