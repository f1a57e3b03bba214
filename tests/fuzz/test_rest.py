"""Random requests to the service, long-running: no server error, no undocumented answer."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.interfaces.rest.contract import check
from tests.interfaces.rest.running import CUSTOMERS, running


def test_random_requests(tmp_path: Path) -> None:
    seed = int(os.environ.get("DOVETAIL_FUZZ_SEED") or time.time())
    examples = int(os.environ.get("DOVETAIL_FUZZ_REQUESTS") or 100)
    print(f"seed {seed}, {examples} requests per operation")
    with running(tmp_path / "workspace") as service:
        client = service.client()
        client.group("seen", {"customers": client.dataset("customers.csv", CUSTOMERS)})
        phases = "examples,coverage,fuzzing,stateful"
        found = check(service, tmp_path, examples=examples, seed=seed, phases=phases)
    assert found == "", found
