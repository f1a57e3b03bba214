"""What is known of a table's columns: from indexes, and from a look at both ends of its key."""

from __future__ import annotations

import pytest

from dovetail.config import MySQLSettings
from dovetail.connectors.mysql import MySQLConnector
from dovetail.connectors.mysql_statistics import distinct_of_all
from tests.databases import Database


@pytest.mark.servers
def test_columns_without_an_index(mariadb_database: Database) -> None:
    mariadb_database.execute(
        "CREATE TABLE looked_at (id INTEGER PRIMARY KEY, kind CHAR(10), name VARCHAR(40), "
        "long_text TEXT, `odd ``%s` INTEGER, day DATE)",
        "INSERT INTO looked_at SELECT seq, CONCAT('k', seq % 5), CONCAT('n', seq), 'äx', NULL, "
        "'2024-01-01' FROM seq_1_to_20000",
        "ANALYZE TABLE looked_at",
        "CREATE VIEW seen AS SELECT kind, name FROM looked_at",
    )
    connector = MySQLConnector("my", MySQLSettings(**mariadb_database.source()))
    try:
        tables = {table.name: table for table in connector.catalog().tables}
        found = connector.statistics(tables["looked_at"])
        distinct = {name: found[name].distinct for name in found}
        assert distinct["kind"] == 5
        assert 15_000 < distinct["id"] < 25_000
        assert 10_000 < distinct["name"] < 30_000
        # no value of `odd seen, dates not looked at
        assert distinct.keys() == {"id", "kind", "name", "long_text"}
        assert found["long_text"].distinct is None
        assert found["long_text"].width == 3
        assert connector.statistics(tables["seen"]) == {}
    finally:
        connector.close()


def test_distinct_of_all() -> None:
    assert distinct_of_all(4000, 5, 1e6) == 5
    assert distinct_of_all(100, 90, 100) == 90  # all were seen
    assert distinct_of_all(4000, 4000, 1e6) == pytest.approx(1e6, rel=0.02)
    # of 10,000 equally frequent values 4,000 draws show 10,000 * (1 - exp(-0.4)) = 3,297
    assert distinct_of_all(4000, 3297, 1e6) == pytest.approx(10_000, rel=0.03)
    assert distinct_of_all(4000, 4000, None) >= 1e8
