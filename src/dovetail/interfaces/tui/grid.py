"""The grid: a table of any length, of which only the visible part is ever looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from dovetail.interfaces.tui.analyst import Analyst
from dovetail.interfaces.tui.cells import Cells, shown
from dovetail.interfaces.tui.view import View, is_plain_case
from dovetail.present.grid import cut, visible, width

if TYPE_CHECKING:
    import pyarrow as pa

HEADER_LINES = 2
_GAP = " "
MODES = ("cell", "row", "column")


@dataclass(frozen=True)
class Mark:
    """Which letters of the cells are marked: those that a filter or search asked for."""

    kind: str  # fuzzy, exact or regex
    pattern: str
    columns: frozenset[int]

    def places(self, text: str) -> list[tuple[int, int]]:
        """From where to where the text fits the pattern."""
        plain = is_plain_case(self.pattern)
        if self.kind == "regex":
            try:
                return [m.span() for m in re.finditer(self.pattern, text) if m.end() > m.start()]
            except re.error:
                return []
        low = text.lower() if plain else text
        if len(low) != len(text):  # a letter whose small form is longer: no marks
            return []
        if self.kind == "exact":
            return [m.span() for m in re.finditer(re.escape(self.pattern), low)]
        spans, place = [], 0
        for letter in self.pattern:
            place = low.find(letter, place)
            if place < 0:
                return []
            spans.append((place, place + 1))
            place += 1
        return spans


@dataclass(frozen=True)
class _Frame:
    """What the lines of one repaint share; ``look`` is all that a move of the cursor may leave."""

    look: tuple[object, ...]
    place: int
    column: int
    columns: Sequence[tuple[int, int, int]]  # number, x, width
    rows: Sequence[int]
    texts: Mapping[tuple[int, int], str | None]
    base: Style
    selected: tuple[int, int, frozenset[int]]  # first place, last place, columns
    pinned: tuple[int, ...]
    bar: Sequence[str]


class Grid(Widget, can_focus=True):
    """Rows and columns of a result. The cursor is a place in the view and a column's identity."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header", "grid--type", "grid--cursor", "grid--row", "grid--null", "grid--match",
        "grid--selected", "grid--number", "grid--pinned", "grid--bar",
    }  # fmt: skip
    DEFAULT_CSS = """
    Grid { height: 1fr; background: $surface; color: $foreground; }
    Grid > .grid--header { text-style: bold; background: $panel; color: $foreground; }
    Grid > .grid--type { background: $panel; color: $text-muted; }
    Grid > .grid--cursor { text-style: reverse; }
    Grid > .grid--row { background: $boost; }
    Grid > .grid--null { text-style: dim italic; }
    Grid > .grid--match { text-style: bold underline; color: $text-warning; }
    Grid > .grid--selected { background: $primary-muted; }
    Grid > .grid--number { color: $text-muted; }
    Grid > .grid--pinned { background: $panel; }
    Grid > .grid--bar { color: $primary; }
    """

    class Moved(Message):
        """The cursor or the selection is somewhere else."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> Grid:
            """The grid."""
            return self.grid

    class HeaderChosen(Message):
        """A header was clicked twice."""

        def __init__(self, grid: Grid, column: int) -> None:
            super().__init__()
            self.grid = grid
            self.column = column

    def __init__(self, analyst: Analyst, view: View | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self.analyst = analyst
        self.cells = Cells(analyst)
        self.view = view or View.of(len(analyst.columns))
        self.rows: pa.Array | None = None  # None: all rows as they came
        self.place = 0  # the row of the cursor, counted in the view
        self.column = self.view.columns[0] if self.view.columns else 0
        self.top = 0
        self.left = 0  # how many unpinned columns are scrolled out
        self.mode = "cell"
        self.selected_from: tuple[int, int] | None = None
        self.numbers = False
        self.locked = False
        self.marks: tuple[Mark, ...] = ()
        self.widths: dict[int, int] = {}  # what the user set
        self._styles: dict[str, Style] = {}
        self._frame: _Frame | None = None

    # -- what is shown -----------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """Rows in the view."""
        return self.analyst.table.num_rows if self.rows is None else len(self.rows)

    @property
    def page_rows(self) -> int:
        """Rows that fit the screen."""
        return max(1, self.size.height - HEADER_LINES)

    def row_at(self, place: int) -> int:
        """The number in the result of the row at a place of the view."""
        return place if self.rows is None else int(self.rows[place].as_py())

    def rows_at(self, first: int, count: int) -> list[int]:
        """The numbers of several rows."""
        last = min(first + count, self.row_count)
        if self.rows is None:
            return list(range(first, last))
        numbers: list[int] = self.rows.slice(first, max(0, last - first)).to_pylist()
        return numbers

    def show(self, view: View, rows: pa.Array | None, *, keep_row: bool = True) -> None:
        """Show ``view``, whose rows are ``rows``; the cursor stays on its row where it can."""
        same = keep_row and rows is self.rows
        self.view, self.rows = view, rows
        if not same:
            self.place = 0
            self.top = 0
            self.selected_from = None
        self._keep_inside()
        self.refresh()
        self.post_message(self.Moved(self))

    def grown(self) -> None:
        """More rows have come."""
        if self.row_count <= 2 * self.page_rows:
            self.cells.forget_widths()
        self._keep_inside()
        self.refresh()

    def _keep_inside(self) -> None:
        columns = self.view.columns
        if self.column not in columns and columns:
            order = self.view.order
            at = order.index(self.column) if self.column in order else 0
            after = [c for c in order[at:] if c in columns] or [
                c for c in reversed(order[:at]) if c in columns
            ]
            self.column = after[0]
        self.place = max(0, min(self.place, self.row_count - 1))
        self._scroll_to_cursor()

    # -- moving -----------------------------------------------------------------------------------

    def move_to(self, place: int | None = None, column: int | None = None) -> None:
        """Put the cursor on a row of the view and a column; stops at the edges."""
        if place is not None:
            if self.locked:
                place = max(self.top, min(place, self.top + self.page_rows - 1))
            self.place = max(0, min(place, self.row_count - 1))
        if column is not None and column in self.view.columns:
            self.column = column
        self._scroll_to_cursor()
        self._repaint_cursor()
        self.post_message(self.Moved(self))

    def move_by(self, rows: int = 0, columns: int = 0) -> None:
        """Move the cursor; stops at the edges."""
        shown_columns = self.view.columns
        column = self.column
        if columns and shown_columns:
            at = shown_columns.index(self.column) + columns
            column = shown_columns[max(0, min(at, len(shown_columns) - 1))]
        self.move_to(self.place + rows if rows else None, column)

    def scroll_by(self, rows: int) -> None:
        """Scroll, the cursor staying where it is on screen."""
        if self.locked:
            return
        offset = self.place - self.top
        self.top = max(0, min(self.top + rows, max(0, self.row_count - self.page_rows)))
        self.move_to(self.top + offset)

    def page(self, pages: float) -> None:
        """Move by pages."""
        rows = round(self.page_rows * pages)
        offset = self.place - self.top
        self.place = max(0, min(self.place + rows, self.row_count - 1))
        self.top = max(0, min(self.place - offset, max(0, self.row_count - self.page_rows)))
        self.move_to(self.place)

    def scroll_cursor(self, where: str) -> None:
        """Scroll so that the cursor's row is at the ``top``, ``middle`` or ``bottom``."""
        back = {"top": 0, "middle": self.page_rows // 2, "bottom": self.page_rows - 1}[where]
        self.top = max(0, self.place - back)
        self.refresh()

    def _scroll_to_cursor(self) -> None:
        page = self.page_rows
        if self.place < self.top:
            self.top = self.place
        elif self.place >= self.top + page:
            self.top = self.place - page + 1
        self.top = max(0, min(self.top, max(0, self.row_count - 1)))
        free = self._free_columns()
        if self.column not in free:
            return
        at = free.index(self.column)
        self.left = min(self.left, at)
        room = self.size.width - self._fixed_width() - 1
        used = 0
        first = at
        for index in range(at, -1, -1):
            used += self.width_of(free[index]) + len(_GAP)
            if used > room and index < at:
                break
            first = index
        self.left = max(self.left, first)

    def _free_columns(self) -> tuple[int, ...]:
        return self.view.columns[len(self.view.pinned_columns) :]

    def _fixed_width(self) -> int:
        pinned = sum(self.width_of(c) + len(_GAP) for c in self.view.pinned_columns)
        return pinned + self._number_width()

    def _number_width(self) -> int:
        return len(f"{self.analyst.table.num_rows:,}") + 1 if self.numbers else 0

    def width_of(self, column: int) -> int:
        """The width of a column on screen."""
        return self.widths.get(column) or self.cells.width(column)

    def visible_columns(self) -> list[tuple[int, int, int]]:
        """``(column, x, width)`` of the columns on screen, the last one perhaps cut."""
        x = self._number_width()
        found = []
        end = self.size.width - 1
        for column in (*self.view.pinned_columns, *self._free_columns()[self.left :]):
            if x >= end:
                break
            column_width = self.width_of(column)
            found.append((column, x, min(column_width, end - x)))
            x += column_width + len(_GAP)
        return found

    # -- selection ---------------------------------------------------------------------------------

    def selection(self) -> tuple[int, int, tuple[int, ...]]:
        """First and last place, and the columns, of what is selected; the cursor by itself if
        nothing is."""
        columns = self.view.columns
        place, column = self.selected_from or (self.place, self.column)
        first, last = sorted((place, self.place))
        if self.mode == "row":
            return first, last, columns
        if self.mode == "column" and self.selected_from is None:
            return 0, max(0, self.row_count - 1), (self.column,)
        at = sorted((columns.index(column) if column in columns else 0, columns.index(self.column)))
        return first, last, columns[at[0] : at[1] + 1]

    # -- painting ----------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor in view."""
        self._scroll_to_cursor()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as there is room."""
        return container.width

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        self._styles.clear()

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            made = self.get_component_rich_style(f"grid--{name}", partial=True)
            background = self.get_component_styles(f"grid--{name}").background
            if 0 < background.a < 1:  # a terminal has no transparency: mixed here
                below = self.background_colors[1]
                made += Style(bgcolor=(below + background).rich_color)
            # The value itself may link to nothing: data is never read as markup or as an action.
            style = self._styles[name] = Style.combine([made])
        return style

    def _look(self) -> tuple[object, ...]:
        in_column = self.column if self.mode == "column" else None
        return self.size, self.top, self.left, self.mode, in_column, self.selected_from

    def _repaint_cursor(self) -> None:
        """Paint what a move changed: two lines and the header, unless the view went along."""
        painted = self._frame
        if painted is None or self.selected_from is not None or painted.look != self._look():
            self.refresh()
            return
        lines = {place - self.top + HEADER_LINES for place in (painted.place, self.place)}
        if painted.column != self.column:
            lines.add(0)
        self.refresh(*(Region(0, line, self.size.width, 1) for line in lines))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of ``crop``; those that have not changed are kept by Textual."""
        self._frame = None
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        frame = self._frame
        if frame is None:
            frame = self._frame = self._make_frame()
        size, base = self.size, frame.base
        if y == 0:
            strip = self._header(frame.columns, base)
        elif y == 1:
            strip = self._types(frame.columns, base)
        elif y - HEADER_LINES < len(frame.rows):
            strip = self._row(frame, y - HEADER_LINES)
        elif y == HEADER_LINES:
            note = "no rows match" if self.view.filters else "no rows"
            strip = Strip([Segment(note, base + self._style("null"))])
        else:
            return Strip.blank(size.width, base)
        return strip.adjust_cell_length(size.width, base)

    def _make_frame(self) -> _Frame:
        lines = self.size.height - HEADER_LINES
        columns = self.visible_columns()
        rows = self.rows_at(self.top, lines)
        first, last, selected = self.selection()
        if self.selected_from is None and self.mode == "cell":
            selected = ()
        return _Frame(
            self._look(),
            self.place,
            self.column,
            columns,
            rows,
            # The texts of the visible cells are made together.
            self.cells.texts(rows, [c for c, _, _ in columns]) if rows else {},
            self.rich_style,
            (first, last, frozenset(selected)),
            self.view.pinned_columns,
            self._bar(lines),
        )

    def _header(self, columns: Sequence[tuple[int, int, int]], base: Style) -> Strip:
        style = base + self._style("header")
        segments = [Segment(" " * self._number_width(), style)]
        for column, _, column_width in columns:
            mark = self.view.sort_mark(column)
            pin = "│" if column == (self.view.pinned_columns or (None,))[-1] else " "
            room = column_width - width(mark)
            name = cut(visible(self.analyst.columns[column].name), max(room, 1))
            text = _aligned(name + mark, column_width, self.cells.is_number(column))
            cursor = self._style("cursor") if column == self.column and self.has_focus else None
            segments.append(Segment(text, style + cursor if cursor else style))
            segments.append(Segment(pin, style))
        return Strip(segments).extend_cell_length(self.size.width, style)

    def _types(self, columns: Sequence[tuple[int, int, int]], base: Style) -> Strip:
        style = base + self._style("type")
        segments = [Segment(" " * self._number_width(), style)]
        for column, _, column_width in columns:
            text = cut(self.analyst.columns[column].type.lower(), column_width)
            right = self.cells.is_number(column)
            segments.append(Segment(_aligned(text, column_width, right) + _GAP, style))
        return Strip(segments).extend_cell_length(self.size.width, style)

    def _row(self, frame: _Frame, index: int) -> Strip:
        place, row = self.top + index, frame.rows[index]
        first, last, columns = frame.selected
        selected = columns if first <= place <= last else frozenset()
        pinned = frame.pinned
        here = place == self.place
        line = frame.base + self._style("row") if here else frame.base
        segments: list[Segment] = []
        number = self._number_width()
        if number:
            style = line + self._style("number")
            segments.append(Segment(f"{row + 1:>{number - 1},} ", style))
        for column, _, column_width in frame.columns:
            style = gap = line
            if column in pinned:
                style += self._style("pinned")
            if column in selected:
                style += self._style("selected")
            cursor = here and (column == self.column or self.mode == "row")
            if self.mode == "column" and column == self.column and self.selected_from is None:
                style += self._style("selected")
            if cursor and self.has_focus:
                style += self._style("cursor")
            if self.mode == "row":  # one bar, not a cell beside a cell
                gap = style
            text = frame.texts.get((row, column))
            if text is None:
                style += self._style("null")
                right = self.cells.is_number(column)
                cell = _aligned(cut("NULL", column_width), column_width, right)
                segments.append(Segment(cell, style))
            else:
                segments += self._cell(column, text, column_width, style)
            segments.append(Segment("│" if pinned and column == pinned[-1] else _GAP, gap))
        used = sum(s.cell_length for s in segments)
        segments.append(Segment(" " * max(0, self.size.width - 1 - used), line))
        segments.append(Segment(frame.bar[index], frame.base + self._style("bar")))
        return Strip(segments)

    def _cell(self, column: int, text: str, room: int, style: Style) -> list[Segment]:
        whole = shown(text)
        seen = cut(whole, room)
        spare = room - width(seen)
        right = self.cells.is_number(column)
        spans: list[tuple[int, int]] = []
        for mark in self.marks:
            if column in mark.columns:
                spans += mark.places(whole)
        if not spans:
            return [Segment(" " * spare + seen if right else seen + " " * spare, style)]
        marked = {i for start, end in spans for i in range(start, min(end, len(seen)))}
        match = style + self._style("match")
        segments = [Segment(" " * spare, style)] if right and spare else []
        start = 0
        for i in range(1, len(seen) + 1):
            if i == len(seen) or (i in marked) != (start in marked):
                segments.append(Segment(seen[start:i], match if start in marked else style))
                start = i
        if spare and not right:
            segments.append(Segment(" " * spare, style))
        return segments

    def _bar(self, lines: int) -> list[str]:
        total = self.row_count
        if total <= lines or lines <= 0:
            return [" "] * max(lines, 0)
        size = max(1, lines * lines // total)
        start = round(self.top / max(1, total - lines) * (lines - size))
        return ["█" if start <= line < start + size else "│" for line in range(lines)]

    # -- mouse ------------------------------------------------------------------------------------

    def _at(self, x: int, y: int) -> tuple[int | None, int | None]:
        """The place and the column under the mouse; None outside (the header has no place)."""
        column = next((c for c, left, w in self.visible_columns() if left <= x <= left + w), None)
        place = self.top + y - HEADER_LINES
        return (place if y >= HEADER_LINES and place < self.row_count else None), column

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; twice on a header sorts."""
        place, column = self._at(event.x, event.y)
        if column is not None and event.y < HEADER_LINES:
            if event.chain == 2:
                self.post_message(self.HeaderChosen(self, column))
            self.move_to(None, column)
        elif place is not None:
            self.move_to(place, column)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to select by dragging."""
        place, column = self._at(event.x, event.y)
        self._drag = (place, column) if place is not None and column is not None else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Select while the button is held."""
        drag = getattr(self, "_drag", None)
        if not event.button or drag is None:
            return
        place, column = self._at(event.x, event.y)
        if place is not None and column is not None and (place, column) != drag:
            self.selected_from = drag
            self.move_to(place, column)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End of the drag."""
        self._drag = None

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        event.stop()
        self.scroll_by(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        event.stop()
        self.scroll_by(-3)


def _aligned(text: str, room: int, right: bool) -> str:
    spare = " " * max(0, room - width(text))
    return spare + text if right else text + spare
