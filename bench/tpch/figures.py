"""What kept TPC-H figures say: ratios, their geometric mean, the worst query, bytes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.tpch.kept import Figures


@dataclass(frozen=True)
class Group:
    """The cells of one split over one link, by query."""

    split: str
    link: str
    cells: Mapping[str, Mapping[str, Figures]]

    def contenders(self) -> list[str]:
        """Who was measured here at all."""
        return sorted({name for cell in self.cells.values() for name in cell})

    def ratios(self, ours: str = "dovetail", theirs: str = "duckdb") -> dict[str, float]:
        """Per query the median time of ``ours`` over that of ``theirs``.

        A contender that was stopped for its time counts with that time, so the ratio is at most
        (theirs stopped) or at least (ours stopped) the true one. Queries that one of the two could
        not run, or that were stopped for both, are left out.
        """
        found = {}
        for query, cell in self.cells.items():
            if ours in cell and theirs in cell:
                a, b = cell[ours], cell[theirs]
                if timed(a) is not None and timed(b) is not None and (median(a) or median(b)):
                    found[query] = (timed(a) or 0) / (timed(b) or 1)
        return found

    def bytes_ratio(self, ours: str = "dovetail", theirs: str = "duckdb") -> float | None:
        """Bytes of all queries that both finished, ours over theirs."""
        sums = [0.0, 0.0]
        for cell in self.cells.values():
            if ours in cell and theirs in cell and median(cell[ours]) and median(cell[theirs]):
                sums[0] += moved(cell[ours]) or 0
                sums[1] += moved(cell[theirs]) or 0
        return sums[0] / sums[1] if sums[1] else None

    def wrong(self) -> list[tuple[str, str]]:
        """Queries and contenders whose answers differ."""
        return [
            (query, name)
            for query, cell in self.cells.items()
            for name, figures in cell.items()
            if "differs" in figures
        ]

    def planning(self) -> list[float]:
        """Per query the median of Dovetail's planning milliseconds."""
        return [
            statistics.median(cell["dovetail"]["planning"])
            for cell in self.cells.values()
            if cell.get("dovetail", {}).get("planning")
        ]


def groups(cells: Mapping[str, Mapping[str, Figures]], links: Sequence[str]) -> list[Group]:
    """The groups of all cells, by split and then by link in the order of ``links``."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for key, cell in sorted(cells.items()):
        split, link, query = key.split("/")
        if cell:
            found.setdefault((split, link), {})[query] = cell
    keys = sorted(found, key=lambda key: (key[0], links.index(key[1])))
    return [Group(split, link, found[split, link]) for split, link in keys]


def ran(figures: Figures) -> bool:
    """Whether the contender has a way to run the query."""
    return not str(figures.get("stopped", "")).startswith("Unable")


def median(figures: Figures) -> float | None:
    """Median seconds of a contender that finished; None for one that was stopped."""
    if "stopped" in figures or not figures["seconds"]:
        return None
    return float(statistics.median(figures["seconds"]))


def timed(figures: Figures) -> float | None:
    """As :func:`median`, but the cap for one that was stopped for its time."""
    stopped = figures.get("stopped", "")
    if stopped.startswith("over "):
        return float(stopped.split()[1])
    return median(figures)


def moved(figures: Figures) -> float | None:
    """Median bytes on the link."""
    return float(statistics.median(figures["bytes"])) if figures["bytes"] else None


def geometric_mean(ratios: Mapping[str, float]) -> float | None:
    """None without any."""
    return statistics.geometric_mean(ratios.values()) if ratios else None


def worst(ratios: Mapping[str, float]) -> tuple[str, float] | None:
    """The query with the greatest ratio, and that ratio."""
    return max(ratios.items(), key=lambda item: item[1]) if ratios else None
