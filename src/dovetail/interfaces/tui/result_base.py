"""A result on screen: its grid, its chips, its query, and how a key becomes an action."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from dovetail.errors import CancelledError, DovetailError
from dovetail.interfaces.tui.analyst import Analyst, Matches
from dovetail.interfaces.tui.cells import shown
from dovetail.interfaces.tui.chips import Chips
from dovetail.interfaces.tui.grid import Grid, Mark
from dovetail.interfaces.tui.keys import Sequences
from dovetail.interfaces.tui.prompt_line import PromptLine
from dovetail.interfaces.tui.running import QueryRun, describe_run, duration
from dovetail.interfaces.tui.view import View

if TYPE_CHECKING:
    import pyarrow as pa


# Actions about the rows that are shown: they wait for a sort or filter that is being made. Those
# that ask for something to be typed do not.
_ABOUT_ROWS = frozenset(
    ("show_cell", "statistics", "all_statistics", "frequencies", "yank", "hide_empty",
     "next_match", "change", "null")
)  # fmt: skip


class Host(Protocol):
    """What a result needs of the application."""

    prompt: PromptLine

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something at the bottom of the screen."""

    def copy(self, text: str, note: str) -> None:
        """Copy a text and say so."""

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Show one of the screens."""

    def app_action(self, action: str, count: int | None = None) -> None:
        """Do an action of the application."""


class ResultBase(Vertical):
    """What every action of a result stands on; the actions themselves are in the mixins."""

    DEFAULT_CSS = """
    ResultPane { height: 1fr; }
    ResultPane .running { height: auto; color: $text-muted; padding: 0 1; display: none; }
    """

    class Changed(Message, namespace="result_pane"):
        """The cursor, the view or the run has changed: the status line shows it."""

        def __init__(self, pane: ResultBase) -> None:
            super().__init__()
            self.pane = pane

    class Pending(Message, namespace="result_pane"):
        """A sequence of keys has begun, gone on or ended."""

        def __init__(self, shown: str, continuations: list[tuple[str, str]]) -> None:
            super().__init__()
            self.shown = shown
            self.continuations = continuations

    def __init__(
        self, host: Host, keys: Sequences, title: str, sql: str, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.host = host
        self.title = title
        self.sql = sql
        self.run: QueryRun | None = None
        self.grid: Grid | None = None
        self.analyst: Analyst | None = None
        self.query_at = 0  # where its statement begins in the editor
        self.batch_number = 0  # results of one batch stand side by side
        self.stale = False
        self.busy = ""  # what a worker is doing
        self.note = ""
        self.summary: dict[str, Any] = {}
        self.count_shown = ""
        self._keys = keys
        self._past: list[tuple[View, Any]] = []
        self._asked: View | None = None  # what the grid will show when its rows are found
        self._waiting: list[tuple[str, int | None]] = []  # actions, for when it is shown
        self._search: tuple[str, int, Matches | None] | None = None
        self._column_search = ""  # what `\\` looked for, while it was the last search
        self._format = ""
        self._job = 0
        self._shown = (-1, True)  # rows, and whether more may come
        self._pattern_columns: tuple[int, ...] | None = None

    def compose(self) -> ComposeResult:
        """Chips above, the grid later, progress below."""
        yield Chips()
        yield Static("", classes="running", markup=False)

    # -- data -------------------------------------------------------------------------------------

    def follow(self, run: QueryRun) -> None:
        """Show what a query brings."""
        self.run = run
        self.refresh_run()

    def set_table(self, table: pa.Table, columns: list[Any]) -> None:
        """Show a table that is here already."""
        self._open_grid(table, columns)

    def refresh_run(self) -> None:
        """There is news of the query."""
        run = self.run
        if run is None:
            return
        line = self.query_one(".running", Static)
        # Not by a class: taken away before the first styles are computed, it would stay in force.
        line.display = run.active
        if run.active:
            line.update(describe_run(run))
        if run.schema is not None and (run.state != "failed" or run.rows):
            # With a sort in force rows wait for the end: they would jump about.
            sorted_ = self.grid is not None and bool(self.grid.view.sort) and run.active
            news = (run.rows, run.active)  # the end may bring rows that were on disk
            if self.grid is None:
                self._open_grid(run.table(), run.columns)
                self._shown = news
            elif self._shown != news and not sorted_:
                self._shown = news
                assert self.analyst is not None
                self.analyst.replace(run.table())
                self.grid.grown()
                if self._view.moves_rows():
                    self._apply(self._view, keep_past=self._asked is None)
        self.post_message(self.Changed(self))

    def _open_grid(self, table: pa.Table, columns: list[Any]) -> None:
        self.analyst = Analyst(table, columns)
        self.grid = Grid(self.analyst)
        self.mount(self.grid, before=self.query_one(".running"))
        self.post_message(self.Changed(self))

    def focus_grid(self) -> None:
        """Give the grid the keyboard."""
        if self.grid is not None:
            self.grid.focus()

    def on_unmount(self) -> None:
        """Let go of the data."""
        if self.analyst is not None:
            self.analyst.close()

    # -- what the status line says ----------------------------------------------------------------

    def status(self) -> list[str]:
        """Place, rows, filters, state: the parts of the status line."""
        grid, run = self.grid, self.run
        parts = []
        if self.stale:
            parts.append("old result")
        if grid is not None:
            at = grid.view.columns.index(grid.column) + 1 if grid.view.columns else 0
            parts.append(f"{grid.place + 1 if grid.row_count else 0}:{at}")
            parts.append(self._rows_text(grid, run))
            if grid.mode != "cell":
                parts.append(f"{grid.mode} mode")
            if grid.locked:
                parts.append("locked")
        if self.summary.get("count"):
            s = self.summary
            parts.append(
                f"{s['count']} cells, sum {_number(s['sum'])}, average {_number(s['average'])}, "
                f"min {_number(s['min'])}, max {_number(s['max'])}"
            )
        if self.count_shown:
            parts.append(self.count_shown)
        if self.busy:
            parts.append(self.busy)
        if run is not None and not run.active:
            state = {"cancelled": "cancelled, partial", "failed": "failed"}.get(run.state, "")
            if state and not (run.state == "cancelled" and not run.rows):
                parts.append(state)
            elif state:
                parts.append("cancelled")
            parts.append(duration(run.seconds))
        return parts

    @staticmethod
    def _rows_text(grid: Grid, run: QueryRun | None) -> str:
        total = grid.analyst.table.num_rows
        word = "row" if total == 1 else "rows"
        text = f"{total:,} {word}"
        if run is not None and run.state == "capped":
            text = f"{total:,} of more"
        elif run is not None and run.active:
            text = f"{total:,} {word} so far"
        if grid.view.filters:
            text = f"{grid.row_count:,} of {text}"
        return text

    def _chips(self) -> None:
        grid = self.grid
        if grid is None:
            return
        names = grid.analyst.columns
        notes = [
            f"{shown(names[key.column].name)} {'▼' if key.descending else '▲'}"
            for key in grid.view.sort
        ]
        if grid.view.hidden:
            notes.append(f"{len(grid.view.hidden)} hidden")
        self.query_one(Chips).show([shown(f.chip) for f in grid.view.filters], notes)

    # -- work beside the screen -------------------------------------------------------------------

    def _work(
        self,
        what: str,
        ask: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[DovetailError], None] | None = None,
    ) -> None:
        """Ask the analyst in a thread; only the newest question is answered."""
        assert self.analyst is not None
        self._job += 1
        job = self._job
        self._asked = None
        self.analyst.interrupt()
        self.busy = what

        def answer(made: Any, error: DovetailError | None) -> None:
            if job != self._job:
                return
            self.busy, self._asked = "", None
            if error is None:
                done(made)
            elif not isinstance(error, CancelledError):
                (failed or (lambda e: self.host.tell(e.message, error=True)))(error)
            waiting, self._waiting = self._waiting, []
            for action, count in waiting:
                self.perform(action, count)
            self.post_message(self.Changed(self))

        def work() -> None:
            made, problem = None, None
            try:
                made = ask()
            except DovetailError as error:
                problem = error
            if self.is_attached:
                self.app.call_from_thread(answer, made, problem)

        self.run_worker(work, thread=True, group="analyst")
        self.post_message(self.Changed(self))

    def _apply(
        self,
        view: View,
        *,
        keep_past: bool = False,
        failed: Callable[[DovetailError], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Look at the result through ``view``; the rows are found beside the screen."""
        grid, analyst = self.grid, self.analyst
        assert grid is not None
        assert analyst is not None
        before = (grid.view, grid.rows)
        same_rows = (view.filters, view.sort) == (grid.view.filters, grid.view.sort)

        def done(rows: Any) -> None:
            if not keep_past and view != before[0]:
                self._past.append(before)
            grid.show(view, rows)
            if not same_rows:
                self._forget_matches()
            self._mark()
            self._chips()
            if then is not None:
                then()

        if same_rows and not keep_past:
            self._forget_asked()
            done(grid.rows)
            self.post_message(self.Changed(self))
            return
        what = "filtering" if view.filters else "sorting"
        self._work(what, lambda: analyst.rows_of(view), done, failed)
        self._asked = view if view != grid.view else None

    def _forget_asked(self) -> None:
        """The view that was asked for last is not wanted any more."""
        if self._asked is not None:
            self._job += 1
            self._asked, self.busy = None, ""
            self._waiting.clear()

    @property
    def _view(self) -> View:
        """What the next change begins with: the view that was asked for last, shown or not yet, so
        that keys pressed fast mean what they mean pressed slowly."""
        return self._asked or self._grid.view

    def _mark(self) -> None:
        grid = self.grid
        assert grid is not None
        marks = [
            Mark(f.kind, f.text, frozenset(f.columns))
            for f in grid.view.filters
            if f.kind in ("fuzzy", "exact", "regex")
        ]
        if self._search is not None:
            columns = self._pattern_columns or grid.view.columns
            marks.append(Mark("exact", self._search[0], frozenset(columns)))
        grid.marks = tuple(marks)
        grid.refresh()

    def _forget_matches(self) -> None:
        if self._search is not None:
            self._search = (self._search[0], self._search[1], None)

    # -- keys -------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """A key in the grid: part of a count or a sequence, or an action."""
        if self.grid is None or not self.grid.has_focus:
            return
        pressed = self._keys.press(_pressed(event))
        self.post_message(self.Pending(self._keys.pending, self._keys.continuations()))
        if pressed.action is None and not pressed.waiting and not pressed.dropped:
            return
        event.stop()
        event.prevent_default()
        if pressed.action is not None:
            self.perform(pressed.action, pressed.count)

    def perform(self, action: str, count: int | None = None) -> None:
        """Do an action of the results pane, or hand it to the application."""
        name, _, argument = action.rstrip(")").partition("(")
        method = getattr(self, f"do_{name}", None)
        if method is None:
            self.host.app_action(action, count)
            return
        if self.grid is None:
            return
        if self._asked is not None and name in _ABOUT_ROWS:
            self._waiting.append((action, count))
            return
        self.note = ""
        method(argument, count)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """The cursor is somewhere else: the selection's sums may be, too."""
        event.stop()
        self.summary = {}
        grid = event.grid
        if grid.selected_from is not None or grid.mode != "cell":
            self._summarize(grid)
        self.post_message(self.Changed(self))

    def _summarize(self, grid: Grid) -> None:
        first, last, columns = grid.selection()
        if self._asked is not None or (grid.mode == "column" and grid.selected_from is None):
            return
        cells = [(column, grid.rows, first, last) for column in columns]

        def done(found: dict[str, Any]) -> None:
            self.summary = found

        self._work("", lambda: grid.analyst.summary(cells), done)

    @property
    def _grid(self) -> Grid:
        assert self.grid is not None
        return self.grid


def _pressed(event: events.Key) -> str:
    """The key by its character when it is a letter (capitals among them), else by its name."""
    character = event.character
    if character is not None and character.isalnum() and len(event.key) == 1:
        return character
    return event.key


def _number(value: Any) -> str:
    if value is None:
        return "NULL"
    return (
        f"{value:.2f}".rstrip("0").rstrip(".") if abs(cast("float", value)) < 1e15 else f"{value:g}"
    )
