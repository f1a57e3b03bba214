"""The service does what its OpenAPI document says: a small run; ``make fuzz`` has a long one."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.rest.contract import check
from tests.interfaces.rest.running import CUSTOMERS, Running


def test_the_service_keeps_to_its_document(local: Running, tmp_path: Path) -> None:
    client = local.client()
    client.group("seen", {"customers": client.dataset("customers.csv", CUSTOMERS)})
    found = check(local, tmp_path, examples=3, seed=1, phases="examples,fuzzing")
    assert found == "", found
