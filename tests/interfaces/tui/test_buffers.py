"""Editor tabs: statements one by one, errors, parameters, files."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.tui.conftest import Play, Tui


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
