"""What one value looks like as text and as JSON.

Both are SQL expressions for DuckDB, built from a column's type and evaluated over whole Arrow
chunks by :class:`Texts`: no value is formatted by Python code. The text of a value is DuckDB's
own cast to VARCHAR; nested values are written as JSON and blobs as ``\\x`` hex.

JSON: whole numbers beyond ±(2^53−1) and decimals of more than 15 significant digits are strings,
because most readers of JSON would round them; so are NaN and the infinities, which JSON does not
have. Dates, times, intervals and UUIDs are strings of the same text as everywhere; a blob is
``{"$base64": …}``; a map is a list of ``[key, value]`` pairs, since its keys need not be text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dovetail.quoting import sql_string

if TYPE_CHECKING:
    import pyarrow as pa

_FEW_ROWS = 200
CHUNK_ROWS = 65_536
CHUNK_BYTES = 32 * 1024 * 1024

_SAFE_INTEGER = 2**53 - 1
_EXACT_DIGITS = 15

_PLAIN_NUMBERS = ("tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger")
_WIDE_NUMBERS = ("bigint", "ubigint", "hugeint", "uhugeint", "bignum")
_FLOATS = ("float", "double")
_NUMBERS = (*_PLAIN_NUMBERS, *_WIDE_NUMBERS, *_FLOATS, "decimal")
_NESTED = ("list", "array", "struct", "map")
# Their text holds nothing that JSON would have to escape.
_QUOTED_AS_THEY_ARE = (
    "date",
    "time",
    "time_ns",
    "time with time zone",
    "timestamp",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_ns",
    "timestamp with time zone",
    "interval",
    "uuid",
    "bit",
)


@dataclass(frozen=True)
class Column:
    """An output column: its distinct name and its DuckDB type as text."""

    name: str
    type: str


def text_expression(value: str, kind: Any) -> str:
    """SQL for the text of ``value``, an SQL expression of DuckDB type ``kind``; NULL stays NULL."""
    if kind.id in _NESTED:
        return json_expression(value, kind)
    if kind.id == "blob":
        return f"('\\x' || lower(hex({value})))"
    if str(kind) == "VARCHAR":
        return value
    return f"CAST({value} AS VARCHAR)"


def json_expression(value: str, kind: Any, *, exact: bool = False, depth: int = 0) -> str:
    """SQL for ``value`` as JSON text; NULL stays NULL.

    ``exact`` writes every digit of a number as a number (``--numbers exact``).
    """
    text = f"CAST({value} AS VARCHAR)"
    quoted = f"('\"' || {text} || '\"')"
    if kind.id == "boolean" or kind.id in _PLAIN_NUMBERS:
        return text
    if kind.id in _WIDE_NUMBERS:
        if exact:
            return text
        if kind.id == "bignum":
            return f"CASE WHEN length({text}) > {_EXACT_DIGITS} THEN {quoted} ELSE {text} END"
        low, high = -_SAFE_INTEGER, _SAFE_INTEGER
        if kind.id.startswith("u"):
            return f"CASE WHEN {value} <= {high} THEN {text} ELSE {quoted} END"
        return f"CASE WHEN {value} BETWEEN {low} AND {high} THEN {text} ELSE {quoted} END"
    if kind.id == "decimal":
        return _json_decimal(value, dict(kind.children), exact)
    if kind.id in _FLOATS:
        return (
            f"CASE WHEN isfinite({value}) THEN {text} WHEN isnan({value}) THEN '\"NaN\"' "
            f"WHEN {value} > 0 THEN '\"Infinity\"' WHEN {value} < 0 THEN '\"-Infinity\"' END"
        )
    if kind.id in _QUOTED_AS_THEY_ARE:
        return quoted
    if kind.id == "blob":
        return f"('{{\"$base64\":\"' || base64({value}) || '\"}}')"
    if kind.id in _NESTED:
        return _json_nested(value, kind, exact, depth)
    if str(kind) == "JSON":
        # A line feed can only be white space in JSON, and would break JSON lines.
        return f"translate({text}, chr(10) || chr(13), '  ')"
    return f"CAST(to_json({text}) AS VARCHAR)"


def _json_decimal(value: str, children: dict[str, Any], exact: bool) -> str:
    precision, scale = int(children["precision"]), int(children["scale"])
    text = f"CAST({value} AS VARCHAR)"
    if precision == scale:  # DuckDB leaves the zero before the point out: .50
        text = f"replace(replace('#' || {text}, '#-.', '-0.'), '#.', '0.')"
        text = f"replace({text}, '#', '')"
    if exact or precision <= _EXACT_DIGITS:
        return text
    # At most 15 significant digits means |unscaled value| < 10^15.
    bound = "1" + "0" * (_EXACT_DIGITS - scale) if scale <= _EXACT_DIGITS else None
    if bound is None:
        bound = "0." + "0" * (scale - _EXACT_DIGITS - 1) + "1"
    return f"CASE WHEN abs({value}) < {bound} THEN {text} ELSE '\"' || {text} || '\"' END"


def _json_nested(value: str, kind: Any, exact: bool, depth: int) -> str:
    def inner(expression: str, child: Any) -> str:
        made = json_expression(expression, child, exact=exact, depth=depth + 1)
        return f"coalesce({made}, 'null')"

    children = list(kind.children)
    item = f"e{depth}"
    if kind.id == "struct":
        parts = []
        for number, (name, child) in enumerate(children):
            key = ("," if number else "{") + json.dumps(name, ensure_ascii=False) + ":"
            parts += [sql_string(key), inner(f"struct_extract({value}, {sql_string(name)})", child)]
        body = "concat(" + ", ".join([*parts, "'}'"]) + ")" if parts else "'{}'"
    elif kind.id == "map":
        types = dict(children)
        key_, value_ = inner(f"{item}.key", types["key"]), inner(f"{item}.value", types["value"])
        pair = f"concat('[', {key_}, ',', {value_}, ']')"
        made = f"list_transform(map_entries({value}), lambda {item}: {pair})"
        body = f"concat('[', array_to_string({made}, ','), ']')"
    else:
        child = dict(children)["child"]
        list_ = f"CAST({value} AS {child}[])" if kind.id == "array" else value
        made = f"list_transform({list_}, lambda {item}: {inner(item, child)})"
        body = f"concat('[', array_to_string({made}, ','), ']')"
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {body} END"


def at_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Each of ``batches`` as a table of its own; empty ones are dropped."""
    import pyarrow as pa

    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def chunks(
    batches: Iterable[pa.RecordBatch], rows: int = CHUNK_ROWS, size: int = CHUNK_BYTES
) -> Iterator[pa.Table]:
    """Regroup ``batches`` into tables of about ``rows`` rows and at most about ``size`` bytes.

    The first one is passed on at once, so that the first rows show up without waiting. Empty
    batches are dropped.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    first = True
    for batch in batches:
        for part in _parts(batch, rows, size):
            held.append(part)
            held_rows += part.num_rows
            held_bytes += part.nbytes
            if first or held_rows >= rows or held_bytes >= size:
                yield pa.Table.from_batches(held)
                held, held_rows, held_bytes, first = [], 0, 0, False
    if held:
        yield pa.Table.from_batches(held)


def _parts(batch: pa.RecordBatch, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows == 0:
        return
    per_row = max(1, batch.nbytes // batch.num_rows)
    step = max(1, min(rows, size // per_row))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _is_simple(type_: pa.DataType) -> bool:
    """Whether ``str`` of the Python value reads back as exactly the same value."""
    from pyarrow import types

    return bool(
        types.is_boolean(type_)
        or types.is_integer(type_)
        or types.is_float32(type_)
        or types.is_float64(type_)
        or types.is_decimal128(type_)
        or types.is_string(type_)
        or types.is_date32(type_)
        or (types.is_timestamp(type_) and type_.unit != "ns" and type_.tz is None)
    )


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return format(value, "f") if isinstance(value, Decimal) else str(value)


class Texts:
    """Evaluates text expressions over Arrow chunks in a private DuckDB database.

    It is not the session's database: nothing of a query can be reached from here, and the
    session may still be streaming in its own while a chunk is formatted.
    """

    def __init__(self, schema: pa.Schema, columns: Sequence[Column]) -> None:
        import duckdb
        import pyarrow as pa

        self._connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "arrow_large_buffer_size": "true",
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._names = [f"c{number}" for number in range(len(columns))]
        # The declared type says more than the Arrow type carries: JSON, UUID, HUGEINT.
        try:
            self.kinds = [self._connection.type(column.type) for column in columns]
        except duckdb.Error:  # a type of an extension that is not loaded here
            empty = pa.Table.from_batches([], schema).rename_columns(self._names)
            self.kinds = self._connection.from_arrow(empty).types
        self._simple = all(_is_simple(field.type) for field in schema) and all(
            kind.id != "null" for kind in self.kinds
        )

    def is_number(self, index: int) -> bool:
        """Whether the column is written to the right."""
        return self.kinds[index].id in _NUMBERS

    def is_text(self, index: int) -> bool:
        """Whether the text of a value may hold any character."""
        kind = self.kinds[index]
        return kind.id not in (*_NUMBERS, *_QUOTED_AS_THEY_ARE, "boolean", "blob")

    def value(self, index: int) -> str:
        """SQL for the value itself."""
        return self._names[index]

    def text(self, index: int) -> str:
        """SQL for the text of a value of that column."""
        return text_expression(self._names[index], self.kinds[index])

    def json(self, index: int, *, exact: bool = False) -> str:
        """SQL for a value of that column as JSON, ``null`` for NULL."""
        made = json_expression(self._names[index], self.kinds[index], exact=exact)
        return f"coalesce({made}, 'null')"

    def lines(self, chunk: pa.Table, expression: str) -> Iterator[memoryview]:
        """UTF-8 bytes of ``expression`` over all rows of ``chunk``, one after another.

        The values of an Arrow text column lie back to back in one buffer, so a whole chunk is
        written without touching its rows.
        """
        for array in self._project(chunk, f"{expression} AS line").column(0).chunks:
            if len(array) == 0:
                continue
            _, offsets, data = array.buffers()
            width = 8 if "large" in str(array.type) else 4
            ends = memoryview(offsets).cast("q" if width == 8 else "i")
            if data is not None:
                yield memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]]

    def cells(self, chunk: pa.Table) -> list[list[str | None]]:
        """The text of every value, by column; None for NULL."""
        wanted = ", ".join(
            f"{self.text(index)} AS {name}" for index, name in enumerate(self._names)
        )
        made = self._project(chunk, wanted)
        return [column.to_pylist() for column in made.columns]

    def _project(self, chunk: pa.Table, expressions: str) -> pa.Table:
        if self._simple and chunk.num_rows <= _FEW_ROWS:
            with suppress(ValueError, OverflowError):  # a date that Python does not have
                return self._project_few(chunk, expressions)
        relation = self._connection.from_arrow(chunk.rename_columns(self._names))
        return relation.project(expressions).to_arrow_table()

    def _project_few(self, chunk: pa.Table, expressions: str) -> pa.Table:
        """The same for few rows, which go in as parameters.

        The first scan of an Arrow table makes DuckDB load ``pyarrow.dataset``, which takes longer
        than everything else a small query does. Text is exact for these types.
        """
        lists = [[_plain(value) for value in column.to_pylist()] for column in chunk.columns]
        columns = ", ".join(
            f"CAST(unnest(CAST(${number} AS VARCHAR[])) AS {kind}) AS {name}"
            for number, (name, kind) in enumerate(zip(self._names, self.kinds, strict=True), 1)
        )
        sql = f"SELECT {expressions} FROM (SELECT {columns})"
        return self._connection.execute(sql, lists).to_arrow_table()

    def close(self) -> None:
        """Release the database."""
        self._connection.close()
