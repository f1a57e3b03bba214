"""The full-screen interface: first paint, keys, filters, statistics, memory; no terminal is opened.

    python -m bench.tui            # needs dovetail[tui]; figures go to bench/results/tui.json

First paint counts from the moment the Arrow table is there to the first display with its grid. A
key counts from the posting of its event to the first display of what it changed (cursor or text):
while a query runs the status line is drawn ten times a second, and that is no answer. Questions
(sort, filter, statistics, search) are timed where they are answered, in the thread beside the
screen. Every figure has the number of its requirement, so that a reader finds what was wanted.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from textual import events

from bench import machine
from dovetail.editing.history import History
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.interfaces.cli.startup import prepare
from dovetail.interfaces.tui.analyst import Analyst
from dovetail.interfaces.tui.app import DovetailApp
from dovetail.interfaces.tui.drafts import Drafts
from dovetail.interfaces.tui.view import Filter, SortKey, View
from dovetail.present.write import output_columns
from dovetail.session import Session

ROOT = Path(__file__).parents[1]
ROWS = 1_000_000
SIZE = (160, 50)
_PRESSES = 30
_TABLE = """
    select i as id, 'name_' || i % 1000 as name, (i * 1.5)::double as amount, i % 7 as weekday,
      'text ' || i as note, i / 3.0 as third, date '2020-01-01' + (i % 1000)::int as day,
      i % 2 = 0 as even, hash(i) % 100000 as code, 'x' || (i % 13) as kind
    from range({rows}) t(i)
"""
# Milliseconds; MB for what ends in "memory". What the requirements ask for.
REACH = {
    "P01 start to an editor, cold process": 1_200,
    "P02 first paint, 1,000,000 rows, with application start": 800,
    "P02 beyond the time for 1,000 rows": 200,
    "P03 a row down, 95 %": 30,
    "P04 a page down, 95 %": 120,
    "P04 50 page keys held: end of painting after the last": 120,
    "P05 last and first row, 95 %": 120,
    "P06 sort of one column": 600,
    "P07 fuzzy filter, one column": 200,
    "P07 fuzzy filter, ten columns": 1_200,
    "P07 regular expression, ten columns": 1_200,
    "P08 next match from row 500,000": 300,
    "P09 statistics of one column": 300,
    "P09 statistics of all columns": 1_500,
    "P10 cancelled on screen": 100,
    "P12 2,000 columns: first paint": 1_000,
    "P12 2,000 columns: move right, 95 %": 80,
    "P12 2,000 columns: a page, 95 %": 250,
    "P13 typing in 5,000 lines, 95 %": 50,
}


def reach_of(name: str) -> tuple[str, int | None]:
    """Which of a figure's two numbers is judged, and what is wanted of it; None if nothing is."""
    for known, wanted in REACH.items():
        figure = known.removesuffix(", 95 %")
        if name.startswith(figure):
            return ("median" if figure == known else "p95"), wanted
    return "median", None


def _read_until(terminal: int, wanted: bytes, seconds: float = 30) -> None:
    """Read what a program writes to its terminal until ``wanted`` is among it."""
    seen = b""
    while wanted not in seen:
        if not select.select([terminal], [], [], seconds)[0]:
            raise TimeoutError(f"{wanted!r} did not appear within {seconds} seconds")
        seen += os.read(terminal, 65_536)


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


class Bench:
    """The figures of one run: name → milliseconds, the median and the 95 % of several."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session, self.folder = session, folder
        self.figures: dict[str, dict[str, float]] = {}
        self.table = duckdb.sql(_TABLE.format(rows=ROWS)).to_arrow_table(65_536)  # as results come

    def note(self, name: str, times: Sequence[float]) -> None:
        ordered = sorted(times)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        self.figures[name] = {
            "median": round(statistics.median(times), 1), "p95": round(p95, 1), "n": len(times),
        }  # fmt: skip
        print(f"{name:<72} {statistics.median(times):8.1f}", flush=True)

    def summary(self) -> str:
        """Every figure beside what is wanted of it: of the median, or of the 95 %."""
        lines = [f"{'ms':<72} {'median':>8} {'95 %':>8} {'wanted':>8}"]
        for name, found in self.figures.items():
            if "median" not in found:
                continue
            which, wanted = reach_of(name)
            mark = "" if wanted is None else "  ok" if found[which] <= wanted else "  MISSED"
            shown = "" if wanted is None else f"{wanted:,}"
            lines.append(f"{name:<72} {found['median']:8.1f} {found['p95']:8.1f} {shown:>8}{mark}")
        return "\n".join(lines)

    def app(self) -> Timed:
        return Timed(
            self.session,
            history=History(self.folder / "h"),
            drafts=Drafts("bench", self.folder / "d"),
        )

    # -- P01, P02 ----------------------------------------------------------------------------------

    def start(self) -> None:
        """From the start of the process to a letter in the editor, in a terminal of its own."""
        self.note("P01 start to an editor, cold process", [self._start_one() for _ in range(5)])

    def _start_one(self) -> float:
        ours, theirs = pty.openpty()
        height, width = SIZE[1], SIZE[0]
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        of_its_own = {
            "DOVETAIL_TUI_STATE": str(self.folder / "s"), "DOVETAIL_HISTORY": "off",
            "TERM": "xterm-256color",
        }  # fmt: skip
        begin = time.perf_counter()
        process = subprocess.Popen(
            [Path(sys.executable).with_name("dovetail"), "tui"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            cwd=self.folder, env={**os.environ, **of_its_own},
        )  # fmt: skip
        os.close(theirs)
        try:
            _read_until(ours, b"Write SQL")  # what an empty pane of results says
            os.write(ours, "§".encode())
            _read_until(ours, "§".encode())
            took = (time.perf_counter() - begin) * 1e3
            os.write(ours, b"\x11")  # Ctrl+Q
            with suppress(OSError):  # the other end is closed
                while os.read(ours, 65_536):
                    pass
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return took

    def first_paints(self) -> None:
        for rows, name in ((1_000, "1,000 rows"), (ROWS, "1,000,000 rows")):
            whole, paint = [], []
            for _ in range(5):
                begin = time.perf_counter()
                started, shown = asyncio.run(self._first_paint(self.table.slice(0, rows)))
                whole.append((shown - begin) * 1e3)
                paint.append((shown - started) * 1e3)
            self.note(f"P02 first paint, {name}, with application start", whole)
            self.note(f"first paint, {name}, application there", paint)
        few, many = (
            self.figures[f"P02 first paint, {name}, with application start"]["median"]
            for name in ("1,000 rows", "1,000,000 rows")
        )
        self.note("P02 beyond the time for 1,000 rows", [many - few])

    async def _first_paint(self, table: pa.Table) -> tuple[float, float]:
        app = self.app()
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            app.watch(lambda: _has_grid(app))
            begin = time.perf_counter()
            await app.buffer.add_table("bench", table, output_columns(Ready(table).columns))
            return begin, await answered(app)

    # -- P03 to P05, P10, P13 ----------------------------------------------------------------------

    async def keys(self, *, running: bool) -> None:
        gate = threading.Event()
        result = Ready(self.table, gate if running else None)
        app = self.app()
        tail = ", a query runs" if running else ""
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            app.session.sql = lambda *a, **k: result  # type: ignore[method-assign,assignment]
            app.buffer.editor.text = "select 1"
            await app.commands.do_run()
            while app.buffer.pane is None or app.buffer.pane.grid is None:
                await asyncio.sleep(0.005)
            grid, editor = app.buffer.pane.grid, app.buffer.editor
            for name, keys, focus, state in (
                ("P03 a row down", ("j",), "results", lambda: grid.place),
                ("P04 a page down", ("pagedown",), "results", lambda: grid.place),
                ("P05 last and first row", ("G", "ctrl+home"), "results", lambda: grid.place),
                ("a letter in the editor", ("x",), "editor", lambda: editor.text),
            ):
                self.note(f"{name}{tail}", await _press(app, keys, focus, state))
            app.commands.do_pane("results")
            grid.move_to(0)
            await asyncio.sleep(0.2)
            held = []
            for _ in range(3):
                before = grid.place
                for _ in range(50):
                    app.post_message(events.Key("pagedown", None))
                target = before + 50 * grid.page_rows
                app.watch(lambda target=target: grid.place >= target)
                while grid.place < target:
                    await asyncio.sleep(0)
                end = time.perf_counter()
                held.append((await answered(app) - end) * 1e3)
                assert grid.place == target
            self.note(f"P04 50 page keys held: end of painting after the last{tail}", held)
            if running:
                app.commands.do_pane("editor")
                await asyncio.sleep(0.2)
                app.watch(lambda: app.buffer.running)
                begin = time.perf_counter()
                app.post_message(events.Key("ctrl+c", None))
                self.note("P10 cancelled on screen", [(await answered(app) - begin) * 1e3])
            else:
                app.commands.do_pane("results")
                await pilot.press("slash", *"t 50", "enter")
                while app.buffer.pane.busy:
                    await asyncio.sleep(0.01)
                grid.move_to(500_000)
                again = await _press(app, ("n",), "results", lambda: (grid.place, grid.column))
                self.note("P08 next match from row 500,000", again)
            gate.set()
            app.runner.cancel()
            await pilot.pause()
        del app.session.sql

    async def typing(self) -> None:
        app = self.app()
        async with app.run_test(size=SIZE) as pilot:
            editor = app.buffer.editor
            line = "select a{0}, sum(coalesce(b, {0})) as x from t{0} where c in ({0}, 2);"
            editor.text = "\n".join(line.format(n) for n in range(5_000))
            editor.move_cursor((2_500, 10))
            await pilot.pause()
            times = await _press(app, ("x",), "editor", lambda: editor.text)
        self.note("P13 typing in 5,000 lines", times)

    # -- P06 to P09 --------------------------------------------------------------------------------

    def questions(self) -> None:
        columns = output_columns(Ready(self.table).columns)
        analyst = Analyst(self.table, columns)
        view = View.of(len(columns))
        every = view.columns

        def time_of(name: str, ask: Callable[[], Any], times: int = 5) -> None:
            found = []
            for _ in range(times):
                begin = time.perf_counter()
                ask()
                found.append((time.perf_counter() - begin) * 1e3)
            self.note(name, found)

        def rows_with(kind: str, text: str, over: tuple[int, ...]) -> Callable[[], Any]:
            filtered = view.with_filter(Filter(kind, text, over))
            return lambda: analyst.rows_of(filtered)

        sorted_ = View(view.order, sort=(SortKey(2, True),))
        time_of("P06 sort of one column", lambda: analyst.rows_of(sorted_))
        time_of("P07 fuzzy filter, one column", rows_with("fuzzy", "t99998", (4,)))
        time_of("P07 fuzzy filter, ten columns", rows_with("fuzzy", "99998", every))
        time_of("P07 regular expression, ten columns", rows_with("regex", "9999[78]$", every))
        time_of("search, ten columns, all matches", lambda: analyst.find("xt 500123", every, None))
        time_of("P09 statistics of one column", lambda: analyst.statistics(2, view))
        time_of("P09 statistics of all columns", lambda: analyst.all_statistics(view))
        analyst.close()

    # -- P11, P12 ----------------------------------------------------------------------------------

    async def wide(self) -> None:
        names = ", ".join(f"i * {n} as column_{n}" for n in range(2_000))
        table = duckdb.sql(f"select {names} from range(1000) t(i)").to_arrow_table()
        app = self.app()
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            app.watch(lambda: _has_grid(app))
            begin = time.perf_counter()
            pane = await app.buffer.add_table("wide", table, output_columns(Ready(table).columns))
            self.note("P12 2,000 columns: first paint", [(await answered(app) - begin) * 1e3])
            grid = pane.grid
            assert grid is not None
            moves = await _press(app, ("l",), "results", lambda: grid.column)
            self.note("P12 2,000 columns: move right", moves)
            pages = await _press(app, ("pagedown",), "results", lambda: grid.place, 15)
            self.note("P12 2,000 columns: a page", pages)

    def memory(self) -> None:
        """In a process of its own, with the grid painted: what it takes beyond its Arrow table."""
        done = subprocess.run(
            [sys.executable, "-m", "bench.tui", "--memory"],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        self.figures["P11 memory, MB"] = found
        wanted = 300 + 1.5 * found["arrow"]
        print(f"P11 memory {found['process']:,} MB, of which the Arrow table {found['arrow']:,}; "
              f"wanted {wanted:,.0f}")  # fmt: skip


def _memory_of_one() -> None:
    with tempfile.TemporaryDirectory() as name, Session.open({}) as session:
        bench = Bench(session, Path(name))
        asyncio.run(bench._first_paint(bench.table))
        status = Path("/proc/self/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        print(json.dumps({
            "process": round(resident * 1024 / 1e6), "arrow": round(bench.table.nbytes / 1e6),
        }))  # fmt: skip


def _has_grid(app: Timed) -> bool:
    """Whether a grid has its place on screen: what is displayed then shows its rows."""
    pane = app.buffer.pane if app.buffers else None
    return pane is not None and pane.grid is not None and pane.grid.size.height > 0


async def _press(
    app: Timed, keys: Sequence[str], focus: str, state: Callable[[], Any], presses: int = _PRESSES
) -> list[float]:
    """Milliseconds from each key to the display of what it changed."""
    app.commands.do_pane(focus)
    await asyncio.sleep(0.2)
    times = []
    for number in range(presses):
        key = keys[number % len(keys)]
        app.watch(state)
        begin = time.perf_counter()
        app.post_message(events.Key(key, key if len(key) == 1 else None))
        times.append((await answered(app) - begin) * 1e3)
        await asyncio.sleep(0.02)
    return times


async def answered(app: Timed) -> float:
    """When the change that is watched for was displayed."""
    for _ in range(5_000):
        if app.answered_at is not None:
            return app.answered_at
        await asyncio.sleep(0.001)
    raise TimeoutError("a key was not answered within 5 seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        _memory_of_one()
        return
    prepare()  # as the command does
    about = machine.describe([]) | {"command": "python -m bench.tui", "load_before": machine.load()}
    with tempfile.TemporaryDirectory() as name, Session.open({}) as session:
        bench = Bench(session, Path(name))
        bench.start()
        bench.first_paints()
        for running in (False, True):
            asyncio.run(bench.keys(running=running))
        asyncio.run(bench.typing())
        bench.questions()
        asyncio.run(bench.wide())
        bench.memory()
    print(f"\nload {about['load_before']} before, {machine.load()} after\n{bench.summary()}")
    kept = {"about": about | {"load_after": machine.load()}, "figures": bench.figures}
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "tui.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
