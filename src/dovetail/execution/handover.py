"""Batches on their way from the thread that runs a query to whoever reads its result."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# The engine works on while the reader is busy, but not far: batches ahead lie outside of the
# engine's memory limit.
_AHEAD_BYTES = 16 << 20


class Handover:
    """One thread puts, another takes. Taking never blocks in foreign code, so Ctrl-C and a limit
    get through even while the engine or a driver is stuck.
    """

    def __init__(self, grace: float) -> None:
        """``grace`` is for how many seconds a stopped query may clean up before readers leave."""
        self._grace = grace
        self._changed = threading.Condition()
        self._batches: deque[pa.RecordBatch] = deque()
        self._ahead = 0
        self._stop: BaseException | None = None
        self._stopped_at = 0.0
        self._error: BaseException | None = None
        self._finished = False

    def put(self, batch: pa.RecordBatch) -> None:
        """Hand over a batch; waits while enough is ahead, not once the query is stopped."""
        with self._changed:
            while self._ahead > _AHEAD_BYTES and self._stop is None:
                self._changed.wait()
            self._batches.append(batch)
            self._ahead += batch.nbytes
            self._changed.notify_all()

    def stop(self, reason: BaseException) -> None:
        """Nothing more is wanted; readers get ``reason`` once the query has cleaned up."""
        with self._changed:
            if self._stop is None:
                self._stop, self._stopped_at = reason, time.monotonic()
            self._batches.clear()
            self._changed.notify_all()

    def finish(self, error: BaseException | None) -> None:
        """The query has ended and given back what it held."""
        with self._changed:
            self._error, self._finished = error, True
            self._changed.notify_all()

    def take(self) -> pa.RecordBatch | None:
        """The next batch, or None at the end.

        Raises whatever ended the query, after its clean-up or after the grace period.
        """
        with self._changed:
            while True:
                if self._finished and self._error is not None:
                    raise self._error
                if self._stop is not None:
                    left = self._stopped_at + self._grace - time.monotonic()
                    if self._finished or left <= 0:
                        raise self._stop
                    self._changed.wait(left)
                    continue
                if self._batches:
                    batch = self._batches.popleft()
                    self._ahead -= batch.nbytes
                    self._changed.notify_all()
                    return batch
                if self._finished:
                    return None
                self._changed.wait()

    def wait_finished(self) -> bool:
        """Once stopped, wait for the clean-up, not beyond the grace period; whether it is done."""
        with self._changed:
            left = self._stopped_at + self._grace - time.monotonic()
            return self._changed.wait_for(lambda: self._finished, max(0.0, left))


class Rows(Iterator["pa.RecordBatch"]):
    """The batches of one result. Dropping the last reference to it ends the query."""

    def __init__(
        self,
        first: pa.RecordBatch | None,
        take: Callable[[], pa.RecordBatch | None],
        abandon: Callable[[], None],
    ) -> None:
        self._first = first
        self._ended = first is None
        self._take = take
        self._abandon = abandon

    def __next__(self) -> pa.RecordBatch:
        if self._first is not None:
            batch, self._first = self._first, None
            return batch
        if self._ended:
            raise StopIteration
        taken = self._take()
        if taken is None:
            self._ended = True
            raise StopIteration
        return taken

    def __del__(self) -> None:
        self._abandon()
