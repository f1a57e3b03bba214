"""Small questions: yes or no, the values of parameters, where to export, find and replace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.suggester import Suggester
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from dovetail.editing.complete import paths
from dovetail.errors import DovetailError
from dovetail.interfaces.tui.screens.overlay import Overlay
from dovetail.present.formats import format_of_path

# Without a type a value is text, which takes the type of what it meets.
TYPES: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "int": int,
    "decimal": Decimal,
    "double": float,
    "bool": lambda text: {"true": True, "false": False}[text.strip().lower()],
    "date": lambda text: date.fromisoformat(text.strip()),
    "timestamp": lambda text: datetime.fromisoformat(text.strip()),
    "json": json.loads,
}


class ConfirmScreen(Overlay[bool | None]):
    """A question that ``y`` or Enter answers with yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "yes", "yes"),
        Binding("n", "leave", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question."""
        self.add_class("small")
        with self.framed("?"):
            yield Static(self._question, markup=False)
            yield Static("y yes · n no", classes="hint")

    def action_yes(self) -> None:
        """Yes."""
        self.dismiss(True)


class ParametersScreen(Overlay[dict[str, tuple[str, str]] | None]):
    """A value and a type for each parameter of a query; the answer is name → (type, text)."""

    DEFAULT_CSS = """
    ParametersScreen Horizontal { height: 3; }
    ParametersScreen Label { width: 16; padding: 1 1 0 0; }
    ParametersScreen Horizontal Input { width: 1fr; margin: 1 0; }
    ParametersScreen Select { width: 20; }
    """

    def __init__(self, names: Sequence[str], before: Mapping[str, tuple[str, str]]) -> None:
        """``before`` are the values used last."""
        super().__init__()
        self._names, self._before = names, before

    def compose(self) -> ComposeResult:
        """A line for each."""
        self.add_class("small")
        with self.framed("parameters"):
            for name in self._names:
                kind, value = self._before.get(name, ("text", ""))
                with Horizontal():
                    yield Label(f"${name}", markup=False)
                    yield Input(value, id=f"value-{name}", compact=True)
                    yield Select[str](
                        [(t, t) for t in TYPES], value=kind, allow_blank=False, id=f"type-{name}"
                    )
            yield Static("", id="problem", markup=False)
            yield Static("Enter runs · Esc leaves", classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Check the values, then answer."""
        given = {}
        for name in self._names:
            text = self.query_one(f"#value-{name}", Input).value
            kind = str(self.query_one(f"#type-{name}", Select).value)
            try:
                TYPES[kind](text)
            except (ValueError, KeyError, InvalidOperation):
                self.query_one("#problem", Static).update(f'${name}: "{text[:60]}" is no {kind}')
                return
            given[name] = (kind, text)
        self.dismiss(given)


class PathSuggester(Suggester):
    """Completes the path of a file."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The first path that begins so."""
        found = paths(value) if value else []
        return found[0][0] if found and found[0][0].startswith(value) else None


class ExportScreen(Overlay[dict[str, Any] | None]):
    """Where to write the result, and how much of it."""

    DEFAULT_CSS = """
    ExportScreen Select { width: 60; }
    ExportScreen Button { margin-top: 1; }
    """

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        """``rows`` are the choices: ``(what it says, its name)``."""
        super().__init__()
        self._rows = rows

    def compose(self) -> ComposeResult:
        """Path, rows, columns."""
        self.add_class("small")
        with self.framed("export"):
            yield Label("File; its ending gives the format, such as .csv, .parquet or .md")
            yield Input(placeholder="out.parquet", suggester=PathSuggester(), compact=True)
            yield Select[str](self._rows, value=self._rows[0][1], allow_blank=False)
            yield Checkbox("hidden columns too", id="all-columns", compact=True)
            yield Static("", id="problem", markup=False)
            yield Static("Enter writes · Tab to the choices · Esc leaves", classes="hint")

    def on_mount(self) -> None:
        """The path has the keyboard."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Check the path, ask before replacing a file, then answer."""
        path = event.value.strip()
        problem = self.query_one("#problem", Static)
        if not path:
            return
        try:
            format_of_path(path)
        except DovetailError as error:
            problem.update(error.message)
            return
        if Path(path).expanduser().exists() and not str(problem.render()).startswith("replace"):
            problem.update(f"replace {path}? Enter once more")
            return
        self.dismiss(
            {
                "path": path,
                "rows": self.query_one(Select).value,
                "all_columns": self.query_one(Checkbox).value,
            }
        )


class FindScreen(Overlay[None]):
    """Find and replace in the editor."""

    DEFAULT_CSS = """
    FindScreen { align: right top; }
    FindScreen Button { min-width: 12; }
    """

    def __init__(self, find: Callable[[str, str | None], bool], text: str) -> None:
        """``find`` is given the text, and what to put for it or None; False if it is not there."""
        super().__init__()
        self._find, self._text = find, text

    def compose(self) -> ComposeResult:
        """Two fields."""
        self.add_class("small")
        with self.framed("find and replace"):
            yield Input(self._text, placeholder="find", id="find", compact=True)
            yield Input(placeholder="replace with", id="replace", compact=True)
            yield Button("replace all", id="all", compact=True)
            yield Static("Enter finds; in the second field it replaces", classes="hint")

    def on_mount(self) -> None:
        """The first field has the keyboard."""
        self.query_one("#find", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Find, or replace and find the next."""
        text = self.query_one("#find", Input).value
        new = self.query_one("#replace", Input).value if event.input.id == "replace" else None
        if not self._find(text, new):
            self.notify(f'"{text}" is not found', markup=False)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Replace all."""
        text = self.query_one("#find", Input).value
        new = self.query_one("#replace", Input).value
        if text and text.lower() not in new.lower():
            self._find(text, None)
            while self._find(text, new):
                pass
