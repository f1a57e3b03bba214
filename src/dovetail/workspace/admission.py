"""Who runs next: limits on running queries, a queue, and fairness between users.

A free place goes to the waiting user with the fewest running queries, among equals to the one who
has waited longest; so one user with a hundred queries delays another one's first by one query at
most, not by a hundred.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dovetail.workspace.problems import WorkspaceError

_RETRY_SECONDS = 5


@dataclass(frozen=True, eq=False)
class Ticket:
    """A place in the queue."""

    user_id: str
    number: int
    work: Callable[[], None]


class Admission:
    """Runs work in threads, ``running`` at once and ``per_user`` for one user. Thread-safe."""

    def __init__(self, running: int, per_user: int, queue: int) -> None:
        self._most = running
        self._per_user = per_user
        self._queue = queue
        self._lock = threading.Condition()
        self._pool = ThreadPoolExecutor(running, "query")
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._running: dict[str, int] = {}
        self._numbers = itertools.count()
        self._closed = False

    @property
    def running(self) -> int:
        """How many run."""
        with self._lock:
            return sum(self._running.values())

    @property
    def queued(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(len(tickets) for tickets in self._waiting.values())

    def submit(self, user_id: str, work: Callable[[], None]) -> Ticket:
        """Have ``work`` run as soon as it is its turn.

        Raises:
            WorkspaceError: ``queue-full`` (``retry_after``); ``busy`` when closing.
        """
        with self._lock:
            if self._closed:
                raise WorkspaceError("busy", "the server is stopping", retry_after=_RETRY_SECONDS)
            waiting = sum(len(tickets) for tickets in self._waiting.values())
            if waiting >= self._queue:
                raise WorkspaceError(
                    "queue-full",
                    f"{waiting} queries are waiting already",
                    retry_after=_RETRY_SECONDS,
                )
            ticket = Ticket(user_id, next(self._numbers), work)
            self._waiting.setdefault(user_id, deque()).append(ticket)
            self._dispatch()
        return ticket

    def withdraw(self, ticket: Ticket) -> bool:
        """Take a waiting one out; False when it has begun."""
        with self._lock:
            tickets = self._waiting.get(ticket.user_id)
            if tickets is None or ticket not in tickets:
                return False
            tickets.remove(ticket)
            if not tickets:
                del self._waiting[ticket.user_id]
            return True

    def close(self, grace: float) -> None:
        """Take no more, drop what waits, and give what runs ``grace`` seconds."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._lock.wait_for(lambda: not self._running, timeout=grace)

    def join(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown(wait=True)

    def _dispatch(self) -> None:
        while sum(self._running.values()) < self._most:
            ready = [
                (self._running.get(user, 0), tickets[0].number, user)
                for user, tickets in self._waiting.items()
                if self._running.get(user, 0) < self._per_user
            ]
            if not ready:
                return
            user = min(ready)[2]
            ticket = self._waiting[user].popleft()
            if not self._waiting[user]:
                del self._waiting[user]
            self._running[user] = self._running.get(user, 0) + 1
            self._pool.submit(self._work, ticket)

    def _work(self, ticket: Ticket) -> None:
        try:
            ticket.work()
        finally:
            with self._lock:
                left = self._running[ticket.user_id] - 1
                if left:
                    self._running[ticket.user_id] = left
                else:
                    del self._running[ticket.user_id]
                self._dispatch()
                self._lock.notify_all()
