"""What holds for every path: ids, times, errors, headers, documents that need no other host."""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.faults import wait_until
from tests.interfaces.conftest import PROGRAM, environment
from tests.interfaces.rest.running import Client, Running, running, start

from dovetail.interfaces.rest.explanations import EXPLANATIONS
from dovetail.interfaces.rest.problems import STATUSES, TITLES
from dovetail.interfaces.rest.serve import bind
from dovetail.interfaces.rest.settings import ServiceSettings
from dovetail.workspace.problems import CODES


def test_every_code_has_status_title_and_explanation() -> None:
    assert set(CODES) <= set(STATUSES)
    assert set(STATUSES) == set(TITLES) == set(EXPLANATIONS)


def test_problems_are_explained(client: Client) -> None:
    found = client.get("/problems/alias-reserved").json()
    assert (found["status"], found["code"]) == (422, "alias-reserved")
    assert client.get("/problems/none").status_code == 404


def test_small_answers_are_not_held_back() -> None:
    with bind(ServiceSettings(port=0)) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            connection, _ = listener.accept()
            # What asyncio goes by when it turns Nagle's algorithm off.
            assert connection.proto == socket.IPPROTO_TCP
            connection.close()


def test_request_ids(client: Client, local: Running) -> None:
    given = client.get("/health", headers={"X-Request-Id": "abc.DEF_1-2"})
    assert given.headers["x-request-id"] == "abc.DEF_1-2"
    for bad in ("", "a b", "x" * 65, "a/b"):
        made = client.get("/health", headers={"X-Request-Id": bad}).headers["x-request-id"]
        assert uuid.UUID(made)
    missing = client.get("/datasets/nope", headers={"X-Request-Id": "traced-1"})
    assert missing.json()["request_id"] == "traced-1"

    def traced() -> list[dict[str, Any]]:
        return [line for line in local.log_lines() if line.get("request_id") == "traced-1"]

    # The line is written when the answer is on its way.
    wait_until(lambda: bool(traced()), "no line in the log", 10)
    assert (traced()[-1]["status"], traced()[-1]["path"]) == (404, "/api/v1/datasets/nope")


def test_unknown_objects(client: Client) -> None:
    for path in ("/datasets/", "/dataset-groups/", "/connections/", "/queries/", "/saved-queries/"):
        for object_id in ("nope", str(uuid.uuid4()), "%00", "..%2f..", "x" * 300):
            done = client.get(path + object_id)
            assert (done.status_code, done.json()["code"]) == (404, "not-found"), path + object_id
    dataset = client.get(f"/datasets/{uuid.uuid4()}").json()
    assert dataset["title"] == "Dataset not found"
    group = client.get(f"/dataset-groups/{uuid.uuid4()}").json()
    assert group["title"] == "Dataset group not found"


def test_bodies_are_strict(client: Client) -> None:
    def post(content: bytes, type_: str = "application/json") -> tuple[int, str]:
        done = client.post("/dataset-groups", content=content, headers={"Content-Type": type_})
        return done.status_code, done.json()["code"]

    assert post(b'{"name": "x"') == (400, "json-malformed")
    assert post(b'{"name": "x", "extra": 1}') == (422, "validation")
    assert post(b'{"name": 1}') == (422, "validation")
    assert post(b'{"name": "x"}', "text/plain") == (415, "unsupported-media-type")
    form = "multipart/form-data; boundary=x"
    assert post(b"--x--", form) == (415, "unsupported-media-type")
    assert post(b"x" * 2_000_000, form) == (413, "too-large")
    assert post(b"[" * 100_000)[0] in (400, 422)
    assert post(b'"\xff"')[0] in (400, 422)
    wrong = client.put("/datasets")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert set(wrong.headers["allow"].split(", ")) >= {"GET"}
    query = client.get("/datasets", params={"limit": 0})
    assert query.json()["errors"][0]["loc"] == "limit"


def test_headers(client: Client) -> None:
    for path in ("/health", "/datasets", "/docs", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert "server" not in headers


def test_times(client: Client) -> None:
    made = client.post("/dataset-groups", json={"name": "times"}).json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created_at"])


def test_documents_need_no_other_host(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"(?:https?:)?//\w", page.text) == []
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 4
    for path in files:
        assert client.get(path).status_code == 200, path
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")


def test_health_and_metrics(client: Client, local: Running) -> None:
    anyone = local.client(None)
    for path in ("/health", "/health/live"):
        assert anyone.get(path).json() == {"status": "ok"}
    ready = anyone.get("/health/ready")
    assert ready.status_code == 200, ready.text
    assert set(ready.json()["checks"]) >= {"workspace", "migrations", "engine", "result_store"}
    dataset = client.dataset("m.csv", "secretname\n1\n")
    client.sql("SELECT secretname FROM dataset", dataset_id=dataset)
    text = anyone.get("/metrics").text
    assert 'dovetail_requests_total{method="POST",route="/api/v1/queries/sql",status="200"}' in text
    assert 'dovetail_queries_total{status="SUCCESS"}' in text
    assert "dovetail_running" in text
    assert "secretname" not in text


def test_a_base_path(tmp_path: Path) -> None:
    with running(tmp_path / "workspace", "--base-path=/dovetail") as service:
        client = service.client()
        url = service.url
        assert url.endswith("/dovetail")
        made = client.post(f"{url}/api/v1/dataset-groups", json={"name": "x"})
        assert made.status_code == 201, made.text
        assert made.headers["location"].startswith("/dovetail/api/v1/dataset-groups/")
        document = client.get(f"{url}/openapi.json").json()
        assert document["servers"] == [{"url": "/dovetail"}]
        assert "/dovetail/docs/start.js" in client.get(f"{url}/docs").text


def test_literals_stay_out_of_the_log(client: Client, local: Running) -> None:
    dataset = client.dataset("l.csv", "a\n1\n")
    client.sql("SELECT 'a private literal' AS x", dataset_id=dataset)
    client.sql("SELECT 'a private literal' + 1 FROM nowhere", dataset_id=dataset)
    text = local.log.read_text()
    assert "a private literal" not in text
    assert (local.token or "-") not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--auth=none", "--host=0.0.0.0"], "--auth users"),
        (["--auth=token", "--host=0.0.0.0"], "--auth users"),
        (["--auth=maybe"], "token, none, users"),
        (["--cors-origin=*"], "list origins"),
        (["--workers=2"], "--store postgresql://"),
        (["--limit=runing=1"], "running"),
        (["--limit=running=many"], "a number"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, arguments: list[str], words: str) -> None:
    import subprocess

    done = subprocess.run(
        [str(PROGRAM), "serve", "--port=0", f"--workspace={tmp_path / 'w'}", *arguments],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.startswith("error: ")


def test_a_port_that_is_taken(local: Running, tmp_path: Path) -> None:
    port = local.url.rpartition(":")[2]
    with pytest.raises(RuntimeError, match=r"ended with 2.*--port 0"):
        start(tmp_path / "w", f"--port={port}")


def test_cross_origin(tmp_path: Path) -> None:
    origin = "https://workbench.example"
    with running(tmp_path / "w", f"--cors-origin={origin}") as service:
        client = service.client()
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        allowed = client.options("/datasets", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == origin
        other = client.options("/datasets", headers={**asked, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
