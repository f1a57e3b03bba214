"""Temporary tables and views over a session."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail.errors import BindError, DovetailError, UnknownNameError
from dovetail.script.desk import Desk
from dovetail.script.statements import split
from dovetail.session import Session

TRADES = "id,trader,qty\n1,Ana,100\n2,Ana,60\n3,Ben,25\n4,,\n"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    (tmp_path / "trades.csv").write_text(TRADES)
    monkeypatch.chdir(tmp_path)
    with dovetail.connect(allowed_directories=[tmp_path, "/tmp"]) as opened:
        yield opened


@pytest.fixture
def desk(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Desk(session) as made:
        yield made
    assert not list(tmp_path.glob("dovetail-*/temporary_*"))


def run(desk: Desk, script: str, **params: Any) -> list[tuple[Any, ...]]:
    """The rows of the last statement."""
    rows: list[tuple[Any, ...]] = []
    for statement in split(script):
        result = desk.run(statement, params)
        if result is not None:
            with result:
                rows = result.rows()
    return rows


def test_tables_and_views_live_and_are_replaced(desk: Desk) -> None:
    assert run(
        desk,
        "create temp table t as select trader, sum(qty) as q from 'trades.csv' group by 1;"
        "create temp view big as select * from T where q > 50; select * from BIG",
    ) == [("Ana", 160)]
    assert desk.objects == {"t": "table", "big": "view"}
    # A view is what it was when it was made, and so is what it reads.
    assert run(desk, "create or replace temp table t as select * from t where q < 50; from t") == [
        ("Ben", 25)
    ]
    assert run(desk, "select q from big") == [(160,)]
    assert run(desk, "with t as (select 1 as q) select q from t") == [(1,)]
    assert desk.drop("BIG")
    assert not desk.drop("big")
    with pytest.raises(UnknownNameError):
        run(desk, "from big")


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("with x as (from t) select a from x", [(1,)]),
        ("with recursive r as (select a from t union all select a + 1 from r where a < 3) "
         "select max(a) from r", [(3,)]),
        ("-- said\nwith x as (from t) from x", [(1,)]),
        ("from t", [(1,)]),
        ("(select a from t) union all select a from t", [(1,), (1,)]),
        ("values ((select a from t))", [(1,)]),
        ("pivot t on a using count(*)", [(1,)]),
        ("select a from t order by a limit 1", [(1,)]),
        ('select "T".a from "T"', [(1,)]),
    ],
)  # fmt: skip
def test_every_shape_of_statement_sees_them(
    desk: Desk, query: str, rows: list[tuple[Any, ...]]
) -> None:
    assert run(desk, f"create temp table t as select 1 as a; {query}") == rows


def test_describe_summarize_and_explain(desk: Desk) -> None:
    run(desk, "create temp table t as select 1 as a, 'x' as b")
    assert [row[:2] for row in run(desk, "describe t")] == [("a", "INTEGER"), ("b", "VARCHAR")]
    assert [row[0] for row in run(desk, "describe select b from t")] == ["b"]
    assert [row[0] for row in run(desk, "summarize t")] == ["a", "b"]
    plan = run(desk, "explain select a from t where a > 0")
    assert plan[0] == ("Plan",)
    assert any("rows" in line for (line,) in run(desk, "explain analyze select a from t"))


def test_types_survive(desk: Desk) -> None:
    made = (
        "select 1::hugeint as h, 1.50::decimal(9,2) as d, '{\"a\": 1}'::json as j, "
        "uuid '00000000-0000-0000-0000-000000000001' as u, [1, null] as l, {'k': 'v'} as s, "
        "map {'a': 1} as m, '\\x00\\xff'::blob as b, interval 1 month as i, time '10:00' as t, "
        "timestamptz '2026-01-05 10:00:00+01' as z, 'a'::enum('a', 'b') as e, null as n"
    )
    [statement] = split(made)
    result = desk.run(statement)
    assert result is not None
    with result:
        columns, rows = result.columns, result.rows()
    run(desk, f"create temp table kept as {made}")
    again = desk.run(split("from kept")[0])
    assert again is not None
    with again:
        names = {name: type_ for name, type_ in again.columns if name != "n"}
        assert names == {name: type_ for name, type_ in columns if name != "n"}
        assert repr(again.rows()) == repr(rows)
    assert rows[0][1] == Decimal("1.50")


def test_parameters_are_bound_where_they_are_used(desk: Desk) -> None:
    script = "create temp table t as select * from 'trades.csv' where qty > $least; "
    assert run(
        desk, script + "select count(*) from t where trader = $who", least=50, who="Ana"
    ) == [(2,)]
    with pytest.raises(BindError, match="cannot hold parameters"):
        run(desk, "create temp view v as select $least as x", least=1)


def test_errors_stand_where_the_script_has_them(desk: Desk) -> None:
    run(desk, "create temp table t as select 1 as a")
    for script, line, column, number in (
        ("select 1;\n  select nope from t", 2, 10, 2),
        ("select 1; with x as (select nope from t) from x", 1, 29, 2),
        ("create temp view v as\n select nope from t", 2, 9, 1),
        ("describe select nope from t", 1, 17, 1),
    ):
        with pytest.raises(DovetailError) as caught:
            run(desk, script)
        place = caught.value.location
        assert place is not None
        assert (place.line, place.column, caught.value.statement) == (line, column, number), script
        assert "dovetail" not in str(caught.value)
    with pytest.raises(UnknownNameError) as near:
        run(desk, "from tt")
    assert near.value.suggestions == ("t",)
    with pytest.raises(BindError, match='a temporary table "T" already'):
        run(desk, "create temp table T as select 2")


def test_a_look_ahead_finds_everything_and_runs_nothing(desk: Desk) -> None:
    script = split(
        "create temp table t as select id, qty from 'trades.csv'; select id from t;"
        "create temp view bad as select nope from t; select * from bad; select * from nowhere;"
        "create or replace temp table t as select id as other from t; select other from t;"
        "select qty from t"
    )
    errors = desk.check(script)
    assert [error.statement for error in errors] == [3, 5, 8]
    assert desk.objects == {}
    assert desk.check(script[:2]) == []
