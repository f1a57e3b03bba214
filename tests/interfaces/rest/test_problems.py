"""Problems that need a service with little of everything, and those that no test provokes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults import wait_until
from tests.interfaces.rest.running import CUSTOMERS, ORDERS, Client, Running, running
from tests.interfaces.rest.test_results import ENDLESS

from dovetail.interfaces.rest.problems import STATUSES

# What takes a fault of ours, or something that no test can have: an extension that is missing from
# the package, a language model that does not answer.
NOT_PROVOKED = {"internal", "extension-missing", "llm-unavailable", "busy"}


def problem(done: object) -> tuple[int, str]:
    return done.status_code, done.json()["code"]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("small") / "workspace"
    limits = {
        "running_per_user": 1,
        "queue": 1,
        "user_store_bytes": 3_000,
        "result_seconds": 0.2,
        "memory": "60MB",
        "temp_space": "1MB",
        "sql_characters": 500,
    }
    with running(folder, *[f"--limit={k}={v}" for k, v in limits.items()]) as service:
        yield service


@pytest.fixture(scope="module")
def asker(small: Running) -> Client:
    return small.client()


@pytest.fixture(scope="module")
def dataset(asker: Client) -> str:
    return asker.dataset("customers.csv", CUSTOMERS)


def test_results_expire(asker: Client, dataset: str) -> None:
    run = asker.sql("SELECT 1 AS x", dataset_id=dataset).json()["query_id"]

    def expired() -> bool:
        return asker.get(f"/queries/{run}/rows").status_code != 200

    wait_until(expired, "the result did not expire")
    found = asker.get(f"/queries/{run}/rows")
    assert problem(found) == (410, "result-expired")
    assert found.json()["sql"] == "SELECT 1 AS x"
    assert problem(asker.get(f"/queries/{run}/result")) == (410, "result-expired")


def test_queries_queue_and_are_cancelled(small: Running, asker: Client, dataset: str) -> None:
    answers = []

    def ask() -> None:
        answers.append(small.client().sql(ENDLESS, dataset_id=dataset))

    asking = threading.Thread(target=ask)
    asking.start()
    running_now = {"status": "RUNNING"}
    wait_until(lambda: bool(asker.get("/queries", params=running_now).json()), "it did not start")
    queued = asker.sql("SELECT 1 AS x", dataset_id=dataset, mode="async")
    assert queued.status_code == 202, queued.text
    refused = asker.sql("SELECT 1", dataset_id=dataset)
    assert problem(refused) == (429, "queue-full")
    assert int(refused.headers["retry-after"]) > 0
    run = asker.get("/queries", params=running_now).json()[0]["query_id"]
    assert asker.post(f"/queries/{run}/cancel").status_code == 202
    asking.join()
    assert problem(answers[0]) == (409, "query-cancelled")
    assert answers[0].json()["query_id"] == run
    assert asker.wait(queued.json()["query_id"])["status"] == "SUCCESS"


def test_memory_is_capped_and_the_service_lives_on(asker: Client, dataset: str) -> None:
    greedy = "SELECT list(i ORDER BY hash(i)) FROM range(20000000) t(i)"
    done = asker.sql(greedy, dataset_id=dataset)
    assert problem(done) == (503, "resources-exhausted"), done.text
    assert asker.sql("SELECT 1 AS x", dataset_id=dataset).status_code == 200


def test_a_store_is_full(asker: Client, dataset: str) -> None:
    rows = "".join(f"{i},{i * 7919 % 10007},{i * 104729 % 1299709}\n" for i in range(2_000))
    assert problem(asker.upload("more.csv", f"a,b,c\n{rows}")) == (409, "store-full")


def test_a_password_is_not_kept_in_clear(asker: Client) -> None:
    plain = {"name": "c", "kind": "postgres", "settings": {"host": "h"}, "password": "in clear"}
    without_key = asker.post("/connections", json=plain)
    assert problem(without_key) == (422, "validation")
    assert "DOVETAIL_SECRET_KEY" in without_key.json()["detail"]
    assert "in clear" not in without_key.text


def test_long_texts(asker: Client, dataset: str) -> None:
    done = asker.sql("SELECT 1 --" + "x" * 600, dataset_id=dataset)
    assert problem(done) == (422, "validation")


def test_groups_without_datasets(client: Client) -> None:
    group = client.group("empty", {})
    assert problem(client.sql("SELECT 1", group_id=group)) == (409, "group-empty")
    client.post("/dataset-groups", json={"name": "Twice"})
    assert problem(client.post("/dataset-groups", json={"name": "twice"})) == (409, "name-taken")


def test_connections_that_are_wrong_or_in_use(client: Client, tmp_path: Path) -> None:
    import sqlite3

    kind = client.post("/connections", json={"name": "c", "kind": "oracle"})
    assert problem(kind) == (422, "validation")
    assert "postgres" in kind.json()["valid"]
    neither = client.post("/connections", json={"name": "c"})
    assert neither.json()["errors"][0]["loc"] == "kind"
    setting = {"name": "c", "kind": "sqlite", "settings": {"pfad": "x"}}
    assert client.post("/connections", json=setting).status_code == 422
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (id INTEGER)")
        database.execute("INSERT INTO t VALUES (1)")
    body = {"name": "used", "kind": "sqlite", "settings": {"path": str(path)}}
    made = client.post("/connections", json=body).json()
    table = client.post("/datasets", json={"source": "used", "table": "t", "name": "live t"}).json()
    refused = client.delete(f"/connections/{made['id']}")
    assert problem(refused) == (409, "in-use")
    assert "live t" in refused.text
    path.write_bytes(b"this is no database any more")
    gone = client.sql("SELECT * FROM dataset", dataset_id=table["id"])
    assert gone.status_code == 502, gone.text
    assert gone.json()["code"] in ("source-query", "source-unavailable")
    assert client.delete(f"/connections/{made['id']}", params={"force": True}).status_code == 204
    assert client.get(f"/datasets/{table['id']}").json()["status"] == "FAILED"


def test_what_cannot_be_done_is_said(client: Client) -> None:
    orders = client.dataset("orders.csv", ORDERS)
    run = client.sql("SELECT INTERVAL 1 DAY AS i", dataset_id=orders).json()["query_id"]
    done = client.get(f"/queries/{run}/result", params={"format": "parquet"})
    assert problem(done) == (400, "sql-not-supported")
    assert "CAST" in done.json()["detail"]


def test_a_secret_that_is_not_there(client: Client) -> None:
    body = {
        "name": "no_secret",
        "kind": "postgres",
        "settings": {"host": "127.0.0.1", "database": "d", "password": "${env:DOVETAIL_NO_SUCH}"},
    }
    made = client.post("/connections", json=body)
    assert made.status_code == 201, made.text
    query = {"query": "SELECT * FROM no_secret.t", "connection_ids": ["no_secret"]}
    done = client.post("/cross-database/query", json=query)
    assert problem(done) == (422, "configuration")
    assert "DOVETAIL_NO_SUCH" in done.json()["detail"]


def test_every_code_is_provoked_by_a_test() -> None:
    here = Path(__file__).parent
    texts = "\n".join(p.read_text() for p in here.glob("test_*.py") if p.name != "test_problems.py")
    own = Path(__file__).read_text().partition("NOT_PROVOKED = ")[2].partition("\n")[2]
    missing = {code for code in STATUSES if f'"{code}"' not in texts + own}
    assert missing == NOT_PROVOKED
