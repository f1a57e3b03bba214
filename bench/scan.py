"""Scan throughput: nine columns of lineitem from PostgreSQL and from MariaDB, three readers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.contenders import CONTENDERS
from bench.measure import alternate, listener, server_seconds, summary
from bench.places import SCAN_COLUMNS, Address

ROOT = Path(__file__).parents[1]
ONE_SCAN_SECONDS = 900
DECIMALS = ("l_quantity", "l_extendedprice", "l_discount")


class ContenderError(Exception):
    """A contender did not answer, or answered something else than the others."""


def measure(
    addresses: Mapping[str, Address],
    rounds: int,
    tables: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Scans of the table of each kind at its address; ``rounds`` alternating runs per contender."""
    found: dict[str, Any] = {"columns": list(SCAN_COLUMNS), "rounds": rounds, "sources": {}}
    for kind, address in addresses.items():
        process = listener(address.port) if address.host == "127.0.0.1" else None
        say(f"{kind}: once by each, uncounted, so that all find the table in memory")
        for name in CONTENDERS:
            _scan(name, address, tables[kind])
        runs = alternate(
            {
                name: partial(_scan_watched, name, address, tables[kind], process)
                for name in CONTENDERS
            },
            rounds,
            partial(_say, say, kind),
        )
        _compare(kind, runs)
        found["sources"][kind] = {
            "server": _server_version(address),
            "rows": runs["dovetail"][0]["rows"],
            "contenders": {name: _summaries(of_one) for name, of_one in runs.items()},
        }
    return found


def _compare(kind: str, runs: Mapping[str, list[dict[str, Any]]]) -> None:
    """Raise unless all read the same values; ConnectorX's decimals have a type of their own."""
    exact = {run["rows"]: run["hashes"] for run in runs["dovetail"]}
    for name, of_one in runs.items():
        for run in of_one:
            pairs = zip(SCAN_COLUMNS, run["hashes"], exact.get(run["rows"], ()), strict=False)
            wrong = [
                column
                for column, found, wanted in pairs
                if found != wanted and not (name == "connectorx" and column in DECIMALS)
            ]
            if wrong or run["rows"] not in exact:
                raise ContenderError(
                    f"{kind}: {name} read {run['rows']} rows, other values than dovetail in {wrong}"
                )


def _summaries(runs: list[dict[str, Any]]) -> dict[str, Any]:
    measures = ("seconds", "cpu_seconds", "server_cpu_seconds", "peak_mib")
    return {
        measure: summary([run[measure] for run in runs])
        for measure in measures
        if all(run[measure] is not None for run in runs)
    }


def _say(say: Callable[[str], None], kind: str, text: str) -> None:
    say(f"{kind} {text.split(', ' + repr('hashes'))[0]}")


def _scan_watched(name: str, address: Address, table: str, process: int | None) -> dict[str, Any]:
    before = server_seconds(process)
    figures = _scan(name, address, table)
    after = server_seconds(process)
    used = None if before is None or after is None else round(after - before, 2)
    return {**figures, "server_cpu_seconds": used}


def _scan(name: str, address: Address, table: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.contenders"],
        input=json.dumps({"contender": name, "address": asdict(address), "table": table}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=ONE_SCAN_SECONDS,
    )
    if done.returncode != 0:
        raise ContenderError(f"{name} on {address.kind} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _server_version(address: Address) -> str:
    if address.kind == "postgres":
        import psycopg

        with psycopg.connect(
            host=address.host, port=address.port, dbname=address.database,
            user=address.user, password=address.password,
        ) as connection:  # fmt: skip
            row = connection.execute("SHOW server_version").fetchone()
            return f"PostgreSQL {str(row[0]).split()[0]}" if row else ""
    import pymysql

    other = pymysql.connect(
        host=address.host, port=address.port, database=address.database,
        user=address.user, password=address.password,
    )  # fmt: skip
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT version()")
            text = str((cursor.fetchone() or [""])[0])
    finally:
        other.close()
    name = "MariaDB" if "mariadb" in text.lower() else "MySQL"
    return f"{name} {text.split('-')[0]}"
