"""The keys of vi in the editor: what they make of a text, as vi itself does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.session import Session

SQL = "select a, b\nfrom t\n  where (x = 'two words')\norder by a"


@pytest.fixture
def vi(tmp_path: Path) -> Iterator[Session]:
    with Session.open({"tui": {"editor": "vi"}}, allowed_directories=["/"]) as made:
        yield made


# Keys typed in normal mode with the cursor on the first character; the text; row and column.
CASES = [
    ("x", "elect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("3x", "ect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("dd", "from t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("2dd", "  where (x = 'two words')\norder by a", (0, 2)),
    ("dj", "  where (x = 'two words')\norder by a", (0, 2)),
    ("Gdd", "select a, b\nfrom t\n  where (x = 'two words')", (2, 2)),
    ("dw", "a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("d2w", ", b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("2dw", ", b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("$dw", "select a, \nfrom t\n  where (x = 'two words')\norder by a", (0, 9)),
    ("wD", "select \nfrom t\n  where (x = 'two words')\norder by a", (0, 6)),
    ("cwwith<escape>", "with a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 3)),
    ("ccwith<escape>", "with\nfrom t\n  where (x = 'two words')\norder by a", (0, 3)),
    ("jjf'ci'one<escape>", "select a, b\nfrom t\n  where (x = 'one')\norder by a", (2, 16)),
    ("jjf'da'", "select a, b\nfrom t\n  where (x = )\norder by a", (2, 13)),
    ("jjfxdi(", "select a, b\nfrom t\n  where ()\norder by a", (2, 9)),
    ("jjf(d%", "select a, b\nfrom t\n  where \norder by a", (2, 7)),
    ("wdiw", "select , b\nfrom t\n  where (x = 'two words')\norder by a", (0, 7)),
    ("df,", " b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("dt,", ", b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("yyp", "select a, b\nselect a, b\nfrom t\n  where (x = 'two words')\norder by a", (1, 0)),
    ("yyGp", "select a, b\nfrom t\n  where (x = 'two words')\norder by a\nselect a, b", (4, 0)),
    ("yw2P", "select select select a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 13)),
    ("xp", "eslect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 1)),
    ("J", "select a, b from t\n  where (x = 'two words')\norder by a", (0, 11)),
    ("jJ", "select a, b\nfrom t where (x = 'two words')\norder by a", (1, 6)),
    ("3~", "SELect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 3)),
    ("rS", "Select a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    (">>", "  select a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 2)),
    ("jj<<", None, (2, 0)),
    ("ix<escape>", "xselect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("A,<escape>", "select a, b,\nfrom t\n  where (x = 'two words')\norder by a", (0, 11)),
    ("ax<escape>", "sxelect a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 1)),
    ("jjIx<escape>", "select a, b\nfrom t\n  xwhere (x = 'two words')\norder by a", (2, 2)),
    ("ox<escape>", "select a, b\nx\nfrom t\n  where (x = 'two words')\norder by a", (1, 0)),
    ("jjOx<escape>", "select a, b\nfrom t\n  x\n  where (x = 'two words')\norder by a", (2, 2)),
    ("dduw", SQL, (0, 7)),
    ("ddu<ctrl+r>", "from t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("ved", " a, b\nfrom t\n  where (x = 'two words')\norder by a", (0, 0)),
    ("Vjd", "  where (x = 'two words')\norder by a", (0, 2)),
    ("wviwy$p", "select a, ba\nfrom t\n  where (x = 'two words')\norder by a", (0, 11)),
    ("d<escape>w", SQL, (0, 7)),
    ("2G$", SQL, (1, 5)),
    ("Ge", SQL, (3, 4)),
    ("Gb", SQL, (2, 23)),
    ("fa;", SQL, (0, 7)),
    ("Q5j", SQL, (0, 0)),
]


def test_commands(play: Play, vi: Session) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        wrong = []
        for typed, text, place in CASES:
            editor.text = SQL
            editor.move_cursor((0, 0))
            if editor.mode == "INSERT":
                await tui.pilot.press("escape")
            assert editor.mode == "NORMAL"
            if typed == "jj<<":  # an angle bracket begins a name of a key here
                await tui.pilot.press("j", "j", "less_than_sign", "less_than_sign")
                text = SQL.replace("  where", "where")
            elif typed.startswith(">>"):
                await tui.pilot.press("greater_than_sign", "greater_than_sign")
            else:
                await tui.keys(typed)
            if (editor.text, editor.cursor_location) != (text, place):
                wrong.append((typed, editor.text, editor.cursor_location))
        assert not wrong

    play(scenario, over=vi)


def test_modes_and_other_keys(play: Play, vi: Session) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        assert tui.status.startswith("INSERT")
        await tui.keys("select 1 as one")
        await tui.keys("<escape>")
        assert tui.status.startswith("NORMAL")
        assert editor.cursor_location == (0, 14)
        await tui.keys("v")
        assert tui.status.startswith("VISUAL")
        await tui.keys("<escape><ctrl+j>")  # what works everywhere works in every mode
        assert tui.names == ["one"]
        await tui.keys("<alt+3>i")  # from the results to the editor, which is still in normal mode
        assert editor.has_focus
        assert editor.mode == "NORMAL"
        await tui.keys("<f1>")
        assert "delete: dd, dw" in tui.screen()
        await tui.keys("<escape>:set<enter>")
        assert "limit off" in tui.told[-1]
        assert editor.has_focus
        await tui.keys("<escape>")
        assert not editor.has_focus

    play(scenario, over=vi)
