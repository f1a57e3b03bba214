"""What is in force over a result, in a line above it; a click on a filter takes it back."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message
from textual.widgets import Static

from dovetail.present.grid import width

_BETWEEN = "  "


class Chips(Static):
    """Filters first, then other notes; nothing is shown while there are none."""

    DEFAULT_CSS = """
    Chips { height: 1; color: $text-accent; display: none; padding: 0 1; }
    Chips.open { display: block; }
    """

    class Removed(Message):
        """A filter was clicked; ``index`` counts them from 0."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._filters: Sequence[str] = ()

    def show(self, filters: Sequence[str], notes: Sequence[str]) -> None:
        """Show these."""
        self._filters = [f"[{text} ✕]" for text in filters]
        self.update(_BETWEEN.join([*self._filters, *notes]))
        self.set_class(bool(filters or notes), "open")

    def on_click(self, event: events.Click) -> None:
        """Take the filter under the mouse back."""
        event.stop()
        end = 1  # the padding
        for index, text in enumerate(self._filters):
            start, end = end, end + width(text)
            if start <= event.x < end:
                self.post_message(self.Removed(index))
            end += len(_BETWEEN)
