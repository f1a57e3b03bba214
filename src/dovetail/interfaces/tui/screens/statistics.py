"""What a column holds."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from dovetail.interfaces.tui.analyst import ColumnStatistics
from dovetail.interfaces.tui.cells import shown
from dovetail.interfaces.tui.screens.overlay import Overlay
from dovetail.present.grid import cut, visible

_BAR = 24
_BLOCKS = " ▏▎▍▌▋▊▉█"


class StatisticsScreen(Overlay[str | None]):
    """Facts at the left, frequent values at the right; Enter on a value answers with its number."""

    DEFAULT_CSS = """
    StatisticsScreen Horizontal { height: 1fr; }
    StatisticsScreen .facts { width: 1fr; }
    StatisticsScreen OptionList { width: 1fr; height: 1fr; border: none; padding: 0; }
    """

    def __init__(self, made: ColumnStatistics) -> None:
        super().__init__()
        self.made = made

    def compose(self) -> ComposeResult:
        """Both halves."""
        made = self.made
        with self.framed(f"{visible(made.name)} · {made.type.lower()}"):
            with Horizontal():
                yield Static(facts_text(made), classes="facts", markup=False)
                with Vertical():
                    yield Static("most frequent values")
                    yield OptionList(*self._options(), markup=False)
            yield Static("Enter on a value filters by it · Esc leaves", classes="hint")

    def _options(self) -> list[Option]:
        most = max((count for _, count in self.made.top), default=1)
        options = []
        for number, (value, count) in enumerate(self.made.top):
            name = cut("NULL" if value is None else shown(value), 20)
            text = Text(f"{name:<20} ", "italic dim" if value is None else "")
            text.append(f"{count:>9,} ")
            text.append(bar(count / most, 12), "bold")
            options.append(Option(text, id=str(number)))
        return options

    def on_mount(self) -> None:
        """The list has the keyboard."""
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Filter by this value."""
        self.dismiss(event.option.id)


def facts_text(made: ColumnStatistics) -> str:
    """The facts and the histogram as lines."""
    of = "" if made.rows == made.total_rows else f" of {made.total_rows:,}"
    facts = [
        ("rows", f"{made.rows:,}{of}"),
        ("NULL", f"{made.nulls:,}"),
        ("distinct", f"{made.distinct:,}"),
        *((name, cut(shown(value), 34)) for name, value in made.facts),
    ]
    lines = [f"{name:<19}{value}" for name, value in facts]
    if made.histogram:
        most = max(count for _, count in made.histogram) or 1
        lines += ["", "histogram"]
        for low, count in made.histogram:
            lines.append(f"{low:>10} {bar(count / most, _BAR)} {count:,}")
    return "\n".join(lines)


def bar(share: float, length: int) -> str:
    """A bar of eighths of a character."""
    eighths = round(share * length * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")
