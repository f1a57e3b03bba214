"""Ctrl-C and SIGTERM: cancel the query here and at the sources, leave nothing behind.

The command's work runs in a thread and the main thread waits, because Python runs signal
handlers only in the main thread and only between its own steps: a main thread inside a call of
DuckDB or of a driver would not notice Ctrl-C until the call is over.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_GRACE = 5.0  # seconds that cancelled work may take to clean up


class Interruption:
    """What a signal ends. Commands register here what must be cancelled."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._cancels: list[Callable[[], None]] = []
        self._canceller: threading.Thread | None = None
        self._lock = threading.Lock()

    def register(self, cancel: Callable[[], None]) -> None:
        """Call ``cancel`` when a signal comes; at once if it has come already."""
        with self._lock:
            self._cancels.append(cancel)
            late = self.signal is not None
        if late:
            cancel()

    def request(self, number: int) -> None:
        """Cancel everything that is registered, in a thread of its own."""
        with self._lock:
            self.signal = number
            cancels = list(self._cancels)
        self._canceller = threading.Thread(target=_call_all, args=(cancels,), daemon=True)
        self._canceller.start()

    def finish(self) -> None:
        """Wait until what is being cancelled has cleaned up, for a while."""
        if self._canceller is not None:
            self._canceller.join(_GRACE)


def _call_all(cancels: list[Callable[[], None]]) -> None:
    for cancel in reversed(cancels):
        with suppress(Exception):  # the work is ending anyway; its own error is reported
            cancel()


def run_interruptibly(
    work: Callable[[Interruption], int], last_resort: Callable[[], None]
) -> tuple[int, int | None]:
    """Run ``work`` and return its exit code and the signal that ended it, if any.

    The first signal cancels; the second, or work that does not end within five seconds, ends the
    process at once after ``last_resort`` (removal of unfinished files).
    """
    interruption = Interruption()
    outcome: list[int | BaseException] = []
    done = threading.Event()

    def body() -> None:
        try:
            outcome.append(work(interruption))
        except BaseException as error:
            outcome.append(error)
        finally:
            done.set()

    def end_now(number: int) -> None:
        with suppress(Exception):
            last_resort()
        os._exit(128 + number)

    def handler(number: int, _frame: FrameType | None) -> None:
        if interruption.signal is not None:
            end_now(number)
        interruption.request(number)

    previous = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=body, name="dovetail-command", daemon=True)
    thread.start()
    deadline = None
    try:
        while not done.wait(0.2):
            if interruption.signal is not None:
                deadline = deadline or time.monotonic() + _GRACE
                if time.monotonic() > deadline:
                    end_now(interruption.signal)
        interruption.finish()
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    result = outcome[0]
    if isinstance(result, BaseException):
        if interruption.signal is None:
            raise result
        return 128 + interruption.signal, interruption.signal
    if interruption.signal is not None:
        return 128 + interruption.signal, interruption.signal
    return result, None
