"""The time to plan TPC-H's 22 queries over split A of the tests."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import summary
from bench.places import Servers

SPLIT = "A"
SCALE = 0.1


@contextlib.contextmanager
def loaded(servers: Servers) -> Iterator[Any]:
    """The data of the split: a ``tests.federated.Federated``."""
    from tests import tpch

    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        federated = tpch.split(SPLIT, Path(folder), servers.server, scale=SCALE)
        try:
            yield federated
        finally:
            federated.close()


def measure(federated: Any, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
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
    return {"rounds": rounds, "scale": SCALE, "queries": result}
