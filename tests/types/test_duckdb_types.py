"""Every DuckDB type passes exactly, over both roads, against DuckDB reading its own file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.connectors.suite import read, request_for

from dovetail.config import DuckDBSettings
from dovetail.connectors.duckdb import DuckDBConnector

# (type, the ends of its range and hostile values as SQL)
TYPES: list[tuple[str, list[str]]] = [
    ("BOOLEAN", ["true", "false"]),
    ("TINYINT", ["-128", "127"]),
    ("SMALLINT", ["-32768", "32767"]),
    ("INTEGER", ["-2147483648", "2147483647"]),
    ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    ("HUGEINT", [f"'{-(2**127)}'", f"'{2**127 - 1}'"]),
    ("UTINYINT", ["0", "255"]),
    ("USMALLINT", ["0", "65535"]),
    ("UINTEGER", ["0", "4294967295"]),
    ("UBIGINT", ["0", "18446744073709551615"]),
    ("UHUGEINT", ["0", f"'{2**128 - 1}'"]),
    ("BIGNUM", [f"'{10**60}'", f"'{-(10**60)}'"]),
    ("FLOAT", ["'nan'", "'inf'", "'-inf'", "-0.0", "0.1", "3.4e38"]),
    ("DOUBLE", ["'nan'", "'inf'", "-0.0", "0.1", "5e-324", "1.7e308"]),
    ("DECIMAL(4,1)", ["-999.9", "0.1"]),
    ("DECIMAL(18,3)", ["'-999999999999999.999'"]),
    ("DECIMAL(38,38)", [f"'0.{'9' * 38}'"]),
    ("DECIMAL(38,0)", [f"'{'9' * 38}'"]),
    ("VARCHAR", ["''", "'a '", "'ü😀'", "chr(0) || 'x'", "repeat('x', 70000)", "'it''s \\'"]),
    ("BLOB", ["''", r"'\x00\xFF'::BLOB"]),
    ("BIT", ["'1'", "'0101010101010'"]),
    ("DATE", ["'infinity'", "'-infinity'", "'0044-03-15 (BC)'", "'5881580-07-10'"]),
    ("TIME", ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'"]),
    ("TIME_NS", ["'23:59:59.999999999'"]),
    ("TIME WITH TIME ZONE", ["'12:00:00.5+15:59:59'", "'00:00:00-15:59:59'"]),
    ("TIMESTAMP", ["'infinity'", "'-290308-12-22 00:00:00'", "'2024-02-29 12:34:56.123456'"]),
    ("TIMESTAMP_S", ["'2024-02-29 12:34:56'"]),
    ("TIMESTAMP_MS", ["'2024-02-29 12:34:56.123'"]),
    ("TIMESTAMP_NS", ["'2024-02-29 12:34:56.123456789'"]),
    ("TIMESTAMP WITH TIME ZONE", ["'2024-02-29 12:34:56.5+02'", "'infinity'"]),
    ("INTERVAL", ["INTERVAL '-14 months 3 days 4.5 seconds'", "INTERVAL '0 days'"]),
    ("UUID", ["'550e8400-e29b-41d4-a716-446655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    ("JSON", ["""'{"a": [1, null, "ü"]}'""", "'null'"]),
    ("ENUM('a', 'B c', '')", ["'a'", "''"]),
    ("INTEGER[]", ["[]", "[1, NULL]"]),
    ("VARCHAR[][]", ["[['a'], [], NULL]"]),
    ("INTEGER[3]", ["[1, NULL, 3]"]),
    ('STRUCT(a INTEGER, "B c" VARCHAR[])', ["{'a': NULL, 'B c': ['x']}"]),
    ("STRUCT(a INTEGER)[]", ["[{'a': 1}, NULL]"]),
    ("MAP(VARCHAR, INTEGER)", ["MAP {}", "MAP {'k': NULL}"]),
    ("UNION(n INTEGER, s VARCHAR)", ["1", "'x'"]),
]


@pytest.mark.parametrize("road", ["native", "stream"])
def test_every_type(tmp_path: Path, road: str) -> None:
    path = tmp_path / "lake.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number, (type_, values) in enumerate(TYPES):
            connection.execute(f"CREATE TABLE t{number} (n INTEGER, c {type_})")
            for index, value in enumerate([*values, "NULL"]):
                connection.execute(f"INSERT INTO t{number} SELECT {index}, ({value})::{type_}")
        expected = {
            number: connection.execute(
                f"SELECT c::VARCHAR, typeof(c), hash(c) FROM t{number} ORDER BY n"
            ).fetchall()
            for number in range(len(TYPES))
        }
    connector = DuckDBConnector("lake", DuckDBSettings(kind="duckdb", path=path))
    try:
        catalog = connector.catalog()
        for number, (type_, _) in enumerate(TYPES):
            table = catalog.table(None, f"t{number}")
            assert table is not None
            assert str(table.columns[1].type) == expected[number][0][1]
            found = read(
                connector,
                request_for(table),
                road,  # type: ignore[arg-type]
                sql="SELECT c::VARCHAR AS t, typeof(c) AS y, hash(c) AS h FROM {0} ORDER BY n",
            )
            rows = [tuple(row.values()) for row in found.to_pylist()]
            assert rows == expected[number], type_
    finally:
        connector.close()
