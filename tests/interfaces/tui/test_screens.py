"""Screens of start, editor and catalog, and the page that shows all (`make regen` writes them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.interfaces.tui.camera import CAPTIONS, IMAGES, SIZE, Camera, camera, gallery
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.session import Session

__all__ = ["camera"]

_DEEP = """select t.trader,
  coalesce(sum(t.qty * (t.price + abs(t.qty))), 0) as total
from trades t
where (t.qty > (select avg(u.qty) from trades u)
group by t.trader"""


@pytest.mark.regen
def test_the_page_shows_every_screen(check_file: Callable[[Path, str], None]) -> None:
    check_file(IMAGES.parent / "tui-screens.md", gallery())


def test_no_picture_is_left_over() -> None:
    kept = {path.stem.removeprefix("tui-") for path in IMAGES.glob("tui-*.svg")}
    texts = {path.stem for path in (Path(__file__).parent / "screens").glob("*.txt")}
    assert kept == texts == set(CAPTIONS)


@pytest.mark.regen
def test_start(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        await camera.take(tui, "welcome")
        await tui.keys("<escape>")
        await camera.take(tui, "start")
        await tui.pilot.resize_terminal(60, 18)
        await camera.take(tui, "small")

    with Session.open({}) as over:
        play(scenario, over=over, size=SIZE, welcome=True)


@pytest.mark.regen
def test_editor(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.columns(("trades",))
        tui.app.schema.wait()
        await tui.settle()
        editor = tui.app.buffer.editor
        editor.text = "select t. from trades t where qty > 40"
        await tui.keys("i")
        editor.move_cursor((0, 9))
        await tui.keys("<ctrl+space>")
        await camera.take(tui, "completion")
        await tui.keys("<escape>")
        editor.text = _DEEP
        editor.move_cursor((1, 36))
        await camera.take(tui, "brackets")
        editor.text = "select trader, sum(qty) as total\nfrom trades\ngroup by trader, bok"
        await tui.keys("<f5>")
        await camera.take(tui, "error")
        editor.text = "select 1 as one;\nselect qtty from trades;\nselect price, dai from trades"
        await tui.keys("<shift+f5>")
        await camera.take(tui, "errors")
        editor.text = "select * from trades where trader = $who and qty > $least"
        await tui.keys("<f5>")
        await camera.take(tui, "parameters")
        await tui.keys("<escape>")
        editor.text = "select id, qty from trades;\nselect id, qty + 1 as qty from trades"
        await tui.keys("<alt+2><ctrl+f>qty<enter><tab>amount")
        await camera.take(tui, "find")
        await tui.keys("<escape><shift+f5><alt+2><ctrl+n>select 2<ctrl+s>two.sql<enter>2<ctrl+n>")
        editor = tui.app.buffer.editor
        editor.text = "select id, qty from trades;\nselect trader, book from trades"
        await tui.keys("<shift+f5><alt+2>")
        await camera.take(tui, "tabs")
        await tui.keys("<ctrl+x>b")
        await camera.take(tui, "buffers")
        await tui.keys("<escape><alt+2><ctrl+s>three.sql")
        await camera.take(tui, "save")
        await tui.keys("<escape><alt+2><ctrl+x>2<ctrl+x>k")
        await camera.take(tui, "confirm")
        await tui.keys("<escape><alt+2><f9><ctrl+f9>")
        await camera.take(tui, "only-editor")

    play(scenario, size=SIZE)


@pytest.mark.regen
def test_vi(play: Play, camera: Camera) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.buffer.editor.text = _DEEP
        await tui.keys("<escape>jwve")
        await camera.take(tui, "vi")

    with Session.open({"tui": {"editor": "vi"}}) as over:
        play(scenario, over=over, size=SIZE)


@pytest.mark.regen
def test_catalog(play: Play, camera: Camera, tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table customers (id bigint primary key, name varchar, country varchar)"
        )
        connection.execute(
            "create table orders (id bigint primary key, "
            "customer_id bigint references customers (id), day date, total decimal(12, 2))"
        )
        connection.execute("create table days (day date)")
        connection.execute("insert into customers select i, 'c' || i, 'NO' from range(120) t(i)")
    late = {"kind": "sqlite", "path": "late.sqlite"}
    config = {"sources": {"shop": {"kind": "duckdb", "path": str(path)}, "late": late}}

    async def scenario(tui: Tui) -> None:
        tui.app.schema.wait()
        # A path of the test would not fit, and is another in each run.
        known = tui.app.schema._known
        known["late"] = replace(known["late"], error="source late: there is no file late.sqlite")
        tui.app.catalog.update_names()
        await tui.settle()
        await tui.keys("<alt+1><down><space><down>")
        await camera.take(tui, "catalog-failed")
        await tui.keys("<up><up><space><down><down><down><space>")
        await camera.take(tui, "catalog")
        tree = tui.app.catalog.names_tree
        places = {n.data.name: n for n in tui.app.catalog._all(tree.root) if n.data is not None}
        tree.move_cursor(places["customers"])
        await tui.keys("m")
        tree.move_cursor(places["orders"])
        await tui.keys("j")
        await camera.take(tui, "joins")
        await tui.keys("<alt+1></>cust")
        await camera.take(tui, "catalog-filter")
        tui.app.buffer.editor.text = "select 1"
        for name in ("open orders", "late customers"):
            tui.app.commands.save_query(name)
        await tui.keys("<escape><alt+2><ctrl+x>q")
        await camera.take(tui, "saved")

    with Session.open(config) as over:
        play(scenario, over=over, size=SIZE)
