"""Left joins on a key of a table of which nothing is used are not made, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from tests.conftest import server_or_fail
from tests.databases import Declared
from tests.federated import Federated, federate
from tests.servers import Run
from tests.three_ways import check

import dovetail
from dovetail.session import Session

pytestmark = pytest.mark.servers

DECLARED = {
    "rj_sale": Declared({"id": "INTEGER", "customer": "INTEGER", "lot": "INTEGER"}, ("id",)),
    "rj_customer": Declared({"id": "INTEGER", "grade": "INTEGER"}, ("id",)),
    "rj_lot": Declared({"lot": "INTEGER", "place": "INTEGER", "n": "INTEGER"}, ("lot", "place")),
    "rj_note": Declared({"customer": "INTEGER", "n": "INTEGER"}),
}
PLACES = {"rj_sale": "postgres", "rj_customer": "mysql", "rj_lot": "postgres", "rj_note": "mysql"}
ROWS = {
    "rj_sale": {"id": [1, 2, 3, 4], "customer": [1, 2, None, 9], "lot": [1, 1, 2, None]},
    "rj_customer": {"id": [1, 2, 3], "grade": [5, None, 7]},
    "rj_lot": {"lot": [1, 1, 2], "place": [1, 2, 1], "n": [4, 5, 6]},
    "rj_note": {"customer": [1, 1, 2], "n": [1, 2, 3]},
}


@pytest.fixture(scope="module")
def split(server_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    made = federate(
        "rj",
        DECLARED,
        PLACES,
        lambda name: pa.table({n: pa.array(v, pa.int32()) for n, v in ROWS[name].items()}),
        tmp_path_factory.mktemp("rj"),
        lambda kind: server_or_fail(server_run, kind),
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(split: Federated) -> Iterator[Session]:
    with dovetail.connect(split.config) as opened:
        yield opened


REMOVED = {
    "on a primary key": "select s.id from rj_sale s left join rj_customer c on s.customer = c.id",
    "one after the other": "select count(*) from rj_sale s left join rj_customer c "
    "on s.customer = c.id left join rj_lot l on s.lot = l.lot and s.id = l.place",
    "of a filtered table": "select s.id from rj_sale s left join "
    "(select id as k from rj_customer where grade > 5) c on s.customer = c.k",
    "within a subquery": "select id from rj_sale where customer in "
    "(select s.customer from rj_sale s left join rj_customer c on s.customer = c.id)",
}
KEPT = {
    "its column is used": "select s.id, c.grade from rj_sale s "
    "left join rj_customer c on s.customer = c.id",
    "its column filters": "select s.id from rj_sale s "
    "left join rj_customer c on s.customer = c.id where c.grade is null",
    "a part of the key": "select s.id from rj_sale s left join rj_lot l on s.lot = l.lot",
    "no key": "select s.id from rj_sale s left join rj_note n on s.customer = n.customer",
    "a condition besides": "select s.id from rj_sale s "
    "left join rj_customer c on s.customer = c.id and s.lot > 1 + c.grade",
    "rows are dropped": "select s.id from rj_sale s join rj_customer c on s.customer = c.id",
    "rows are added": "select s.id from rj_sale s right join rj_customer c on s.customer = c.id",
    "a table with a filter that may fail": "select s.id from rj_sale s left join "
    "(select id from rj_customer where 10 // grade > 1) c on s.customer = c.id",
}


@pytest.mark.parametrize("sql", REMOVED.values(), ids=REMOVED)
def test_removed(split: Federated, session: Session, sql: str) -> None:
    check(session, split.local, sql)
    plan = str(session.explain(sql)).split("\n\n")[0]
    assert "rj_customer" not in plan
    assert "rj_lot" not in plan
    kept = str(session.explain(sql, rules=["remove_joins"])).split("\n\n")[0]
    assert "rj_customer" in kept


@pytest.mark.parametrize("sql", KEPT.values(), ids=KEPT)
def test_kept(split: Federated, session: Session, sql: str) -> None:
    check(session, split.local, sql)
    plan = str(session.explain(sql)).split("\n\n")[0]
    assert plan.count("Scan ") == 2
