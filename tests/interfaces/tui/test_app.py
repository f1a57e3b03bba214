"""Editor, runs, catalog, history, help: what belongs to the whole application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.editing.history import History
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.interfaces.tui.catalog import Catalog
from dovetail.interfaces.tui.drafts import Draft, Drafts, Saved
from dovetail.session import Session


def test_statements_one_by_one_and_an_error_that_leaves_the_result(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = "select 1 as one; select x from"
        editor.move_cursor((0, 0))
        await tui.keys("<ctrl+j>")
        assert tui.names == ["one"]
        editor.move_cursor((0, 30))
        await tui.keys("<ctrl+j>")
        error = tui.app.buffer.error
        assert error is not None
        [mark] = editor.errors
        assert mark.line == 0
        assert "syntax error" in tui.screen()
        assert tui.names == ["one"]
        assert tui.pane.stale
        assert "old result" in tui.status
        editor.move_cursor((0, 3))
        await tui.keys("<ctrl+x>e")
        assert editor.cursor_location == (0, mark.column)
        await tui.keys("<f8>")
        assert "select x from" in tui.screen()
        assert "error" in tui.screen()

    play(scenario, files=[])


def test_editing_like_in_a_shell(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        tui.app.schema.columns(("trades",))
        tui.app.schema.wait()
        editor.text = ""
        await tui.keys("i", "select 'a b' from trades where qty > 1")
        await tui.keys("<alt+b><alt+b><ctrl+k>")
        assert tui.text == "select 'a b' from trades where "
        await tui.keys("<ctrl+y>")
        assert tui.text == "select 'a b' from trades where qty > 1"
        await tui.keys("<alt+g>f")
        assert editor.cursor_location == (0, 13)
        await tui.keys("<alt+b>")
        assert editor.cursor_location == (0, 7)  # a string is one word
        await tui.keys("<alt+d>")
        assert tui.text == "select  from trades where qty > 1"
        await tui.keys("<ctrl+underscore>")
        assert tui.text.startswith("-- select")
        await tui.keys("<ctrl+underscore>")
        assert tui.text.startswith("select")
        await tui.keys("<ctrl+z><ctrl+z>")
        editor.text = "select trader,sum(qty) q from 'trades.csv' group by 1"
        await tui.keys("<f4>")
        assert tui.text == ("SELECT\n  trader,\n  SUM(qty) AS q\nFROM 'trades.csv'\nGROUP BY\n  1")
        editor.text = "select * from trades t"
        await tui.keys("<ctrl+x>*")
        assert tui.text == "select id, trader, book, symbol, qty, price, day from trades t"
        await tui.keys("<ctrl+f>day<enter><tab>d<enter>")
        await tui.keys("<escape>")
        assert tui.text.endswith("price, d from trades t")

    play(scenario)


def test_completion(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.columns(("trades",))
        tui.app.schema.wait()
        editor = tui.app.buffer.editor
        editor.text = ""
        await tui.keys("i")
        await tui.keys("select  from trades t where t.sy")
        assert tui.app.buffer.query_one("CompletionList").has_class("open")
        await tui.keys("<tab>")
        assert tui.text.endswith("where t.symbol")
        editor.move_cursor((0, 7))
        await tui.keys("tra<ctrl+space>")
        assert "column varchar" in tui.screen().lower()
        await tui.keys("<enter>")
        assert tui.text.startswith("select trader from")

    play(scenario)


def test_several_errors_are_listed(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = (
            "select 1 as one;\nselect qtty from trades;\nselect 2;\n"
            "select price,\n  dai from trades"
        )
        await tui.keys("i<shift+f5>")
        assert tui.names == ["one"]
        screen = tui.screen()
        assert "qtty" in screen
        assert "line 5:" in screen
        assert "again to the next" in screen
        assert [(mark.line, mark.column, mark.width) for mark in editor.errors] == [
            (1, 7, 4), (4, 2, 3),
        ]  # fmt: skip
        places = []
        for _ in range(3):
            await tui.keys("<ctrl+x>e")
            places.append(editor.cursor_location)
        assert sorted(set(places)) == [(1, 7), (4, 2)]
        assert places[0] == places[2]
        await tui.keys("x")
        assert editor.errors == ()

    play(scenario)


def test_parameters_are_asked_for_and_bound(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.buffer.editor.text = "select id from trades where trader = $who"
        await tui.keys("<alt+2><f5>")
        assert "$who" in tui.screen()
        await tui.keys("Ana<enter>")
        assert tui.ids == [1, 2, 3]
        await tui.keys("<alt+2><f5><backspace><backspace><backspace>Ana' or '1'='1<enter>")
        assert tui.grid.row_count == 0
        assert "no rows" in tui.screen()

    play(scenario)


def test_buffers_and_files(play: Play, tmp_path: Path) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("i<ctrl+n>select 2")
        assert len(tui.app.buffers) == 2
        await tui.keys("<ctrl+s>two.sql<enter>")
        assert (tmp_path / "two.sql").read_text() == "select 2"
        await tui.keys("2")
        assert tui.app.buffer.name_shown == "two.sql*"
        (tmp_path / "two.sql").write_text("changed outside")
        import os

        os.utime(tmp_path / "two.sql", (1, 1))
        await tui.keys("<ctrl+s>")
        assert "changed by another program" in tui.screen()
        await tui.keys("y")
        assert (tmp_path / "two.sql").read_text() == "select 22"
        await tui.keys("<ctrl+x><ctrl+x>")
        assert tui.text == "from trades"
        await tui.keys("<ctrl+x>btwo<enter>")
        assert tui.text == "select 22"
        await tui.keys("<ctrl+x>1")
        assert tui.text == "from trades"
        await tui.keys("<ctrl+x>9<ctrl+x>2")
        assert tui.text == "select 22"
        await tui.keys("3<ctrl+x>k")
        assert "is not saved" in tui.screen()
        await tui.keys("y")
        assert len(tui.app.buffers) == 1

    play(scenario)


class Gated:
    """A result whose rows come when the test opens the gate; counts who cancels it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.cancelled = 0
        self.schema = pa.schema([("n", pa.int64())])
        self.columns = [("n", "BIGINT")]
        self.profile = Profile([FragmentProfile(1, "slow", "gated", "select n", "stream")])
        self.warnings: list[str] = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1, 2, 3])], schema=self.schema)
        self.gate.wait(30)
        if not self.cancelled:
            yield pa.record_batch([pa.array([4])], schema=self.schema)

    def cancel(self) -> None:
        self.cancelled += 1
        self.gate.set()

    def close(self) -> None: ...


def test_a_slow_query_leaves_the_screen_alive_and_is_cancelled_at_its_source(
    play: Play, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[Gated] = []

    def slow(text: str, *args: Any, on_progress: Any = None, **options: Any) -> Gated:
        results.append(Gated())
        results[-1].profile.fragments[0].rows = 3
        on_progress(results[-1].profile)
        return results[-1]

    async def scenario(tui: Tui) -> None:
        monkeypatch.setattr(session, "sql", slow)
        await tui.pilot.press("i")
        tui.app.buffer.editor.text = "select n from slow"
        await tui.pilot.press("ctrl+j")
        while tui.app.buffer.pane is None or tui.app.buffer.pane.grid is None:
            await tui.pilot.pause()
        assert "slow 3 rows" in tui.screen()  # progress by source
        assert "3 rows so far" in tui.status  # rows are there while it runs
        await tui.pilot.press(" ", "x")  # and the editor takes keys
        assert "x" in tui.text
        before = asyncio.get_running_loop().time()
        await tui.pilot.press("ctrl+c")
        assert not tui.app.buffer.running
        assert asyncio.get_running_loop().time() - before < 5
        await tui.settle()
        async with asyncio.timeout(10):  # a thread of its own does it
            while not results[0].cancelled:
                await tui.pilot.pause()
        assert results[0].cancelled == 1
        assert "cancelled, partial" in tui.status
        assert tui.grid.row_count == 3
        await tui.pilot.press("ctrl+c")  # a second one does not leave
        assert tui.app.is_running
        assert tui.app.place == "editor"
        await tui.pilot.press("ctrl+j")
        while not results[1:] or not tui.app.buffer.running:
            await tui.pilot.pause()
        await tui.pilot.press("escape", "escape")
        await tui.settle()
        async with asyncio.timeout(10):  # a thread of its own does it
            while not results[1].cancelled:
                await tui.pilot.pause()
        assert results[1].cancelled == 1

    play(scenario, files=[])


def test_all_rows_go_to_disk_or_it_is_said_that_there_is_no_room(
    play: Play, tmp_path: Path
) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.cap_rows = 10
        tui.app.buffer.editor.text = "select i as id from range(100) t(i)"
        await tui.keys("<alt+2><f5><alt+3>")
        assert "10 of more" in tui.status
        (tmp_path / "room").rmdir()
        await tui.keys(":fetch all<enter>")
        assert "cannot write the rows to" in tui.screen()
        assert tui.grid.row_count == 10  # the result before stays
        (tmp_path / "room").mkdir()
        await tui.keys("<alt+3>:fetch all<enter>")
        assert tui.grid.row_count == 100
        assert "100 rows" in tui.status

    (tmp_path / "room").mkdir()
    with Session.open({"limits": {"temp_directory": str(tmp_path / "room")}}) as over:
        play(scenario, over=over)


def test_the_cap_stops_fetching_and_says_so(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def scenario(tui: Tui) -> None:
        tui.app.cap_rows = 1000
        tui.app.buffer.editor.text = "select i as id from range(100000) t(i)"
        await tui.keys("<alt+2><f5>")
        assert "1,000 of more" in tui.status
        assert tui.grid.row_count == 1000
        await tui.keys("<alt+3>:fetch all<enter>")
        assert tui.grid.row_count == 100_000
        assert list(tmp_path.glob("dovetail-rows-*")) == []  # mapped, and without a name
        await tui.keys("G")
        assert tui.grid.cells.text(tui.grid.row_at(tui.grid.place), 0) == "99999"
        assert "100,000 rows" in tui.status
        await tui.keys("<alt+3>:limit 7<enter><alt+2><f5>")
        assert tui.grid.row_count == 7
        await tui.keys("<alt+3>:nonsense<enter>")
        assert 'no command "nonsense"' in tui.told[-1]
        await tui.keys(":set<enter>")
        assert "limit 7" in tui.told[-1]

    play(scenario, files=[])


def test_help_comes_from_the_keys(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<f1>pin")
        shown = str(tui.app.screen.query_one("#keys").render())  # type: ignore[attr-defined]
        lines = [line.split()[0] for line in shown.splitlines()[1:] if line.strip()]
        assert lines == ["p", "P"]
        await tui.keys("<escape><f6>")
        assert "Fragment 1" in tui.screen()
        assert "Profile" in tui.screen()
        await tui.keys("y<escape><f12>")
        assert "Fragment 1" in tui.copied
        assert "duckdb" in tui.screen()
        await tui.keys("<escape>i<f1>")
        assert "keys: editor" in tui.screen()

    play(scenario)


def test_history_is_searched_and_inserted(play: Play, tmp_path: Path) -> None:
    history = History(tmp_path / "kept.sqlite")
    history.add("select 1 as first", "cli", rows=1, milliseconds=3.0)
    history.add("select boom", "shell", error="no column boom")
    history.add("select password = 'x'", "shell")

    async def scenario(tui: Tui) -> None:
        await tui.keys("<f8>")
        assert "select 1 as first" in tui.screen()
        await tui.keys(":failed")
        assert "select boom" in tui.screen()
        assert "no column boom" in tui.screen()
        await tui.keys("<escape><f8>slctbm")  # letters in order
        assert "select boom" in tui.screen()
        assert "select 1 as first" not in tui.screen()
        await tui.keys("<escape><f8>:failed")
        assert "select 1 as first" not in tui.screen()
        await tui.keys("<escape><f8>first<f5>")
        assert tui.names == ["first"]
        assert tui.text == "select 1 as first"
        await tui.keys("<f8>")
        assert (
            tui.screen().count("select 1 as first") == 3
        )  # in the editor, and both runs in the list

    play(scenario, files=[], history=history)


def test_the_catalog(play: Play, tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute('create table orders (id bigint primary key, "odd name" varchar)')
        connection.execute("insert into orders values (1, 'x'), (2, null)")
    config = {
        "sources": {
            "shop": {"kind": "duckdb", "path": str(tmp_path / "shop.duckdb")},
            "gone": {"kind": "sqlite", "path": str(tmp_path / "missing.sqlite")},
        }
    }

    async def scenario(tui: Tui) -> None:
        tui.app.schema.wait()
        await tui.settle()
        assert "shop duckdb, read-only" in tui.screen()
        assert "gone ✗" in tui.screen()  # the other source works all the same
        await tui.keys("<alt+1><space><down><down><space>")
        assert "odd name varchar" in tui.screen()
        await tui.keys("y")
        assert tui.copied == "shop.orders"
        await tui.keys("<enter>")
        assert tui.text == "shop.orders"
        await tui.keys("<alt+1>p")
        assert tui.grid.row_count == 2
        assert tui.app.place == "results"
        await tui.keys("<alt+1>/ord")
        assert "orders" in tui.screen()
        await tui.keys("zzz<escape>")
        assert "shop duckdb" in tui.screen()

    with Session.open(config) as over:
        play(scenario, over=over)


def test_layout_and_small_screens(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<f9>")
        assert not tui.app.query_one(Catalog).display
        await tui.keys("<f10>")
        assert tui.grid.size.height > 30
        await tui.keys("<f10><f9><alt+down>")
        assert tui.app.editor_height == 12
        await tui.pilot.resize_terminal(60, 20)
        await tui.settle()
        assert "80×24 characters are needed; this is 60×20" in tui.screen()
        await tui.pilot.resize_terminal(80, 24)
        await tui.settle()
        assert "trades" in tui.screen()

    play(scenario)


def test_drafts_survive_a_crash_and_instances_do_not_mix(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    crashed = Drafts("work", folder)
    crashed.keep(Saved([Draft("select 'lost'", (0, 3))]))
    living = Drafts("work", folder)
    living.keep(Saved([Draft("select 'mine'")]))
    crashed.close()  # its lock is gone, its file is not

    async def scenario(tui: Tui) -> None:
        assert tui.text == "select 'lost'"
        assert "1 drafts of a session that crashed are back" in tui.told
        tui.app.leave()

    play(scenario, files=[], drafts=Drafts("work", folder))
    again = Drafts("work", folder)
    assert again.recover() == []
    assert [d.text for d in again.last().drafts] == ["select 'lost'"]
    again.close()
    living.close()
