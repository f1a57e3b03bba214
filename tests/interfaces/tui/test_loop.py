"""Nothing but drawing keeps the interface's thread for long."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.interfaces.tui.conftest import Play, Tui
from textual.screen import Screen

LONGEST = 0.05  # seconds of processor time, and three times that on a machine that is busy


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Callbacks of the loop that took long, in seconds; Textual's own drawing is left out."""
    found: list[float] = []
    drawn = [0.0]
    draw, run = Screen._on_timer_update, asyncio.Handle._run  # type: ignore[attr-defined]

    def drawing(screen: Any) -> None:
        before = time.thread_time()
        draw(screen)
        drawn[0] += time.thread_time() - before

    def timed(handle: Any) -> None:
        before, drawn[0] = time.thread_time(), 0.0
        run(handle)
        took = time.thread_time() - before - drawn[0]
        if took > 3 * LONGEST:
            found.append(took)

    monkeypatch.setattr(Screen, "_on_timer_update", drawing)
    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return found


def test_a_million_rows_never_hold_the_screen_up(play: Play, blocks: list[float]) -> None:
    sql = "select i as id, 'name_' || i % 1000 as name, i * 1.5 as amount from range(1000000) t(i)"

    async def scenario(tui: Tui) -> None:
        await tui.keys("S<escape>")
        blocks.clear()  # the start imports, and the first screen of a kind reads its style sheet
        await tui.keys("G")
        assert tui.grid.place == 999_999
        assert tui.grid.cells.text(tui.grid.row_at(tui.grid.place), 0) == "999999"
        await tui.keys("gg")
        assert tui.row == 1
        await tui.keys("f99998<enter>")
        assert tui.grid.row_count == 94
        await tui.keys("zf", "f'99998<enter>")
        assert tui.grid.row_count == 36
        await tui.keys("zf3|s")
        await tui.keys("s/99999<enter>nn")
        await tui.keys("<escape><escape>S")
        await tui.keys("<escape>ww")
        assert blocks == [], blocks

    play(scenario, query=sql, files=[])


def test_what_would_block_is_seen(blocks: list[float]) -> None:
    async def busy() -> None:
        end = time.thread_time() + 4 * LONGEST
        while time.thread_time() < end:
            sum(range(1000))

    asyncio.run(busy())
    assert len(blocks) == 1
