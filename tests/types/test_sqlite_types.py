"""Every declared type of SQLite × every kind of cell, over both roads, against ``sqlite3``."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
import time
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.connectors.suite import read, request_for

from dovetail.config import SQLiteSettings
from dovetail.connectors.extensions import extension_path
from dovetail.connectors.sqlite import SETTLED, SQLiteConnector
from dovetail.connectors.sqlite_types import column_type, scanner_type
from dovetail.errors import DataError


def connector_for(path: Path, *, settled: bool) -> SQLiteConnector:
    if settled:
        past = time.time() - 10 * SETTLED
        os.utime(path, (past, past))
    return SQLiteConnector("old", SQLiteSettings(kind="sqlite", path=path))


def write(path: Path, declared: str, cells: list[Any], *pragmas: str) -> list[Any]:
    """A table ``t`` with one column of these cells; what ``sqlite3`` reads back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for pragma in pragmas:
            connection.execute(pragma)
        with connection:
            connection.execute(f"CREATE TABLE t (n INTEGER PRIMARY KEY, c {declared})")
            connection.executemany("INSERT INTO t (c) VALUES (?)", [(cell,) for cell in cells])
        connection.text_factory = bytes
        return [row[0] for row in connection.execute("SELECT c FROM t ORDER BY n")]


@lru_cache(maxsize=1)
def shared_instance() -> duckdb.DuckDBPyConnection:
    """One DuckDB for all tests here: loading the extension takes longer than any of them."""
    instance = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    instance.execute("SET TimeZone = 'UTC'")
    instance.execute(f"LOAD '{extension_path('sqlite_scanner')}'")
    instance.execute("SET GLOBAL sqlite_disable_multithreaded_scans = true")
    return instance


def values(connector: SQLiteConnector, road: str = "native") -> list[Any]:
    table = connector.catalog().table(None, "t")
    assert table is not None
    # DuckDB needs another package for Python values with a time zone.
    sql = "SELECT n, c FROM {0}"
    if table.columns[1].type.family == "timestamptz":
        sql = "SELECT n, timezone('UTC', c) AS c FROM {0}"
    instance = shared_instance()
    try:
        if road == "native":
            instance.execute(connector.attach_statement("source_old"))
        found = read(connector, request_for(table), road, sql=sql, instance=instance)  # type: ignore[arg-type]
    except duckdb.Error as error:
        if "dovetail-data:" not in str(error):
            raise
        # The engine turns the text of such an error into a DataError.
        raise DataError(str(error).partition("dovetail-data:")[2].splitlines()[0]) from None
    finally:
        instance.execute("DROP TABLE IF EXISTS temp.answer")
        instance.execute("DETACH DATABASE IF EXISTS source_old")
    return [row["c"] for row in sorted(found.to_pylist(), key=lambda row: row["n"])]


_D = dt.date(2024, 2, 29)
_T = dt.datetime(2024, 2, 29, 12, 34, 56)

# (declared type, Dovetail type, [(cell, value)])
CARRIED: list[tuple[str, str, list[tuple[Any, Any]]]] = [
    ("INTEGER", "BIGINT", [(0, 0), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), ("12", 12)]),
    ("TINYINT", "BIGINT", [(300, 300), (-129, -129), (2**40, 2**40)]),
    ("UNSIGNED BIG INT", "BIGINT", [(2**63 - 1, 2**63 - 1), (-1, -1)]),
    ("BOOLEAN", "BOOLEAN", [(0, False), (1, True)]),
    (
        "BOOL",
        "BOOLEAN",
        [("true", True), ("FALSE", False), ("t", True), ("no", False), ("Y", True), (1.0, True)],
    ),
    (
        "TEXT",
        "VARCHAR",
        [("", ""), ("a ", "a "), ("ü\n😀", "ü\n😀"), ("x" * 70000, "x" * 70000), (5, "5")],
    ),
    ("VARCHAR(3)", "VARCHAR", [("longer than three", "longer than three"), (1.5, "1.5")]),
    (
        "STRING",
        "VARCHAR",
        [("007", "7"), ("x", "x"), (2**60, str(2**60)), (0.1, "0.1"), (1e300, "1.0e+300")],
    ),
    ("JSON", "VARCHAR", [('{"a": 1}', '{"a": 1}'), ("12", "12"), ("[1, null]", "[1, null]")]),
    ("UUID", "VARCHAR", [("550e8400-e29b-41d4-a716-446655440000",) * 2]),
    (
        "REAL",
        "DOUBLE",
        [(v, v) for v in (0.0, -1.5, 0.1, 0.1 + 0.2, 1e308, 5e-324, 2.2250738585072014e-308, 1 / 3)]
        + [(float("inf"), float("inf")), (float("-inf"), float("-inf")), (7, 7.0), ("2.5", 2.5)],
    ),
    ("DOUBLE PRECISION", "DOUBLE", [(9007199254740993, 9007199254740992.0), (1e22, 1e22)]),
    ("FLOATING POINT", "DOUBLE", [(1.25, 1.25), (3, 3.0)]),
    ("NUMERIC", "DOUBLE", [(2**53, float(2**53)), (1.5, 1.5), ("12.0", 12.0)]),
    (
        "DECIMAL(10,2)",
        "DECIMAL(10,2)",
        [
            (1.1, Decimal("1.10")),
            (0.1 + 0.2, Decimal("0.30")),
            (-12345678.99, Decimal("-12345678.99")),
            (99999999, Decimal("99999999.00")),
            ("1.20", Decimal("1.20")),
            (1e-1, Decimal("0.10")),
        ],
    ),
    (
        "NUMERIC(38,6)",
        "DECIMAL(38,6)",
        [
            (2**63 - 1, Decimal("9223372036854775807.000000")),
            (1e20, Decimal("100000000000000000000.000000")),
            (1e-6, Decimal("0.000001")),
            (123456789.123456, Decimal("123456789.123456")),
        ],
    ),
    ("DECIMAL(5)", "DECIMAL(5,0)", [(99999, Decimal(99999)), (1.0, Decimal(1))]),
    (
        "DATE",
        "DATE",
        [
            ("2024-02-29", _D),
            ("0001-01-01", dt.date(1, 1, 1)),
            ("9999-12-31", dt.date(9999, 12, 31)),
            ("2024-02-29 00:00:00", _D),
            ("2024-02-29T00:00", _D),
            (1709164800, _D),
            (1709210096, _D),
            (0, dt.date(1970, 1, 1)),
            (-1, dt.date(1969, 12, 31)),
            (2460369.5, _D),
            (2460370.25, _D),
            (2460370, _D),
        ],
    ),
    (
        "DATETIME",
        "TIMESTAMP",
        [
            ("2024-02-29 12:34:56", _T),
            ("2024-02-29T12:34:56.789", _T.replace(microsecond=789000)),
            ("2024-02-29 12:34:56.123456", _T.replace(microsecond=123456)),
            ("2024-02-29 12:34:56.123456000", _T.replace(microsecond=123456)),
            ("2024-02-29 12:34", _T.replace(second=0)),
            ("2024-02-29", dt.datetime(2024, 2, 29)),
            ("2024-02-29 12:34:56Z", _T),
            ("2024-02-29T12:34:56+02:00", _T - dt.timedelta(hours=2)),
            ("2024-02-29 12:34+02", _T.replace(second=0) - dt.timedelta(hours=2)),
            (1709210096, _T),
            (1709210096.25, _T.replace(microsecond=250000)),
            (2460370.0242592592, _T.replace(microsecond=0)),
            (-1, dt.datetime(1969, 12, 31, 23, 59, 59)),
            (253402300799, dt.datetime(9999, 12, 31, 23, 59, 59)),
        ],
    ),
    ("TIMESTAMP(6)", "TIMESTAMP", [("2024-02-29 12:34:56.000001", _T.replace(microsecond=1))]),
    (
        "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP WITH TIME ZONE",
        [
            ("2024-02-29 12:34:56+02:00", _T - dt.timedelta(hours=2)),
            ("2024-02-29 12:34:56", _T),
            (1709210096, _T),
        ],
    ),
    (
        "TIME",
        "TIME",
        [
            ("12:34", dt.time(12, 34)),
            ("00:00:00", dt.time(0)),
            ("23:59:59.999999", dt.time(23, 59, 59, 999999)),
        ],
    ),
    (
        "BLOB",
        "BLOB",
        [(b"", b""), (bytes(range(256)), bytes(range(256))), ("ü", "ü".encode()), ("", b"")],
    ),
    ("VARBINARY(3)", "BLOB", [(b"\x00\xff", b"\x00\xff")]),
    ("", "BIGINT", [(1, 1), (-(2**63), -(2**63))]),
    ("", "DOUBLE", [(1, 1.0), (1.5, 1.5)]),
    ("", "VARCHAR", [("a", "a"), (1, "1"), (0.1 + 0.2, "0.30000000000000004")]),
    ("", "BLOB", [(b"\x00", b"\x00")]),
    ("POINT", "VARCHAR", [("(1,2)", "(1,2)")]),
]


@pytest.mark.parametrize("how", ["settled", "being written", "stream"])
@pytest.mark.parametrize(
    ("declared", "expected_type", "cells"),
    CARRIED,
    ids=[f"{declared or 'none'}-{type_}" for declared, type_, _ in CARRIED],
)
def test_carried_exactly(
    tmp_path: Path, declared: str, expected_type: str, cells: list[tuple[Any, Any]], how: str
) -> None:
    path = tmp_path / "t.db"
    write(path, declared, [None, *(cell for cell, _ in cells), None])
    connector = connector_for(path, settled=how == "settled")
    table = connector.catalog().table(None, "t")
    assert table is not None
    assert str(table.columns[1].type) == expected_type
    found = values(connector, "stream" if how == "stream" else "native")
    expected = [None, *(value for _, value in cells), None]
    assert found == expected
    assert [repr(value) for value in found if isinstance(value, float)] == [
        repr(value) for value in expected if isinstance(value, float)
    ]


# (declared type, cells that fit and settle the type, the cell that does not, words of the error)
REFUSED: list[tuple[str, list[Any], Any, str]] = [
    ("INTEGER", [1], 1.5, "does not fit BIGINT: real 1.5"),
    ("INTEGER", [1], "many", "does not fit BIGINT: text 'many'"),
    ("INTEGER", [1], "", "does not fit BIGINT: text ''"),
    ("INTEGER", [1], b"1", "does not fit BIGINT: blob X'31'"),
    ("INTEGER", [1], 2.0**63, r"does not fit BIGINT: real 9\.22"),
    ("BOOLEAN", [1], 2, "does not fit BOOLEAN: 2"),
    ("BOOLEAN", [1], "maybe", "does not fit BOOLEAN: maybe"),
    ("BOOLEAN", [1], b"1", "does not fit BOOLEAN: blob X'31'"),
    ("TEXT", ["a"], b"abc", "a blob where text is declared: X'616263'"),
    ("REAL", [1.5], "x", "does not fit DOUBLE: text 'x'"),
    ("REAL", [1.5], b"1", "does not fit DOUBLE: blob X'31'"),
    ("NUMERIC", [1.5], 2**53 + 1, "does not fit DOUBLE: 9007199254740993"),
    ("DECIMAL(10,2)", [1.5], 1.005, r"does not fit DECIMAL\(10,2\): 1.005"),
    ("DECIMAL(10,2)", [1.5], 123456789, r"does not fit DECIMAL\(10,2\): 123456789"),
    ("DECIMAL(10,2)", [1.5], 1e300, r"does not fit DECIMAL\(10,2\): 1.0e\+300"),
    ("DECIMAL(10,2)", [1.5], "x", r"does not fit DECIMAL\(10,2\): x"),
    ("DECIMAL(10,2)", [1.5], b"1", r"does not fit DECIMAL\(10,2\): blob"),
    ("DATE", ["2024-02-29"], "2024-02-30", "does not fit DATE: 2024-02-30"),
    ("DATE", ["2024-02-29"], "29.02.2024", r"does not fit DATE: 29\.02\.2024"),
    ("DATE", ["2024-02-29"], "2024-02-29 12:00:00", "does not fit DATE: 2024-02-29 12:00:00"),
    ("DATE", ["2024-02-29"], "", "does not fit DATE: "),
    ("DATE", ["2024-02-29"], 1709210096000, "does not fit DATE: 1709210096000"),
    ("DATE", ["2024-02-29"], b"2024-02-29", "does not fit DATE: blob"),
    ("DATE", ["2024-02-29"], "infinity", "does not fit DATE: infinity"),
    ("DATETIME", [0], "2024-02-29 12:34:56.1234567", "does not fit TIMESTAMP: 2024"),
    ("DATETIME", [0], "now", "does not fit TIMESTAMP: now"),
    ("DATETIME", [0], "2024-02-29 25:00:00", "does not fit TIMESTAMP: 2024"),
    ("DATETIME", [0], 1709210096789, "does not fit TIMESTAMP: 1709210096789"),
    ("TIME", ["12:00"], 43200, "does not fit TIME: integer 43200"),
    ("TIME", ["12:00"], "25:00", "does not fit TIME: 25:00"),
    ("BLOB", [b""], 5, "does not fit BLOB: integer 5"),
    ("BLOB", [b""], 1.5, r"does not fit BLOB: real 1\.5"),
]


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize(
    ("declared", "good", "bad", "message"),
    REFUSED,
    ids=[f"{declared}-{bad!r}" for declared, _, bad, _ in REFUSED],
)
def test_refused_clearly(
    tmp_path: Path, declared: str, good: list[Any], bad: Any, message: str, settled: bool
) -> None:
    path = tmp_path / "t.db"
    write(path, declared, [*good, bad])
    connector = connector_for(path, settled=settled)
    with pytest.raises(DataError, match=rf"old\.main\.t\.c holds .*{message}"):
        values(connector)
    with pytest.raises(DataError, match=rf"old\.main\.t\.c holds .*{message}"):
        values(connector, "stream")


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (r"CAST(x'ff41' AS TEXT)", r"text that is not UTF-8: \\xFF41"),
        (r"CAST(x'c3' AS TEXT)", r"text that is not UTF-8: \\xC3"),
        (r"'a' || char(0) || 'b'", "text with a NUL byte"),
        (r"char(0)", "text with a NUL byte"),
        (r"char(0) || 'blob X''31'''", "a blob where text is declared|text with a NUL byte"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, sql: str, message: str, settled: bool) -> None:
    path = tmp_path / "t.db"
    write(path, "TEXT", ["fine"])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"INSERT INTO t (c) VALUES ({sql})")
    with pytest.raises(DataError, match=rf"old\.main\.t\.c holds ({message})"):
        values(connector_for(path, settled=settled))


def test_a_database_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    texts = ["ä", "😀", "", "a" * 1000]
    write(path, "TEXT", texts, "PRAGMA encoding = 'UTF-16le'")
    for settled in (True, False):
        assert values(connector_for(path, settled=settled)) == texts


def test_a_column_that_later_rows_contradict(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    write(path, "", [*range(10_000), "late"])
    with pytest.raises(DataError, match="does not fit BIGINT: text 'late'"):
        values(connector_for(path, settled=True))


@pytest.mark.parametrize(
    "declared",
    sorted(
        {declared for declared, _, _ in CARRIED}
        | {"INT8", "CHARINT", "nchar(5)", "CLOB", "float", "double", "decimal", "DATE(3)", "date"}
        | {"timestamp", "time", "money", "MONEY", "Xblob", "number(5)", "timetz", "bool8"}
    ),
)
def test_we_know_how_the_scanner_reads_a_declaration(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "t.db"
    write(path, declared, [])
    instance = shared_instance()
    instance.execute(f"ATTACH '{path}' AS declared (TYPE sqlite, READ_ONLY)")
    described = instance.execute("DESCRIBE declared.t").fetchall()
    instance.execute("DETACH declared")
    assert str(scanner_type(declared)) == described[1][1]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("decimal( 12 , 3 )", "DECIMAL(12,3)"),
        ("DECIMAL(39,2)", "DOUBLE"),
        ("numeric(5,7)", "DOUBLE"),
        ("number(9)", "DECIMAL(9,0)"),
        ("timestamp without time zone", "TIMESTAMP"),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("character varying(255)", "VARCHAR"),
        ("native character(70)", "VARCHAR"),
        ("interval", None),
        ("geometry", None),
        ("", None),
        ("ANY", None),
    ],
)
def test_declared_types(declared: str, expected: str | None) -> None:
    found = column_type(declared)
    assert (None if found is None else str(found)) == expected
