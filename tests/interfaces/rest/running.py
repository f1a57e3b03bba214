"""A real service in a process of its own, and a client for it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.faults import wait_until
from tests.interfaces.conftest import PROGRAM, environment

API = "/api/v1"
ADMIN = ("admin", "correct horse battery")
_UNLIMITED = "--limit=requests_per_minute=1000000"

CUSTOMERS = """\
id,name,region,joined
1,Ada,North,2024-01-15
2,Ben,South,2024-02-20
3,Cleo,North,2024-03-05
4,Dan,,2024-03-09
"""
ORDERS = """\
id,customer_id,product_id,amount,ordered_at
10,1,100,120.50,2024-04-01
11,1,101,79.50,2024-04-03
12,2,100,241.00,2024-04-03
13,3,102,15.25,2024-05-11
14,,101,79.50,2024-05-12
15,9,100,120.50,2024-06-01
"""
PRODUCTS = """\
id,product,category
100,Lamp,Home
101,Chair,Office
102,Pen,Office
"""
JOINED = (
    "SELECT c.name, SUM(o.amount) as total FROM customers c JOIN orders o "
    "ON c.id = o.customer_id GROUP BY c.name ORDER BY c.name"
)
JOINED_ROWS = [
    {"name": "Ada", "total": 200.0},
    {"name": "Ben", "total": 241.0},
    {"name": "Cleo", "total": 15.25},
]


class Client(httpx.Client):
    """Speaks to one service as one user; paths are below ``/api/v1`` unless they say more."""

    def __init__(self, url: str, token: str | None = None, **more: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(**{"base_url": url, "headers": headers, "timeout": 60, **more})
        self.token = token

    def _merge_url(self, url: Any) -> httpx.URL:
        text = str(url)
        known = ("/api/", "/health", "/metrics", "/docs", "/openapi", "/problems", "http")
        return super()._merge_url(text if text.startswith(known) else f"{API}{text}")

    def upload(self, name: str, content: str | bytes, /, **fields: Any) -> httpx.Response:
        """Upload a file; ``options`` may be a dict."""
        data = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in fields.items()}
        body = content.encode() if isinstance(content, str) else content
        done = self.post("/datasets/upload", files={"file": (name, body)}, data=data)
        return self._settled(done) if done.status_code == 201 else done

    def _settled(self, done: httpx.Response) -> httpx.Response:
        """The same answer with the dataset as it is once it is read, also on a busy machine."""
        if done.json()["status"] != "PROCESSING":
            return done
        path = f"/datasets/{done.json()['id']}"
        wait_until(lambda: self.get(path).json()["status"] != "PROCESSING", "still read", 120)
        content = self.get(path).content
        headers = {"location": done.headers["location"]}
        return httpx.Response(201, headers=headers, content=content, request=done.request)

    def dataset(self, name: str, content: str | bytes) -> str:
        """Upload a file that is fine; its id."""
        done = self.upload(name, content)
        assert done.status_code == 201, done.text
        assert done.json()["status"] == "READY", done.text
        return str(done.json()["id"])

    def group(self, name: str, members: Mapping[str, str]) -> str:
        """A group of datasets by alias; its id."""
        made = self.post("/dataset-groups/", json={"name": name})
        assert made.status_code == 201, made.text
        for alias, dataset_id in members.items():
            added = self.post(
                f"/dataset-groups/{made.json()['id']}/datasets",
                json={"dataset_id": dataset_id, "alias": alias},
            )
            assert added.status_code == 201, added.text
        return str(made.json()["id"])

    def sql(self, sql: str, **target: Any) -> httpx.Response:
        """Run SQL."""
        params = {k: target.pop(k) for k in ("shape", "numbers") if k in target}
        return self.post("/queries/sql", json={"sql": sql, **target}, params=params)

    def wait(self, query_id: str) -> dict[str, Any]:
        """A run once it has finished."""
        found = self.get(f"/queries/{query_id}", params={"wait": 30})
        assert found.status_code == 200, found.text
        assert found.json()["status"] not in ("PENDING", "RUNNING"), found.text
        return dict(found.json())


@dataclass
class Running:
    """A service that runs."""

    process: subprocess.Popen[str]
    url: str
    token: str | None
    folder: Path
    log: Path
    clients: list[Client] = field(default_factory=list)

    def client(self, token: str | None = "own", **more: Any) -> Client:
        """A client with the local token, another one, or None."""
        made = Client(self.url, self.token if token == "own" else token, **more)
        self.clients.append(made)
        return made

    def login(self, name: str, password: str) -> Client:
        """A client as a user."""
        done = self.client(None).post("/auth/login", json={"name": name, "password": password})
        assert done.status_code == 200, done.text
        return self.client(done.json()["token"])

    def kill(self) -> None:
        """As the kernel does when memory is out: no chance to clean up."""
        self.process.send_signal(signal.SIGKILL)
        self._finish()

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._finish()

    def _finish(self) -> int:
        for client in self.clients:
            client.close()
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def log_lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def start(folder: Path, *arguments: str, config: Path | None = None, **extra: str) -> Running:
    """Start ``dovetail serve`` on a free port over the workspace in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    configured = ["--config", str(config)] if config else []
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [
                str(PROGRAM),
                "serve",
                "--port=0",
                f"--workspace={folder}",
                _UNLIMITED,
                *configured,
                *arguments,
            ],
            cwd=folder.parent,
            env=environment(folder, **extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    first = process.stdout.readline()
    found = re.search(r"http://\S+", first)
    if found is None:
        code = process.wait()
        process.stdout.close()
        raise RuntimeError(f"the service ended with {code}: {log.read_text()[-4000:]}")
    token = None
    if "--auth=users" not in arguments and "--auth=none" not in arguments:
        token = process.stdout.readline().partition("Token: ")[2].strip()
    return Running(process, found[0], token, folder, log)


@contextmanager
def running(folder: Path, *arguments: str, **more: Any) -> Iterator[Running]:
    """A service for a block."""
    service = start(folder, *arguments, **more)
    try:
        yield service
    finally:
        code = service.stop()
        traces = [line for line in service.log.read_text().splitlines() if "Traceback" in line]
        assert (code, traces) == (0, []), service.log.read_text()[-4000:]


def make_admin(folder: Path, url: str | None = None) -> None:
    """The first admin of a workspace, as the command line makes him."""
    from dovetail.workspace import Workspace, WorkspaceSettings

    with Workspace.open(WorkspaceSettings(folder, url=url)) as workspace:
        workspace.users.create_admin(*ADMIN)
