"""The keys of a place, made from the keys in force, so it cannot be wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from dovetail.interfaces.tui.hints import ten_main_keys
from dovetail.interfaces.tui.keymap import Key
from dovetail.interfaces.tui.keys import shown_keys
from dovetail.interfaces.tui.screens.overlay import Overlay


class HelpScreen(Overlay[None]):
    """Every key that works here; typing searches."""

    def __init__(self, focus: str, keys: Sequence[Key]) -> None:
        super().__init__()
        self._focus = focus
        self._keys = [k for k in keys if k.focus == focus]
        self._keys += [k for k in keys if k.focus == "everywhere" and focus != "everywhere"]

    def compose(self) -> ComposeResult:
        """Search field and list."""
        with self.framed(f"keys: {self._focus}"):
            yield Input(placeholder="search", compact=True)
            with VerticalScroll():
                yield Static(id="keys", markup=False)
            yield Static("Esc leaves", classes="hint")

    def on_mount(self) -> None:
        """All of them."""
        self.query_one(Input).focus()
        self.show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Those that fit."""
        self.show(event.value)

    def found(self, wanted: str) -> list[Key]:
        """The keys whose action or help has this word."""
        low = wanted.lower().strip()
        if not low:
            return self._keys
        return [
            k
            for k in self._keys
            if low in k.help.lower().replace(",", " ").replace(":", " ")
            or low in k.action
            or wanted.strip() == shown_keys(k)
        ]

    def show(self, wanted: str) -> None:
        """Show those that fit."""
        text = Text()
        place = ""
        for key in self.found(wanted):
            if key.focus != place:
                text.append(f"\n{key.focus}\n" if place else f"{key.focus}\n", "bold")
                place = key.focus
            text.append(f"  {shown_keys(key):<26}", "bold")
            text.append(f"{key.help}\n")
        self.query_one("#keys", Static).update(text if text.plain else "no such key")


class WelcomeScreen(Overlay[None]):
    """The ten main keys, on the first start."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """The keys."""
        self.add_class("small")
        with self.framed("Dovetail"):
            yield Static(
                "\n".join(f"{keys:<15} {what}" for keys, what in ten_main_keys(self._keys)) + "\n",
                markup=False,
            )
            yield Static("Esc begins", classes="hint")
