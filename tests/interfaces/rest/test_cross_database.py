"""The acceptance cases of queries over several databases (A21–A29), on files and on servers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import httpx
import pytest
from tests.databases import Database
from tests.interfaces.rest.running import PRODUCTS, Client
from tests.servers import Server

USERS = [
    (1, "alice", "alice@example.com"),
    (2, "bob", "bob@example.com"),
    (3, "carol", "carol@example.com"),
    (4, "dave", None),
]
TODOS = [
    (1, 1, "write brief", "pending"),
    (2, 1, "book room", "done"),
    (3, 2, "call db1.users desk", "pending"),
    (4, 3, "alice", "pending"),
    (5, None, "orphan", "pending"),
    (6, 9, "ghost", "done"),
]
USERS_TABLE = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(50), email VARCHAR(99))"
TODOS_TABLE = (
    "CREATE TABLE todos (id INTEGER PRIMARY KEY, user_id INTEGER, title VARCHAR(99), "
    "status VARCHAR(20))"
)


def literal(value: Any) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def inserts(table: str, rows: list[tuple[Any, ...]]) -> str:
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f"INSERT INTO {table} VALUES {values}"


def connect(client: Client, name: str, **settings: Any) -> str:
    """A connection made over HTTP; its id."""
    kind = settings.pop("kind")
    made = client.post("/connections", json={"name": name, "kind": kind, "settings": settings})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


@pytest.fixture(scope="module")
def files(client: Client, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """C1 as SQLite, C2 as DuckDB."""
    folder: Path = tmp_path_factory.mktemp("sources")
    with contextlib.closing(sqlite3.connect(folder / "users.db")) as database:
        database.execute(USERS_TABLE)
        database.execute(inserts("users", USERS))
        database.commit()
    with duckdb.connect(str(folder / "todos.duckdb")) as todos:
        todos.execute(TODOS_TABLE)
        todos.execute(inserts("todos", TODOS))
    c1 = connect(client, "crm", kind="sqlite", path=str(folder / "users.db"))
    c2 = connect(client, "tasks", kind="duckdb", path=str(folder / "todos.duckdb"))
    return SimpleNamespace(c1=c1, c2=c2, kinds=("sqlite", "duckdb"))


@pytest.fixture(scope="module")
def servers_(
    client: Client, servers: SimpleNamespace, new_database: Callable[[Server], Database]
) -> SimpleNamespace:
    """C1 as MariaDB, C2 as PostgreSQL."""
    users, todos = new_database(servers.mariadb), new_database(servers.postgres)
    users.execute(USERS_TABLE, inserts("users", USERS))
    todos.execute(TODOS_TABLE, inserts("todos", TODOS))
    return SimpleNamespace(
        c1=connect(client, "maria", **given(users)),
        c2=connect(client, "pg", **given(todos)),
        kinds=("mysql", "postgresql"),
    )


def given(database: Database) -> dict[str, Any]:
    """Settings with the password as text, which the service keeps encrypted."""
    return {k: v for k, v in database.source().items() if v not in ("", None)}


@pytest.fixture(scope="module", params=["files", "servers_"])
def pair(request: pytest.FixtureRequest) -> SimpleNamespace:
    found: SimpleNamespace = request.getfixturevalue(request.param)
    return found


def ask(client: Client, pair: SimpleNamespace, query: str, **more: Any) -> httpx.Response:
    body = {
        "query": query,
        "connection_ids": [pair.c1, pair.c2],
        "database_aliases": {"mysql_conn": pair.c1, "pg_conn": pair.c2},
        **more,
    }
    return client.post("/api/cross-database/query", json=body)


def rows(client: Client, pair: SimpleNamespace, query: str, **more: Any) -> list[Any]:
    done = ask(client, pair, query, **more)
    assert done.status_code == 200, done.text
    answer = done.json()
    names = [column["name"] for column in answer["columns"]]
    return [tuple(row[name] for name in names) for row in answer["results"]]


JOIN = "FROM mysql_conn.users u JOIN pg_conn.todos t ON u.id = t.user_id"


def test_a_join_with_a_filter(client: Client, pair: SimpleNamespace) -> None:
    done = ask(
        client,
        pair,
        f"SELECT u.id, u.username, t.title, t.status {JOIN} WHERE t.status = 'pending' "
        "ORDER BY u.username, t.id",
    )
    answer = done.json()
    assert [tuple(row.values()) for row in answer["results"]] == [
        (1, "alice", "write brief", "pending"),
        (2, "bob", "call db1.users desk", "pending"),
        (3, "carol", "alice", "pending"),
    ]
    assert set(answer) >= {
        "original_query",
        "sub_queries",
        "results",
        "row_count",
        "execution_time_ms",
        "limit_applied",
        "executed_at",
    }
    by_kind = {sub["database_type"]: sub for sub in answer["sub_queries"]}
    assert set(by_kind) == set(pair.kinds)
    second = by_kind[pair.kinds[1]]
    if pair.kinds[1] == "postgresql":  # the engine reads a DuckDB file itself, filter and all
        assert "pending" in second["query"]
    assert second["row_count"] is None or second["row_count"] <= 4
    assert {sub["connection_id"] for sub in answer["sub_queries"]} == {pair.c1, pair.c2}
    assert not any("SELECT *" in sub["query"].upper() for sub in answer["sub_queries"])


def test_limits(client: Client, pair: SimpleNamespace) -> None:
    own = ask(client, pair, f"SELECT t.id {JOIN} ORDER BY t.id LIMIT 3").json()
    assert (own["row_count"], own["limit_applied"]) == (3, False)
    cut = ask(client, pair, f"SELECT t.id {JOIN} ORDER BY t.id", limit_value=2).json()
    assert (cut["row_count"], cut["limit_applied"], cut["truncated"]) == (2, True, True)


def test_every_join(client: Client, pair: SimpleNamespace) -> None:
    assert len(rows(client, pair, f"SELECT u.username, t.title {JOIN}")) == 4
    right = rows(
        client,
        pair,
        "SELECT u.username, t.id FROM mysql_conn.users u RIGHT JOIN pg_conn.todos t "
        "ON u.id = t.user_id",
    )
    assert (len(right), [name for name, _ in right].count(None)) == (6, 2)
    full = "SELECT count(*) FROM mysql_conn.users u FULL JOIN pg_conn.todos t ON u.id = t.user_id"
    assert rows(client, pair, full) == [(7,)]
    left = (
        "SELECT u.username, count(t.id) FROM mysql_conn.users u LEFT JOIN pg_conn.todos t "
        "ON u.id = t.user_id GROUP BY u.username ORDER BY u.username"
    )
    assert rows(client, pair, left) == [("alice", 2), ("bob", 1), ("carol", 1), ("dave", 0)]


def test_set_operations(client: Client, pair: SimpleNamespace) -> None:
    def both(operator: str, tail: str = "") -> list[str]:
        query = (
            f"SELECT username FROM mysql_conn.users {operator} "
            f"SELECT title FROM pg_conn.todos {tail}"
        )
        return [value for (value,) in rows(client, pair, query)]

    assert len(both("UNION")) == 9
    assert len(both("UNION ALL")) == 10
    assert both("INTERSECT") == ["alice"]
    assert sorted(both("EXCEPT")) == ["bob", "carol", "dave"]
    assert both("UNION", "ORDER BY 1 LIMIT 4") == [
        "alice",
        "bob",
        "book room",
        "call db1.users desk",
    ]


def test_missing_values_in_a_list(client: Client, pair: SimpleNamespace) -> None:
    absent = (
        "SELECT username FROM mysql_conn.users WHERE id NOT IN (SELECT user_id FROM pg_conn.todos)"
    )
    assert rows(client, pair, absent) == []
    without = (
        "SELECT username FROM mysql_conn.users u WHERE NOT EXISTS "
        "(SELECT 1 FROM pg_conn.todos t WHERE t.user_id = u.id)"
    )
    assert rows(client, pair, without) == [("dave",)]


def test_names_in_literals_stay(client: Client, pair: SimpleNamespace) -> None:
    found = rows(
        client,
        pair,
        "SELECT title FROM db1.todos WHERE title = 'call db1.users desk'",
        database_aliases={"db1": pair.c2},
    )
    assert found == [("call db1.users desk",)]


def test_an_unknown_qualifier(client: Client, pair: SimpleNamespace) -> None:
    done = ask(client, pair, "SELECT * FROM unknown_db.users")
    assert (done.status_code, done.json()["code"]) == (422, "qualifier-unknown")
    assert done.json()["valid"] == ["mysql_conn", "pg_conn"]
    alien = ask(client, pair, "SELECT 1", database_aliases={"x": "no-such-id"})
    assert alien.status_code == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"timeout_secs": 301}, "timeout_secs"),
        ({"timeout_secs": 1.5}, "timeout_secs"),
        ({"timeout_secs": True}, "timeout_secs"),
        ({"limit_value": 0}, "limit_value"),
        ({"limit_value": 10001}, "limit_value"),
        ({"limit_value": "100"}, "limit_value"),
        ({"limt_value": 5}, "limt_value"),
        ({"connection_ids": []}, "connection_ids"),
    ],
)
def test_values_out_of_range(
    client: Client, files: SimpleNamespace, change: dict[str, Any], field: str
) -> None:
    done = ask(client, files, "SELECT 1", **change)
    assert (done.status_code, done.json()["code"]) == (422, "validation")
    assert done.json()["errors"][0]["loc"].startswith(field)


def test_an_unknown_connection(client: Client, files: SimpleNamespace) -> None:
    done = ask(client, files, "SELECT 1", connection_ids=["nope"], database_aliases=None)
    assert (done.status_code, done.json()["code"]) == (404, "not-found")


def test_ids_and_names_as_qualifiers(client: Client, files: SimpleNamespace) -> None:
    def plain(query: str, connection: str) -> httpx.Response:
        body = {"query": query, "connection_ids": [connection]}
        return client.post("/api/v1/cross-database/query", json=body)

    assert plain(f'SELECT * FROM "{files.c1}".users', files.c1).json()["row_count"] == 4
    assert plain("SELECT * FROM crm.users", "crm").json()["row_count"] == 4
    bare = plain(f"SELECT * FROM {files.c1}.users", files.c1)
    assert (bare.status_code, bare.json()["code"]) == (400, "sql-syntax")
    assert "quote" in bare.json()["detail"]


def test_no_source_no_fragment(client: Client, files: SimpleNamespace) -> None:
    assert ask(client, files, "SELECT 1 AS one").json()["sub_queries"] == []


def test_a_group_over_three_systems(client: Client, servers_: SimpleNamespace) -> None:
    """PostgreSQL, MariaDB and an uploaded file under aliases; the profile names three fragments."""
    ids = {}
    for alias, source, table in (("users", servers_.c1, "users"), ("todos", "pg", "todos")):
        made = client.post("/datasets", json={"source": source, "table": table})
        assert made.status_code == 201, made.text
        assert made.json()["source_type"] == "TABLE"
        ids[alias] = made.json()["id"]
    ids["products"] = client.dataset("products.csv", PRODUCTS)
    group = client.group("three systems", ids)
    done = client.sql(
        "SELECT u.username, t.title, p.product FROM users u JOIN todos t ON u.id = t.user_id "
        "JOIN products p ON p.id = 99 + u.id WHERE t.status = 'pending' ORDER BY u.username",
        group_id=group,
        shape="arrays",
    )
    assert done.status_code == 200, done.text
    answer = done.json()
    assert answer["rows"] == [
        ["alice", "write brief", "Lamp"],
        ["bob", "call db1.users desk", "Chair"],
        ["carol", "alice", "Pen"],
    ]
    fragments = answer["sub_queries"]
    assert len(fragments) == 3
    assert {f["database_type"] for f in fragments} >= {"mysql", "postgresql"}
    stored = client.get(f"/queries/{answer['query_id']}").json()
    assert [f["query"] for f in stored["sub_queries"]] == [f["query"] for f in fragments]


def test_a_connection_hides_its_password(
    client: Client, servers_: SimpleNamespace, local: Any
) -> None:
    found = client.get(f"/connections/{servers_.c1}").json()
    assert found["password_set"] is True
    text = str(found) + local.log.read_text()
    assert "%40@:/?#" not in text
    tested = client.post(f"/connections/{servers_.c1}/test").json()
    assert (tested["ok"], tested["error"]) == (True, None), tested
    tables = client.get(f"/connections/{servers_.c2}/metadata").json()["tables"]
    assert [table["name"] for table in tables] == ["todos"]
    assert tables[0]["primary_key"] == ["id"]


def test_a_source_that_is_down(client: Client, files: SimpleNamespace) -> None:
    down = connect(
        client, "down", kind="postgres", host="127.0.0.1", port=1, user="u", database="d"
    )
    done = ask(
        client,
        files,
        f"SELECT * FROM x.t, {'y'}.users",
        connection_ids=[down, files.c1],
        database_aliases={"x": down, "y": files.c1},
    )
    assert (done.status_code, done.json()["code"]) == (502, "source-unavailable"), done.text
    assert "127.0.0.1" not in done.json()["detail"] or "x" in done.json()["detail"]
    tested = client.post(f"/connections/{down}/test").json()
    assert (tested["ok"], tested["stage"]) == (False, "connect")
