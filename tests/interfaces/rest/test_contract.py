"""The service does what its OpenAPI document says: a small run; ``make fuzz`` has a long one."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.rest.contract import check
from tests.interfaces.rest.running import CUSTOMERS, running


def test_the_service_keeps_to_its_document(tmp_path: Path) -> None:
    with running(tmp_path / "workspace") as service:
        client = service.client()
        client.group("seen", {"customers": client.dataset("customers.csv", CUSTOMERS)})
        found = check(service, tmp_path, examples=2, seed=1, phases="examples,fuzzing")
    assert found == "", found
