"""The editor by itself: colours, shell keys, drops, long texts."""

from __future__ import annotations

import time

from tests.interfaces.tui.conftest import Play, Tui

from dovetail.interfaces.tui.editor import SqlEditor


def _colours(editor: SqlEditor, line: int) -> dict[int, str]:
    """Column → the name of its bracket's colour."""
    editor.get_line(line)
    return {
        start: name for start, _, name in editor._highlights[line] if name.startswith("bracket")
    }


def test_brackets_are_coloured_by_depth(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = "select ((1), ')(' /* ( */) -- (\n, [é(2)];\nselect f((3)) + 1)"
        assert _colours(editor, 0) == {
            7: "bracket.0", 8: "bracket.1", 10: "bracket.1", 25: "bracket.0",
        }  # fmt: skip
        # Columns are bytes, as the grammar counts them.
        assert _colours(editor, 1) == {
            2: "bracket.0", 5: "bracket.1", 7: "bracket.1", 8: "bracket.0",
        }  # fmt: skip
        assert _colours(editor, 2) == {
            8: "bracket.0", 9: "bracket.1", 11: "bracket.1", 12: "bracket.0",
            17: "bracket.unmatched",
        }  # fmt: skip

    play(scenario, files=[])


def test_a_long_text_is_coloured_where_it_is_looked_at(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = "\n".join(f"select (a{n}) from t{n};" for n in range(5_000))
        editor.move_cursor((4_000, 0))
        await tui.settle()
        assert len(editor._highlights) < 500
        assert "keyword" in {name for _, _, name in editor._highlights[4_000]}
        before = time.process_time()
        editor.insert("x")
        assert time.process_time() - before < 0.2

    play(scenario, files=[])


def test_completion_in_a_long_text_knows_its_statement(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.columns(("trades",))
        tui.app.schema.wait()
        editor = tui.app.buffer.editor
        filler = "select 'a long line that fills the text' as filler;\n" * 500
        editor.text = filler + "select * from trades t where t.sy" + "\n;" + filler
        editor.focus()
        editor.move_cursor((500, 33))
        await tui.keys("m<tab>")
        assert editor.get_line(500).plain == "select * from trades t where t.symbol"

    play(scenario)


def test_keys_of_a_shell(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = ""
        await tui.keys("<alt+2>select 'one two' from t<ctrl+w><ctrl+w>")
        assert tui.text == "select 'one two' "
        await tui.keys("<ctrl+w>")
        assert tui.text == "select "
        await tui.keys("<ctrl+y><ctrl+a>x<ctrl+e>y")
        assert tui.text == "xselect 'one two' y"
        await tui.keys("<ctrl+z>")
        shorter = tui.text
        assert shorter != "xselect 'one two' y"
        await tui.keys("<alt+z>")
        assert tui.text == "xselect 'one two' y"
        assert len(tui.app.buffers) == 1

    play(scenario, files=[])


def test_formatting_keeps_comments_and_the_meaning(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = "-- who trades\nselect trader /* name */ from 'trades.csv'; select 1"
        await tui.keys("<alt+2><f4>")
        assert "-- who trades" in tui.text
        assert "/* name */" in tui.text
        assert "'trades.csv'" in tui.text
        assert tui.text.endswith("SELECT\n  1;")
        editor.text = "select from from"
        await tui.keys("<f4>")
        assert tui.text == "select from from"
        assert "syntax error" in tui.told[-1]
        editor.text = "-- only a comment"
        await tui.keys("<f4>")
        assert tui.text == "-- only a comment"

    play(scenario, files=[])


def test_no_translator_is_said_clearly(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("<alt+2><ctrl+g>")
        assert tui.told[-1].startswith("no translator is configured")

    play(scenario)
