"""The acceptance cases of uploads, groups and queries over them, over real HTTP (A1–A20)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.interfaces.rest.running import (
    CUSTOMERS,
    JOINED,
    JOINED_ROWS,
    ORDERS,
    PRODUCTS,
    Client,
)


@pytest.fixture(scope="module")
def sales(client: Client) -> SimpleNamespace:
    """Fixture A: three uploads in a group."""
    ids = {
        "customers": client.dataset("customers.csv", CUSTOMERS),
        "orders": client.dataset("orders.csv", ORDERS),
        "products": client.dataset("products.csv", PRODUCTS),
    }
    group = client.group("Sales Analysis", ids)
    return SimpleNamespace(group=group, **ids)


def test_upload(client: Client) -> None:
    done = client.upload("products.csv", PRODUCTS, name="Products", description="What is sold")
    assert done.status_code == 201
    made = done.json()
    assert (made["status"], made["row_count"], made["column_count"]) == ("READY", 3, 3)
    assert (made["name"], made["source_type"], made["default_alias"]) == (
        "Products",
        "CSV",
        "products",
    )
    assert done.headers["location"] == f"/api/v1/datasets/{made['id']}"
    assert client.get(done.headers["location"]).json() == made


def test_groups_are_made_with_and_without_the_slash(client: Client) -> None:
    for number, path in enumerate(("/dataset-groups/", "/dataset-groups")):
        made = client.post(path, json={"name": f"slash {number}"})
        assert (made.status_code, made.history) == (201, [])
        assert client.get(f"/dataset-groups/{made.json()['id']}/").status_code == 200
    refused = client.post("/dataset-groups", json={"name": ""})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == "name"
    listed = client.get("/dataset-groups/").json()
    assert set(listed[0]) == {
        "id",
        "name",
        "description",
        "owner_id",
        "created_at",
        "updated_at",
        "dataset_count",
    }


def test_an_alias_is_taken_ignoring_case(client: Client, sales: SimpleNamespace) -> None:
    group = client.group("aliases", {"customers": sales.customers})
    path = f"/dataset-groups/{group}/datasets"
    taken = client.post(path, json={"dataset_id": sales.orders, "alias": "Customers"})
    assert (taken.status_code, taken.json()["code"]) == (409, "alias-taken")
    assert "customers" in str(taken.json()["aliases"])
    reserved = client.post(path, json={"dataset_id": sales.orders, "alias": "order"})
    assert (reserved.status_code, reserved.json()["code"]) == (422, "alias-reserved")
    assert reserved.json()["suggestion"] == "order_"
    invalid = client.post(path, json={"dataset_id": sales.orders, "alias": "Sales 2024"})
    assert (invalid.status_code, invalid.json()["code"]) == (422, "alias-invalid")
    assert invalid.json()["suggestion"] == "sales_2024"
    made = client.post(path, json={"dataset_id": sales.orders})
    assert (made.status_code, made.json()["alias"]) == (201, "orders")
    again = client.post(path, json={"dataset_id": sales.orders})
    assert (again.status_code, again.json()["code"]) == (409, "already-member")
    role = {"dataset_id": sales.orders, "alias": "returns", "allow_repeat": True}
    assert client.post(path, json=role).status_code == 201
    which = client.delete(f"{path}/{sales.orders}")
    assert (which.status_code, which.json()["code"]) == (409, "ambiguous-member")
    assert client.delete(f"{path}/{sales.orders}?alias=returns").status_code == 204


def test_a_join_over_a_group(client: Client, sales: SimpleNamespace) -> None:
    done = client.sql(JOINED, group_id=sales.group)
    assert done.status_code == 200, done.text
    answer = done.json()
    assert answer["rows"] == JOINED_ROWS
    assert [c["type"] for c in answer["columns"]] == ["VARCHAR", "DOUBLE"]
    assert (answer["limit_applied"], answer["truncated"]) == (True, False)
    assert (answer["status"], answer["total_rows"], answer["row_count"]) == ("SUCCESS", 3, 3)
    assert answer["retrieved_columns"] == ["name", "total"]
    assert client.get(f"/queries/{answer['query_id']}").json()["sql"] == JOINED


def test_a_query_has_one_target(client: Client, sales: SimpleNamespace) -> None:
    both = client.sql("SELECT 1", dataset_id=sales.orders, group_id=sales.group)
    assert (both.status_code, both.json()["code"]) == (422, "target-ambiguous")
    assert both.json()["title"] == "Cannot specify both dataset_id and group_id"
    neither = client.sql("SELECT 1")
    assert (neither.status_code, neither.json()["code"]) == (422, "target-missing")


def test_columns_of_one_name(client: Client, sales: SimpleNamespace) -> None:
    sql = (
        "SELECT c.id, o.id, c.name FROM customers c JOIN orders o ON c.id=o.customer_id "
        "ORDER BY o.id LIMIT 2"
    )
    answer = client.sql(sql, group_id=sales.group).json()
    assert [c["name"] for c in answer["columns"]] == ["id", "id_1", "name"]
    assert answer["rows"] == [
        {"id": 1, "id_1": 10, "name": "Ada"},
        {"id": 1, "id_1": 11, "name": "Ada"},
    ]
    assert answer["limit_applied"] is False
    arrays = client.sql(sql, group_id=sales.group, shape="arrays").json()
    assert arrays["rows"] == [[1, 10, "Ada"], [1, 11, "Ada"]]


def test_outer_joins(client: Client, sales: SimpleNamespace) -> None:
    full = "SELECT count(*) AS n FROM customers c FULL JOIN orders o ON c.id=o.customer_id"
    assert client.sql(full, group_id=sales.group).json()["rows"] == [{"n": 7}]
    left = (
        "SELECT c.region, COUNT(*) AS n, SUM(o.amount) AS total FROM customers c "
        "LEFT JOIN orders o ON c.id=o.customer_id GROUP BY c.region ORDER BY c.region"
    )
    rows = client.sql(left, group_id=sales.group, shape="arrays").json()["rows"]
    assert rows == [["North", 3, 215.25], ["South", 1, 241.0], [None, 1, None]]


def test_one_dataset(client: Client, sales: SimpleNamespace) -> None:
    done = client.sql(
        "SELECT count(*) AS n, sum(amount) AS total FROM dataset", dataset_id=sales.orders
    )
    assert done.json()["rows"] == [{"n": 6, "total": 656.25}]
    literal = "SELECT count(*) AS n FROM dataset WHERE 'DELETE' = 'DELETE' -- drop table x"
    assert client.sql(literal, dataset_id=sales.orders).json()["rows"] == [{"n": 6}]


def test_near_names(client: Client, sales: SimpleNamespace) -> None:
    done = client.sql("SELECT * FROM custmers", group_id=sales.group)
    problem = done.json()
    assert (done.status_code, problem["code"]) == (400, "sql-binding")
    assert (problem["line"], problem["column"]) == (1, 15)
    assert "customers" in problem["candidates"]
    assert problem["instance"] == "/api/v1/queries/sql"
    assert problem["request_id"] == done.headers["x-request-id"]
    assert done.headers["content-type"] == "application/problem+json"
    failed = client.get(f"/queries/{problem['query_id']}").json()
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "sql-binding")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DROP TABLE customers", "sql-not-read-only"),
        ("COPY customers TO 'x.csv'", "sql-not-read-only"),
        ("ATTACH 'x.db'", "sql-not-read-only"),
        ("SET threads=1", "sql-not-read-only"),
        ("INSTALL httpfs", "sql-not-read-only"),
        ("PRAGMA version", "sql-not-read-only"),
        ("WITH x AS (DELETE FROM customers RETURNING *) SELECT * FROM x", "sql-not-read-only"),
        ("select 1; select 2", "sql-multiple"),
        ("SELEC 1", "sql-syntax"),
        (" ", "sql-empty"),
        ("-- nothing", "sql-empty"),
        ("SELECT CAST(name AS INTEGER) FROM customers", "sql-runtime"),
    ],
)
def test_refused_texts(client: Client, sales: SimpleNamespace, sql: str, code: str) -> None:
    done = client.sql(sql, group_id=sales.group)
    assert (done.status_code, done.json()["code"]) == (400, code), done.text
    kept = client.sql("SELECT count(*) AS n FROM customers", group_id=sales.group)
    assert kept.json()["rows"] == [{"n": 4}]


def test_values(client: Client, sales: SimpleNamespace) -> None:
    sql = (
        "SELECT 9007199254740993::BIGINT AS big, 9007199254740991::BIGINT AS safe, "
        "12.50::DECIMAL(10,2) AS money, 0.12345678901234567890::DECIMAL(38,20) AS d, "
        "'NaN'::DOUBLE AS nan, '-Infinity'::DOUBLE AS inf, "
        "TIMESTAMPTZ '2024-02-29 12:00:00+02' AS tz, INTERVAL 90 MINUTE AS iv, "
        "'\\xAA'::BLOB AS b"
    )
    row = client.sql(sql, dataset_id=sales.orders).json()["rows"][0]
    assert row == {
        "big": "9007199254740993",
        "safe": 9007199254740991,
        "money": 12.5,
        "d": "0.12345678901234567890",
        "nan": "NaN",
        "inf": "-Infinity",
        "tz": "2024-02-29T10:00:00Z",
        "iv": "PT1H30M",
        "b": {"$base64": "qg=="},
    }
    text = client.sql(sql, dataset_id=sales.orders, numbers="string").json()["rows"][0]
    assert (text["safe"], text["money"]) == ("9007199254740991", "12.50")


def test_pivot(client: Client, sales: SimpleNamespace) -> None:
    sql = "PIVOT dataset ON product_id USING sum(amount) GROUP BY customer_id ORDER BY customer_id"
    answer = client.sql(sql, dataset_id=sales.orders, shape="arrays").json()
    assert [c["name"] for c in answer["columns"]] == ["customer_id", "100", "101", "102"]
    assert answer["rows"][0] == [1, 120.5, 79.5, None]
    assert answer["rows"][-1] == [None, None, 79.5, None]


def test_parameters(client: Client, sales: SimpleNamespace) -> None:
    sql = (
        "SELECT count(*) AS n FROM customers c JOIN orders o ON c.id=o.customer_id "
        "WHERE o.amount > $min"
    )
    for given in (100, {"type": "DECIMAL", "value": "100"}):
        done = client.sql(sql, group_id=sales.group, params={"min": given})
        assert done.json()["rows"] == [{"n": 2}], done.text
    for params in (None, {}, {"min": 1, "max": 2}, {"min": {"type": "DATE", "value": "x"}}):
        refused = client.sql(sql, group_id=sales.group, params=params)
        assert (refused.status_code, refused.json()["code"]) == (422, "parameters"), refused.text
        assert "min" in refused.json()["detail"] or "max" in refused.json()["detail"]


def test_profile(client: Client, sales: SimpleNamespace) -> None:
    found = client.get(f"/datasets/{sales.orders}/profile").json()
    by_name: dict[str, Any] = {c["name"]: c for c in found["columns"]}
    customer, amount = by_name["customer_id"], by_name["amount"]
    assert (customer["count"], customer["nulls"], customer["distinct"]) == (6, 1, 4)
    assert [float(customer[k]) for k in ("min", "max")] == [1, 9]
    figures = [float(amount[k]) for k in ("min", "max", "mean", "median")]
    assert figures == [15.25, 241, 109.375, 100]


def test_files_that_cannot_be_read(client: Client) -> None:
    empty = client.upload("empty.csv", "")
    assert (empty.status_code, empty.json()["code"]) == (422, "file-empty")
    ragged = client.upload("ragged.csv", "a,b\n1,2\n3\n4,5,6\n")
    assert (ragged.status_code, ragged.json()["code"]) == (422, "file-unreadable")
    assert "3" in str(ragged.json().get("lines")) + ragged.json()["detail"]
    latin = "name,city\nJosé,León\n".encode("latin-1")
    unreadable = client.upload("latin.csv", latin)
    assert unreadable.status_code == 422
    assert "2" in str(unreadable.json().get("lines")) + unreadable.json()["detail"]
    assert "encoding" in unreadable.json()["detail"]
    done = client.upload("latin.csv", latin, options={"encoding": "latin-1"})
    assert done.json()["status"] == "READY", done.text
    rows = client.get(f"/datasets/{done.json()['id']}/preview").json()["rows"]
    assert rows == [{"name": "José", "city": "León"}]
    unknown = client.upload(
        "picture.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(64))
    )
    assert (unknown.status_code, unknown.json()["code"]) == (415, "unsupported-media-type")
    assert "CSV" in str(unknown.json()["valid"]).upper()


def test_a_late_odd_value_makes_text(client: Client) -> None:
    lines = "".join(f"{number},{number}\n" for number in range(1, 30_001))
    done = client.upload("late.csv", f"id,v\n{lines}30001,abc\n")
    made = done.json()
    assert (made["status"], made["row_count"]) == ("READY", 30_001), done.text
    columns = client.get(f"/datasets/{made['id']}/schema").json()["columns"]
    assert {c["name"]: c["type"] for c in columns} == {"id": "BIGINT", "v": "VARCHAR"}


def test_taking_a_dataset_out(client: Client, sales: SimpleNamespace) -> None:
    group = client.group("removals", {"orders": sales.orders})
    path = f"/dataset-groups/{group}/datasets/{sales.orders}"
    assert client.delete(path).status_code == 204
    again = client.delete(path)
    assert (again.status_code, again.json()["title"]) == (404, "Dataset not in group")
    assert client.get(f"/datasets/{sales.orders}").status_code == 200


def test_members_with_columns_and_rows(client: Client, sales: SimpleNamespace) -> None:
    schemas = client.get(f"/dataset-groups/{sales.group}/schemas").json()
    assert [s["alias"] for s in schemas] == ["customers", "orders", "products"]
    assert [c["name"] for c in schemas[2]["columns"]] == ["id", "product", "category"]
    preview = client.get(f"/dataset-groups/{sales.group}/preview", params={"limit": 1}).json()
    assert preview[0]["rows"] == [
        {"id": 1, "name": "Ada", "region": "North", "joined": "2024-01-15"}
    ]


def test_a_deleted_member(client: Client, sales: SimpleNamespace) -> None:
    dataset = client.dataset("gone.csv", PRODUCTS)
    group = client.group("with a deleted one", {"orders": sales.orders, "gone": dataset})
    assert client.delete(f"/datasets/{dataset}").status_code == 204
    assert client.delete(f"/datasets/{dataset}").status_code == 404
    found = client.get(f"/dataset-groups/{group}").json()
    assert found["dataset_count"] == 1
    fine = client.sql("SELECT count(*) AS n FROM orders", group_id=group)
    assert fine.json()["rows"] == [{"n": 6}], fine.text
    refused = client.sql("SELECT count(*) AS n FROM gone", group_id=group)
    assert (refused.status_code, refused.json()["code"]) == (409, "dataset-not-ready")
    assert client.post(f"/datasets/{dataset}/restore").status_code == 200
    assert client.sql("SELECT count(*) AS n FROM gone", group_id=group).status_code == 200


def test_changes_are_conditional(client: Client, sales: SimpleNamespace) -> None:
    first = client.get(f"/dataset-groups/{sales.group}")
    etag = first.headers["etag"]
    done = client.patch(
        f"/dataset-groups/{sales.group}", json={"description": "a"}, headers={"If-Match": etag}
    )
    assert done.json()["description"] == "a"
    stale = client.patch(
        f"/dataset-groups/{sales.group}", json={"description": "b"}, headers={"If-Match": etag}
    )
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert stale.headers["etag"] == done.headers["etag"]
    removed = client.patch(f"/dataset-groups/{sales.group}", json={"description": None})
    assert removed.json()["description"] is None


def test_lists_are_paged(client: Client) -> None:
    for number in range(3):
        client.group(f"paged {number}", {})
    first = client.get("/dataset-groups", params={"q": "PAGED", "limit": 2})
    assert [g["name"] for g in first.json()] == ["paged 2", "paged 1"]
    assert first.headers["x-total-count"] == "3"
    second = client.get(first.links["next"]["url"])
    assert [g["name"] for g in second.json()] == ["paged 0"]
    assert "next" not in second.links


def test_a_new_version_of_a_file(client: Client) -> None:
    dataset = client.dataset("version.csv", PRODUCTS)
    done = client.put(f"/datasets/{dataset}/file", files={"file": ("v.csv", "id\n1\n")})
    assert done.status_code == 200, done.text
    assert (done.json()["dataset_version"], done.json()["row_count"]) == (2, 1)
    rows = client.sql("FROM dataset", dataset_id=dataset).json()["rows"]
    assert rows == [{"id": 1}]


def test_the_same_key_gives_the_same_answer(client: Client) -> None:
    key = {"Idempotency-Key": "upload-1"}
    files = {"file": ("once.csv", PRODUCTS.encode())}
    first = client.post("/datasets/upload", files=files, headers=key)
    second = client.post("/datasets/upload", files=files, headers=key)
    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    other = {"file": ("once.csv", b"id\n1\n")}
    refused = client.post("/datasets/upload", files=other, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (422, "key-reused")
    query = {"sql": "SELECT 1 AS one", "dataset_id": first.json()["id"]}
    ids = {
        client.post("/queries/sql", json=query, headers={"Idempotency-Key": "q"}).json()["query_id"]
        for _ in range(2)
    }
    assert len(ids) == 1
