"""Tools over SQL text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.errors import NotSupportedError, QuerySyntaxError, UnknownNameError, UsageError
from dovetail.session import Session
from dovetail.sqltools.analyze import analyzed
from dovetail.sqltools.cases import case_of_bands, case_of_values
from dovetail.sqltools.ctes import extracted
from dovetail.sqltools.format import formatted
from dovetail.sqltools.place import place_at
from dovetail.sqltools.stars import expanded

TRADES = "id,trader,qty,price\n1,Ana,100,1.1\n2,Ben,20,76.0\n"
CASES = [
    json.loads(line)["sql"]
    for line in (Path(__file__).parents[1] / "data" / "cli_cases.jsonl").read_text().splitlines()
]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    (tmp_path / "trades.csv").write_text(TRADES)
    monkeypatch.chdir(tmp_path)
    with dovetail.connect(
        {"sources": {"desk": {"kind": "files", "path": str(tmp_path)}}},
        allowed_directories=[tmp_path],
    ) as opened:
        yield opened


def test_the_layout() -> None:
    text = (
        "select trader,count(*) n -- per desk\nfrom 'trades.csv' where qty>10 group by 1 "
        "having count(*)>1 order by n desc"
    )
    assert formatted(text) == (
        "SELECT\n  trader,\n  COUNT(*) AS n /* per desk */\nFROM 'trades.csv'\nWHERE\n  qty > 10\n"
        "GROUP BY\n  1\nHAVING\n  COUNT(*) > 1\nORDER BY\n  n DESC\n"
    )
    two = "-- first\nselect 1;\n-- second\nselect 'a;b' from \"t\", 'it''s.csv'"
    assert formatted(two) == (
        "-- first\nSELECT\n  1;\n\n-- second\nSELECT\n  'a;b'\nFROM \"t\", 'it''s.csv';\n"
    )
    with pytest.raises(QuerySyntaxError) as caught:
        formatted("select a from\nwhere b")
    assert caught.value.location is not None
    assert caught.value.location.line == 2
    assert "TokenType" not in str(caught.value)


def test_the_layout_keeps_the_meaning_and_is_stable() -> None:
    """Over every other case: laid out twice it is the same, and DuckDB reads the same tree."""
    connection = duckdb.connect()
    refused = []
    for sql in CASES[::2]:
        try:
            once = formatted(sql)
        except (NotSupportedError, QuerySyntaxError):
            refused.append(sql)
            continue
        assert formatted(once) == once
        [before] = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ()
        [after] = connection.execute("SELECT json_serialize_sql(?)", [once]).fetchone() or ()
        assert bool(json.loads(before)["error"]) == bool(json.loads(after)["error"]), sql
    connection.close()
    assert len(refused) < 6, refused


def test_stars_are_written_out(session: Session) -> None:
    assert expanded("select t.*, qty*price as v from desk.trades t", session) == (
        "SELECT t.id AS id, t.trader AS trader, t.qty AS qty, t.price AS price, "
        "t.qty * t.price AS v FROM desk.trades AS t"
    )
    assert expanded("select * exclude (id, price) from 'trades.csv'", session) == (
        "SELECT trades.trader AS trader, trades.qty AS qty FROM 'trades.csv' AS trades"
    )
    text = expanded(
        "with x as (select * from 'trades.csv') select columns(*), 1 as one from x", session
    )
    with session.sql(text) as result:
        assert [name for name, _ in result.columns] == ["id", "trader", "qty", "price", "one"]
    with pytest.raises(NotSupportedError, match="COLUMNS with a pattern"):
        expanded("select columns('q.*') from 'trades.csv'", session)
    with pytest.raises(UnknownNameError):
        expanded("select * from desk.tradez", session)


def test_one_expression_with_what_it_needs(session: Session) -> None:
    text = (
        "with d as (select trader, sum(qty) as q from 'trades.csv' group by 1), "
        "hi as (select trader from d where q > 50), other as (select 1) select * from hi"
    )
    made = extracted(text, "HI")
    assert "other" not in made
    assert "'trades.csv'" in made
    with session.sql(made) as result:
        assert result.rows() == [("Ana",)]
    with session.sql(extracted("with recursive r as (select 1 as a union all select a + 1 from r "
                               "where a < 4) select max(a) from r", "r")) as result:  # fmt: skip
        assert result.rows() == [(1,), (2,), (3,), (4,)]
    with pytest.raises(UnknownNameError, match="there is d, hi, other"):
        extracted(text, "low")


def test_what_sql_does(session: Session) -> None:
    text = (
        "create temp table big as select trader, qty * price as v from 'trades.csv' where qty > 50;"
        "with t as (select v from big) select sum(v) as total, 1 as one from t;"
        "select * from desk.trades where id = $id; select nope from desk.trades"
    )
    found = analyzed(text, session)["statements"]
    assert [s["kind"] for s in found] == ["table", "query", "query", "query"]
    assert found[0]["makes"] == "big"
    assert found[0]["columns"] == [
        {"name": "trader", "type": "VARCHAR", "from": ["trades.trader"]},
        {"name": "v", "type": "DOUBLE", "from": ["trades.price", "trades.qty"]},
    ]
    assert found[1]["ctes"] == ["t"]
    assert found[1]["tables"] == ["big"]
    assert [c["type"] for c in found[1]["columns"]] == ["DOUBLE", "INTEGER"]
    assert found[2]["parameters"] == ["id"]
    assert found[2]["tables"] == ["desk.trades"]
    assert found[3]["error"]["message"].startswith('no column "nope"')
    assert analyzed("drop table x", session)["error"]["kind"] == "refused"


@pytest.mark.parametrize(
    ("place", "clause", "tables"),
    [
        ((1, 9), "select", ["t"]),
        ((1, 45), "where", ["t"]),
        ((2, 10), "select", ["trades"]),
    ],
)
def test_what_stands_at_a_place(
    session: Session, place: tuple[int, int], clause: str, tables: list[str]
) -> None:
    text = "select  id from desk.trades t where id = 1 ;\n select qty from desk.trades order by 1"
    found = place_at(text, *place, session)
    assert found["clause"] == clause
    assert found["tables"] == tables
    assert found["statement"] == place[0]
    assert {"name": "qty", "type": "BIGINT", "table": tables[0]} in found["columns"]
    with pytest.raises(UsageError, match="no place 9:1"):
        place_at(text, 9, 1, session)


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (
            case_of_bands("x", "0,25,50"),
            {-1: "<0", 0: "0-25", 24.9: "0-25", 25: "25-50", 99: ">=50"},
        ),
        (case_of_values("x", 'a,first\nb\n"c,d",it\'s\n'), {"a": "first", "b": "b", "c,d": "it's"}),
    ],
)
def test_cases_run(made: str, values: dict[Any, str]) -> None:
    for value, label in values.items():
        row = duckdb.execute(f"SELECT {made} FROM (SELECT ? AS x)", [value]).fetchone()
        assert row == (label,)
    for wrong in ("a,b", "3,2", ""):
        with pytest.raises(UsageError):
            case_of_bands("x", wrong)
    with pytest.raises(UsageError, match="no value"):
        case_of_values("x", "\n")
