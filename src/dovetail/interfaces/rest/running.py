"""Running queries for requests: waiting, hanging up, polling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request

from dovetail.interfaces.rest import results
from dovetail.interfaces.rest.call import Call
from dovetail.interfaces.rest.inputs import Targeted
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.workspace.problems import WorkspaceError
from dovetail.workspace.shapes import QueryAnswer, QueryRequest, QueryRun, Target

FINISHED = frozenset(("SUCCESS", "FAILED", "CANCELLED"))
_FIRST_LOOK, _LAST_LOOK = 0.02, 0.5
_EVENT_SECONDS = 0.5


class HungUpError(Exception):
    """The client is gone; there is nobody to answer."""


def target_of(given: Targeted) -> Target:
    """The target of a request.

    Raises:
        ProblemError: ``target-ambiguous``, ``target-missing``.
    """
    named = [
        name
        for name in ("dataset_id", "group_id", "connection_ids")
        if getattr(given, name) is not None
    ]
    if len(named) > 1:
        title = "Cannot specify both " + " and ".join(named)
        raise ProblemError("target-ambiguous", f"{title}: name one", title=title)
    if not named:
        raise ProblemError(
            "target-missing",
            "name what the query is over: dataset_id, group_id or connection_ids",
            valid=["dataset_id", "group_id", "connection_ids"],
        )
    if given.database_aliases is not None and given.connection_ids is None:
        raise ProblemError("validation", "database_aliases: only goes with connection_ids")
    return Target(
        given.dataset_id,
        given.group_id,
        tuple(given.connection_ids) if given.connection_ids is not None else None,
        given.database_aliases,
    )


async def run(
    call: Call, request: QueryRequest, encode: Callable[[QueryAnswer], dict[str, Any]]
) -> bytes:
    """Run ``request`` and give back its encoded answer; a client that hangs up cancels it.

    Raises:
        HungUpError: the client did.
        DovetailError: what the query meets.
    """
    started: list[str] = []
    queries = call.workspace.queries

    def work(actor: Any) -> bytes:
        return results.dump(encode(queries.run(actor, request, on_start=started.append)))

    return await unless_hung_up(call, call.long(work), started)


async def unless_hung_up(call: Call, work: Any, started: list[str]) -> bytes:
    """The outcome of ``work``; when the client hangs up first, the run in ``started`` ends."""
    running = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(call.request))
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            outcome: bytes = running.result()
            return outcome
        # The run gets its id when it leaves the queue of threads, which may be after the client.
        while not started and not running.done():
            await asyncio.sleep(_FIRST_LOOK)
        if not running.done():
            await _cancel_quietly(call, started[0])
        await asyncio.wait({running})
        running.exception()  # seen: nobody waits for it
        raise HungUpError
    finally:
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel_quietly(call: Call, query_id: str) -> None:
    with contextlib.suppress(WorkspaceError):  # it has finished meanwhile
        await call.short(call.workspace.queries.cancel, query_id)


async def wait_for(call: Call, query_id: str, seconds: float) -> QueryRun:
    """The run as soon as it has finished, or as it stands after ``seconds``.

    Looks again and again instead of blocking a thread for each waiting client.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    pause = _FIRST_LOOK
    while True:
        found = await call.short(call.workspace.queries.get, query_id)
        left = end - loop.time()
        if found.status in FINISHED or left <= 0:
            return found
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_LOOK)


async def events(call: Call, query_id: str, first: QueryRun) -> AsyncIterator[bytes]:
    """A run's states as server-sent events, until it has finished."""
    found, last = first, b""
    while True:
        data = results.dump(results.run_of(found))
        if data != last:
            yield b"event: run\ndata: " + data + b"\n\n"
            last = data
        if found.status in FINISHED:
            return
        await asyncio.sleep(_EVENT_SECONDS)
        found = await call.short(call.workspace.queries.get, query_id)
