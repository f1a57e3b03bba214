"""One query while it runs: a thread that fetches, a cap, and a way to stop it at the source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dovetail.errors import CancelledError, DovetailError
from dovetail.faults import fault_of_ours
from dovetail.present.values import Column
from dovetail.present.write import output_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.execution.profile import Profile
    from dovetail.execution.result import Result
    from dovetail.interfaces.tui.spool import Spool

_TELL_SECONDS = 0.05
REPORT_HINT = "; send it along with what you did before"

# How to start the query: given what to call with progress, and with a function that cancels.
Start = Callable[[Callable[[Any], None], Callable[[Callable[[], None]], None]], "Result | None"]


class QueryRun:
    """A query from start to end. ``state`` is ``planning``, ``running``, ``done``, ``capped``,
    ``cancelled`` or ``failed``; ``on_change`` is called from the run's thread when there is news.
    """

    def __init__(
        self,
        sql: str,
        at: int,
        start: Start,
        on_change: Callable[[], None],
        *,
        max_rows: int,
        max_bytes: int,
        spool: Callable[[pa.Schema], Spool] | None = None,
    ) -> None:
        """``at`` is where the statement begins in the editor's text.

        At ``max_rows`` or ``max_bytes`` fetching ends; with ``spool`` it goes on to a file, and so
        many are what is shown until all have come.
        """
        self.sql = sql
        self.at = at
        self.state = "planning"
        self.columns: list[Column] = []
        self.schema: pa.Schema | None = None
        self.profile: Profile | None = None
        self.error: DovetailError | None = None
        self.warnings: list[str] = []
        self.rows = 0
        self.bytes = 0
        self.started = time.monotonic()
        self.began = time.time()
        self.told = False  # whether its end has been told to the user
        self.ended: float | None = None
        self._start = start
        self._on_change = on_change
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._make_spool = spool
        self._batches: list[pa.RecordBatch] = []
        self._cancels: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._told = 0.0
        self._thread = threading.Thread(target=self._work, name="dovetail-query", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread."""
        self._thread.join(seconds)

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        return self.state in ("planning", "running")

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.ended or time.monotonic()) - self.started

    def table(self) -> pa.Table:
        """The rows that have come so far."""
        import pyarrow as pa

        assert self.schema is not None
        return pa.Table.from_batches(list(self._batches), schema=self.schema)

    def cancel(self) -> None:
        """Stop here and at the sources; the rows that came stay. Returns at once."""
        if not self.active:
            return
        self._cancelled.set()
        self.state = "cancelled"
        self.ended = time.monotonic()
        with self._lock:
            cancels = list(self._cancels)
        threading.Thread(target=_call, args=(cancels,), daemon=True).start()
        self._tell(now=True)

    def _add_cancel(self, cancel: Callable[[], None]) -> None:
        with self._lock:
            self._cancels.append(cancel)
        if self._cancelled.is_set():
            cancel()

    def _tell(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if now or moment - self._told >= _TELL_SECONDS:
            self._told = moment
            self._on_change()

    def _progress(self, profile: Profile) -> None:
        self.profile = profile
        self._tell()

    def _work(self) -> None:
        result: Result | None = None
        try:
            result = self._start(self._progress, self._add_cancel)
            if result is None:  # a temporary table was made
                self.state = "done"
                return
            self._add_cancel(result.cancel)
            self.profile = result.profile
            # Before there are columns: without room for the file the result before stays.
            spool = None if self._make_spool is None else self._make_spool(result.schema)
            self.schema = result.schema
            self.columns = output_columns(result.columns)
            if self.active:
                self.state = "running"
            if spool is None:
                self._fetch(result)
            else:
                self._fetch_all(result, spool)
            self.warnings = result.warnings
            if self.active:
                self.state = "done"
        except CancelledError:
            self.state = "cancelled"
        except DovetailError as error:
            if not self._cancelled.is_set():
                self.state, self.error = "failed", error
        except Exception as error:  # a fault of ours must not leave a query that never ends
            self.error = fault_of_ours(error, REPORT_HINT)
            self.state = "failed"
        finally:
            if self.ended is None:
                self.ended = time.monotonic()
            self._tell(now=True)
            if result is not None:
                result.close()

    def _fetch(self, result: Result) -> None:
        for batch in result.batches():
            if self._cancelled.is_set():
                return
            left = self._max_rows - self.rows
            if batch.num_rows > left:
                batch = batch.slice(0, left)
                self.state = "capped"
            self._batches.append(batch)
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            if self.bytes >= self._max_bytes:
                self.state = "capped"
            self._tell(now=len(self._batches) == 1)
            if self.state == "capped":
                result.cancel()
                return

    def _fetch_all(self, result: Result, spool: Spool) -> None:
        held = 0
        try:
            for batch in result.batches():
                if self._cancelled.is_set():
                    break
                spool.add(batch)
                if self.rows < self._max_rows and held < self._max_bytes:
                    self._batches.append(batch)
                    held += batch.nbytes
                self.rows += batch.num_rows
                self.bytes += batch.nbytes
                self._tell(now=self.rows == batch.num_rows)
        except CancelledError:
            pass
        except BaseException:
            spool.discard()
            raise
        self._batches = spool.finish()


def _call(cancels: list[Callable[[], None]]) -> None:
    for cancel in reversed(cancels):
        with suppress(Exception):  # the query is ending anyway
            cancel()


def describe_run(run: QueryRun) -> str:
    """What a running query is doing, by source: ``2.1 s · shop 120,000 rows 4.1 MB``."""
    parts = [f"{run.seconds:.1f} s"]
    if run.state == "planning" and (run.profile is None or not run.profile.fragments):
        parts.append("planning")
    for fragment in list(run.profile.fragments) if run.profile is not None else ():
        if fragment.rows is None:
            parts.append(f"{fragment.source} reading")
        else:
            parts.append(f"{fragment.source} {fragment.rows:,} rows {size(fragment.bytes or 0)}")
    if run.rows:
        parts.append(f"{run.rows:,} rows here")
    return " · ".join(parts)


def size(count: float) -> str:
    """``1.2 MB``."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """``12 ms`` or ``3.4 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
