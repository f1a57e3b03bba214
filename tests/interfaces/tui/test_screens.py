"""Every screen as text, and its picture in the documentation (`make regen` writes both)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.editing.history import History

HERE = Path(__file__).parent
IMAGES = HERE.parents[2] / "docs" / "images"
SIZE = (104, 28)

Check = Callable[[Path, str], None]


@pytest.mark.regen
def test_screens(
    play: Play,
    tmp_path: Path,
    check_file: Check,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    # What differs from run to run stays off the screen.
    monkeypatch.setattr("dovetail.interfaces.tui.app._memory", lambda: "180 MB")
    monkeypatch.setattr("dovetail.interfaces.tui.result_base.duration", lambda seconds: "12 ms")
    history = History(tmp_path / "kept.sqlite")
    history.add("select trader, sum(qty) from trades group by all", "shell", rows=4, milliseconds=8)
    history.add("select trdr from trades", "cli", error="no column trdr", milliseconds=1)

    async def scenario(tui: Tui) -> None:
        async def take(name: str) -> None:
            tui.app.update_status()
            await tui.settle()
            text = re.sub(r"\d\d-\d\d \d\d:\d\d", "01-05 10:00", tui.screen())
            text = re.sub(r"[\d.,]+ (ms|s|B|kB|MB)\b", r"N \1", text)
            text = re.sub(r" {2,}", "  ", text)  # places of what stands behind such figures
            check_file(HERE / "screens" / f"{name}.txt", text + "\n")
            if pytestconfig.getoption("--regen"):
                svg = tui.app.export_screenshot(simplify=True)
                IMAGES.mkdir(exist_ok=True)
                (IMAGES / f"tui-{name}.svg").write_text(svg)
            assert (IMAGES / f"tui-{name}.svg").stat().st_size < 150_000

        tui.app.schema.wait()
        await tui.settle()
        await tui.keys("ffx<enter>5|s")
        await take("results")
        await tui.keys("S")
        await take("statistics")
        await tui.keys("<escape><ctrl+s>out.parquet")
        await take("export")
        await tui.keys(
            "<escape>i<ctrl+n>select i, i * 2 as twice from range(10) t(i)<f5><alt+3><f6>"
        )
        await take("plan")
        await tui.keys("<escape><f8>")
        await take("history")
        await tui.keys("<escape><alt+2><ctrl+x>k<alt+3><f1>")
        await take("help")
        await tui.keys("<escape>C")
        await take("columns")
        await tui.keys("<escape>4|<alt+c>")
        await take("chart")
        await tui.keys("<escape>4|,zx")
        await take("filters")
        await tui.keys("<enter>")
        editor = tui.app.buffer.editor
        editor.text = "select t. from trades t where qty > 40"
        editor.focus()
        editor.move_cursor((0, 8))
        await tui.keys(".<backspace><ctrl+space>")
        editor.move_cursor((0, 9))
        await tui.keys("<ctrl+space>")
        await take("completion")
        await tui.keys("<escape>")
        editor.text = "select trader, sum(qty) as total\nfrom trades\ngroup by trader, bok"
        await tui.keys("<f5>")
        await take("error")

    play(scenario, size=SIZE, history=history)
