"""The plan and profile of a query, in sections that fold."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Collapsible, Static

from dovetail.interfaces.tui.screens.text import TextScreen
from dovetail.present.grid import visible


class PlanScreen(TextScreen):
    """The text of EXPLAIN; Enter folds a section, ``z`` all of them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("z", "fold", "fold all")]

    DEFAULT_CSS = """
    PlanScreen Collapsible { border: none; padding: 0; background: transparent; }
    PlanScreen Collapsible Contents { padding: 0 0 1 0; }
    PlanScreen CollapsibleTitle { padding: 0; }
    """

    def compose(self) -> ComposeResult:
        """A fold for each section; its first line is its title."""
        with self.framed(self._title):
            with VerticalScroll(can_focus=False):
                for title, lines in sections(self.text):
                    if lines:
                        body = Static("\n".join(map(visible, lines)), markup=False)
                        yield Collapsible(body, title=_plain(title), collapsed=False)
                    else:
                        yield Static(visible(title), markup=False)
            yield Static(
                "Tab next section · Enter folds · z folds all · y copies · Esc leaves",
                classes="hint",
                markup=False,
            )

    def action_fold(self) -> None:
        """Fold every section, or open all when none is open."""
        found = list(self.query(Collapsible))
        any_open = any(not section.collapsed for section in found)
        for section in found:
            section.collapsed = any_open


def sections(text: str) -> list[tuple[str, list[str]]]:
    """``(title, lines)`` of each block: a line at the margin and those that are set in below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        if line[0] == " " and found:
            found[-1][1].append(line)
        else:
            found.append((line, []))
    return found


def _plain(title: str) -> str:
    """A title in which nothing is markup."""
    return visible(title).replace("[", "\\[")
