"""Whether a query is to end before its time, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stop:
    """The reason to stop that any thread may give: the first counts, and none after the end."""

    def __init__(self, told: Callable[[BaseException], None]) -> None:
        """``told`` gets the reason, once, in the thread that gives it."""
        self._told = told
        # A signal's handler may give a reason in a thread that is just giving one.
        self._lock = threading.RLock()
        self._reason: BaseException | None = None
        self._finished = False

    @property
    def reason(self) -> BaseException | None:
        """Why the query is to end; None while it is not."""
        return self._reason

    @property
    def finished(self) -> bool:
        """Whether the query came to its end before there was a reason to stop."""
        return self._finished

    def give(self, reason: BaseException) -> None:
        """End the query for this reason, unless it has ended or there is one already."""
        with self._lock:
            if self._finished or self._reason is not None:
                return
            self._reason = reason
        self._told(reason)

    def check(self) -> None:
        """Raise the reason, if there is one."""
        if self._reason is not None:
            raise self._reason

    def finish(self) -> None:
        """Every row has been handed over: no reason counts any more. Raises one that came first."""
        with self._lock:
            self.check()
            self._finished = True
