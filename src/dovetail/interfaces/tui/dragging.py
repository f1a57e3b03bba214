"""Edges of panes that the mouse moves."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Tabs


class EdgeDragged(Message):
    """The mouse holds the edge of a pane; ``x`` and ``y`` are where it is on screen."""

    def __init__(self, edge: Widget, x: int, y: int) -> None:
        super().__init__()
        self.edge = edge
        self.x, self.y = x, y


class Edged(Widget):
    """A widget with an edge to drag. Mixed into the pane's own class."""

    _held = False

    def is_edge(self, event: events.MouseEvent) -> bool:
        """Whether the mouse is on the edge."""
        raise NotImplementedError

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the edge."""
        if self.is_edge(event):
            self._held = True
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move it."""
        if self._held:
            self.post_message(EdgeDragged(self, int(event.screen_x), int(event.screen_y)))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        if self._held:
            self._held = False
            self.release_mouse()


class EdgeTabs(Tabs, Edged):
    """Tabs whose line is the upper edge of what lies below them."""

    def is_edge(self, event: events.MouseEvent) -> bool:
        """Whether the mouse is on the line under the names."""
        return int(event.screen_y) == self.region.bottom - 1
