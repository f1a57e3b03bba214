"""Fixed costs: starting the program cold, and a trivial query over two sources when warm."""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.machine import program
from bench.measure import alternate, summary
from bench.places import Servers
from bench.relay import Relay, waited

COLD_RUNS = 10
WARM_RUNS = 60
WARMING = 10

_LEFT = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL)",
    "INSERT INTO customers VALUES " + ", ".join(f"({i}, 'customer {i}')" for i in range(1, 11)),
)
_RIGHT = (
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL,"
    " amount DECIMAL(10,2) NOT NULL)",
    "INSERT INTO orders VALUES " + ", ".join(f"({i}, {1 + i % 10}, {i}.50)" for i in range(1, 31)),
)
_TRIVIAL = """SELECT c.name, sum(o.amount) AS total
FROM {left} c JOIN {right} o ON o.customer_id = c.id
WHERE c.id <> {number} GROUP BY c.name ORDER BY total DESC"""


@dataclass(frozen=True)
class _Warm:
    """One warm query: seconds in all, waiting for sources, of the processor; round trips."""

    total: float
    waited: float
    cpu: float
    round_trips: int


def cold(say: Callable[[str], None]) -> dict[str, Any]:
    """Whole processes: the program on a small CSV file, and what Python and DuckDB alone take."""
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        path = Path(folder) / "trades.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "trader", "day", "qty", "price"])
            for i in range(1000):
                day = f"2026-01-{1 + i % 28:02}"
                writer.writerow([i, f"trader {i % 7}", day, i % 13, f"{i / 8:.2f}"])
        sql = "SELECT trader, sum(qty) AS qty FROM 'trades.csv' GROUP BY trader ORDER BY trader"
        dovetail = program("dovetail")
        by_hand = f"import duckdb; print(duckdb.sql({sql!r}).fetchall())"
        commands = {
            "dovetail query": [dovetail, "query", sql],
            "dovetail query --csv": [dovetail, "query", "--csv", sql],
            "dovetail --version": [dovetail, "--version"],
            "dovetail --help": [dovetail, "--help"],
            "dovetail query --help": [dovetail, "query", "--help"],
            "python -c pass": [sys.executable, "-c", "pass"],
            "python with duckdb alone": [sys.executable, "-c", by_hand],
        }
        for command in commands.values():  # bytecode and file cache; "cold" is the process
            _run(command, folder)
        runs = alternate(
            {name: partial(_run, command, folder) for name, command in commands.items()}, COLD_RUNS
        )
    found = {name: summary([wall for wall, _ in of_one]) for name, of_one in runs.items()}
    spent = {name: summary([cpu for _, cpu in of_one]) for name, of_one in runs.items()}
    for name, figures in found.items():
        cpu = spent[name]["median"]
        say(f"{name}: median {figures['median']:.3f} s, best {figures['best']:.3f}, CPU {cpu:.3f}")
    return {"runs": COLD_RUNS, "csv_rows": 1000, "seconds": found, "cpu_seconds": spent}


def _run(command: Sequence[str], folder: str) -> tuple[float, float]:
    """Wall clock and processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def trivial(servers: Servers, say: Callable[[str], None]) -> dict[str, Any]:
    """Ten rows of PostgreSQL joined with thirty of MariaDB, in a warm session; milliseconds.

    ``own`` is the time during which no source was being waited for, ``waited`` the rest, both as
    the relay of :mod:`bench.relay` saw it; ``direct`` is the total without a relay.
    """
    import duckdb

    import dovetail

    left = servers.small("postgres", *_LEFT)
    right = servers.small("mysql", *_RIGHT)
    with Relay([(left.host, left.port), (right.host, right.port)]) as relay:
        near = {
            "direct": (left, right),
            "relayed": (replace(left, port=relay.ports[0]), replace(right, port=relay.ports[1])),
        }
        queries: dict[str, Callable[[int], Sequence[tuple[Any, ...]]]] = {}
        closing: list[Callable[[], None]] = []
        for how, (pg, my) in near.items():
            session = dovetail.connect({"sources": {"pg": pg.source(), "my": my.source()}})
            attached = duckdb.connect()
            for statement in (*pg.attach("pg"), *my.attach("my")):
                attached.execute(statement)
            closing += [session.close, attached.close]
            names = {"left": f"pg.{pg.schema}.customers", "right": f"my.{my.schema}.orders"}

            def by_dovetail(number: int, on: Any = session, at: Any = names) -> Any:
                return on.sql(_TRIVIAL.format(number=number, **at)).rows()

            def by_duckdb(number: int, on: Any = attached, at: Any = names) -> Any:
                return on.execute(_TRIVIAL.format(number=number, **at)).fetchall()

            queries[f"dovetail {how}"], queries[f"duckdb {how}"] = by_dovetail, by_duckdb
        answers = {str([list(map(str, row)) for row in q(0)]) for q in queries.values()}
        if len(answers) != 1:
            raise RuntimeError(f"the trivial query has several answers: {answers}")
        found: dict[str, Any] = {"runs": WARM_RUNS, "query": _TRIVIAL, "texts": {}}
        # The same text again and again finds its plan kept; another literal is another text.
        for text, step in (("repeated", 0), ("new", 1)):
            runs = alternate(
                {n: _timed(q, step, relay) for n, q in queries.items()}, WARM_RUNS + WARMING
            )
            found["texts"][text] = _warm_figures(
                {name: of_one[WARMING:] for name, of_one in runs.items()}
            )
            for name, figures in found["texts"][text].items():
                shown = {key: round(value["median"], 2) for key, value in figures.items()}
                say(f"two sources, {text} text, {name}, milliseconds: {shown}")
        for close in closing:
            close()
    return found


def _timed(query: Callable[[int], Any], step: int, relay: Relay) -> Callable[[], _Warm]:
    number = 1000

    def run() -> _Warm:
        nonlocal number
        number += step
        relay.take()
        used, started = time.process_time(), time.monotonic()
        query(number)
        ended, spent = time.monotonic(), time.process_time() - used
        waits = [wait for wait in relay.take() if wait[1] < ended]
        return _Warm(ended - started, waited(waits, started, ended), spent, len(waits))

    return run


def _warm_figures(runs: dict[str, list[_Warm]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for who in ("dovetail", "duckdb"):
        direct, relayed = runs[f"{who} direct"], runs[f"{who} relayed"]
        found[who] = {
            "direct": summary([run.total * 1e3 for run in direct]),
            "relayed": summary([run.total * 1e3 for run in relayed]),
            "waited": summary([run.waited * 1e3 for run in relayed]),
            "own": summary([(run.total - run.waited) * 1e3 for run in relayed]),
            "cpu": summary([run.cpu * 1e3 for run in direct]),
            "round_trips": summary([run.round_trips for run in relayed]),
        }
    return found
