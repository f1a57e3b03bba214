"""A goal sends the same fragments as the equal SQL, and moves no more rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp
from tests.conftest import server_or_fail
from tests.databases import Declared
from tests.federated import Federated, federate

import dovetail
from dovetail.session import Session

TABLES = {
    "people": pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 5, 6], pa.int32()),
            "city": ["NYC", "LA", "NYC", "SF", "LA", "NYC"],
        }
    ),
    "orders": pa.table(
        {
            "person": pa.array([1, 1, 3, 4, 9], pa.int32()),
            "amount": pa.array([10, 20, 30, 40, 50], pa.int32()),
        }
    ),
}
DECLARED = {
    "people": Declared({"id": "INTEGER", "city": "VARCHAR(10)"}),
    "orders": Declared({"person": "INTEGER", "amount": "INTEGER"}),
}
PROGRAM = """
:- source(people, pg.people).
:- source(orders, my.orders).
spend(City, Amount) :- people(Id, City), orders(Id, Amount), Amount > 15, Id < 5.
total(City, T) :- group_by(City, spend(City, A), sum(A), T).
big(Person, N, T) :- group_by(Person, (orders(Person, A), A > 5), [count(N), sum(A, T)]), N > 1.
per_city(City, N) :- group_by(City, people(_, City), count, N), N > 1.
both(City, T) :- people(Id, City), big(Id, _, T).
"""
PAIRS = {
    "join": (
        "spend(City, Amount)",
        "select p.city, o.amount from pg.people p join my.orders o on p.id = o.person "
        "where o.amount > 15 and p.id < 5",
    ),
    "grouped join": (
        "total(City, T)",
        "select p.city, sum(o.amount) as t from pg.people p join my.orders o on p.id = o.person "
        "where o.amount > 15 and p.id < 5 group by p.city",
    ),
    "grouping with HAVING at one source": (
        "big(Person, N, T)",
        "select person, count(*) as n, sum(amount) as t from my.orders where amount > 5 "
        "group by person having count(*) > 1",
    ),
    "grouping with HAVING at PostgreSQL": (
        "per_city(City, N)",
        "select city, count(*) as n from pg.people group by city having count(*) > 1",
    ),
    "a grouping of one joined with the other": (
        "both(City, T)",
        "select p.city, b.t from pg.people p join (select person, count(*) as n, "
        "sum(amount) as t from my.orders where amount > 5 group by person having count(*) > 1) b "
        "on p.id = b.person",
    ),
}


@pytest.fixture(scope="module")
def federated(server_run: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    made = federate(
        "rules_pushdown",
        DECLARED,
        {"people": "postgres", "orders": "mysql"},
        TABLES.__getitem__,
        tmp_path_factory.mktemp("pushdown"),
        lambda kind: server_or_fail(server_run, kind),  # type: ignore[arg-type]
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(federated: Federated) -> Iterator[Session]:
    with dovetail.connect(federated.config) as opened:
        yield opened


def fragments(explanation: object) -> list[tuple[str, str]]:
    """Source and SQL of each fragment, whatever its columns are called."""
    found = []
    for fragment in explanation.fragments:  # type: ignore[attr-defined]
        dialect = "postgres" if fragment["source"] == "pg" else "mysql"
        tree = sqlglot.parse_one(fragment["sql"], dialect=dialect)
        for wrapped in tree.find_all(exp.Subquery):
            places = [e.alias_or_name for e in wrapped.this.expressions]
            for column in tree.find_all(exp.Column):
                if column.table == wrapped.alias and column.name in places:
                    column.this.set("this", f"c{places.index(column.name)}")
        for alias in list(tree.find_all(exp.Alias)):
            alias.replace(alias.this)
        found.append((fragment["source"], tree.sql(dialect=dialect, comments=False)))
    return sorted(found)


@pytest.mark.servers
@pytest.mark.parametrize("name", PAIRS)
def test_same_fragments_as_sql(session: Session, name: str) -> None:
    goal, sql = PAIRS[name]
    program = session.program(PROGRAM)
    explained = program.explain(goal, analyze=True)
    equal = session.explain(sql, analyze=True)
    assert fragments(explained) == fragments(equal)
    with program.run(goal) as ours, session.sql(sql) as theirs:
        assert sorted(ours.rows()) == sorted(theirs.rows())
    moved = {f["source"]: f["rows"] for f in explained.fragments}
    assert moved == {f["source"]: f["rows"] for f in equal.fragments}


@pytest.mark.servers
def test_only_the_groups_move(session: Session) -> None:
    explained = session.program(PROGRAM).explain("per_city(City, N)", analyze=True)
    assert [(f["source"], f["rows"]) for f in explained.fragments] == [("pg", 2)]
    assert explained.to_dict()["scans"] == {"people": 1}
