"""TPC-H, 22 queries over three splits of its tables, three ways each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import dovetail
from dovetail.session import Session
from tests import tpch
from tests.federated import Federated
from tests.three_ways import check

pytestmark = pytest.mark.servers

QUERIES = tpch.queries()


@pytest.fixture(scope="module", params=sorted(tpch.SPLITS))
def split(
    request: pytest.FixtureRequest, tpch_split: Callable[[str], Federated]
) -> Iterator[tuple[Federated, Session]]:
    federated = tpch_split(request.param)
    with dovetail.connect(federated.config) as session:
        yield federated, session


@pytest.mark.parametrize("name", QUERIES)
def test_tpch(split: tuple[Federated, Session], name: str) -> None:
    federated, session = split
    sqlite = "sqlite" in federated.places.values()
    outcome = check(session, federated.local, QUERIES[name], widths=not sqlite)
    assert outcome.road == "plan", outcome.fallback_reason
