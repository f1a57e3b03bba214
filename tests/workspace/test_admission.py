"""Who runs next: limits, the queue, and fairness between users."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dovetail.workspace import Workspace, WorkspaceError
from dovetail.workspace.admission import Admission
from dovetail.workspace.settings import WorkspaceLimits
from tests.workspace.sales import CUSTOMERS, ask, rows, upload


class Gate:
    """Work that says when it begins and ends when it may: any of it, or one by its name."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.changed = threading.Condition()
        self.places = 0
        self.named: set[str] = set()

    def work(self, name: str) -> Callable[[], None]:
        def run() -> None:
            with self.changed:
                self.order.append(name)
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self._may_end(name), timeout=30)

        return run

    def _may_end(self, name: str) -> bool:
        if name in self.named:
            return True
        if self.places:
            self.places -= 1
            return True
        return False

    def release(self, name: str | None = None) -> None:
        """Let the named work end, or whichever is first."""
        with self.changed:
            if name is None:
                self.places += 1
            else:
                self.named.add(name)
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.order) >= count, timeout=30)


def test_the_next_place_goes_to_who_has_the_fewest() -> None:
    gate, admission = Gate(), Admission(running=2, per_user=2, queue=100)
    for number in range(4):
        admission.submit("greedy", gate.work(f"greedy {number}"))
    gate.wait_for(2)
    admission.submit("modest", gate.work("modest 0"))
    admission.submit("modest", gate.work("modest 1"))
    assert (admission.running, admission.queued) == (2, 4)
    # Who ends -> who gets the place: the one with none running, then the one who waits longest.
    turns = [
        ("greedy 0", "modest 0"),
        ("greedy 1", "greedy 2"),
        ("modest 0", "modest 1"),
        ("modest 1", "greedy 3"),
    ]
    for count, (ended, begun) in enumerate(turns, start=3):
        gate.release(ended)
        gate.wait_for(count)
        assert gate.order[-1] == begun
    gate.release()
    gate.release()
    admission.close(30)
    admission.join()
    assert len(gate.order) == 6


def test_no_user_has_more_than_his_share() -> None:
    gate, admission = Gate(), Admission(running=4, per_user=2, queue=100)
    for number in range(4):
        admission.submit("one", gate.work(f"one {number}"))
    admission.submit("two", gate.work("two 0"))
    gate.wait_for(3)
    assert sorted(gate.order) == ["one 0", "one 1", "two 0"]
    assert (admission.running, admission.queued) == (3, 2)
    for _ in range(5):
        gate.release()
    gate.wait_for(5)
    admission.close(30)
    admission.join()


def test_the_queue_has_an_end_and_can_be_left() -> None:
    gate, admission = Gate(), Admission(running=1, per_user=1, queue=2)
    admission.submit("one", gate.work("a"))
    gate.wait_for(1)
    waiting = admission.submit("one", gate.work("b"))
    admission.submit("two", gate.work("c"))
    with pytest.raises(WorkspaceError) as caught:
        admission.submit("three", gate.work("d"))
    assert caught.value.code == "queue-full"
    assert caught.value.extra["retry_after"] > 0
    assert admission.withdraw(waiting)
    assert not admission.withdraw(waiting)
    gate.release()
    gate.wait_for(2)
    gate.release()
    admission.close(30)
    admission.join()
    assert gate.order == ["a", "c"]
    with pytest.raises(WorkspaceError) as caught:
        admission.submit("one", gate.work("e"))
    assert caught.value.code == "busy"


def test_more_sessions_than_are_kept(local: Callable[..., Workspace]) -> None:
    """Views beyond the number kept, and many at once: every answer is from its own dataset."""
    workspace = local(limits=WorkspaceLimits(kept_sessions=2, running_per_user=4))
    me = workspace.users.local_actor()
    made = [upload(workspace, me, f"d{n}.csv", f"n\n{n}\n") for n in range(5)]
    wrong: list[object] = []

    def worker(offset: int) -> None:
        for step in range(8):
            number = (offset + step) % 5
            found = rows(ask(workspace, me, "SELECT n FROM dataset", dataset=made[number].id))
            if found != [(number,)]:
                wrong.append((number, found))

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(workspace._sessions._kept) <= 2


def test_closing_ends_what_runs(local: Callable[..., Workspace]) -> None:
    from dovetail.workspace import QueryRequest, Target, WorkspaceSettings

    workspace = local(limits=WorkspaceLimits(running=1))
    me = workspace.users.local_actor()
    dataset = upload(workspace, me, "customers.csv", CUSTOMERS)
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range*b.range)%7=3"
    runs = [
        workspace.queries.start(me, QueryRequest(endless, Target(dataset.id))) for _ in range(2)
    ]
    while workspace.queries.get(me, runs[0].id).status == "PENDING":
        workspace.queries.get(me, runs[0].id, wait=0.05)
    workspace.close()
    with Workspace.open(WorkspaceSettings(workspace.folder)) as again:
        states = [again.queries.get(me, run.id).status for run in runs]
    assert states == ["CANCELLED", "CANCELLED"]
