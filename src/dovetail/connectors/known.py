"""What servers said of their data lately, kept for all sessions of the process.

To ask costs round trips within the time of a query, and a service opens sessions all the time.
Only the choice of a plan rests on it, never an answer.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from dovetail.catalog.model import ColumnStatistics
from dovetail.connectors.base import Estimate

KEPT_SECONDS = 300.0
_MOST = 4096

_V = TypeVar("_V")


class Known(Generic[_V]):
    """Answers by whom they came from and what was asked, for ``seconds``. Thread-safe.

    The least lately used of more than ``most`` go first. ``clock`` gives seconds.
    """

    def __init__(
        self,
        seconds: float = KEPT_SECONDS,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Hashable, Hashable], tuple[float, _V]] = OrderedDict()

    def get(self, place: Hashable, asked: Hashable) -> _V | None:
        """The answer, or None when it is unknown or too old."""
        key = (place, asked)
        with self._lock:
            when, found = self._kept.get(key, (0.0, None))
            if found is None:
                return None
            if self._clock() - when >= self._seconds:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return found

    def keep(self, place: Hashable, asked: Hashable, answer: _V) -> None:
        """Take note of an answer."""
        with self._lock:
            self._kept[place, asked] = (self._clock(), answer)
            self._kept.move_to_end((place, asked))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def recall(self, place: Hashable, asked: Hashable, ask: Callable[[], _V]) -> _V:
        """The answer that is known, or else what ``ask`` says, which is kept."""
        answer = self.get(place, asked)
        if answer is None:
            answer = ask()
            self.keep(place, asked, answer)
        return answer

    def forget(self, place: Hashable | None = None) -> None:
        """Drop what is known of one place, or everything."""
        with self._lock:
            if place is None:
                self._kept.clear()
            for key in [key for key in self._kept if key[0] == place]:
                del self._kept[key]


# A table is asked by its catalog's record: with another shape or size it is asked for anew.
STATISTICS: Known[Mapping[str, ColumnStatistics]] = Known()
ESTIMATES: Known[Estimate] = Known()  # by the SQL they are of


def forget(place: Hashable | None = None) -> None:
    """Ask one place, or all, anew from now on."""
    STATISTICS.forget(place)
    ESTIMATES.forget(place)
