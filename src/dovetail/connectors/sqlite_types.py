"""SQLite's declared types, and how a cell of any storage class becomes a value of that type.

A SQLite column declares a type but a cell may hold an integer, a real, text or a blob all the
same. Two roads carry cells exactly:

* *encoded*: the cell travels as text that says what it is (:func:`encode`), and the engine decodes
  it (:func:`decode`) or raises an error that names table and column. It cannot fail for any cell.
* *native*: the engine scans the table with typed readers, about twice as fast. It is taken only
  where the *doubt* of every column (:func:`native_column`) holds for no cell of the table.

Dates and times: text is read as ISO 8601; an offset moves a TIMESTAMP to UTC. An integer is
seconds since 1970, unless it lies between 1,721,060 and 5,373,484, which is a Julian day (SQLite
stores a Julian day at noon as an integer). A real number from 0 to 5,373,484.5 is a Julian day,
to the millisecond as SQLite reads it; any other is seconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dovetail.errors import DATA_MARK
from dovetail.quoting import backticked, quote, sql_string
from dovetail.types import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DATE,
    DOUBLE,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    Type,
    parse_type,
)

TIME = parse_type("TIME")

TYPE_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("…INT…", "BIGINT", "native or encoded", "text, blobs, reals: error"),
    ("BOOL…", "BOOLEAN", "native or encoded", "0, 1, and true/false, t/f, yes/no, y/n as text"),
    ("…CHAR…, …TEXT…, CLOB, JSON, UUID, …", "VARCHAR", "native or encoded", "numbers as text"),
    ("REAL, FLOAT, DOUBLE, NUMERIC", "DOUBLE", "native or encoded", "integers beyond 2^53: error"),
    ("DECIMAL(p,s), NUMERIC(p,s)", "DECIMAL(p,s)", "native or encoded", "reals by 15 digits"),
    ("DATE", "DATE", "native or encoded", "ISO text, unix seconds or Julian day (UTC)"),
    ("DATETIME, TIMESTAMP", "TIMESTAMP", "encoded", "ISO text, unix seconds or Julian day"),
    ("TIMESTAMPTZ, … TIME ZONE", "TIMESTAMP WITH TIME ZONE", "encoded", "as TIMESTAMP, in UTC"),
    ("TIME", "TIME", "encoded", "HH:MM, HH:MM:SS or HH:MM:SS.SSSSSS"),
    ("BLOB, …BINARY…, BYTEA", "BLOB", "native or encoded", "text as its bytes; numbers: error"),
    ("none, ANY, any other", "by the values", "encoded", "first 10,000 rows; a misfit is an error"),
)

_PRECISE = re.compile(r"(?:DECIMAL|NUMERIC|DEC|NUMBER)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_TEXT = ("CHAR", "CLOB", "TEXT", "STRING", "JSON", "UUID", "GUID", "XML", "ENUM")
_EXACT_DOUBLE = 9_007_199_254_740_992  # 2^53


def column_type(declared: str) -> Type | None:
    """The type that a declaration means, or None when only the values can tell."""
    name = re.sub(r"\s+", " ", declared.strip().upper())
    precise = _PRECISE.fullmatch(name)
    if precise:
        precision, scale = int(precise[1]), int(precise[2] or 0)
        if 1 <= precision <= 38 and scale <= precision:
            return Type(f"DECIMAL({precision},{scale})")
        return DOUBLE
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return DOUBLE
    if "BOOL" in name:
        return BOOLEAN
    if "INT" in name and "POINT" not in name and "INTERVAL" not in name:
        return BIGINT
    if any(word in name for word in _TEXT):
        return VARCHAR
    if "BLOB" in name or "BINARY" in name or "BYTEA" in name:
        return BLOB
    if name in ("NUMERIC", "DECIMAL", "DEC", "NUMBER"):
        return DOUBLE
    if "TIMESTAMPTZ" in name or name.endswith("WITH TIME ZONE"):
        return TIMESTAMPTZ
    if "DATETIME" in name or "TIMESTAMP" in name:
        return TIMESTAMP
    if re.fullmatch(r"TIME(\(\d+\))?", name):
        return TIME
    if re.fullmatch(r"DATE(\(\d+\))?", name):
        return DATE
    return None


def type_of_values(storage_classes: str | None) -> Type:
    """The type for values of these storage classes (``integer,real`` as SQLite lists them)."""
    found = set((storage_classes or "").split(",")) - {"null", ""}
    if found == {"integer"}:
        return BIGINT
    if found and found <= {"integer", "real"}:
        return DOUBLE
    return BLOB if found == {"blob"} else VARCHAR


def scanner_type(declared: str) -> Type:
    """The type in which DuckDB's scanner reads a column of that declaration.

    The rules of ``SQLiteUtils::TypeToLogicalType`` in the scanner; a test compares them with what
    the scanner says of itself.
    """
    name = declared.strip().lower()
    if "int" in name or "bool" in name:
        return BIGINT
    if any(word in name for word in ("char", "clob", "text")):
        return VARCHAR
    if "blob" in name or not name:
        return BLOB
    if any(word in name for word in ("real", "floa", "doub")):
        return DOUBLE
    if name == "date":
        return DATE
    if "time" in name:
        return TIMESTAMP
    return DOUBLE if "dec" in name or "num" in name else VARCHAR


@dataclass(frozen=True)
class NativeColumn:
    """How a column is read natively.

    ``doubt`` is SQLite SQL that is true for a cell the native reader would get wrong;
    ``expression`` is DuckDB SQL over the scanned column.
    """

    doubt: str
    expression: str


def native_column(column: str, declared: str, type_: Type, label: str) -> NativeColumn | None:
    """The native road for a column, or None if its declaration has none."""
    c, scan = backticked(column), quote(column)
    scanned = scanner_type(declared)
    not_integer = f"(typeof({c}) <> 'integer' AND {c} IS NOT NULL)"
    if type_ == BIGINT and scanned == BIGINT:
        return NativeColumn(not_integer, scan)
    if type_ == BOOLEAN and scanned == BIGINT:
        return NativeColumn(f"({not_integer} OR {c} NOT IN (0, 1))", f"({scan} = 1)")
    if type_ == VARCHAR and scanned == VARCHAR:
        return NativeColumn(f"NOT ({c} >= '' AND {c} < x'')", _checked_text(scan, label))
    if type_ == BLOB and scanned == BLOB:
        return NativeColumn(f"NOT ({c} >= x'')", scan)
    if type_ == DATE and scanned == DATE:
        # Without the "+0 days" SQLite lets 2024-02-30 pass.
        return NativeColumn(f"(date({c}, '+0 days') IS NOT {c} AND {c} IS NOT NULL)", scan)
    if type_ == DOUBLE and scanned == DOUBLE:
        if any(word in declared.upper() for word in ("REAL", "FLOA", "DOUB")):
            return NativeColumn(f"NOT ({c} < '')", scan)  # SQLite made every number a real
        return NativeColumn(f"NOT ({c} BETWEEN -{_EXACT_DOUBLE} AND {_EXACT_DOUBLE})", scan)
    if type_.decimal is not None and scanned == DOUBLE:
        # Within 15 digits one decimal only is nearest to a double.
        precision, scale = type_.decimal
        bound = 10 ** max(min(precision, 15) - scale, 0)
        text = decode(type_, f"printf('%.15g', {scan})", label)
        return NativeColumn(
            f"NOT ({c} BETWEEN -{bound} AND {bound})",
            f"CASE WHEN CAST(TRY_CAST({scan} AS {type_}) AS DOUBLE) = {scan} "
            f"THEN TRY_CAST({scan} AS {type_}) WHEN {scan} IS NULL THEN NULL ELSE {text} END",
        )
    return None


def encode(column: str, type_: Type) -> str:
    """SQLite SQL that turns any cell into text: see :func:`decode`.

    Text that begins with NUL marks a cell that the type cannot hold, and what it holds.
    """
    c = backticked(column)
    family = type_.family
    is_text = f"{c} >= '' AND {c} < x''"
    integer = f"typeof({c}) = 'integer'"
    # Fifteen digits where they give the very number back, else the seventeen that always do.
    real = (
        f"iif(CAST(printf('%!.15g', {c}) AS REAL) = {c}, printf('%!.15g', {c}), "
        f"printf('%!.17g', {c}))"
    )
    misfit = f"char(0) || typeof({c}) || ' ' || substr(quote({c}), 1, 80)"
    if family == "integer":
        return f"CASE WHEN {integer} THEN {c} WHEN {c} IS NOT NULL THEN {misfit} END"
    if family == "float":
        return (
            f"CASE WHEN {integer} THEN {c} WHEN typeof({c}) = 'real' THEN {real} "
            f"WHEN {c} IS NOT NULL THEN {misfit} END"
        )
    if family == "decimal":
        return (
            f"CASE WHEN {integer} THEN {c} WHEN typeof({c}) = 'real' THEN printf('%!.15g', {c}) "
            f"WHEN {is_text} THEN {c} WHEN {c} IS NOT NULL THEN {misfit} END"
        )
    if family == "boolean":
        return f"CASE WHEN {integer} OR {is_text} THEN {c} WHEN {c} IS NOT NULL THEN {misfit} END"
    if family in ("date", "timestamp", "timestamptz"):
        return (
            f"CASE WHEN {is_text} THEN {c} WHEN {integer} THEN '#' || {c} "
            f"WHEN typeof({c}) = 'real' THEN '~' || printf('%!.17g', {c}) "
            f"WHEN {c} IS NOT NULL THEN {misfit} END"
        )
    if family == "time":
        return f"CASE WHEN {is_text} THEN {c} WHEN {c} IS NOT NULL THEN {misfit} END"
    if family == "blob":
        return (
            f"CASE WHEN {c} >= x'' THEN hex({c}) WHEN {is_text} THEN hex(CAST({c} AS BLOB)) "
            f"WHEN {c} IS NOT NULL THEN {misfit} END"
        )
    return (
        f"CASE WHEN {is_text} THEN {c} WHEN {integer} THEN {c} "
        f"WHEN typeof({c}) = 'real' THEN {real} WHEN {c} IS NOT NULL THEN {misfit} END"
    )


def decode(type_: Type, value: str, label: str) -> str:
    """DuckDB SQL that turns encoded text into the value, or raises ``dovetail-data:…``.

    ``value`` is the SQL of the text, ``label`` names the column in the error.
    """
    family = type_.family
    if family == "text":
        return _checked_text(value, label)
    cast = f"TRY_CAST({value} AS {type_})"
    if family == "integer":
        good = cast
    elif family == "float":
        # 2^53 + 1 has no double: DuckDB would take the neighbour.
        same = f"TRY_CAST({cast} AS HUGEINT) = TRY_CAST({value} AS HUGEINT)"
        good = (
            f"CASE WHEN contains({value}, '.') OR {value} IN ('Inf', '-Inf') THEN {cast} "
            f"WHEN {same} THEN {cast} END"
        )
    elif family == "decimal":
        assert type_.decimal is not None
        digits = sql_string(rf"\s*[-+]?\d*(\.\d{{0,{type_.decimal[1]}}}0*)?\s*")
        exponent = sql_string(r"\s*[-+]?\d+(\.\d*)?[eE][-+]?\d+\s*")
        good = (
            f"CASE WHEN regexp_full_match({value}, {digits}) THEN {cast} "
            f"WHEN regexp_full_match({value}, {exponent}) "
            f"AND CAST({cast} AS DOUBLE) = TRY_CAST({value} AS DOUBLE) THEN {cast} END"
        )
    elif family == "boolean":
        good = (
            f"CASE WHEN lower({value}) IN ('1', 'true', 't', 'yes', 'y') THEN true "
            f"WHEN lower({value}) IN ('0', 'false', 'f', 'no', 'n') THEN false END"
        )
    elif family in ("date", "timestamp", "timestamptz"):
        good = _moment(type_, value)
    elif family == "time":
        clock = sql_string(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
        padded = f"CASE WHEN length({value}) < 6 THEN {value} || ':00' ELSE {value} END"
        good = f"CASE WHEN regexp_full_match({value}, {clock}) THEN TRY_CAST({padded} AS TIME) END"
    elif family == "blob":
        good = f"CASE WHEN NOT contains({value}, chr(0)) THEN unhex({value}) END"
    else:
        good = cast
    return (
        f"CASE WHEN {value} IS NULL THEN NULL "
        f"ELSE coalesce({good}, error({_complaint(type_, value, label)})) END"
    )


def _complaint(type_: Type, value: str, label: str) -> str:
    """The text of the error: what the cell holds, told apart by the NUL mark of a misfit."""
    start = sql_string(f"{DATA_MARK}{label} holds ")
    fits = f"a value that does not fit {type_}: "
    return (
        f"{start} || CASE WHEN starts_with({value}, chr(0)) "
        f"THEN {sql_string(fits)} || substr({value}, 2, 80) "
        f"ELSE {sql_string(fits)} || ltrim(left({value}, 80), '#~') END"
    )


def _checked_text(value: str, label: str) -> str:
    """Text if it is UTF-8 without NUL bytes, else an error."""
    start = sql_string(f"{DATA_MARK}{label} holds ")
    return (
        f"CASE WHEN {value} IS NULL THEN NULL "
        f"WHEN contains({value}, chr(0)) THEN error({start} || CASE WHEN "
        f"regexp_matches({value}, '^\\x00blob ') THEN 'a blob where text is declared: ' "
        f"|| substr({value}, 7, 80) ELSE 'text with a NUL byte' END) "
        f"ELSE coalesce(TRY(decode(encode({value}))), "
        f"error({start} || 'text that is not UTF-8: \\x' || left(hex(encode({value})), 80))) END"
    )


_JULIAN_1970 = "2440587.5"
_FIRST, _LAST = -62_167_219_200, 253_402_300_799  # years 0000 to 9999 in unix seconds
_ISO = (
    r"-?\d{4,6}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?"
    r"( ?(Z|z|UTC)|[+-]\d{2}(:?\d{2})?)?)?"
)


def _moment(type_: Type, value: str) -> str:
    number = f"TRY_CAST(substr({value}, 2) AS DOUBLE)"
    whole = f"TRY_CAST(substr({value}, 2) AS BIGINT)"
    julian = f"make_timestamp(CAST(round(({number} - {_JULIAN_1970}) * 86400000) AS BIGINT) * 1000)"
    seconds = f"make_timestamp({whole} * 1000000)"
    fraction = f"make_timestamp(CAST(round({number} * 1000000) AS BIGINT))"
    # Without seconds DuckDB wants ":00"; a lower-case z it does not know.
    text = f"regexp_replace(upper({value}), '^(.{{11}}\\d\\d:\\d\\d)($|[^:])', '\\1:00\\2')"
    if type_ == DATE:
        # A DATE has no place for a time of day, unless it is midnight.
        iso = f"CASE WHEN regexp_full_match({value}, {sql_string(_ISO)}) THEN {text} END"
        midnight = f"TRY_CAST({iso} AS TIMESTAMP)"  # in its own zone: an offset changes no day
        written = (
            f"CASE WHEN date_trunc('day', {midnight}) = {midnight} "
            f"THEN CAST({midnight} AS DATE) END"
        )
    else:
        plain = f"TRY_CAST({text} AS {type_})"
        if type_ == TIMESTAMP:
            # A cast to TIMESTAMP would drop the offset.
            plain = (
                f"CASE WHEN regexp_matches({value}, ':.*[+-]\\d\\d(:?\\d\\d)?$') "
                f"THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ)) ELSE {plain} END"
            )
        written = f"CASE WHEN regexp_full_match({value}, {sql_string(_ISO)}) THEN {plain} END"
    return (
        f"CASE WHEN {value}[1] = '#' THEN CASE "
        f"WHEN {whole} BETWEEN 1721060 AND 5373484 THEN CAST({julian} AS {type_}) "
        f"WHEN {whole} BETWEEN {_FIRST} AND {_LAST} THEN CAST({seconds} AS {type_}) END "
        f"WHEN {value}[1] = '~' THEN CASE "
        f"WHEN {number} >= 0 AND {number} < 5373484.5 THEN CAST({julian} AS {type_}) "
        f"WHEN {number} BETWEEN {_FIRST} AND {_LAST} THEN CAST({fraction} AS {type_}) END "
        f"ELSE {written} END"
    )
