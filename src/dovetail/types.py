"""The types of columns: DuckDB's, because DuckDB's semantics are the product's semantics.

A :class:`Type` is the canonical text DuckDB prints (``DECIMAL(15,2)``, ``VARCHAR``,
``STRUCT(a INTEGER, b VARCHAR)[]``) plus the questions planning asks of it. Nothing here
imports DuckDB or Arrow, so plans stay cheap to load.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")

_FAMILIES = {
    "BOOLEAN": "boolean",
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "HUGEINT": "integer",
    "UTINYINT": "integer",
    "USMALLINT": "integer",
    "UINTEGER": "integer",
    "UBIGINT": "integer",
    "UHUGEINT": "integer",
    "FLOAT": "float",
    "DOUBLE": "float",
    "VARCHAR": "text",
    "BLOB": "blob",
    "DATE": "date",
    "TIME": "time",
    "TIME WITH TIME ZONE": "timetz",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "JSON": "json",
    "BIT": "bit",
    '"NULL"': "null",
}

_INTEGER_DIGITS = {
    "TINYINT": 3,
    "UTINYINT": 3,
    "SMALLINT": 5,
    "USMALLINT": 5,
    "INTEGER": 10,
    "UINTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
    "HUGEINT": 39,
    "UHUGEINT": 39,
}

_ALIASES = {
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "INT2": "SMALLINT",
    "BOOL": "BOOLEAN",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "REAL": "FLOAT",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "TIMETZ": "TIME WITH TIME ZONE",
    "BYTEA": "BLOB",
    "NULL": '"NULL"',
}


@dataclass(frozen=True)
class Type:
    """A DuckDB type by its canonical text. Build one with :func:`parse_type`."""

    text: str

    def __str__(self) -> str:
        return self.text

    @cached_property
    def family(self) -> str:
        """The group that shares operators.

        One of ``boolean integer decimal float text blob date time timetz timestamp timestamptz
        interval uuid json bit null enum list struct map other``.
        """
        if self.text.endswith("]"):
            return "list"
        if self.text in _FAMILIES:
            return _FAMILIES[self.text]
        head = self.text.split("(", 1)[0]
        return {"DECIMAL": "decimal", "ENUM": "enum", "STRUCT": "struct", "MAP": "map"}.get(
            head, "other"
        )

    @property
    def is_numeric(self) -> bool:
        """Whether arithmetic applies: integers, decimals and floats."""
        return self.family in ("integer", "decimal", "float")

    @cached_property
    def decimal(self) -> tuple[int, int] | None:
        """``(precision, scale)`` of a DECIMAL, or None for any other type."""
        match = _DECIMAL.fullmatch(self.text)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def integer_digits(self) -> int | None:
        """The most decimal digits a value of this integer type has, or None."""
        return _INTEGER_DIGITS.get(self.text)


@lru_cache(maxsize=4096)
def parse_type(text: str) -> Type:
    """Return the :class:`Type` of a DuckDB type name; folds case and common aliases.

    Nested types (``STRUCT(…)``, ``X[]``, ``ENUM(…)``) are kept as DuckDB prints them, since
    their field names are case-preserving.
    """
    stripped = text.strip()
    if stripped.endswith("]") or ("(" in stripped and not stripped.upper().startswith("DEC")):
        return Type(stripped)
    upper = re.sub(r"\s+", " ", stripped.upper())
    upper = _ALIASES.get(upper, upper)
    match = re.fullmatch(r"(?:DECIMAL|NUMERIC|DEC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", upper)
    if match:
        return Type(f"DECIMAL({match[1]},{match[2] or 0})")
    if upper in ("DECIMAL", "NUMERIC"):
        return Type("DECIMAL(18,3)")
    return Type(upper)


BOOLEAN = Type("BOOLEAN")
INTEGER = Type("INTEGER")
BIGINT = Type("BIGINT")
HUGEINT = Type("HUGEINT")
DOUBLE = Type("DOUBLE")
VARCHAR = Type("VARCHAR")
BLOB = Type("BLOB")
DATE = Type("DATE")
TIMESTAMP = Type("TIMESTAMP")
TIMESTAMPTZ = Type("TIMESTAMP WITH TIME ZONE")
