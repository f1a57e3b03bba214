"""What takes a column's place keeps its own meaning, whatever operators surround it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import dovetail

# Expressions that are written with operators, and a predicate or value around the column ``f``.
CASES = [
    ("b IN (true) OR n IN (7)", "false = f"),
    ("b OR n = 7", "f = b"),
    ("b AND n = 7", "NOT f"),
    ("b AND n = 7", "f IS NULL"),
    ("xor(n, 3)", "f * 2 > 4"),
    ("d + INTERVAL 1 DAY", "f - DATE '2024-01-01' > INTERVAL 2 DAY"),
    ("date_add(d, INTERVAL 1 DAY)", "DATE '2025-01-01' - f > INTERVAL 2 DAY"),
    ("n + 1", "f * 2 = 16"),
    ("n - 1", "10 - f = 4"),
    ("-n", "f ** 2 = 49"),
    ("s || 'x'", "f LIKE '%ax'"),
    ("CASE WHEN b THEN 1 ELSE 2 END", "f + 1 = 2"),
    ("n BETWEEN 1 AND 7", "f = true"),
    ("n IS NULL", "f = false"),
    ("s LIKE 'a%'", "f = b"),
    ("CAST(n AS DOUBLE)", "f / 2 > 1"),
    ("n % 4", "f * 3 = 9"),
]


@pytest.mark.parametrize(("expression", "around"), CASES)
def test_substituted(tmp_path: Path, expression: str, around: str) -> None:
    """Through a derived table, an alias of the same SELECT, and a grouping."""
    rows = "(1, true, 7, 'a', DATE '2024-01-05'), (2, false, 7, 'b', DATE '2023-12-31'), "
    rows += "(3, true, 1, 'aa', NULL), (4, NULL, NULL, NULL, DATE '2024-02-29')"
    path = tmp_path / "t.parquet"
    with duckdb.connect() as local:
        local.execute(f"CREATE TABLE t AS FROM (VALUES {rows}) v(id, b, n, s, d)")
        local.execute(f"COPY t TO '{path}' (FORMAT parquet)")
        queries = [
            f"SELECT id FROM (SELECT *, {expression} AS f FROM t) WHERE {around}",
            f"SELECT id, {around} AS r FROM (SELECT *, {expression} AS f FROM t)",
            f"SELECT id, {expression} AS f, {around} AS r FROM t",
            f"SELECT f, b, count(*) AS m FROM (SELECT *, {expression} AS f FROM t) GROUP BY f, b "
            f"HAVING {around}",
        ]
        with dovetail.connect(None, allowed_directories=[str(tmp_path)]) as session:
            for query in queries:
                expected = sorted(local.execute(query).fetchall(), key=repr)
                found = session.sql(query.replace("FROM t", f"FROM '{path}'"))
                assert sorted(found.rows(), key=repr) == expected, query
