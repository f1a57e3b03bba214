"""Looking closer at a result, and copying out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.interfaces.tui import yanking
from dovetail.interfaces.tui.grid import MODES
from dovetail.interfaces.tui.result_base import ResultBase
from dovetail.interfaces.tui.view import wrapped

if TYPE_CHECKING:
    import pyarrow as pa

_ASK_BYTES = 10_000_000


class Looking(ResultBase):
    """Keys that show more of a value, a column or all of it, and those that copy."""

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
