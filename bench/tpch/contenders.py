"""One contender of the TPC-H runs in a process of its own: ``python -m bench.tpch.contenders``.

Orders and answers are pickles on standard input and output, those on output with their length
before them. For every run a contender first opens:
a new session or connection, both sources connected to and their catalogs read. It says that it is
ready, the bench reads its byte counters, and only then the clock starts. Nothing is kept from one
run to the next, so every run plans and reads for the first time.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.places import Address

Rows = list[tuple[Any, ...]]

# What the two servers are called in queries, whoever runs them.
ALIASES = {"postgres": "pg", "mysql": "my"}


@dataclass(frozen=True)
class Order:
    """One query over one split."""

    contender: str
    query: str  # q01 … q22
    text: str  # with bare table names
    qualified: str  # with pg.public.… and my.tpch1.…
    split: Mapping[str, str]  # table → kind of server
    columns: Mapping[str, Mapping[str, str]]  # table → column the query needs → declared type
    addresses: Mapping[str, Address]


@dataclass
class Answer:
    """What one run gave; ``error`` says why there is nothing."""

    seconds: float = 0.0
    rows: Rows = field(default_factory=list)
    planning: float | None = None  # milliseconds
    moved: int | None = None  # bytes, by the contender's own account
    error: str = ""


class Unable(Exception):
    """The contender has no way to run this query."""


Run = Callable[[], Answer]


def _dovetail(order: Order, rules: bool = True) -> tuple[Run, Callable[[], None]]:
    import dovetail

    sources = {ALIASES[kind]: address.source() for kind, address in order.addresses.items()}
    session = dovetail.connect({"sources": sources})
    for kind, address in order.addresses.items():
        session.sql(f"SELECT r_name FROM {ALIASES[kind]}.{address.schema}.region").rows()

    def run() -> Answer:
        with session.sql(order.qualified, rules=rules) as result:
            rows = result.rows()
            profile = result.profile
        return Answer(rows=rows, planning=profile.planning_milliseconds, moved=profile.bytes_moved)

    return run, session.close


def _never(order: Order) -> tuple[Run, Callable[[], None]]:
    return _dovetail(order, rules=False)


def _duckdb(order: Order) -> tuple[Run, Callable[[], None]]:
    import duckdb

    connection = duckdb.connect()
    for kind, address in order.addresses.items():
        for statement in address.attach(ALIASES[kind]):
            connection.execute(statement)
        connection.execute(f"FROM {ALIASES[kind]}.{address.schema}.region").fetchall()
    return lambda: Answer(rows=connection.execute(order.qualified).fetchall()), connection.close


def _connectorx(order: Order) -> tuple[Run, Callable[[], None]]:
    """Every column a query needs of every table it names, whole, then the query in DuckDB."""
    os.environ["RUST_LOG"] = "off"  # else its pool logs
    import connectorx
    import duckdb

    connection = duckdb.connect()
    urls = {kind: address.url() for kind, address in order.addresses.items()}
    urls["mysql"] += "?prefer_socket=false"  # else it leaves a loopback link for a Unix socket
    for url in urls.values():
        connectorx.read_sql(url, "SELECT 1 AS one", return_type="arrow")

    def run() -> Answer:
        for table, columns in order.columns.items():
            kind = order.split[table]
            # PostgreSQL hands CHAR(n) out with its padding unless it is made a text
            asked = ", ".join(
                f"CAST({name} AS varchar) AS {name}"
                if type_.startswith("CHAR") and kind == "postgres"
                else name
                for name, type_ in columns.items()
            )
            stream = connectorx.read_sql(
                urls[kind], f"SELECT {asked} FROM {table}", return_type="arrow_stream",
                batch_size=65_536,
            )  # fmt: skip
            # decimals arrive as DECIMAL(38,10), whose products overflow
            cast = ", ".join(
                f"CAST({name} AS {type_}) AS {name}" if type_.startswith("DECIMAL") else name
                for name, type_ in columns.items()
            )
            connection.register("stream", stream)
            connection.execute(f"CREATE TABLE {table} AS SELECT {cast} FROM stream")
            connection.unregister("stream")
        return Answer(rows=connection.execute(order.text).fetchall())

    return run, connection.close


def _pandas(order: Order) -> tuple[Run, Callable[[], None]]:
    from bench.tpch import with_pandas

    return with_pandas.opened(order)


def _spark(order: Order) -> tuple[Run, Callable[[], None]]:
    from bench.tpch import with_spark

    return with_spark.opened(order)


CONTENDERS = {
    "dovetail": _dovetail,
    "never": _never,
    "duckdb": _duckdb,
    "connectorx": _connectorx,
    "pandas": _pandas,
    "spark": _spark,
}


def _serve(read: Any, write: Any) -> None:
    def say(what: Any) -> None:
        packed = pickle.dumps(what)
        write.write(len(packed).to_bytes(8, "big") + packed)
        write.flush()

    while True:
        try:
            order: Order = pickle.load(read)
        except EOFError:
            return
        try:
            run, close = CONTENDERS[order.contender](order)
        except Exception as error:
            say(Answer(error=_said(error)))
            continue
        say("ready")
        pickle.load(read)  # go
        started = time.perf_counter()
        try:
            answer = run()
        except Exception as error:
            answer = Answer(error=_said(error))
        answer.seconds = time.perf_counter() - started
        say(answer)
        close()
        say("closed")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()[:400]}"


def main() -> None:
    """Serve until standard input ends. What libraries print goes to standard error."""
    write = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, write)
    os._exit(0)  # threads of pools need not be waited for


if __name__ == "__main__":
    from bench.tpch import contenders  # not as __main__, whose classes nobody else can unpickle

    contenders.main()
