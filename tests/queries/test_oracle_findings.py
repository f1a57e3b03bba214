"""What random queries have found (``tests/fuzz``), each cut down to the least that showed it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import dovetail
from dovetail.session import Session
from tests import three_ways
from tests.conftest import server_or_fail
from tests.databases import Declared
from tests.federated import Federated, federate
from tests.fuzz.worlds import COLUMNS, TABLES, World
from tests.servers import Run

pytestmark = pytest.mark.servers

_ROW = {
    "id": 0,
    "r": 0,
    "k": 1,
    "n": 7,
    "v": Decimal("1.50"),
    "w": Decimal("-2.500000"),
    "s": "a",
    "c": "ab",
    "d": date(2024, 2, 29),
    "t": datetime(2024, 1, 1),
    "b": True,
    "x": 2.25,
}
# Per table, what its rows have instead; the ids count from 0.
_OTHER = {
    "td": [{}, {"s": "A", "c": "AB"}, {"b": False, "n": None}],
    "ta": [{}, {"r": 1, "k": 2, "s": "A", "x": None}, {"k": None}],
    "tb": [{"s": "A"}, {}, {"r": 2, "k": 3, "s": "ä", "b": None}, {"s": "a "}],
    "tc": [{}, {"k": 2, "s": None, "d": None, "t": None}],
    "te": [],
}
_ROWS = {
    table: [{**_ROW, **row, "id": number} for number, row in enumerate(rows)]
    for table, rows in _OTHER.items()
}
_PLACES = {"td": "mysql", "ta": "postgres", "tb": "mysql", "tc": "postgres", "te": "sqlite"}

# A constant that is sorted by is no position, and no error of the engine.
CASES = {
    "order by a constant number": "select 7 as o, s from tb order by 1, 2, s limit 2",
    "order by a constant text": "select 'x' as o, id from ta order by o, id desc limit 2",
    "order by a truth": "select id > 0 or true as o, id from tb order by 1, 2 limit 1",
    # Seed 918182274, query 155: the total's key is NULL, though the subquery is not.
    "rollup by a subquery": "select (select min(c) from tc) as o0, count(*) as n from te "
    "group by rollup ((select min(c) from tc))",
    "rollup by a subquery, with rows": "select (select min(c) from tc) as o0, count(*) as n "
    "from tb group by rollup ((select min(c) from tc)) order by n, o0",
    # Seed 835891207, query 108: a tinyint(1) that is read as a truth is none at MySQL.
    "semi join on a column": "select count(q1.x) as o from tb q1 semi join td q2 on q2.b",
    "join on a column": "select q1.id, q2.id as other "
    "from tb q1 join td q2 on q1.k = q2.k and q2.b",
    # Seed 123996971, query 179: what an aggregate is ordered by became a constant.
    "aggregate in a constant order": "select string_agg(f0, ',' order by f0) as o from "
    "(select 'b' as f0, id from td) q",
    "aggregate in an order with a constant": "select string_agg(s, ',' order by f0, id) as o from "
    "(select 'b' as f0, id, s from td) q",
    # Seed 913797628, query 71: nothing differs from all of no values, NULL neither.
    "outer join under all of nothing": "select q1.id, q2.n from ta q1 "
    "left join te q2 on q1.k = q2.k where q2.n <> all (select id from tb where id > 99)",
    "outer join under any": "select q1.id, q2.n from ta q1 left join tb q2 on q1.k = q2.k "
    "where q2.n = any (select q3.n from tb q3)",
    # Seed 506387245, query 236: the subquery selects a column of the outer query.
    "any of an outer column": "select q5.t as o from ta q5 "
    "where q5.s >= any (select q5.s from ta q6, tc q7)",
    "in of an outer column": "select q5.id from ta q5 "
    "where q5.s in (select q5.s from ta q6, tc q7)",
    # Seed 17022773, query 96: a subquery's answer for 'A' is none for 'a'.
    "anti join on text": "select q1.id, q1.s from tb q1 "
    "anti join td q2 on q1.s = q2.s and q2.id > 0",
    # Seed 810804603, query 101: DuckDB lists no columns of a scan that it has not pruned.
    "scan beside a distinct": "select count(*) over (order by q.t desc, q.d) as o "
    "from (select distinct b from tb) a, lateral (select 1) l, tc q",
    # Seed 93464334, query 62: MariaDB's derived tables do not see the query around them.
    "exists over a right join": "select id, d from tb q5 where exists (select * "
    "from td q6 right join td q7 on q6.r = q7.id where q7.d = q5.d)",
    "exists over a limit": "select id, d from tb q5 where exists (select * "
    "from (select * from td q7 where q7.d = q5.d limit 1) q)",
    # Seed 254919122, query 296: how a computed truth comes over from MySQL.
    "a test for NULL": "select b is null as o, id in (1, 2) as p from tb",
    "a truth that is not shown": "select min(q1.v) filter (where q2.f) as o "
    "from tb q1, (select d in (date '2024-01-01') as f from tb) q2",
    "an interval": "select interval '30' day as o, interval '14' month as p from tb",
    # Seed 749025898, query 146: an aggregate of outer columns is one of the outer query.
    "an outer aggregate": "select (select min(q.k) from (select max(x) as m from te) f) as o "
    "from (select k from te) q",
    # Seed 706155428, query 140: a filter that DuckDB puts on a stream and cannot apply there.
    "a truth that is true": "select min(q3.r) over (order by q3.c desc) as o from tb q3 "
    "where true = q3.b or q3.b is true",
    # Seed 735168533, query 21: a window over a subquery with a window in it.
    "a window over a subquery": "select id from (select id, (select min(m) from (select "
    "last_value(x) over (order by id) as m from ta) q) as f from tb) p "
    "qualify sum(id) over (partition by f) > 0",
    # Seed 632077503, query 163: DuckDB takes SEMI JOIN here, but not the EXISTS we write for it.
    "a semi join whose form is refused": "with w1 as materialized (select * from ta), "
    "w3 as materialized (select t2.id from w1 t2 semi join (select b.k from td a "
    "full join w1 b on true) z on t2.k = z.k) select id from w1 "
    "where exists (select 1 from td join w3 on td.id = w3.id) or w1.b",
    # Seed 893766611, query 232: the keys of ROLLUP are NULL in its totals, whatever the column is.
    "not in totals": "select sum(distinct w) as o from td where not (k in (select f1 from "
    "(select x, r, min(n) from tb where false group by rollup (x, r)) q(f0, f1, f2)))",
    "not in totals of a column that is never null": "select count(*) as o from td where not (r in "
    "(select f1 from (select k, id, min(n) from tb group by rollup (k, id)) q(f0, f1, f2)))",
    # Seed 969087369, query 144: MariaDB does not find a computed key again in HAVING.
    "having a computed key": "select f0 from (select t, w, min(x) from td group by t, w) "
    "q(f0, f1, f2) where f1 not in (1.50, (-1.50), 0.01) or random() < 0",
    # Seed 935263293, query 36: DuckDB refuses an outer join over a subquery in this form.
    "an outer join on a subquery": "select avg(a.id) as o from tb b, ta a left join "
    "(select c from td where exists (select 1 from td)) q on true",
    # Seed 693703996, query 254: NULL beside an outer join, though no row of the table has one.
    "not in of an outer join's side": "select id from td where not (id in "
    "(select q2.r from td q2 right join ta q3 on q2.k = q3.id + 50))",
    # Seed 395246507, query 40: a join of no rows at MySQL cost something by none.
    "a join of nothing": "select min(a.s) as o from (select s from tb limit 0) a, "
    "(select id from tb limit 0) b",
    "exists on text": "select id from tb "
    "where exists (select 1 from td where td.s = tb.s and td.b)",
}


@pytest.fixture(scope="module")
def placed(server_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    rows = {t: {name: [row[name] for row in _ROWS[t]] for name in COLUMNS} for t in TABLES}
    nullable = dict.fromkeys(TABLES, frozenset(COLUMNS) - {"id", "r"})
    world = World(0, rows, _PLACES, nullable, (("ta", "k"), ("tb", "k")), {})
    folder = tmp_path_factory.mktemp("found")
    made = world.load(folder, lambda kind: server_or_fail(server_run, kind))
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(placed: Federated) -> Iterator[Session]:
    with dovetail.connect(placed.config) as opened:
        yield opened


@pytest.mark.parametrize("sql", CASES.values(), ids=CASES)
def test_case(placed: Federated, session: Session, sql: str) -> None:
    three_ways.check(session, placed.local, sql, widths=False)


def test_a_plan_that_the_engine_refuses_runs_without_rules(server_run: Run, tmp_path: Path) -> None:
    """Seed 126897731, query 131: an inlined WITH in a correlated NOT IN with an outer join."""
    sql = """
        with w1 as not materialized (select id as f0, v as f1 from orf_a),
        w3 as not materialized (
            select a.v as f0, max(b.f1) as f1 from w1 b full join orf_a a on true
            group by grouping sets ((a.v), ()))
        select q8.id from orf_a q8 where q8.v not in
        (select distinct 7 from w3 q9 left join w1 q10 on true
         where least(q10.f1, q8.v) is distinct from q10.f1)
    """
    declared = {"orf_a": Declared({"id": "INTEGER", "v": "INTEGER"})}
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "v": pa.array([7, 8, 9], pa.int32())})
    made = federate(
        "orf",
        declared,
        {"orf_a": "postgres"},
        lambda name: rows,
        tmp_path,
        lambda kind: server_or_fail(server_run, kind),
    )
    try:
        with dovetail.connect(made.config) as session:
            three_ways.check(session, made.local, sql)
    finally:
        made.close()
