"""How often a client may ask: a window of one minute per token, in each process."""

from __future__ import annotations

import time
from collections import deque

_WINDOW = 60.0
_CLIENTS = 10_000


class Rates:
    """Counts requests of the last minute by client. Used from the event loop only."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._seen: dict[str, deque[float]] = {}

    def take(self, client: str) -> int:
        """Count a request; 0 when it may go on, else the seconds until the next may."""
        now = time.monotonic()
        times = self._seen.get(client)
        if times is None:
            if len(self._seen) >= _CLIENTS:
                self._forget(now)
            times = self._seen[client] = deque()
        while times and times[0] <= now - _WINDOW:
            times.popleft()
        if len(times) >= self._per_minute:
            return max(1, round(times[0] + _WINDOW - now))
        times.append(now)
        return 0

    def _forget(self, now: float) -> None:
        for client in [c for c, t in self._seen.items() if not t or t[-1] <= now - _WINDOW]:
            del self._seen[client]
