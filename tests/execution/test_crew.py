"""Threads are used again, keep nothing of what they did, and bear its name only meanwhile."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import pytest
from tests.faults import wait_until

from dovetail.execution import crew


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_a_thread_is_used_again_under_the_name_of_its_work() -> None:
    threads: list[tuple[int, str]] = []

    def note() -> None:
        threads.append((threading.get_ident(), threading.current_thread().name))

    for name in ("dovetail-first", "dovetail-second"):
        assert crew.start(note, name).join(10)
        wait_until(lambda name=name: name not in names(), "the thread kept the name of its work")
    (first, one), (second, other) = threads
    assert first == second
    assert (one, other) == ("dovetail-first", "dovetail-second")


def test_what_a_task_referred_to_is_let_go() -> None:
    class Held:
        def work(self) -> None: ...

    held = Held()
    reference = weakref.ref(held)
    task = crew.start(held.work, "dovetail-task")
    assert task.join(10)
    del held

    def gone() -> bool:
        gc.collect()
        return reference() is None

    wait_until(gone, "a resting thread holds on to its last work")


def test_a_task_knows_its_own_thread() -> None:
    tasks: list[crew.Task] = []
    found: list[bool] = []
    given = threading.Event()

    def work() -> None:
        given.wait(10)
        found.append(tasks[0].is_here())

    tasks.append(crew.start(work, "dovetail-task"))
    given.set()
    assert tasks[0].join(10)
    assert found == [True]
    assert not tasks[0].is_here()


def test_each_goes_side_by_side_and_keeps_the_order() -> None:
    meeting = threading.Barrier(3)

    def call(number: int) -> int:
        meeting.wait(10)  # all three at once, or not at all
        return number * number

    assert crew.each(call, [1, 2, 3], "dovetail-side", _unexpected) == [1, 4, 9]


def test_the_first_failure_may_end_the_others() -> None:
    ended = threading.Event()
    left: list[int] = []

    def call(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        ended.wait(10)
        left.append(number)

    def failed(error: BaseException) -> BaseException:
        ended.set()
        return RuntimeError(f"told of {error}")

    with pytest.raises(RuntimeError, match="told of one"):
        crew.each(call, [1, 2, 3], "dovetail-side", failed)
    assert sorted(left) == [2, 3]  # all have ended when it raises


def test_one_item_stays_in_the_callers_thread() -> None:
    here: Callable[[int], int] = lambda _: threading.get_ident()  # noqa: E731
    assert crew.each(here, [1], "dovetail-side", _unexpected) == [threading.get_ident()]


def _unexpected(error: BaseException) -> BaseException:
    return AssertionError(error)
