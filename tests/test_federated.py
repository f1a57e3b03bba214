"""The TPC data sets arrive whole in every source, and the local copy answers every query."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests import tpcds, tpch
from tests.federated import Federated

ROWS = {"lineitem": 60175, "orders": 15000, "customer": 1500, "nation": 25, "partsupp": 8000}


def _count(federated: Federated, table: str) -> int:
    """Rows of a table, asked of the place that holds it."""
    place = federated.places[table]
    if place in ("postgres", "mysql"):
        (database,) = (d for d in federated.databases if d.server.kind == place)
        return int(database.execute(f"SELECT count(*) FROM {table}")[0][0])
    if place == "sqlite":
        path = federated.config["sources"]["lite"]["path"]
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    path = Path(federated.config["sources"]["files"]["path"]) / f"{table}.{place}"
    return int(duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0][0])


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_tpch_split_is_complete(name: str, tpch_split: Callable[[str], Federated]) -> None:
    federated = tpch_split(name)
    assert set(federated.places) == set(tpch.TABLES)
    for table in tpch.TABLES:
        local = federated.local.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert local == (_count(federated, table),)
        assert local == (ROWS.get(table, local[0]),)


def test_the_splits_use_every_kind_of_place() -> None:
    used = {place for split in tpch.SPLITS.values() for place in split.values()}
    assert used == {"postgres", "mysql", "sqlite", "parquet"}


def test_tpch_queries_run_locally(tpch_split: Callable[[str], Federated]) -> None:
    local = tpch_split("A").local
    queries = tpch.queries()
    assert len(queries) == 22
    rows = {name: len(local.execute(query).fetchall()) for name, query in queries.items()}
    assert rows["q01"] == 4
    # at this scale only a few queries find nothing; a test of those alone would show little
    assert sum(count > 0 for count in rows.values()) >= 18


def test_tpcds_split_is_complete(tpcds_split: Federated) -> None:
    assert len(tpcds_split.places) == 24
    for table in tpcds_split.places:
        local = tpcds_split.local.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert local == (_count(tpcds_split, table),), table


def test_tpcds_queries_are_there() -> None:
    assert list(tpcds.queries()) == [f"q{number:02}" for number in range(1, 100)]
