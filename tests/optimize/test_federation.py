"""What travels between sources: dynamic filters, partial aggregates, and what cost decides.

Tables are large enough here for cost to have something to decide.
"""

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
from dovetail.errors import UsageError
from dovetail.session import Session

pytestmark = pytest.mark.servers

ROWS = 40_000
CUSTOMERS = 4_000

DECLARED = {
    "fn_sale": Declared(
        {
            "id": "BIGINT",
            "customer": "INTEGER",
            "amount": "DECIMAL(15,2)",
            "day": "DATE",
            "code": "VARCHAR(20)",
        },
        ("id",),
    ),
    "fn_customer": Declared({"id": "INTEGER", "grade": "INTEGER", "code": "VARCHAR(20)"}, ("id",)),
    "fn_refund": Declared({"sale": "BIGINT", "amount": "DECIMAL(15,2)"}),
}
SPLITS = {
    "facts in postgres": {"fn_sale": "postgres", "fn_customer": "mysql", "fn_refund": "postgres"},
    "facts in mysql": {"fn_sale": "mysql", "fn_customer": "postgres", "fn_refund": "mysql"},
}


def _table(name: str) -> pa.Table:
    import decimal

    if name == "fn_customer":
        ids = range(CUSTOMERS)
        return pa.table(
            {
                "id": pa.array(ids, pa.int32()),
                "grade": pa.array([None if i % 50 == 7 else i % 40 for i in ids], pa.int32()),
                "code": [f"It's {i % 100}\\" if i % 2 else f"c{i % 100} " for i in ids],
            }
        )
    cents = decimal.Decimal("0.01")
    if name == "fn_refund":
        ids = range(0, ROWS, 4)
        return pa.table(
            {
                "sale": pa.array(ids, pa.int64()),
                "amount": pa.array([i * cents for i in ids], pa.decimal128(15, 2)),
            }
        )
    ids = range(ROWS)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "customer": pa.array(
                [None if i % 101 == 3 else i * 7 % (CUSTOMERS + 500) for i in ids], pa.int32()
            ),
            "amount": pa.array([(i % 977) * cents for i in ids], pa.decimal128(15, 2)),
            "day": pa.array([18_000 + i % 700 for i in ids], pa.date32()),
            "code": [None if i % 31 == 0 else f"c{i % 130} " for i in ids],
        }
    )


@pytest.fixture(scope="module", params=list(SPLITS))
def split(
    request: pytest.FixtureRequest, server_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federated]:
    made = federate(
        "fn",
        DECLARED,
        SPLITS[request.param],
        _table,
        tmp_path_factory.mktemp("federation"),
        lambda kind: server_or_fail(server_run, kind),
    )
    yield made
    made.close()


@pytest.fixture
def session(split: Federated) -> Iterator[Session]:
    with dovetail.connect(split.config) as session:
        yield session


def _moved(session: Session, sql: str, pushdown: str = "cost") -> dict[str, int]:
    """Rows moved per table named first in a fragment's SQL, of a run with all rules."""
    with session.sql(sql, pushdown=dict.fromkeys(("pg", "my"), pushdown)) as result:
        result.rows()
        profile = result.profile
    found: dict[str, int] = {}
    for fragment in profile.fragments:
        place = min((at, name) for name in DECLARED if (at := fragment.sql.find(name)) >= 0)[1]
        found[place] = found.get(place, 0) + (fragment.rows or 0)
    return found


def test_keys_of_the_small_side_cut_down_the_large_one(split: Federated, session: Session) -> None:
    sql = """
        select c.id, count(*) as n, min(s.day) as first
        from fn_customer c join fn_sale s on s.customer = c.id
        where c.grade = 5 group by c.id
    """
    check(session, split.local, sql)
    assert session.explain(sql).dynamic_filters
    moved = _moved(session, sql)
    assert moved["fn_customer"] < 200
    assert moved["fn_sale"] < ROWS / 10


def test_keys_pass_on_through_a_chain(split: Federated, session: Session) -> None:
    sql = """
        select r.sale, r.amount, c.grade
        from fn_customer c join fn_sale s on s.customer = c.id join fn_refund r on r.sale = s.id
        where c.id between 100 and 120
    """
    check(session, split.local, sql)
    moved = _moved(session, sql)
    assert sum(moved.values()) < ROWS / 10


def test_no_keys_no_fetch(split: Federated, session: Session) -> None:
    # The customer's filter is one that only the engine can judge, so it looks true at the source.
    sql = """
        select c.id, s.id as sale from fn_customer c join fn_sale s on s.customer = c.id
        where c.grade = 5 and reverse(c.code) = 'nothing like it'
    """
    check(session, split.local, sql)
    with session.sql(sql) as result:
        assert result.rows() == []
        sale = next(f for f in result.profile.fragments if "fn_sale" in f.sql)
    assert sale.rows == 0
    assert 0 in sale.keys.values()


def test_the_preserved_side_of_an_outer_join_is_whole(split: Federated, session: Session) -> None:
    sql = """
        select s.id, c.grade from fn_sale s left join
        (select * from fn_customer where grade = 5) c on s.customer = c.id
    """
    check(session, split.local, sql)
    assert _moved(session, sql)["fn_sale"] == ROWS
    # The other way round the sales are the side that may be cut down.
    sql = """
        select c.id, s.id as sale from (select * from fn_customer where grade = 5) c
        left join fn_sale s on s.customer = c.id
    """
    check(session, split.local, sql)
    assert _moved(session, sql)["fn_sale"] < ROWS / 10


def test_the_left_side_of_an_anti_join_is_whole(split: Federated, session: Session) -> None:
    sql = """
        select c.id from fn_customer c where c.grade = 5 and not exists
        (select 1 from fn_sale s where s.customer = c.id and s.amount > 9)
    """
    check(session, split.local, sql)
    moved = _moved(session, sql)
    assert moved["fn_sale"] < ROWS / 10
    sql = """
        select s.id from fn_sale s where not exists
        (select 1 from fn_customer c where s.customer = c.id and c.grade = 5)
    """
    check(session, split.local, sql)


@pytest.mark.parametrize("key", ["code", "day", "amount"])
def test_keys_of_every_type(split: Federated, session: Session, key: str) -> None:
    pick = {
        "code": "select code from fn_customer where id between 10 and 14",
        "day": "select distinct date '2019-04-15' + (id % 3)::integer as day from fn_customer",
        "amount": "select distinct (grade::decimal(13,0) / 100)::decimal(15,2) as amount "
        "from fn_customer where id < 20",
    }[key]
    sql = f"select k.{key}, s.id from ({pick}) k join fn_sale s on s.{key} = k.{key}"
    check(session, split.local, sql)


def test_too_many_keys_leave_their_range(split: Federated, session: Session) -> None:
    sql = """
        select count(*) as n, sum(s.amount) as t
        from fn_customer c join fn_sale s on s.customer = c.id where c.id >= 20
    """
    check(session, split.local, sql)


def test_sums_are_added_up_where_the_rows_are(split: Federated, session: Session) -> None:
    sql = """
        select c.grade, sum(s.amount) as total, count(*) as n, count(s.amount) as paid,
               min(s.id) as first, max(s.amount) as most
        from fn_sale s join fn_customer c on s.customer = c.id group by c.grade
    """
    check(session, split.local, sql)
    assert _moved(session, sql, "always")["fn_sale"] <= CUSTOMERS + 501
    whole = sorted(session.sql(sql, pushdown={"pg": "always", "my": "always"}).rows(), key=str)
    assert whole == sorted(session.sql(sql, rules=False).rows(), key=str)
    # Over the side that an outer join supplies, count(*) may not be split, count(column) may.
    for counted in ("count(s.id)", "count(*)"):
        sql = (
            f"select c.id, {counted} as n, sum(s.amount) as t from fn_customer c "
            "left join fn_sale s on s.customer = c.id group by c.id"
        )
        check(session, split.local, sql)
        pushed = session.sql(sql, pushdown={"pg": "always", "my": "always"}).rows()
        assert sorted(pushed, key=str) == sorted(session.sql(sql, rules=False).rows(), key=str)


def test_truths_are_added_up_where_the_rows_are(split: Federated, session: Session) -> None:
    """MySQL has no bool_and; there the rows come."""
    sql = """
        select c.grade, bool_and(s.amount > 0) as every, bool_or(s.code = 'c7 ') as some,
               bool_or(c.grade = 3 and s.amount > 9.7) as both, bool_and(c.grade < 5) as low
        from fn_sale s left join fn_customer c on s.customer = c.id group by c.grade
    """
    check(session, split.local, sql)
    sql = sql.replace("bool_or(c.grade = 3 and s.amount > 9.7) as both,", "")
    check(session, split.local, sql)
    always = {"pg": "always", "my": "always"}
    whole = sorted(session.sql(sql, pushdown=always).rows(), key=str)
    assert whole == sorted(session.sql(sql, rules=False).rows(), key=str)
    source = next(f["source"] for f in session.explain(sql).fragments if "fn_sale" in f["sql"])
    assert (_moved(session, sql, "always")["fn_sale"] <= CUSTOMERS + 501) == (source == "pg")


def test_an_aggregate_without_keys_over_no_rows(split: Federated, session: Session) -> None:
    sql = """
        select count(*) as n, count(s.code) as m, sum(s.amount) as t
        from fn_sale s join fn_customer c on s.customer = c.id where c.grade = 77
    """
    check(session, split.local, sql)


def test_what_cost_decides_can_be_overruled(split: Federated, session: Session) -> None:
    sql = "select customer, count(*) as n from fn_sale group by customer"
    source = next(f["source"] for f in session.explain(sql).fragments)
    for how, most in (("always", CUSTOMERS + 501), ("never", ROWS)):
        with session.sql(sql, pushdown={source: how}) as result:
            rows = sorted(result.rows(), key=str)
            assert result.profile.fragments[0].rows == most
        assert rows == sorted(session.sql(sql, rules=False).rows(), key=str)
    with pytest.raises(UsageError, match="cost, always, never"):
        session.sql(sql, pushdown={source: "sometimes"})
    with pytest.raises(UsageError, match='no source "nowhere"'):
        session.sql(sql, pushdown={"nowhere": "never"})


def test_tables_are_always_joined_where_they_are(split: Federated, session: Session) -> None:
    """Also where their join yields many times the rows of both: 71,000 out of 6,000."""
    sql = """
        select c.grade, a.id as one, b.id as other
        from fn_sale a join fn_customer c on a.customer = c.id join fn_sale b on a.code = b.code
        where a.id < 3000 and b.id < 3000
    """
    source = {"postgres": "pg", "mysql": "my"}[split.places["fn_sale"]]
    for how, fragments in (("cost", 2), ("always", 1), ("never", 2)):
        explained = session.explain(sql, pushdown={source: how})
        assert len([f for f in explained.fragments if f["source"] == source]) == fragments
        check(session, split.local, sql, pushdown={source: how})


def test_explain_shows_estimates_keys_and_drawings(split: Federated, session: Session) -> None:
    sql = "select s.id from fn_customer c join fn_sale s on s.customer = c.id where c.grade = 5"
    plain = session.explain(sql)
    text = str(plain)
    assert "Dynamic filters" in text
    assert "estimated" in text
    assert "IN (keys 1)" in text
    analyzed = session.explain(sql, analyze=True)
    learnt = analyzed.dynamic_filters[0]
    assert learnt["keys"] == 100
    assert "there were 100" in str(analyzed)
    taught = analyzed.fragments[learnt["to_fragment"] - 1]["sql"]
    assert taught.splitlines()[0] not in str(analyzed)  # nobody reads a hundred keys
    assert "(keys 1)" in str(analyzed)
    assert "(keys 1)" not in taught
    assert analyzed.to_dict()["dynamic_filters"] == analyzed.dynamic_filters
    assert plain.dot().startswith("digraph plan {")
    assert "subgraph cluster_1" in plain.dot()
    assert plain.mermaid().startswith("flowchart BT")


def test_a_kept_plan_learns_its_keys_anew(split: Federated, session: Session) -> None:
    sql = "select count(*) from fn_customer c join fn_sale s on s.customer = c.id where c.grade = 5"
    first = session.sql(sql).rows()
    assert first == session.sql(sql).rows()
    assert first == session.sql(sql, rules=["dynamic_filters"]).rows()
    assert not session.explain(sql, rules=["dynamic_filters"]).dynamic_filters
