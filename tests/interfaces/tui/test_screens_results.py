"""Screens of the results (`make regen` writes them and their pictures)."""

from __future__ import annotations

import pytest
from tests.interfaces.tui.camera import SIZE, Camera, camera
from tests.interfaces.tui.conftest import Play, Tui

__all__ = ["camera"]

pytestmark = pytest.mark.regen

_HOSTILE = r"""select '[red]bold[/]' as markup, chr(27) || '[31mred' as escape, e'a\tb\nc' as lines,
  '{"name": "Ana", "tags": ["a", 1.50, null], "at": {"x": 1}}' as json,
  '\x00\xFF'::blob as bytes, 'infinity'::double as wide, date '19999-12-31' as day,
  12345678901234567890123456789012345678::decimal(38, 0) as digits"""


def test_rows(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.wait()
        await tui.settle()
        await tui.keys("ffx<enter>5|s")
        await camera.take(tui, "results")
        await tui.keys("<f10>")
        await camera.take(tui, "full-screen")
        await tui.keys("<f10>4|,zx")
        await camera.take(tui, "filters")
        await tui.keys("<escape>zffzzz<enter>")
        await camera.take(tui, "no-match")
        await tui.keys("zffacm")
        await camera.take(tui, "typing")
        await tui.keys("<escape></>ACME<enter>n")
        await camera.take(tui, "search")
        await tui.pilot.press("escape")
        await tui.pilot.press("y")
        while "copy the row" not in tui.screen():
            await tui.pilot.pause()
        await camera.take(tui, "sequence")
        await tui.keys("<escape>gg0vVjj")
        await camera.take(tui, "row-mode")
        await tui.keys("<escape>vvgg5|Vjl")
        await camera.take(tui, "selection")
        await tui.keys("<escape>gg#2|-4|p6|<2|szs5|zs")
        await camera.take(tui, "columns-moved")

    play(scenario, size=SIZE)


def test_questions(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        await tui.keys("C")
        await camera.take(tui, "columns")
        await tui.keys("<escape>5|S")
        await camera.take(tui, "statistics")
        await tui.keys("<escape>4|S")
        await camera.take(tui, "statistics-text")
        await tui.keys("<escape><alt+c>")
        await camera.take(tui, "chart")
        await tui.keys("<escape>6|<alt+c>l")
        await camera.take(tui, "chart-line")
        await tui.keys("h")
        await camera.take(tui, "chart-histogram")
        await tui.keys("<escape><ctrl+s>out.parquet")
        await camera.take(tui, "export")
        await tui.keys("<escape>:hide_em")
        await camera.take(tui, "command")
        await tui.keys("<escape><alt+s>")
        await camera.take(tui, "all-statistics")
        await tui.keys("gx4|<alt+f>")
        await camera.take(tui, "frequencies")

    play(scenario, size=SIZE)


def test_values(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = _HOSTILE
        await tui.keys("<alt+2><f5><alt+3>")
        await camera.take(tui, "hostile")
        await tui.keys("4|<enter>")
        await camera.take(tui, "value-json")
        await tui.keys("<escape>5|<enter>")
        await camera.take(tui, "value-blob")
        await tui.keys("<escape>")
        editor.text = "select id, trader from trades where qty > 1000"
        await tui.keys("<alt+2><f5><alt+3>")
        await camera.take(tui, "empty")
        editor.text = (
            "select id, qty from trades where id < 6;\n"
            "select id, case id when 3 then 11 else qty end as qty from trades where id > 1"
        )
        await tui.keys("<alt+2><shift+f5><alt+3>2gt:diff id<enter>")
        await camera.take(tui, "diff")

    play(scenario, size=SIZE)
