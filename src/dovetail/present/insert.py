"""``INSERT`` statements, in the dialect of the database that will run them.

How a dialect quotes text and names is asked of sqlglot; the values themselves are written by DuckDB
a chunk at a time, as in every other format.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.present.layout import ByteStream, Layout
from dovetail.present.values import Column, Texts
from dovetail.quoting import sql_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

ROWS_PER_STATEMENT = 1_000

# The backslash first: the escapes of the others hold one.
_ESCAPED = "\\'\"\n\r\t\b\f\v\0"
_WITHOUT_BOOLEANS = ("tsql", "fabric", "oracle")
# Where sqlglot's form of a hexadecimal constant is no binary value.
_BLOBS = {
    "duckdb": ("from_hex('", "')"),
    "postgres": ("'\\x", "'"),
    "redshift": ("from_hex('", "')"),
    "oracle": ("HEXTORAW('", "')"),
}


@cache
def check_dialect(name: str) -> None:
    """Raise :class:`UsageError` with near names for a dialect that does not exist."""
    from sqlglot import Dialect
    from sqlglot.dialects import DIALECTS

    try:
        Dialect.get_or_raise(name)
    except ValueError:
        from rapidfuzz import process

        known = [dialect.lower() for dialect in DIALECTS if dialect != "Dialect"]
        near = [found for found, _, _ in process.extract(name.lower(), known, limit=3)]
        raise UsageError(
            f'no SQL dialect "{name}"; near: {", ".join(near)}', suggestions=near
        ) from None


class InsertWriter:
    """Writes ``INSERT INTO "t" (…) VALUES`` with at most 1,000 rows per statement."""

    def __init__(
        self, stream: ByteStream, schema: pa.Schema, columns: Sequence[Column], layout: Layout
    ) -> None:
        from sqlglot import exp

        check_dialect(layout.dialect)
        self._stream = stream
        self._dialect = layout.dialect
        self._texts = Texts(schema, columns)
        self._written = 0  # rows of the statement that is open

        def name(text: str) -> str:
            return exp.to_identifier(text, quoted=True).sql(dialect=self._dialect)

        names = ", ".join(name(column.name) for column in columns)
        table = ".".join(name(part) for part in layout.table.split("."))
        self._head = f"INSERT INTO {table} ({names}) VALUES\n"
        literals = [self._literal(index) for index in range(len(columns))]
        between = f", {sql_string(', ')}, "
        # Every row brings the separator that goes before it.
        self._line = f"concat({sql_string(',' + chr(10) + '(')}, {between.join(literals)}, ')')"

    def _literal(self, index: int) -> str:
        text, kind = self._texts.text(index), self._texts.kinds[index]
        value = self._texts.value(index)
        if kind.id == "boolean":
            true, false = ("1", "0") if self._dialect in _WITHOUT_BOOLEANS else ("TRUE", "FALSE")
            made = f"CASE WHEN {value} THEN '{true}' WHEN NOT {value} THEN '{false}' END"
        elif kind.id == "blob":
            before, after = self._blob()
            made = f"({sql_string(before)} || lower(hex({value})) || {sql_string(after)})"
        elif kind.id in ("float", "double"):
            made = f"CASE WHEN isfinite({value}) THEN {text} ELSE '''' || {text} || '''' END"
        elif self._texts.is_number(index):
            made = text
        else:
            made = f"('''' || {self._escaped(text)} || '''')"
        return f"coalesce({made}, 'NULL')"

    def _blob(self) -> tuple[str, str]:
        from sqlglot import exp

        known = _BLOBS.get(self._dialect)
        if known is not None:
            return known
        before, _, after = exp.HexString(this="4142").sql(dialect=self._dialect).partition("4142")
        return before, after

    def _escaped(self, text: str) -> str:
        """SQL for ``text`` as it stands between the quotes of a literal of the dialect."""
        from sqlglot import exp

        for character in _ESCAPED:
            written = exp.Literal.string(character).sql(dialect=self._dialect)[1:-1]
            if written != character:
                place = f"chr({ord(character)})"
                text = f"replace({text}, {place}, {sql_string(written)})"
        return text

    def begin(self) -> None:
        """Nothing yet: an empty result has no statement."""

    def chunk(self, table: pa.Table) -> None:
        """Write some rows."""
        start = 0
        while start < table.num_rows:
            part = table.slice(start, ROWS_PER_STATEMENT - self._written)
            start += part.num_rows
            for data in self._texts.lines(part, self._line):
                if self._written == 0:
                    self._stream.write(self._head.encode())
                    data = data[len(",\n") :]
                self._stream.write(data)
                self._written += part.num_rows
            if self._written >= ROWS_PER_STATEMENT:
                self._finish()

    def _finish(self) -> None:
        if self._written:
            self._stream.write(b";\n")
        self._written = 0

    def end(self) -> None:
        """End the open statement."""
        self._finish()

    def close(self) -> None:
        """Release the formatter."""
        self._texts.close()
