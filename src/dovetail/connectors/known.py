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
        found = self._find((place, asked))
        return None if found is None else found[1]

    def keep(self, place: Hashable, asked: Hashable, answer: _V) -> None:
        """Take note of an answer."""
        with self._lock:
            self._kept[place, asked] = (self._clock(), answer)
            self._kept.move_to_end((place, asked))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def recall(self, place: Hashable, asked: Hashable, ask: Callable[[], _V]) -> _V:
        """The answer that is known, or else what ``ask`` says, which is kept, also when it is None.

        What ``ask`` raises is not kept.
        """
        found = self._find((place, asked))
        if found is not None:
            return found[1]
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

    def _find(self, key: tuple[Hashable, Hashable]) -> tuple[float, _V] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            if self._clock() - found[0] >= self._seconds:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return found


# A table is asked by its catalog's record: with another shape or size it is asked for anew.
STATISTICS: Known[Mapping[str, ColumnStatistics]] = Known()
# By the filtered table they are of; None is of a source that cannot tell.
ESTIMATES: Known[Estimate | None] = Known()


def forget(place: Hashable | None = None) -> None:
    """Ask one place, or all, anew from now on."""
    STATISTICS.forget(place)
    ESTIMATES.forget(place)
