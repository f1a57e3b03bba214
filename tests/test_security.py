"""Hostile input: every text here is refused, or harmless, with a clear error.

First the judge alone, then whole sessions over real sources. A text that gets through may only
name tables that no source has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import (
    DovetailError,
    NotSupportedError,
    QueryError,
    QuerySyntaxError,
    RefusedError,
    UnknownNameError,
)
from dovetail.language.sql import judge_functions as lists
from dovetail.language.sql.judge import judge


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    made = duckdb.connect(config={"enable_external_access": "false"})
    made.execute("SET lock_configuration = true")
    yield made
    made.close()


def refused(connection: Any, sql: str) -> DovetailError:
    """The error of a text that must not pass; all of them are the user's to read."""
    with pytest.raises((QueryError, NotSupportedError)) as caught:
        judge(sql, connection=connection)
    error = caught.value
    assert error.message
    assert error.exit_code == 1
    assert "Traceback" not in str(error)
    return error


# -- statements that are not queries --------------------------------------------------------------

NOT_QUERIES = [
    "insert into t values (1)",
    "update t set a = 1",
    "delete from t",
    "truncate t",
    "merge into t using u on t.a = u.a when matched then delete",
    "drop table t",
    "drop schema s cascade",
    "alter table t add column x int",
    "create table t as select 1",
    "create or replace temp table t as select 1",
    "create view v as select 1",
    "create macro f(x) as x",
    "create type e as enum ('a')",
    "create sequence s",
    "create secret (type s3, key_id 'a', secret 'b')",
    "create schema s",
    "comment on table t is 'x'",
    "copy t to 'out.csv'",
    "copy (select * from t) to '/tmp/out.parquet' (format parquet)",
    "copy t from 'in.csv'",
    "copy from database a to b",
    "export database '/tmp/x'",
    "import database '/tmp/x'",
    "attach '/etc/passwd' as p",
    "attach 'host=x password=y' as p (type postgres)",
    "detach p",
    "use p",
    "install httpfs",
    "force install httpfs from community",
    "load httpfs",
    "load '/tmp/evil.duckdb_extension'",
    "update extensions",
    "set enable_external_access = true",
    "set global threads = 1",
    "set variable v = 1",
    "reset enable_external_access",
    "pragma enable_profiling",
    "pragma database_list",
    "pragma table_info('t')",
    "pragma version",
    "call pragma_version()",
    "call enable_logging()",
    "checkpoint",
    "force checkpoint",
    "vacuum",
    "analyze",
    "begin",
    "begin transaction read only",
    "commit",
    "rollback",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "explain select 1",
    "explain analyze delete from t",
    "explain analyze copy t to 'x'",
    "with x as (select 1) insert into t select * from x",
    "with x as (delete from t returning *) select * from x",
    "with x as (insert into t values (1) returning *) select * from x",
    "with x as (update t set a = 1 returning *) select * from x",
    "from t insert into u",
    "show tables",
    "show all tables",
    "show databases",
    "show schemas",
    "describe",
]


@pytest.mark.parametrize("sql", NOT_QUERIES)
def test_only_queries_run(connection: Any, sql: str) -> None:
    error = refused(connection, sql)
    assert isinstance(error, (RefusedError, QuerySyntaxError))


# -- several statements, comments, quotes ---------------------------------------------------------

STACKED = [
    "select 1; drop table t",
    "select 1;select 2",
    "select 1;;;drop table t",
    "; drop table t",
    "select 1 -- harmless\n; drop table t",
    "select 1 /* harmless */; drop table t /* x */",
    "select 1 /* /* nested */ */; drop table t",
    "select ';'; drop table t",
    'select ";" from t; drop table t',
    "select $$;$$; drop table t",
    "select $q$ ; $$ ; $q$; drop table t",
    "select e'\\'; '; drop table t",
    "select 'it''s'; drop table t",
    "select 1;\r\ndrop table t",
    "select 1 --\r; drop table t",
    "select 1;\u00a0drop table t",
    "select 1;\u2003drop table t",
    "pivot t on a using sum(b); drop table t",
    "select 1; pivot t on a using sum(b)",
    "pivot t on a using sum(b); pivot t on a using sum(b)",
    "select 1; prepare p as drop table t; execute p",
    "values (1); set threads = 1",
    "describe select 1; checkpoint",
    "select 1\x00; drop table t",
    "select 1 from t where a = '\x00'; drop table t",
]


@pytest.mark.parametrize("sql", STACKED)
def test_one_statement_at_a_time(connection: Any, sql: str) -> None:
    refused(connection, sql)


HARMLESS = [
    ("select '; drop table t'", "; drop table t"),
    ("select $$; drop table t; --$$", "; drop table t; --"),
    ("select $q$'; drop table t; --$q$", "'; drop table t; --"),
    ("select 'x' -- ; drop table t", "x"),
    ("select /* ; drop table t */ 'x'", "x"),
    ("select /* /* ; */ ; drop table t */ 'x'", "x"),
    ("select 'a\\'", "a\\"),
    ("select 'a'';drop table t;--'", "a';drop table t;--"),
    ("select 'x' as \"; drop table t; --\"", "x"),
    ("select\u00a0'x'", "x"),
    ("select 'x';", "x"),
    ("select 'getenv(''HOME'')'", "getenv('HOME')"),
]


@pytest.mark.parametrize(("sql", "value"), HARMLESS)
def test_quoted_text_is_text(connection: Any, sql: str, value: str) -> None:
    judged = judge(sql, connection=connection)
    assert judged.tables == ()
    assert connection.execute(judged.sql).fetchall() == [(value,)]


ODD_TEXT = [
    "select 1\u037e drop table t",  # Greek question mark
    "select 1\uff1b drop table t",  # full-width semicolon
    "\ufeff\ufeffdrop table t",
    "sel\u200bect 1; drop table t",
    "select \uff47etenv('HOME')",  # full-width g
    "select gete\u200bnv('HOME')",
    "select 1 \udc80",
    "select '\ud800'",
    "\u202eselect 1; drop table t",
    "",
    "   ",
    ";",
    "--",
    "/*",
    "'",
    '"',
    "$$",
    "(",
    "select",
    "select * from",
    "select * from a.b.c.d",
    "select 1 where",
]


@pytest.mark.parametrize("sql", ODD_TEXT)
def test_odd_text_is_an_error_of_the_query(connection: Any, sql: str) -> None:
    refused(connection, sql)


def test_text_of_any_length_and_depth_is_answered(connection: Any) -> None:
    for sql in [
        "select " + "(" * 100_000,
        "select " + "[" * 5000 + "1" + "]" * 5000,
        "select " + "1 + " * 100_000 + "1",
        "select " + "- " * 100_000 + "1",
        "select " + "case when true then " * 3000 + "1" + " end" * 3000,
        "select * from " + "(select * from " * 3000 + "t" + ")" * 3000,
        "select '" + "x" * 2_000_000 + "'",
    ]:
        error = refused(connection, sql)
        assert len(error.message) < 500


# -- functions that reach out of the query --------------------------------------------------------

REACHING = [
    "getenv('HOME')",
    "current_setting('threads')",
    "getvariable('v')",
    "set_config('a', 'b', false)",
    "in_search_path('memory', 'main')",
    "current_query()",
    "current_connection_id()",
    "current_transaction_id()",
    "txid_current()",
    "json_serialize_plan('select 1')",
    "write_log('x')",
    "parse_duckdb_log_message('QueryLog', 'x')",
    "setseed(0.5)",
    "sleep_ms(100000)",
    "pg_sleep(100)",
    "nextval('s')",
    "currval('s')",
    "get_block_size('memory')",
    "pg_get_viewdef(1)",
    "pg_get_constraintdef(1)",
    "format_type(1, 1)",
    "stats(1)",
    "vector_type(1)",
    "read_csv('/etc/passwd')",
    "read_text('/etc/passwd')",
    "glob('/etc/*')",
]

TABLE_REACHING = [
    "read_text('/etc/passwd')",
    "read_blob('/etc/*')",
    "glob('/**')",
    "sniff_csv('/etc/passwd')",
    "read_duckdb('/tmp/x.duckdb')",
    "parquet_metadata('/tmp/x.parquet')",
    "parquet_schema('x')",
    "parquet_file_metadata('x')",
    "parquet_kv_metadata('x')",
    "parquet_bloom_probe('x', 'y', 1)",
    "duckdb_settings()",
    "duckdb_secrets()",
    "duckdb_secrets(redact := false)",
    "duckdb_databases()",
    "duckdb_tables()",
    "duckdb_views()",
    "duckdb_columns()",
    "duckdb_functions()",
    "duckdb_extensions()",
    "duckdb_variables()",
    "duckdb_logs()",
    "duckdb_logs_parsed('QueryLog')",
    "duckdb_temporary_files()",
    "duckdb_prepared_statements()",
    "duckdb_memory()",
    "duckdb_external_file_cache()",
    "duckdb_profiling_settings()",
    "which_secret('s3://x', 's3')",
    "pragma_database_size()",
    "pragma_table_info('t')",
    "pragma_storage_info('t')",
    "pragma_show('t')",
    "pragma_user_agent()",
    "pragma_version()",
    "pragma_platform()",
    "pragma_metadata_info()",
    "pragma_collations()",
    "query('drop table t')",
    "query('select * from ' || 'duckdb_settings()')",
    "query_table('duckdb_settings')",
    "query_table(['t', 'duckdb_settings'])",
    "json_execute_serialized_sql('{}')",
    "from_substrait('x'::blob)",
    "histogram('duckdb_settings', name)",
    "histogram_values('duckdb_settings', name)",
    "enable_logging()",
    "disable_logging()",
    "enable_profiling()",
    "truncate_duckdb_logs()",
    "checkpoint()",
    "force_checkpoint()",
    "arrow_scan(1, 2, 3)",
    "arrow_scan_dumb(1, 2, 3)",
    "pandas_scan(1)",
    "python_map_function(1)",
    "seq_scan('t')",
    "test_all_types()",
    "test_vector_types(1)",
    "postgres_query('source_shop', 'drop table t')",
    "postgres_scan('host=x', 'public', 't')",
    "postgres_execute('source_shop', 'drop table t')",
    "mysql_query('source_crm', 'drop table t')",
    "sqlite_query('source_old', 'drop table t')",
    "sqlite_scan('/tmp/x.db', 't')",
    "iceberg_scan('s3://x')",
    "http_get('http://169.254.169.254/')",
    "st_read('/etc/passwd')",
    "sql_auto_complete('sel')",
    "shop.query('drop table t')",
]

SPELLINGS = [
    "select current_setting('threads')",
    "select CURRENT_SETTING('threads')",
    "select Current_Setting ( 'threads' )",
    "select current_setting/**/('threads')",
    "select current_setting--\n('threads')",
    "select \"current_setting\"('threads')",
    "select \"CURRENT_Setting\"('threads')",
    "select main.current_setting('threads')",
    "select system.main.current_setting('threads')",
    'select "system"."main"."current_setting"(\'threads\')',
    "select 'threads'.current_setting()",
    "select ('threads').current_setting()",
    "select ('thr' || 'eads').upper().current_setting()",
    "select 'threads'.\"current_setting\"()",
    "select current_setting('threads') over ()",
    "select current_setting(distinct 'threads')",
    "select current_setting('threads' order by 1)",
    "select current_setting('threads') filter (where true)",
]

# X stands for the call.
PLACES = [
    "select X",
    "select 1 where X is null",
    "select (select X)",
    "select (select (select X))",
    "select exists (select X)",
    "select 1 in (X, 2)",
    "select 1 in (select X)",
    "select 1 not in (select X)",
    "select 1 = any (select X)",
    "select 1 = any ([X])",
    "select array(select X)",
    "select 1 between X and 2",
    "select 'a' like X escape '!'",
    "select 'a' like 'b' escape X",
    "select 'a' similar to X",
    "select X collate nocase",
    "select cast(X as varchar)",
    "select try_cast(X as int)",
    "select try(X)",
    "select X::struct(a varchar)",
    "select case when true then X end",
    "select case X when 1 then 2 else 3 end",
    "select coalesce(null, X)",
    "select [X]",
    "select [x for x in [X]]",
    "select [X for x in [1]]",
    "select [x for x in [1] if X is null]",
    "select {'a': X}",
    "select {'a': X}.a",
    "select map {'a': X}",
    "select map {X: 1}",
    "select row(X)",
    "select (X, 1)",
    "select [1, 2][X]",
    "select [1, 2][1:X]",
    "select upper(X)",
    "select upper(lower(X))",
    "select list_transform([1], x -> X)",
    "select list_transform([1], lambda x: X)",
    "select list_filter([1], x -> list_contains(list_transform([1], y -> X), x))",
    "select list_reduce([1, 2], (a, b) -> X)",
    "select struct_pack(a := X)",
    "select X || 'a'",
    "select - X",
    "select not X",
    "select 1 is distinct from X",
    "select interval (X) day",
    "select extract(year from X)",
    "select position(X in 'a')",
    "select substring('a' from X)",
    "select trim(both X from 'a')",
    "select now() at time zone X",
    "select count(*) filter (where X is null)",
    "select string_agg(a, ',' order by X) from t",
    "select sum(1) over (partition by X)",
    "select sum(1) over (order by X)",
    "select sum(1) over (order by 1 range between X preceding and current row)",
    "select sum(1) over w from t window w as (order by X)",
    "select lag(1, 1, X) over ()",
    "select quantile_cont(a, X) from t",
    "select X as a from t group by all",
    "select 1 from t group by X",
    "select 1 from t group by rollup(X)",
    "select 1 from t group by grouping sets ((X))",
    "select 1 from t group by a having X is null",
    "select 1 from t qualify X is null",
    "select 1 from t order by X",
    "select 1 from t order by a collate nocase, X desc nulls first",
    "select 1 from t limit X",
    "select 1 from t limit (select X)",
    "select 1 from t offset X",
    "select distinct on (X) 1 from t",
    "select * from t join u on X is null",
    "select * from t left join u on t.a = u.a and X is null",
    "select * from t asof join u on t.a >= u.a and t.b = X",
    "select * from (select X)",
    "select * from (values (X))",
    "values (X)",
    "values (1), (X)",
    "select * from t, lateral (select X)",
    "select * from unnest([X])",
    "select * from range(X)",
    "select * from generate_series(1, X)",
    "select * from json_each(X)",
    "select * from repeat_row(X, num_rows = 1)",
    "select unnest([X])",
    "select * replace (X as a) from t",
    "select columns(c -> c = X) from t",
    "select columns(* exclude (a))::varchar || X from t",
    "select columns([x for x in (*) if x = X]) from t",
    "select 1 union all select X",
    "(select 1) except (select X)",
    "select 1 intersect (select 2 union select X)",
    "with a as (select X) select 1",
    "with a as (select 1), b as (select X from a) select * from b",
    "with a as materialized (select X) select 1",
    "with recursive r as (select 1 union all select X from r) select * from r",
    "with recursive r as (select X union all select 1 from r) select * from r",
    "select (with a as (select X) select * from a)",
    "describe select X",
    "summarize select X",
    "from (from (select X))",
    "from t select X",
    "pivot t on a in ('x') using sum(X)",
    "pivot t on a using sum(X)",
    "pivot t on X using sum(a)",
    "pivot (select X as a) on a in ('x') using count(*)",
    "pivot t on a in ('x') using max(a) order by X",
    "from t pivot (max(X) for a in ('x'))",
    "select * from (pivot t on a using max(X))",
    "unpivot (select X as a) on a",
    "select * from t tablesample reservoir(10 rows) where X is null",
    "select * from t using sample 10% where 1 = 1 union select X",
    "/* c */ select /* c */ X /* c */ -- c",
]


@pytest.mark.parametrize("sql", SPELLINGS)
def test_spellings_of_a_refused_function(connection: Any, sql: str) -> None:
    error = refused(connection, sql)
    if isinstance(error, RefusedError):
        assert "configuration" in error.message


@pytest.mark.parametrize("place", PLACES)
def test_a_refused_function_is_found_everywhere(connection: Any, place: str) -> None:
    sql = place.replace("X", "current_setting('threads')")
    with pytest.raises((RefusedError, QuerySyntaxError)) as caught:
        judge(sql, connection=connection)
    if isinstance(caught.value, QuerySyntaxError):
        # Not DuckDB's syntax at all; the same place with a plain value does not parse either.
        with pytest.raises(QuerySyntaxError):
            judge(place.replace("X", "upper('threads')"), connection=connection)
    else:
        assert '"current_setting"' in caught.value.message
        assert caught.value.location is not None
        found = caught.value.location
        assert found.excerpt[found.column - 1 :].startswith("current_setting")


def test_most_places_are_syntax(connection: Any) -> None:
    """The test above would prove nothing if its texts did not parse."""
    passed = 0
    for place in PLACES:
        try:
            judge(place.replace("X", "upper('threads')"), connection=connection)
            passed += 1
        except DovetailError:
            pass
    assert passed >= len(PLACES) - 8


@pytest.mark.parametrize("call", REACHING)
def test_scalar_functions_that_reach_out(connection: Any, call: str) -> None:
    for sql in (f"select {call}", f"select * from t where {call} is not null"):
        error = refused(connection, sql)
        assert isinstance(error, RefusedError)
        assert error.location is not None


@pytest.mark.parametrize("call", TABLE_REACHING)
def test_table_functions_that_reach_out(connection: Any, call: str) -> None:
    for sql in (
        f"select * from {call}",
        f"from {call}",
        f"select 1 where exists (from {call})",
        f"with a as (from {call}) select 1",
        f"select * from t, lateral (from {call} as x)",
        f"describe from {call}",
        f"pivot (from {call}) on a using count(*)",
    ):
        error = refused(connection, sql)
        assert isinstance(error, (RefusedError, NotSupportedError))


def test_paths_of_file_functions_are_constants(connection: Any) -> None:
    for call in (
        "read_csv('/etc/' || 'passwd')",
        "read_csv($path)",
        "read_csv(?)",
        "read_csv((select 'x'))",
        "read_csv(t.path)",
        "read_csv([upper('x')])",
        "read_csv(path)",
        "read_parquet(list_value('a', lower('B')))",
        "read_json('x', columns = {'a': upper('int')})",
        "read_csv()",
    ):
        assert isinstance(refused(connection, f"select * from {call}"), RefusedError)
    judged = judge("from read_csv(['a', '/etc/passwd'])", connection=connection)
    assert judged.files[0].arguments == (["a", "/etc/passwd"],)


# -- names of system tables are only names --------------------------------------------------------

SYSTEM_TABLES = [
    "duckdb_settings",
    "duckdb_databases",
    "duckdb_secrets",
    "sqlite_master",
    "sqlite_schema",
    "pragma_database_list",
    "information_schema.tables",
    "information_schema.schemata",
    "pg_catalog.pg_tables",
    "pg_catalog.pg_settings",
    "pg_tables",
    "main.duckdb_tables",
    "system.main.duckdb_settings",
    "system.information_schema.columns",
    "temp.main.sqlite_master",
    '"duckdb_settings"',
    "'duckdb_settings'",
    "DUCKDB_SETTINGS",
    "memory.information_schema.tables",
    "dovetail_shadow.main.t",
    "source_lake.main.t",
]


HIDDEN = ["duckdb_settings"]


@pytest.mark.parametrize("table", SYSTEM_TABLES)
def test_system_tables_are_reported_as_tables(connection: Any, table: str) -> None:
    plain = [part.strip("'\"").lower() for part in table.split(".")]
    for sql in (
        f"select * from {table}",
        f"with a as (from {table}) from a",
        f"select (select count(*) from {table})",
        # A WITH name does not hide a qualified table, nor itself.
        f"with duckdb_settings as (select 1), sqlite_master as (from {table}) select 1",
        f"with {plain[-1]} as (select * from {table}) select * from {plain[-1]}",
        f"with recursive {plain[-1]} as (from {table} union all select 1) from {plain[-1]}",
        f"pivot {table} on a using count(*)",
        f"describe {table}",
    ):
        try:
            judged = judge(sql, connection=connection)
        except RefusedError:
            continue
        names = [[p.lower() for p in ref.key if p] for ref in judged.tables]
        hidden = sql.startswith("with duckdb_settings as (select 1)") and plain == HIDDEN
        assert (plain in names) != hidden, sql


@pytest.mark.parametrize("name", ["read_txt", "current_seting", "duckdb_setting", "getenb", "eval"])
def test_unknown_functions_do_not_run(connection: Any, name: str) -> None:
    for sql in (f"select {name}('x')", f"select * from {name}('x')", f"select ('x').{name}()"):
        assert isinstance(refused(connection, sql), UnknownNameError)


# -- any text at all ------------------------------------------------------------------------------

WORDS = [
    *("select", "from", "where", "with", "as", "recursive", "union all", "values", "pivot", "on"),
    *("using", "in", "group by", "order by", "limit", "describe", "summarize", "lateral", "join"),
    *("insert into", "copy", "to", "set", "drop table", "attach", "create table", "delete from"),
    *("t", "u", "a", "b", '"a"', "'x'", "'a.csv'", "1", "2.5", "null", "$p", "?", ":p", "*", "#1"),
    *("(", ")", "[", "]", "{", "}", ",", ";", ".", "=", "+", "->", "=>", ":=", "::", ":", "int"),
    *("getenv(", "current_setting(", "read_csv(", "range(", "sum(", "count(*)", "duckdb_tables("),
    *("--", "\n", "/*", "*/", "$$", "$q$", "é", "\u00a0", "over ()", "exists (", "case when"),
    *("then", "end", "columns(", "exclude (a)", "replace (1 as a)", "for", "lambda x:", "x -> x"),
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14))
def test_any_text_is_judged_or_refused(words: list[str]) -> None:
    """Whatever passes is one SELECT (or the types a PIVOT makes first) and calls what may be."""
    sql = " ".join(words)
    try:
        judged = judge(sql, connection=SHARED)
    except (QueryError, NotSupportedError):
        return
    kinds = [statement.type.name for statement in SHARED.extract_statements(judged.sql)]
    assert kinds[-1] == "SELECT"
    assert set(kinds[:-1]) <= ({"CREATE"} if judged.dynamic_pivot else set())
    assert judged.functions <= lists.ALLOWED
    assert judged.table_functions <= lists.TABLE_FUNCTIONS
    for table in judged.tables:
        assert table.span is not None
        assert table.name.lower() in judged.sql[slice(*table.span)].lower()


NESTED = [p for p in PLACES if p.startswith(("select", "values", "with", "from", "pivot", "("))]


def test_a_refused_function_is_found_at_any_depth() -> None:
    """Places inside places; with a harmless call in the same spot many of these texts pass."""
    accepted: set[str] = set()

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(NESTED), min_size=2, max_size=4))
    def check(places: list[str]) -> None:
        sql = "X"
        for place in places:
            sql = sql.replace("X", f"({place})")
        with pytest.raises((RefusedError, QuerySyntaxError, UnknownNameError)):
            judge(sql.replace("X", "current_setting('threads')"), connection=SHARED)
        with contextlib.suppress(QueryError, NotSupportedError):
            judge(sql.replace("X", "upper('threads')"), connection=SHARED)
            accepted.add(sql)

    check()
    assert len(accepted) > 50


SHARED: Any = duckdb.connect(config={"enable_external_access": "false"})
