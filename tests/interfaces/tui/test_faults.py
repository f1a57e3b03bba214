"""Faults of ours in the full-screen interface: no trace, no data, and nothing is lost."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.interfaces.tui.conftest import Play, Tui

from dovetail.interfaces.tui.crash import Crash
from dovetail.interfaces.tui.drafts import Drafts


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go."""
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def boom(*_: Any, **__: Any) -> None:
    raise KeyError("customer 17 has the password hush")


def test_an_action_that_fails_leaves_the_rest(play: Play, reports: Path) -> None:
    async def failing() -> None:
        boom()

    async def scenario(tui: Tui) -> None:
        tui.app.commands.do_plan = failing  # type: ignore[method-assign,assignment]
        tui.app.buffer.editor.text = "select 1 as mine"
        await tui.keys("<f6>")
        screen = tui.screen()
        assert "an unexpected error" in screen
        assert "Nothing of your work is lost" in screen
        assert "hush" not in screen
        [report] = reports.iterdir()
        assert "KeyError" in report.read_text()
        assert "hush" not in report.read_text()
        await tui.keys("<escape><alt+2><ctrl+j>")
        assert tui.names == ["mine"]

    play(scenario, files=[])


def test_a_query_that_fails_unexpectedly(play: Play, reports: Path) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.runner.desk.run = boom  # type: ignore[method-assign]
        tui.app.buffer.editor.text = "select 1"
        await tui.keys("<ctrl+j>")
        assert "a fault of Dovetail itself (KeyError)" in tui.screen()
        assert "hush" not in tui.screen()
        assert len(list(reports.iterdir())) == 1

    play(scenario, files=[])


def test_a_crash_keeps_the_drafts(play: Play, tmp_path: Path, reports: Path) -> None:
    apps = []

    async def scenario(tui: Tui) -> None:
        apps.append(tui.app)
        tui.app.buffer.editor.text = "select 'precious'"
        tui.app.call_later(boom)
        await tui.pilot.pause()

    with pytest.raises(Crash) as caught:
        play(scenario, files=[])
    [report] = reports.iterdir()
    written = io.StringIO()
    Console(file=written, width=400).print(caught.value)
    shown = written.getvalue()
    assert str(report) in shown
    assert "hush" not in shown + report.read_text()
    assert apps[0].return_code == 70
    with closing(Drafts("test", tmp_path / "drafts")) as next_time:
        [draft] = next_time.recover()
    assert draft.text == "select 'precious'"
