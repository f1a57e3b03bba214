"""PostgreSQL types: which Dovetail type each becomes and how its values travel exactly.

Values travel in PostgreSQL's binary COPY format, read by DuckDB's scanner. Where the scanner's
reading is not exact (it reads a ``numeric`` NaN as 0, trims ``"char"``, cannot read an array of
more than one dimension), the fragment carries a guard that fails at the source, or the value
travels as text and is decoded in the engine by its declared type.

Every failure raises text that starts with ``dovetail-data:`` and names source, table and column.
A guard in the source cannot call an error function, so it casts that very text to the column's
type, which PostgreSQL refuses by quoting it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from sqlglot import exp

from dovetail.config import PostgresSettings
from dovetail.connectors.base import OutputColumn, Wire, checked_cast
from dovetail.errors import DATA_MARK
from dovetail.plan.expressions import data_type
from dovetail.quoting import sql_string
from dovetail.types import Type, parse_type


class TypeRow(NamedTuple):
    """One row of the table of types in the documentation."""

    native: str
    dovetail: str
    road: str
    note: str = ""


TYPE_TABLE: tuple[TypeRow, ...] = (
    TypeRow("boolean", "BOOLEAN", "binary"),
    TypeRow("smallint", "SMALLINT", "binary"),
    TypeRow("integer", "INTEGER", "binary"),
    TypeRow("bigint", "BIGINT", "binary"),
    TypeRow("oid", "UINTEGER", "binary, as bigint"),
    TypeRow("real", "FLOAT", "binary", "NaN, ±infinity and -0 are kept"),
    TypeRow("double precision", "DOUBLE", "binary", "NaN, ±infinity and -0 are kept"),
    TypeRow(
        "numeric(p,s), p ≤ 38",
        "DECIMAL(p,s)",
        "binary, guarded",
        "NaN is an error; numeric(5,-2) becomes DECIMAL(7,0), numeric(2,4) becomes DECIMAL(4,4)",
    ),
    TypeRow(
        "numeric, numeric(p,s) with p > 38",
        "DECIMAL(38,numeric_scale) or DECIMAL(38,s)",
        "text",
        "a value that does not fit exactly (and NaN, ±infinity) is an error; "
        "`numeric: text` reads every value, `numeric: double` the nearest double",
    ),
    TypeRow("money", "DECIMAL(19,2)", "binary, as numeric", "the scale follows lc_monetary"),
    TypeRow("character(n)", "VARCHAR", "binary", "without the padding"),
    TypeRow(
        "character varying, text",
        "VARCHAR",
        "binary",
        "in a SQL_ASCII database, bytes that are not UTF-8 are an error",
    ),
    TypeRow('name, "char"', "VARCHAR", "text"),
    TypeRow("bytea", "BLOB", "binary"),
    TypeRow(
        "date",
        "DATE",
        "binary, checked",
        "±infinity, years BC and beyond 9999 are an error, or NULL with `infinite_dates: null`",
    ),
    TypeRow("timestamp", "TIMESTAMP", "binary, checked", "range as for date"),
    TypeRow("timestamp with time zone", "TIMESTAMP WITH TIME ZONE", "binary, checked", "as date"),
    TypeRow("time", "TIME", "binary", "24:00:00 is kept"),
    TypeRow("time with time zone", "TIME WITH TIME ZONE", "binary", "with its own offset"),
    TypeRow(
        "interval", "INTERVAL", "binary", "months, days and microseconds; ±infinity is an error"
    ),
    TypeRow("uuid", "UUID", "binary"),
    TypeRow(
        "json, jsonb",
        "JSON",
        "binary",
        "text that PostgreSQL takes and DuckDB refuses (a lone surrogate) is an error",
    ),
    TypeRow("xml", "VARCHAR", "text"),
    TypeRow("inet, cidr, macaddr, macaddr8", "VARCHAR", "text", "as PostgreSQL prints them"),
    TypeRow("bit(n), bit varying", "VARCHAR", "text", "digits 0 and 1"),
    TypeRow("enum", "VARCHAR", "text", "the label; sorts as text, not in the enum's order"),
    TypeRow("domain", "as its base type", "as its base type"),
    TypeRow(
        "T[]",
        "T[]",
        "binary or elements as text",
        "NULL elements are kept; a value of more than one dimension is an error",
    ),
    TypeRow("T[][] (declared)", "VARCHAR", "text", "PostgreSQL's text form, `{{1,2},{3,4}}`"),
    TypeRow("composite", "VARCHAR", "text", "PostgreSQL's text form"),
    TypeRow("ranges, multiranges", "VARCHAR", "text", "PostgreSQL's text form"),
    TypeRow("hstore, citext, tsvector, tsquery", "VARCHAR", "text", "PostgreSQL's text form"),
    TypeRow("point, line, box, path, polygon, circle, lseg", "VARCHAR", "text"),
    TypeRow("every other type", "VARCHAR", "text", "PostgreSQL's text form"),
)

_SIMPLE = {
    "boolean": "BOOLEAN",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "oid": "UINTEGER",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "bytea": "BLOB",
    "uuid": "UUID",
    "date": "DATE",
    "time without time zone": "TIME",
    "time with time zone": "TIME WITH TIME ZONE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "interval": "INTERVAL",
    "json": "JSON",
    "jsonb": "JSON",
    "text": "VARCHAR",
    "character varying": "VARCHAR",
    "character": "VARCHAR",
    "bpchar": "VARCHAR",
}

# What the scanner reads by itself in binary, alone and as the element of an array.
_BINARY = frozenset(_SIMPLE) - {"oid"}
_BINARY_ELEMENTS = _BINARY - {"bytea", "json", "jsonb"}

# A computed value is cast to this before it travels, so that the scanner knows its type.
_COMPUTED = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "SMALLINT",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INT",
    "UINTEGER": "BIGINT",
    "FLOAT": "REAL",
    "DOUBLE": "DOUBLE PRECISION",
    "VARCHAR": "TEXT",
    "BLOB": "BYTEA",
    "UUID": "UUID",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIME WITH TIME ZONE": "TIMETZ",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "INTERVAL": "INTERVAL",
    "JSON": "JSON",
}

# Declared text types as the catalog names them in a database without an encoding
SQL_ASCII = " (SQL_ASCII)"

_BOUNDS = {
    "DATE": "DATE '0001-01-01' AND DATE '9999-12-31'",
    "TIMESTAMP": "TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '0001-01-01 00:00:00+00' "
    "AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
}


@dataclass(frozen=True)
class NativeType:
    """A type as ``format_type`` prints it, taken apart; ``base`` is without its modifiers."""

    base: str
    modifiers: tuple[int, ...] = ()
    dimensions: int = 0


@lru_cache(maxsize=4096)
def parse_native(text: str) -> NativeType:
    """Take a declared type apart: ``numeric(15,2)[]`` is base ``numeric``, (15, 2), 1 dimension."""
    stripped = text.rstrip("[]")
    dimensions = (len(text) - len(stripped)) // 2
    found = re.search(r"\((-?\d+(?:,-?\d+)*)\)", stripped)
    if found is None or stripped.startswith('"') or '."' in stripped:
        return NativeType(stripped, (), dimensions)
    base = stripped[: found.start()] + stripped[found.end() :]
    modifiers = tuple(int(part) for part in found[1].split(","))
    if base.startswith("interval "):  # interval day to second(3)
        base = "interval"
    return NativeType(base, modifiers, dimensions)


def _base(native: NativeType) -> str:
    return "interval" if native.base.startswith("interval ") else native.base


def dovetail_type(native_text: str, settings: PostgresSettings, money_scale: int = 2) -> Type:
    """The type a query sees for a declared PostgreSQL type.

    ``native_text`` is as ``format_type`` prints it with one ``[]`` per declared dimension, domains
    resolved. ``money_scale`` is the number of decimals of ``money`` under the server's locale.
    """
    native = parse_native(native_text)
    if native.dimensions > 1:
        return parse_type("VARCHAR")
    if native.dimensions == 1:
        element = dovetail_type(native_text[:-2], settings, money_scale)
        return Type(f"{element.text}[]")
    base = _base(native)
    if base == "numeric":
        return parse_type(_numeric(native, settings))
    if base == "money":
        return parse_type(f"DECIMAL(19,{money_scale})")
    return parse_type(_SIMPLE.get(base, "VARCHAR"))


def _numeric(native: NativeType, settings: PostgresSettings) -> str:
    """The type of a ``numeric``: the declared one where DuckDB has it, else by the setting."""
    if native.modifiers:
        precision, scale = (*native.modifiers, 0)[:2]
        if scale < 0:  # numeric(5,-2) holds up to 7 digits before the point
            precision, scale = precision - scale, 0
        precision = max(precision, scale)  # numeric(2,4) holds 0.0099
        if precision <= 38:
            return f"DECIMAL({precision},{scale})"
        decimal = f"DECIMAL(38,{min(scale, 38)})"
    else:
        decimal = f"DECIMAL(38,{settings.numeric_scale})"
    return {"decimal": decimal, "double": "DOUBLE", "text": "VARCHAR"}[settings.numeric]


def wire(column: OutputColumn, settings: PostgresSettings, source: str) -> Wire:
    """How one output column of a fragment travels. ``source`` is named in hints on settings."""
    if column.native_type is None:
        return _computed_wire(column, settings, source)
    native = parse_native(column.native_type)
    if native.dimensions > 1:
        return Wire(_to("TEXT"))
    if native.dimensions == 1:
        return _array_wire(column, native, settings, source)
    return _scalar_wire(column, native, settings, source)


def _scalar_wire(
    column: OutputColumn, native: NativeType, settings: PostgresSettings, source: str
) -> Wire:
    base, kind = _base(native), column.type.text
    place = column.label or column.name
    if base.endswith(SQL_ASCII):
        return Wire(
            lambda x: exp.Anonymous(
                this="convert_to", expressions=[_cast(x, "TEXT"), exp.Literal.string("SQL_ASCII")]
            ),
            f"CASE WHEN {{0}} IS NULL THEN NULL ELSE coalesce(TRY(decode({{0}})), error("
            f"{sql_string(f'{DATA_MARK}{_braced(place)} holds text that is not UTF-8')})) END",
        )
    if base == "numeric":
        return _numeric_wire(column, native, source)
    if base == "money":
        return Wire(lambda x: _cast(_cast(x, "NUMERIC"), kind))
    if base == "oid":
        return Wire(_to("BIGINT"))
    if base == "inet":
        # a cast to text would add the netmask that PostgreSQL itself leaves out
        return Wire(lambda x: _cast(exp.Anonymous(this="inet_out", expressions=[x.copy()]), "TEXT"))
    if base not in _BINARY:
        return Wire(_to("TEXT"))
    if base == "interval":
        return Wire(_guard(place, "INTERVAL", _infinite_interval, "an infinite interval"))
    if kind in _BOUNDS:
        return Wire(None, _bounded(column, settings, source))
    if kind == "JSON":
        return Wire(None, checked_cast(column))
    return Wire()


def _numeric_wire(column: OutputColumn, native: NativeType, source: str) -> Wire:
    kind = column.type
    if kind.text == "VARCHAR":
        return Wire(_to("TEXT"))
    if kind.text == "DOUBLE":
        return Wire(_to("DOUBLE PRECISION"))
    if native.modifiers and 0 <= native.modifiers[-1] <= native.modifiers[0] <= 38:
        place = column.label or column.name
        return Wire(_guard(place, kind.text, _is_stored_nan, f"a NaN, which {kind} cannot hold"))
    return Wire(_to("TEXT"), _exact_decimal(column, native, source))


def _exact_decimal(column: OutputColumn, native: NativeType, source: str) -> str:
    """Decode decimal digits into DECIMAL(p,s); DuckDB alone would round them in silence."""
    assert column.type.decimal is not None
    scale = column.type.decimal[1]
    setting = ""
    if not native.modifiers or native.modifiers[0] > 38:  # else the setting changes nothing
        setting = f"; `numeric: text` (or double) in the settings of source {source} reads it"
    error = (
        f"error({sql_string(DATA_MARK + _braced(column.label or column.name) + ' holds ')} || "
        f"left({{0}}, 120) || "
        f"{sql_string(f', which does not fit {column.type} exactly{_braced(setting)}')})"
    )
    return (
        f"CASE WHEN {{0}} IS NULL THEN NULL "
        f"WHEN length(rtrim(split_part({{0}}, '.', 2), '0')) > {scale} THEN {error} "
        f"ELSE coalesce(TRY_CAST({{0}} AS {column.type}), {error}) END"
    )


def _bounded(column: OutputColumn, settings: PostgresSettings, source: str) -> str:
    """Decode a date or timestamp: years 1 to 9999, the rest an error or NULL by the setting."""
    bounds = _BOUNDS[column.type.text]
    if settings.infinite_dates == "null":
        return f"CASE WHEN {{0}} BETWEEN {bounds} THEN {{0}} END"
    tail = ", outside the years 1 to 9999"
    if source:
        tail += f"; `infinite_dates: null` in the settings of source {source} reads it as NULL"
    place = _braced(column.label or column.name)
    return (
        f"CASE WHEN {{0}} IS NULL OR {{0}} BETWEEN {bounds} THEN {{0}} "
        f"ELSE error({sql_string(f'{DATA_MARK}{place} holds ')} || CAST({{0}} AS VARCHAR) || "
        f"{sql_string(_braced(tail))}) END"
    )


def _array_wire(
    column: OutputColumn, native: NativeType, settings: PostgresSettings, source: str
) -> Wire:
    """An array: the guard against more dimensions, the elements as their own type travels."""
    item = OutputColumn(
        "v", Type(column.type.text[:-2]), column.native_type, column.label or column.name
    )
    base = _base(native)
    element = _scalar_wire(item, native, settings, source)
    decode = element.decode
    if base == "numeric" or base not in _BINARY_ELEMENTS:
        carried = "TEXT[]"
        if base == "numeric" and item.type.decimal is not None:
            decode = _exact_decimal(item, native, source)
        elif base == "bytea":
            decode = "unhex(substr({0}, 3))"  # \xBEEF
        elif base == "inet":
            decode = r"regexp_replace({0}, '^([^:]*)/32$|/128$', '\1')"
        elif base == "money":
            carried = f"DECIMAL{item.type.text[7:]}[]"
    else:
        carried = ""
    place = column.label or column.name

    def encode(x: exp.Expression) -> exp.Expression:
        sent = _cast(x, carried) if carried else x
        if base == "money":
            sent = _cast(_cast(x, "NUMERIC[]"), carried)
        # the text is no array literal, so the cast fails and quotes it
        message = exp.DPipe(
            this=exp.Literal.string(f"{DATA_MARK}{place} holds an array of several dimensions: "),
            expression=_cast(x, "TEXT"),
        )
        target = carried or _array_name(base, native)
        return exp.Case(
            ifs=[
                exp.If(
                    this=exp.GT(
                        this=exp.Anonymous(this="array_ndims", expressions=[x.copy()]),
                        expression=exp.Literal.number(1),
                    ),
                    true=_cast(message, target),
                )
            ],
            default=sent,
        )

    if decode is None:
        return Wire(encode)
    inner = decode.format("v").replace("{", "{{").replace("}", "}}")
    return Wire(encode, f"list_transform({{0}}, lambda v: {inner})")


def _array_name(base: str, native: NativeType) -> str:
    names = {"character": "BPCHAR", "bpchar": "BPCHAR", "character varying": "VARCHAR"}
    return f"{names.get(base, base)}[]"


def _computed_wire(column: OutputColumn, settings: PostgresSettings, source: str) -> Wire:
    """A value that an expression in the fragment made: cast to what its type travels as."""
    kind = column.type
    place = column.label or column.name
    if kind.decimal is not None or kind.text in ("HUGEINT", "UBIGINT", "UHUGEINT"):
        target = kind.text if kind.decimal is not None else "DECIMAL(38,0)"

        def unfit(x: exp.Expression) -> exp.Expression:
            return exp.Or(
                this=_is_nan(x), expression=exp.NEQ(this=x.copy(), expression=_cast(x, target))
            )

        guarded = _guard(place, target, unfit, f"a value that {kind} cannot hold exactly")
        return Wire(lambda x: _cast(guarded(_cast(x, "NUMERIC")), target))
    target = _COMPUTED.get(kind.text, "")
    encode = _to(target) if target else None
    if kind.text in _BOUNDS:
        return Wire(encode, _bounded(column, settings, source))
    if kind.text in ("TINYINT", "UTINYINT", "USMALLINT", "UINTEGER", "JSON") or not target:
        return Wire(encode, checked_cast(column))
    return Wire(encode)


# --- pieces of source SQL ------------------------------------------------------------------------


def _cast(x: exp.Expression, target: str) -> exp.Expression:
    return exp.Cast(this=x.copy(), to=data_type(target, "postgres"))


def _to(target: str) -> Callable[[exp.Expression], exp.Expression]:
    return lambda x: _cast(x, target)


def _is_nan(x: exp.Expression) -> exp.Expression:
    return exp.EQ(this=x.copy(), expression=_cast(exp.Literal.string("NaN"), "NUMERIC"))


def _is_stored_nan(x: exp.Expression) -> exp.Expression:
    """The same test for a value that a table may hold, at less than half the price.

    To compare a numeric, the server first unpacks it: 43 ns a cell, 17 with this test of its size
    before it. NaN is a header without digits: 3 bytes as tables store it, 6 in memory (since
    PostgreSQL 9.1). Few other sizes divide 24, and none of a usual value but zero.
    """
    size = exp.Anonymous(this="pg_column_size", expressions=[x.copy()])
    bare = exp.EQ(
        this=exp.Mod(this=exp.Literal.number(24), expression=size), expression=exp.Literal.number(0)
    )
    return exp.And(this=bare, expression=_is_nan(x))


def _infinite_interval(x: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Anonymous(this="isfinite", expressions=[x.copy()]))


def _guard(
    place: str, target: str, unfit: Callable[[exp.Expression], exp.Expression], what: str
) -> Callable[[exp.Expression], exp.Expression]:
    """Encode a value as ``target``, failing at the source with our text where it is unfit."""

    def encode(x: exp.Expression) -> exp.Expression:
        # the value is part of the text, or PostgreSQL would cast it while planning and always fail
        text = exp.DPipe(
            this=exp.Literal.string(f"{DATA_MARK}{place} holds {what}: "),
            expression=_cast(x, "TEXT"),
        )
        return exp.Case(ifs=[exp.If(this=unfit(x), true=_cast(text, target))], default=x.copy())

    return encode


def _braced(text: str) -> str:
    """Text for a decode template, where braces are doubled."""
    return text.replace("{", "{{").replace("}", "}}")
