"""Dates that are read as NULL (MySQL's zero dates, PostgreSQL's infinity) never count as values."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import dovetail
from dovetail.session import Session
from tests.conftest import Factory
from tests.servers import Server
from tests.three_ways import check

pytestmark = pytest.mark.servers

QUERIES = (
    "SELECT id FROM {t} WHERE day < DATE '2000-01-01'",
    "SELECT id FROM {t} WHERE day > DATE '2000-01-01'",
    "SELECT id FROM {t} WHERE NOT (day > DATE '2000-01-01')",
    "SELECT id FROM {t} WHERE day <> DATE '2000-01-01'",
    "SELECT id FROM {t} WHERE DATE '2030-01-01' > day AND day >= DATE '0001-01-01'",
    "SELECT id FROM {t} WHERE day BETWEEN DATE '0001-01-01' AND DATE '2030-01-01' AND ts <> day",
    "SELECT id FROM {t} WHERE day < ts OR day > ts",
    "SELECT id FROM {t} WHERE day IS DISTINCT FROM DATE '1999-12-31'",
    "SELECT a.id AS x, b.id AS y FROM {t} a JOIN {t} b ON a.day IS NOT DISTINCT FROM b.day",
    "SELECT id FROM {t} WHERE day > (SELECT min(b.day) FROM {t} b)",
    "SELECT id FROM {t} WHERE day >= (SELECT b.day FROM {t} b WHERE b.id = 2)",
    "SELECT id % 2 AS o, max(day) m FROM {t} GROUP BY id % 2 HAVING max(day) > DATE '1999-01-01'",
    "SELECT a.id AS x, b.id AS y FROM {t} a LEFT JOIN {t} b ON a.day >= b.day AND b.day < a.ts",
    "SELECT id FROM {t} WHERE day IS NULL",
    "SELECT id FROM {t} WHERE day IS NOT NULL",
    "SELECT id FROM {t} WHERE ts < TIMESTAMP '2000-01-01 00:00:00'",
    "SELECT id FROM {t} WHERE ts IS NULL OR day IS NULL",
    "SELECT id FROM {t} WHERE coalesce(day, DATE '2020-01-01') > DATE '2010-01-01'",
    "SELECT id FROM {t} WHERE extract(year FROM day) < 2000",
    "SELECT id FROM {t} WHERE day < DATE '2000-01-01' AND id > 0 LIMIT 100",
    "SELECT count(*) AS n FROM {t} WHERE day < DATE '2000-01-01'",
    "SELECT count(day) AS n, min(day) AS lo, max(day) AS hi, max(ts) AS late FROM {t}",
    "SELECT day, count(*) AS n FROM {t} GROUP BY day",
    "SELECT ts, max(id) AS n FROM {t} GROUP BY ts",
    "SELECT id, day < DATE '2000-01-01' AS early FROM {t} LIMIT 100",
    "SELECT id, extract(year FROM day) AS y FROM {t} LIMIT 100",
    "SELECT id, day FROM {t} ORDER BY day, id LIMIT 3",
    "SELECT id, day FROM {t} ORDER BY day NULLS FIRST, id LIMIT 3",
    "SELECT a.id AS x, b.id AS y FROM {t} a JOIN {t} b ON a.day = b.day",
    "SELECT a.id AS x, b.id AS y FROM {t} a JOIN {t} b ON a.day < b.day",
    "SELECT a.id FROM {t} a WHERE a.day NOT IN (SELECT b.day FROM {t} b WHERE b.id = 5)",
    "SELECT id FROM {t} a WHERE EXISTS (SELECT 1 FROM {t} b WHERE b.day = a.day AND b.id <> a.id)",
)
# id, day, ts as stored, and None where they are read as NULL.
MYSQL = (
    ("1", "0000-00-00", "0000-00-00 00:00:00", None, None),
    ("2", "2024-00-10", "2024-01-00 00:00:00", None, None),
    ("3", "1999-00-00", "2001-00-00 01:02:03", None, None),
    ("4", None, None, None, None),
    ("5", "1999-12-31", "1999-12-31 23:59:59", "1999-12-31", "1999-12-31 23:59:59"),
    ("6", "2024-01-10", "2024-01-10 00:00:00", "2024-01-10", "2024-01-10 00:00:00"),
    ("7", "0000-00-00", "2024-01-10 00:00:00", None, "2024-01-10 00:00:00"),
)
POSTGRES = (
    ("1", "infinity", "infinity", None, None),
    ("2", "-infinity", "-infinity", None, None),
    ("3", "0044-03-15 BC", "0044-03-15 01:02:03 BC", None, None),
    ("4", None, None, None, None),
    ("5", "1999-12-31", "1999-12-31 23:59:59", "1999-12-31", "1999-12-31 23:59:59"),
    ("6", "20240-01-10", "20240-01-10 00:00:00", None, None),
    ("7", "infinity", "2024-01-10 00:00:00", None, "2024-01-10 00:00:00"),
)


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def place(
    request: pytest.FixtureRequest,
    postgres_server: Server,
    mariadb_server: Server,
    new_database: Factory,
) -> Iterator[tuple[str, Session, duckdb.DuckDBPyConnection]]:
    kind = request.param
    database = new_database(postgres_server if kind == "postgres" else mariadb_server)
    name = f"unreadable_{database.name.split('_')[1]}_{database.name.split('_')[2]}"
    stored = POSTGRES if kind == "postgres" else MYSQL
    stamp = "timestamp" if kind == "postgres" else "datetime(6)"

    def values(first: int) -> str:
        return ", ".join(
            "(" + ", ".join("NULL" if v is None else f"'{v}'" for v in (r[0], *r[first:][:2])) + ")"
            for r in stored
        )

    setup = ["SET sql_mode = ''"] if kind == "mysql" else []
    database.execute(
        *setup,
        f"CREATE TABLE {name} (id int PRIMARY KEY, day date, ts {stamp})",
        f"INSERT INTO {name} VALUES {values(1)}",
    )
    extra = {"infinite_dates": "null"} if kind == "postgres" else {}
    with duckdb.connect() as local:
        local.execute("CREATE SCHEMA s")
        local.execute(f"CREATE TABLE s.{name} (id INTEGER, day DATE, ts TIMESTAMP)")
        local.execute(f"INSERT INTO s.{name} VALUES {values(3)}")
        with dovetail.connect(
            {"sources": {"s": database.source(pushdown="always", **extra)}}
        ) as session:
            yield f"s.{name}", session, local


@pytest.mark.parametrize("query", QUERIES)
def test_null(place: tuple[str, Session, duckdb.DuckDBPyConnection], query: str) -> None:
    name, session, local = place
    check(session, local, query.format(t=name), ordered="ORDER BY" in query)
