"""TPC-DS, 99 queries over PostgreSQL, MariaDB and files, three ways each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import dovetail
from dovetail.session import Session
from tests import tpcds
from tests.federated import Federated
from tests.three_ways import check

pytestmark = [pytest.mark.servers]

QUERIES = tpcds.queries()


@pytest.fixture(scope="module")
def session(tpcds_split: Federated) -> Iterator[Session]:
    with dovetail.connect(tpcds_split.config) as opened:
        yield opened


@pytest.mark.parametrize("name", QUERIES)
def test_tpcds(tpcds_split: Federated, session: Session, name: str) -> None:
    outcome = check(session, tpcds_split.local, QUERIES[name])
    assert outcome.road == "plan", outcome.fallback_reason
