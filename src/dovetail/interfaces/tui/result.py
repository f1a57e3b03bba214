"""A result on screen: the grid, its chips, and everything the keys of the results do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from dovetail.errors import CancelledError, DovetailError
from dovetail.interfaces.tui import yanking
from dovetail.interfaces.tui.analyst import Analyst, Matches
from dovetail.interfaces.tui.cells import shown
from dovetail.interfaces.tui.grid import MODES, Grid, Mark
from dovetail.interfaces.tui.keys import Sequences
from dovetail.interfaces.tui.prompt_line import PromptLine
from dovetail.interfaces.tui.running import QueryRun, describe_run, duration
from dovetail.interfaces.tui.view import Filter, View, is_plain_case, wrapped

if TYPE_CHECKING:
    import pyarrow as pa

_ASK_BYTES = 10_000_000
_FILTERS = {
    "fuzzy": "fuzzy filter:",
    "exact": "filter, exact text:",
    "regex": "filter, regular expression:",
    "expression": "filter, SQL condition:",
}


class Host(Protocol):
    """What a result needs of the application."""

    prompt: PromptLine

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something at the bottom of the screen."""

    def copy(self, text: str, note: str) -> None:
        """Copy a text and say so."""

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Show one of the screens."""

    def app_action(self, action: str) -> None:
        """Do an action of the application."""


class ResultPane(Vertical):
    """One result: made when the first rows are there, or by itself (statistics, frequencies)."""

    DEFAULT_CSS = """
    ResultPane { height: 1fr; }
    ResultPane .chips { height: 1; color: $text-accent; display: none; padding: 0 1; }
    ResultPane .chips.open { display: block; }
    ResultPane .running { height: auto; color: $text-muted; padding: 0 1; display: none; }
    ResultPane .running.open { display: block; }
    """

    class Changed(Message):
        """The cursor, the view or the run has changed: the status line shows it."""

        def __init__(self, pane: ResultPane) -> None:
            super().__init__()
            self.pane = pane

    class Pending(Message):
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
        self._preview: View | None = None
        self._search: tuple[str, int, Matches | None] | None = None
        self._format = ""
        self._job = 0
        self._shown_rows = -1
        self._pattern_columns: tuple[int, ...] | None = None

    def compose(self) -> ComposeResult:
        """Chips above, the grid later, progress below."""
        yield Static("", classes="chips", markup=False)
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
        line.set_class(run.active, "open")
        if run.active:
            line.update(describe_run(run))
        if run.schema is not None and (run.state != "failed" or run.rows):
            # With a sort in force rows wait for the end: they would jump about.
            sorted_ = self.grid is not None and bool(self.grid.view.sort) and run.active
            if self.grid is None:
                self._open_grid(run.table(), run.columns)
                self._shown_rows = run.rows
            elif self._shown_rows != run.rows and not sorted_:
                self._shown_rows = run.rows
                assert self.analyst is not None
                self.analyst.replace(run.table())
                self.grid.grown()
                if self.grid.view.moves_rows():
                    self._apply(self.grid.view, keep_past=True)
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
        chips = [f"[{shown(f.chip)}]" for f in grid.view.filters]
        for key in grid.view.sort:
            chips.append(f"{names[key.column].name} {'▼' if key.descending else '▲'}")
        if grid.view.hidden:
            chips.append(f"{len(grid.view.hidden)} hidden")
        line = self.query_one(".chips", Static)
        line.update("  ".join(chips))
        line.set_class(bool(chips), "open")

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
        self.analyst.interrupt()
        self.busy = what

        def answer(made: Any, error: DovetailError | None) -> None:
            if job != self._job:
                return
            self.busy = ""
            if error is None:
                done(made)
            elif not isinstance(error, CancelledError):
                (failed or (lambda e: self.host.tell(e.message, error=True)))(error)
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
            done(grid.rows)
            self.post_message(self.Changed(self))
            return
        what = "filtering" if view.filters else "sorting"
        self._work(what, lambda: analyst.rows_of(view), done, failed)

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
            self.host.app_action(action)
            return
        if self.grid is None:
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

    def on_grid_header_chosen(self, event: Grid.HeaderChosen) -> None:
        """A header was clicked twice: sort."""
        event.stop()
        event.grid.column = event.column
        self.do_sort("", None)

    def _summarize(self, grid: Grid) -> None:
        first, last, columns = grid.selection()
        if grid.mode == "column" and grid.selected_from is None:
            return
        cells = [(column, grid.rows, first, last) for column in columns]

        def done(found: dict[str, Any]) -> None:
            self.summary = found

        self._work("", lambda: grid.analyst.summary(cells), done)

    # -- moving -----------------------------------------------------------------------------------

    def do_move(self, way: str, count: int | None) -> None:
        """A cell, or several."""
        by = count or 1
        rows = {"down": by, "up": -by}.get(way, 0)
        columns = {"right": by, "left": -by}.get(way, 0)
        self._grid.move_by(rows, columns)

    @property
    def _grid(self) -> Grid:
        assert self.grid is not None
        return self.grid

    def do_select(self, way: str, count: int | None) -> None:
        """Grow the selection by moving."""
        grid = self._grid
        if grid.selected_from is None:
            grid.selected_from = (grid.place, grid.column)
        self.do_move(way, count)

    def do_row(self, which: str, count: int | None) -> None:
        """First, last, or by number."""
        grid = self._grid
        last = grid.row_count - 1
        grid.move_to(count - 1 if count else 0 if which == "first" else last)

    def do_column(self, which: str, count: int | None) -> None:
        """First, last, or by number."""
        columns = self._grid.view.columns
        at = {"first": 0, "last": len(columns) - 1}.get(which, (count or 1) - 1)
        self._grid.move_to(None, columns[max(0, min(at, len(columns) - 1))])

    def do_view_row(self, which: str, count: int | None) -> None:
        """Top, middle or bottom of what is on screen."""
        grid = self._grid
        last = min(grid.top + grid.page_rows, grid.row_count) - 1
        grid.move_to({"top": grid.top, "middle": (grid.top + last) // 2, "bottom": last}[which])

    def do_page(self, way: str, count: int | None) -> None:
        """Pages."""
        self._grid.page(int(way) * (count or 1))

    def do_half_page(self, way: str, count: int | None) -> None:
        """Half pages."""
        self._grid.page(int(way) * (count or 1) / 2)

    def do_scroll_row(self, where: str, count: int | None) -> None:
        """This row to the top, middle or bottom."""
        self._grid.scroll_cursor(where)

    def do_change(self, way: str, count: int | None) -> None:
        """The next row with another value."""
        self._jump(way, count, null=False)

    def do_null(self, way: str, count: int | None) -> None:
        """The next row that is NULL here."""
        self._jump(way, count, null=True)

    def _jump(self, way: str, count: int | None, *, null: bool) -> None:
        grid = self._grid
        column, rows, place = grid.column, grid.rows, grid.place

        def ask() -> int | None:
            at: int | None = place
            for _ in range(min(count or 1, 1000)):
                found = grid.analyst.next_change(
                    column, rows, at if at is not None else place, back=way == "-1", null=null
                )
                if found is None:
                    break
                at = found
            return None if at == place else at

        def done(found: int | None) -> None:
            if found is None:
                self.host.tell("no NULL that way" if null else "no other value that way")
            else:
                grid.move_to(found)

        self._work("looking", ask, done)

    # -- columns, sort ----------------------------------------------------------------------------

    def do_hide(self, _: str, count: int | None) -> None:
        """Hide this column, or several from here."""
        grid = self._grid
        columns = grid.view.columns
        at = columns.index(grid.column)
        self._apply(grid.view.hide(columns[at : at + (count or 1)]))

    def do_unhide_all(self, _: str, count: int | None) -> None:
        """Show hidden columns."""
        self._apply(self._grid.view.unhide_all())

    def do_pin(self, _: str, count: int | None) -> None:
        """Pin or unpin this column."""
        self._apply(self._grid.view.pin(self._grid.column))

    def do_unpin_all(self, _: str, count: int | None) -> None:
        """Unpin all."""
        self._apply(self._grid.view.unpin_all())

    def do_move_column(self, way: str, count: int | None) -> None:
        """Move this column."""
        self._apply(self._grid.view.move(self._grid.column, int(way) * (count or 1)))

    def do_width(self, by: str, count: int | None) -> None:
        """Narrower or wider."""
        grid = self._grid
        grid.widths[grid.column] = max(3, grid.width_of(grid.column) + int(by) * (count or 1))
        grid.refresh()

    def do_fit(self, _: str, count: int | None) -> None:
        """Fit what is on screen; again the default."""
        grid = self._grid
        if grid.widths.pop(grid.column, None) is None:
            rows = grid.rows_at(grid.top, grid.page_rows)
            grid.widths[grid.column] = grid.cells.measure(grid.column, rows)
        grid.refresh()

    def do_hide_empty(self, _: str, count: int | None) -> None:
        """Hide columns without a value."""
        grid = self._grid
        view = grid.view

        def done(columns: list[int]) -> None:
            if columns:
                self._apply(view.hide(columns))
            self.host.tell(f"{len(columns)} empty columns hidden")

        self._work("looking", lambda: grid.analyst.all_null(view), done)

    def do_columns(self, _: str, count: int | None) -> None:
        """Choose columns from a list."""
        self.host.open_screen("columns", self)

    def choose_columns(self, hidden: frozenset[int], go_to: int | None) -> None:
        """What the list of columns was left with."""
        self._apply(replace(self._grid.view, hidden=frozenset()).hide(sorted(hidden)))
        if go_to is not None:
            self._grid.move_to(None, go_to)

    def do_sort(self, _: str, count: int | None) -> None:
        """Up, down, not."""
        self._apply(self._grid.view.cycle_sort(self._grid.column))

    def do_sort_more(self, _: str, count: int | None) -> None:
        """Add this column to the sort."""
        self._apply(self._grid.view.cycle_sort(self._grid.column, add=True))

    def do_undo(self, _: str, count: int | None) -> None:
        """The view before."""
        if not self._past:
            self.host.tell("nothing to take back")
            return
        view, rows = self._past.pop()
        self._grid.show(view, rows)
        self._forget_matches()
        self._mark()
        self._chips()

    # -- filters ----------------------------------------------------------------------------------

    def do_filter(self, kind: str, count: int | None) -> None:
        """Ask for a filter and try it while it is typed."""
        grid = self._grid
        before, rows = grid.view, grid.rows

        def made(text: str) -> Filter | None:
            chosen = kind
            if kind == "fuzzy" and text.startswith("'"):
                chosen, text = "exact", text[1:]
            return Filter(chosen, text, before.columns) if text else None

        def try_(text: str) -> None:
            new = made(text)
            view = before if new is None else before.with_filter(new)
            if kind == "expression" and new is not None:
                return  # half an expression is mostly wrong: it waits for Enter
            self._apply(view, keep_past=True, failed=lambda e: self._bad_filter(e))

        def submit(text: str) -> None:
            new = made(text)
            grid.focus()
            if new is None:
                grid.show(before, rows)
                return

            def failed(error: DovetailError) -> None:
                grid.show(before, rows)
                self._mark()
                self._bad_filter(error)

            def then() -> None:
                self._past.append((before, rows))
                if not grid.row_count:
                    self.host.tell("no rows match")

            self._apply(before.with_filter(new), keep_past=True, failed=failed, then=then)

        def cancel() -> None:
            self._job += 1  # what is being tried no longer counts
            grid.show(before, rows)
            self._mark()
            self._chips()
            grid.focus()

        self.host.prompt.ask("FILTER", _FILTERS[kind], submit, change=try_, cancel=cancel)

    def _bad_filter(self, error: DovetailError) -> None:
        message = error.message
        # RE2 says "missing ): (": what is wrong, then the pattern.
        self.host.tell(message, error=True)

    def do_keep_value(self, _: str, count: int | None) -> None:
        """Rows with the value under the cursor."""
        self._filter_value("keep")

    def do_drop_value(self, _: str, count: int | None) -> None:
        """Rows with another value."""
        self._filter_value("drop")

    def _filter_value(self, kind: str) -> None:
        grid = self._grid
        if not grid.row_count:
            return
        text = grid.cells.text(grid.row_at(grid.place), grid.column)
        self.filter_to(kind, grid.column, text)

    def filter_to(self, kind: str, column: int, text: str | None) -> None:
        """Keep or drop the rows whose value in a column is ``text``."""
        grid = self._grid
        this = grid.analyst.columns[column]
        sql = (
            None
            if text is None
            else yanking.literal(text, grid.analyst.kinds[column].id, this.type)
        )
        sign = "=" if kind == "keep" else "≠"
        shown_text = "NULL" if text is None else shown(text)
        made = Filter(kind, f"{this.name} {sign} {shown_text}", column=column, literal=sql)
        self._apply(grid.view.with_filter(made))

    def do_clear_filters(self, _: str, count: int | None) -> None:
        """All filters back."""
        self._apply(replace(self._grid.view, filters=()))

    def do_back(self, _: str, count: int | None) -> None:
        """End the selection, the search, the newest filter; then leave."""
        grid = self._grid
        if grid.selected_from is not None:
            grid.selected_from = None
            grid.move_to()
        elif self._search is not None:
            self._search = None
            self.count_shown = ""
            self._mark()
        elif grid.view.filters:
            self._apply(grid.view.without_filter())
        else:
            self.host.app_action("to_editor")
        self.post_message(self.Changed(self))

    # -- search -----------------------------------------------------------------------------------

    def do_search(self, way: str, count: int | None, column: int | None = None) -> None:
        """Ask what to search for."""
        grid = self._grid
        place, at = grid.place, grid.column
        columns = (column,) if column is not None else None

        def back() -> None:
            self._search = None
            self.count_shown = ""
            self._mark()
            grid.move_to(place, at)
            grid.focus()

        def submit(text: str) -> None:
            grid.focus()
            if text:
                self._pattern_columns = columns
                self._search = (text, int(way), None)
                self._find(1, from_place=(place, at), here=True)

        label = "/" if way == "1" else "?"
        self.host.prompt.ask("SEARCH", label, submit, cancel=back)

    def do_search_column(self, _: str, count: int | None) -> None:
        """Search this column only."""
        self.do_search("1", count, self._grid.column)

    def do_next_match(self, way: str, count: int | None) -> None:
        """The next match, or the one before."""
        if self._search is None:
            self.host.tell("no search yet; / begins one")
            return
        for _ in range(min(count or 1, 1000)):
            self._find(int(way))

    def _forget_matches(self) -> None:
        if self._search is not None:
            self._search = (self._search[0], self._search[1], None)

    def _find(
        self, way: int, *, from_place: tuple[int, int] | None = None, here: bool = False
    ) -> None:
        assert self._search is not None
        text, forward, matches = self._search
        grid = self._grid
        columns = self._pattern_columns or grid.view.columns

        def go(found: Matches) -> None:
            self._search = (text, forward, found)
            self._go_to_match(found, way * forward, from_place or (grid.place, grid.column), here)
            self._mark()

        if matches is not None:
            go(matches)
            return
        rows = grid.rows
        self._work("searching", lambda: grid.analyst.find(text, columns, rows), go)

    def _go_to_match(self, found: Matches, way: int, start: tuple[int, int], here: bool) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        grid = self._grid
        assert self._search is not None
        if not len(found.positions):
            self.count_shown = ""
            self.host.tell(f'"{self._search[0]}" is not found')
            return
        columns = self._pattern_columns or grid.view.columns
        order = grid.view.columns
        place, column = start
        at = order.index(column) if column in order else 0
        index = int(pc.sum(pc.less(found.positions, pa.scalar(place))).as_py() or 0)
        total = len(found.positions)
        wrapped_ = False
        if index < total and found.positions[index].as_py() == place:
            cells = self._matching(place, columns)
            if here and column in cells:
                after = [column]
            elif way > 0:
                after = [c for c in cells if order.index(c) > at]
            else:
                after = [c for c in reversed(cells) if order.index(c) < at]
            if after:
                self._land(found, index, after[0], cells)
                return
            index += 1 if way > 0 else -1
        elif way < 0:
            index -= 1
        if not 0 <= index < total:
            index %= total
            wrapped_ = True
        place = found.positions[index].as_py()
        cells = self._matching(place, columns)
        self._land(found, index, cells[0] if way > 0 else cells[-1], cells)
        if wrapped_:
            self.host.tell("search wrapped")

    def _matching(self, place: int, columns: tuple[int, ...]) -> list[int]:
        grid = self._grid
        assert self._search is not None
        pattern = self._search[0]
        row = grid.row_at(place)
        texts = grid.cells.texts([row], columns)
        plain = is_plain_case(pattern)
        order = grid.view.columns
        found = []
        for column in columns:
            text = texts[(row, column)]
            if text is not None and pattern in (text.lower() if plain else text):
                found.append(column)
        found.sort(key=lambda c: order.index(c) if c in order else len(order))
        return found or [columns[0]]

    def _land(self, found: Matches, index: int, column: int, cells: list[int]) -> None:
        before = found.upto[index - 1].as_py() if index else 0
        number = before + cells.index(column) + 1
        self.count_shown = f"{number:,}/{found.cells:,}"
        self._grid.move_to(found.positions[index].as_py(), column)

    def do_find_column(self, _: str, count: int | None) -> None:
        """To a column by a part of its name."""
        grid = self._grid
        start = grid.column

        def to(text: str) -> None:
            names = [(grid.analyst.columns[c].name.lower(), c) for c in grid.view.columns]
            wanted = text.lower()
            found = [c for n, c in names if n.startswith(wanted)] or [
                c for n, c in names if wanted in n
            ]
            if text and found:
                grid.move_to(None, found[0])

        def submit(text: str) -> None:
            to(text)
            grid.focus()

        def cancel() -> None:
            grid.move_to(None, start)
            grid.focus()

        self.host.prompt.ask("SEARCH", "column:", submit, change=to, cancel=cancel)

    # -- looking closer ---------------------------------------------------------------------------

    def do_show_cell(self, _: str, count: int | None) -> None:
        """The whole value."""
        grid = self._grid
        if grid.row_count:
            text = grid.cells.text(grid.row_at(grid.place), grid.column)
            self.host.open_screen("cell", grid.analyst.columns[grid.column], text)

    def do_statistics(self, _: str, count: int | None) -> None:
        """What this column holds."""
        grid = self._grid
        column, view = grid.column, grid.view
        self._work(
            "counting",
            lambda: grid.analyst.statistics(column, view),
            lambda made: self.host.open_screen("statistics", self, column, made),
        )

    def do_all_statistics(self, _: str, count: int | None) -> None:
        """What all columns hold, as a result of its own."""
        grid = self._grid
        view = grid.view
        self._work(
            "counting",
            lambda: grid.analyst.all_statistics(view),
            lambda table: self.host.open_screen("table", f"columns of {self.title}", table),
        )

    def do_frequencies(self, _: str, count: int | None) -> None:
        """How often each value comes, as a result of its own."""
        grid = self._grid
        view = grid.view
        columns = grid.selection()[2] if grid.selected_from is not None else (grid.column,)
        names = ", ".join(grid.analyst.columns[c].name for c in columns)
        self._work(
            "counting",
            lambda: grid.analyst.frequencies(columns, view),
            lambda table: self.host.open_screen("table", f"frequencies of {names}", table),
        )

    def do_cycle_mode(self, _: str, count: int | None) -> None:
        """Cell, row, column."""
        grid = self._grid
        grid.mode = MODES[(MODES.index(grid.mode) + 1) % len(MODES)]
        grid.move_to()

    def do_start_selection(self, _: str, count: int | None) -> None:
        """Begin or end a selection."""
        grid = self._grid
        grid.selected_from = None if grid.selected_from else (grid.place, grid.column)
        grid.move_to()

    def do_row_numbers(self, _: str, count: int | None) -> None:
        """Row numbers."""
        self._grid.numbers = not self._grid.numbers
        self._grid.refresh()

    def do_lock(self, _: str, count: int | None) -> None:
        """Lock the view: the cursor stays within it."""
        self._grid.locked = not self._grid.locked
        self.post_message(self.Changed(self))

    def do_export(self, _: str, count: int | None) -> None:
        """Write to a file."""
        self.host.open_screen("export", self)

    def wrapped_sql(self) -> str:
        """The query with what was done to its result."""
        assert self.analyst is not None
        return wrapped(self.sql, self._grid.view, self.analyst.columns)

    # -- yank -------------------------------------------------------------------------------------

    def do_yank_format(self, name: str, count: int | None) -> None:
        """The format of the next copy."""
        self._format = name
        self.host.tell(f"next copy as {name}: yy, yc, ya, ys")

    def do_yank(self, what: str, count: int | None) -> None:
        """Copy something."""
        grid = self._grid
        analyst = grid.analyst
        form, self._format = self._format, ""
        if what == "query":
            self.host.copy(self.sql, "yanked the query")
            return
        if what == "plan":
            self.host.app_action("yank_plan")
            return
        if not grid.row_count:
            self.host.tell("there are no rows to copy")
            return
        place, columns = grid.place, grid.view.columns
        row = grid.row_at(place)
        if what == "value":
            text = grid.cells.text(row, grid.column)
            note = "yanked 1 value" + ("" if text is not None else ": NULL")
            self.host.copy(text or "", note)
            return
        if what == "where":
            texts = grid.cells.texts([row], columns)
            made = yanking.as_conditions([texts[(row, c)] for c in columns], analyst, columns)
            self.host.copy(made, "yanked the row as conditions")
            return
        first, last = place, min(place + (count or 1), grid.row_count) - 1
        if what in ("column", "in"):
            first, last, columns = 0, grid.row_count - 1, (grid.column,)
        elif what == "all":
            first, last = 0, grid.row_count - 1
        elif what == "selection":
            first, last, columns = grid.selection()
        view, rows = grid.view, grid.rows

        def ask() -> tuple[str, str]:
            table = analyst.take(view, rows, columns).slice(first, last - first + 1)
            return self._copied(table, columns, what, form)

        def done(made: tuple[str, str]) -> None:
            text, note = made
            if len(text) > _ASK_BYTES:
                self.host.open_screen(
                    "confirm", f"Copy {len(text):,} characters?", lambda: self.host.copy(text, note)
                )
            else:
                self.host.copy(text, note)

        self._work("copying", ask, done)

    def _copied(
        self, table: pa.Table, columns: tuple[int, ...], what: str, form: str
    ) -> tuple[str, str]:
        analyst = self._grid.analyst
        rows = f"{table.num_rows:,} row{'' if table.num_rows == 1 else 's'}"
        note = f"yanked {rows}, {len(columns)} column{'' if len(columns) == 1 else 's'}"
        if what == "in":
            kind = analyst.kinds[columns[0]].id
            texts = analyst.texts(table, columns)[0]
            return yanking.as_in_list(texts, kind, analyst.columns[columns[0]].type), note
        if form == "insert":
            return yanking.as_inserts(table, analyst, columns), f"{note}, as INSERT"
        if form:
            return yanking.as_format(table, analyst, columns, form), f"{note}, as {form}"
        return yanking.as_lines(table, analyst, columns), note


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
