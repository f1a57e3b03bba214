"""Completion, statements and history: what the shell and the full-screen interface share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dovetail.catalog.model import ColumnInfo, TableInfo
from dovetail.editing.complete import complete, opens_by_itself
from dovetail.editing.history import History
from dovetail.editing.schema import Schema, SourceNames
from dovetail.editing.statements import is_complete, statement_at, statements_of
from dovetail.editing.tokens import quote_name, tokens_of
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.session import Session
from dovetail.types import parse_type


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schema]:
    folder = tmp_path_factory.mktemp("names")
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute('create table orders (id bigint, customer bigint, "Odd Name" varchar)')
        connection.execute("create schema old")
        connection.execute("create table old.archive (id bigint, year integer)")
        connection.execute("create table items (item bigint, price decimal(9,2))")
    config = {"sources": {"shop": {"kind": "duckdb", "path": str(folder / "shop.duckdb")}}}
    with Session.open(config) as session:
        made = Schema(session)
        made.load()
        made.wait()
        yield made


def offered(schema: Schema, marked: str, kind: str | None = None) -> list[str]:
    """What is offered at the ``|`` of a text."""
    offset = marked.index("|")
    found = complete(marked.replace("|", ""), offset, schema)
    return [item.text for item in found if kind in (None, item.kind)]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("select * from |", ["shop.orders", "shop.items", "shop.archive"]),
        ("select * from ord|", ["shop.orders"]),
        ("select * from shop.|", ["orders", "archive", "items", "main", "old"]),
        ("select * from shop.old.|", ["archive"]),
        ("select * from shop.orders o join shop.it|", ["items"]),
        ("select o.| from shop.orders o", ["id", "customer", '"Odd Name"']),
        ("select * from shop.orders o where o.cu|", ["customer"]),
        ("with big as (select id, price * 2 as twice from x) select b.| from big b",
         ["id", "twice"]),
        ("with a(one, two) as (select 1, 2) select a.| from a", ["one", "two"]),
        ("select s.| from (select item, max(price) as top from shop.items group by 1) s",
         ["item", "top"]),
        ("with r as (select * from shop.items) select r.| from r", ["item", "price"]),
        ("select 1; select i.| from shop.items i; select 2", ["item", "price"]),
        ("select * from shop.orders union select i.| from shop.items i", ["item", "price"]),
        ("select (select max(i.|) from shop.items i) from shop.orders o", ["item", "price"]),
        ("from shop.items i select i.|", ["item", "price"]),
        ("select '|", []),
        ("select -- ord|", []),
        ("select $o|", []),
        ("sel|", ["select"]),
    ],
)  # fmt: skip
def test_completion_knows_what_is_in_scope(
    schema: Schema, marked: str, expected: list[str]
) -> None:
    found = [text for text in offered(schema, marked) if not text.endswith("(")]
    assert set(found[: len(expected)]) == set(expected)


def test_an_expression_offers_columns_before_functions_and_words(schema: Schema) -> None:
    found = offered(schema, "select | from shop.items i where 1 = 1")
    assert found[:2] == ["item", "price"]
    assert "i" in offered(schema, "select | from shop.items i", "table")
    inner = offered(schema, "select (select | from shop.items i) from shop.orders o", "column")
    assert inner[:2] == ["item", "price"]
    assert "customer" in inner  # the outer query is in sight too
    assert "median(" in offered(schema, "select med| from shop.items", "function")
    assert offered(schema, "select getenv|", "function") == []


def test_files_are_offered_inside_quotes(
    schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trades.csv").write_text("id,who\n1,x\n")
    (tmp_path / "trash").mkdir()
    assert offered(schema, "select * from 'tr|") == ["trash/", "trades.csv"]
    assert offered(schema, "select * from read_csv('trad|') t") == ["trades.csv"]
    assert offered(schema, "select 'tr|") == []
    assert offered(schema, "select t.| from 'trades.csv' t") == []  # nothing is waited for
    with Session.open({}, allowed_directories=["/"]) as session:
        own = Schema(session)
        assert offered(own, "select t.| from 'trades.csv' t") == []
        own.wait()
        assert offered(own, "select t.| from 'trades.csv' t") == ["id", "who"]


def test_a_large_catalog_is_answered_at_once(schema: Schema) -> None:
    columns = tuple(ColumnInfo(f"column_{n}", parse_type("BIGINT"), "bigint") for n in range(20))
    tables = tuple(TableInfo("big", "main", f"table_{n:05}", columns) for n in range(10_000))
    before = schema._known["shop"]
    schema._known["big"] = SourceNames("big", "duckdb", "ready", tables)
    schema._by_name = None
    try:
        schema.find(("x",))  # the index is made once
        started = time.process_time()
        found = offered(schema, "select * from table_00777|")
        assert time.process_time() - started < 0.2
        assert found[0] == "big.table_00777"
    finally:
        del schema._known["big"]
        schema._by_name = None
    assert schema.sources == (before,)


def test_when_the_list_opens_by_itself() -> None:
    for text in ("select t.", "select t.na", "from ", "select * from ord", "join shop.", "from 'x"):
        assert opens_by_itself(text, len(text)), text
    for text in ("", "sel", "select a", "select 1.", "from t ", "where x = 'a", "-- from "):
        assert not opens_by_itself(text, len(text)), text


def test_a_source_that_is_down_is_told_and_delays_no_other(tmp_path: Path) -> None:
    config = {
        "sources": {
            "gone": {"kind": "sqlite", "path": str(tmp_path / "missing.db")},
            "here": {"kind": "files", "path": str(tmp_path)},
        }
    }
    (tmp_path / "t.csv").write_text("a\n1\n")
    with Session.open(config) as session:
        made = Schema(session)
        assert [s.state for s in made.sources] == ["loading", "loading"]
        made.load()
        made.wait()
        states = {s.name: s.state for s in made.sources}
        assert states == {"gone": "failed", "here": "ready"}
        assert "missing.db" in made.sources[0].error
        (tmp_path / "u.csv").write_text("a\n1\n")
        made.load("here", again=True)
        made.wait()
        assert {t.name for t in made.tables} == {"t", "u"}


def test_statements() -> None:
    text = (
        "select ';' as a; -- one; two\nselect 2\nGO -- next\n/* ; */ select $$;$$ ;\n\n"
        "select 'GO\nGO\n'"
    )
    found = statements_of(text)
    assert [s.text for s in found] == [
        "select ';' as a", "select 2", "select $$;$$", "select 'GO\nGO\n'",
    ]  # fmt: skip
    assert [s.finished for s in found] == [True, True, True, False]
    assert all(text[s.start : s.end] == s.text for s in found)
    here = statement_at(text, text.index("2"))
    assert here is not None
    assert here.text == "select 2"
    assert statement_at("select 1;", 9) == statements_of("select 1;")[0]
    assert statement_at("  -- nothing", 3) is None


@pytest.mark.parametrize(
    ("text", "complete_"),
    [("select 1;", True), ("select 1; -- done", True), ("select 1", False), ("select ';", False),
     ("select 1\nGO", True), ("select 1 /* ;", False), ("", False), ("select $$;$$", False),
     ("select 1\ngo --x", True)],
)  # fmt: skip
def test_when_enter_runs(text: str, complete_: bool) -> None:
    assert is_complete(text) is complete_


def test_tokens_never_refuse() -> None:
    [*_, last] = tokens_of('select "a b')
    assert (last.kind, last.name, last.open) == ("quoted", "a b", True)
    assert quote_name("order") == '"order"'
    assert quote_name("plain_1") == "plain_1"
    assert quote_name('Odd"') == '"Odd"""'


def test_history_is_shared_searched_and_holds_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.sqlite"
    shell, tui = History(path), History(path)
    fragments = [FragmentProfile(n, "shop", "sqlite", "…", "native", 5, 40, 1.5) for n in (1, 2)]
    shell.add("select 1", "shell", rows=1, milliseconds=2.5, profile=Profile(fragments))
    shell.add(" select secret", "shell")  # begins with a space: not kept
    tui.add("select broken", "tui", error="no column broken", milliseconds=2000)
    tui.add("select broken", "tui", error="no column broken", milliseconds=3000)
    shell.add("from 'postgres://u:hunter2@host/db'", "shell")
    entries = tui.entries()
    assert [e.sql for e in entries[1:]] == ["select broken", "select 1"]
    assert "hunter2" not in entries[0].sql
    assert entries[1].milliseconds == 3000  # a repetition replaces its neighbour
    assert [e.sql for e in shell.entries("BROKEN select")] == ["select broken"]
    assert [e.sql for e in shell.entries(failed=True)] == ["select broken"]
    assert [e.sql for e in shell.entries(slower_than=100)] == ["select broken"]
    [first] = shell.entries(source="shop")
    assert (first.sql, first.sources, first.bytes) == ("select 1", ("shop",), 80)
    assert first.parts[1] == ("shop", 1.5, 5, 40, "none")
    assert not first.cached
    assert shell.entry(first.id) == first
    assert shell.entries(since=first.started + 3600) == []
    assert path.stat().st_mode & 0o077 == 0
    tui.add("select 2", "tui", rows=7, cancelled=True)
    [ended] = shell.entries("2")
    assert (ended.cancelled, ended.rows, first.cancelled) == (True, 7, False)
    assert ended not in shell.entries(failed=True)
    assert shell.clear() == 4
    assert tui.entries() == []
    assert b"broken" not in path.read_bytes()
    shell.close()
    tui.close()


def test_a_history_tells_workspaces_apart(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    here, there = History(path, workspace="/here"), History(path, workspace="/there")
    here.add("select 1", "shell")
    there.add("select 2", "tui")
    here.add("select 1", "query")  # its neighbour in its own workspace
    assert [(e.sql, e.interface, e.workspace) for e in here.entries()] == [
        ("select 1", "query", "/here")
    ]
    assert [e.sql for e in here.entries(everywhere=True)] == ["select 1", "select 2"]
    assert [e.sql for e in History(path).entries("select")] == ["select 1", "select 2"]
    [other] = there.entries()
    assert here.entry(other.id) == other  # a number is one of the whole file
    assert here.clear() == 1
    assert [e.sql for e in there.entries()] == ["select 2"]


def test_histories_of_earlier_forms_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as before:
        before.execute(
            "CREATE TABLE queries (id INTEGER PRIMARY KEY, sql TEXT NOT NULL,"
            " started REAL NOT NULL, interface TEXT NOT NULL, parts TEXT NOT NULL, rows INTEGER,"
            " milliseconds REAL, error TEXT)"
        )
        before.execute(
            "INSERT INTO queries VALUES (7, 'select 1', 1.5, 'tui', '[[\"shop\",1,2,3,\"hit\"]]',"
            " 2, 3.5, NULL), (9, 'select x', 2.5, 'shell', '[]', NULL, 1.0, 'no x')"
        )
        before.execute("PRAGMA user_version = 2")
    here, there = History(path, workspace="/here"), History(path, workspace="/there")
    here.add("select 3", "query")
    assert [(e.id, e.sql) for e in here.entries()] == [
        (10, "select 3"),
        (9, "select x"),
        (7, "select 1"),
    ]
    failed, first = there.entries()  # whose they were is not known: they are shown everywhere
    assert (failed.error, failed.workspace) == ("no x", None)
    assert (first.started, first.rows, first.milliseconds) == (1.5, 2, 3.5)
    assert first.cached
    # The program of before finds its columns, and the number without which it would begin anew.
    with sqlite3.connect(path) as before:
        assert before.execute("PRAGMA user_version").fetchone() == (2,)
        assert before.execute("SELECT count(parts), count(error) FROM queries").fetchone() == (3, 1)
        before.execute("ALTER TABLE queries ADD COLUMN later TEXT")
    assert len(History(path, workspace="/here").entries()) == 3


def test_a_history_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "history.sqlite")
    history.add("select 1", "shell")
    assert history.entries() == []
    history.close()
