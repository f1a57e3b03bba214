"""The three panes: shown, hidden, sized by keys and by the mouse, remembered."""

from __future__ import annotations

from pathlib import Path

from tests.interfaces.tui.conftest import Play, Tui
from textual import events

from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.interfaces.tui.drafts import Drafts
from dovetail.interfaces.tui.profile_panel import ProfilePanel, profile_lines


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


def test_the_profile_of_the_shown_query_stands_at_the_right(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        panel = tui.app.query_one(ProfilePanel)
        assert not panel.display
        tui.app.buffer.editor.text = "select * from range(7)"
        await tui.keys("<alt+2><f5><shift+f6>")
        assert panel.display
        assert panel.region.right == tui.app.size.width
        assert str(panel.render()).startswith("done · ")
        assert "7 rows here" in str(panel.render())
        tui.app.buffer.editor.text = "select * from range(8)"
        await tui.keys("<alt+2><f5>")
        assert "8 rows here" in str(panel.render())
        await tui.keys("<shift+f6>")
        assert not panel.display

    play(scenario)


def test_the_profile_of_a_query_that_runs() -> None:
    run = Going()
    run.profile = Profile([FragmentProfile(1, "shop", "postgres", "select 1", "native")])
    assert profile_lines(run)[3:] == [  # type: ignore[arg-type]
        "1 shop (native)", "  reading", "", "planning 0 ms",
    ]  # fmt: skip
    fragment = run.profile.fragments[0]
    fragment.rows, fragment.bytes, fragment.milliseconds = 1200, 4_100_000, 812.0
    assert profile_lines(run)[3:6] == [  # type: ignore[arg-type]
        "1 shop (native) ← slowest", "  1,200 rows, 4.1 MB", "  812 ms",
    ]  # fmt: skip


class Going:
    """A run under way."""

    state, active, seconds, rows = "running", True, 1.5, 0
    profile: Profile | None = None


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
