"""Moving in a result, and selecting."""

from __future__ import annotations

from dovetail.interfaces.tui.result_base import ResultBase


class Moving(ResultBase):
    """Keys that move the cursor."""

    # -- moving -----------------------------------------------------------------------------------

    def do_move(self, way: str, count: int | None) -> None:
        """A cell, or several."""
        by = count or 1
        rows = {"down": by, "up": -by}.get(way, 0)
        columns = {"right": by, "left": -by}.get(way, 0)
        self._grid.move_by(rows, columns)

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
