"""Many groups by the first columns of a primary key are made from rows in its order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.databases import Database

import dovetail
from dovetail.session import Session

ROWS = 230_000


@pytest.fixture(scope="module")
def session(postgres_database: Database) -> Iterator[Session]:
    made = postgres_database
    made.execute(
        "CREATE TABLE lines (k int, n int, d date NOT NULL, v numeric(15, 2), PRIMARY KEY (k, n))"
    )
    made.execute(
        "INSERT INTO lines SELECT i, 1, date '2020-01-01' + i % 9, i % 7 "
        f"FROM generate_series(1, {ROWS}) i"
    )
    made.execute("CREATE TABLE mixed (k int PRIMARY KEY, v int)")
    made.execute(
        f"INSERT INTO mixed SELECT i, i % 7 FROM generate_series(1, {ROWS}) i ORDER BY md5(i::text)"
    )
    made.execute("ANALYZE lines")
    made.execute("ANALYZE mixed")
    with dovetail.connect({"sources": {"pg": made.source()}}) as opened:
        yield opened


def _sent(session: Session, sql: str) -> str:
    return str(session.explain(sql, pushdown={"pg": "always"}))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM (SELECT k FROM pg.public.lines GROUP BY k HAVING sum(v) > 3)",
        "SELECT count(*) FROM (SELECT n, k, max(d) FROM pg.public.lines GROUP BY n, k)",
    ],
)
def test_in_the_order_of_the_key(session: Session, sql: str) -> None:
    assert "ORDER BY" in _sent(session, sql)
    plain = session.sql(sql, rules=False).rows()
    assert session.sql(sql, pushdown={"pg": "always"}).rows() == plain
    assert session.sql(sql).rows() == plain
    without = session.explain(sql, rules=["presort"], pushdown={"pg": "always"})
    assert "ORDER BY" not in str(without)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM (SELECT n FROM pg.public.lines GROUP BY n)",
        "SELECT count(*) FROM (SELECT k + 1 FROM pg.public.lines GROUP BY k + 1)",
        "SELECT count(*) FROM (SELECT k FROM pg.public.lines GROUP BY ROLLUP (k))",
        "SELECT count(*) FROM (SELECT k FROM pg.public.lines WHERE k < 9 GROUP BY k)",
        "SELECT count(*) FROM (SELECT k FROM pg.public.mixed GROUP BY k)",
        "SELECT d, count(*) FROM pg.public.lines GROUP BY d",
    ],
)
def test_not_where_the_order_has_a_price_or_no_use(session: Session, sql: str) -> None:
    assert "ORDER BY" not in _sent(session, sql)
