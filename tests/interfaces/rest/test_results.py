"""Asynchronous queries, stored results, downloads, history (A30–A32 and their surroundings)."""

from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.interfaces.rest.running import CUSTOMERS, JOINED, ORDERS, Client, Running

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range*b.range)%7=3"


@pytest.fixture(scope="module")
def sales(client: Client) -> SimpleNamespace:
    customers = client.dataset("customers.csv", CUSTOMERS)
    orders = client.dataset("orders.csv", ORDERS)
    group = client.group("sales", {"customers": customers, "orders": orders})
    return SimpleNamespace(customers=customers, orders=orders, group=group)


def test_cancel(client: Client, sales: SimpleNamespace) -> None:
    done = client.sql(ENDLESS, dataset_id=sales.orders, mode="async")
    assert done.status_code == 202, done.text
    run = done.json()["query_id"]
    assert done.headers["location"] == f"/api/v1/queries/{run}"
    started = time.monotonic()
    cancelled = client.post(f"/queries/{run}/cancel")
    assert cancelled.status_code == 202, cancelled.text
    assert client.wait(run)["status"] == "CANCELLED"
    assert time.monotonic() - started < 2
    again = client.post(f"/queries/{run}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "query-finished")
    assert client.sql("SELECT 1 AS one", dataset_id=sales.orders).json()["rows"] == [{"one": 1}]
    missing = client.get(f"/queries/{run}/rows")
    assert (missing.status_code, missing.json()["code"]) == (409, "result-missing")


def test_pages(client: Client, sales: SimpleNamespace) -> None:
    started = client.post(
        "/queries/sql",
        json={
            "sql": "SELECT i AS id, i*2 AS twice FROM range(120000) t(i)",
            "dataset_id": sales.orders,
            "apply_limit": False,
        },
        headers={"Prefer": "respond-async"},
    )
    run = started.json()["query_id"]
    assert client.wait(run)["status"] == "SUCCESS"
    page = client.get(f"/queries/{run}/rows", params={"offset": 119_998}).json()
    assert page["total_rows"] == 120_000
    assert page["rows"] == [
        {"id": 119_998, "twice": 239_996},
        {"id": 119_999, "twice": 239_998},
    ]
    sorted_ = client.get(
        f"/queries/{run}/rows",
        params={"sort": "-id", "filter": '{"twice": {"lt": 10}}', "limit": 2, "shape": "arrays"},
    ).json()
    assert (sorted_["rows"], sorted_["total_rows"]) == ([[4, 8], [3, 6]], 5)
    arrow = client.get(
        f"/queries/{run}/rows",
        params={"limit": 3},
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )
    assert pa.ipc.open_stream(arrow.content).read_all().to_pydict()["twice"] == [0, 2, 4]
    profile = client.get(f"/queries/{run}/profile").json()
    assert profile["columns"][0]["count"] == 120_000
    for bad in ({"filter": "["}, {"filter": '{"nope": {"eq": 1}}'}, {"sort": "nope"}):
        refused = client.get(f"/queries/{run}/rows", params=bad)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation"), bad


def test_events(client: Client, sales: SimpleNamespace) -> None:
    run = client.sql("SELECT 1 AS x", dataset_id=sales.orders, mode="async").json()["query_id"]
    with client.stream("GET", f"/queries/{run}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1].removeprefix("data: "))["status"] == "SUCCESS"


def test_downloads(client: Client, sales: SimpleNamespace) -> None:
    run = client.sql(JOINED, group_id=sales.group).json()["query_id"]
    csv = client.get(f"/queries/{run}/result", params={"format": "csv", "name": "Umsätze 1"})
    assert csv.text == "name,total\nAda,200.0\nBen,241.0\nCleo,15.25\n"
    assert csv.headers["content-length"] == str(len(csv.content))
    assert "filename*=UTF-8''Ums%C3%A4tze%201.csv" in csv.headers["content-disposition"]
    parquet = client.get(f"/queries/{run}/result", params={"format": "parquet"})
    assert pq.read_table(io.BytesIO(parquet.content)).to_pydict()["name"] == ["Ada", "Ben", "Cleo"]
    arrow = client.get(f"/queries/{run}/result", params={"format": "arrow"})
    assert pa.ipc.open_stream(arrow.content).read_all().num_rows == 3
    book = client.get(f"/queries/{run}/result", params={"format": "xlsx"})
    assert book.content[:2] == b"PK"
    names = client.sql("SELECT name, region FROM dataset", dataset_id=sales.customers)
    lines = client.get(
        f"/queries/{names.json()['query_id']}/result", params={"format": "jsonl"}
    ).text.splitlines()
    assert (len(lines), lines[-1]) == (4, '{"name":"Dan","region":null}')
    formula = client.sql("SELECT '=1+1' AS f, -1 AS n", dataset_id=sales.orders).json()["query_id"]
    for escape, expected in ((False, "f,n\n=1+1,-1\n"), (True, "f,n\n'=1+1,-1\n")):
        got = client.get(f"/queries/{formula}/result", params={"escape_formulas": escape})
        assert got.text == expected
    with_bom = client.get(f"/queries/{formula}/result", params={"bom": True})
    assert with_bom.content.startswith(b"\xef\xbb\xbf")


def test_a_result_becomes_a_dataset(client: Client, sales: SimpleNamespace) -> None:
    run = client.sql(JOINED, group_id=sales.group).json()["query_id"]
    kept = client.post(f"/queries/{run}/dataset", json={"name": "Totals"})
    assert (kept.status_code, kept.json()["row_count"]) == (201, 3), kept.text
    rows = client.sql("SELECT max(total) AS m FROM dataset", dataset_id=kept.json()["id"]).json()
    assert rows["rows"] == [{"m": 241.0}]


def test_history_and_figures(client: Client, sales: SimpleNamespace) -> None:
    marked = client.sql("SELECT 'needle' AS x", dataset_id=sales.orders).json()["query_id"]
    client.sql("SELECT nothing FROM nowhere", dataset_id=sales.orders)
    found = client.get("/queries", params={"q": "needle"})
    assert [run["query_id"] for run in found.json()] == [marked]
    item = found.json()[0]
    assert (item["status"], item["origin"], item["row_count"]) == ("SUCCESS", "typed", 1)
    assert item["target"]["dataset_id"] == sales.orders
    failed = client.get("/queries", params={"status": "FAILED", "limit": 1}).json()
    assert failed[0]["error"]["code"] == "sql-binding"
    assert client.patch(f"/queries/{marked}", json={"favourite": True}).json()["favourite"] is True
    favourites = client.get("/queries", params={"favourite": True}).json()
    assert [run["query_id"] for run in favourites] == [marked]
    stats = client.get("/stats/queries", params={"by": "day"}).json()
    assert stats["overall"]["count"] >= 2
    assert stats["overall"]["failed"] >= 1
    assert stats["slowest"]
    assert client.delete(f"/queries/{marked}").status_code == 204
    assert client.get(f"/queries/{marked}").status_code == 404


def test_a_client_that_hangs_up(client: Client, local: Running, sales: SimpleNamespace) -> None:
    import httpx

    with pytest.raises(httpx.ReadTimeout):
        local.client(timeout=1.0).sql(ENDLESS, dataset_id=sales.orders)
    run = client.get("/queries", params={"limit": 1}).json()[0]
    assert run["sql"] == ENDLESS
    assert client.wait(run["query_id"])["status"] == "CANCELLED"


def test_a_time_limit(client: Client, sales: SimpleNamespace) -> None:
    started = time.monotonic()
    done = client.sql(ENDLESS, dataset_id=sales.orders, timeout_secs=1)
    assert (done.status_code, done.json()["code"]) == (504, "query-timeout"), done.text
    assert time.monotonic() - started < 3


def test_looking_at_a_text(client: Client, sales: SimpleNamespace) -> None:
    plan = client.post("/queries/explain", json={"sql": JOINED, "group_id": sales.group}).json()
    assert plan["plan"]["fragments"]
    assert "Fragment" in plan["text"]
    wrong = {"sql": "SELECT nme FROM customers", "group_id": sales.group}
    found = client.post("/queries/validate", json=wrong).json()
    assert found["valid"] is False
    diagnostic = found["diagnostics"][0]
    assert (diagnostic["line"], diagnostic["column"], diagnostic["suggestion"]) == (1, 8, "name")
    right = {"sql": "SELECT name FROM customers", "group_id": sales.group}
    assert client.post("/queries/validate", json=right).json()["columns"][0]["name"] == "name"
    made = client.post("/queries/format", json={"sql": "select 1,2 from t where x=1"}).json()
    assert made["sql"] == "SELECT\n  1,\n  2\nFROM t\nWHERE\n  x = 1"
    kept = client.post("/queries/format", json={"sql": "not sql at all ((("}).json()
    assert kept == {"sql": "not sql at all (((", "changed": False}


def test_a_question(client: Client, sales: SimpleNamespace) -> None:
    asked = {"query": "Show total sales by customer name", "group_id": sales.group}
    done = client.post("/queries/nl", json=asked)
    assert (done.status_code, done.json()["code"]) == (503, "llm-not-configured")
    assert done.json()["title"] == "Failed to generate SQL"
    assert "llm.kind" in done.json()["detail"]
    assert client.post("/queries/nl", json={"query": "x"}).json()["code"] == "target-missing"


def test_saved_queries(client: Client, sales: SimpleNamespace) -> None:
    made = client.post(
        "/saved-queries",
        json={
            "name": "Large orders",
            "text": "SELECT count(*) AS n FROM orders WHERE amount > $min",
            "target": {"group_id": sales.group},
            "params": [{"name": "min", "type": "DOUBLE", "default": 100}],
            "tags": ["sales"],
        },
    )
    assert made.status_code == 201, made.text
    path = f"/saved-queries/{made.json()['id']}"
    assert client.post(f"{path}/run", json={}).json()["rows"] == [{"n": 3}]
    ran = client.post(f"{path}/run", json={"params": {"min": 200}})
    assert ran.json()["rows"] == [{"n": 1}], ran.text
    changed = client.patch(path, json={"text": "SELECT 1 AS n FROM orders", "params": []})
    assert changed.json()["version"] == 2
    assert [v["version"] for v in client.get(f"{path}/versions").json()][-1] == 1
    back = client.post(f"{path}/versions/1/restore")
    assert back.json()["text"] == made.json()["text"]
    assert [s["name"] for s in client.get("/saved-queries", params={"tag": "sales"}).json()] == [
        "Large orders"
    ]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
