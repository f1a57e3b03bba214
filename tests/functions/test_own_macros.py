"""``macros:`` of a configuration: what they mean, where they run, and every mistake in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.databases import Database

import dovetail
from dovetail.config_load import load
from dovetail.errors import BindError, ConfigError, NotSupportedError, UnknownNameError
from dovetail.functions.own import own_macros
from dovetail.functions.registry import functions, search

MACROS: dict[str, dict[str, Any]] = {
    "net": {"parameters": ["amount", "rate := 0.25"], "sql": "amount / (1 + rate)"},
    "Margin": {
        "parameters": ["price", "cost"],
        "sql": "(net(price) - cost) / nullif(net(price), 0)",
    },
    "month_of": {"parameters": ["date"], "sql": "date_trunc('month', date::date)::date  -- first"},
    "spread": {"parameters": ["x"], "sql": "max(x) - min(x)"},
    "share": {"parameters": ["x"], "sql": "x / sum(x) OVER ()"},
    "scaled": {"parameters": ["xs", "factor"], "sql": "list_transform(xs, lambda e: e * factor)"},
    "iqr": {"parameters": ["x"], "sql": "quantile_disc(x, 0.75) - quantile_disc(x, 0.25)"},
    "iqr_cv": {"parameters": ["x"], "sql": "iqr(x) + cv(x) * 0"},
    "answer": {"sql": "42"},
    "big": {"parameters": ["x", "least := 70"], "sql": "x >= least"},
}


def rows(sql: str, macros: dict[str, dict[str, Any]] = MACROS) -> list[tuple[Any, ...]]:
    with dovetail.connect({"macros": macros}) as session, session.sql(sql) as result:
        return result.rows()


def problems(**macros: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({"macros": macros})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("net(100.0)", 80.0),
        ("net(100.0, 1)", 50.0),
        ("net(rate := 3, amount := 8.0)", 2.0),
        ("round(margin(12.5, 4), 4)", 0.6),
        ("MARGIN(12.5, (4))", 0.6),
        ("month_of('2026-03-14')::text", "2026-03-01"),
        ("scaled([1, 2], 3)", [3, 6]),
        ("answer() + answer()", 84),
        ("net(net(100.0, 1), 1)", 25.0),
        ("list_transform([1.0], lambda x: net(x, 1))", [0.5]),
    ],
)
def test_what_they_mean_is_what_duckdb_says(expression: str, wanted: object) -> None:
    [(found,)] = rows(f"SELECT {expression}")
    assert found == wanted
    with duckdb.connect() as plain:
        for macro in own_macros(load({"macros": MACROS}).macros).own.values():
            plain.execute(macro.statement)
        assert plain.execute(f"SELECT {expression}").fetchone() == (wanted,)


def test_aggregates_and_windows_may_be_part_of_one() -> None:
    table = "(VALUES ('a', 1), ('a', 4), ('b', 5)) t(k, n)"
    assert rows(f"SELECT k, spread(n) FROM {table} GROUP BY k ORDER BY k") == [("a", 3), ("b", 0)]
    assert rows(f"SELECT share(n) FROM {table} ORDER BY n") == [(0.1,), (0.4,), (0.5,)]


def test_one_of_ours_by_the_same_name_is_hidden_everywhere() -> None:
    values = "(VALUES (1), (2), (4)) t(x)"
    ours = rows(f"SELECT iqr(x) FROM {values}", {})
    assert ours == [(1.5,)]
    assert rows(f"SELECT iqr(x), iqr_cv(x) FROM {values}") == [(3, 3.0)]
    found = functions(own_macros(load({"macros": MACROS}).macros).own)
    assert found["iqr"].family == "Own macros"
    assert functions()["iqr"].family == "Statistics"
    assert [f.name for f in search("net", own_macros(load({"macros": MACROS}).macros).own)] == [
        "net"
    ]


def test_a_column_and_a_table_of_the_same_name_stay_what_they_are() -> None:
    sql = (
        "WITH net(net, answer) AS (SELECT 10.0, 7) "
        "SELECT net, net(net), answer FROM net AS net(net, answer)"
    )
    assert rows(sql) == [(10, 8.0, 7)]


def test_its_parts_are_pushed(postgres_database: Database) -> None:
    table = pa.table({"n": list(range(100))})
    postgres_database.load("numbers", table)
    config = {"sources": {"pg": postgres_database.source()}, "macros": MACROS}
    with dovetail.connect(config) as session:
        sql = "SELECT count(*) AS n FROM pg.numbers WHERE big(n, least := 90)"
        explained = session.explain(sql).to_dict()
        assert explained["road"] == "plan"
        assert ">= (90)" in explained["fragments"][0]["sql"]
        with session.sql(sql) as result:
            assert result.rows() == [(10,)]


def test_columns_are_named_as_written_on_both_roads(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as made:
        made.execute("CREATE TABLE t AS SELECT range AS n, range::DOUBLE AS price FROM range(100)")
    config = {
        "sources": {"d": {"kind": "duckdb", "path": str(tmp_path / "d.duckdb")}},
        "macros": MACROS,
    }
    with dovetail.connect(config) as session:
        with session.sql("SELECT n, net(price) FROM d.t WHERE net(price) > 78.5") as result:
            assert [name for name, _ in result.columns] == ["n", "net(price)"]
            assert result.rows() == [(99, 79.2)]
        # The engine's own road: what the planner does not model.
        with session.sql(
            "PIVOT (SELECT n % 2 AS odd, price FROM d.t) ON odd USING sum(net(price, 1))"
        ) as result:
            assert result.rows() == [(1225.0, 1250.0)]


def test_calls_that_cannot_be() -> None:
    with pytest.raises(BindError, match=r"net takes net\(amount, rate := 0.25\); 3 arguments"):
        rows("SELECT net(1, 2, 3)")
    with pytest.raises(BindError, match=r'"rat" is no parameter of it'):
        rows("SELECT net(1, rat := 2)")
    with pytest.raises(UnknownNameError, match="margin"):
        rows("SELECT margn(1, 2)")
    with pytest.raises(NotSupportedError, match="is a macro and no method"):
        rows("SELECT x.net() FROM (SELECT 1 AS x)")
    # DuckDB keeps the two apart; a text put in place of a parameter would not.
    with pytest.raises(NotSupportedError, match='calls a value "e" inside it'):
        rows("SELECT scaled(l, e) FROM (SELECT 10 AS e, [1, 2] AS l)")


@pytest.mark.parametrize(
    ("name", "macro", "words"),
    [
        ("sum", {"parameters": ["x"], "sql": "x"}, "macros.sum: `sum` is a function of the engine"),
        ("read_csv", {"sql": "1"}, "macros.read_csv: `read_csv` is a function of the engine"),
        ("select", {"sql": "1"}, "macros.select: `select` is a word of SQL"),
        ("a-b", {"sql": "1"}, "macros.a-b: a name is made of letters"),
        ("m", {"parameters": ["x"], "sql": "x +"}, "macros.m.sql: syntax error"),
        ("m", {"parameters": ["x"], "sql": "x, 2"}, "macros.m.sql: is not one expression"),
        ("m", {"parameters": ["x"], "sql": "x AS y"}, "macros.m.sql: names its result `y`"),
        ("m", {"parameters": ["x"], "sql": "x LIMIT 1"}, "macros.m.sql: is not one expression"),
        ("m", {"sql": "1 FROM range(3)"}, "macros.m.sql: is not one expression"),
        ("m", {"sql": "1;"}, "macros.m.sql: is not one expression"),
        ("m", {"sql": "1; DROP TABLE t"}, "macros.m.sql: read-only"),
        ("m", {"parameters": ["x"], "sql": "x) + (x"}, "macros.m.sql: syntax error"),
        ("m", {"sql": "(SELECT 1)"}, "macros.m.sql: holds a SELECT"),
        ("m", {"sql": "count(*) + len(COLUMNS(*))"}, "macros.m.sql: holds a *"),
        ("m", {"sql": "$x + 1"}, "macros.m.sql: holds a $parameter"),
        ("m", {"sql": "getenv('HOME')"}, 'macros.m.sql: function "getenv" is refused'),
        ("m", {"sql": "nofunc(1)"}, 'macros.m.sql: no function "nofunc"'),
        ("m", {"sql": "sum(1) OVER ()"}, "macros.m.sql: is a window function and no expression"),
        ("m", {"parameters": ["x"], "sql": "x + y"}, "`y` is no parameter; its parameters are x"),
        ("m", {"sql": "y"}, "macros.m.sql: `y` is no parameter; it has no parameters"),
        ("m", {"parameters": ["x"], "sql": "m(x) + 1"}, "macros.m.sql: calls itself: m → m"),
        ("m", {"parameters": ["x", "X"], "sql": "x"}, "macros.m.parameters[1]: `x` is there twice"),
        ("m", {"parameters": ["a b"], "sql": "1"}, "macros.m.parameters[0]: `a b` is no parameter"),
        ("m", {"parameters": ["from"], "sql": "1"}, "macros.m.parameters[0]: `from` is a word"),
        ("m", {"parameters": ["x := "], "sql": "x"}, "macros.m.parameters[0]: `x := ` is no param"),
        ("m", {"parameters": ["x := y"], "sql": "x"}, "cannot contain column names"),
        ("m", {"parameters": ["x := (select 1)"], "sql": "x"}, "macros.m.parameters[0]: holds a"),
        ("m", {"parameters": ["x := 1", "y"], "sql": "x"}, "Parameter without a default follows"),
        (
            "m",
            {"parameters": ["x"], "sql": "list_transform([1], lambda x: x)"},
            "macros.m.sql: `x` is a parameter and a value inside a lambda",
        ),
        ("m", {"parameters": ["x"]}, "macros.m.sql: is missing"),
    ],
)
def test_every_mistake_has_its_key(name: str, macro: dict[str, Any], words: str) -> None:
    [found] = problems(**{name: macro})
    assert words in found


def test_all_mistakes_are_told_at_once_and_each_only_once() -> None:
    found = problems(
        a={"parameters": ["x"], "sql": "b(x)"},
        b={"parameters": ["x"], "sql": "c(x)"},
        c={"parameters": ["x"], "sql": "a(x)"},
        bad={"parameters": ["x"], "sql": "x +"},
        uses_bad={"parameters": ["x"], "sql": "bad(x)"},
        BAD={"parameters": ["x"], "sql": "x"},
    )
    assert found == [
        "macros.bad.sql: syntax error at end of input",
        "macros.a.sql: calls itself: a → b → c → a; a macro is written out, so it must end",
    ]
    again = problems(one={"sql": "1"}, ONE={"sql": "2"})
    assert again == ["macros.ONE: `one` is there already, in other letters; remove one"]


def test_the_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dovetail.yaml"
    path.write_text("macros:\n  m:\n    parameters: [x]\n    sql: x + y\n")
    with pytest.raises(ConfigError, match=r"macros.m.sql \(line 4\): `y` is no parameter"):
        load(path)
