"""Columns, sort and filters of a result."""

from __future__ import annotations

from dataclasses import replace

from dovetail.errors import DovetailError
from dovetail.interfaces.tui import yanking
from dovetail.interfaces.tui.cells import shown
from dovetail.interfaces.tui.chips import Chips
from dovetail.interfaces.tui.grid import Grid
from dovetail.interfaces.tui.result_base import ResultBase
from dovetail.interfaces.tui.view import Filter

_FILTERS = {
    "fuzzy": "fuzzy filter:",
    "exact": "filter, exact text:",
    "regex": "filter, regular expression:",
    "expression": "filter, SQL condition:",
}


class Filtering(ResultBase):
    """Keys that change which rows and columns are shown, and in which order."""

    def on_grid_header_chosen(self, event: Grid.HeaderChosen) -> None:
        """A header was clicked twice: sort."""
        event.stop()
        event.grid.column = event.column
        self.do_sort("", None)

    # -- columns, sort ----------------------------------------------------------------------------

    def do_hide(self, _: str, count: int | None) -> None:
        """Hide this column, or several from here."""
        grid = self._grid
        columns = grid.view.columns
        at = columns.index(grid.column)
        self._apply(self._view.hide(columns[at : at + (count or 1)]))

    def do_unhide_all(self, _: str, count: int | None) -> None:
        """Show hidden columns."""
        self._apply(self._view.unhide_all())

    def do_pin(self, _: str, count: int | None) -> None:
        """Pin or unpin this column."""
        self._apply(self._view.pin(self._grid.column))

    def do_unpin_all(self, _: str, count: int | None) -> None:
        """Unpin all."""
        self._apply(self._view.unpin_all())

    def do_move_column(self, way: str, count: int | None) -> None:
        """Move this column."""
        self._apply(self._view.move(self._grid.column, int(way) * (count or 1)))

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
        self._apply(replace(self._view, hidden=frozenset()).hide(sorted(hidden)))
        if go_to is not None:
            self._grid.move_to(None, go_to)

    def do_sort(self, _: str, count: int | None) -> None:
        """Up, down, not."""
        self._apply(self._view.cycle_sort(self._grid.column))

    def do_sort_more(self, _: str, count: int | None) -> None:
        """Add this column to the sort."""
        self._apply(self._view.cycle_sort(self._grid.column, add=True))

    def do_undo(self, _: str, count: int | None) -> None:
        """The view before; of a change that is still being made, the one that is shown."""
        if self._asked is not None:
            self._forget_asked()
            return
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
            self._forget_asked()
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
        self._apply(self._view.with_filter(made))

    def do_clear_filters(self, _: str, count: int | None) -> None:
        """All filters back."""
        self._apply(replace(self._view, filters=()))

    def do_choose_filter(self, _: str, count: int | None) -> None:
        """Take one filter back, whichever it is."""
        if self._grid.view.filters:
            self.host.open_screen("filters", self)
        else:
            self.host.tell("no filter is in force")

    def remove_filter(self, index: int) -> None:
        """Take a filter back, counted from 0."""
        self._apply(self._view.without_filter(index))

    def on_chips_removed(self, event: Chips.Removed) -> None:
        """A filter was clicked."""
        event.stop()
        self.remove_filter(event.index)

    def do_back(self, _: str, count: int | None) -> None:
        """End the selection, the search, the newest filter; then leave."""
        grid = self._grid
        if grid.selected_from is not None:
            grid.selected_from = None
            grid.move_to()
        elif self._search is not None or self._column_search:
            self._search, self._column_search = None, ""
            self.count_shown = ""
            self._mark()
        elif grid.view.filters:
            self._apply(self._view.without_filter())
        else:
            self.host.app_action("to_editor")
        self.post_message(self.Changed(self))
