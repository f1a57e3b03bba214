"""Wide columns are fetched by key for the rows that are left: where it pays, and rightly always."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest
from tests.conftest import server_or_fail
from tests.databases import Declared
from tests.federated import Federated, federate
from tests.servers import Run
from tests.three_ways import check, rows_of

import dovetail
from dovetail.execution import fragments, keys
from dovetail.execution.keys import KeyLookup
from dovetail.session import Session

pytestmark = pytest.mark.servers

ROWS = 20_000
DEVICES = 3_000

DECLARED = {
    "lf_event": Declared(
        {"id": "BIGINT", "device": "INTEGER", "at": "INTEGER", "kind": "VARCHAR(20)",
         "amount": "DECIMAL(15,2)", "body": "TEXT"},
        ("id",),
    ),
    "lf_part": Declared(
        {"event": "BIGINT", "n": "INTEGER", "device": "INTEGER", "note": "TEXT"},
        ("event", "n"),
    ),
    "lf_device": Declared(
        {"id": "INTEGER", "grade": "INTEGER", "manual": "TEXT"}, ("id",), (), frozenset({"grade"})
    ),
    "lf_visit": Declared({"device": "INTEGER", "day": "INTEGER"}),
    "lf_log": Declared({"device": "INTEGER", "line": "TEXT"}),
}  # fmt: skip
SPLITS = {
    "wide in postgres": {
        "lf_event": "postgres", "lf_part": "postgres", "lf_log": "postgres", "lf_device": "mysql",
        "lf_visit": "mysql",
    },
    "wide in mysql": {
        "lf_event": "mysql", "lf_part": "mysql", "lf_log": "mysql", "lf_device": "postgres",
        "lf_visit": "postgres",
    },
}  # fmt: skip


def _long(seed: object, size: int = 400) -> str:
    """Text that no server makes shorter."""
    parts = (hashlib.sha256(f"{seed}.{n}".encode()).hexdigest() for n in range(size // 64 + 1))
    return "".join(parts)[:size]


def _table(name: str) -> pa.Table:
    import decimal

    i32 = pa.int32()
    if name == "lf_device":
        ids = range(DEVICES)
        return pa.table(
            {
                "id": pa.array(ids, i32),
                "grade": pa.array([i % 40 for i in ids], i32),
                "manual": [None if i % 9 == 0 else _long(f"m{i}", 900) for i in ids],
            }
        )
    if name == "lf_visit":
        ids = range(1_200)
        return pa.table(
            {
                "device": pa.array([None if i % 50 == 0 else i // 3 for i in ids], i32),
                "day": pa.array([i % 30 for i in ids], i32),
            }
        )
    if name == "lf_part":
        ids = range(ROWS)
        return pa.table(
            {
                "event": pa.array([i // 4 for i in ids], pa.int64()),
                "n": pa.array([i % 4 for i in ids], i32),
                "device": pa.array([i * 7 % DEVICES for i in ids], i32),
                "note": [None if i % 13 == 0 else _long(f"p{i}") for i in ids],
            }
        )
    if name == "lf_log":
        ids = range(3_000)
        return pa.table({"device": pa.array(ids, i32), "line": [_long(f"l{i}", 600) for i in ids]})
    ids = range(ROWS)
    return pa.table(
        {
            "id": pa.array([i * 3 - 500 for i in ids], pa.int64()),
            "device": pa.array(
                [None if i % 101 == 3 else i * 7 % (DEVICES + 500) for i in ids], i32
            ),
            "at": pa.array([None if i % 997 == 5 else i * 7919 % 100_003 for i in ids], i32),
            "kind": [f"k{i % 7}" for i in ids],
            "amount": pa.array([decimal.Decimal(i % 977) / 100 for i in ids], pa.decimal128(15, 2)),
            "body": [None if i % 17 == 0 else _long(i) for i in ids],
        }
    )


@pytest.fixture(scope="module", params=list(SPLITS))
def split(
    request: pytest.FixtureRequest, server_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federated]:
    made = federate(
        "lf",
        DECLARED,
        SPLITS[request.param],
        _table,
        tmp_path_factory.mktemp("late"),
        lambda kind: server_or_fail(server_run, kind),
    )
    yield made
    made.close()


@pytest.fixture
def session(split: Federated) -> Iterator[Session]:
    with dovetail.connect(split.config) as session:
        yield session


def _ordered(sql: str) -> bool:
    return "order by" in sql.rpartition(")")[2]


# Each of these, as estimated, pays.
CHOSEN = {
    "top of a join": """
        select e.id, e.body, d.grade from lf_event e join lf_device d on e.device = d.id
        where d.grade < 30 order by e.at desc nulls last, e.id limit 10""",
    "offset": """
        select e.body, e.kind, d.grade from lf_event e join lf_device d on e.device = d.id
        order by e.at nulls first, e.id desc limit 7 offset 15""",
    "computed above": """
        select upper(e.body) as b, length(e.kind) + d.grade as l, e.id
        from lf_event e join lf_device d on e.device = d.id order by e.at, e.id limit 20""",
    "order by an expression": """
        select e.body, e.id from lf_event e join lf_device d on e.device = d.id
        order by e.at % 100 + d.grade, e.id limit 12""",
    "the key is not selected": """
        select e.body, v.day from lf_event e join lf_visit v on e.device = v.device
        order by e.at, e.id, v.day limit 30""",
    "rows repeated by a join": """
        select e.body, e.amount, v.day from lf_visit v join lf_event e on v.device % 7 = e.device
        order by v.day, v.device, e.at limit 40""",
    "null-extended": """
        select d.id, d.grade, e.body, e.amount
        from lf_device d left join lf_event e on e.device = d.id + 3400
        order by d.grade desc, d.id, e.at limit 60""",
    "kept on the left": """
        select e.id, e.body, d.grade from lf_event e left join lf_device d on e.device = d.id
        order by e.at, e.id limit 25""",
    "full join": """
        select e.id, e.body, d.id as device, d.grade
        from lf_event e full join lf_device d on e.device = d.id + 1000
        order by d.grade nulls last, d.id, e.id limit 50""",
    "anti join": """
        select e.id, e.body from lf_event e
        where not exists (select 1 from lf_visit v where v.device = e.device)
        order by e.at, e.id limit 10""",
    "semi join with a filter of ours": """
        select e.id, e.body from lf_event e
        where e.device in (select d.id from lf_device d where d.grade <> 5)
        and e.at % 11 = (select min(day) from lf_visit) + 4 order by e.id limit 10""",
    "a filter of ours": "select e.id, e.body from lf_event e where e.at % 977 = 7",
    "a filter on what comes late, at its source": """
        select e.id, e.body from lf_event e join lf_device d on e.device = d.id
        where e.body is not null order by e.at, e.id limit 10""",
    "a window": """
        select id, body, grade from (
          select e.id, e.body, d.grade, row_number() over (partition by d.grade order by e.at, e.id)
            as place from lf_event e join lf_device d on e.device = d.id) ranked
        where place = 1 order by id limit 30""",
    "grouped above": """
        select grade, count(*) as n, count(distinct body) as bodies, min(body) as least from (
          select e.body, d.grade from lf_event e join lf_device d on e.device = d.id
          order by e.at, e.id limit 90) t group by grade""",
    "both sides": """
        select e.id, e.body, d.manual from lf_event e join lf_device d on e.device = d.id
        order by e.at, e.id limit 10""",
    "the same table twice": """
        select a.id as a, b.id as b, a.body, b.body as other from lf_event a
        join lf_device d on a.device = d.id join lf_event b on b.device = d.grade
        order by a.at, b.at, a.id, b.id limit 10""",
    "a key of two columns": """
        select p.event, p.n, p.note, d.grade from lf_part p join lf_device d on p.device = d.id
        order by d.grade, p.event, p.n limit 15""",
    "no rows are left": """
        select e.id, e.body from lf_event e join lf_device d on e.device = d.id + 100000
        order by e.at limit 10""",
    "a limit of none": """
        select e.id, e.body from lf_event e join lf_device d on e.device = d.id
        order by e.at limit 10 offset 90000""",
}  # fmt: skip


@pytest.mark.parametrize("name", list(CHOSEN))
def test_rows(session: Session, split: Federated, name: str) -> None:
    sql = CHOSEN[name]
    explained = session.explain(sql)
    assert "Keep rows" in str(explained), str(explained)
    check(session, split.local.cursor(), sql, ordered=_ordered(sql))
    without = session.sql(sql, rules=["late_fetch"])
    assert "Keep rows" not in str(session.explain(sql, rules=["late_fetch"]))
    plain = split.local.cursor().execute(sql).fetchall()
    assert sorted(rows_of(without), key=str) == sorted(plain, key=str)


# What is compared here cannot come late, nor what no key finds again; below a grouping it may.
OTHERS = {
    "no key": """
        select l.line, d.grade from lf_log l join lf_device d on l.device = d.id
        order by d.grade, d.id limit 3""",
    "what comes late is compared": """
        select e.id, d.id as d from lf_event e join lf_device d
        on e.device = d.id and e.body > d.manual order by e.at, e.id limit 3""",
    "rows are merged": """
        select e.body, count(*) as n from lf_event e join lf_device d on e.device = d.id
        group by e.body order by n desc, e.body limit 3""",
    "distinct": """
        select distinct e.body, d.grade from lf_event e join lf_device d on e.device = d.id
        order by d.grade, e.body limit 3""",
    "all rows are left": """
        select e.id, e.body, d.grade from lf_event e join lf_device d on e.device = d.id""",
}  # fmt: skip


@pytest.mark.parametrize("name", [*CHOSEN, *OTHERS])
def test_forced(session: Session, split: Federated, name: str) -> None:
    sql = (CHOSEN | OTHERS)[name]
    always = {"pg": "always", "my": "always"}
    check(session, split.local.cursor(), sql, ordered=_ordered(sql), pushdown=always)


@pytest.mark.parametrize("name", list(OTHERS))
def test_not_by_cost(session: Session, name: str) -> None:
    assert "Keep rows" not in str(session.explain(OTHERS[name]))


@pytest.mark.parametrize("name", ["no key", "what comes late is compared"])
def test_never(session: Session, name: str) -> None:
    always = {"pg": "always", "my": "always"}
    explained = str(session.explain(OTHERS[name], pushdown=always))
    assert "body_late" not in explained
    assert "line_late" not in explained


def test_figures(session: Session) -> None:
    explained = session.explain(CHOSEN["offset"], analyze=True)
    (decision,) = [text for text in explained.decisions if "late" in text]
    late = r"body.* of .*lf_event fetched late, by key: \d+ ms for at most 7 rows"
    assert re.search(late, decision)
    assert re.search(r"\d+ ms with all (1[5-9]|2[0-5]),\d{3}, by estimate", decision)
    (filtered,) = [f for f in explained.dynamic_filters if f["from_fragment"] is None]
    assert filtered["keys"] == 7
    assert f"keys {filtered['number']}: id" in str(explained)
    (last,) = [f for f in explained.fragments if f["number"] == filtered["to_fragment"]]
    assert last["rows"] == 7
    assert "CREATE TABLE fragment_" in explained.to_dict()["residual_sql"]
    moved = sum(f["bytes"] for f in explained.fragments)
    wide = session.explain(CHOSEN["offset"], analyze=True, rules=["late_fetch"])
    assert moved * 2 < sum(f["bytes"] for f in wide.fragments)


def test_connections(split: Federated) -> None:
    """The one that stays for what comes late is one of those that a query may have."""
    if split.places["lf_event"] != "postgres":
        pytest.skip("about PostgreSQL")
    for most in (1, 2):
        source = {**split.config["sources"]["pg"], "max_connections": most}
        with dovetail.connect({"sources": {**split.config["sources"], "pg": source}}) as session:
            explained = str(session.explain(CHOSEN["offset"]))
            assert ("Keep rows" in explained) == (most > 1)
            check(session, split.local.cursor(), CHOSEN["offset"], ordered=True)


def test_tables_without_a_snapshot(split: Federated) -> None:
    if split.places["lf_event"] != "mysql":
        pytest.skip("about MariaDB")
    (database,) = [d for d in split.databases if d.server.kind == "mysql"]
    database.execute("ALTER TABLE lf_event ENGINE = MyISAM", "ANALYZE TABLE lf_event")
    try:
        with dovetail.connect(split.config) as session:
            assert "Keep rows" not in str(session.explain(CHOSEN["offset"]))
    finally:
        database.execute("ALTER TABLE lf_event ENGINE = InnoDB", "ANALYZE TABLE lf_event")


def test_one_snapshot(split: Federated, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed after the first read of a table is not seen by the second."""
    (database,) = [d for d in split.databases if d.server.kind == split.places["lf_event"]]
    sql = CHOSEN["offset"]
    wanted = session.sql(sql).rows()
    changed: list[int] = []

    def look_up(connection: Any, lookup: KeyLookup, relations: Mapping[int, str]) -> Any:
        if lookup.teacher > lookup.target:  # the rows that are kept are counted last
            database.execute("UPDATE lf_event SET body = concat(body, '!')")
            changed.append(lookup.target)
        return keys.look_up(connection, lookup, relations)

    monkeypatch.setattr(fragments, "look_up", look_up)
    try:
        got = session.sql(sql).rows()
        assert changed
        assert got == wanted
        assert session.sql(sql).rows() != wanted
    finally:
        database.execute("UPDATE lf_event SET body = substr(body, 1, 400)")
