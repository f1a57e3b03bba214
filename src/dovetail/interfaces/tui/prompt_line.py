"""The line at the bottom where filters, searches and commands are typed."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Input, Static

_WAIT = 0.12  # seconds after a key press before a filter is tried


class PromptLine(Horizontal):
    """One question at a time: what it is about, and what to do with the answer."""

    DEFAULT_CSS = """
    PromptLine { height: 1; display: none; }
    PromptLine.open { display: block; }
    PromptLine Static { width: auto; color: $text-accent; text-style: bold; }
    PromptLine Input { border: none; height: 1; padding: 0; background: $surface; width: 1fr; }
    PromptLine Input:focus { border: none; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._submit: Callable[[str], None] = lambda text: None
        self._change: Callable[[str], None] | None = None
        self._cancel: Callable[[], None] = lambda: None
        self._timer: Timer | None = None
        self.mode = ""

    def compose(self) -> ComposeResult:
        """The label and the input."""
        yield Static("", markup=False)
        yield Input(compact=True)

    def ask(
        self,
        mode: str,
        label: str,
        submit: Callable[[str], None],
        *,
        change: Callable[[str], None] | None = None,
        cancel: Callable[[], None] = lambda: None,
        text: str = "",
    ) -> None:
        """Ask; ``change`` is told of the text shortly after each key, ``cancel`` of Escape."""
        self.mode, self._submit, self._change, self._cancel = mode, submit, change, cancel
        self.query_one(Static).update(f"{label} ")
        field = self.query_one(Input)
        with field.prevent(Input.Changed):
            field.value = text
        self.add_class("open")
        field.focus()
        field.cursor_position = len(text)

    def close(self) -> None:
        """Put the line away."""
        self._stop_timer()
        self.remove_class("open")
        self.mode = ""

    def on_input_changed(self, event: Input.Changed) -> None:
        """Try the text a moment after the last key."""
        event.stop()
        if self._change is None or not self.mode:
            return
        self._stop_timer()
        change = self._change
        self._timer = self.set_timer(_WAIT, lambda: change(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the answer."""
        event.stop()
        submit = self._submit
        self.close()
        submit(event.value)

    def on_key(self, event: events.Key) -> None:
        """Escape takes the question back."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            cancel = self._cancel
            self.close()
            cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
