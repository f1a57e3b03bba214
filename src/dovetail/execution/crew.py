"""Threads that queries take turns in.

To start a thread, and DuckDB's first call in it, costs more than all that a small query does there;
so a thread that has done its work waits a few seconds for more before it ends.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

_REST_SECONDS = 5.0
# The name of a thread without work: a name that begins with "dovetail" is a query under way.
_RESTING = "resting (dovetail)"

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_lock = threading.Lock()
_resting: list[_Thread] = []


class Task:
    """A call under way in a thread of its own."""

    def __init__(self, call: Callable[[], None], name: str) -> None:
        self.name = name
        self._call: Callable[[], None] | None = call
        self._over = threading.Event()
        self._thread: _Thread | None = None

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, so many seconds at most; whether it is over."""
        return self._over.wait(timeout)

    def is_here(self) -> bool:
        """Whether the caller is part of this task."""
        return self._thread is threading.current_thread()

    def _work(self, thread: _Thread) -> None:
        call, self._call, self._thread = self._call, None, thread
        thread.name = self.name
        try:
            if call is not None:
                call()
        finally:
            thread.name, self._thread = _RESTING, None
            self._over.set()


class _Thread(threading.Thread):
    def __init__(self, first: Task) -> None:
        super().__init__(name=_RESTING, daemon=True)
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.tasks.put(first)

    def run(self) -> None:
        while True:
            try:
                task = self.tasks.get(timeout=_REST_SECONDS)
            except queue.Empty:
                with _lock:
                    if self in _resting:
                        _resting.remove(self)
                        return
                continue  # a task is on its way
            task._work(self)
            del task  # what it refers to may be waiting for its end
            with _lock:
                _resting.append(self)


def start(call: Callable[[], None], name: str) -> Task:
    """Run ``call`` in a thread that rests, or in a new one. It must not raise."""
    task = Task(call, name)
    with _lock:
        thread = _resting.pop() if _resting else None
    if thread is None:
        _Thread(task).start()
    else:
        thread.tasks.put(task)
    return task


def each(
    call: Callable[[_In], _Out],
    items: Sequence[_In],
    name: str,
    failed: Callable[[BaseException], BaseException],
) -> list[_Out]:
    """``call`` for every item, side by side. Returns or raises only when all have ended.

    The first failure goes to ``failed``, which may break up the others and says what to raise.
    """
    if len(items) <= 1:
        return [call(item) for item in items]
    calls: list[Future[_Out]] = [Future() for _ in items]
    tasks = [
        start(_fulfilling(future, call, item), name)
        for future, item in zip(calls, items, strict=True)
    ]
    done, _ = wait(calls, return_when=FIRST_EXCEPTION)
    errors = [error for future in done if (error := future.exception()) is not None]
    raised = failed(errors[0]) if errors else None
    for task in tasks:
        task.join()
    if raised is not None:
        raise raised
    return [future.result() for future in calls]


def _fulfilling(future: Future[_Out], call: Callable[[_In], _Out], item: _In) -> Callable[[], None]:
    def fulfil() -> None:
        try:
            found = call(item)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)

    return fulfil


# A forked child has none of the threads.
os.register_at_fork(after_in_child=_resting.clear)
