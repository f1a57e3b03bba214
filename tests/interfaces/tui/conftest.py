"""A full-screen interface without a terminal, driven key by key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interfaces.conftest import TRADES
from textual.pilot import Pilot

from dovetail.editing.history import History
from dovetail.interfaces.tui.app import DovetailApp
from dovetail.interfaces.tui.drafts import Drafts
from dovetail.interfaces.tui.grid import Grid
from dovetail.interfaces.tui.result import ResultPane
from dovetail.session import Session

SIZE = (120, 40)


class Tui:
    """The application under test, and what a person would do and see."""

    def __init__(self, app: DovetailApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    async def keys(self, *typed: str) -> None:
        """Press keys: ``"3j"`` is two keys, ``"<enter>"`` one; then wait until all is quiet."""
        for text in typed:
            for key in re.findall(r"<([^>]+)>|(.)", text, re.DOTALL):
                name = key[0] or {"\n": "enter", " ": "space"}.get(key[1], key[1])
                await self.pilot.press(name)
        await self.settle()

    async def settle(self) -> None:
        """Wait for workers, queries and repaints; filters that wait for the next key too."""
        calm = 0
        for _ in range(2000):
            await self.pilot.pause()
            calm = calm + 1 if self._is_calm() else 0
            if calm == 3:  # a message may have been on its way from one queue to another
                return
            if not calm:
                await asyncio.sleep(0.01)
        raise AssertionError("the application does not come to rest")

    def _is_calm(self) -> bool:
        timer = self.app.prompt._timer
        if timer is not None and timer._task is not None and not timer._task.done():
            return False  # a filter waits for the next key
        runs = [run for buffer in self.app.buffers for run in buffer.runs]
        panes = [pane for buffer in self.app.buffers for pane in buffer.panes]
        return not (
            any(run.active or not run.told for run in runs)
            or any(pane.busy for pane in panes)
            or any(not worker.is_finished for worker in self.app.workers)
        )

    @property
    def pane(self) -> ResultPane:
        pane = self.app.buffer.pane
        assert pane is not None
        return pane

    @property
    def grid(self) -> Grid:
        assert self.pane.grid is not None
        return self.pane.grid

    @property
    def row(self) -> int:
        """The row of the cursor in the view, from 1."""
        return self.grid.place + 1

    @property
    def column(self) -> str:
        return self.grid.analyst.columns[self.grid.column].name

    @property
    def names(self) -> list[str]:
        return [self.grid.analyst.columns[c].name for c in self.grid.view.columns]

    @property
    def ids(self) -> list[int]:
        """The column ``id`` of the rows shown, in their order."""
        rows = self.grid.rows_at(0, self.grid.row_count)
        values = self.grid.analyst.table.column("id").to_pylist()
        return [values[row] for row in rows]

    @property
    def status(self) -> str:
        self.app.update_status()
        return str(self.app._status_line.render())

    @property
    def told(self) -> list[str]:
        """What was said at the bottom, newest last."""
        return [n.message for n in self.app._notifications]

    @property
    def copied(self) -> str:
        return self.app.copier.text  # type: ignore[attr-defined]

    @property
    def text(self) -> str:
        """The editor's text."""
        return self.app.buffer.editor.text

    def screen(self) -> str:
        """The characters on screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(s.text for s in strip).rstrip() for strip in strips)


class Copied:
    """A clipboard that can be looked at."""

    text = ""

    def copy(self, text: str) -> str:
        self.text = text
        return ""


Play = Callable[..., None]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``trades.csv``."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "trades.csv").write_text(TRADES)
    return folder


@pytest.fixture(scope="module")
def session(desk: Path) -> Iterator[Session]:
    """A session that the tests of a module share."""
    with Session.open({}, allowed_directories=["/"], data={"trades": desk / "trades.csv"}) as made:
        yield made


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, desk: Path) -> Play:
    """``play(scenario)`` runs ``async def scenario(tui)`` over ``trades.csv``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    for name in ("NO_COLOR", "FORCE_COLOR", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)

    def run(
        scenario: Callable[[Tui], Awaitable[None]],
        *,
        over: Session | None = None,
        size: tuple[int, int] = SIZE,
        **options: Any,
    ) -> None:
        history = options.setdefault("history", History(tmp_path / "history.sqlite"))
        if "drafts" not in options:
            options["drafts"] = Drafts("test", tmp_path / "drafts")
        options.setdefault("files", ["trades"] if over is None else [])

        async def go() -> None:
            app = DovetailApp(over or session, clipboard=Copied(), **options)
            app.animation_level = "none"
            async with app.run_test(size=size) as pilot:
                tui = Tui(app, pilot)
                await tui.settle()
                await scenario(tui)

        try:
            asyncio.run(go())
        finally:
            history.close()

    return run
