"""Tables of hostile values: all pairs of values of every operand class meet in some row.

Row ``k`` holds value ``k // N`` of a class in its ``a`` column and value ``k % N`` in its ``b``
column, so any expression over two columns sees every pair, also across classes. Values are
written as text and converted by each system itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

N = 16

TEXT = (
    None,
    "",
    "a",
    "A",
    "a ",
    " a",
    "ä",
    "Ä",
    "ß",
    "ss",
    "a_b",
    "a%b",
    "it's",
    'b\\n"c`',
    "😀 z\t",
    "zZ9\n",
)
# What latin1 can hold.
LATIN = (*TEXT[:14], "é", "ÿ")
CHAR = (None, "", "a", "A", "ab", "ä", "ß", "a b", "b", "B", "%", "_", "'", "\\", "z9", "Z9")
INTEGER = {
    "BIGINT": (
        None, "0", "1", "-1", "2", "7", "-7", "9223372036854775807", "-9223372036854775808",
        "9007199254740992", "9007199254740993", "-9007199254740993", "2147483648", "-2147483649",
        "1000000", "42",
    ),
    "INTEGER": (
        None, "0", "1", "-1", "2", "7", "-7", "2147483647", "-2147483648", "2147483646", "65536",
        "32768", "-32769", "255", "1000000", "42",
    ),
    "SMALLINT": (
        None, "0", "1", "-1", "2", "7", "-7", "32767", "-32768", "32766", "256", "128", "-129",
        "255", "100", "42",
    ),
    "UBIGINT": (
        None, "0", "1", "3", "2", "7", "8", "18446744073709551615", "18446744073709551614",
        "9223372036854775808", "9223372036854775807", "9007199254740993", "4294967296", "255",
        "1000000", "42",
    ),
    "UINTEGER": (
        None, "0", "1", "3", "2", "7", "8", "4294967295", "4294967294", "2147483648",
        "2147483647", "65536", "256", "255", "1000000", "42",
    ),
}  # fmt: skip
# Sums and products of these stay within the type of the result.
SMALL = {
    "BIGINT": (
        None, "0", "1", "-1", "2", "7", "-7", "3037000499", "-3037000499", "2147483648",
        "-2147483649", "1000000007", "10", "100", "-100", "42",
    ),
    "INTEGER": (
        None, "0", "1", "-1", "2", "7", "-7", "46340", "-46340", "32768", "-32769", "9999", "10",
        "100", "-100", "42",
    ),
}  # fmt: skip
DECIMAL = {
    "DECIMAL(18,4)": (
        None, "0", "1", "-1", "0.1", "-0.1", "0.0001", "-0.0001", "99999999999999.9999",
        "-99999999999999.9999", "2", "7", "2.5", "3.5", "-2.5", "42.4242",
    ),
    "DECIMAL(12,4)": (
        None, "0", "1", "-1", "0.1", "-0.1", "0.0001", "-0.0001", "9999.9999", "-9999.9999", "2",
        "7", "2.5", "3.5", "-2.5", "42.4242",
    ),
    "DECIMAL(38,10)": (
        None, "0", "1", "-1", "0.1", "-0.1", "0.0000000001", "-0.0000000001",
        "9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999",
        "9007199254740993.0000000001", "1234567890123456789.0123456789", "2.5",
        "9223372036854775807", "9223372036854775808", "42.4242",
    ),
    "DECIMAL(19,2)": (
        None, "0", "1", "-1", "0.1", "-0.1", "0.01", "-0.01", "92233720368547758.07",
        "-92233720368547758.08", "2", "7", "2.5", "3.5", "-2.5", "42.42",
    ),
}  # fmt: skip
FINITE = (
    None, "0", "1", "-1", "0.1", "-0.1", "0.30000000000000004", "1.7976931348623157e308",
    "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "9007199254740993",
    "1e23", "123456.789", "2.5", "42.4242",
)  # fmt: skip
DOUBLE = (
    None, "0", "-0.0", "-1", "0.1", "-0.1", "0.30000000000000004", "1.7976931348623157e308",
    "-1.7976931348623157e308", "5e-324", "NaN", "9007199254740993", "Infinity", "-Infinity",
    "2.5", "42.4242",
)  # fmt: skip
DATE = (
    None, "0001-01-01", "9999-12-31", "1969-12-31", "1970-01-01", "1970-01-02", "2000-02-29",
    "1900-02-28", "1999-12-31", "2024-12-30", "2021-01-03", "2026-01-01", "1582-10-04",
    "1582-10-15", "2024-03-31", "2024-06-30",
)  # fmt: skip
# MySQL's DATE begins with the year 1000; earlier days work "but are not guaranteed".
MYSQL_DATE = (DATE[0], "1000-01-01", *DATE[2:])
TIMESTAMP = (
    None, "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999",
    "1970-01-01 00:00:00", "1970-01-01 00:00:00.000001", "2000-02-29 12:00:00",
    "2000-02-29 12:00:00.5", "2000-02-29 12:00:00.500001", "2024-12-30 00:00:00",
    "2021-01-03 23:59:59", "2026-01-01 00:00:00", "1582-10-04 01:02:03", "1582-10-15 01:02:03",
    "2024-03-31 02:30:00", "2024-06-30 23:59:59.999999",
)  # fmt: skip
MYSQL_DATETIME = (TIMESTAMP[0], "1000-01-01 00:00:00", *TIMESTAMP[2:])
MYSQL_TIMESTAMP = (
    None, "1970-01-01 00:00:01", "2038-01-19 03:14:07.999999", "1970-01-01 00:00:01.000001",
    "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00", "2000-02-29 12:00:00",
    "2000-02-29 12:00:00.5", "2000-02-29 12:00:00.500001", "2024-12-30 00:00:00",
    "2021-01-03 23:59:59", "2026-01-01 00:00:00", "2024-10-27 01:30:00", "2024-10-27 02:30:00",
    "2024-03-31 02:30:00", "2024-06-30 23:59:59.999999",
)  # fmt: skip
BOOLEAN = (None, "true", "false") * 5 + ("true",)


@dataclass(frozen=True)
class Pair:
    """Two columns ``<name>a`` and ``<name>b`` of one type, of the operand class ``operand``.

    ``uses`` says what the columns are for: ``compare``, ``arithmetic`` (results stay in range).
    """

    name: str
    operand: str
    native: str
    local: str
    values: Sequence[str | None]
    uses: frozenset[str] = frozenset({"compare"})

    @property
    def a(self) -> str:
        return f"{self.name}a"

    @property
    def b(self) -> str:
        return f"{self.name}b"


_ARITHMETIC = frozenset({"arithmetic"})

POSTGRES: tuple[Pair, ...] = (
    Pair("big", "integer", "bigint", "BIGINT", INTEGER["BIGINT"]),
    Pair("int", "integer", "integer", "INTEGER", INTEGER["INTEGER"]),
    Pair("two", "integer", "smallint", "SMALLINT", INTEGER["SMALLINT"]),
    Pair("oid", "never", "oid", "UINTEGER", INTEGER["UINTEGER"]),
    Pair("num", "integer", "bigint", "BIGINT", SMALL["BIGINT"], _ARITHMETIC),
    Pair("few", "integer", "integer", "INTEGER", SMALL["INTEGER"], _ARITHMETIC),
    Pair("dec", "decimal", "numeric(18,4)", "DECIMAL(18,4)", DECIMAL["DECIMAL(18,4)"]),
    Pair("cut", "decimal", "numeric(12,4)", "DECIMAL(12,4)", DECIMAL["DECIMAL(12,4)"], _ARITHMETIC),
    Pair("wide", "decimal", "numeric(38,10)", "DECIMAL(38,10)", DECIMAL["DECIMAL(38,10)"]),
    Pair("coin", "never", "money", "DECIMAL(19,2)", DECIMAL["DECIMAL(19,2)"]),
    Pair("dbl", "double", "double precision", "DOUBLE", DOUBLE),
    Pair("day", "date", "date", "DATE", DATE),
    Pair("ts", "timestamp", "timestamp", "TIMESTAMP", TIMESTAMP),
    Pair("tz", "timestamptz", "timestamptz", "TIMESTAMPTZ", TIMESTAMP),
    Pair("yes", "boolean", "boolean", "BOOLEAN", BOOLEAN),
    Pair("txt", "text", "text", "VARCHAR", TEXT),
    Pair("var", "text", "varchar(20)", "VARCHAR", TEXT),
    Pair("csort", "text", 'text COLLATE "C"', "VARCHAR", TEXT),
    Pair("usort", "text", 'text COLLATE "en-x-icu"', "VARCHAR", TEXT),
    Pair("nam", "text", "name", "VARCHAR", TEXT),
    Pair("ci", "text loose", "text COLLATE nocase", "VARCHAR", TEXT),
    Pair("pad", "char", "char(8)", "VARCHAR", CHAR),
    Pair("cipad", "char loose", "char(8) COLLATE nocase", "VARCHAR", CHAR),
)

MYSQL: tuple[Pair, ...] = (
    Pair("big", "integer", "bigint", "BIGINT", INTEGER["BIGINT"]),
    Pair("int", "integer", "int", "INTEGER", INTEGER["INTEGER"]),
    Pair("two", "integer", "smallint", "SMALLINT", INTEGER["SMALLINT"]),
    Pair("ubig", "integer", "bigint unsigned", "UBIGINT", INTEGER["UBIGINT"]),
    Pair("uint", "integer", "int unsigned", "UINTEGER", INTEGER["UINTEGER"]),
    Pair("num", "integer", "bigint", "BIGINT", SMALL["BIGINT"], _ARITHMETIC),
    Pair("few", "integer", "int", "INTEGER", SMALL["INTEGER"], _ARITHMETIC),
    Pair("dec", "decimal", "decimal(18,4)", "DECIMAL(18,4)", DECIMAL["DECIMAL(18,4)"]),
    Pair("cut", "decimal", "decimal(12,4)", "DECIMAL(12,4)", DECIMAL["DECIMAL(12,4)"], _ARITHMETIC),
    Pair("wide", "decimal", "decimal(38,10)", "DECIMAL(38,10)", DECIMAL["DECIMAL(38,10)"]),
    Pair("dbl", "double", "double", "DOUBLE", FINITE),
    Pair("day", "date", "date", "DATE", MYSQL_DATE),
    Pair("ts", "timestamp", "datetime(6)", "TIMESTAMP", MYSQL_DATETIME),
    Pair("tz", "timestamptz", "timestamp(6) null", "TIMESTAMPTZ", MYSQL_TIMESTAMP),
    Pair("txt", "text loose", "varchar(20)", "VARCHAR", TEXT),
    Pair("long", "text loose", "longtext", "VARCHAR", TEXT),
    Pair("bin", "text loose", "varchar(20) COLLATE utf8mb4_bin", "VARCHAR", TEXT),
    Pair("uni", "text loose", "varchar(20) COLLATE utf8mb4_unicode_520_ci", "VARCHAR", TEXT),
    Pair("lat", "text loose", "varchar(20) CHARACTER SET latin1", "VARCHAR", LATIN),
    Pair("pad", "char loose", "char(8)", "VARCHAR", CHAR),
)


def rows(pairs: Sequence[Pair]) -> Iterator[list[str | None]]:
    """``id`` and two values per pair, ``N * N`` rows."""
    for pair in pairs:
        assert len(pair.values) == N, f"{pair.name} has {len(pair.values)} values"
    for number in range(N * N):
        row: list[str | None] = [str(number)]
        for pair in pairs:
            row += [pair.values[number // N], pair.values[number % N]]
        yield row
