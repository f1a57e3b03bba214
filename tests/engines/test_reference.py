"""The reference: types, constants, binding and the columns a query reads, against DuckDB itself."""

from __future__ import annotations

import base64
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tpcds, tpch

from dovetail.engines.reference import DuckDBReference, TableKey
from dovetail.errors import (
    BindError,
    DataError,
    QueryError,
    RefusedError,
    UnknownNameError,
    UsageError,
)
from dovetail.language.sql.errors import from_duckdb
from dovetail.language.sql.judge import judge

CASES = Path(__file__).parent.parent / "data" / "cli_cases.jsonl"
Shadows = dict[TableKey, Sequence[tuple[str, str]]]

TABLES: Shadows = {
    ("", "", "trades"): [
        ("id", "BIGINT"),
        ("trader", "VARCHAR"),
        ("book", "VARCHAR"),
        ("qty", "BIGINT"),
    ],
    ("shop", "public", "Orders"): [
        ("id", "INTEGER"),
        ("total", "DECIMAL(10,2)"),
        ("s", "STRUCT(a INTEGER, b VARCHAR)"),
    ],
    ("", "shop", "orders"): [("id", "INTEGER"), ("day", "DATE")],
    ("", "", "a.b.csv"): [("x y", "INTEGER"), ("x", "STRUCT(y INTEGER)")],
}


@pytest.fixture(scope="module")
def reference() -> Iterator[DuckDBReference]:
    made = DuckDBReference()
    yield made
    made.close()


def text(described: list[tuple[str, Any]] | None) -> list[tuple[str, str]]:
    assert described is not None
    return [(name, type_.text) for name, type_ in described]


# -- types ----------------------------------------------------------------------------------------


def test_types_of_scalars(reference: DuckDBReference) -> None:
    columns = {
        "a": "BIGINT",
        "b": "VARCHAR",
        "Odd Name": "DECIMAL(15,2)",
        "d": "DATE",
        "e": "ENUM('x', 'y')",
        "l": "INTEGER[]",
        "s": "STRUCT(a INTEGER, b VARCHAR)",
        "n": '"NULL"',
        "j": "JSON",
    }
    wanted = {
        "a + 1": "BIGINT",
        "a / 2": "DOUBLE",
        "a // 2": "BIGINT",
        '"Odd Name" * 2': "DECIMAL(18,2)",
        '"Odd Name" * "Odd Name"': "DECIMAL(18,4)",
        "d + interval 1 day": "TIMESTAMP",
        "d - d": "BIGINT",
        "e": "ENUM('x', 'y')",
        "l[1]": "INTEGER",
        "list_transform(l, x -> x / 2)": "DOUBLE[]",
        "s.b": "VARCHAR",
        "{'k': a, 'v': [b]}": "STRUCT(k BIGINT, v VARCHAR[])",
        "j": "JSON",
        "n": '"NULL"',
        "NULL": '"NULL"',
        "[]": '"NULL"[]',
        "coalesce(n, b)": "VARCHAR",
        "case when a > 1 then 1 else 2.5 end": "DECIMAL(11,1)",
        "1": "INTEGER",
        "a > 1": "BOOLEAN",
        "row_number() over (order by a)": "BIGINT",
    }
    found = reference.types(list(wanted), columns)
    assert dict(zip(wanted, map(str, found), strict=True)) == wanted


def test_types_of_aggregates(reference: DuckDBReference) -> None:
    columns = {"a": "BIGINT", "b": "VARCHAR", "m": "DECIMAL(15,2)", "i": "INTEGER"}
    wanted = {
        "b": "VARCHAR",
        "sum(a)": "HUGEINT",
        "sum(m)": "DECIMAL(38,2)",
        "avg(i)": "DOUBLE",
        "count(*)": "BIGINT",
        "max(m) filter (where i > 0)": "DECIMAL(15,2)",
        "sum(sum(i)) over (order by b)": "HUGEINT",
        "list(distinct i)": "INTEGER[]",
        "NULL": '"NULL"',
    }
    found = reference.types(list(wanted), columns, ["b"])
    assert dict(zip(wanted, map(str, found), strict=True)) == wanted
    assert [str(t) for t in reference.types(["sum(a)"], columns, [])] == ["HUGEINT"]
    assert reference.types([], columns) == []


def test_types_without_columns(reference: DuckDBReference) -> None:
    assert [str(t) for t in reference.types(["1", "date '2024-01-01'"], {})] == ["INTEGER", "DATE"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("zz", 'no column "zz"'),
        ("d + d", r"no operator \+ for DATE and DATE"),
        ("upper(a, 1)", "no function upper"),
        ("nosuch(a)", 'no function "nosuch"'),
        ("a::nosuch", 'no type "nosuch"'),
        ("sum(sum(a))", "nested"),
        ("(", "syntax error"),
    ],
)
def test_types_report_what_has_no_meaning(
    reference: DuckDBReference, expression: str, message: str
) -> None:
    with pytest.raises(BindError, match=message):
        reference.types([expression], {"a": "BIGINT", "d": "DATE"})


def test_types_are_quick(reference: DuckDBReference) -> None:
    """A warm call for new text costs well under a millisecond; the bound is loose for CI."""
    columns = {f"c{i}": "BIGINT" for i in range(10)}
    reference.types(["c0"], columns)
    started = time.perf_counter()
    for i in range(100):
        reference.types([f"c1 + {i}", f"c2 || '{i}'"], columns)
    assert (time.perf_counter() - started) / 100 < 0.01
    started = time.perf_counter()
    for i in range(100):
        reference.types([f"c1 + {i}", f"c2 || '{i}'"], columns)
    assert (time.perf_counter() - started) / 100 < 0.001


# -- constants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "type_", "literal"),
    [
        ("1 + 1", "INTEGER", "2"),
        ("-2147483647 - 1", "INTEGER", "CAST('-2147483648' AS INTEGER)"),
        ("-2147483648", "BIGINT", "CAST('-2147483648' AS BIGINT)"),
        ("5::BIGINT", "BIGINT", "CAST('5' AS BIGINT)"),
        ("1.50 * 2", "DECIMAL(13,2)", "CAST('3.00' AS DECIMAL(13,2))"),
        ("'a' || 'b''c'", "VARCHAR", "'ab''c'"),
        ("upper('x')", "VARCHAR", "'X'"),
        ("1 = 1", "BOOLEAN", "TRUE"),
        ("NULL", '"NULL"', "NULL"),
        ("NULL::DATE", "DATE", "CAST(NULL AS DATE)"),
        ("date '1995-01-01' + interval 3 month", "TIMESTAMP", None),
        ("date '1995-01-01'", "DATE", "CAST('1995-01-01' AS DATE)"),
        ("-0.0::DOUBLE", "DOUBLE", "CAST('-0.0' AS DOUBLE)"),
        ("1 / 3", "DOUBLE", None),
        ("1 / 0", "DOUBLE", "CAST('inf' AS DOUBLE)"),
        ("[1, NULL, 3]", "INTEGER[]", None),
        ("{'a': 'it''s', 'b': [1]}", "STRUCT(a VARCHAR, b INTEGER[])", None),
        ("map {'a': 1}", "MAP(VARCHAR, INTEGER)", None),
        ("'\\xAA'::blob", "BLOB", None),
        ("interval '1 month 2 days' + interval '3 seconds'", "INTERVAL", None),
        ("timestamptz '2020-01-01 00:00:00+05'", "TIMESTAMP WITH TIME ZONE", None),
        ("'x'::ENUM('x', 'y')", "ENUM('x', 'y')", None),
        ("12345678901234567890123456789::HUGEINT", "HUGEINT", None),
    ],
)
def test_constants_come_back_exactly(
    reference: DuckDBReference, expression: str, type_: str, literal: str | None
) -> None:
    found = reference.evaluate([expression])[0]
    assert found is not None
    assert found[0].text == type_
    if literal is not None:
        assert found[1] == literal
    row = duckdb.execute(
        f"SELECT typeof({found[1]}) = typeof({expression}), "
        f"({found[1]}) IS NOT DISTINCT FROM ({expression}), "
        f"CAST({found[1]} AS VARCHAR) IS NOT DISTINCT FROM CAST({expression} AS VARCHAR)"
    ).fetchone()
    assert row == (True, True, True)


@pytest.mark.parametrize(
    "expression",
    [
        "a",
        "a + 1",
        "$p",
        "random()",
        "uuid()",
        "nextval('s')",
        "sum(1)",
        "count(*)",
        "row_number() over ()",
        "(select 1)",
        "exists (select 1)",
        "list_transform([1], x -> x)",
        "repeat('x', 1000000000)",
        "range(1000000000)",
        "lpad('x', 1000000000, 'y')",
        "printf('%1000000000d', 1)",
        "unnest([1, 2])",
        "'x'::INTEGER",
        "error('no')",
        "9223372036854775807 + 1",
        "'a' || chr(0)",
        "1, 2",
        "1 from t",
        "1 where false",
        "1 limit 0",
        "1; select 2",
        "1 -- x",
        "1) + (2",
        "getenv('HOME')",
        "current_setting('threads')",
        "age(date '2000-01-01')",
        "current_user",
        "*",
        "#1",
        "",
        "(" * 3000 + "1" + ")" * 3000,
    ],
)
def test_what_is_not_folded(reference: DuckDBReference, expression: str) -> None:
    found = reference.evaluate([expression])
    assert found in ([None], [reference.evaluate(["1"])[0]])
    if found != [None]:  # parentheses around a constant, however many, are the constant
        assert expression.strip("()") == "1"
    # The same among others, which all keep their own values.
    mixed = reference.evaluate(["1 + 2", expression, "3 + 4"])
    assert mixed[0] is not None
    assert mixed[2] is not None
    assert (mixed[0][1], mixed[2][1]) == ("3", "7")
    assert [mixed[1]] == found


def test_folding_takes_bounded_time(reference: DuckDBReference) -> None:
    started = time.perf_counter()
    nested = "'x'"
    for _ in range(12):
        nested = f"({nested} || {nested})"
    reference.evaluate([f"len({nested})", "regexp_matches(" + nested + ", '(a|a)*b')"])
    assert time.perf_counter() - started < 5


def test_now_is_not_remembered(reference: DuckDBReference) -> None:
    first = reference.evaluate(["now()"])[0]
    second = reference.evaluate(["now()"])[0]
    assert first is not None
    assert second is not None
    assert first[0].text == "TIMESTAMP WITH TIME ZONE"
    assert first != second


SHARED = DuckDBReference()

VALUES = st.one_of(
    st.integers(-(2**100), 2**100).map(lambda n: f"'{n}'::HUGEINT"),
    st.floats().map(lambda x: f"'{x!r}'::DOUBLE"),
    st.floats(width=32).map(lambda x: f"'{x!r}'::FLOAT"),
    st.decimals(-(10**18), 10**18, places=4).map(lambda d: f"'{d}'::DECIMAL(38,4)"),
    st.dates(date(1, 1, 1)).map(lambda d: f"DATE '{d}'"),
    st.datetimes(datetime(1, 1, 1)).map(lambda d: f"TIMESTAMP '{d}'"),
    st.timedeltas(timedelta(-9999), timedelta(9999)).map(
        lambda t: f"to_days({t.days}) + to_microseconds({t.seconds * 10**6 + t.microseconds})"
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(
        lambda s: "'" + s.replace("'", "''") + "'"
    ),
    st.lists(st.text("a',[]{}\\\" ")).map(
        lambda items: "[" + ", ".join("'" + s.replace("'", "''") + "'" for s in items) + "]"
    ),
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_literals_are_exact(expression: str) -> None:
    found = SHARED.evaluate([expression])[0]
    if found is None:  # a nested value whose text does not read back is left to run time
        assert expression.startswith("[")
        return
    row = duckdb.execute(
        f"SELECT typeof({found[1]}) = typeof({expression}), "
        f"CAST({found[1]} AS VARCHAR) = CAST({expression} AS VARCHAR), "
        f"({found[1]}) IS NOT DISTINCT FROM ({expression})"
    ).fetchone()
    assert row == (True, True, True)


# -- describe -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select * from trades limit 0", ["BIGINT", "VARCHAR", "VARCHAR", "BIGINT"]),
        ("select sum(qty) / 2 from trades group by book", ["DOUBLE"]),
        ("select shop.orders.day from shop.orders", ["DATE"]),
        ("select orders.total, public.orders.s.a from shop.public.orders", None),
        ("select o.s.b, t.* exclude (book, id) from shop.public.orders o, trades t", None),
        ('select "x y", x.y from "a.b.csv"', ["INTEGER", "INTEGER"]),
        ("from trades select count(*)", ["BIGINT"]),
        ("describe trades", ["VARCHAR"] * 6),
        ("-- a comment\nselect 1 -- another", ["INTEGER"]),
        ("select 1;", ["INTEGER"]),
        ("select null", ["INTEGER"]),
        ("with t as (select id from trades) select * from t", ["BIGINT"]),
        ("select $a + 1, $b::DATE", ["INTEGER", "DATE"]),
        ("pivot trades on book in ('x', 'y') using sum(qty) group by trader", None),
    ],
)
def test_describe(reference: DuckDBReference, sql: str, columns: list[str] | None) -> None:
    parameters = {"a": 1, "b": "2024-01-01"} if "$" in sql else None
    found = text(reference.describe(sql, TABLES, parameters))
    if columns is not None:
        assert [type_ for _, type_ in found] == columns


def test_describe_follows_changed_columns(reference: DuckDBReference) -> None:
    key = ("", "", "changing")
    for type_ in ("INTEGER", "VARCHAR", "INTEGER"):
        assert text(reference.describe("from changing", {key: [("a", type_)]})) == [("a", type_)]


def test_shadows_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.engines.reference._MOST_SHADOWS", 10)
    own = DuckDBReference()
    for i in range(50):
        key = ("", f"source{i % 3}", f"t{i}")
        found = own.describe(f"from source{i % 3}.t{i}", {key: [("a", "INTEGER")]})
        assert text(found) == [("a", "INTEGER")]
    assert len(own._tables) <= 12
    rows = own._connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
    assert rows[0][0] <= 12
    own.close()


def test_describe_of_a_pivot_without_a_list(reference: DuckDBReference) -> None:
    assert reference.describe("pivot trades on book using sum(qty)", TABLES) is None
    assert reference.describe("pivot trades on id using sum(qty)", TABLES) is None
    with pytest.raises(UnknownNameError, match="book"):
        reference.describe("pivot trades on bok using sum(qty)", TABLES)


def test_describe_with_file_functions(reference: DuckDBReference) -> None:
    sql = "select t.id, f.a, nosuch from trades t join read_csv('é.csv') f on f.a = t.id"
    files = [[("a", "INTEGER"), ("c", "DATE")]]
    with pytest.raises(UnknownNameError) as caught:
        reference.describe(sql, TABLES, files=files)
    assert caught.value.location is not None
    assert caught.value.location.column == 19
    assert "read_csv" in caught.value.location.excerpt
    good = sql.replace(", nosuch", ", c")
    assert text(reference.describe(good, TABLES, files=files))[1:] == [
        ("a", "INTEGER"),
        ("c", "DATE"),
    ]
    scanned = reference.scanned_columns(good, TABLES, files=files)
    assert scanned is not None
    assert scanned["", "", "read_csv('é.csv')"] == {"a", "c"}


def error_of(reference: DuckDBReference, sql: str, **options: Any) -> QueryError:
    with pytest.raises(QueryError) as caught:
        reference.describe(sql, TABLES, **options)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "kind", "place", "words"),
    [
        ("select trdr from trades", UnknownNameError, (1, 8), ["trdr", "trader"]),
        ("select 'é',\n  t.trdr from trades t", UnknownNameError, (2, 3), ["trdr", "trader"]),
        ("select z.id from trades", UnknownNameError, (1, 8), ['"z"', "trades"]),
        ("select * from trade", UnknownNameError, (1, 15), ["trade", "trades"]),
        ("select * from shop.order", UnknownNameError, (1, 15), ["shop.order", "shop.orders"]),
        ("select uper(book) from trades", UnknownNameError, (1, 8), ["uper", "upper"]),
        ("select book::nosuch from trades", UnknownNameError, (1, 14), ["nosuch"]),
        ("select * exclude (zz) from trades", UnknownNameError, None, ["EXCLUDE", "zz"]),
        ("from trades join shop.orders using (zz)", UnknownNameError, None, ["USING", "zz"]),
        ("select id from trades, shop.orders", BindError, (1, 8), ["ambiguous", "trades.id"]),
        ("from trades natural join trades", BindError, None, ["trades", "twice", "alias"]),
        (
            "select trader, book, count(*) from trades group by trader",
            BindError,
            (1, 16),
            ['"book"', "GROUP BY", "any_value(book)", "trader", "count(book)"],
        ),
        (
            "select * from trades group by 1, trader",
            BindError,
            None,
            ['"book"', "GROUP BY", "any_value(book)"],
        ),
        (
            "select * from trades group by trader, book",
            BindError,
            (1, 8),
            ['"id", "qty"', "trader, book", "any_value(id)"],
        ),
        (
            "select trader from trades having trader = 'Ana'",
            BindError,
            None,
            ["trader", "GROUP BY", "any_value"],
        ),
        (
            "select (select max(x.qty) from trades x where x.id = t.id), book from trades t "
            "group by 1",
            BindError,
            (1, 61),
            ['"book"', "GROUP BY"],
        ),
        (
            "select id from trades where count(*) > 1",
            BindError,
            (1, 29),
            ["WHERE", "aggregate", "HAVING"],
        ),
        (
            "select sum(sum(qty)) from trades",
            BindError,
            (1, 12),
            ["aggregate", "nested", "subquery"],
        ),
        (
            "select id from trades where row_number() over () = 1",
            BindError,
            (1, 29),
            ["WHERE", "window", "QUALIFY"],
        ),
        ("select id from trades order by 3", BindError, (1, 32), ["ORDER", "1"]),
        ("select id from trades group by 3", BindError, None, ["GROUP BY", "1"]),
        ("select 1 union all select 1, 2", BindError, None, ["columns"]),
        ("select lag(qty) from trades", BindError, (1, 8), ["lag", "OVER"]),
        (
            "select upper(book, 1) from trades",
            BindError,
            (1, 8),
            ["upper(VARCHAR, INTEGER)", "upper(VARCHAR)"],
        ),
        ("select book + 1 from trades", BindError, (1, 13), ["+", "VARCHAR and INTEGER"]),
        (
            "select id from trades where id in (select id, qty from trades)",
            BindError,
            (1, 32),
            ["columns"],
        ),
        ("select * from trades limit 'x'", DataError, (1, 28), ["'x'"]),
        ("select rowid from trades", UnknownNameError, (1, 8), ["rowid"]),
        ("select * from duckdb_settings", UnknownNameError, (1, 15), ["duckdb_settings"]),
        ("from information_schema.tables", UnknownNameError, (1, 6), ["information_schema.tables"]),
        ("from read_csv('/etc/passwd')", RefusedError, None, ["/etc/passwd"]),
    ],
)
def test_errors_say_what_and_where(
    reference: DuckDBReference,
    sql: str,
    kind: type[QueryError],
    place: tuple[int, int] | None,
    words: list[str],
) -> None:
    error = error_of(reference, sql)
    assert type(error) is kind
    for word in words:
        assert word in error.message
    if place is not None:
        assert error.location is not None
        assert (error.location.line, error.location.column) == place
        assert error.location.excerpt == sql.split("\n")[place[0] - 1]


INTERNALS = (
    "duckdb_",
    "pg_",
    "pragma_",
    "sqlite_",
    "information_schema",
    "dovetail_shadow",
    "memory.",
)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from duckdb_setting",
        "select * from pg_prepared_statement",
        "select * from sqlite_mastr",
        "select * from informaton_schema.tables",
        "select * from nosuch",
        "select * from shop.nosuch.orders",
        "select duckdb_setings() from trades",
        "select current_seting('x')",
        "select 1::pg_typ",
        "select 1::duckdb_typ from trades",
        "select pg_clas.oid from trades",
        "from trades natural join trades",
        "select trades.nosuch.x from trades",
        "select 'a' collate nosuch from trades",
        "select * from duckdb_setings()",
    ],
)
def test_suggestions_never_offer_the_engine_s_own_names(
    reference: DuckDBReference, sql: str
) -> None:
    error = error_of(reference, sql)
    offered = " ".join(error.suggestions) + error.message.replace(sql.split()[-1].strip("()"), "")
    written = [word for word in INTERNALS if word in sql]
    for word in INTERNALS:
        assert word not in " ".join(error.suggestions)
        if word not in written:
            assert word not in offered


def test_parameters_that_are_missing_or_left_over(reference: DuckDBReference) -> None:
    with pytest.raises(UsageError, match="b"):
        reference.describe("select $a, $b", TABLES, {"a": 1})
    with pytest.raises(UsageError, match="c"):
        reference.describe("select $a", TABLES, {"a": 1, "c": 2})


def test_many_threads_at_once(reference: DuckDBReference) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(20):
                key = ("", "", f"thread_{number % 3}")
                columns = [("a", "INTEGER"), (f"b{number}", "DATE")]
                found = text(reference.describe(f"select * from {key[2]} -- {i}", {key: columns}))
                assert found == columns
                value = reference.evaluate([f"{number} * 100 + {i}"])[0]
                assert value is not None
                assert value[1] == str(number * 100 + i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# -- the corpus: names, types and read columns agree with DuckDB over real tables -----------------


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for line in CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        yield case["id"], case


def columns_of(connection: Any, relation: str) -> list[tuple[str, str]]:
    rows = connection.execute(f"DESCRIBE FROM {relation}").fetchall()
    return [(row[0], row[1]) for row in rows]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def blanked(shadow: Sequence[tuple[str, str]], read: frozenset[str], name: str) -> str:
    """A table with all but the columns that are read set to NULL."""
    items = [
        quoted(column) if column in read else f"CAST(NULL AS {type_}) AS {quoted(column)}"
        for column, type_ in shadow
    ]
    return (
        f"CREATE OR REPLACE TABLE {quoted(name)} AS SELECT {', '.join(items)} FROM {quoted(name)}"
    )


def comparable(rows: list[Any]) -> list[str]:
    return [repr([f"{v:.9g}" if isinstance(v, float) else v for v in row]) for row in rows]


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_corpus_agrees_with_duckdb(reference: DuckDBReference, in_folder: Path) -> None:
    """For each case: the same names and types, and the same rows from the columns read alone."""
    described = pruned = blanks = 0
    plain = duckdb.connect(config={"threads": 1})
    for name, case in cases():
        for file, content in case["files"].items():
            data = (
                content.encode()
                if isinstance(content, str)
                else base64.b64decode(content["base64"])
            )
            (in_folder / file).write_bytes(data)
        if "error_names" in case:
            check_error(reference, plain, name, case)
        else:
            counts = check_case(reference, plain, name, case["sql"])
            described += counts[0]
            pruned += counts[1]
            blanks += counts[2]
        for (table,) in plain.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            plain.execute(f"DROP TABLE {quoted(table)}")
        for file in case["files"]:
            (in_folder / file).unlink()
    plain.close()
    assert described == 209  # all but a PIVOT without a list
    assert pruned > 200
    assert blanks > 300


def check_case(
    reference: DuckDBReference, plain: Any, name: str, sql: str
) -> tuple[bool, bool, int]:
    judged = judge(sql, connection=plain)
    shadows: Shadows = {ref.key: columns_of(plain, f"'{ref.name}'") for ref in judged.tables}
    calls = [sql[slice(*file.span)] for file in judged.files if file.span is not None]
    files = [columns_of(plain, call) for call in calls]
    for key in shadows:
        plain.execute(f"CREATE TABLE {quoted(key[2])} AS FROM '{key[2]}'")
    found = reference.describe(sql, shadows, files=files)
    if found is None:
        assert judged.dynamic_pivot
        return False, False, 0
    rows = plain.execute(f"DESCRIBE {sql}").fetchall()
    assert text(found) == [(row[0], row[1]) for row in rows], name
    scanned = reference.scanned_columns(sql, shadows, files=files)
    if scanned is None:
        return True, False, 0
    expected = plain.execute(sql).fetchall()
    blanks = 0
    for key, columns in shadows.items():
        blanks += len(columns) - len(scanned[key])
        plain.execute(blanked(columns, scanned[key], key[2]))
    assert comparable(plain.execute(sql).fetchall()) == comparable(expected), name
    return True, True, blanks


def check_error(reference: DuckDBReference, plain: Any, name: str, case: dict[str, Any]) -> None:
    """The message names what the case says, from binding or, where that passes, from running."""
    sql = case["sql"]
    with pytest.raises(QueryError) as caught:
        bind_and_run(reference, plain, sql)
    for word in case["error_names"]:
        assert word in caught.value.message, f"{name}: {caught.value.message}"


def bind_and_run(reference: DuckDBReference, plain: Any, sql: str) -> None:
    judged = judge(sql, connection=plain)
    names = [ref.key for ref in judged.tables if Path(ref.name).exists()]
    reference.describe(sql, {key: columns_of(plain, f"'{key[2]}'") for key in names})
    try:
        plain.execute(sql).fetchall()
    except duckdb.Error as error:
        raise from_duckdb(error, sql) from None


@pytest.mark.slow
def test_tpch_reads_only_what_is_scanned(reference: DuckDBReference) -> None:
    folder = tpch.generate()
    with duckdb.connect(config={"threads": 1}) as plain:
        names = [path.stem for path in folder.glob("*.parquet")]
        for name in names:
            plain.execute(f"CREATE TABLE {name} AS FROM '{folder / name}.parquet'")
        blanks = check_scans(reference, plain, names, tpch.queries())
    assert blanks > 400


@pytest.mark.slow
def test_tpcds_reads_only_what_is_scanned(reference: DuckDBReference) -> None:
    path = tpcds.generate()
    with duckdb.connect(config={"threads": 1}) as plain:
        plain.execute(f"ATTACH '{path}' AS source (READ_ONLY)")
        names = list(tpcds.PLACES)
        for name in names:
            plain.execute(f"CREATE TABLE {name} AS FROM source.{name}")
        blanks = check_scans(reference, plain, names, tpcds.queries())
    assert blanks > 2000


def check_scans(
    reference: DuckDBReference, plain: Any, names: Sequence[str], queries: dict[str, str]
) -> int:
    """Each query answers alike when all columns it does not read are NULL; counts those."""
    all_columns = {name: columns_of(plain, name) for name in names}
    plain.execute("CREATE SCHEMA blank")
    blanks = 0
    for number, sql in queries.items():
        judged = judge(sql, connection=plain)
        shadows: Shadows = {ref.key: all_columns[ref.name.lower()] for ref in judged.tables}
        rows = plain.execute(f"DESCRIBE {sql}").fetchall()
        assert text(reference.describe(sql, shadows)) == [(r[0], r[1]) for r in rows], number
        scanned = reference.scanned_columns(sql, shadows)
        assert scanned is not None, number
        expected = sorted(comparable(plain.execute(sql).fetchall()))
        for key, columns in shadows.items():
            blanks += len(columns) - len(scanned[key])
            items = [
                quoted(c) if c in scanned[key] else f"CAST(NULL AS {t}) AS {quoted(c)}"
                for c, t in columns
            ]
            plain.execute(
                f"CREATE OR REPLACE VIEW blank.{key[2]} AS "
                f"SELECT {', '.join(items)} FROM main.{key[2]}"
            )
        plain.execute("SET schema = 'blank'")
        found = sorted(comparable(plain.execute(sql).fetchall()))
        plain.execute("SET schema = 'main'")
        assert found == expected, number
        for key in shadows:
            plain.execute(f"DROP VIEW blank.{key[2]}")
    return blanks


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("select count(*) from trades", set()),
        ("select t from trades t", {"id", "trader", "book", "qty"}),
        ("select any_value(t).book from trades t", {"id", "trader", "book", "qty"}),
        ("select id from trades where qty > 1 order by book", {"id", "qty", "book"}),
        ("select * exclude (book) from trades", {"id", "trader", "qty"}),
        ("select columns('.*er') from trades", {"trader"}),
        ("select columns(c -> c like 'q%') from trades", {"qty"}),
        ("from trades pivot (sum(qty) for book in ('x'))", {"id", "trader", "book", "qty"}),
        ("unpivot trades on qty, id", {"id", "trader", "book", "qty"}),
        ("select count(*) from (select distinct * from trades)", {"id", "trader", "book", "qty"}),
        ("select x.v from trades t, lateral (select t.qty + 1 as v) x", {"qty"}),
        ("select unnest([qty, id]) from trades", {"qty", "id"}),
        ("select list_transform([1], x -> x + qty) from trades", {"qty"}),
        (
            "select id from trades t where exists (from trades u where u.book = t.trader)",
            {"id", "book", "trader"},
        ),
        (
            "select id from trades qualify row_number() over (partition by book order by qty) = 1",
            {"id", "book", "qty"},
        ),
        (
            "select a.id from trades a asof join trades b on a.book = b.book and a.qty >= b.qty",
            {"id", "book", "qty"},
        ),
        ("with q as (select * from trades) select id from q union all select qty from q", None),
        (
            "with recursive r as (select id from trades union select r.id + 1 from r, trades t "
            "where r.id < t.qty) from r",
            {"id", "qty"},
        ),
        ("select max(id) from trades where false", {"id"}),
        ("select id from trades limit 0", {"id"}),
        ("summarize trades", {"id", "trader", "book", "qty"}),
        ("describe trades", set()),
        ("select 1 from trades using sample 2 rows", set()),
        (
            "select string_agg(book, ',' order by qty) filter (where id > 1) from trades",
            {"book", "qty", "id"},
        ),
        ("from trades natural join (select 1::bigint as id)", {"id", "trader", "book", "qty"}),
        ("select id from trades group by grouping sets ((id, book), ())", {"id", "book"}),
    ],
)
def test_scanned_columns(reference: DuckDBReference, sql: str, read: set[str] | None) -> None:
    shadows: Shadows = {("", "", "trades"): TABLES["", "", "trades"]}
    found = reference.scanned_columns(sql, shadows)
    assert found is not None
    if read is not None:
        assert found["", "", "trades"] == read
    else:
        assert found["", "", "trades"] >= {"id", "qty"}


def test_scanned_columns_of_odd_names(reference: DuckDBReference) -> None:
    key = ("", "", "odd")
    columns = [
        ("s", "STRUCT(a INTEGER)"),
        ("s.a", "INTEGER"),
        ("x,y", "INTEGER"),
        ('q"', "INTEGER"),
    ]
    shadows: Shadows = {key: columns}
    assert reference.scanned_columns("select s.a from odd", shadows) == {key: {"s", "s.a"}}
    assert reference.scanned_columns('select "x,y", "q""" from odd', shadows) == {
        key: {"x,y", 'q"'}
    }
    # The plan shows a line break as the end of a name, so nothing is said.
    broken: Shadows = {key: [("a\nb", "INTEGER"), ("c", "INTEGER")]}
    assert reference.scanned_columns('select "a\nb" from odd', broken) is None
    same: Shadows = {("", "shop", "t"): [("a", "INTEGER"), ("b", "DATE")]}
    same["crm", "main", "t"] = [("a", "INTEGER"), ("c", "DATE")]
    assert reference.scanned_columns("select x.b, y.a from shop.t x, crm.main.t y", same) == {
        ("", "shop", "t"): {"b"},
        ("crm", "main", "t"): {"a"},
    }
    assert reference.scanned_columns("pivot odd on s using count(*)", shadows) is None


def test_floats_compare_as_expected() -> None:
    assert math.isnan(float("nan"))
    assert comparable([(0.1 + 0.2, Decimal("1.0"))]) == comparable([(0.3, Decimal("1.0"))])
