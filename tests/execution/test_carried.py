"""Types that Arrow has no exact form for arrive as text, on every road."""

from __future__ import annotations

from typing import Any

import pytest

import dovetail

VALUES = (
    "'101'::BIT AS b, '12:00:00+02'::TIMETZ AS t, ['0011'::BIT, NULL] AS l, "
    "['10:00:00-05:30'::TIMETZ]::TIMETZ[1] AS a, {'the time': '12:00:00+02'::TIMETZ, 'n': 1} AS s, "
    "MAP {'k': '1'::BIT} AS m, union_value(v := '11'::BIT) AS u, 7 AS n"
)
EXPECTED = (
    "101",
    "12:00:00+02",
    ["0011", None],
    ["10:00:00-05:30"],
    {"the time": "12:00:00+02", "n": 1},
    [("k", "1")],
    "11",
    7,
)


@pytest.fixture(scope="module")
def session() -> Any:
    with dovetail.connect({}) as opened:
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT {VALUES}",
        f"SELECT * FROM (SELECT {VALUES}) POSITIONAL JOIN (SELECT 1 AS extra)",  # fallback
    ],
)
def test_values_arrive_whole(session: Any, sql: str) -> None:
    result = session.sql(sql)
    columns = dict(result.columns)
    assert (columns["b"], columns["t"]) == ("BIT", "TIME WITH TIME ZONE")
    assert result.schema.names == list(columns)
    [row] = result.rows()
    assert row[: len(EXPECTED)] == EXPECTED


def test_columns_known_only_when_it_runs(session: Any) -> None:
    sql = (
        "PIVOT (SELECT 'x' AS k, '12:00:00+02'::TIMETZ AS t UNION ALL SELECT 'y', "
        "'12:00:00+03'::TIMETZ) ON k USING max(t)"
    )
    result = session.sql(sql)
    assert result.columns == [("x", "TIME WITH TIME ZONE"), ("y", "TIME WITH TIME ZONE")]
    assert result.rows() == [("12:00:00+02", "12:00:00+03")]


def test_order_and_equal_names_are_kept(session: Any) -> None:
    sql = "SELECT i::BIT AS b, i, i FROM range(5) t(i) ORDER BY i DESC"
    result = session.sql(sql)
    assert result.schema.names == ["b", "i", "i_1"]
    assert [row[1] for row in result.rows()] == [4, 3, 2, 1, 0]
