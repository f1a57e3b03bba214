"""A text to look at and copy: a whole value, a plan, the facts for a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from dovetail.interfaces.tui.screens.overlay import Overlay
from dovetail.present.grid import visible


class TextScreen(Overlay[None]):
    """A text; ``y`` copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy"),
        Binding("q", "leave", "leave"),
        Binding("j,down", "scroll(1)", "down"),
        Binding("k,up", "scroll(-1)", "up"),
    ]

    def __init__(self, title: str, text: str, copy: Callable[[str, str], None]) -> None:
        super().__init__()
        self._title = title
        self.text = text
        self._copy = copy

    def compose(self) -> ComposeResult:
        """The text, wrapped, as text: nothing in it is markup."""
        with self.framed(self._title):
            with VerticalScroll():
                yield Static(
                    "\n".join(visible(line) for line in self.text.split("\n")), markup=False
                )
            yield Static("y copies · Esc leaves", classes="hint", markup=False)

    def action_copy(self) -> None:
        """Copy the text."""
        self._copy(self.text, "copied")

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def whole_value(text: str | None, type_: str) -> str:
    """A value as it is best read: JSON laid out, blobs with their size."""
    if text is None:
        return "NULL"
    if type_ == "BLOB":
        digits = text.removeprefix("\\x")
        lines = [digits[i : i + 64] for i in range(0, len(digits), 64)]
        return f"{len(digits) // 2:,} bytes\n" + "\n".join(lines)
    if text.lstrip()[:1] in ("{", "["):
        import json

        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
        return _laid_out(text)
    return text


_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def _laid_out(json_text: str) -> str:
    """JSON with a line for each item. Its tokens stay as they are: a number keeps its digits, a
    key that comes twice stays twice."""
    made: list[str] = []
    depth, previous = 0, ""
    for part in _PART.findall(json_text):
        if part in "]}":
            depth -= 1
            made.append("" if previous in ("[", "{") else "\n" + "  " * depth)
        elif previous in ("[", "{", ","):
            made.append("\n" + "  " * depth)
        depth += part in ("[", "{")
        made.append(": " if part == ":" else part)
        previous = part
    return "".join(made)
