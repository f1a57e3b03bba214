"""``dovetail diff``'s SQL against a comparison of its own, over files and over real servers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.databases import Database, Declared

import dovetail
from dovetail.errors import UnknownNameError, UsageError
from dovetail.session import Session
from dovetail.sqltools.diff import Side, column_differences, data_sql, duplicates_sql, key_of

Rows = dict[tuple[Any, ...], dict[str, Any]]
NAMES = ("n", "t", "x")


def rows_of(seed: int) -> Rows:
    """Rows by a key of two columns, in which NULLs stand."""
    draw = random.Random(seed)
    return {
        (draw.choice([None, *range(40)]), draw.choice([None, "a", "B", "b"])): {
            "n": draw.choice([None, 0, 1, 2**53 + 1]),
            "t": draw.choice([None, "", "x", "X"]),
            "x": draw.choice([None, 0.5, -0.0, 0.0, 1e20]),
        }
        for _ in range(150)
    }


def changed(rows: Rows, seed: int) -> Rows:
    """Some rows gone, some new, some changed."""
    draw = random.Random(seed)
    kept = {key: dict(row) for key, row in rows.items() if draw.random() > 0.1}
    for row in kept.values():
        if draw.random() < 0.2:
            name = draw.choice(NAMES)
            row[name] = draw.choice([None, {"n": 7, "t": "7", "x": 7.0}[name]])
    return kept | {(100 + i, "new"): {"n": i, "t": None, "x": 0.5} for i in range(3)}


def table_of(rows: Rows) -> pa.Table:
    return pa.table(
        {
            "k": pa.array([key[0] for key in rows], pa.int64()),
            "Day": pa.array([key[1] for key in rows], pa.string()),
            "n": pa.array([row["n"] for row in rows.values()], pa.int64()),
            "t": pa.array([row["t"] for row in rows.values()], pa.string()),
            "x": pa.array([row["x"] for row in rows.values()], pa.float64()),
        }
    )


def expected(a: Rows, b: Rows) -> set[tuple[Any, ...]]:
    """``(change, key…, column)`` of every line."""
    found: set[tuple[Any, ...]] = set()
    for key in a.keys() | b.keys():
        if key not in b:
            found.add(("removed", *key, None))
        elif key not in a:
            found.add(("added", *key, None))
        else:
            found |= {("changed", *key, c) for c in NAMES if a[key][c] != b[key][c]}
    return found


def side(session: Session, relation: str) -> Side:
    columns = session.describe(relation)
    primary = tuple(c.column for c in columns if c.key == "primary")
    return Side(relation, relation, tuple((c.column, c.type) for c in columns), primary)


def lines(session: Session, a: str, b: str, key: list[str]) -> list[tuple[Any, ...]]:
    with session.sql(data_sql(side(session, a), side(session, b), key)) as result:
        return result.rows()


@pytest.fixture(scope="module")
def federated(
    postgres_database: Database,
    mariadb_database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Session, Rows, Rows]]:
    """The same two sets of rows in PostgreSQL, MariaDB and Parquet files."""
    folder: Path = tmp_path_factory.mktemp("diff")
    old = rows_of(1)
    new = changed(old, 2)
    for database in (postgres_database, mariadb_database):
        database.load("old", table_of(old))
        database.load("new", table_of(new))
        database.analyze()
    pq.write_table(table_of(old), folder / "old.parquet")
    pq.write_table(table_of(new), folder / "new.parquet")
    config = {
        "sources": {
            "pg": postgres_database.source(),
            "my": mariadb_database.source(),
            "f": {"kind": "files", "path": str(folder)},
        }
    }
    with dovetail.connect(config) as session:
        yield session, old, new


@pytest.mark.parametrize("b", ["pg.new", "my.new", "f.new"])
@pytest.mark.parametrize("a", ["pg.old", "my.old", "f.old"])
def test_rows_differ_as_a_comparison_by_hand_says(
    federated: tuple[Session, Rows, Rows], a: str, b: str
) -> None:
    session, old, new = federated
    found = lines(session, a, b, ["k", "day"])
    assert {line[:4] for line in found} == expected(old, new)
    assert len(found) == len(expected(old, new)) > 20
    assert [line[1] for line in found] == sorted(
        (line[1] for line in found), key=lambda k: (k is None, k)
    )
    for change, k, day, column, was, now in found:
        if change == "changed":
            values = old[k, day][column], new[k, day][column]
            assert (
                tuple(
                    None if v is None else type(v)(t)
                    for v, t in zip(values, (was, now), strict=True)
                )
                == values
            )
        else:
            row = old[k, day] if change == "removed" else new[k, day]
            text, none = (was, now) if change == "removed" else (now, was)
            assert none is None
            assert {c: v is None for c, v in json.loads(text).items()} == {
                c: v is None for c, v in row.items()
            }


@pytest.mark.parametrize("name", ["pg.old", "my.old", "f.old"])
def test_a_table_equals_itself(federated: tuple[Session, Rows, Rows], name: str) -> None:
    session, *_ = federated
    assert lines(session, name, name, ["k", "day"]) == []
    again = side(session, name)
    assert column_differences(again, again) == []


def test_rows_that_are_alike_stay_where_they_are(federated: tuple[Session, Rows, Rows]) -> None:
    session, *_ = federated
    sql = data_sql(side(session, "pg.old"), side(session, "pg.new"), ["k", "day"])
    explained = session.explain(sql).to_dict()
    assert explained["road"] == "plan"
    duplicates = duplicates_sql(side(session, "pg.old"), ["k"], 3)
    fragments = session.explain(duplicates).to_dict()["fragments"]
    assert "GROUP BY" in fragments[0]["sql"]
    with session.sql(duplicates) as result:
        counts = [row[-1] for row in result.rows()]
    assert len(counts) == 3
    assert counts == sorted(counts, reverse=True)


def test_types_of_two_kinds_are_compared_as_text() -> None:
    a = "(SELECT * FROM (VALUES (1, 1.50, '7', DATE '2026-01-05')) t(k, n, t, d))"
    b = "(SELECT * FROM (VALUES ('1', 1.5::DOUBLE, 7, TIMESTAMP '2026-01-05')) t(K, N, T, D))"
    with dovetail.connect() as session:
        assert lines(session, a, b, ["k"]) == []
        differences = column_differences(side(session, a), side(session, b))
        assert [(change, name) for change, name, *_ in differences] == [
            ("type", "k"),
            ("type", "n"),
            ("type", "t"),
            ("type", "d"),
        ]


def test_columns_of_one_side_and_odd_names() -> None:
    a = """(SELECT 1 AS k, 2 AS "a""b", 'x' AS only_a, [1, NULL] AS "it's")"""
    b = """(SELECT 1 AS k, 3 AS "A""B", true AS only_b, [1, 2] AS "it's")"""
    with dovetail.connect() as session:
        assert lines(session, a, b, ["K"]) == [
            ("changed", 1, 'a"b', "2", "3"),
            ("changed", 1, "it's", "[1, NULL]", "[1, 2]"),
        ]
        assert column_differences(side(session, a), side(session, b)) == [
            ("removed", "only_a", "VARCHAR", None),
            ("added", "only_b", None, "BOOLEAN"),
        ]
        only = lines(session, "(SELECT 1 AS k)", "(SELECT 2 AS k)", ["k"])
        assert only == [("removed", 1, None, None, None), ("added", 2, None, None, None)]


def test_which_key() -> None:
    columns = (("id", "BIGINT"), ("Day", "DATE"))
    keyed = Side("a", "a", columns, ("id",))
    bare = Side("b", "b", columns)
    assert key_of(keyed, keyed, []) == ["id"]
    assert key_of(keyed, bare, ["day"]) == ["day"]
    with pytest.raises(UsageError, match=r"no primary key in common.*--key id$"):
        key_of(keyed, bare, [])
    with pytest.raises(UsageError, match=r"--key id,day$"):
        key_of(bare, bare, [])
    with pytest.raises(UsageError, match='"ID" twice'):
        key_of(keyed, bare, ["id", "ID"])
    with pytest.raises(UnknownNameError, match='no column "dai" in a; did you mean Day'):
        key_of(keyed, bare, ["dai"])


def test_a_primary_key_is_found_by_itself(postgres_database: Database) -> None:
    table = pa.table({"id": [1, 2], "n": [5, 6]})
    declared = Declared({"id": "BIGINT", "n": "BIGINT"}, primary_key=("id",))
    postgres_database.load("keyed", table, declared)
    with dovetail.connect({"sources": {"pg": postgres_database.source()}}) as session:
        keyed = side(session, "pg.keyed")
        assert key_of(keyed, keyed, []) == ["id"]
