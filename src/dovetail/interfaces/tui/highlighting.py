"""Colours of SQL in the editor, made for the lines that are looked at.

Textual's text area asks the grammar about the whole text after every key, which in a text of 5,000
lines takes half a second; here a block of lines is asked about when one of them is drawn. Brackets
are coloured by how deep they stand in their statement. What Textual measures on the whole text at
every key and for every line drawn is told here from what is known: lines are never wrapped.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import tree_sitter_sql
from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.document._syntax_aware_document import SyntaxAwareDocument
from textual.geometry import Size
from textual.widgets import TextArea
from textual.widgets.text_area import DocumentNavigator, TextAreaTheme, WrappedDocument
from tree_sitter import Language, Query

from dovetail.editing.tokens import tokens_of

_BLOCK = 15  # lines
_LOOK_BACK = 300  # lines in which the begin of a statement is looked for
_BRACKETS = {
    # Readable on dark and on light; the colours of the rest are Textual's own.
    "bracket.0": Style(color="#d7a000"),
    "bracket.1": Style(color="#c266c2"),
    "bracket.2": Style(color="#2f8fd8"),
    "bracket.unmatched": Style(color="#e05050", underline=True),
}
_COLOURS = 3
_OPENING, _CLOSING = "([{", ")]}"


@cache
def _language() -> Language:
    return Language(tree_sitter_sql.language())


@cache
def _query() -> Query:
    """What is coloured. To make it takes 50 ms, for the grammar is large: once in a process."""
    return Query(_language(), TextArea._get_builtin_highlight_query("sql"))


class _SqlDocument(SyntaxAwareDocument):
    """Lines with their syntax tree."""

    def get_size(self, tab_width: int) -> Size:
        """Cells of the longest line, and the number of lines. Of mere letters there are as many
        cells, which is known without a look at each."""
        widths = (
            len(line)
            if line.isascii() and "\t" not in line
            else cell_len(line.expandtabs(tab_width))
            for line in self.lines
        )
        return Size(max(widths, default=0), self.line_count)

    def _location_to_byte_offset(self, location: tuple[int, int]) -> int:
        """Textual's hook for what the grammar is told of an edit; twice for each key."""
        row, column = location
        last = self.lines[row][:column] if row < self.line_count else ""
        return len(self.newline.join([*self.lines[:row], last]).encode())


class _Unwrapped(WrappedDocument):
    """Lines as they are."""

    @property
    def height(self) -> int:
        """Lines on screen: as many as there are."""
        return self.document.line_count


class Highlighted(TextArea):
    """A text area whose colours cost what is on screen. Made for SQL in lines that do not wrap."""

    # Lines are drawn while the text area is still being made.
    _blocks: frozenset[int] = frozenset()
    _is_prepared = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        known = TextAreaTheme.get_builtin_theme("css")
        assert known is not None
        self.register_theme(
            TextAreaTheme("dovetail", syntax_styles=known.syntax_styles | _BRACKETS)
        )
        self.theme = "dovetail"

    def _set_document(self, text: str, language: str | None) -> None:
        """Textual's hook for a new text. Its own makes a query of the grammar each time."""
        self.document = _SqlDocument(text, _language())
        self.wrapped_document = _Unwrapped(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._build_highlight_map()
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    def on_mount(self) -> None:
        """Colours come after the first lines are on screen, which need not wait for them."""
        self.call_after_refresh(self._prepare)

    def _prepare(self) -> None:
        _query()
        self._is_prepared = True
        self._build_highlight_map()
        self.refresh()

    def _build_highlight_map(self) -> None:
        """Textual's hook for a change of the text: forget the colours."""
        self._line_cache.clear()
        self._highlights.clear()
        self._blocks = frozenset()

    def get_line(self, line_index: int) -> Text:
        """A line; its colours and those of its neighbours are made when they are missing."""
        block = line_index // _BLOCK
        if self._is_prepared and block not in self._blocks:
            self._blocks |= {block}
            self._colour(block * _BLOCK, min((block + 1) * _BLOCK, self.document.line_count))
        return super().get_line(line_index)

    def _colour(self, first: int, end: int) -> None:
        found = self.document.query_syntax_tree(_query(), (first, 0), (end, 0))
        for name, nodes in found.items():
            if name == "punctuation.bracket":
                continue
            for node in nodes:
                (top, left), (bottom, right) = node.start_point, node.end_point
                for row in range(max(top, first), min(bottom + 1, end)):
                    place = (left if row == top else 0, right if row == bottom else None, name)
                    self._highlights[row].append(place)
        for row, column, depth in self._depths(first, end):
            name = f"bracket.{depth % _COLOURS}" if depth >= 0 else "bracket.unmatched"
            left = len(self.document.get_line(row)[:column].encode())  # the grammar counts bytes
            self._highlights[row].append((left, left + 1, name))

    def _depths(self, first: int, end: int) -> list[tuple[int, int, int]]:
        """``(line, column, depth)`` of the brackets in these lines, counted from the begin of their
        statement, as far as that is near."""
        start = first
        while start > max(0, first - _LOOK_BACK) and ";" not in self.document.get_line(start - 1):
            start -= 1
        lines = [self.document.get_line(row) for row in range(start, end)]
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        row, opened = 0, 0
        found = []
        for token in tokens_of("\n".join(lines)):
            if token.kind != "symbol":
                continue
            while token.start >= starts[row + 1]:
                row += 1
            place = (start + row, token.start - starts[row])
            if token.text == ";":
                opened = 0
            elif token.text in _OPENING:
                found.append((*place, opened))
                opened += 1
            elif token.text in _CLOSING:
                opened -= 1
                found.append((*place, opened))
                opened = max(opened, 0)
        return [item for item in found if item[0] >= first]
