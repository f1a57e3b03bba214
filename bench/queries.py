"""TPC-H's 22 queries over split A: the time to plan them, and to run them beside DuckDB ATTACH."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import alternate, summary
from bench.places import Address, Servers

SPLIT = "A"


@contextlib.contextmanager
def loaded(servers: Servers, scale: float) -> Iterator[Any]:
    """The data of split A at that scale: a ``tests.federated.Federated``."""
    from tests import tpch

    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        federated = tpch.split(SPLIT, Path(folder), servers.server, scale=scale)
        try:
            yield federated
        finally:
            federated.close()


def planning(federated: Any, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Milliseconds to plan each query with a catalog that has been read.

    ``first`` is the first query of its text in a session that has planned something else before;
    ``changed`` the same query under another text (a literal's worth); ``repeated`` the same text.
    """
    from tests import tpch

    import dovetail

    texts = tpch.queries()
    found: dict[str, dict[str, list[float]]] = {
        name: {"first": [], "changed": [], "repeated": []} for name in texts
    }
    roads: dict[str, str] = {}
    for _ in range(rounds):
        with dovetail.connect(federated.config) as session:
            session.tables()
            session.explain("SELECT 1")
            for name, text in texts.items():
                bare = text.strip().rstrip(";")
                changed = f"SELECT * FROM ({bare}\n) AS changed LIMIT 1000000"
                for kind, asked in (("first", bare), ("repeated", bare), ("changed", changed)):
                    explanation = session.explain(asked).to_dict()
                    found[name][kind].append(explanation["planning_milliseconds"])
                    roads[name] = explanation["road"]
    result: dict[str, dict[str, Any]] = {
        name: {"road": roads[name], **{kind: summary(v) for kind, v in of_one.items()}}
        for name, of_one in found.items()
    }
    for kind in ("first", "changed", "repeated"):
        values = [of_one[kind]["median"] for of_one in result.values()]
        say(f"planning, {kind}: median {statistics.median(values)} ms, worst {max(values)} ms")
    return {"rounds": rounds, "queries": result}


def running(federated: Any, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds per query: Dovetail, and DuckDB with the same sources attached."""
    import duckdb
    from tests import tpch
    from tests.three_ways import differ

    import dovetail

    attached = duckdb.connect()
    _attach(attached, federated)
    result: dict[str, Any] = {}
    with dovetail.connect(federated.config) as session:
        for name, text in tpch.queries().items():
            rows: dict[str, Any] = {}

            def dovetail_run(text: str = text, rows: dict[str, Any] = rows) -> float:
                started = time.perf_counter()
                rows["dovetail"] = session.sql(text).rows()
                return time.perf_counter() - started

            def duckdb_run(text: str = text, rows: dict[str, Any] = rows) -> float:
                started = time.perf_counter()
                rows["duckdb"] = attached.execute(text).fetchall()
                return time.perf_counter() - started

            runs = alternate({"dovetail": dovetail_run, "duckdb": duckdb_run}, rounds)
            expected = federated.local.execute(text).fetchall()
            result[name] = {
                who: {**summary(of_one), "differs": differ(rows[who], expected, False)}
                for who, of_one in runs.items()
            }
            shown = {who: round(figures["median"], 3) for who, figures in result[name].items()}
            say(f"{name}: {shown}")
    attached.close()
    return {"rounds": rounds, "split": dict(federated.places), "queries": result}


def _attach(connection: Any, federated: Any) -> None:
    """The sources by DuckDB's own scanners, each table also under its bare name."""
    from dovetail.connectors.extensions import extension_path

    schemas = {}
    for source, entry in federated.config["sources"].items():
        if entry["kind"] == "sqlite":
            connection.execute(f"LOAD '{extension_path('sqlite_scanner')}'")
            connection.execute(f"ATTACH '{entry['path']}' AS {source} (TYPE sqlite, READ_ONLY)")
            schemas[entry["kind"]] = f"{source}.main"
        else:
            address = Address(*(entry[field] for field in Address.__dataclass_fields__))
            for statement in address.attach(source):
                connection.execute(statement)
            schemas[entry["kind"]] = f"{source}.{address.schema}"
    for table, place in federated.places.items():
        connection.execute(f"CREATE VIEW {table} AS FROM {schemas[place]}.{table}")
