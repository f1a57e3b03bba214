"""The three panes: shown, hidden, sized by keys and by the mouse, remembered."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.tui.conftest import Play, Tui
from textual import events

from dovetail.interfaces.tui.drafts import Drafts


async def drag(tui: Tui, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Press the mouse, move it, let it go."""
    for kind, (x, y) in (
        (events.MouseMove, start), (events.MouseDown, start),
        (events.MouseMove, end), (events.MouseUp, end),
    ):  # fmt: skip
        event = kind(None, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)
        tui.app.screen._forward_event(event)
        await tui.pilot.pause()
    await tui.settle()


def test_each_pane_can_be_hidden_and_one_of_two_stays(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        await tui.keys("i<shift+f9>")
        assert not editor.display
        assert tui.app.place == "results"
        assert tui.grid.size.height > 30
        await tui.keys("<ctrl+f9>")
        assert (editor.display, tui.app.place) == (True, "editor")
        assert editor.size.height > 30
        await tui.keys("<alt+3>")  # going there shows it
        assert tui.app.place == "results"
        assert editor.size.height == 10
        await tui.keys(":toggle nothing<enter>")
        assert "no command" in tui.told[-1]
        await tui.keys("<f9>")
        await tui.keys("<tab>")
        assert tui.app.place == "editor"
        await tui.keys("<f10>")
        assert editor.size.height > 30
        await tui.keys("<f10><alt+1><f10>")
        assert tui.app.catalog.size.width > 100

    play(scenario)


def test_edges_follow_the_mouse_and_the_layout_is_remembered(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "state"

    async def scenario(tui: Tui) -> None:
        catalog, tabs = tui.app.catalog, tui.app.buffer._tabs
        await drag(tui, (catalog.region.right - 1, 5), (44, 5))
        assert catalog.region.width == 45
        await drag(tui, (60, tabs.region.bottom - 1), (60, 20))
        assert tui.app.buffer.editor.size.height == 18
        await drag(tui, (60, 5), (60, 9))  # inside a pane nothing moves
        assert tui.app.buffer.editor.size.height == 18
        await tui.keys("<f9>")
        tui.app.leave()

    play(scenario, drafts=Drafts("work", folder))

    async def again(tui: Tui) -> None:
        assert not tui.app.catalog.display
        assert tui.app.layout.editor_height == 18
        await tui.keys("<f9>")
        assert tui.app.catalog.region.width == 45

    play(again, drafts=Drafts("work", folder))


def test_the_row_of_the_cursor_can_be_read(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        strip = tui.grid.render_line(2)
        [segment] = [s for s in strip if "Ana" in s.text]
        assert segment.style is not None
        assert segment.style.bgcolor is not None
        assert segment.style.bgcolor.triplet is not None
        red, green, blue = segment.style.bgcolor.triplet
        assert max(red, green, blue) < 80  # dark as the rest, not the tint at full strength

    play(scenario)
