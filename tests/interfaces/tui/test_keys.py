"""Which keys are in force: keymaps, the user's own, and what the screen says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.errors import ConfigError, UsageError
from dovetail.interfaces.tui.app import DovetailApp
from dovetail.interfaces.tui.commands import Commands
from dovetail.interfaces.tui.editor import SqlEditor
from dovetail.interfaces.tui.hints import line_of
from dovetail.interfaces.tui.keymap import CATALOG, EDITOR, EVERYWHERE, FOCUSES, KEYMAPS, Key
from dovetail.interfaces.tui.keys import all_keys, conflicts, named_keys, shown_keys
from dovetail.interfaces.tui.result import ResultPane
from dovetail.session import Session


@pytest.mark.parametrize("keymap", KEYMAPS)
def test_no_key_has_two_meanings(keymap: str) -> None:
    assert conflicts([*EVERYWHERE, *EDITOR, *KEYMAPS[keymap], *CATALOG]) == []


def test_every_action_exists_and_can_be_reached_without_alt_and_function_keys() -> None:
    catalog = "insert_name copy_name preview describe profile suggest_join mark refresh filter"
    for key in [*EVERYWHERE, *EDITOR, *KEYMAPS["vim"], *KEYMAPS["plain"], *CATALOG]:
        name = key.action.partition("(")[0]
        known = (
            hasattr(Commands, f"do_{name}")
            or hasattr(ResultPane, f"do_{name}")
            or hasattr(SqlEditor, f"edit_{name}")
            or (key.focus == "catalog" and name in catalog.split())
        )
        assert known, key
        assert key.focus in FOCUSES
        assert key.help
        assert shown_keys(key)
    # The command line takes every action by its name, and the palette lists them.
    assert hasattr(Commands, "_named_action")
    assert hasattr(DovetailApp, "get_system_commands")


def test_keys_of_the_user() -> None:
    keys = all_keys("vim", {"results": {"ctrl+b": "move(down)"}})
    [page] = [k for k in keys if k.action == "page(-1)"]
    assert page.keys == ("pageup",)
    assert Key("results", ("ctrl+b",), "move(down)", "a row down") in keys
    with pytest.raises(ConfigError, match=r'no action "move\(dwn\)"; did you mean move\(down\)'):
        all_keys("vim", {"results": {"ctrl+b": "move(dwn)"}})
    with pytest.raises(ConfigError, match="no such place"):
        all_keys("vim", {"result": {"x": "sort"}})
    with pytest.raises(ConfigError, match='"g" is sort and begins "g g"'):
        all_keys("vim", {"results": {"g": "sort"}})
    with pytest.raises(UsageError, match='no keymap "emacs"'):
        all_keys("emacs")


def test_keys_are_written_as_people_know_them_or_by_their_names() -> None:
    written = {
        "/": "slash",
        "Ctrl+D": "ctrl+d",
        "ctrl+d": "ctrl+d",
        "gg": "g g",
        "]n": "right_square_bracket n",
        "Ctrl+X *": "ctrl+x asterisk",
        "F7": "f7",
        "Space": "space",
        "question_mark": "question_mark",
        "alt+,": "alt+comma",
        "G": "G",
    }
    assert {text: named_keys(text) for text in written} == written
    for key in all_keys("vim", editor="vi"):
        assert [named_keys(name) for name in key.keys] == list(key.keys)
    for wrong in ("ctrl+foo", "hyperx+a", "enterr", "ctrl+"):
        with pytest.raises(UsageError, match="there is no key"):
            named_keys(wrong)
    with pytest.raises(ConfigError, match="there is no key"):
        all_keys("vim", {"results": {"ctrl+foo": "sort"}})
    with pytest.raises(ConfigError, match="more than one key"):
        all_keys("vim", {"everywhere": {"gg": "run"}})
    with pytest.raises(ConfigError, match='no action "motion'):
        all_keys("vim", {"everywhere": {"f7": "motion(left)"}})


def test_own_keys_work_in_their_place_and_everywhere(play: Play, desk: Path) -> None:
    own = {
        "everywhere": {"f3": "history", "f5": "plan", "f11": "filter(fuzzy)"},
        "results": {";": "run", "X": "toggle(catalog)"},
        "catalog": {"x": "run"},
        "editor": {"ctrl+t": "toggle(catalog)"},
    }

    async def scenario(tui: Tui) -> None:
        catalog = tui.app.catalog
        await tui.keys("<f11>fx<enter>")
        assert tui.ids == [1, 2, 6, 8]
        await tui.keys(";")
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]
        await tui.keys("<alt+3>X")
        assert not catalog.display
        await tui.keys("i<ctrl+t>")
        assert catalog.display
        await tui.keys("<f5>")
        assert "Fragment 1" in tui.screen()
        await tui.keys("<escape><alt+1>x")
        assert tui.ids == [1, 2, 3, 4, 5, 6, 7, 8]

    config = {"tui": {"keys": own}}
    with Session.open(config, allowed_directories=["/"], data={"trades": desk / "trades.csv"}) as s:
        play(scenario, over=s, files=["trades"])


def test_hints_and_the_first_screen_name_the_keys_in_force(play: Play) -> None:
    assert line_of("results", all_keys("vim")).startswith("f filter · / search · s sort")
    assert line_of("results", all_keys("plain")).startswith("F7 filter · / search · Ctrl+O sort")
    assert line_of("editor", all_keys("vim")).startswith("F5 run · Ctrl+Space complete")

    async def scenario(tui: Tui) -> None:
        assert "f, F" in tui.screen()
        assert "letters in order" in tui.screen()
        await tui.keys("<escape>5")
        assert "NORMAL · 5 · 1:1" in tui.status
        await tui.keys("j")
        assert "NORMAL · 6:1" in tui.status

    play(scenario, welcome=True)


def test_a_result_by_its_number(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.buffer.editor.text = "select 1 as a; select 2 as b; select 3 as c"
        await tui.keys("<shift+f5><alt+3>")
        assert tui.names == ["c"]
        await tui.keys("1gt")
        assert tui.names == ["a"]
        await tui.keys("gT")
        assert tui.names == ["c"]
        await tui.keys("2gt")
        assert tui.names == ["b"]
        await tui.keys("9gt")
        assert tui.told[-1] == "there is no result 9; there are 3"

    play(scenario, files=[])
