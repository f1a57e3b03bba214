"""kill -9 while something is half done: after a restart nothing half-written is seen."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.databases import Database
from tests.faults import wait_until
from tests.interfaces.conftest import PROGRAM, environment
from tests.interfaces.rest.running import (
    CUSTOMERS,
    Client,
    Running,
    make_admin,
    running,
    start,
)
from tests.interfaces.rest.test_results import ENDLESS
from tests.servers import Server

from dovetail.workspace import Workspace, WorkspaceSettings


def files_below(folder: Path) -> set[str]:
    """Every file of a workspace but those of the store itself, its locks and the token."""
    kept = ("workspace.db", "token")
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(kept) and "workers" not in path.parts
    }


def test_during_an_upload(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    service = start(folder)
    client = service.client()
    dataset = client.dataset("customers.csv", CUSTOMERS)
    before = files_below(folder)
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(
            (
                "POST /api/v1/datasets/upload HTTP/1.1\r\n"
                f"Host: {host}:{port}\r\n"
                f"Authorization: Bearer {service.token}\r\n"
                "Content-Type: multipart/form-data; boundary=xyz\r\n"
                "Content-Length: 100000000\r\n\r\n"
                '--xyz\r\nContent-Disposition: form-data; name="file"; filename="half.csv"\r\n\r\n'
                "a,b\r\n"
            ).encode()
        )
        half.sendall(b"1,2\r\n" * 1_000_000)
        wait_until(lambda: files_below(folder) != before, "it did not come to that")
        service.kill()
    with running(folder) as again:
        client = again.client()
        assert [item["id"] for item in client.get("/datasets").json()] == [dataset]
        assert files_below(folder) == before
        rows = client.sql("SELECT count(*) AS n FROM dataset", dataset_id=dataset).json()["rows"]
        assert rows == [{"n": 4}]


def test_during_a_query(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    service = start(folder)
    client = service.client()
    dataset = client.dataset("customers.csv", CUSTOMERS)
    done = client.sql("SELECT 1 AS x", dataset_id=dataset).json()["query_id"]
    running_id = client.sql(ENDLESS, dataset_id=dataset, mode="async").json()["query_id"]
    waiting = threading.Thread(target=hang, args=(service.client(), dataset))
    waiting.start()
    wait_until(
        lambda: len(client.get("/queries", params={"status": "RUNNING"}).json()) == 2,
        "it did not come to that",
    )
    service.kill()
    waiting.join()
    with running(folder) as again:
        client = again.client()
        killed = client.get("/queries", params={"q": "range(1000000000)"}).json()
        assert {run["status"] for run in killed} == {"FAILED"}
        assert {run["error"]["code"] for run in killed} <= {"interrupted", "worker-lost"}
        assert running_id in {run["query_id"] for run in killed}
        assert client.get(f"/queries/{done}/rows").json()["rows"] == [{"x": 1}]
        assert client.sql("SELECT 2 AS x", dataset_id=dataset).json()["rows"] == [{"x": 2}]
        results = {name for name in files_below(folder) if name.startswith("results")}
        assert all(running_id not in name for name in results)
        # What the dead process had there is gone; the folder is the living one's.
        assert len(list((folder / "temporary").iterdir())) == 1


def hang(client: Client, dataset: str) -> None:
    import httpx

    with pytest.raises(httpx.TransportError):
        client.sql(ENDLESS, dataset_id=dataset)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_during_a_migration(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    """Killed at any stage of an upgrade, the store is whole: the next opening makes it new."""
    for number, pause in enumerate((0.02, 0.1, 0.3)):
        url = None
        if store == "postgres":
            new_database = request.getfixturevalue("new_database")
            url = store_url(new_database(request.getfixturevalue("postgres_server")))
        folder = tmp_path / f"workspace{number}"
        process = subprocess.Popen(
            [sys.executable, "-c", UPGRADE, str(folder), url or ""], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            process.kill()
            process.wait()
        with Workspace.open(WorkspaceSettings(folder, url=url)) as workspace:
            actor = workspace.users.local_actor()
            assert workspace.groups.list(actor).items == ()
            workspace.groups.create(actor, "after")
            assert workspace.readiness().checks["migrations"]["status"] == "ok"


UPGRADE = """
import sys
from pathlib import Path
from typing import Any
from dovetail.workspace import Workspace, WorkspaceSettings

print("go", flush=True)
Workspace.open(WorkspaceSettings(Path(sys.argv[1]), url=sys.argv[2] or None)).close()
"""


def store_url(database: Database) -> str:
    """The URL of a store that the service may fill."""
    from urllib.parse import quote

    server = database.server
    user, password = quote(server.admin_user, safe=""), quote(server.admin_password, safe="")
    return f"postgresql://{user}:{password}@{server.host}:{server.port}/{database.name}"


def test_an_old_store_is_not_upgraded_behind_the_back(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    make_admin(folder)
    downgraded = subprocess.run(
        [str(PROGRAM), "db", "downgrade", "base", f"--workspace={folder}"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert downgraded.returncode == 0, downgraded.stderr
    with pytest.raises(RuntimeError, match=r"ended with 3: .*dovetail db upgrade"):
        start(folder, "--auth=users")
    with running(folder, "--auth=users", "--migrate") as service:
        assert service.client(None).get("/health/ready").status_code == 200


def test_stopping_waits_for_what_runs(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    service = start(folder)
    client = service.client()
    dataset = client.dataset("customers.csv", CUSTOMERS)
    answers: list[int] = []
    slow = "SELECT count(*) AS n FROM range(400000000) t(i) WHERE i % 7 = 3"

    def ask() -> None:
        answers.append(service.client().sql(slow, dataset_id=dataset).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(
        lambda: bool(client.get("/queries", params={"status": "RUNNING"}).json()),
        "it did not come to that",
    )
    os.kill(service.process.pid, signal.SIGTERM)
    assert service.process.wait(timeout=60) == 0
    asking.join()
    assert service.stop() == 0
    assert answers == [200]


def test_several_workers(
    tmp_path: Path, postgres_server: Server, new_database: Callable[[Server], Database]
) -> None:
    """Any worker answers for any query; a killed one is replaced and its query has failed."""
    url = store_url(new_database(postgres_server))
    folder = tmp_path / "workspace"
    flags = ["--workers=2", f"--store={url}"]
    with running(folder, *flags) as service:
        client = service.client()
        dataset = client.dataset("customers.csv", CUSTOMERS)
        run = client.sql(
            "SELECT i FROM range(5000) t(i)", dataset_id=dataset, mode="async", apply_limit=False
        ).json()["query_id"]
        assert client.wait(run)["status"] == "SUCCESS"
        seen: set[int] = set()

        def page(offset: int) -> int:
            with Client(service.url, service.token) as other:  # a connection of its own
                rows = other.get(f"/queries/{run}/rows", params={"offset": offset, "limit": 1})
            assert rows.json()["rows"] == [{"i": offset}]
            return worker_of(service, rows.headers["x-request-id"])

        def both() -> bool:
            with ThreadPoolExecutor(8) as pool:
                seen.update(pool.map(page, range(8)))
            return len(seen) == 2

        wait_until(both, "one worker answers everything", 60)
        endless = client.sql(ENDLESS, dataset_id=dataset, mode="async").json()["query_id"]
        with Client(service.url, service.token) as other:
            assert other.post(f"/queries/{endless}/cancel").status_code == 202
        assert client.wait(endless)["status"] == "CANCELLED"


def worker_of(service: Running, request_id: str) -> int:
    def lines() -> list[dict[str, Any]]:
        return [line for line in service.log_lines() if line.get("request_id") == request_id]

    # The line is written when the answer has gone out.
    wait_until(lambda: bool(lines()), "no line in the log")
    return int(lines()[-1]["process"])
