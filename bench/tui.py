"""The full-screen interface: first paint of a large result, and keys while a query runs.

    python -m bench.tui            # needs dovetail[tui]; no terminal is opened

First paint counts from the moment the Arrow table is there to the first display with its grid. A
key counts from the posting of its event to the first display of what it changed (cursor or text):
while a query runs the status line is drawn ten times a second, and that is no answer.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from textual import events

from dovetail.editing.history import History
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.interfaces.tui.app import DovetailApp
from dovetail.interfaces.tui.drafts import Drafts
from dovetail.session import Session

ROWS = 1_000_000
SIZE = (160, 50)
_PRESSES = 30
_TABLE = """
    select i as id, 'name_' || i % 1000 as name, (i * 1.5)::double as amount, i % 7 as weekday,
      'text ' || i as note, i / 3.0 as third, date '2020-01-01' + (i % 1000)::int as day,
      i % 2 = 0 as even, hash(i) % 100000 as code, 'x' || (i % 13) as kind
    from range({rows}) t(i)
"""


class Timed(DovetailApp):
    """Notes when something was displayed, and when first a change of what is watched was."""

    shown_at = 0.0
    answered_at: float | None = None
    _watched: Callable[[], Any] = staticmethod(lambda: None)
    _before: Any = None

    def watch(self, state: Callable[[], Any]) -> None:
        """Wait for a change of ``state``."""
        self._watched, self._before, self.answered_at = state, state(), None

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        self.shown_at = time.perf_counter()
        if self.answered_at is None and self._watched() != self._before:
            self.answered_at = self.shown_at


class Ready:
    """A result whose rows are there; the stream stays open until the gate is."""

    def __init__(self, table: pa.Table, gate: threading.Event | None = None) -> None:
        self.schema = table.schema
        types = duckdb.connect().from_arrow(table.slice(0, 0)).types
        self.columns = [(n, str(t)) for n, t in zip(table.column_names, types, strict=True)]
        self.profile = Profile([FragmentProfile(1, "bench", "memory", "select", "stream")])
        self.warnings: list[str] = []
        self._table, self._gate = table, gate

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._table.to_batches()
        if self._gate is not None:
            # A query that is still at work: the engine computes in other threads meanwhile.
            while not self._gate.wait(0.005):
                duckdb.sql("select sum(i) from range(2000000) t(i)").fetchall()

    def cancel(self) -> None:
        if self._gate is not None:
            self._gate.set()

    def close(self) -> None: ...


async def first_paint(session: Session, folder: Path, rows: int) -> float:
    """Seconds from the table to its rows on screen, in a running application."""
    table = duckdb.sql(_TABLE.format(rows=rows)).to_arrow_table()
    app = Timed(session, history=History(folder / "h"), drafts=Drafts("bench", folder / "d"))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.watch(lambda: _has_grid(app))
        begin = time.perf_counter()
        await app.buffer.add_table("bench", table, _columns(Ready(table)))
        return await answered(app) - begin


def _has_grid(app: Timed) -> bool:
    """Whether a grid has its place on screen: what is displayed then shows its rows."""
    pane = app.buffer.pane if app.buffers else None
    return pane is not None and pane.grid is not None and pane.grid.size.height > 0


def _columns(result: Ready) -> list[Any]:
    from dovetail.present.write import output_columns

    return output_columns(result.columns)


async def keys_while_running(
    session: Session, folder: Path, *, running: bool
) -> dict[str, list[float]]:
    """Milliseconds from a key to its display, while a query computes in the background."""
    table = duckdb.sql(_TABLE.format(rows=ROWS)).to_arrow_table()
    gate = threading.Event()
    result = Ready(table, gate if running else None)
    app = Timed(session, history=History(folder / "h"), drafts=Drafts("bench", folder / "d"))
    took: dict[str, list[float]] = {}
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.session.sql = lambda *a, **k: result  # type: ignore[method-assign,assignment]
        app.buffer.editor.text = "select 1"
        await app.commands.do_run()
        while app.buffer.pane is None or app.buffer.pane.grid is None:
            await asyncio.sleep(0.005)
        grid, editor = app.buffer.pane.grid, app.buffer.editor
        for name, keys, focus, state in (
            ("a row down", ("j",), "results", lambda: grid.place),
            ("a page down", ("pagedown",), "results", lambda: grid.place),
            ("last and first row", ("G", "ctrl+home"), "results", lambda: grid.place),
            ("a letter in the editor", ("x",), "editor", lambda: editor.text),
        ):
            app.commands.do_pane(focus)
            await asyncio.sleep(0.2)
            times = took[name] = []
            for number in range(_PRESSES):
                key = keys[number % len(keys)]
                app.watch(state)
                begin = time.perf_counter()
                app.post_message(events.Key(key, key if len(key) == 1 else None))
                times.append((await answered(app) - begin) * 1e3)
                await asyncio.sleep(0.02)
        gate.set()
        app.cancel()
        await pilot.pause()
    del app.session.sql
    return took


async def answered(app: Timed) -> float:
    """When the change that is watched for was displayed."""
    for _ in range(5_000):
        if app.answered_at is not None:
            return app.answered_at
        await asyncio.sleep(0.001)
    raise TimeoutError("a key was not answered within 5 seconds")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Session.open({}) as session:
        folder = Path(name)
        for rows in (1_000, ROWS):
            best = [asyncio.run(first_paint(session, folder, rows)) for _ in range(3)]
            print(f"first paint, {rows:>9,} rows × 10 columns: {min(best) * 1e3:7.0f} ms")
        for running in (False, True):
            print("while a query runs" if running else "while nothing runs")
            took = asyncio.run(keys_while_running(session, folder, running=running))
            for what, times in took.items():
                ordered = sorted(times)
                print(
                    f"  {what:<24} median {statistics.median(times):6.1f} ms"
                    f"   95 % within {ordered[int(len(ordered) * 0.95)]:6.1f} ms"
                )


if __name__ == "__main__":
    main()
