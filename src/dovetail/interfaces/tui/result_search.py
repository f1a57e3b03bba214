"""Searching in a result, and going to a column by name."""

from __future__ import annotations

from dovetail.interfaces.tui.analyst import Matches
from dovetail.interfaces.tui.result_base import ResultBase
from dovetail.interfaces.tui.view import is_plain_case


class Searching(ResultBase):
    """Keys that search."""

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
                self._column_search = ""
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
        if self._column_search:
            self._to_column(self._column_search, int(way) * (count or 1))
            return
        if self._search is None:
            self.host.tell("no search yet; / begins one")
            return
        for _ in range(min(count or 1, 1000)):
            self._find(int(way))

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
        """To a column by a part of its name; ``n`` and ``N`` go on from there."""
        grid = self._grid
        start = grid.column

        def try_(text: str) -> None:
            grid.move_to(None, start)
            self._to_column(text)

        def submit(text: str) -> None:
            grid.move_to(None, start)
            self._column_search = text
            if text and not self._to_column(text):
                self.host.tell(f'no column is called "{text}"')
            grid.focus()

        def cancel() -> None:
            grid.move_to(None, start)
            grid.focus()

        self.host.prompt.ask("SEARCH", "column:", submit, change=try_, cancel=cancel)

    def _to_column(self, text: str, by: int = 0) -> bool:
        """To the best column for ``text``, or ``by`` so many places among all that fit."""
        grid = self._grid
        columns = grid.view.columns
        wanted = text.lower()
        names = {c: grid.analyst.columns[c].name.lower() for c in columns}
        fitting = [c for c in columns if wanted in names[c]]
        if not text or not fitting:
            return False
        if by == 0:
            best = [c for c in fitting if names[c].startswith(wanted)]
            grid.move_to(None, (best or fitting)[0])
            return True
        order = list(columns)
        here = order.index(grid.column)
        turned = fitting if by > 0 else fitting[::-1]
        ahead = [c for c in turned if (order.index(c) - here) * by > 0]
        around = [*ahead, *(c for c in turned if c not in ahead)]
        grid.move_to(None, around[(abs(by) - 1) % len(around)])
        return True
