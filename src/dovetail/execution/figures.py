"""Figures over many runs: counts, averages, percentiles of the time, rows, bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """Runs of one key; times in milliseconds, sizes in bytes.

    ``times`` are of successful runs that no cache answered, so that a quick refusal does not
    flatter them; the others are only added up.
    """

    times: list[float] = field(default_factory=list)
    count: int = 0
    failed: int = 0
    cached: int = 0
    rows: int = 0
    bytes: int = 0

    def add(
        self,
        time: float | None,
        rows: int | None,
        size: int | None,
        *,
        failed: bool = False,
        cancelled: bool = False,
        cached: bool = False,
    ) -> None:
        """Count one run."""
        self.count += 1
        self.failed += failed
        self.cached += cached
        self.rows += rows or 0
        self.bytes += size or 0
        if time is not None and not (failed or cancelled or cached):
            self.times.append(time)

    @property
    def average(self) -> float | None:
        """The mean time."""
        return math.fsum(self.times) / len(self.times) if self.times else None

    @property
    def longest(self) -> float | None:
        """The longest time."""
        return max(self.times, default=None)

    def percentile(self, share: float) -> float | None:
        """The time that ``share`` per cent of the runs stay within."""
        return percentile(sorted(self.times), share)


def percentile(times: Sequence[float], share: float) -> float | None:
    """The percentile of sorted ``times``, interpolated between the two nearest of them."""
    if not times:
        return None
    place = share / 100 * (len(times) - 1)
    below = math.floor(place)
    above = min(below + 1, len(times) - 1)
    return times[below] + (times[above] - times[below]) * (place - below)
