"""A full-screen interface without a terminal, driven key by key."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.interfaces.conftest import TRADES
from textual.pilot import Pilot

from dovetail.editing.history import History
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.interfaces.tui.app import DovetailApp
from dovetail.interfaces.tui.drafts import Drafts
from dovetail.interfaces.tui.grid import Grid
from dovetail.interfaces.tui.result import ResultPane
from dovetail.session import Session

SIZE = (120, 40)
_HOPS = 2  # a key goes to the application and a widget; twice for each key
_RUNNING = ("f5", "shift+f5", "ctrl+j")
_PATIENCE = 500  # looks at workers that a key has set off


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
                if name in _RUNNING:  # what comes next is about the result
                    await self.settle()
        await self.settle()

    async def passed_on(self, *_: float) -> None:
        """Wait until what a key set off has gone from widget to widget, and its workers are done:
        it may move the keyboard before the next key, or open a screen.

        The pilot itself waits until the processor has nothing to do: 40 ms a key at best, a second
        while a query runs.
        """
        for _ in range(_HOPS):
            await self.pilot._wait_for_screen()
        for _ in range(_PATIENCE):
            if all(worker.is_finished for worker in self.app.workers):
                break
            await asyncio.sleep(0.002)

    async def settle(self) -> None:
        """Wait for workers, queries and repaints; filters that wait for the next key too."""
        calm = 0
        for _ in range(4000):
            await self.passed_on()
            calm = calm + 1 if self._is_calm() else 0
            if calm == 2:  # what was painted last may have set something off
                await self.pilot.pause()
            if calm == 3:
                return
            if not calm:
                await asyncio.sleep(0.005)
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


class Gated:
    """A result whose rows come when the test opens the gate; counts who cancels it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.cancelled = 0
        self.schema = pa.schema([("n", pa.int64())])
        self.columns = [("n", "BIGINT")]
        self.profile = Profile([FragmentProfile(1, "slow", "gated", "select n", "stream")])
        self.warnings: list[str] = []

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1, 2, 3])], schema=self.schema)
        self.gate.wait(30)
        if not self.cancelled:
            yield pa.record_batch([pa.array([4])], schema=self.schema)

    def cancel(self) -> None:
        self.cancelled += 1
        self.gate.set()

    def close(self) -> None: ...


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
                monkeypatch.setattr("textual.app.wait_for_idle", tui.passed_on)
                await tui.settle()
                await scenario(tui)

        try:
            asyncio.run(go())
        finally:
            history.close()

    return run
