"""A chart over the panes, drawn with plotext; it is text, and can be copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static
from textual_plotext import PlotextPlot

from dovetail.errors import DovetailError
from dovetail.interfaces.tui.charts import KINDS, Chart
from dovetail.interfaces.tui.screens.overlay import Overlay

_COPIED_SIZE = (100, 28)  # columns and lines


class ChartScreen(Overlay[None]):
    """A chart; ``b``, ``l`` and ``h`` choose its kind, ``y`` copies it as text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(kind[0], f"draw('{kind}')", kind) for kind in KINDS),
        Binding("y", "copy", "copy"),
        Binding("q", "leave", "leave"),
    ]

    DEFAULT_CSS = """
    ChartScreen PlotextPlot { height: 1fr; }
    ChartScreen #problem { height: auto; color: $text-error; }
    """

    def __init__(
        self,
        first: Chart,
        make: Callable[[str, Callable[[Chart | DovetailError], None]], None],
        copy: Callable[[str, str], None],
    ) -> None:
        """``make`` is given a kind, and what to call with the chart or with what is wrong."""
        super().__init__()
        self.chart = first
        self._make, self._copy = make, copy

    def compose(self) -> ComposeResult:
        """The chart."""
        with self.framed("chart"):
            yield PlotextPlot()
            yield Static("", id="problem", markup=False)
            hint = "b bars · l line · h histogram · y copies · Esc leaves"
            yield Static(hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        """Draw it."""
        self.show(self.chart)

    def show(self, made: Chart | DovetailError) -> None:
        """Draw another, or say why there is none."""
        problem = self.query_one("#problem", Static)
        if isinstance(made, DovetailError):
            problem.update(made.message)
            return
        problem.update("")
        self.chart = made
        widget = self.query_one(PlotextPlot)
        draw(widget.plt, made)
        widget.refresh()

    def action_draw(self, kind: str) -> None:
        """Another kind."""
        self._make(kind, self.show)

    def action_copy(self) -> None:
        """Copy it as text."""
        self._copy(as_text(self.chart), "copied the chart")


def draw(plot: Any, chart: Chart) -> None:
    """Put a chart on a plot."""
    plot.clear_figure()
    plot.title(chart.title)
    if not chart.values:
        plot.title(f"{chart.title}: no values")
    elif chart.kind == "line":
        plot.plot(list(chart.places), list(chart.values), marker="braille")
        plot.xlabel("row")
    else:
        labels, values = list(chart.labels[::-1]), list(chart.values[::-1])  # it begins below
        plot.bar(labels, values, orientation="horizontal", width=0.6)


def as_text(chart: Chart) -> str:
    """The chart without colours."""
    import plotext

    draw(plotext, chart)
    plotext.plotsize(*_COPIED_SIZE)
    text: str = plotext.uncolorize(plotext.build())
    plotext.clear_figure()
    return "\n".join(line.rstrip() for line in text.splitlines())
