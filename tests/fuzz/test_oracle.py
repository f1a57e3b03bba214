"""Random queries: all rules, random rules off, no pushdown, and plain DuckDB must agree.

``make fuzz`` runs for ``DOVETAIL_FUZZ_SECONDS`` (300); ``DOVETAIL_FUZZ_SEED`` repeats one world.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import duckdb
import pytest

import dovetail
from dovetail.errors import DovetailError
from dovetail.optimize import optimizer
from tests.conftest import server_or_fail
from tests.federated import federate
from tests.fuzz import random_queries
from tests.servers import Run
from tests.three_ways import differ

QUERIES_PER_WORLD = 150
RULES = tuple(dict.fromkeys(rule.__name__ for rule in optimizer.RULES))


def test_oracle(server_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = float(os.environ.get("DOVETAIL_FUZZ_SECONDS", "300"))
    given = os.environ.get("DOVETAIL_FUZZ_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(10**9)
    started, worlds, queries, failures = time.monotonic(), 0, 0, []
    while time.monotonic() - started < seconds and not failures:
        made, failures = world(seed, server_run, tmp_path / str(seed))
        queries += made
        worlds += 1
        if given:
            break
        seed += 1
    with capsys.disabled():
        print(f"\n{queries} queries over {worlds} worlds in {time.monotonic() - started:.0f} s")
    assert not failures, "\n\n".join(failures)


def world(seed: int, run: Run, folder: Path) -> tuple[int, list[str]]:
    """One set of tables and its queries; how many queries ran, and what differed."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    tables = {name: random_queries.table(rng) for name in random_queries.TABLES}
    where = random_queries.places(rng)
    federated = federate(
        "fuzz",
        random_queries.declared(),
        where,
        tables.__getitem__,
        folder,
        lambda kind: server_or_fail(run, kind),
    )
    failures: list[str] = []
    ran = 0
    try:
        with dovetail.connect(federated.config) as session:
            for number in range(QUERIES_PER_WORLD):
                sql = random_queries.Queries(random.Random(f"{seed}.{number}")).query()
                try:
                    expected = federated.local.execute(sql).fetchall()
                except duckdb.Error:
                    continue
                off = frozenset(rule for rule in RULES if rng.random() < 0.3)
                for rules in (True, False, off):
                    try:
                        rows = session.sql(sql, rules=rules).rows()
                        problem = differ(rows, expected, ordered=False)
                    except DovetailError as error:
                        problem = f"{type(error).__name__}: {error}"
                    if problem:
                        failures.append(
                            f"seed {seed}, query {number}, tables {where}, rules {rules}\n{sql}\n"
                            f"{problem}"
                        )
                        break
                ran += 1
                if len(failures) >= 5:
                    break
    finally:
        federated.close()
    return ran, failures
