"""Work that Ctrl-C ends, here and at the sources, while the shell lives on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVar

from dovetail.errors import CancelledError

_Made = TypeVar("_Made")


class Foreground:
    """Runs one call at a time in a thread and waits for it in the main thread.

    Python runs signal handlers only between steps of the main thread, so a main thread that is
    inside a call of DuckDB or of a driver would not notice Ctrl-C until that call is over.
    """

    def __init__(self) -> None:
        self._cancels: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self.interrupted = threading.Event()

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """Call ``cancel`` when Ctrl-C comes; at once if it has come already."""
        with self._lock:
            self._cancels.append(cancel)
            late = self.interrupted.is_set()
        if late:
            cancel()

    def run(self, call: Callable[[], _Made]) -> _Made:
        """What ``call`` returns or raises.

        The first Ctrl-C cancels what was given to :meth:`on_cancel`; the second stops waiting.

        Raises:
            CancelledError: Ctrl-C came before the call was over.
        """
        self._cancels.clear()
        self.interrupted.clear()
        done = threading.Event()
        given_up = threading.Event()
        made: list[_Made] = []
        failed: list[BaseException] = []

        def body() -> None:
            try:
                made.append(call())
            except BaseException as error:
                failed.append(error)
            finally:
                done.set()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            if self.interrupted.is_set():
                given_up.set()
                return
            self.interrupted.set()
            threading.Thread(target=self._cancel, daemon=True).start()

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            threading.Thread(target=body, name="dovetail-shell", daemon=True).start()
            while not done.wait(0.1) and not given_up.is_set():
                pass
        finally:
            signal.signal(signal.SIGINT, previous)
        if self.interrupted.is_set():
            raise CancelledError("cancelled")
        if failed:
            raise failed[0]
        return made[0]

    def _cancel(self) -> None:
        with self._lock:
            cancels = list(self._cancels)
        for cancel in reversed(cancels):
            with suppress(Exception):  # the work is ending anyway; its own error is told
                cancel()
