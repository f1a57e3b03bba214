"""Who may see and do what, over HTTP (A33–A35 and the rules around them)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from tests.interfaces.rest.running import (
    ADMIN,
    CUSTOMERS,
    JOINED,
    JOINED_ROWS,
    ORDERS,
    PRODUCTS,
    Client,
    Running,
    running,
)

PASSWORD = "a passphrase that is long"


def make_user(admin: Client, shared: Running, name: str, role: str = "analyst") -> Client:
    made = admin.post("/users", json={"name": name, "password": PASSWORD, "role": role})
    assert made.status_code == 201, made.text
    return shared.login(name, PASSWORD)


@pytest.fixture(scope="module")
def owned(admin: Client) -> SimpleNamespace:
    """Fixture A, owned by the admin."""
    ids = {
        "customers": admin.dataset("customers.csv", CUSTOMERS),
        "orders": admin.dataset("orders.csv", ORDERS),
        "products": admin.dataset("products.csv", PRODUCTS),
    }
    return SimpleNamespace(group=admin.group("G", ids), **ids)


def test_a_group_is_open_to_who_may_read_all_of_it(
    admin: Client, shared: Running, owned: SimpleNamespace
) -> None:
    user = make_user(admin, shared, "ursula")

    def grant(dataset: str) -> str:
        made = admin.post(f"/datasets/{dataset}/grants", json={"user": "ursula", "right": "query"})
        assert made.status_code == 201, made.text
        return f"/datasets/{dataset}/grants/{made.json()['id']}"

    grant(owned.customers)
    assert user.sql(JOINED, group_id=owned.group).status_code == 404
    assert user.get(f"/dataset-groups/{owned.group}").status_code == 404
    assert user.get("/dataset-groups").json() == []
    grant(owned.products)
    path = grant(owned.orders)
    allowed = user.sql(JOINED, group_id=owned.group)
    assert allowed.json()["rows"] == JOINED_ROWS, allowed.text
    run = allowed.json()["query_id"]
    assert user.get(f"/queries/{run}/rows").json()["rows"] == JOINED_ROWS
    # A group is its owner's to change.
    changed = user.patch(f"/dataset-groups/{owned.group}", json={"name": "mine"})
    assert (changed.status_code, changed.json()["code"]) == (403, "forbidden")
    assert admin.delete(path).status_code == 204
    assert user.sql(JOINED, group_id=owned.group).status_code == 404
    assert user.get(f"/queries/{run}/rows").status_code == 404
    assert user.get(f"/queries/{run}/result").status_code == 404


def test_a_query_reaches_nothing_beside_its_target(
    admin: Client, shared: Running, owned: SimpleNamespace
) -> None:
    inside = [str(path) for path in shared.folder.rglob("*.parquet")]
    assert len(inside) >= 3
    for sql in (
        f"FROM read_parquet('{inside[0]}')",
        f"FROM '{inside[0]}'",
        "FROM read_text('/etc/hostname')",
        "FROM glob('/*')",
        "FROM '/etc/passwd'",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_databases()",
        "SELECT * FROM duckdb_views()",
        "SELECT current_setting('temp_directory')",
    ):
        refused = admin.sql(sql, dataset_id=owned.customers)
        assert refused.status_code in (400, 403), (sql, refused.text)
        answer = refused.json()["detail"]
        # The asker's own words may come back; nothing else of the server's folders.
        assert str(shared.folder) not in answer.replace(inside[0], ""), answer
    other = admin.sql("SELECT * FROM orders", dataset_id=owned.customers)
    assert other.json()["code"] == "sql-binding"


def test_roles_and_scopes(admin: Client, shared: Running, owned: SimpleNamespace) -> None:
    viewer = make_user(admin, shared, "vera", "viewer")
    admin.post(f"/datasets/{owned.customers}/grants", json={"user": "vera", "right": "view"})
    assert viewer.get(f"/datasets/{owned.customers}/preview").status_code == 200
    asked = viewer.sql("SELECT 1", dataset_id=owned.customers)
    assert (asked.status_code, asked.json()["code"]) == (403, "forbidden")
    assert viewer.upload("x.csv", PRODUCTS).status_code == 403
    analyst = make_user(admin, shared, "anna")
    assert analyst.post("/connections", json={"name": "c", "kind": "sqlite"}).status_code == 403
    made = analyst.post("/tokens", json={"name": "reader", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    assert made.json()["token"].startswith("dvt_")
    assert len(made.json()["token"]) == 47
    reader = shared.client(made.json()["token"])
    assert reader.get("/datasets").status_code == 200
    refused = reader.upload("x.csv", PRODUCTS)
    assert (refused.status_code, "write" in refused.json()["detail"]) == (403, True)
    assert "token" not in analyst.get("/tokens").json()[0]
    assert analyst.delete(f"/tokens/{made.json()['id']}").status_code == 204
    assert reader.get("/datasets").status_code == 401


def test_a_session_ends(admin: Client, shared: Running) -> None:
    user = make_user(admin, shared, "lena")
    assert user.get("/auth/me").json()["name"] == "lena"
    assert user.post("/auth/logout").status_code == 204
    assert user.get("/auth/me").status_code == 401
    wrong = shared.client(None).post("/auth/login", json={"name": "lena", "password": "no"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
    user_id = next(u["id"] for u in admin.get("/users").json() if u["name"] == "lena")
    again = shared.login("lena", PASSWORD)
    assert admin.patch(f"/users/{user_id}", json={"disabled": True}).status_code == 200
    assert again.get("/auth/me").status_code == 401


def test_the_cookie(local: Running) -> None:
    browser = httpx.Client(base_url=local.url)
    with browser:
        given = browser.post(
            "/api/v1/auth/cookie", headers={"Authorization": f"Bearer {local.token}"}
        )
        assert given.status_code == 200
        cookie = given.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert browser.get("/api/v1/datasets").status_code == 200
        body = {"name": "by a page"}
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            refused = browser.post("/api/v1/dataset-groups", json=body, headers=origin)
            assert (refused.status_code, refused.json()["code"]) == (403, "origin-unknown")
        own = browser.post("/api/v1/dataset-groups", json=body, headers={"Origin": local.url})
        assert own.status_code == 201


def test_no_token(local: Running) -> None:
    for token in (None, "wrong", "dvt_" + "x" * 43):
        refused = local.client(token).get("/datasets")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_the_host_must_be_known(local: Running, client: Client) -> None:
    refused = client.get("/health", headers={"Host": "rebound.example"})
    assert (refused.status_code, refused.json()["code"]) == (403, "host-unknown")
    assert client.get("/health", headers={"Host": "localhost:1"}).status_code == 200


def test_audit(admin: Client, shared: Running, owned: SimpleNamespace) -> None:
    run = admin.sql("SELECT 1 AS x", dataset_id=owned.orders).json()["query_id"]
    admin.get(f"/queries/{run}/result")
    listed = admin.get("/audit", params={"limit": 500}).json()
    actions = {entry["action"] for entry in listed}
    assert any("download" in action for action in actions), actions
    assert any("login" in action for action in actions), actions
    lines = admin.get("/audit/export").text.splitlines()
    assert len(lines) >= len(actions)
    for secret in (ADMIN[1], PASSWORD, admin.token or "-"):
        assert secret not in "\n".join(lines)
        assert secret not in shared.log.read_text()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("limited") / "workspace"
    limits = {
        "requests_per_minute": 40,
        "body_bytes": 2_000,
        "upload_bytes": 100_000,
        "running_per_user": 1,
        "queue": 0,
    }
    flags = [f"--limit={name}={value}" for name, value in limits.items()]
    with running(folder, *flags) as service:
        yield service


def test_limits(limited: Running) -> None:
    client = limited.client()
    large = client.post("/dataset-groups", json={"name": "x", "description": "y" * 3_000})
    assert (large.status_code, large.json()["code"]) == (413, "too-large")

    def endless() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 1_000

    chunked = client.post(
        "/dataset-groups", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too-large")
    file = client.upload("large.csv", "a\n" + "1234567\n" * 20_000)
    assert (file.status_code, file.json()["code"]) == (413, "too-large"), file.text
    assert client.get("/datasets").json() == []
    for _ in range(40):
        last = client.get("/auth/me")
    assert (last.status_code, last.json()["code"]) == (429, "too-many-requests")
    assert int(last.headers["retry-after"]) <= 60
