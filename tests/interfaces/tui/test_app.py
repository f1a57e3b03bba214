"""Runs, caps, history, catalog, layout, drafts: what belongs to the whole application."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.interfaces.tui.conftest import Gated, Play, Tui

from dovetail.editing.history import History
from dovetail.interfaces.tui.catalog import Catalog
from dovetail.interfaces.tui.drafts import Draft, Drafts, Saved
from dovetail.session import Session


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
        [kept] = tui.app.history.entries()
        assert (kept.cancelled, kept.rows, kept.error) == (True, 3, None)
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
        tui.app.runner.cap_rows = 10
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
        tui.app.runner.cap_rows = 1000
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
    elsewhere = History(tmp_path / "kept.sqlite", workspace="/elsewhere")
    elsewhere.add("select 2 as elsewhere", "cli")
    elsewhere.close()
    history.close()
    history = History(tmp_path / "kept.sqlite", workspace="/here")

    async def scenario(tui: Tui) -> None:
        await tui.keys("<f8>")
        assert "select 1 as first" in tui.screen()
        assert "select 2 as elsewhere" not in tui.screen()
        await tui.keys(":all")
        assert "select 2 as elsewhere" in tui.screen()
        await tui.keys("<escape><f8>:failed")
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
        assert tui.app.layout.editor_height == 12
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
