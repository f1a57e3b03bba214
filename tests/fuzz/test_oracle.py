"""Random queries: all rules, random rules off, no pushdown, and plain DuckDB must agree.

``make fuzz`` runs for ``DOVETAIL_FUZZ_SECONDS`` (300); ``DOVETAIL_FUZZ_SEED`` repeats one world.
"""

from __future__ import annotations

import math
import os
import random
import time
from pathlib import Path

import pytest

from tests.conftest import server_or_fail
from tests.fuzz import oracle
from tests.fuzz.report import report
from tests.servers import Run


def test_oracle(server_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = float(os.environ.get("DOVETAIL_FUZZ_SECONDS", "300"))
    given = os.environ.get("DOVETAIL_FUZZ_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(10**9)
    started, worlds, queries = time.monotonic(), 0, 0
    until = math.inf if given else started + seconds
    failures: list[oracle.Failure] = []

    def server(kind: str) -> oracle.Server:
        return server_or_fail(server_run, kind)

    while time.monotonic() < until and not failures:
        for failure in oracle.run(seed, tmp_path / str(seed), server, until=until):
            queries += 1
            if failure is not None:
                failures.append(failure)
                if not given:
                    break
        worlds += 1
        if given:
            break
        seed += 1
    with capsys.disabled():
        print(f"\n{queries} queries over {worlds} worlds in {time.monotonic() - started:.0f} s")
        for failure in failures:  # before they are shrunk, which can take minutes
            print(f"seed {failure.world.seed}, query {failure.number}: {failure.problem[:300]}")
    assert not failures, "\n\n".join(report(failure, server) for failure in failures[:5])
