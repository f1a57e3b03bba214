"""A fragment's batches on their way to the engine: fetched ahead, counted, read exactly once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dovetail.errors import CancelledError, InternalError
from dovetail.execution import crew
from dovetail.execution.profile import FragmentProfile

if TYPE_CHECKING:
    import pyarrow as pa

# Enough to keep a source busy while the engine works on something else, small against the
# memory limit: batches ahead are bounded by bytes, not by count.
_AHEAD_BYTES = 32 << 20


class RereadError(InternalError):
    """The engine cannot do with a stream, or with one reading of it: the query is to run again over
    tables.
    """


class FragmentStream:
    """Reads a fragment in its own thread and hands its batches to the engine.

    DuckDB asks an Arrow object for its stream once per scan. A second scan of a consumed reader
    would silently see no rows, so it is refused here instead: :class:`RereadError`.
    """

    def __init__(
        self,
        open_reader: Callable[[], pa.RecordBatchReader],
        schema: pa.Schema,
        profile: FragmentProfile,
        check: Callable[[], None],
        on_progress: Callable[[], None] | None = None,
    ) -> None:
        self._open = open_reader
        self._schema = schema
        self._profile = profile
        self._check = check
        self._on_progress = on_progress
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._ahead = 0
        self._stopped = False
        self._taken = False
        self.error: BaseException | None = None
        self._task: crew.Task | None = None

    def start(self) -> None:
        """Begin to fetch."""
        self._task = crew.start(self._fetch, f"dovetail-fragment-{self._profile.number}")

    def stop(self) -> None:
        """Fetch no more; what is waiting wakes up."""
        with self._room:
            self._stopped = True
            self._room.notify_all()
        self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the fetching thread; whether it has ended."""
        return self._task is None or self._task.join(timeout)

    def _fetch(self) -> None:
        started = time.perf_counter()
        profile = self._profile
        profile.rows, profile.bytes = 0, 0
        try:
            reader = self._open()
            for batch in reader:
                size = batch.nbytes
                profile.rows += batch.num_rows
                profile.bytes += size
                self._check()
                if self._on_progress is not None:
                    self._on_progress()
                with self._room:
                    waiting = time.perf_counter()
                    while self._ahead > _AHEAD_BYTES and not self._stopped:
                        self._room.wait()
                    profile.waited += (time.perf_counter() - waiting) * 1e3
                    if self._stopped:
                        return
                    self._ahead += size
                self._queue.put(batch)
            profile.complete = True
        except BaseException as error:
            self.error = error
        finally:
            profile.milliseconds = (time.perf_counter() - started) * 1e3
            self._queue.put(None)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            batch = self._queue.get()
            if batch is None:
                if self.error is not None:
                    raise self.error
                if self._stopped:  # never an end that looks like all there is
                    raise CancelledError("the fragment was stopped while it was read")
                return
            with self._room:
                self._ahead -= batch.nbytes
                self._room.notify_all()
            yield batch

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        if self._taken:
            self.error = RereadError(
                f"fragment {self._profile.number} of source {self._profile.source} was to be read "
                "twice from one stream"
            )
            raise self.error
        self._taken = True
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)
