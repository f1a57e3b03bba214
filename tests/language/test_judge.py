"""The judge: what may run, what it refers to, and where the text is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from dovetail.errors import (
    DovetailError,
    NotSupportedError,
    QuerySyntaxError,
    RefusedError,
    UnknownNameError,
)
from dovetail.language.sql import judge_functions as lists
from dovetail.language.sql.judge import Judged, judge, judge_view, split_statements


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    made = duckdb.connect(config={"enable_external_access": "false"})
    made.execute("SET lock_configuration = true")
    yield made
    made.close()


def live_functions() -> dict[str, set[str]]:
    """Every function of the bundled DuckDB by name, with its kinds."""
    rows = duckdb.connect().execute(
        "SELECT lower(function_name), function_type FROM duckdb_functions()"
    )
    found: dict[str, set[str]] = {}
    for name, kind in rows.fetchall():
        found.setdefault(name, set()).add(kind)
    return found


def tables(judged: Judged) -> list[str]:
    return [table.text for table in judged.tables]


# -- the lists ------------------------------------------------------------------------------------


def test_every_function_of_duckdb_is_classified() -> None:
    known = lists.ALLOWED | lists.REFUSED.keys() | lists.FILE_FUNCTIONS | lists.TABLE_FUNCTIONS
    assert sorted(set(live_functions()) - known) == []


def test_a_function_is_on_one_list_only() -> None:
    assert sorted(lists.ALLOWED & lists.REFUSED.keys()) == []
    assert sorted(lists.ALLOWED & lists.FILE_FUNCTIONS) == []
    assert sorted(lists.REFUSED.keys() & lists.FILE_FUNCTIONS) == []
    assert sorted(lists.TABLE_FUNCTIONS - lists.ALLOWED) == []


def test_allowed_functions_exist_or_are_syntax() -> None:
    syntax = {"coalesce", "columns", "grouping", "grouping_id", "if", "ifnull", "struct", "try"}
    assert sorted(lists.ALLOWED - live_functions().keys() - syntax) == []


def test_functions_in_from_are_few_and_live() -> None:
    kinds = live_functions()
    in_from = {name for name, found in kinds.items() if found & {"table", "table_macro"}}
    not_live = {"stdin", "read_xlsx"}  # ours, and an extension's
    assert sorted(lists.TABLE_FUNCTIONS - in_from) == []
    assert sorted(lists.FILE_FUNCTIONS - in_from - not_live) == []


def test_bodies_of_allowed_macros_pass_the_judge(connection: Any) -> None:
    """A macro of DuckDB's own is what its body is, so the body must be allowed too."""
    rows = duckdb.connect().execute(
        "SELECT function_name, macro_definition FROM duckdb_functions() "
        "WHERE function_type = 'macro'"
    )
    checked = 0
    for name, body in rows.fetchall():
        if name.lower() in lists.ALLOWED and body:
            judged = judge(f"SELECT {body}", connection=connection)
            assert judged.tables == (), name
            checked += 1
    assert checked > 80


def test_functions_that_read_the_clock_are_known() -> None:
    """Whatever DuckDB calls volatile or constant per query is on the list for it."""
    rows = duckdb.connect().execute(
        "SELECT DISTINCT lower(function_name), stability FROM duckdb_functions() "
        "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY') "
        "AND function_type IN ('scalar', 'aggregate')"
    )
    allowed = {(name, kind) for name, kind in rows.fetchall() if name in lists.ALLOWED}
    volatile = {name for name, kind in allowed if kind == "VOLATILE"}
    constant = {name for name, kind in allowed if kind != "VOLATILE"}
    assert sorted(volatile - lists.VOLATILE - {"error"}) == []
    per_query = lists.CONSTANT_PER_QUERY | lists.CONSTANT_PER_QUERY_UNARY | lists.VOLATILE
    # These depend on settings that a session never changes, or cast text to a table name.
    steady = {"add", "subtract", "+", "-", "date_trunc", "datetrunc", "timezone", "strftime"}
    assert sorted(constant - per_query - steady) == []


# -- what a query refers to -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", []),
        ("from t", ["t"]),
        ("table t", ["t"]),
        (
            "select * from shop.public.orders o, crm.customers",
            ["shop.public.orders", "crm.customers"],
        ),
        ("select * from 'a b.csv'", ["a b.csv"]),
        ('select * from "My Shop"."t"', ["My Shop.t"]),
        ("select * from t where x in (select y from u where exists (from v))", ["t", "u", "v"]),
        ("select (select max(a) from u) from t order by (select 1 from w)", ["w", "u", "t"]),
        ("select * from t, lateral (select * from u where u.a = t.a)", ["t", "u"]),
        ("select * from t semi join u using (a) anti join v using (b)", ["t", "u", "v"]),
        ("select * from t asof join u on t.a >= u.a", ["t", "u"]),
        ("select * from t union select * from u except select * from v", ["t", "u", "v"]),
        ("pivot t on a in (1, 2) using sum(b)", ["t"]),
        ("unpivot t on a, b into name n value v", ["t"]),
        ("describe t", ["t"]),
        ("show t", ["t"]),
        ("summarize select * from t", ["t"]),
        ("from duckdb_settings", ["duckdb_settings"]),
        ("from information_schema.tables", ["information_schema.tables"]),
        ("from sqlite_master", ["sqlite_master"]),
        ("from system.main.duckdb_secrets", ["system.main.duckdb_secrets"]),
        # The scope of WITH is DuckDB's: a name is visible after its definition, in the body, and
        # inside itself only where it recurs.
        ("with a as (select * from t) select * from a", ["t"]),
        ("with a as (select * from a) select * from a, A", ["a"]),
        ("with a as (select * from b), b as (select 1) select * from a, b", ["b"]),
        ("with b as (select 1), a as (select * from b) select * from a", []),
        ("with a as (select 1) select * from main.a", ["main.a"]),
        ("with a as (with b as (select 9) from b) select * from b", ["b"]),
        ("select * from (with z as (select 1) from z) y, z", ["z"]),
        ("with recursive r as (select 1 x union all select x + 1 from r) from r", []),
        ("with recursive r as (from r union all select x + 1 from r) from r", ["r"]),
        (
            "with recursive r(x) using key (x) as (select 1 union select x from recurring.r) "
            "from r",
            [],
        ),
        (
            'with recursive r as (select 1 union all select * from "recurring.r") from r',
            ["recurring.r"],
        ),
        ("with b as (select 1) select * from b union all (with b as (from t) from b)", ["t"]),
        ("select * from range(3) r(i), generate_series(1, 2)", []),
        ("select * from t, unnest(t.l)", ["t"]),
    ],
)
def test_tables(connection: Any, sql: str, expected: list[str]) -> None:
    assert sorted(tables(judge(sql, connection=connection))) == sorted(expected)


def test_scopes_agree_with_duckdb() -> None:
    """Every reference that the judge takes for a WITH name binds without any table existing."""
    plain = duckdb.connect()
    texts = [
        "with b as (select 1 q), a as (select * from b) select * from a",
        "with recursive r as (select 1 x union all select x + 1 from r where x < 3) from r",
        "with recursive r as (select 1 x union all (with r as (select 7 x) from r limit 1)) "
        "select * from r limit 3",
        "with b as (select 1 q) (from b) union all (from b)",
        "with a as (select 1 x) select (select x from a), (with a as (select 2 x) select x from a)",
        "with a as materialized (select 1 x), b as not materialized (from a) from a, b",
    ]
    for sql in texts:
        assert judge(sql, connection=plain).tables == (), sql
        plain.execute(sql).fetchall()


def test_table_spans_and_locations(connection: Any) -> None:
    sql = "select 'é', *\nfrom \"My Shop\" . \"a.b\" as x\njoin 'päth.csv' using (id)"
    judged = judge(sql, connection=connection)
    assert [sql[slice(*t.span)] for t in judged.tables if t.span] == [
        '"My Shop" . "a.b"',
        "'päth.csv'",
    ]
    assert [str(t.location) for t in judged.tables] == ["line 2, column 6", "line 3, column 6"]


def test_file_functions(connection: Any) -> None:
    sql = (
        "select * from read_csv('a (1).csv', header = true, delim := '|', skip = 2, "
        "columns = {'a': 'INT'}, x = -1.5) r join read_parquet(['p1', 'p2']) using (a)"
    )
    judged = judge(sql, connection=connection)
    first, second = sorted(judged.files, key=lambda file: file.name)
    assert first.name == "read_csv"
    assert first.arguments == ("a (1).csv",)
    assert first.options == {
        "header": True,
        "delim": "|",
        "skip": 2,
        "columns": {"a": "INT"},
        "x": -1.5,
    }
    assert second.arguments == (["p1", "p2"],)
    assert second.span is not None
    assert sql[slice(*second.span)] == "read_parquet(['p1', 'p2'])"
    replaced = judged.with_files(["one" if f.name == "read_csv" else "two" for f in judged.files])
    assert replaced == "select * from one r join two using (a)"


def test_parameters(connection: Any) -> None:
    named = judge("select $b, $a, $b from t where x = $c", connection=connection)
    assert (named.parameters, named.positional) == (("b", "a", "c"), False)
    marks = judge("select ?, ?", connection=connection)
    assert (marks.parameters, marks.positional) == (("1", "2"), True)
    colons = judge("select :a + :b, x[1:2] from t where d = :c", connection=connection)
    assert colons.parameters == ("a", "b", "c")
    assert colons.sql == "select $a + $b, x[1:2] from t where d = $c"
    with pytest.raises(QuerySyntaxError, match="mixed"):
        judge("select ?, $a", connection=connection)


def test_what_else_is_known_of_a_query(connection: Any) -> None:
    judged = judge("select *, random() from t tablesample 10%", connection=connection)
    assert judged.has_star
    assert judged.has_sample
    assert judged.volatile
    assert not judge("select upper(a) from t", connection=connection).volatile
    assert judge("select count(*) from t", connection=connection).has_star is False
    kinds = {
        "describe select 1": "describe",
        "-- c\n summarize t": "summarize",
        "values (1)": "values",
        "with a as (select 1) from a": "select",
        "select * from (describe select 1)": "select",
    }
    for sql, kind in kinds.items():
        assert judge(sql, connection=connection).statement_kind == kind


def test_words_before_functions_are_reported(connection: Any) -> None:
    judged = judge(
        'select name.upper(), "lake".main.f(x), lake.f(y) from t'.replace("f(", "lower("),
        connection=connection,
    )
    assert judged.call_qualifiers == {"name", "lake"}


# -- PIVOT without a list -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "pivot t on a using sum(b)",
        "PIVOT t ON a, b IN (1, 2), c || '_' || d USING sum(b), max(e) GROUP BY f ORDER BY 1",
        "select * from (pivot t on a -- in (1)\n using sum(b)) p join u using (x)",
        "with p as (pivot (from t where x in (1)) on (a), b using sum(c)) select * from p, u",
        "select 'é' union all by name (pivot t on é using sum(b))",
        "pivot t on lower(a) using count(*)",
        "from t, (pivot u on upper(a) /* in */ using count(*))",
    ],
)
def test_pivot_without_a_list_is_judged(connection: Any, sql: str) -> None:
    judged = judge(sql, connection=connection)
    assert judged.dynamic_pivot
    assert judged.sql == sql
    assert "t" in tables(judged)
    for table in judged.tables:
        assert table.span is not None
        assert sql[slice(*table.span)] == table.name


def test_pivot_with_a_list_is_not_dynamic(connection: Any) -> None:
    assert not judge("pivot t on a in ('x') using sum(b)", connection=connection).dynamic_pivot


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "message", "column"),
    [
        ("delete from 'trades.csv'", r"read-only: statement 1 \(DELETE\)", 1),
        ("select 1; drop table x", r"read-only: statement 2 \(DROP\)", 11),
        ("select 1; select 2", r"one statement.*statement 2 \(SELECT\)", 11),
        ("pivot t on a using sum(b); drop table x", r"statement 2 \(DROP\)", 28),
        ("with x as (select 1) insert into t from x", r"statement 1 \(INSERT\)", 1),
        ("/* select */ copy t to 'x'", r"statement 1 \(COPY\)", 14),
        ("explain select 1", r"EXPLAIN.*session\.explain", 1),
        ("show tables", r"dovetail tables", 1),
        ("show all tables", r"dovetail tables", 1),
        ("select * from read_csv(getenv('x'))", r"arguments of \"read_csv\" must be constants", 15),
        ("select read_csv('x')", r"may only stand in FROM", 8),
        ("select * from histogram(t, x)", r"may not stand in FROM", 15),
    ],
)
def test_refusals_say_which_and_where(connection: Any, sql: str, message: str, column: int) -> None:
    with pytest.raises(RefusedError, match=message) as caught:
        judge(sql, connection=connection)
    assert caught.value.location is not None
    assert caught.value.location.column == column


def test_unknown_functions_offer_allowed_names_only(connection: Any) -> None:
    with pytest.raises(UnknownNameError, match="upper") as caught:
        judge("select 'é', uppr(x) from t", connection=connection)
    assert caught.value.location is not None
    assert caught.value.location.column == 13
    for name in ("current_seting", "duckdb_setings", "getvariabel", "read_txt", "pragma_versoin"):
        with pytest.raises(UnknownNameError) as caught:
            judge(f"select {name}(x)", connection=connection)
        assert set(caught.value.suggestions) <= lists.CALLABLE


@pytest.mark.parametrize(
    ("sql", "line", "column", "excerpt"),
    [
        ("select id from t order by qty desc frobnicate limit 3", 1, 36, None),
        ("select 'ééé' frob blah", 1, 19, None),
        ("select 1,\n  2,\n  from where", 3, 8, "  from where"),
        ("selec 1", 1, 1, "selec 1"),
        ("select (1", 1, 10, "select (1"),
    ],
)
def test_syntax_errors_have_a_place(
    connection: Any, sql: str, line: int, column: int, excerpt: str | None
) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        judge(sql, connection=connection)
    location = caught.value.location
    assert location is not None
    assert (location.line, location.column) == (line, column)
    assert location.excerpt == (sql if excerpt is None else excerpt)


def test_texts_without_a_query(connection: Any) -> None:
    for sql in ("", "  ;  ", "-- nothing"):
        with pytest.raises(QuerySyntaxError, match="no statement"):
            judge(sql, connection=connection)


def test_not_supported(connection: Any) -> None:
    with pytest.raises(NotSupportedError, match=r"shop\.query"):
        judge("select * from shop.query('select 1')", connection=connection)
    with pytest.raises(NotSupportedError, match="AT"):
        judge("select * from t at (version => 3)", connection=connection)


def test_depth_is_limited(connection: Any) -> None:
    for sql in ("select " + "[" * 900 + "1" + "]" * 900, "select " + "1+" * 9000 + "1"):
        with pytest.raises(DovetailError, match="deep"):
            judge(sql, connection=connection)


# -- views ----------------------------------------------------------------------------------------


def test_views_of_a_file_are_judged() -> None:
    """The definitions as DuckDB keeps them, with columns, comments and odd names."""
    plain = duckdb.connect()
    plain.execute("CREATE TABLE t AS SELECT 1 AS a, 'x' AS b; CREATE SCHEMA s")
    good = {
        "v1": "CREATE VIEW v1 AS SELECT a, upper(b) FROM t",
        "v2": 'CREATE VIEW "v as (2" (x, "as") AS WITH q AS (FROM t) SELECT q.* FROM q',
        "v3": "CREATE VIEW s.v3 AS SELECT * FROM (VALUES (1)) AS w(x), t",
    }
    bad = {
        "settings": "CREATE VIEW b1 AS SELECT * FROM duckdb_settings()",
        "threads": "CREATE VIEW b2 AS SELECT a, current_setting('threads') FROM t",
        "databases": "CREATE VIEW b3 AS SELECT count(*) FROM t WHERE a IN (FROM duckdb_databases() "
        "SELECT database_oid)",
    }
    for sql in (*good.values(), *bad.values()):
        plain.execute(sql)
    rows = plain.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    assert len(rows) == len(good) + len(bad)
    for name, definition in rows:
        if name.startswith("v"):
            assert tables(judge_view(definition, connection=plain)) == ["t"], definition
        else:
            with pytest.raises(RefusedError, match="the view is refused"):
                judge_view(definition, connection=plain)
    for definition in (
        "CREATE VIEW v AS SELECT * FROM read_csv('x')",
        "CREATE VIEW v AS SELECT lake.main.upper(a) FROM t",
        "CREATE VIEW v AS SELECT 1; DROP TABLE t",
        "CREATE VIEW v",
        "",
    ):
        with pytest.raises(RefusedError):
            judge_view(definition, connection=plain)
    system = judge_view("CREATE VIEW v AS FROM duckdb_settings", connection=plain)
    assert tables(system) == ["duckdb_settings"]


# -- scripts --------------------------------------------------------------------------------------


def test_statements_are_split_by_the_lexer() -> None:
    script = "select ';' ; -- a;b\n/* ; */ select $$ ; $$;\n\n select \";\" from t; ;"
    assert split_statements("") == split_statements(" -- x") == []
    parts = split_statements(script)
    assert [text for _, text in parts] == ["select ';'", "select $$ ; $$", 'select ";" from t']
    for offset, text in parts:
        assert script[offset : offset + len(text)] == text


def test_the_tree_is_plain_data(connection: Any) -> None:
    judged = judge("select a + 1 as b from t", connection=connection)
    assert json.loads(json.dumps(judged.ast)) == judged.ast
