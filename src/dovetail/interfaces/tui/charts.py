"""What a chart of a result shows: bars, a line or a histogram, as a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.errors import UsageError
from dovetail.interfaces.tui.analyst import Analyst
from dovetail.interfaces.tui.cells import shown
from dovetail.interfaces.tui.view import View
from dovetail.present.grid import cut, visible

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("bar", "line", "histogram")
_BARS, _POINTS, _LABEL = 24, 400, 14


@dataclass(frozen=True)
class Chart:
    """Bars have a label for each value; a line has a place (the number of its row) instead."""

    kind: str
    title: str
    labels: tuple[str, ...]
    places: tuple[int, ...]
    values: tuple[float, ...]


def likely_kind(analyst: Analyst, columns: Sequence[int]) -> str:
    """The kind to begin with."""
    if len(columns) > 1:
        return "bar"
    return "histogram" if analyst.is_number(columns[0]) else "bar"


def chart(
    analyst: Analyst, kind: str, columns: Sequence[int], view: View, rows: pa.Array | None
) -> Chart:
    """A chart of ``columns`` over the rows shown (``rows``, None for all).

    Bars of one column count its most frequent values; of two, the first names the rows and the
    second is drawn. A line is the last column over the rows, every n-th of them if there are many.

    Raises:
        UsageError: the column is no number, and this kind needs one.
    """
    number = columns[-1]
    name = visible(analyst.columns[number].name)
    if kind == "bar" and len(columns) == 1:
        top = analyst.top(number, view, _BARS)
        labels = tuple(_label(text) for text, _ in top)
        return Chart("bar", f"{name}: most frequent", labels, (), tuple(float(n) for _, n in top))
    if not analyst.is_number(number):
        raise UsageError(f"a {kind} needs numbers; {name} is {analyst.columns[number].type}")
    if kind == "histogram":
        bars = analyst.histogram(number, view)
        labels = tuple(text for text, _ in bars)
        return Chart(kind, f"{name}: rows from", labels, (), tuple(float(n) for _, n in bars))
    total = analyst.table.num_rows if rows is None else len(rows)
    step = max(1, -(-total // _POINTS)) if kind == "line" else 1
    places = list(range(0, total, step))[: _BARS if kind == "bar" else None]
    picked = places if rows is None else [int(rows[place].as_py()) for place in places]
    found = analyst.numbers(number, picked)
    kept = [
        (place, row, value)
        for place, row in zip(places, picked, strict=True)
        if (value := found.get(row)) is not None
    ]
    values = tuple(value for _, _, value in kept)
    if kind == "line":
        every = "" if step == 1 else f", every {step:,}th row"
        return Chart(kind, f"{name}{every}", (), tuple(p + 1 for p, _, _ in kept), values)
    texts = analyst.texts(
        analyst.table.select([columns[0]]).take([r for _, r, _ in kept]), columns[:1]
    )
    return Chart(
        "bar",
        f"{name} by {visible(analyst.columns[columns[0]].name)}",
        tuple(_label(text) for text in texts[0]),
        (),
        values,
    )


def _label(text: str | None) -> str:
    return "NULL" if text is None else cut(shown(text), _LABEL)
