"""Lists to choose from: history, editor tabs, columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList, SelectionList, Static
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from dovetail.interfaces.tui.screens.overlay import Overlay
from dovetail.present.grid import visible

Item = tuple[str, str, str]
"""``(id, text, note)`` of one entry."""


class ListScreen(Overlay[tuple[str, str] | None]):
    """Entries with a search field; the answer is the id and the key that took it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,ctrl+enter,f5", "take('run')", "run", priority=True),
    ]

    DEFAULT_CSS = """
    ListScreen OptionList { height: 1fr; border: none; padding: 0; }
    """

    def __init__(self, title: str, find: Callable[[str], Sequence[Item]], hint: str) -> None:
        super().__init__()
        self._title, self._find, self._hint = title, find, hint

    def compose(self) -> ComposeResult:
        """Search field above the list."""
        with self.framed(self._title):
            yield Input(placeholder="search", compact=True)
            yield OptionList(markup=False)
            yield Static(self._hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        """All entries."""
        self.fill("")
        self.query_one(Input).focus()

    def fill(self, wanted: str) -> None:
        """The entries that fit."""
        listed = self.query_one(OptionList)
        listed.clear_options()
        options = []
        for id_, text, note in self._find(wanted):
            shown = Text(visible(" ".join(text.split())), no_wrap=True, overflow="ellipsis")
            if note:
                shown = Text.assemble((f"{note}  ", "dim"), shown)
                shown.no_wrap, shown.overflow = True, "ellipsis"
            options.append(Option(shown, id=id_))
        listed.add_options(options)
        listed.highlighted = 0 if options else None

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        self.fill(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter takes the entry."""
        self.action_take("enter")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter takes the entry."""
        self.dismiss((str(event.option.id), "enter"))

    def on_key(self, event: events.Key) -> None:
        """Arrows move in the list while the search field has the keyboard."""
        listed = self.query_one(OptionList)
        if self.query_one(Input).has_focus and event.key in ("down", "up"):
            event.stop()
            if event.key == "down":
                listed.action_cursor_down()
            else:
                listed.action_cursor_up()

    def action_take(self, how: str) -> None:
        """Answer with the highlighted entry."""
        listed = self.query_one(OptionList)
        if listed.highlighted is not None:
            option = listed.get_option_at_index(listed.highlighted)
            self.dismiss((str(option.id), how))


class ColumnsScreen(Overlay[tuple[frozenset[int], int | None] | None]):
    """Which columns are shown; the answer is those hidden and the one to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "go", "go to the column"),
        Binding("enter", "done", "take", priority=True),
    ]

    DEFAULT_CSS = """
    ColumnsScreen SelectionList { height: 1fr; border: none; padding: 0; }
    """

    def __init__(self, columns: Sequence[tuple[int, str, str]], hidden: frozenset[int]) -> None:
        """``columns`` are ``(identity, name, type)`` in the order of the grid."""
        super().__init__()
        self._columns, self._hidden = columns, hidden

    def compose(self) -> ComposeResult:
        """A check box per column."""
        with self.framed("columns"):
            yield SelectionList[int](
                *(
                    Selection(
                        Text.assemble(visible(name), (f"  {type_.lower()}", "dim")),
                        column,
                        column not in self._hidden,
                    )
                    for column, name, type_ in self._columns
                )
            )
            yield Static("Space shows or hides · g goes there · Enter takes", classes="hint")

    def on_mount(self) -> None:
        """The list has the keyboard."""
        self.query_one(SelectionList).focus()

    def _answer(self, go_to: int | None) -> None:
        shown = set(self.query_one(SelectionList).selected)
        hidden = frozenset(c for c, _, _ in self._columns if c not in shown)
        self.dismiss((hidden, go_to))

    def action_done(self) -> None:
        """Take it."""
        self._answer(None)

    def action_go(self) -> None:
        """Take it and go to the column."""
        at = self.query_one(SelectionList).highlighted
        self._answer(None if at is None else self._columns[at][0])
