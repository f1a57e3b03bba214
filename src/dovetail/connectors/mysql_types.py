"""How MySQL and MariaDB types become DuckDB types, and on which road their values travel.

A fragment reaches us as one binary text per row (see :mod:`dovetail.connectors.mysql_rows`), so a
*road* says three things about a column: the SQL that turns its value into exact text inside the
fragment, the *carrier* it is parsed into on our side, and the DuckDB expression that makes the
declared type of it. Whatever the carrier, a value that does not fit is an error that names the
column, never a rounded or replaced value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from dovetail.connectors.base import OutputColumn, checked_cast
from dovetail.errors import NotSupportedError
from dovetail.types import Type, parse_type

_NATIVE = re.compile(r"\s*(\w+)\s*(?:\((.*?)\))?([^()]*)$", re.DOTALL)

_INTEGERS = {
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "mediumint": "INTEGER",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
}
_BYTES = {"tinytext": 765, "text": 196605, "tinyblob": 510, "blob": 131070}
_PER_UNIT = {"char": 4, "varchar": 4, "binary": 2, "varbinary": 2}
_TEXTS = frozenset(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"))
_BLOBS = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"))
_GEOMETRIES = frozenset(
    (
        "geometry",
        "point",
        "linestring",
        "polygon",
        "multipoint",
        "multilinestring",
        "multipolygon",
        "geometrycollection",
        "geomcollection",
    )
)
_CARRIERS = {
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIME": "time",
}
_UTF8 = "CONVERT({0} USING utf8mb4)"


class NativeType(NamedTuple):
    """A declared type taken apart: ``decimal(10,2) unsigned`` → ``decimal``, ``10,2``, unsigned."""

    base: str
    arguments: str
    unsigned: bool

    def numbers(self) -> tuple[int, ...]:
        """The arguments of a numeric or sized type."""
        return tuple(int(part) for part in self.arguments.split(",") if part.strip().isdigit())


def parse_native(text: str) -> NativeType:
    """Take a ``COLUMN_TYPE`` of information_schema apart."""
    lowered = text.strip()
    head = lowered.split("(", 1)[0].split()[0].lower() if lowered else ""
    if head in ("enum", "set"):
        return NativeType(head, lowered.partition("(")[2].rpartition(")")[0], False)
    match = _NATIVE.match(lowered.lower())
    if match is None:
        return NativeType(head, "", "unsigned" in lowered.lower())
    return NativeType(match[1], match[2] or "", "unsigned" in match[3] or "zerofill" in match[3])


def dovetail_type(native: str, *, tinyint1: str = "integer") -> tuple[Type, str | None]:
    """The DuckDB type of a declared type, and why it cannot be read (None: it can).

    ``tinyint1`` is the setting of that name: ``boolean`` reads ``tinyint(1)`` as BOOLEAN.
    """
    kind = parse_native(native)
    base = kind.base
    if base in _INTEGERS:
        if base == "tinyint" and kind.arguments == "1" and tinyint1 == "boolean":
            return parse_type("BOOLEAN"), None
        return parse_type(("U" if kind.unsigned else "") + _INTEGERS[base]), None
    if base in ("decimal", "numeric", "dec", "fixed"):
        precision, scale = (*kind.numbers(), 10, 0)[:2] if kind.arguments else (10, 0)
        if "," not in kind.arguments:
            scale = 0
        return parse_type(f"DECIMAL({min(precision, 38)},{scale})"), None
    if base == "bit":
        return parse_type("BOOLEAN" if kind.numbers() in ((), (1,)) else "UBIGINT"), None
    simple = {
        "float": "FLOAT",
        "double": "DOUBLE",
        "real": "DOUBLE",
        "date": "DATE",
        "datetime": "TIMESTAMP",
        "timestamp": "TIMESTAMP WITH TIME ZONE",
        "time": "INTERVAL",
        "year": "SMALLINT",
        "json": "JSON",
        "uuid": "UUID",
        "inet4": "VARCHAR",
        "inet6": "VARCHAR",
        "enum": "VARCHAR",
        "set": "VARCHAR",
    }
    if base in simple:
        return parse_type(simple[base]), None
    if base in _TEXTS:
        return parse_type("VARCHAR"), None
    if base in _BLOBS or base in _GEOMETRIES:
        return parse_type("BLOB"), None
    return parse_type("VARCHAR"), f"the MySQL type {native} is not known to Dovetail"


@dataclass(frozen=True)
class Road:
    """How one column travels.

    ``encode`` is the SQL around the expression ``{0}`` that yields exact text (binary or ASCII).
    ``carrier`` names the parser in :mod:`dovetail.connectors.mysql_rows`. ``decode`` is a DuckDB
    expression over ``{0}``, None when the carrier is the type itself. ``width`` is the most bytes
    the encoded text can have, None when it may exceed what the server lets a function return; then
    ``raw`` is the SQL for the unencoded value and ``length`` that for the encoded text's length.
    """

    encode: str
    carrier: str
    decode: str | None
    width: int | None
    raw: str = "{0}"
    length: str = "3 * OCTET_LENGTH({0})"


def road(column: OutputColumn) -> Road:
    """Choose the road of a fragment's column from its declared and its native type."""
    native = parse_native(column.native_type) if column.native_type else NativeType("", "", False)
    target = column.type.text
    base = native.base
    computed = column.native_type is None
    if base in _GEOMETRIES and target == "BLOB":
        # Four bytes of SRID, then the WKB as stored; ST_AsBinary would swap axes on MySQL 8.
        wkb = "SUBSTRING({0}, 5)"
        return Road(f"HEX({wkb})", "hex", None, None, wkb, "2 * OCTET_LENGTH({0})")
    if target == "BLOB":
        encode = "HEX(CAST({0} AS BINARY))" if computed else "HEX({0})"
        # An expression gets no length guard (it would be evaluated twice): see Road.width.
        width = 0 if computed else _width(native)
        return Road(encode, "hex", None, width, "{0}", "2 * OCTET_LENGTH({0})")
    if target == "JSON":
        decode = checked_cast(column)
        return Road(_UTF8, "text", decode, 0 if computed else None)
    if target == "VARCHAR":
        return Road(_UTF8, "text", None, 0 if computed else _width(native))
    if target == '"NULL"':
        return Road("CAST({0} AS CHAR)", "text", 'CAST({0} AS "NULL")', 0)
    if target == "UUID":
        return Road(_UTF8, "text", "CAST({0} AS UUID)", 36)
    if target == "INTERVAL":
        return Road("{0}", "text", "CAST({0} AS INTERVAL)", 20)
    if target == "BOOLEAN":
        return Road("(({0}) + 0)", "boolean", None, 24)
    if target in ("HUGEINT", "UHUGEINT"):
        return Road("{0}", "decimal(38,0)", f"CAST({{0}} AS {target})", 70)
    if column.type.decimal is not None:
        precision, scale = column.type.decimal
        declared = base in ("decimal", "numeric") and native.numbers() == (precision, scale)
        # Up to 15 digits a double holds every decimal, and its parser is twice as fast.
        if declared and precision <= 15:
            return Road("{0}", "double", f"CAST({{0}} AS {target})", 70)
        return Road("{0}", f"decimal({precision},{scale})", None, 70)
    if target == "FLOAT":
        # As text a FLOAT has only six digits; as DOUBLE it has all of them.
        return Road("CAST({0} AS DOUBLE)", "float", None, 32)
    if base == "bit":
        return Road("(({0}) + 0)", _CARRIERS[target], None, 24)
    carrier = _CARRIERS.get(target)
    if carrier is None:
        place = column.label or column.name
        raise NotSupportedError(
            f"{place}: a MySQL source cannot deliver values of type {target}",
            suggestions=("cast it above the source",),
        )
    coarse = target.startswith("TIMESTAMP_")  # travels in microseconds
    return Road("{0}", carrier, f"CAST({{0}} AS {target})" if coarse else None, 330)


def _width(native: NativeType) -> int | None:
    """The most bytes that the encoded text of a declared type can have; None is unbounded."""
    base = native.base
    if base in _PER_UNIT:
        return _PER_UNIT[base] * (native.numbers() or (1,))[0]
    if base in ("enum", "set"):
        return 4 * len(native.arguments)
    if base in ("mediumtext", "longtext", "mediumblob", "longblob", "vector", "json"):
        return None
    return _BYTES.get(base, 330)


class TypeRow(NamedTuple):
    """One line of the generated type table."""

    native: str
    dovetail: str
    road: str
    note: str


TYPE_TABLE: tuple[TypeRow, ...] = (
    TypeRow("tinyint(1)", "TINYINT", "text", "`tinyint1: boolean` reads it as BOOLEAN (not 0)"),
    TypeRow("tinyint, smallint, mediumint, int, bigint", "TINYINT … BIGINT", "text", "exact"),
    TypeRow("… unsigned, zerofill", "UTINYINT … UBIGINT", "text", "up to 2^64-1, exact"),
    TypeRow("decimal(p,s), p ≤ 38", "DECIMAL(p,s)", "text", "p ≤ 15 by way of DOUBLE, exact"),
    TypeRow("decimal(p,s), p > 38", "DECIMAL(38,s)", "text", "a value that does not fit: error"),
    TypeRow("float", "FLOAT", "text of the value as DOUBLE", "all digits, not the six shown"),
    TypeRow("double, real", "DOUBLE", "shortest exact text", "bit for bit, but -0 reads as 0"),
    TypeRow("bit(1)", "BOOLEAN", "number", ""),
    TypeRow("bit(n)", "UBIGINT", "number", "the bits as an unsigned number"),
    TypeRow(
        "char, varchar, text (all sizes)",
        "VARCHAR",
        "UTF-8",
        "any character set; bytes that are not UTF-8: error",
    ),
    TypeRow("binary, varbinary, blob (all sizes)", "BLOB", "hexadecimal", "exact"),
    TypeRow("enum, set", "VARCHAR", "UTF-8", "the labels; a set's joined by commas"),
    TypeRow(
        "date", "DATE", "text", "zero and partial dates: NULL, counted (`zero_dates: error` raises)"
    ),
    TypeRow("datetime(f)", "TIMESTAMP", "text", "microseconds; zero dates as above"),
    TypeRow("timestamp(f)", "TIMESTAMP WITH TIME ZONE", "text", "read in UTC"),
    TypeRow("time(f)", "INTERVAL", "text", "-838:59:59 … 838:59:59"),
    TypeRow("year", "SMALLINT", "text", "0 and 1901 … 2155"),
    TypeRow("json", "JSON", "UTF-8", "MariaDB: longtext with CHECK (json_valid(…))"),
    TypeRow("geometry and its kinds", "BLOB", "hexadecimal", "WKB as stored, without its SRID"),
    TypeRow("uuid (MariaDB)", "UUID", "text", "exact"),
    TypeRow("inet4, inet6 (MariaDB)", "VARCHAR", "text", "as the server prints them"),
    TypeRow("vector", "BLOB", "hexadecimal", "the bytes as stored"),
)
"""What becomes of every type; ``docs/types.md`` is generated from it."""
