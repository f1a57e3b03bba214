"""A session with the cache: the same answer as without, and a new one as soon as it may differ."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.cache.conftest import Open

from dovetail.connectors import file_state
from dovetail.errors import CancelledError, RowsExceededError, UsageError
from dovetail.execution.result import Result
from dovetail.session import Session

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "cli_cases.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def ask(session: Session, sql: str, **options: Any) -> tuple[str, list[tuple[Any, ...]]]:
    """``hit``, ``miss`` or ``none``, and the rows."""
    with session.sql(sql, **{"cache": True, **options}) as result:
        rows = result.rows()
        return result.profile.cache, rows


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    return path


@pytest.fixture
def files(csv: Path) -> dict[str, Any]:
    return {"f": {"kind": "files", "path": str(csv.parent)}}


# -- hit and miss -----------------------------------------------------------------------------


def test_off_unless_asked_for(opened: Open, files: dict[str, Any], tmp_path: Path) -> None:
    session = opened(files)
    for _ in range(2):
        with session.sql("select * from f.t") as result:
            assert result.rows() == [(1, "x"), (2, "y")]
        assert (result.profile.cache, result.profile.fragments[0].cache) == ("none", "none")
    assert not (tmp_path / "kept").exists()


def test_the_profile_says_hit_or_miss(opened: Open, files: dict[str, Any]) -> None:
    with opened(files).sql("select b, a from f.t", cache=True) as first:
        assert first.rows() == [("x", 1), ("y", 2)]
    assert first.profile.cache == "miss"
    assert first.profile.fragments[0].cache == "miss"
    seen: list[Any] = []
    with opened(files).sql("select b, a from f.t", cache=True, on_progress=seen.append) as second:
        assert second.columns == first.columns
        assert second.schema == first.schema
        assert second.rows() == [("x", 1), ("y", 2)]
    profile = second.profile.to_dict()
    assert (profile["cache"], profile["rows"], profile["bytes_moved"]) == ("hit", 2, 0)
    assert 0 <= profile["cache_age_seconds"] < 60
    assert profile["milliseconds"] > 0
    fragment = profile["fragments"][0]
    assert (fragment["source"], fragment["road"], fragment["cache"]) == ("f", "cache", "hit")
    assert fragment["sql"] == first.profile.fragments[0].sql
    assert (fragment["rows"], fragment["bytes"], fragment["complete"]) == (0, 0, True)
    assert seen == [second.profile]


def test_as_configured_or_as_the_query_says(opened: Open, files: dict[str, Any]) -> None:
    session = opened(files, cache={"enabled": True, "max_age": "1h"})
    assert ask(session, "from f.t", cache=None)[0] == "miss"
    assert ask(session, "from f.t", cache=None)[0] == "hit"
    assert ask(session, "from f.t", cache=False)[0] == "none"
    assert ask(session, "from f.t", cache=30.0)[0] == "hit"
    time.sleep(0.002)
    assert ask(session, "from f.t", cache=0.001)[0] == "miss", "it is older than this query wants"
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="seconds above 0"):
            session.sql("from f.t", cache=wrong)


def test_another_question_is_another_entry(opened: Open, files: dict[str, Any]) -> None:
    session = opened(files)
    asked = [
        ("select a from f.t", {}),
        ("select a as c from f.t", {}),
        ("select a::integer as a from f.t", {}),
        ("select a from f.t", {"limit": 1}),
        ("select a from f.t where a = $x", {"params": {"x": 1}}),
        ("select a from f.t where a = $x", {"params": {"x": 2}}),
        ("select $x as v, a from f.t", {"params": {"x": "1"}}),
        ("select $x as v, a from f.t", {"params": {"x": 1}}),
        ("select $x as v, a from f.t", {"params": {"x": 1.0}}),
        ("select $x as v, a from f.t", {"params": {"x": True}}),
        ("select $x as v, a from f.t", {"params": {"x": date(2026, 1, 1)}}),
        ("select ? as v, a from f.t", {"params": [1]}),
        ("select ? as v, a from f.t", {"params": [2]}),
        ("select `a` from f.t", {"dialect": "mysql"}),
    ]
    answers = [ask(session, sql, **options) for sql, options in asked]
    # The last is the first in another dialect.
    assert [how for how, _ in answers] == ["miss"] * 13 + ["hit"]
    again = [ask(opened(files), sql, **options) for sql, options in asked]
    assert again == [("hit", rows) for _, rows in answers]


def test_what_is_read_by_a_call_is_found_again(opened: Open, csv: Path) -> None:
    for sql in (
        f"select * from read_csv('{csv}', header = true)",
        f"select t.a, u.a from read_csv('{csv}') t, read_csv('{csv}', names = ['a', 'z']) u",
        f"select * from '{csv}' t, lateral (select t.a + 1 as c)",  # the engine runs the text
        f"pivot '{csv}' on b using sum(a)",
    ):
        first, second = ask(opened(), sql), ask(opened(), sql)
        assert second == ("hit", first[1])
    assert ask(opened(), f"select * from read_csv('{csv}', header = false)")[0] == "miss"


# -- versions ---------------------------------------------------------------------------------


def changes(path: Path) -> list[Callable[[], object]]:
    """Ways in which a file is changed or replaced, each with another answer."""
    beside = path.with_name("beside")

    def replace() -> None:
        beside.write_text("a,b\n5,p\n6,q\n")
        os.utime(beside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        beside.replace(path)

    def in_place_with_the_old_time() -> None:
        before = path.stat()
        path.write_text("a,b\n7,p\n8,q\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return [
        lambda: path.write_text("a,b\n3,z\n4,w\n"),
        lambda: path.write_text("a,b\n3,z\n"),
        replace,
        in_place_with_the_old_time,
    ]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("named", ["source", "path", "glob"])
def test_a_changed_file_is_read(
    opened: Open, files: dict[str, Any], csv: Path, number: int, named: str
) -> None:
    table = {"source": "f.t", "path": f"'{csv}'", "glob": f"'{csv.parent}/*.csv'"}[named]
    sql = f"select * from {table} order by a"
    session = opened(files)
    assert ask(session, sql) == ("miss", [(1, "x"), (2, "y")])
    assert ask(session, sql) == ("hit", [(1, "x"), (2, "y")])
    changes(csv)[number]()
    for one in (opened(files), session):
        answer = ask(one, sql)
        assert answer[1] == ask(one, sql, cache=False)[1]
        assert answer[1][0][0] >= 3
    assert ask(session, sql) == ("hit", answer[1])


def test_a_further_file_of_a_glob_and_one_less(opened: Open, csv: Path) -> None:
    sql = f"select count(*) from '{csv.parent}/*.csv'"
    session = opened()
    assert [ask(session, sql) for _ in range(2)] == [("miss", [(2,)]), ("hit", [(2,)])]
    other = csv.with_name("u.csv")
    other.write_text("a,b\n9,k\n")
    assert ask(session, sql) == ("miss", [(3,)])
    other.unlink()
    assert ask(session, sql) == ("hit", [(2,)]), "all is as it was"


def test_a_file_that_others_may_no_longer_read(opened: Open, files: dict[str, Any]) -> None:
    path = Path(files["f"]["path"]) / "t.csv"
    assert ask(opened(files), "from f.t")[0] == "miss"
    path.chmod(0o000)
    try:
        if os.access(path, os.R_OK):
            assert ask(opened(files), "from f.t")[0] == "miss", "its attributes changed"
    finally:
        path.chmod(0o600)


@pytest.mark.parametrize("journal", ["delete", "wal", "truncate", "persist"])
def test_a_changed_sqlite_file(opened: Open, tmp_path: Path, journal: str) -> None:
    path = tmp_path / "s.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute(f"pragma journal_mode = {journal}")
    writer.execute("create table t (a int)")
    writer.execute("insert into t values (1)")
    sources = {"s": {"kind": "sqlite", "path": str(path)}}
    session = opened(sources)
    for value in (2, 3):
        first = ask(session, "select max(a) from s.t")
        assert first == ("miss", [(value - 1,)])
        assert ask(opened(sources), "select max(a) from s.t") == ("hit", first[1])
        writer.execute(f"insert into t values ({value})")  # into the log that is still open
    assert ask(session, "select max(a) from s.t") == ("miss", [(3,)])
    writer.execute("begin")
    writer.execute("insert into t values (4)")
    assert ask(session, "select max(a) from s.t")[1] == [(3,)], "not committed"
    writer.execute("commit")
    assert ask(session, "select max(a) from s.t") == ("miss", [(4,)])
    writer.close()


def test_a_changed_duckdb_file(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "d.duckdb"

    def write(*statements: str) -> None:
        code = "import sys, duckdb\nc = duckdb.connect(sys.argv[1])\n"
        code += "for text in sys.argv[2:]: c.execute(text)\nc.close()\n"
        subprocess.run([sys.executable, "-c", code, str(path), *statements], check=True)

    write("create table t as select 1 as a")
    sources = {"d": {"kind": "duckdb", "path": str(path)}}
    with opened(sources) as session:
        assert ask(session, "select * from d.t") == ("miss", [(1,)])
        assert ask(session, "select * from d.t") == ("hit", [(1,)])
    write("alter table t add column b int default 7")
    with opened(sources) as session:
        assert ask(session, "select * from d.t") == ("miss", [(1, 7)])
        assert ask(session, "select * from d.t") == ("hit", [(1, 7)])
    # Committed, but in the log only: the writer dies before it can tidy up.
    code = (
        "import sys, os, duckdb\nc = duckdb.connect(sys.argv[1])\n"
        "c.execute('insert into t values (2, 8)')\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name(path.name + ".wal").stat().st_size > 0
    with opened(sources) as session:
        assert ask(session, "select * from d.t") == ("miss", [(1, 7), (2, 8)])


def test_a_file_that_was_just_written_is_not_trusted(
    opened: Open, files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second write within the clock's tick would leave every stamp as it is."""
    monkeypatch.setattr(file_state, "SETTLED", 2.0)
    (Path(files["f"]["path"]) / "t.csv").write_text("a,b\n1,x\n")
    with opened(files).sql("from f.t", cache=True) as result:
        result.rows()
    assert result.profile.cache == "none"
    assert "t.csv was changed a moment ago, perhaps still is" in result.profile.cache_note


def test_a_file_that_changes_while_its_result_is_read(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a\n" + "\n".join(map(str, range(300_000))))
    session = opened()
    with session.sql(f"select a from '{path}'", cache=True) as result:
        batches = result.batches()
        next(batches)
        with path.open("a") as file:
            file.write("\n1")
        for _ in batches:
            pass
    assert result.profile.cache_note == "what it was read from has changed meanwhile"
    assert ask(opened(), f"select count(*) from '{path}'")[1] == [(300_001,)]


# -- what is not kept -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "select random() < 2, * from f.t",
        "select uuid() is null, a from f.t",
        "select gen_random_uuid() is null, a from f.t",
        "select now() > timestamptz '2000-01-01', a from f.t",
        "select current_date > date '2000-01-01' as d, a from f.t",
        "select current_timestamp > timestamptz '2000-01-01' as d, a from f.t",
        "select localtime is null as d, a from f.t",
        "select today() > date '2000-01-01' as d, a from f.t",
        "select age(timestamp '2000-01-01') is null as d, a from f.t",
        "select a from f.t where a < (select 5 + 0 * epoch(now()))",
        "with w as (select now() as m) select a from f.t, w",
        "select a from f.t using sample 2 rows",
        "select a from f.t tablesample reservoir(2)",
        "select 1",
        "select * from range(3)",
        "describe f.t",
    ],
)
def test_a_query_that_may_answer_otherwise(
    opened: Open, files: dict[str, Any], sql: str, tmp_path: Path
) -> None:
    session = opened(files)
    for _ in range(2):
        with session.sql(sql, cache=True) as result:
            result.rows()
        assert result.profile.cache == "none"
        assert result.profile.cache_note
    assert not list((tmp_path / "kept").glob("*.result"))


def test_constants_of_the_engine_and_quoted_words_are_kept(
    opened: Open, files: dict[str, Any]
) -> None:
    session = opened(files)
    for sql in (
        "select version(), user, a from f.t",
        "select 'now() random() current_date' as s from f.t",
        "select a as age, b as today from f.t",
        "select date_part('year', date '2020-01-01'), a from f.t -- now()",
    ):
        assert [ask(session, sql)[0] for _ in range(2)] == ["miss", "hit"], sql


def test_macros_are_what_their_bodies_are(opened: Open, files: dict[str, Any]) -> None:
    def macro(sql: str) -> dict[str, Any]:
        return {"m": {"parameters": ["x"], "sql": sql}}

    sql = "select m(a) as v from f.t order by 1"
    assert ask(opened(files, macros=macro("x + 1")), sql) == ("miss", [(2,), (3,)])
    assert ask(opened(files, macros=macro("x + 1")), sql) == ("hit", [(2,), (3,)])
    assert ask(opened(files, macros=macro("x + 2")), sql) == ("miss", [(3,), (4,)])
    assert ask(opened(files, macros=macro("x + 0 * epoch(now())")), sql)[0] == "none"


def test_a_parameter_that_is_no_plain_value(opened: Open, csv: Path) -> None:
    with opened().sql(f"select ? as v, a from '{csv}'", [[1, 2]], cache=True) as result:
        assert result.rows() == [([1, 2], 1), ([1, 2], 2)]
    assert (result.profile.cache, result.profile.cache_note) == (
        "none",
        "the value of a parameter is no plain one",
    )


def test_standard_input_is_not_kept(opened: Open, csv: Path) -> None:
    session = opened(stdin=csv)
    for _ in range(2):
        with session.sql("select * from stdin", cache=True) as result:
            assert len(result.rows()) == 2
        assert result.profile.cache_note == "stdin is there for this session only"


def test_goals_of_rules_are_not_kept(opened: Open, files: dict[str, Any]) -> None:
    session = opened(files)
    session.load_rules("p", "n(1). n(2). big(X) :- n(X), X > 1.")
    with session.sql("select * from rules.p.big, f.t where t.a = 1", cache=True) as result:
        assert len(result.rows()) == 1
    assert (result.profile.cache, result.profile.cache_note) == (
        "none",
        "rules.p.big is made by rules",
    )


def test_views_and_generated_columns_of_files(opened: Open, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        for statement in (
            "create table t as select 1 as a",
            "create view steady as select a + 1 as b from t",
            "create view clock as select a, now() > timestamptz '2000-01-01' as m from t",
            "create view over_clock as select * from clock",
            "create table made (a int, m timestamptz as (now()))",
            "insert into made values (1)",
            "create view over_made as select * from made",
        ):
            connection.execute(statement)
    with sqlite3.connect(tmp_path / "s.db") as lite:
        lite.execute("create table t (a int)")
        lite.execute("create view v as select a, datetime('now') as m from t")
    lite.close()
    session = opened(
        {
            "d": {"kind": "duckdb", "path": str(tmp_path / "d.duckdb")},
            "s": {"kind": "sqlite", "path": str(tmp_path / "s.db")},
        }
    )
    assert [ask(session, "from d.steady")[0] for _ in range(2)] == ["miss", "hit"]
    for table in ("d.clock", "d.over_clock", "d.made", "d.over_made", "s.v"):
        assert [ask(session, f"from {table}")[0] for _ in range(2)] == ["none", "none"], table
    named = f"from '{tmp_path / 'd.duckdb'}'."
    assert [ask(session, named + "t")[0] for _ in range(2)] == ["miss", "hit"]
    assert ask(session, named + "steady")[0] == "none"


def test_what_was_not_read_to_its_end_is_not_kept(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a\n" + "\n".join(map(str, range(300_000))))
    sql = f"select a from '{path}'"
    session = opened()

    def left() -> None:
        with session.sql(sql, cache=True) as result:
            next(result.batches())

    def cancelled() -> None:
        with session.sql(sql, cache=True) as result:
            batches = result.batches()
            next(batches)
            result.cancel()
            with pytest.raises(CancelledError):
                list(batches)

    def dropped() -> None:
        batches = session.sql(sql, cache=True).batches()
        next(batches)

    def unread() -> None:
        session.sql(sql, cache=True)

    def failed() -> None:
        with pytest.raises(Exception, match="may not"):
            session.sql(
                f"select if(a < 299999, a, error('may not')) from '{path}'", cache=True
            ).rows()

    def too_many() -> None:
        result = opened(limits={"max_rows": 250_000}).sql(sql, cache=True)
        with pytest.raises(RowsExceededError):
            result.rows()

    for end in (left, cancelled, dropped, unread, failed, too_many):
        end()
        assert not list((tmp_path / "kept").glob("*.result")), end
        assert not list((tmp_path / "kept").glob("*.part")), end
    assert ask(session, sql)[0] == "miss"
    assert ask(session, sql)[0] == "hit"


def test_limits_and_cancel_hold_for_kept_rows(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a\n" + "\n".join(map(str, range(300_000))))
    sql = f"select a from '{path}'"
    ask(opened(), sql)
    result = opened(limits={"max_rows": 299_999}).sql(sql, cache=True)
    with pytest.raises(RowsExceededError, match=r"more than 299999 rows \(limits.max_rows\)"):
        result.rows()
    assert result.profile.cache == "hit"
    cancels: list[Callable[[], None]] = []
    result = opened().sql(sql, cache=True, on_start=cancels.append)
    batches = result.batches()
    assert next(batches).num_rows > 0
    cancels[0]()
    with pytest.raises(CancelledError, match="the query was cancelled"):
        next(batches)
    result = opened().sql(sql, cache=True)
    batches = result.batches()
    next(batches)
    result.close()
    with pytest.raises(CancelledError, match="closed before it was read"):
        next(batches)
    with pytest.raises(UsageError, match="this result has been read"):
        result.rows()


def test_explain_analyze_runs(opened: Open, files: dict[str, Any]) -> None:
    session = opened(files, cache={"enabled": True})
    explained = session.explain("from f.t", analyze=True)
    assert explained.profile is not None
    assert explained.profile.cache == "none"
    assert "Result cache: miss, nothing is kept of it" in str(explained)
    ask(session, "from f.t")
    explained = session.explain("from f.t", analyze=True)
    assert explained.profile is not None
    assert (explained.profile.cache, explained.profile.fragments[0].rows) == ("none", 2)
    assert "Result cache: hit, a result 0 s old" in str(explained)
    assert explained.to_dict()["result_cache"]["cache"] == "hit"
    assert "Result cache: none, it calls now" in str(session.explain("select now(), a from f.t"))
    assert "Result cache" not in str(session.explain("from f.t", cache=False))


# -- who ---------------------------------------------------------------------------------------


def test_a_changed_configuration_is_another_source(opened: Open, csv: Path) -> None:
    def source(**options: Any) -> dict[str, Any]:
        table = {"path": "t.csv", **({"options": options} if options else {})}
        return {"f": {"kind": "files", "path": str(csv.parent), "tables": {"t": table}}}

    assert ask(opened(source()), "from f.t") == ("miss", [(1, "x"), (2, "y")])
    assert ask(opened(source(header=False)), "from f.t") == (
        "miss",
        [("a", "b"), ("1", "x"), ("2", "y")],
    )
    assert ask(opened(source()), "from f.t")[0] == "hit"
    renamed = {"g": source()["f"]}
    assert ask(opened(renamed), "from g.t")[0] == "miss"


def test_another_scope_sees_nothing_of_it(opened: Open, files: dict[str, Any]) -> None:
    assert ask(opened(files, cache_scope="one"), "from f.t")[0] == "miss"
    assert ask(opened(files, cache_scope="two"), "from f.t")[0] == "miss"
    assert ask(opened(files, cache_scope="one"), "from f.t")[0] == "hit"


def test_another_version_of_the_program(
    opened: Open, files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(opened(files), "from f.t")[0] == "miss"
    monkeypatch.setattr("dovetail.cache.identity.our_version", lambda: "0.0.1")
    assert ask(opened(files), "from f.t")[0] == "miss"


# -- the same answer --------------------------------------------------------------------------


def values(result: Result) -> list[str]:
    """The values of each column as Python writes them: NaN is not equal to itself."""
    table = pa.Table.from_batches(list(result.batches()), result.schema)
    # Days and times beyond those of Python as the numbers that they are.
    wide = {"date32[day]": pa.int32(), "timestamp[us]": pa.int64(), "timestamp[ms]": pa.int64()}
    wide |= {"timestamp[s]": pa.int64(), "timestamp[ns]": pa.int64()}
    wide |= {"timestamp[us, tz=UTC]": pa.int64(), "time64[us]": pa.int64()}
    columns = [c.cast(wide[str(c.type)]) if str(c.type) in wide else c for c in table.columns]
    return [repr(column.to_pylist()) for column in columns]


def same(first: Result, second: Result) -> None:
    """Names, types, Arrow schemas and values are the same."""
    assert second.columns == first.columns
    assert second.schema.equals(first.schema, check_metadata=True)
    assert values(second) == values(first)


def test_every_type_of_duckdb(opened: Open, tmp_path: Path) -> None:
    # What no result can carry, with or without the cache.
    left_out = {"bignum", "date_array", "timestamp_array", "timestamptz_array"}
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute("create table every as from test_all_types()")
        names = [row[0] for row in connection.execute("describe every").fetchall()]
    session = opened({"d": {"kind": "duckdb", "path": str(tmp_path / "d.duckdb")}})
    assert left_out < set(names)
    for name in names:
        if name in left_out:
            continue
        sql = f'select "{name}", "{name}" from d.every'
        with session.sql(sql, cache=True) as first:
            expected = values(first)
        with session.sql(sql) as plain, session.sql(sql, cache=True) as hit:
            assert (first.profile.cache, hit.profile.cache) == ("miss", "hit"), name
            assert hit.columns == first.columns == plain.columns
            assert hit.schema.equals(first.schema, check_metadata=True), name
            assert values(hit) == expected == values(plain), name


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_corpus_of_the_command_line(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict[str, Any]
) -> None:
    """Each case without the cache, with it, and from it: three times the same."""
    if "error_names" in case:
        pytest.skip("it has no result")
    monkeypatch.chdir(tmp_path)
    for name, content in case["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else base64.b64decode(content["base64"])
        path.write_bytes(data)
    session = opened()
    with session.sql(case["sql"]) as plain, session.sql(case["sql"], cache=True) as first:
        same(plain, first)
    with opened().sql(case["sql"], cache=True) as second, session.sql(case["sql"]) as plain:
        same(plain, second)
    if first.profile.cache == "miss":
        assert (second.profile.cache, first.profile.cache_note) == ("hit", "")
    else:
        assert first.profile.cache_note


# -- at once ----------------------------------------------------------------------------------


def test_sessions_at_once(opened: Open, files: dict[str, Any]) -> None:
    answers: list[tuple[str, Any]] = []

    def work() -> None:
        session = opened(files)
        answers.extend(ask(session, "select a, b from f.t order by a") for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert {tuple(rows) for _, rows in answers} == {((1, "x"), (2, "y"))}
    assert [how for how, _ in answers].count("hit") >= 16


def test_a_query_that_is_killed_leaves_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a\n" + "\n".join(map(str, range(300_000))))
    os.utime(path)
    code = (
        "import sys, dovetail, time\n"
        "from dovetail.connectors import file_state\n"
        "file_state.SETTLED = 0.0\n"
        "config = {'cache': {'directory': sys.argv[1]}}\n"
        "session = dovetail.connect(config, allowed_directories=['/'])\n"
        "batches = session.sql(f\"select a from '{sys.argv[2]}'\", cache=True).batches()\n"
        "next(batches)\nprint('reading', flush=True); time.sleep(600)\n"
    )
    kept = tmp_path / "kept"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(kept), str(path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"reading\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(list(kept.glob("*.part"))) == 1
    assert not list(kept.glob("*.result"))
