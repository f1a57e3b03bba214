"""``python -m bench.service``: the REST service under 50 clients at once.

Each client is a person at a screen: it sends a request, waits for the answer, and pauses for a
moment (exponential, ``--pause`` seconds on average) before the next. The default of one second is
a busy one: looking at an answer takes longer. So 50 clients ask for some 48 answers a second. What
is asked for, by weight: metadata (lists, one dataset, a schema, the history), short queries over a
SQLite and a DuckDB source, and writes (an upload of 2,000 rows, a new group).

Fails when an answer is 5xx, when a write that was confirmed cannot be found with all its rows
afterwards, when the p95 of metadata is above 100 ms, or when memory grows. Figures are kept in
``bench/results/service.json``. The clients run on the same processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from bench import machine

ROOT = Path(__file__).parents[1]
TARGET_MS = 100.0
ROWS = 2_000
FILE = "id,n,word\n" + "".join(f"{i},{i * 3 % 97},word {i % 11}\n" for i in range(ROWS))
GROWTH = 1.15  # of the last quarter's memory over that of the second
WEIGHTS = {"metadata": 70, "query": 22, "write": 8}


@dataclass
class Figures:
    """What happened, by kind of request."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)


class Connection:
    """HTTP/1.1 over one kept connection: no more than the load needs, to spare the processors."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", type_: str = "application/json"
    ) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(body)}\r\n"
        )
        if body:
            head += f"Content-Type: {type_}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        await self._writer.drain()
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        if status == 204:
            return status, b""
        content = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self._writer.close()
            self._writer = None
        return status, content

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Load:
    """The clients."""

    def __init__(self, port: int, token: str, options: argparse.Namespace) -> None:
        self.port, self.token, self.options = port, token, options
        self.figures = Figures()
        self.seed_dataset = ""
        self._number = 0

    async def prepare(self) -> None:
        """A dataset to look at, and one query so that nobody pays for the first connection."""
        connection = Connection(self.port, self.token)
        made = json.loads((await self._upload(connection, "seed"))[1])
        self.seed_dataset = made["id"]
        for _ in range(3):
            status, content = await self._query(connection)
            if status != 200:
                sys.exit(f"the query does not run: {content.decode()}")
        connection.close()

    async def client(self, number: int, end: float) -> None:
        chance = random.Random(number)
        connection = Connection(self.port, self.token)
        await asyncio.sleep(chance.random() * self.options.pause)
        while time.monotonic() < end:
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            started = time.perf_counter()
            try:
                status, content = await self._one(kind, connection, chance)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.figures.errors.append(f"{kind}: {error!r}")
                connection = Connection(self.port, self.token)
                continue
            self.figures.milliseconds[kind].append((time.perf_counter() - started) * 1e3)
            self.figures.statuses[status] += 1
            if status >= 400:
                self.figures.errors.append(f"{kind}: {status} {content[:300]!r}")
            await asyncio.sleep(chance.expovariate(1 / self.options.pause))
        connection.close()

    async def _one(
        self, kind: str, connection: Connection, chance: random.Random
    ) -> tuple[int, bytes]:
        if kind == "metadata":
            path = chance.choice(
                (
                    "datasets?limit=20",
                    f"datasets/{self.seed_dataset}",
                    f"datasets/{self.seed_dataset}/schema",
                    "dataset-groups?limit=20",
                    "queries?limit=20",
                    "connections",
                )
            )
            return await connection.ask("GET", f"/api/v1/{path}")
        if kind == "query":
            return await self._query(connection)
        self._number += 1
        if chance.random() < 0.5:
            body = json.dumps({"name": f"group {self._number}"}).encode()
            status, content = await connection.ask("POST", "/api/v1/dataset-groups", body)
            if status == 201:
                self.figures.groups.append(json.loads(content)["id"])
            return status, content
        status, content = await self._upload(connection, f"file {self._number}")
        if status == 201:
            self.figures.datasets.append(json.loads(content)["id"])
        return status, content

    async def _query(self, connection: Connection) -> tuple[int, bytes]:
        sql = (
            "SELECT c.country, count(*) AS n, sum(o.amount) AS total FROM crm.customers c "
            "JOIN shop.orders o ON o.customer_id = c.id WHERE o.amount > $least "
            "GROUP BY c.country ORDER BY total DESC LIMIT 5"
        )
        body = {"sql": sql, "connection_ids": ["*"], "params": {"least": random.randrange(90)}}
        return await connection.ask("POST", "/api/v1/queries/sql", json.dumps(body).encode())

    async def _upload(self, connection: Connection, name: str) -> tuple[int, bytes]:
        body = (
            '--bound\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{name}.csv"\r\n\r\n{FILE}\r\n--bound--\r\n'
        ).encode()
        return await connection.ask(
            "POST", "/api/v1/datasets/upload", body, "multipart/form-data; boundary=bound"
        )

    async def run(self, pid: int) -> None:
        began = time.monotonic()
        used = {"service": processor_seconds(pid), "clients": processor_seconds(os.getpid())}
        watching = asyncio.create_task(self._watch(pid))
        end = began + self.options.seconds
        await asyncio.gather(*(self.client(n, end) for n in range(self.options.clients)))
        watching.cancel()
        took = time.monotonic() - began
        for name, one in (("service", pid), ("clients", os.getpid())):
            self.figures.cores[name] = round((processor_seconds(one) - used[name]) / took, 2)

    async def _watch(self, pid: int) -> None:
        started = time.monotonic()
        while True:
            self.figures.memory.append((time.monotonic() - started, resident(pid)))
            await asyncio.sleep(1)

    async def lost(self) -> list[str]:
        """Writes that were confirmed and are not there, or not whole."""
        connection = Connection(self.port, self.token)
        missing = []
        for dataset in self.figures.datasets:
            status, content = await connection.ask("GET", f"/api/v1/datasets/{dataset}")
            # Work that takes more than ten seconds is confirmed as PROCESSING and goes on.
            while status == 200 and json.loads(content)["status"] == "PROCESSING":
                await asyncio.sleep(0.2)
                status, content = await connection.ask("GET", f"/api/v1/datasets/{dataset}")
            if status != 200 or json.loads(content)["row_count"] != ROWS:
                missing.append(f"dataset {dataset}: {status} {content[:300]!r}")
        for group in self.figures.groups:
            status, content = await connection.ask("GET", f"/api/v1/dataset-groups/{group}")
            if status != 200:
                missing.append(f"group {group}: {status}")
        connection.close()
        return missing


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_sources(folder: Path) -> Path:
    """Two sources and the configuration that names them."""
    with sqlite3.connect(folder / "crm.db") as crm:
        crm.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, country TEXT)")
        crm.executemany(
            "INSERT INTO customers VALUES (?, ?)",
            [(i, f"country {i % 12}") for i in range(2_000)],
        )
    with duckdb.connect(str(folder / "shop.duckdb")) as shop:
        shop.execute(
            "CREATE TABLE orders AS SELECT i AS id, i % 2000 AS customer_id, "
            "(i * 7 % 10000) / 100 AS amount FROM range(20000) t(i)"
        )
    config = folder / "dovetail.yaml"
    config.write_text(
        "sources:\n  crm: {kind: sqlite, path: crm.db}\n"
        "  shop: {kind: duckdb, path: shop.duckdb}\nlimits: {threads: 1}\n"
    )
    return config


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def summary(figures: Figures, options: argparse.Namespace, lost: list[str]) -> dict[str, Any]:
    quarter = max(1, len(figures.memory) // 4)
    sizes = [size for _, size in figures.memory]
    early = statistics.median(sizes[quarter : 2 * quarter] or sizes)
    late = statistics.median(sizes[-quarter:])
    return {
        "clients": options.clients,
        "seconds": options.seconds,
        "pause_seconds": options.pause,
        "requests": sum(figures.statuses.values()),
        "statuses": {str(k): v for k, v in sorted(figures.statuses.items())},
        "milliseconds": {
            kind: {
                "count": len(values),
                "p50": round(percentile(values, 0.5), 1),
                "p95": round(percentile(values, 0.95), 1),
                "p99": round(percentile(values, 0.99), 1),
                "max": round(max(values, default=0), 1),
            }
            for kind, values in sorted(figures.milliseconds.items())
        },
        "writes": len(figures.datasets) + len(figures.groups),
        "lost_writes": lost,
        "errors": figures.errors[:20],
        "memory_mib": {
            "second_quarter": round(early / 2**20, 1),
            "last_quarter": round(late / 2**20, 1),
            "highest": round(max(sizes) / 2**20, 1),
        },
        "cores_used": figures.cores,
        "load_average": os.getloadavg(),
    }


def failures(found: dict[str, Any]) -> list[str]:
    """What of the targets is missed."""
    missed = []
    if any(status.startswith("5") for status in found["statuses"]):
        missed.append(f"answers with 5xx: {found['statuses']}")
    if found["errors"]:
        missed.append(f"errors: {found['errors'][:3]}")
    if found["lost_writes"]:
        missed.append(f"lost writes: {found['lost_writes'][:3]}")
    p95 = found["milliseconds"].get("metadata", {}).get("p95", 0)
    if p95 > TARGET_MS:
        missed.append(f"p95 of metadata {p95} ms, above {TARGET_MS:.0f} ms")
    memory = found["memory_mib"]
    if memory["last_quarter"] > memory["second_quarter"] * GROWTH:
        missed.append(f"memory grows: {memory}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1.0, help="mean pause of a client, seconds")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/service.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as name:
        folder = Path(name)
        config = make_sources(folder)
        log = (folder / "service.log").open("w")
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("dovetail")),
                "serve",
                "--port=0",
                f"--workspace={folder / 'workspace'}",
                f"--config={config}",
                "--limit=requests_per_minute=1000000",
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        port = re.search(r":(\d+)", first.partition("http://")[2])
        if port is None:
            sys.exit((folder / "service.log").read_text())
        token = process.stdout.readline().partition("Token: ")[2].strip()
        try:
            load = Load(int(port[1]), token, options)

            async def measure() -> list[str]:
                await load.prepare()
                await load.run(process.pid)
                return await load.lost()

            lost = asyncio.run(measure())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    found = {"machine": machine.describe(sys.argv[1:]), **summary(load.figures, options, lost)}
    missed = failures(found)
    found["missed"] = missed
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    for line in missed:
        print(f"MISSED: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
