"""Every MySQL/MariaDB type, read through a fragment, against what PyMySQL returns, cell by cell."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.connectors.suite import read, request_for, rows
from tests.connectors.test_mysql_suite import connector_for
from tests.databases import Database

from dovetail.catalog.model import TableInfo
from dovetail.connectors.mysql import TYPE_TABLE
from dovetail.connectors.mysql_types import dovetail_type
from dovetail.errors import DataError


def _same(value: Any) -> Any:
    return value


def _wkb(value: bytes | None) -> bytes | None:
    return None if value is None else value[4:]  # MySQL puts the SRID before the WKB


def _bits(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "big")


def _date(value: Any) -> Any:
    return None if isinstance(value, str) else value  # PyMySQL hands a zero date over as text


def _float32(value: float | None) -> float | None:
    return None if value is None else struct.unpack("f", struct.pack("f", value))[0]


@dataclass(frozen=True)
class Case:
    """A declared type, SQL literals for its values, and how PyMySQL's value compares."""

    native: str
    values: tuple[str, ...]
    type: str
    expected: Callable[[Any], Any] = _same
    select: str = "c"


_INTEGERS = [
    Case(
        f"{name}{suffix}",
        values,
        f"{'U' if suffix else ''}{type_}",
    )
    for name, bits, type_ in (
        ("tinyint", 8, "TINYINT"),
        ("smallint", 16, "SMALLINT"),
        ("mediumint", 24, "INTEGER"),
        ("int", 32, "INTEGER"),
        ("bigint", 64, "BIGINT"),
    )
    for suffix, values in (
        ("", (str(-(2 ** (bits - 1))), "-1", "0", str(2 ** (bits - 1) - 1))),
        (" unsigned", ("0", "1", str(2**bits - 1))),
    )
]

_TEXT = (
    "''",
    "' '",
    "'a '",
    "'NULL'",
    "'\\\\N'",
    r"'it''s \"quoted\" back\\slash'",
    r"'line\nbreak\r\nand\ttab'",
    "_utf8mb4 x'00'",
    "_utf8mb4 x'0001020304'",
    "_utf8mb4 x'1f0161'",
    "'ünï'",
)

CASES = [
    *_INTEGERS,
    Case("tinyint(1)", ("-128", "0", "1", "2", "127"), "TINYINT"),
    Case("tinyint(1) unsigned", ("0", "255"), "UTINYINT"),
    Case("int(8) zerofill", ("42", "4294967295"), "UINTEGER"),
    Case("decimal(5,2)", ("-999.99", "0", "0.01", "999.99"), "DECIMAL(5,2)"),
    Case("decimal(15,2)", ("-9999999999999.99", "0.07", "9999999999999.99"), "DECIMAL(15,2)"),
    Case("decimal(15,15)", ("-0.999999999999999", "0.000000000000001"), "DECIMAL(15,15)"),
    Case("decimal(15,0) unsigned", ("999999999999999", "0"), "DECIMAL(15,0)"),
    Case("decimal(16,4)", ("-999999999999.9999", "0.0001"), "DECIMAL(16,4)"),
    Case("decimal(38,10)", ("-" + "9" * 28 + "." + "9" * 10, "0.0000000001"), "DECIMAL(38,10)"),
    Case("decimal(38,0)", ("9" * 38, "-" + "9" * 38), "DECIMAL(38,0)"),
    Case("decimal(38,38)", ("0." + "9" * 38, "-0." + "0" * 37 + "1"), "DECIMAL(38,38)"),
    Case("decimal(20,2) zerofill", ("12.5", "999999999999999999.99"), "DECIMAL(20,2)"),
    Case("decimal(65,30)", ("99999999." + "9" * 30, "-1.5", "0"), "DECIMAL(38,30)"),
    Case("decimal(65,0)", ("9" * 38, "-7"), "DECIMAL(38,0)"),
    Case(
        "float",
        ("0.1", "-3.4028234663852886e38", "1.17549435e-38", "16777217", "1e-45", "0"),
        "FLOAT",
        _float32,
        "CAST(c AS DOUBLE)",
    ),
    Case("float(7,4)", ("123.4567", "-999.9999"), "FLOAT", _float32, "CAST(c AS DOUBLE)"),
    Case(
        "double",
        (
            *("0.1", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0"),
            *("123456789.123456789", "1e15", "1e16", "0.30000000000000004", "9007199254740993"),
        ),
        "DOUBLE",
    ),
    Case("double(20,3)", ("12345678901234.567", "-0.001"), "DOUBLE"),
    Case("bit(1)", ("b'0'", "b'1'"), "BOOLEAN", lambda v: None if v is None else v != b"\0"),
    Case("bit(9)", ("b'0'", "b'101010101'"), "UBIGINT", _bits),
    Case("bit(64)", ("b'0'", "18446744073709551615"), "UBIGINT", _bits),
    Case("char(20)", (*_TEXT[:5], "'😀'"), "VARCHAR"),
    Case("varchar(60)", (*_TEXT, "'😀 four bytes'"), "VARCHAR"),
    Case("varchar(60) character set utf8mb3", (*_TEXT, "'€'"), "VARCHAR"),
    Case("varchar(60) character set latin1", ("x'e4f6fc80ff'", "'a'", "''"), "VARCHAR"),
    Case("varchar(60) character set ucs2", ("'ünï'", "''"), "VARCHAR"),
    Case("varchar(60) character set ascii", ("'plain'", r"'\\'"), "VARCHAR"),
    Case("varchar(60) collate utf8mb4_bin", ("'a'", "'A'", "'ä'"), "VARCHAR"),
    Case("tinytext", (*_TEXT, "REPEAT('x', 255)"), "VARCHAR"),
    Case("text", (*_TEXT, "REPEAT('ä', 32767)", "REPEAT('x', 250)"), "VARCHAR"),
    Case("mediumtext", (*_TEXT, "REPEAT('xyz', 100000)", "REPEAT('x', 251)"), "VARCHAR"),
    Case("longtext", (*_TEXT, "REPEAT('y\\n', 300000)", "REPEAT('x', 65536)"), "VARCHAR"),
    Case("binary(4)", ("x'00'", "x'fffefdfc'", "''"), "BLOB"),
    Case("varbinary(300)", ("''", "x'00'", "x'fffefefdfbfc0a0d01'", "REPEAT('a', 300)"), "BLOB"),
    Case("tinyblob", ("''", "x'fefefd'", "x'5c27'"), "BLOB"),
    Case("blob", ("''", "REPEAT(x'ff00', 30000)"), "BLOB"),
    Case("mediumblob", ("''", "REPEAT(x'fefefd', 300000)", "x'00'"), "BLOB"),
    Case("longblob", ("''", "x'0a'", "REPEAT(x'0afefefd', 100000)"), "BLOB"),
    Case("enum('a','B b','it''s','','ü)')", ("'a'", "'B b'", "'it''s'", "''", "'ü)'"), "VARCHAR"),
    Case("set('a','b','ü')", ("''", "'a'", "'a,b,ü'"), "VARCHAR"),
    Case(
        "date",
        ("'0001-01-01'", "'1000-01-01'", "'2024-02-29'", "'9999-12-31'", "'0000-00-00'"),
        "DATE",
        _date,
    ),
    Case(
        "datetime",
        ("'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'"),
        "TIMESTAMP",
        _date,
    ),
    Case("datetime(3)", ("'2024-02-29 12:34:56.789'", "'2024-01-01'"), "TIMESTAMP"),
    Case(
        "datetime(6)",
        ("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.000001'"),
        "TIMESTAMP",
    ),
    Case(
        "timestamp(6) null",
        ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'", "'2024-03-10 02:30:00'"),
        "TIMESTAMP WITH TIME ZONE",
        _date,
    ),
    Case(
        "timestamp null",
        ("'2024-10-27 01:30:00'", "'0000-00-00 00:00:00'"),
        "TIMESTAMP WITH TIME ZONE",
        _date,
    ),
    Case(
        "time",
        ("'-838:59:59'", "'00:00:00'", "'-00:00:01'", "'24:00:00'", "'838:59:59'"),
        "INTERVAL",
    ),
    Case("time(6)", ("'-838:59:58.999999'", "'00:00:00.000001'", "'12:34:56.789'"), "INTERVAL"),
    Case("year", ("0", "1901", "2155"), "SMALLINT"),
    Case(
        "json",
        ("'null'", "'{}'", """'{"a": [1, 2.5, "x\\\\u00e4", null], "b": "it''s"}'""", "'\"😀\"'"),
        "JSON",
    ),
    Case(
        "geometry",
        ("ST_GeomFromText('POINT(1.5 -2)')", "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)"),
        "BLOB",
        _wkb,
    ),
    Case("point", ("POINT(0.1, 1e300)",), "BLOB", _wkb),
    Case("linestring", ("ST_GeomFromText('LINESTRING(0 0,1 1)')",), "BLOB", _wkb),
    Case(
        "uuid",
        (
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'123e4567-e89b-12d3-a456-426614174000'",
        ),
        "UUID",
        lambda v: None if v is None else uuid.UUID(v),
    ),
    Case("inet6", ("'::'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'"), "VARCHAR"),
    Case("inet4", ("'0.0.0.0'", "'255.255.255.255'"), "VARCHAR"),
    Case("int generated always as (id * 2) stored", (), "INTEGER"),
    Case("varchar(20) generated always as (concat('v', id)) virtual", (), "VARCHAR"),
]


@pytest.fixture(scope="module")
def tables(mariadb_database: Database) -> dict[str, str]:
    """One table per case: a row of NULL, then each value."""
    names = {}
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        for number, case in enumerate(CASES):
            name = names[case.native] = f"t{number}"
            cursor.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, c {case.native})")
            if "generated" in case.native:
                cursor.execute(f"INSERT INTO {name} (id) VALUES (1), (2)")
                continue
            cursor.execute(f"INSERT INTO {name} VALUES (0, NULL)")
            for row, value in enumerate(case.values, start=1):
                cursor.execute(f"INSERT INTO {name} VALUES ({row}, {value})")
    return names


@pytest.fixture(scope="module")
def catalog(mariadb_database: Database, tables: dict[str, str]) -> dict[str, TableInfo]:
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        return {table.name: table for table in connector.catalog().tables}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.native)
def test_every_cell_equals_the_drivers(
    case: Case,
    mariadb_database: Database,
    tables: dict[str, str],
    catalog: dict[str, TableInfo],
) -> None:
    name = tables[case.native]
    table = catalog[name]
    column = table.column("c")
    assert column is not None
    assert column.type.text == case.type
    assert column.unreadable is None
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT id, {case.select} FROM {name} ORDER BY id")
        wanted = [(key, case.expected(value)) for key, value in cursor.fetchall()]
    assert len(wanted) == len(case.values) + 1 or "generated" in case.native
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        # Python values with a zone need a package that nobody else does: compare in UTC.
        utc = "TIME ZONE" in case.type
        sql = "SELECT id, c AT TIME ZONE 'UTC' FROM {0}" if utc else "SELECT * FROM {0}"
        found = sorted(rows(connector, request_for(table), "stream", sql=sql))
    assert found == wanted
    assert [type(b) for _, b in found] == [type(b) for _, b in wanted]


def test_all_types_in_one_row(mariadb_database: Database, tables: dict[str, str]) -> None:
    """A wide fragment of every type at once, long rows and short ones side by side."""
    chosen = [case for case in CASES if "generated" not in case.native]
    columns = ", ".join(f"c{number} {case.native}" for number, case in enumerate(chosen))
    mariadb_database.execute(
        f"CREATE TABLE every (id int PRIMARY KEY, {columns}) ROW_FORMAT=DYNAMIC"
    )
    depth = max(len(case.values) for case in chosen) + 1
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        for row in range(depth):
            values = ", ".join(
                ["NULL", *case.values][row % (len(case.values) + 1)] for case in chosen
            )
            cursor.execute(f"INSERT INTO every VALUES ({row}, {values})")
        selected = ", ".join(
            case.select.replace("c", f"c{number}", 1)
            if case.select == "c"
            else f"CAST(c{number} AS DOUBLE)"
            for number, case in enumerate(chosen)
        )
        cursor.execute(f"SELECT id, {selected} FROM every ORDER BY id")
        wanted = [
            (key, *(case.expected(v) for case, v in zip(chosen, values, strict=True)))
            for key, *values in cursor.fetchall()
        ]
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        table = connector.catalog().table(None, "every")
        assert table is not None
        zoned = [c.name for c in table.columns if "TIME ZONE" in c.type.text]
        replaced = ", ".join(f"{name} AT TIME ZONE 'UTC' AS {name}" for name in zoned)
        sql = f"SELECT * REPLACE ({replaced}) FROM {{0}}"
        found = sorted(
            rows(connector, request_for(table), "stream", sql=sql), key=lambda row: row[0]
        )
    for found_row, wanted_row in zip(found, wanted, strict=True):
        assert found_row == wanted_row


def test_tinyint1_as_boolean(mariadb_database: Database) -> None:
    mariadb_database.execute("CREATE TABLE flags (id int, c tinyint(1))")
    mariadb_database.execute("INSERT INTO flags VALUES (1, 0), (2, 1), (3, 2), (4, -1), (5, NULL)")
    with contextlib.closing(connector_for(mariadb_database, tinyint1="boolean")) as connector:
        table = connector.catalog().table(None, "flags")
        assert table is not None
        assert table.columns[1].type.text == "BOOLEAN"
        found = sorted(rows(connector, request_for(table), "stream"))
    assert found == [(1, False), (2, True), (3, True), (4, True), (5, None)]


_BAD_DATES = (
    "(1, '0000-00-00', '0000-00-00 00:00:00'), (2, '2024-00-10', '2024-01-00 10:00:00'), "
    "(3, '2024-02-31', '2023-02-29 00:00:00'), (4, '2024-02-29', '2024-02-29 01:02:03'), "
    "(5, NULL, NULL)"
)


def test_zero_dates_become_null_and_are_counted(mariadb_database: Database) -> None:
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        cursor.execute("CREATE TABLE zeros (id int, d date, t datetime)")
        cursor.execute(f"INSERT INTO zeros VALUES {_BAD_DATES}")
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        table = connector.catalog().table(None, "zeros")
        assert table is not None
        with contextlib.closing(connector.snapshot()) as snapshot:
            found = snapshot.read(request_for(table)).reader.read_all().to_pylist()
            warnings = snapshot.warnings()
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3)
    assert sorted((row["id"], row["d"], row["t"]) for row in found) == [
        (1, None, None),
        (2, None, None),
        (3, None, None),
        (4, datetime.date(2024, 2, 29), moment),
        (5, None, None),
    ]
    place = f"crm.{mariadb_database.name}.zeros"
    assert warnings == (
        f"{place}.d: 3 zero or partial dates read as NULL",
        f"{place}.t: 3 zero or partial dates read as NULL",
    )


def test_zero_dates_as_an_error(mariadb_database: Database) -> None:
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET sql_mode = ''")
        cursor.execute("CREATE TABLE zero_error (id int, d date)")
        cursor.execute("INSERT INTO zero_error VALUES (1, '2024-01-01'), (2, '0000-00-00')")
    with contextlib.closing(connector_for(mariadb_database, zero_dates="error")) as connector:
        table = connector.catalog().table(None, "zero_error")
        assert table is not None
        with contextlib.closing(connector.snapshot()) as snapshot:
            stream = snapshot.read(request_for(table))
            with pytest.raises(DataError, match=r"zero_error\.d holds '0000-00-00'"):
                stream.reader.read_all()


@pytest.mark.parametrize(
    ("native", "value", "message"),
    [
        ("decimal(65,30)", "1e20", r"does not fit DECIMAL\(38,30\): 1000"),
        ("decimal(65,0)", "'" + "9" * 60 + "'", r"does not fit DECIMAL\(38,0\): 9999"),
        ("varchar(20)", "_binary x'eda080'", "not UTF-8 text: 0xeda080"),
        ("text", "CONCAT('ok\\n', _binary x'eda080')", "not UTF-8 text: 0x6f6b0aeda080"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_column(
    mariadb_database: Database, native: str, value: str, message: str
) -> None:
    mariadb_database.execute("DROP TABLE IF EXISTS misfit", f"CREATE TABLE misfit (c {native})")
    mariadb_database.execute(f"INSERT INTO misfit VALUES (NULL), ({value})")
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        table = connector.catalog().table(None, "misfit")
        assert table is not None
        with contextlib.closing(connector.snapshot()) as snapshot:
            stream = snapshot.read(request_for(table))
            with pytest.raises(DataError, match=message) as caught:
                stream.reader.read_all()
    assert f"crm.{mariadb_database.name}.misfit.c" in str(caught.value)
    assert caught.value.source == "crm"


def test_rows_too_large_for_the_servers_functions(mariadb_database: Database) -> None:
    """CONCAT_WS answers NULL beyond max_allowed_packet; such rows come apart, between others."""
    mariadb_database.execute(
        "CREATE TABLE wide (id int, a longtext, b longblob, d date)",
        "INSERT INTO wide SELECT seq, CONCAT('row\\n', seq), x'fefefd0a', '2024-02-29' "
        "FROM seq_1_to_2000",
        "INSERT INTO wide VALUES (5000, REPEAT('ä\\n', 2000000), REPEAT(x'fefefd', 2500000), NULL)",
        "INSERT INTO wide VALUES (5001, NULL, REPEAT(x'fefefdff', 2000000), '2024-01-01')",
        "INSERT INTO wide VALUES (5002, REPEAT('z', 6000000), NULL, '2024-01-01')",
        "INSERT INTO wide SELECT 10000 + seq, NULL, NULL, NULL FROM seq_1_to_2000",
        "INSERT INTO wide VALUES (20000, REPEAT('q', 5000000), x'00', '2024-01-02')",
    )
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id, a, b, d FROM wide ORDER BY id")
        wanted = list(cursor.fetchall())
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        table = connector.catalog().table(None, "wide")
        assert table is not None
        found = sorted(rows(connector, request_for(table), "stream"), key=lambda row: row[0])
    assert [row[0] for row in found] == [row[0] for row in wanted]
    assert found == wanted


def test_a_computed_row_that_is_too_large_is_a_clear_error(mariadb_database: Database) -> None:
    import sqlglot

    from dovetail.connectors.base import FragmentRequest, OutputColumn
    from dovetail.types import VARCHAR

    query = sqlglot.parse_one(
        "SELECT REPEAT('x', 9000000) AS c, REPEAT('y', 9000000) AS d", read="mysql"
    )
    request = FragmentRequest(
        query, (OutputColumn("c", VARCHAR), OutputColumn("d", VARCHAR)), tag="t"
    )
    with (
        contextlib.closing(connector_for(mariadb_database)) as connector,
        contextlib.closing(connector.snapshot()) as snapshot,
    ):
        stream = snapshot.read(request)
        with pytest.raises(DataError, match="max_allowed_packet"):
            stream.reader.read_all()


def test_computed_values_of_every_family(mariadb_database: Database) -> None:
    import sqlglot

    from dovetail.connectors.base import FragmentRequest, OutputColumn
    from dovetail.types import parse_type

    columns = {
        "n": ("SUM(v)", "HUGEINT", sum(range(3))),
        "many": ("CAST(SUM(v) AS DECIMAL(38, 0)) * 10000000000000000000", "HUGEINT", 3 * 10**19),
        "c": ("COUNT(*)", "BIGINT", 3),
        "d": ("AVG(v)", "DOUBLE", 1.0),
        "dec": ("SUM(v * 1.10)", "DECIMAL(38,2)", decimal.Decimal("3.30")),
        "b": ("MAX(v) > 1", "BOOLEAN", True),
        "f": ("MAX(CAST(0.1 AS FLOAT))", "FLOAT", _float32(0.1)),
        "s": ("MAX(CONCAT('ä', v))", "VARCHAR", "ä2"),
        "day": ("MAX(DATE '2024-02-29')", "DATE", datetime.date(2024, 2, 29)),
        "at": (
            "MAX(TIMESTAMP '2024-02-29 01:02:03.5')",
            "TIMESTAMP",
            datetime.datetime(2024, 2, 29, 1, 2, 3, 500000),
        ),
        "o": ("NULL", "VARCHAR", None),
        "whole": ("SUM(v * 1.0)", "BIGINT", 3),
        "t": ("MAX(TIME '01:02:03')", "TIME", datetime.time(1, 2, 3)),
        "x": ("MAX(UNHEX('00ff'))", "BLOB", b"\x00\xff"),
    }
    mariadb_database.execute(
        "CREATE TABLE computed (v int)", "INSERT INTO computed VALUES (0),(1),(2)"
    )
    text = ", ".join(f"{sql} AS {name}" for name, (sql, _, _) in columns.items())
    query = sqlglot.parse_one(f"SELECT {text} FROM {mariadb_database.name}.computed", read="mysql")
    request = FragmentRequest(
        query,
        tuple(OutputColumn(name, parse_type(type_)) for name, (_, type_, _) in columns.items()),
        tag="t",
    )
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        (found,) = rows(connector, request, "stream")
    assert dict(zip(columns, found, strict=True)) == {n: v for n, (_, _, v) in columns.items()}


def test_the_type_table_covers_every_type() -> None:
    listed = " ".join(row.native for row in TYPE_TABLE)
    bases = {case.native.split("(")[0].split()[0] for case in CASES}
    grouped = {
        *("tinytext", "mediumtext", "longtext", "tinyblob", "mediumblob", "longblob"),
        *("point", "linestring"),
    }
    missing = {base for base in bases - grouped if base not in listed}
    assert not missing
    assert all(row.dovetail and row.road for row in TYPE_TABLE)


def test_an_unknown_type_is_listed_with_its_reason() -> None:
    type_, reason = dovetail_type("xmltype")
    assert type_.text == "VARCHAR"
    assert reason is not None
    assert "xmltype" in reason


def test_no_value_is_read_twice_or_lost(mariadb_database: Database) -> None:
    """Rows across many chunks, with lengths around every size of a length prefix."""
    mariadb_database.execute(
        "CREATE TABLE lengths (id int PRIMARY KEY, a varchar(5000), b varchar(5000))",
        "INSERT INTO lengths SELECT seq, REPEAT('x', seq % 700), "
        "IF(seq % 3, REPEAT('\\n', seq % 11), NULL) FROM seq_1_to_30000",
    )
    with contextlib.closing(connector_for(mariadb_database)) as connector:
        table = connector.catalog().table(None, "lengths")
        assert table is not None
        (found,) = read(
            connector,
            request_for(table),
            "stream",
            sql="SELECT count(*) n, count(distinct id) d, sum(id) s, sum(length(a)) la, "
            "sum(length(b)) lb, count(b) cb FROM {0}",
        ).to_pylist()
    ids = range(1, 30001)
    assert found == {
        "n": 30000,
        "d": 30000,
        "s": sum(ids),
        "la": sum(i % 700 for i in ids),
        "lb": sum(i % 11 for i in ids if i % 3),
        "cb": sum(1 for i in ids if i % 3),
    }
