"""Every path refuses whoever lacks the right, and a path without such a case fails the tests."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from tests.interfaces.rest.running import CUSTOMERS, JOINED, ORDERS, Client, Running
from tests.interfaces.rest.test_access import PASSWORD, make_user

UPLOAD = {"files": {"file": ("x.csv", b"a\n1\n")}}
HIDDEN = "hidden"
"""The answer is 200 and names nothing of what the actor may not see."""


@dataclass(frozen=True)
class Case:
    """``actor`` (viewer, stranger, reader) sends ``method path`` and gets ``expected``."""

    actor: str
    method: str
    path: str
    expected: int | str
    more: dict[str, Any] | None = None


def case(actor: str, operation: str, expected: int | str, body: Any = None, **more: Any) -> Case:
    method, _, path = operation.partition(" ")
    if body is not None:
        more["json"] = body
    return Case(actor, method, path, expected, more)


SQL = {"sql": "SELECT 1", "dataset_id": "<dataset>"}
NEW = {"name": "new"}

# `viewer` has the least role and `view` on the dataset; `stranger` is an analyst with no grant at
# all; `reader` is an analyst with `view` on the dataset and the connection.
CASES = [
    case("viewer", "POST /datasets/upload", 403, **UPLOAD),
    case("stranger", "POST /datasets", 404, {"source": "<connection>", "table": "t"}),
    case("stranger", "GET /datasets", HIDDEN),
    case("stranger", "GET /datasets/{dataset_id}", 404),
    case("stranger", "PATCH /datasets/{dataset_id}", 404, NEW),
    case("reader", "PATCH /datasets/{dataset_id}", 403, NEW),
    case("stranger", "DELETE /datasets/{dataset_id}", 404),
    case("reader", "DELETE /datasets/{dataset_id}", 403),
    case("stranger", "PUT /datasets/{dataset_id}/file", 404, **UPLOAD),
    case("reader", "PUT /datasets/{dataset_id}/file", 403, **UPLOAD),
    case("stranger", "GET /datasets/{dataset_id}/schema", 404),
    case("stranger", "GET /datasets/{dataset_id}/profile", 404),
    case("reader", "GET /datasets/{dataset_id}/profile", 403),
    case("stranger", "GET /datasets/{dataset_id}/preview", 404),
    case("stranger", "POST /datasets/{deleted_id}/restore", 404),
    case("reader", "POST /datasets/{deleted_id}/purge", 403),
    case("stranger", "GET /datasets/{dataset_id}/grants", 404),
    case("reader", "GET /datasets/{dataset_id}/grants", 403),
    case(
        "reader", "POST /datasets/{dataset_id}/grants", 403, {"user": "reader", "right": "manage"}
    ),
    case("reader", "DELETE /datasets/{dataset_id}/grants/{grant_id}", 403),
    case("viewer", "POST /dataset-groups", 403, NEW),
    case("stranger", "GET /dataset-groups", HIDDEN),
    case("stranger", "GET /dataset-groups/{group_id}", 404),
    case("reader", "PATCH /dataset-groups/{group_id}", 403, NEW),
    case("stranger", "PATCH /dataset-groups/{group_id}", 404, NEW),
    case("reader", "DELETE /dataset-groups/{group_id}", 403),
    case("reader", "POST /dataset-groups/{group_id}/datasets", 403, {"dataset_id": "<dataset>"}),
    case("reader", "PATCH /dataset-groups/{group_id}/datasets/{dataset_id}", 403, {"alias": "z"}),
    case("reader", "DELETE /dataset-groups/{group_id}/datasets/{dataset_id}", 403),
    case("stranger", "DELETE /dataset-groups/{group_id}/datasets/{dataset_id}", 404),
    case("stranger", "GET /dataset-groups/{group_id}/schemas", 404),
    case("stranger", "GET /dataset-groups/{group_id}/preview", 404),
    case("stranger", "GET /dataset-groups/{group_id}/relationships", 404),
    case(
        "reader",
        "POST /dataset-groups/{group_id}/relationships",
        403,
        {"from_alias": "a", "from_column": "id", "to_alias": "a", "to_column": "id"},
    ),
    case("reader", "DELETE /dataset-groups/{group_id}/relationships/{relationship_id}", 403),
    case("reader", "POST /connections", 403, {"name": "c", "kind": "sqlite"}),
    case("stranger", "GET /connections", HIDDEN),
    case("reader", "POST /connections/test", 403, {"name": "c", "kind": "sqlite"}),
    case("stranger", "GET /connections/{connection_id}", 404),
    case("stranger", "PATCH /connections/{connection_id}", 404, NEW),
    case("reader", "PATCH /connections/{connection_id}", 403, NEW),
    case("reader", "DELETE /connections/{connection_id}", 403),
    case("stranger", "POST /connections/{connection_id}/test", 404),
    case("stranger", "GET /connections/{connection_id}/metadata", 404),
    case("reader", "GET /connections/{connection_id}/grants", 403),
    case("reader", "POST /connections/{connection_id}/grants", 403, {"user": "a", "right": "view"}),
    case("reader", "DELETE /connections/{connection_id}/grants/{connection_grant_id}", 403),
    case("stranger", "POST /queries/sql", 404, SQL),
    case("reader", "POST /queries/sql", 403, SQL),
    case("reader", "POST /queries/sql", 403, {**SQL, "mode": "async"}),
    case("reader", "POST /queries/sql", 403, {"sql": JOINED, "group_id": "<group>"}),
    case("viewer", "POST /queries/nl", 403, {"query": "x", "dataset_id": "<dataset>"}),
    case("reader", "POST /queries/explain", 403, SQL),
    case("stranger", "POST /queries/validate", 404, SQL),
    case("reader", "POST /queries/validate", 403, SQL),
    case(
        "stranger",
        "POST /cross-database/query",
        404,
        {"query": "SELECT 1", "connection_ids": ["<connection>"]},
    ),
    case(
        "reader",
        "POST /api/cross-database/query",
        403,
        {"query": "SELECT 1", "connection_ids": ["<connection>"]},
    ),
    case("stranger", "GET /queries", HIDDEN),
    case("stranger", "GET /queries?user=*", 403),
    case("stranger", "GET /queries/{query_id}", 404),
    case("stranger", "PATCH /queries/{query_id}", 404, {"favourite": True}),
    case("stranger", "DELETE /queries/{query_id}", 404),
    case("stranger", "GET /queries/{query_id}/events", 404),
    case("stranger", "POST /queries/{query_id}/cancel", 404),
    case("stranger", "GET /queries/{query_id}/rows", 404),
    case("stranger", "GET /queries/{query_id}/result", 404),
    case("stranger", "GET /queries/{query_id}/profile", 404),
    case("stranger", "POST /queries/{query_id}/dataset", 404, NEW),
    case("stranger", "POST /queries/{query_id}/share", 404, {"shared": True}),
    case("viewer", "POST /saved-queries", 403, {"name": "s", "text": "SELECT 1"}),
    case("stranger", "GET /saved-queries", HIDDEN),
    case("stranger", "GET /saved-queries/{saved_id}", 404),
    case("stranger", "PATCH /saved-queries/{saved_id}", 404, NEW),
    case("reader", "PATCH /saved-queries/{saved_id}", 403, NEW),
    case("reader", "DELETE /saved-queries/{saved_id}", 403),
    case("stranger", "GET /saved-queries/{saved_id}/versions", 404),
    case("reader", "POST /saved-queries/{saved_id}/versions/1/restore", 403),
    case("stranger", "POST /saved-queries/{saved_id}/run", 404, {}),
    case("reader", "POST /saved-queries/{saved_id}/run", 403, {}),
    case("reader", "PUT /saved-queries/{saved_id}/shares", 403, {"user": "stranger"}),
    case("reader", "DELETE /saved-queries/{saved_id}/shares?user=reader", 403),
    case("stranger", "POST /users", 403, {"name": "u", "password": PASSWORD}),
    case("stranger", "GET /users", 403),
    case("stranger", "GET /users/{user_id}", 404),
    case("stranger", "PATCH /users/{user_id}", 403, {"role": "admin"}),
    case("stranger", "DELETE /users/{user_id}", 403),
    case("stranger", "POST /teams", 403, NEW),
    case("stranger", "GET /teams", HIDDEN),
    case("stranger", "GET /teams/{team_id}", 404),
    case("reader", "PATCH /teams/{team_id}", 403, NEW),
    case("stranger", "PATCH /teams/{team_id}", 404, NEW),
    case("reader", "DELETE /teams/{team_id}", 403),
    case("stranger", "DELETE /teams/{team_id}", 404),
    case("reader", "PUT /teams/{team_id}/members/stranger", 403),
    case("stranger", "PUT /teams/{team_id}/members/stranger", 404),
    case("reader", "DELETE /teams/{team_id}/members/reader", 403),
    case("stranger", "DELETE /teams/{team_id}/members/reader", 404),
    case("scoped", "POST /tokens", 403, {"name": "more", "scopes": ["write"]}),
    case("stranger", "GET /tokens?user_id=<user>", 403),
    case("stranger", "DELETE /tokens/{token_id}", 404),
    case("stranger", "GET /stats/queries?user=*", 403),
    case("stranger", "GET /audit", 403),
    case("stranger", "GET /audit/export", 403),
]

# What anybody with a token may do, or anybody at all: nothing of anyone is read or changed.
FREE = {
    "POST /queries/format",
    "POST /auth/cookie",
    "GET /auth/me",
    "POST /auth/logout",
}
PUBLIC = {
    "POST /auth/login",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /problems/{code}",
}


@pytest.fixture(scope="module")
def world(admin: Client, shared: Running, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Something of every kind, owned by the admin, and users with less and less rights."""
    import contextlib
    import sqlite3

    actors = {
        "viewer": make_user(admin, shared, "viewer", "viewer"),
        "stranger": make_user(admin, shared, "stranger"),
        "reader": make_user(admin, shared, "reader"),
        "nobody": shared.client(None),
    }
    token = actors["reader"].post("/tokens", json={"name": "r", "scopes": ["read"]}).json()
    actors["scoped"] = shared.client(token["token"])
    path = tmp_path_factory.mktemp("source") / "s.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (id INTEGER)")
    body = {"name": "crm", "kind": "sqlite", "settings": {"path": str(path)}}
    connection = admin.post("/connections", json=body).json()["id"]
    dataset = admin.dataset("customers.csv", CUSTOMERS)
    deleted = admin.dataset("deleted.csv", ORDERS)
    group = admin.group("secret group", {"customers": dataset})
    relation = admin.post(
        f"/dataset-groups/{group}/relationships",
        json={
            "from_alias": "customers",
            "from_column": "id",
            "to_alias": "customers",
            "to_column": "id",
        },
    )
    assert relation.status_code == 201, relation.text
    grants = [
        admin.post(f"/{kind}/{id_}/grants", json={"user": user, "right": "view"}).json()["id"]
        for kind, id_, user in (
            ("datasets", dataset, "reader"),
            ("connections", connection, "reader"),
            ("datasets", dataset, "viewer"),
            ("datasets", deleted, "reader"),
        )
    ]
    assert admin.delete(f"/datasets/{deleted}").status_code == 204
    run = admin.sql("SELECT 1 AS x", dataset_id=dataset).json()["query_id"]
    saved = admin.post(
        "/saved-queries",
        json={"name": "s", "text": "SELECT 1", "target": {"dataset_id": dataset}},
    ).json()["id"]
    shares = f"/saved-queries/{saved}/shares"
    assert admin.put(shares, json={"user": "reader", "right": "view"}).status_code == 200
    team = admin.post("/teams", json={"name": "secret team"}).json()["id"]
    assert admin.put(f"/teams/{team}/members/reader").status_code == 200
    ids = {
        "team": team,
        "dataset": dataset,
        "deleted": deleted,
        "group": group,
        "connection": connection,
        "grant": grants[0],
        "connection_grant": grants[1],
        "relationship": relation.json()["id"],
        "query": run,
        "saved": saved,
        "user": admin.get("/auth/me").json()["user_id"],
        "token": admin.post("/tokens", json={"name": "t"}).json()["id"],
    }
    return SimpleNamespace(actors=actors, ids=ids)


def filled(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(f"{{{name}_id}}", value).replace(f"<{name}>", value)
    return text


def send(client: Client, case: Case, ids: dict[str, str]) -> Any:
    more = dict(case.more or {})
    if isinstance(more.get("json"), dict):
        more["json"] = {
            key: [filled(v, ids) for v in value]
            if isinstance(value, list)
            else filled(value, ids)
            if isinstance(value, str)
            else value
            for key, value in more["json"].items()
        }
    return client.request(case.method, filled(case.path, ids), **more)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.actor}: {c.method} {c.path}")
def test_the_forbidden_case(world: Any, case: Case) -> None:
    done = send(world.actors[case.actor], case, world.ids)
    if case.expected == HIDDEN:
        assert done.status_code == 200, done.text
        found = [name for name, value in world.ids.items() if value in done.text]
        assert found == []
        return
    assert done.status_code == case.expected, done.text
    codes = {403: {"forbidden"}, 404: {"not-found"}}
    assert done.json()["code"] in codes[int(case.expected)]
    if case.expected == 404:
        assert "customers.csv" not in done.text
        assert "secret group" not in done.text
        assert "secret team" not in done.text


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.actor}: {c.method} {c.path}")
def test_nobody_comes_in_without_a_token(world: Any, case: Case) -> None:
    done = send(world.actors["nobody"], case, world.ids)
    assert (done.status_code, done.json()["code"]) == (401, "unauthenticated")


def test_what_was_refused_did_not_happen(admin: Client, world: Any) -> None:
    ids = world.ids
    assert admin.get(f"/datasets/{ids['dataset']}").json()["name"] == "customers.csv"
    group = admin.get(f"/dataset-groups/{ids['group']}").json()
    assert (group["name"], group["dataset_count"]) == ("secret group", 1)
    assert group["memberships"][0]["alias"] == "customers"
    assert admin.get(f"/connections/{ids['connection']}").json()["name"] == "crm"
    assert len(admin.get(f"/datasets/{ids['dataset']}/grants").json()) == 2
    team = admin.get(f"/teams/{ids['team']}").json()
    assert (team["name"], [m["name"] for m in team["members"]]) == ("secret team", ["reader"])
    assert admin.get(f"/queries/{ids['query']}").json()["favourite"] is False


def test_every_path_has_a_forbidden_case(admin: Client) -> None:
    def shape(path: str) -> str:
        import re

        path = path.partition("?")[0].removeprefix("/api/v1").replace("versions/1", "versions/{}")
        path = re.sub(r"members/\w+", "members/{}", path)
        return re.sub(r"\{\w*\}", "{}", path)

    paths = admin.get("/openapi.json").json()["paths"]
    listed = {f"{m.upper()} {shape(p)}" for p, methods in paths.items() for m in methods}
    covered = {f"{c.method} {shape(c.path)}" for c in CASES}
    free = {f"{one.split()[0]} {shape(one.split()[1])}" for one in FREE | PUBLIC}
    assert sorted(listed - covered - free) == []
    assert sorted((covered | free) - listed) == []
    public = {f"{one.split()[0]} {shape(one.split()[1])}" for one in PUBLIC}
    open_ = {
        f"{m.upper()} {shape(p)}"
        for p, methods in paths.items()
        for m, operation in methods.items()
        if "401" not in operation["responses"]
    }
    assert open_ <= public
