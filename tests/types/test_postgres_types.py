"""The type matrix of PostgreSQL: every type with NULL, its ends and hostile values, both roads.

What a fragment delivers is compared with what psycopg returns for the same column. Where psycopg
itself has no exact value (money, intervals with months, JSON, geometry), the comparison is with
PostgreSQL's own text, as the case says.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import math
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import duckdb
import pytest
from tests.connectors.suite import Road, engine, request_for, rows
from tests.connectors.test_postgres import connector_for
from tests.databases import Database

from dovetail.connectors.base import FragmentRequest
from dovetail.connectors.postgres import PostgresConnector
from dovetail.connectors.postgres_types import TYPE_TABLE, dovetail_type, parse_native
from dovetail.errors import DataError

BOTH: tuple[Road, ...] = ("native", "stream")


class Case(NamedTuple):
    """A column of ``native`` holding ``values`` (SQL literals) and NULL.

    ``how`` says what the delivered value must equal: ``same`` psycopg's value; ``text`` its text
    by PostgreSQL's output function; a ``{}`` expression over the column otherwise (as psycopg
    returns it).
    """

    native: str
    dovetail: str
    values: Sequence[str]
    how: str = "same"


LONG = "'" + "x" * 100_000 + "'"

CASES = (
    Case("boolean", "BOOLEAN", ["true", "false"]),
    Case("smallint", "SMALLINT", ["-32768", "0", "32767"]),
    Case("integer", "INTEGER", ["-2147483648", "0", "2147483647"]),
    Case("bigint", "BIGINT", ["-9223372036854775808", "0", "9223372036854775807"]),
    Case("oid", "UINTEGER", ["0", "4294967295"]),
    Case(
        "real",
        "FLOAT",
        ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "3.4028235e38", "1e-45"],
        "{}::float8",
    ),
    Case(
        "double precision",
        "DOUBLE",
        ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "1.7976931348623157e308", "5e-324"],
    ),
    Case("numeric(4,2)", "DECIMAL(4,2)", ["99.99", "-99.99", "0", "0.01", "-0.01", "10"]),
    Case("numeric(4,4)", "DECIMAL(4,4)", ["0.9999", "-0.9999", "0.0001", "0.1"]),
    Case("numeric(9,0)", "DECIMAL(9,0)", ["999999999", "-999999999", "10000", "0"]),
    Case("numeric(9,3)", "DECIMAL(9,3)", ["999999.999", "-999999.999", "0.001", "10000.01"]),
    Case(
        "numeric(18,6)",
        "DECIMAL(18,6)",
        ["999999999999.999999", "-999999999999.999999", "0.000001", "100000000", "1.5"],
    ),
    Case("numeric(19,1)", "DECIMAL(19,1)", ["999999999999999999.9", "-999999999999999999.9"]),
    Case("numeric(38,0)", "DECIMAL(38,0)", ["9" * 38, "-" + "9" * 38, "1" + "0" * 37, "0"]),
    Case("numeric(38,38)", "DECIMAL(38,38)", ["0." + "9" * 38, "-0." + "9" * 38, "1e-38"]),
    Case(
        "numeric(38,10)",
        "DECIMAL(38,10)",
        ["9" * 28 + "." + "9" * 10, "-" + "9" * 28 + "." + "9" * 10, "1e-10", "1e27"],
    ),
    Case("numeric(37,9)", "DECIMAL(37,9)", ["9" * 28 + "." + "9" * 9, "0.000000001", "12345.6"]),
    Case("numeric(5,-2)", "DECIMAL(7,0)", ["9999900", "-9999900", "100"]),
    Case("numeric(2,4)", "DECIMAL(4,4)", ["0.0099", "-0.0099", "0.0001"]),
    Case(
        "numeric",
        "DECIMAL(38,10)",
        ["9" * 28 + "." + "9" * 10, "-1.5", "1e27", "0.0000000001", "1.50000000000000000000", "0"],
    ),
    Case("numeric(40,2)", "DECIMAL(38,2)", ["9" * 36 + ".99", "-" + "9" * 36 + ".99", "0.01"]),
    Case(
        "money",
        "DECIMAL(19,2)",
        ["'-92233720368547758.08'", "'92233720368547758.07'", "0", "'-0.01'"],
        "{}::numeric",
    ),
    Case("character(5)", "VARCHAR", ["'a'", "'ab  '", "''", "' a'", "'äöü'"], "rtrim({}::text)"),
    Case("character", "VARCHAR", ["'x'", "' '"], "rtrim({}::text)"),
    Case("bpchar", "VARCHAR", ["'x  '", "''"], "rtrim({}::text)"),
    Case("character varying(9)", "VARCHAR", ["'a '", "''", "'ß😀'"]),
    Case("character varying", "VARCHAR", ["'a '", "''"]),
    Case("text", "VARCHAR", ["''", "' '", r"'\'", "'''\"'", "E'a\\nb\\tc\\r'", "'NULL'", LONG]),
    Case("name", "VARCHAR", ["'abc'", "''"]),
    Case('"char"', "VARCHAR", ["'a'", "' '", "''"]),
    Case("bytea", "BLOB", [r"'\x'", r"'\x00ff5c27'", r"'\xdeadbeef'"]),
    Case("date", "DATE", ["'0001-01-01'", "'9999-12-31'", "'1970-01-01'", "'2024-02-29'"]),
    Case("time", "TIME", ["'00:00'", "'23:59:59.999999'", "'12:34:56.000001'"]),
    Case("time(0)", "TIME", ["'12:34:56'"]),
    Case(
        "time with time zone",
        "TIME WITH TIME ZONE",
        ["'00:00+00'", "'23:59:59.999999-12:30'", "'12:00+15:59'"],
    ),
    Case(
        "timestamp",
        "TIMESTAMP",
        ["'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"],
    ),
    Case("timestamp(3)", "TIMESTAMP", ["'2024-02-29 12:00:00.123'"]),
    Case(
        "timestamp with time zone",
        "TIMESTAMP WITH TIME ZONE",
        ["'0001-01-01 00:00+00'", "'9999-12-31 23:59:59.999999+00'", "'2024-07-01 12:00+05:30'"],
        "{} AT TIME ZONE 'UTC'",
    ),
    Case(
        "interval",
        "INTERVAL",
        [
            "'1 year 2 months 3 days 04:05:06.789'",
            "'-1 month 40 days -25:00:00.000001'",
            "'0'",
            "'178000000 years'",
            "'-178000000 years'",
            "'2147483647 days'",
            "'2562047788:00:54.775807'",
        ],
        "interval",
    ),
    Case("uuid", "UUID", [f"'{uuid.UUID(int=0)}'", f"'{uuid.UUID(int=2**128 - 1)}'"]),
    Case(
        "json",
        "JSON",
        ["'null'", '\'{"a": 1e400, "a": [1, null]}\'', "' [ ] '", r"""'"\u0000\ud83d\ude00"'"""],
        "{}::text",
    ),
    Case(
        "jsonb",
        "JSON",
        ["'null'", '\'{"b": 1, "a": 12345678901234567890.123456789}\'', "'\"ä\"'"],
        "{}::text",
    ),
    Case("xml", "VARCHAR", ["'<a b=\"1\">x &amp; y</a>'", "'text'"]),
    Case(
        "inet",
        "VARCHAR",
        ["'1.2.3.4'", "'1.2.3.4/24'", "'::1'", "'fe80::1/64'", "'0.0.0.0/0'"],
        "format('%%s', {})",
    ),
    Case("cidr", "VARCHAR", ["'10.0.0.0/8'", "'1.2.3.4/32'", "'::/0'"], "format('%%s', {})"),
    Case("macaddr", "VARCHAR", ["'08:00:2b:01:02:03'"]),
    Case("macaddr8", "VARCHAR", ["'08:00:2b:01:02:03:04:05'"]),
    Case("bit(3)", "VARCHAR", ["'101'", "'000'"]),
    Case("bit varying(70)", "VARCHAR", ["''", "'1'", "'" + "10" * 35 + "'"]),
    Case("mood", "VARCHAR", ["'happy'", "'it''s'", "'sad'"]),
    Case("small_money", "DECIMAL(6,2)", ["9999.99", "0"]),
    Case("deep_domain", "DECIMAL(6,2)", ["1"]),
    Case("int_list", "INTEGER[]", ["'{1,NULL}'"]),
    Case("pair", "VARCHAR", ["ROW(1, 'a\"b')", "ROW(NULL, NULL)"], "{}::text"),
    Case("int4range", "VARCHAR", ["'[1,5)'", "'empty'", "'(,)'"], "{}::text"),
    Case("tstzrange", "VARCHAR", ["'[2024-07-01 00:00+00,)'"], "{}::text"),
    Case("int4multirange", "VARCHAR", ["'{[1,2),[5,6)}'", "'{}'"], "{}::text"),
    Case("tsvector", "VARCHAR", ["'a:1 b:2A'"]),
    Case("tsquery", "VARCHAR", ["'a & !b'"]),
    Case("point", "VARCHAR", ["'(0.1,-0)'", "'(NaN,Infinity)'"]),
    Case("line", "VARCHAR", ["'{1,2,3}'"]),
    Case("lseg", "VARCHAR", ["'[(0,0),(1,1)]'"]),
    Case("box", "VARCHAR", ["'(1,1),(0,0)'"]),
    Case("path", "VARCHAR", ["'((0,0),(1,1))'", "'[(0,0),(1,1)]'"]),
    Case("polygon", "VARCHAR", ["'((0,0),(1,1),(1,0))'"]),
    Case("circle", "VARCHAR", ["'<(0,0),1e-7>'"]),
    Case("pg_lsn", "VARCHAR", ["'16/B374D848'"]),
    Case("regclass", "VARCHAR", ["'pg_class'"]),
    Case("jsonpath", "VARCHAR", ["'$.a[*]'"], "{}::text"),
    Case("boolean[]", "BOOLEAN[]", ["'{t,NULL,f}'", "'{}'"]),
    Case("smallint[]", "SMALLINT[]", ["'{-32768,NULL,32767}'"]),
    Case("integer[]", "INTEGER[]", ["'{1,NULL,-2147483648}'", "'{}'", "'{NULL}'", "'[0:1]={5,6}'"]),
    Case("bigint[]", "BIGINT[]", ["'{9223372036854775807,NULL}'"]),
    Case("oid[]", "UINTEGER[]", ["'{4294967295,NULL}'"]),
    Case("real[]", "FLOAT[]", ["'{0.1,NULL,Infinity}'"], "{}::float8[]"),
    Case("double precision[]", "DOUBLE[]", ["'{0.1,NULL,-0}'"]),
    Case("numeric(6,2)[]", "DECIMAL(6,2)[]", ["'{9999.99,NULL,-0.01}'", "'{}'"]),
    Case("numeric[]", "DECIMAL(38,10)[]", ["'{1.5,NULL,1e27}'"]),
    Case("money[]", "DECIMAL(19,2)[]", ["'{1.50,NULL}'"], "{}::numeric[]"),
    Case("text[]", "VARCHAR[]", ['\'{a,NULL,"NULL","","a b","{x}","q\\"\\\\"}\'', "'{}'"]),
    Case("character varying(5)[]", "VARCHAR[]", ["'{abc,NULL}'"]),
    Case("character(3)[]", "VARCHAR[]", ["'{a,NULL}'"], "{}::text[]"),
    Case('"char"[]', "VARCHAR[]", ["'{a,\" \",NULL}'"]),
    Case("name[]", "VARCHAR[]", ["'{a,NULL}'"]),
    Case("bytea[]", "BLOB[]", [r"""'{"\\x00ff",NULL,"\\x"}'"""]),
    Case("date[]", "DATE[]", ["'{2024-02-29,NULL,0001-01-01}'"]),
    Case("time[]", "TIME[]", ["'{12:00,NULL}'"]),
    Case("timestamp[]", "TIMESTAMP[]", ["'{2024-02-29 01:02:03,NULL}'"]),
    Case(
        "timestamp with time zone[]",
        "TIMESTAMP WITH TIME ZONE[]",
        ["'{2024-07-01 12:00+05:30,NULL}'"],
        "(SELECT array_agg(x AT TIME ZONE 'UTC' ORDER BY i) "
        "FROM unnest({}) WITH ORDINALITY AS u(x, i))",
    ),
    Case("uuid[]", "UUID[]", [f"'{{{uuid.UUID(int=5)},NULL}}'"]),
    Case("json[]", "JSON[]", ["""ARRAY['{"a": 1}', NULL]::json[]"""], "{}::text[]"),
    Case("jsonb[]", "JSON[]", ["""ARRAY['{"a": 1}', NULL]::jsonb[]"""], "{}::text[]"),
    Case("inet[]", "VARCHAR[]", ["'{1.2.3.4,1.2.3.4/24,::1,::1/64,NULL}'"], "inets"),
    Case("mood[]", "VARCHAR[]", ["'{happy,NULL}'"], "{}::text[]"),
    Case("bit(3)[]", "VARCHAR[]", ["'{101,NULL}'"]),
    Case("integer[][]", "VARCHAR", ["'{{1,2},{3,NULL}}'", "'{}'", "'{1}'"], "{}::text"),
    Case("text[][]", "VARCHAR", ["""'{{a,"b c"}}'"""], "{}::text"),
)


@pytest.fixture(scope="module")
def database(postgres_database: Database) -> Database:
    """One table per case, two columns: an order and the value."""
    statements = [
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'it''s')",
        "CREATE DOMAIN small_money AS numeric(6,2) CHECK (value >= 0)",
        "CREATE DOMAIN deep_domain AS small_money NOT NULL",
        "CREATE DOMAIN int_list AS integer[]",
        "CREATE TYPE pair AS (a integer, b text)",
    ]
    for number, case in enumerate(CASES):
        statements.append(f"CREATE TABLE case_{number} (n integer, v {case.native})")
        values = [*case.values, *([] if case.native == "deep_domain" else ["NULL"])]
        listed = ", ".join(f"({i}, CAST({v} AS {case.native}))" for i, v in enumerate(values))
        statements.append(f"INSERT INTO case_{number} VALUES {listed}")
    postgres_database.execute(*statements)
    return postgres_database


@pytest.fixture(scope="module")
def connector(database: Database) -> Iterator[PostgresConnector]:
    made = connector_for(database)
    yield made
    made.close()


@pytest.fixture(scope="module")
def instance(connector: PostgresConnector) -> Iterator[duckdb.DuckDBPyConnection]:
    """One engine for all cases; each has a transaction of its own."""
    with engine(connector) as (made, _):
        yield made


@pytest.fixture(scope="module")
def tables(connector: PostgresConnector) -> dict[str, Any]:
    return {table.name: table for table in connector.catalog().tables}


def _same(ours: Any, theirs: Any) -> bool:
    """Equality that tells -0.0 from 0.0, knows NaN, and looks into lists."""
    if isinstance(ours, float) and isinstance(theirs, float):
        if math.isnan(theirs):
            return math.isnan(ours)
        return ours == theirs and math.copysign(1, ours) == math.copysign(1, theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def _expected(database: Database, number: int, case: Case) -> list[Any]:
    if case.how == "interval":
        # DuckDB gives a timedelta of 30-day months to Python, so its parts are compared
        expression = (
            "format('%%s %%s %%s', extract(year from v)::bigint * 12 + extract(month from v)::int,"
            " extract(day from v), (extract(hour from v) * 3600 + extract(minute from v) * 60"
            " + extract(second from v)) * 1000000)"
        )
    elif case.how == "inets":
        expression = "(SELECT array_agg(format('%%s', x)) FROM unnest(v) x)"
    else:
        expression = "v" if case.how == "same" else case.how.format("v")
    # a row of NULLs "is null" without being NULL
    null = "v IS NOT DISTINCT FROM NULL"
    query = f"SELECT CASE WHEN {null} THEN NULL ELSE {expression} END FROM case_{number}"
    if case.how == "same":
        query = f"SELECT v FROM case_{number}"
    with contextlib.closing(database.connect()) as connection:
        return [row[0] for row in connection.execute(query + " ORDER BY n", ()).fetchall()]


def _comparable(value: Any, how: str) -> Any:
    """psycopg's value in the form in which DuckDB hands the same value to Python."""
    if isinstance(value, list):
        return [_comparable(item, how) for item in value]
    if how == "inets" and value == "":
        return None  # format() prints NULL as nothing
    return value


@pytest.mark.parametrize("road", BOTH)
@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.native for case in CASES])
def test_values_equal_the_drivers(
    database: Database,
    connector: PostgresConnector,
    tables: dict[str, Any],
    instance: duckdb.DuckDBPyConnection,
    number: int,
    road: Road,
) -> None:
    case = CASES[number]
    table = tables[f"case_{number}"]
    assert table.column("v").type.text == case.dovetail
    found = sorted(
        _read(connector, request_for(table), road, case, instance), key=lambda row: row[0]
    )
    ours = [row[1] for row in found]
    theirs = [_comparable(value, case.how) for value in _expected(database, number, case)]
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert _same(mine, other), (mine, other)


def _read(
    connector: PostgresConnector,
    request: FragmentRequest,
    road: Road,
    case: Case,
    instance: duckdb.DuckDBPyConnection,
) -> list[tuple[Any, ...]]:
    if "TIME ZONE 'UTC'" in case.how:  # DuckDB would want pytz to make Python values
        local = case.dovetail.replace(" WITH TIME ZONE", "")
        sql = f"SELECT n, v::{local} FROM {{0}}"
        return rows(connector, request, road, instance=instance, sql=sql)
    if case.how != "interval":
        return rows(connector, request, road, instance=instance)
    parts = "datepart('year', v)::BIGINT * 12 + datepart('month', v)"
    rest = "(datepart('hour', v)::HUGEINT * 3600 + datepart('minute', v) * 60) * 1000000"
    return rows(
        connector,
        request,
        road,
        instance=instance,
        sql=f"SELECT n, {parts} || ' ' || datepart('day', v) || ' ' "
        f"|| ({rest} + datepart('microsecond', v)) || '.000000' FROM {{0}}",
    )


# --- what cannot be carried ----------------------------------------------------------------------


class Refused(NamedTuple):
    """A value that is a clear error: ``message`` is a part of it."""

    native: str
    value: str
    message: str


REFUSED = (
    Refused("numeric(15,2)", "'NaN'", "NaN"),
    Refused("numeric(38,0)", "'NaN'", "NaN"),
    Refused("numeric(5,-2)", "'NaN'", "NaN"),
    Refused("numeric", "'NaN'", "numeric: text"),
    Refused("numeric", "'Infinity'", "numeric: text"),
    Refused("numeric", "'-Infinity'", "numeric: text"),
    Refused("numeric", "1e28", "numeric: text"),
    Refused("numeric", "0.00000000001", "0.00000000001"),
    Refused("numeric(50,20)", "1e29", "DECIMAL(38,20)"),
    Refused("numeric(6,2)[]", "'{1,NaN}'", "NaN"),
    Refused("numeric[]", "'{1,0.00000000001}'", "numeric: text"),
    Refused("date", "'infinity'", "infinite_dates: null"),
    Refused("date", "'-infinity'", "infinite_dates: null"),
    Refused("date", "'0001-12-31 BC'", "0001-12-31 (BC)"),
    Refused("date", "'4714-11-24 BC'", "(BC)"),
    Refused("date", "'10000-01-01'", "10000-01-01"),
    Refused("date", "'5874897-12-31'", "5874897-12-31"),
    Refused("timestamp", "'infinity'", "infinite_dates: null"),
    Refused("timestamp", "'4714-11-24 00:00:00 BC'", "(BC)"),
    Refused("timestamp", "'10000-01-01'", "10000-01-01"),
    Refused("timestamp", "'294276-12-31 23:59:59.999999'", ""),
    Refused("timestamp with time zone", "'-infinity'", "infinite_dates: null"),
    Refused("timestamp with time zone", "'10000-01-01 00:00+00'", "10000-01-01"),
    Refused("date[]", "'{2024-01-01,infinity}'", "infinite_dates: null"),
    Refused("integer[]", "'{{1,2},{3,4}}'", "several dimensions"),
    Refused("text[]", "'{{a,b}}'", "several dimensions"),
    Refused("inet[]", "'{{1.2.3.4,::1}}'", "several dimensions"),
    Refused("json", """'"\\ud800"'""", "JSON"),
)


@pytest.fixture(scope="module")
def refused_tables(database: Database) -> dict[str, Any]:
    statements = []
    for number, case in enumerate(REFUSED):
        statements.append(f"CREATE TABLE refused_{number} (n integer, v {case.native})")
        statements.append(
            f"INSERT INTO refused_{number} VALUES (0, NULL), (1, CAST({case.value} AS"
            f" {case.native}))"
        )
    database.execute(*statements)
    made = connector_for(database)
    return {table.name: table for table in made.catalog().tables}


@pytest.mark.parametrize("road", BOTH)
@pytest.mark.parametrize(
    "number", range(len(REFUSED)), ids=[f"{c.native}-{c.value}" for c in REFUSED]
)
def test_what_cannot_be_carried_is_a_clear_error(
    connector: PostgresConnector,
    refused_tables: dict[str, Any],
    instance: duckdb.DuckDBPyConnection,
    number: int,
    road: Road,
) -> None:
    table = refused_tables[f"refused_{number}"]
    with pytest.raises(DataError) as caught:
        rows(connector, request_for(table), road, instance=instance)
    text = str(caught.value)
    assert text.startswith(f"shop.public.refused_{number}.v holds ")
    assert REFUSED[number].message in text
    assert "SELECT" not in text
    assert text.count("\n") == 0
    # the rows that can be carried still are
    without = request_for(table, where="n = 0", dialect="postgres")
    assert rows(connector, without, road, instance=instance) == [(0, None)]


def test_infinite_dates_may_be_read_as_null(database: Database, refused_tables: Any) -> None:
    lenient = connector_for(database, infinite_dates="null")
    with contextlib.closing(lenient), engine(lenient) as (instance, _):
        for number, case in enumerate(REFUSED):
            if case.native.startswith(("date", "timestamp")) and "294276" not in case.value:
                found = rows(
                    lenient, request_for(refused_tables[f"refused_{number}"]), instance=instance
                )
                expected = [datetime.date(2024, 1, 1), None] if "[]" in case.native else None
                assert sorted(found) == [(0, None), (1, expected)]


@pytest.mark.parametrize(
    ("setting", "kind", "expected"),
    [
        ("text", "VARCHAR", ["NaN", "1E+28", "0.00000000001"]),
        ("double", "DOUBLE", [math.nan, 1e28, 1e-11]),
    ],
)
def test_the_setting_for_numeric(
    database: Database, setting: str, kind: str, expected: list[Any]
) -> None:
    database.execute(
        "DROP TABLE IF EXISTS loose",
        "CREATE TABLE loose (n integer, v numeric, w numeric(40,2), l numeric[], e numeric(9,2))",
        "INSERT INTO loose VALUES (0, 'NaN', 1, '{NaN}', 1), (1, 1e28, 2, '{1}', 1),"
        " (2, 0.00000000001, 3, NULL, 1)",
    )
    made = connector_for(database, numeric=setting)
    with contextlib.closing(made):
        table = made.catalog().table(None, "loose")
        assert [c.type.text for c in table.columns] == [
            *("INTEGER", kind, kind, f"{kind}[]", "DECIMAL(9,2)")
        ]
        for road in BOTH:
            found = sorted(rows(made, request_for(table), road))
            ours = [row[1] for row in found]
            if setting == "text":
                assert [decimal.Decimal(v) for v in ours[1:]] == [
                    decimal.Decimal(v) for v in expected[1:]
                ]
                assert ours[0] == "NaN"
            else:
                assert all(map(_same, ours, expected))
            assert len(found[0][3]) == 1


def test_numeric_scale(database: Database) -> None:
    made = connector_for(database, numeric_scale=2)
    with contextlib.closing(made):
        assert dovetail_type("numeric", made.settings).text == "DECIMAL(38,2)"
        database.execute(
            "DROP TABLE IF EXISTS scaled",
            "CREATE TABLE scaled (v numeric)",
            "INSERT INTO scaled VALUES (1.25)",
        )
        table = made.catalog().table(None, "scaled")
        assert rows(made, request_for(table)) == [(decimal.Decimal("1.25"),)]
        database.execute("INSERT INTO scaled VALUES (1.255)")
        with pytest.raises(DataError, match=r"scaled\.v holds 1\.255"):
            rows(made, request_for(table))


def test_times_of_24_hours_are_kept(database: Database) -> None:
    database.execute(
        "DROP TABLE IF EXISTS late",
        "CREATE TABLE late (v time, w time with time zone)",
        "INSERT INTO late VALUES ('24:00', '24:00-01')",
    )
    made = connector_for(database)
    with contextlib.closing(made):
        table = made.catalog().table(None, "late")
        for road in BOTH:
            found = rows(made, request_for(table), road, sql="SELECT v::TEXT, w::TEXT FROM {0}")
            assert found == [("24:00:00", "24:00:00-01")]


def test_every_type_of_the_server_has_a_row(database: Database) -> None:
    """Every base type that a column may have is read somehow, and the table of types says how."""
    names = {case.native for case in CASES}
    listed = " ".join(row.native for row in TYPE_TABLE)
    for name in names:
        base = parse_native(name).base
        if base in ("mood", "pair", "small_money", "deep_domain", "int_list"):
            continue
        known = base in listed or dovetail_type(name, connector_for(database).settings).text in (
            "VARCHAR",
            "VARCHAR[]",
        )
        assert known, name
    assert all(row.native and row.dovetail and row.road for row in TYPE_TABLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numeric(15,2)", ("numeric", (15, 2), 0)),
        ("numeric(5,-2)[]", ("numeric", (5, -2), 1)),
        ("timestamp(3) without time zone", ("timestamp without time zone", (3,), 0)),
        ("interval day to second(3)", ("interval", (3,), 0)),
        ("integer[][]", ("integer", (), 2)),
        ('public."odd(1)"', ('public."odd(1)"', (), 0)),
        ('"char"', ('"char"', (), 0)),
    ],
)
def test_taking_a_type_apart(text: str, expected: tuple[Any, ...]) -> None:
    assert tuple(parse_native(text).__dict__.values()) == expected
