"""The plot of the TPC-H figures: Dovetail's time over DuckDB's by query, a panel per split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.tpch.figures import Group, groups
from bench.tpch.links import LINKS
from bench.tpch.report import SHOWN_LINKS
from bench.tpch.texts import QUERIES

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 860, 170, 56, 16, 46, 34
# Told apart by shape as well as by colour.
_MARKS = {"loopback": ("#1b6ca8", "circle"), "1gbit": ("#d1730f", "square"),
          "100mbit": ("#3a7d44", "diamond")}  # fmt: skip
_TICKS = (0.001, 0.01, 0.1, 1.0, 10.0)


def drawn(kept: dict[str, Any]) -> str:
    """An SVG text."""
    found = [group for group in groups(kept["cells"], LINKS) if group.ratios()]
    splits = sorted({group.split for group in found})
    values = [ratio for group in found for ratio in group.ratios().values()]
    low = math.floor(math.log10(min([0.1, *values])))
    high = max(0.5, math.log10(max([1.0, *values])) + 0.1)
    height = _TOP + len(splits) * (_PANEL + _GAP) + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" role="img" '
        'aria-label="Time of Dovetail over that of DuckDB, by query and split">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">Time of Dovetail over that of DuckDB ATTACH, '
        f"TPC-H scale {kept['scale']:g} (below 1 is faster)</text>",
    ]
    for number, link in enumerate(LINKS):
        x = _LEFT + number * 110
        parts += [_mark(link, x + 4, 32), f'<text x="{x + 14}" y="36">{SHOWN_LINKS[link]}</text>']
    for number, split in enumerate(splits):
        top = _TOP + number * (_PANEL + _GAP)
        parts += _panel(split, [g for g in found if g.split == split], top, low, high)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(split: str, found: Sequence[Group], top: float, low: float, high: float) -> list[str]:
    def y(ratio: float) -> float:
        return top + _PANEL * (high - math.log10(ratio)) / (high - low)

    step = (_WIDTH - _LEFT - _RIGHT) / len(QUERIES)
    right = _WIDTH - _RIGHT
    parts = [f'<text x="8" y="{top + 12:.0f}" font-weight="bold">{split}</text>']
    for tick in _TICKS:
        if low <= math.log10(tick) <= high:
            ink = "#444444" if tick == 1 else "#dddddd"
            parts += [
                f'<line x1="{_LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" '
                f'stroke="{ink}"/>',
                f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>',
            ]
    for number, query in enumerate(QUERIES):
        middle = _LEFT + step * (number + 0.5)
        parts.append(
            f'<text x="{middle:.1f}" y="{top + _PANEL + 14:.0f}" text-anchor="middle" '
            f'fill="#444444">{int(query[1:])}</text>'
        )
        for group in found:
            ratio = group.ratios().get(query)
            if ratio is not None:
                x = middle + (LINKS.index(group.link) - 1) * step / 4
                parts.append(_mark(group.link, x, y(ratio), f"{query} {ratio:.3f}"))
    return parts


def _mark(link: str, x: float, y: float, title: str = "") -> str:
    ink, shape = _MARKS[link]
    told = f"<title>{SHOWN_LINKS[link]}, {title}</title>" if title else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ink}">{told}</circle>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    return (
        f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{ink}"{turned}>'
        f"{told}</rect>"
    )
