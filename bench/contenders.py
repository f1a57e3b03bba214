"""One full scan by one contender, in a process of its own: ``python -m bench.contenders``.

The order comes as JSON on standard input (so no password is among the process's arguments), the
figures go to standard output as JSON. Connecting and reading the catalog happen before the clock
starts, but for ConnectorX, which connects anew for every read. Every contender computes the same
row: the number of rows, and per column the greatest hash. No source knows DuckDB's hash, so nothing
but the columns themselves can be fetched, and equal answers mean that the same values arrived.
Decimals of ConnectorX are the exception: it delivers all as DECIMAL(38,10), which hash otherwise,
and to cast them back would cost DuckDB several times what the whole scan costs ConnectorX.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.places import SCAN_COLUMNS, Address

Row = tuple[Any, ...]


def _sink(relation: str) -> str:
    greatest = ", ".join(f"max(hash({column}))" for column in SCAN_COLUMNS)
    return f"SELECT count(*), {greatest} FROM {relation}"


def _dovetail(address: Address, table: str) -> Callable[[], Row]:
    import dovetail

    session = dovetail.connect({"sources": {"db": address.source()}})
    name = f"db.{address.schema}.{table}"
    session.sql(f"SELECT l_orderkey FROM {name} LIMIT 1").rows()
    return lambda: session.sql(_sink(name)).rows()[0]


def _attach(address: Address, table: str) -> Callable[[], Row]:
    import duckdb

    connection = duckdb.connect()
    for statement in address.attach("db"):
        connection.execute(statement)
    name = f"db.{address.schema}.{table}"
    connection.execute(f"DESCRIBE {name}").fetchall()
    connection.execute(f"FROM {address.kind}_query('db', 'SELECT 1')").fetchall()
    return lambda: connection.execute(_sink(name)).fetchall()[0]


def _connectorx(address: Address, table: str) -> Callable[[], Row]:
    os.environ["RUST_LOG"] = "off"  # else its pool logs to standard output
    import connectorx
    import duckdb

    connection = duckdb.connect()
    wanted = f"SELECT {', '.join(SCAN_COLUMNS)} FROM {table}"
    connectorx.read_sql(address.url(), "SELECT 1 AS one", return_type="arrow")

    def run() -> Row:
        stream = connectorx.read_sql(
            address.url(), wanted, return_type="arrow_stream", batch_size=65_536
        )
        connection.register("stream", stream)
        row: Row = connection.execute(_sink("stream")).fetchall()[0]
        return row

    return run


def _peak_mib() -> int | None:
    """Most memory this process ever held; getrusage would count its parent's before exec."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) // 1024 if found else None


CONTENDERS = {"dovetail": _dovetail, "duckdb": _attach, "connectorx": _connectorx}


def main() -> None:
    """Read the order, scan once, print the figures."""
    order = json.load(sys.stdin)
    run = CONTENDERS[order["contender"]](Address(**order["address"]), order["table"])
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    row = run()
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {
        "seconds": round(seconds, 4),
        "cpu_seconds": round(spent, 4),
        "peak_mib": _peak_mib(),
        "rows": row[0],
        "hashes": [int(value) for value in row[1:]],
    }
    print(json.dumps(figures), flush=True)
    os._exit(0)  # threads of pools need not be waited for


if __name__ == "__main__":
    main()
