"""Values as JSON for programs: the encoding of the service, by SQL type.

=================  ==========================================================================
integers           number within ±(2^53−1), beyond it a string
DECIMAL            number up to 15 significant digits, beyond them a string
FLOAT, DOUBLE      number; ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
DATE, TIME         ``2024-02-29``, ``12:00:01`` (a fraction only where there is one)
TIMESTAMP          ``2024-02-29T12:00:00.123456``; with time zone in UTC with ``Z``
INTERVAL           ISO 8601: ``P1M2DT1H30M``
BLOB               ``{"$base64": "qg=="}``
LIST, STRUCT, MAP  array; object; array of ``[key, value]``
JSON               the JSON itself
=================  ==========================================================================

Answers hold at most some thousand rows, for which Python is faster than starting an engine;
downloads of any length are written by :mod:`dovetail.present`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_SAFE = 2**53 - 1
_EXACT_DIGITS = 15
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# What Arrow does not carry as a value of its own: DuckDB says what they look like.
_ODD_TYPES = ("UNION(", "BIGNUM", "GEOMETRY", "VARIANT")

Encoder = Callable[[Any], list[Any]]


def encode_columns(
    table: pa.Table, types: Sequence[str], *, numbers_as_text: bool = False
) -> list[list[Any]]:
    """The values of every column of ``table`` as plain data for :func:`json.dumps`.

    ``types`` are the DuckDB types of the columns. ``numbers_as_text`` makes every BIGINT, HUGEINT
    and DECIMAL a string.
    """
    return [
        _encode_column(column, type_, numbers_as_text)
        for column, type_ in zip(table.columns, types, strict=True)
    ]


def encode_rows(
    table: pa.Table,
    names: Sequence[str],
    types: Sequence[str],
    *,
    numbers_as_text: bool = False,
    as_arrays: bool = False,
) -> list[Any]:
    """The rows of ``table``: objects under ``names``, or arrays."""
    columns = encode_columns(table, types, numbers_as_text=numbers_as_text)
    if not columns:
        return [[] if as_arrays else {} for _ in range(table.num_rows)]
    if as_arrays:
        return [list(row) for row in zip(*columns, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _encode_column(column: pa.ChunkedArray, type_: str, as_text: bool) -> list[Any]:
    if any(odd in type_ for odd in _ODD_TYPES):
        return _by_duckdb(column, type_)
    values: list[Any] = []
    for chunk in column.chunks:
        values += _encode(chunk, _Kind.parse(type_), as_text)
    return values


class _Kind:
    """A DuckDB type and, for nested ones, those of its parts."""

    def __init__(self, name: str, children: Sequence[_Kind] = ()) -> None:
        self.name = name
        self.children = children

    @staticmethod
    def parse(text: str) -> _Kind:
        flat = "(" not in text or text.startswith(("DECIMAL(", "ENUM("))
        if flat and not text.endswith("]"):
            return _Kind(text.partition("(")[0])
        import duckdb

        return _Kind._of(duckdb.sqltype(text))

    @staticmethod
    def _of(type_: Any) -> _Kind:
        children: list[_Kind] = []
        if type_.id in ("list", "array", "struct", "map"):
            children = [
                _Kind._of(child) for name, child in type_.children if not isinstance(child, int)
            ]
        return _Kind(str(type_).partition("(")[0] if not children else type_.id, children)


def _encode(array: pa.Array, kind: _Kind, as_text: bool) -> list[Any]:
    from pyarrow import types

    type_ = array.type
    if types.is_dictionary(type_):
        return _encode(array.dictionary_decode(), kind, as_text)
    if types.is_boolean(type_) or types.is_null(type_):
        return list(array.to_pylist())
    if types.is_integer(type_):
        if types.is_int64(type_) or types.is_uint64(type_):
            return [_whole(value, as_text) for value in array.to_pylist()]
        return list(array.to_pylist())
    if types.is_floating(type_):
        return _floats(array)
    if types.is_decimal(type_):
        wide = kind.name in ("HUGEINT", "UHUGEINT")
        convert = _huge if wide else _decimal
        return [None if v is None else convert(v, as_text) for v in array.to_pylist()]
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        if kind.name == "JSON":
            return [None if v is None else _json(v) for v in array.to_pylist()]
        return list(array.to_pylist())
    if types.is_binary(type_) or types.is_large_binary(type_) or types.is_binary_view(type_):
        return [None if v is None else _blob(v) for v in array.to_pylist()]
    if types.is_temporal(type_):
        return _temporal(array)
    return _nested(array, kind, as_text)


def _whole(value: int | None, as_text: bool) -> Any:
    if value is None:
        return None
    return str(value) if as_text or not -_SAFE <= value <= _SAFE else value


def _huge(value: Decimal, as_text: bool) -> Any:
    return _whole(int(value), as_text)


def _decimal(value: Decimal, as_text: bool) -> Any:
    if as_text or len(value.as_tuple().digits) > _EXACT_DIGITS:
        return format(value, "f")
    return int(value) if value.as_tuple().exponent == 0 else float(value)


def _floats(array: pa.Array) -> list[Any]:
    import pyarrow as pa
    from pyarrow import types

    if not types.is_float64(array.type):
        # The shortest text of a FLOAT reads back as itself; widened to DOUBLE, 0.1 would be
        # 0.10000000149011612.
        texts = array.cast(pa.string()).to_pylist()
        return [None if v is None else _float(float(v)) for v in texts]
    return [None if v is None else _float(v) for v in array.to_pylist()]


def _float(value: float) -> Any:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _blob(value: bytes) -> dict[str, str]:
    return {"$base64": base64.b64encode(value).decode("ascii")}


# -- dates and times -------------------------------------------------------------------------------


def _temporal(array: pa.Array) -> list[Any]:
    import pyarrow as pa
    from pyarrow import types

    type_ = array.type
    if types.is_interval(type_):
        return [None if v is None else iso_interval(*v) for v in array.to_pylist()]
    if types.is_date32(type_):
        days = array.view(pa.int32()).to_pylist()
        return [None if v is None else _date(v, 2**31 - 1) for v in days]
    step = _PER_SECOND[type_.unit]
    width = pa.int32() if types.is_time32(type_) else pa.int64()
    ticks = array.view(width).to_pylist()
    if types.is_time(type_):
        return [None if v is None else _clock(v, step) for v in ticks]
    tail = "" if type_.tz is None else "Z"
    return [None if v is None else _moment(v, step, tail) for v in ticks]


def _date(days: int, infinite: int) -> str:
    if abs(days) >= infinite:
        return "infinity" if days > 0 else "-infinity"
    year, month, day = _civil(days)
    return f"{_year(year)}-{month:02d}-{day:02d}"


def _year(year: int) -> str:
    """Four digits; ISO 8601 signs what has more, or lies before the year 0."""
    if 0 <= year <= 9999:
        return f"{year:04d}"
    return f"{'-' if year < 0 else '+'}{abs(year):04d}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day counted from 1970-01-01, for any year.

    Howard Hinnant's `civil_from_days`; Python's own dates end at the year 9999.
    """
    shifted = days + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march = (5 * day_of_year + 2) // 153
    month = march + 3 if march < 10 else march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, day_of_year - (153 * march + 2) // 5 + 1


def _clock(ticks: int, step: int) -> str:
    seconds, fraction = divmod(ticks, step)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if not fraction:
        return text
    digits = 9 if step == 1_000_000_000 else 6
    return f"{text}.{fraction * 10**digits // step:0{digits}d}"


def _moment(ticks: int, step: int, tail: str) -> str:
    if abs(ticks) >= 2**63 - 1:
        return "infinity" if ticks > 0 else "-infinity"
    days, rest = divmod(ticks, 86_400 * step)
    year, month, day = _civil(days)
    return f"{_year(year)}-{month:02d}-{day:02d}T{_clock(rest, step)}{tail}"


def iso_interval(months: int, days: int, nanoseconds: int) -> str:
    """``P1Y2M3DT4H5M6.7S``; each part has its own sign, and no part at all is ``PT0S``."""
    date = ""
    years, months = (
        (abs(months) // 12, abs(months) % 12)
        if months >= 0
        else (
            -(abs(months) // 12),
            -(abs(months) % 12),
        )
    )
    for value, unit in ((years, "Y"), (months, "M"), (days, "D")):
        date += f"{value}{unit}" if value else ""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    time = ""
    for value, unit in ((seconds // 3600, "H"), (seconds // 60 % 60, "M")):
        time += f"{sign}{value}{unit}" if value else ""
    if seconds % 60 or fraction:
        tail = f".{fraction:09d}".rstrip("0") if fraction else ""
        time += f"{sign}{seconds % 60}{tail}S"
    text = f"P{date}T{time}" if time else f"P{date}"
    return "PT0S" if text == "P" else text


# -- nested values ---------------------------------------------------------------------------------


def _nested(array: pa.Array, kind: _Kind, as_text: bool) -> list[Any]:
    from pyarrow import types

    type_ = array.type
    valid = array.is_valid().to_pylist()

    def child(index: int) -> _Kind:
        return kind.children[index] if index < len(kind.children) else _Kind("")

    if types.is_struct(type_):
        parts = [_encode(part, child(i), as_text) for i, part in enumerate(array.flatten())]
        names = [field.name for field in type_]
        rows = zip(*parts, strict=True) if parts else [()] * len(array)
        return [
            dict(zip(names, row, strict=True)) if ok else None
            for ok, row in zip(valid, rows, strict=True)
        ]
    if types.is_fixed_size_list(type_):
        size = type_.list_size
        start = array.offset * size
        items = _encode(array.values.slice(start, len(array) * size), child(0), as_text)
        return [items[i * size : (i + 1) * size] if ok else None for i, ok in enumerate(valid)]
    ends = array.offsets.to_pylist()
    first, last = ends[0], ends[-1]
    if types.is_map(type_):
        keys = _encode(array.keys.slice(first, last - first), child(0), as_text)
        values = _encode(array.items.slice(first, last - first), child(1), as_text)
        items = [[key, value] for key, value in zip(keys, values, strict=True)]
    else:
        items = _encode(array.values.slice(first, last - first), child(0), as_text)
    return [
        items[ends[i] - first : ends[i + 1] - first] if ok else None for i, ok in enumerate(valid)
    ]


def _by_duckdb(column: pa.ChunkedArray, type_: str) -> list[Any]:
    import pyarrow as pa

    from dovetail.present.values import Column, Texts

    schema = pa.schema([pa.field("value", column.type)])
    texts = Texts(schema, [Column("value", type_)])
    try:
        table = pa.Table.from_arrays([column], schema=schema)
        if table.num_rows == 0:
            return []
        written = b"".join(texts.lines(table, f"concat({texts.json(0)}, chr(10))"))
    finally:
        texts.close()
    return [json.loads(line) for line in written.splitlines()]
