"""What all screens over the panes share: a frame, a title, and Escape to leave."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

_Given = TypeVar("_Given")


class Overlay(ModalScreen[_Given]):
    """A frame over the panes; Escape leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    DEFAULT_CSS = """
    Overlay { align: center middle; }
    Overlay > Vertical {
        width: 90%; height: 80%; max-width: 120; border: round $primary; background: $surface;
        padding: 0 1;
    }
    Overlay.small > Vertical { height: auto; max-height: 80%; width: 72; }
    Overlay .hint { color: $text-muted; height: 1; }
    Overlay OptionList, Overlay OptionList:focus, Overlay SelectionList,
    Overlay SelectionList:focus { border: none; }
    Overlay Input { border: none; height: 1; padding: 0; margin-bottom: 1; background: $panel; }
    """

    def framed(self, title: str) -> Vertical:
        """The frame with its title."""
        frame = Vertical()
        frame.border_title = title
        return frame

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)
