"""Screens of queries that run, of plans, history and help (`make regen` writes them)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.interfaces.tui.camera import SIZE, Camera, camera
from tests.interfaces.tui.conftest import Gated, Play, Tui

from dovetail.editing.history import History
from dovetail.session import Session

__all__ = ["camera"]

pytestmark = pytest.mark.regen


def test_a_query_that_runs(
    play: Play, camera: Camera, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Gated()

    def slow(text: str, *args: Any, on_progress: Any = None, **options: Any) -> Gated:
        result.profile.fragments[0].rows = 3
        on_progress(result.profile)
        return result

    async def scenario(tui: Tui) -> None:
        tui.app.buffer.editor.text = "select i from range(1000000) t(i)"
        tui.app.runner.cap_rows = 10
        await tui.keys("<alt+2><f5><alt+3>")
        await camera.take(tui, "capped")
        with monkeypatch.context() as patch:
            patch.setattr(session, "sql", slow)
            tui.app.buffer.editor.text = "select n from slow"
            await tui.pilot.press("alt+2", "f5")
            while "3 rows so far" not in tui.status:
                await tui.pilot.pause()
            await camera.take(tui, "running", calm=False)
            await tui.pilot.press("ctrl+c")
        await tui.settle()
        await camera.take(tui, "cancelled")

    play(scenario, size=SIZE)


def test_plan_history_and_help(
    play: Play, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"TERM": "xterm-256color", "platform": "linux", "python": "3.11.7"}
    monkeypatch.setattr("dovetail.interfaces.tui.app.terminal_facts", lambda: facts)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    report = Path("/tmp/dovetail-report-1.txt")
    monkeypatch.setattr("dovetail.faults.write_report", lambda error: report)

    async def failing() -> None:
        raise KeyError("a fault")

    history = History(tmp_path / "kept.sqlite")
    history.add("select trader, sum(qty) from trades group by all", "shell", rows=4, milliseconds=8)
    history.add("select trdr from trades", "cli", error="no column trdr", milliseconds=1)

    async def scenario(tui: Tui) -> None:
        await tui.keys("select trader, sum(qty) as total from shop.trades where qty > 5")
        await tui.keys("<enter>group by trader<f5><alt+3><f6>")
        await camera.take(tui, "plan")
        await tui.keys("z")
        await camera.take(tui, "plan-folded")
        await tui.keys("<escape><shift+f6>")
        await camera.take(tui, "profile")
        await tui.keys("<shift+f6><f8>")
        await camera.take(tui, "history")
        await tui.keys(":failed")
        await camera.take(tui, "history-failed")
        await tui.keys("<escape><alt+3><f1>pin")
        await camera.take(tui, "help")
        await tui.keys("<escape><ctrl+p>stat")
        await camera.take(tui, "palette")
        await tui.keys("<escape><f12>")
        await camera.take(tui, "facts")
        await tui.keys("<escape>")
        monkeypatch.setattr(tui.app.commands, "do_plan", failing)
        await tui.keys("<f6>")
        await camera.take(tui, "fault")

    # A source of which no path is shown: it is another in each run.
    config = {"sources": {"shop": {"kind": "duckdb", "path": str(tmp_path / "shop.duckdb")}}}
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("create table trades (id bigint, trader varchar, qty bigint)")
        connection.execute("insert into trades select i, 't' || i % 4, i from range(40) t(i)")
    with Session.open(config) as over:
        play(scenario, over=over, size=SIZE, history=history)
