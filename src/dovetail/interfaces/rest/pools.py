"""Blocking work off the event loop: bounded threads, in three pools.

The workspace and the session block: on the store, on sources, on the engine. Calls that look
something up wait for no query and for no upload: each kind has a pool of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Pools:
    """``short`` for metadata, ``long`` for whatever reads data, ``upload`` for files coming in."""

    def __init__(self, *, short: int, long: int, uploads: int) -> None:
        self._short = ThreadPoolExecutor(short, thread_name_prefix="rest-short")
        self._long = ThreadPoolExecutor(long, thread_name_prefix="rest-long")
        self._uploads = ThreadPoolExecutor(uploads, thread_name_prefix="rest-upload")

    async def short(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that takes milliseconds."""
        return await _in(self._short, partial(work, *args, **kwargs))

    async def long(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that may take as long as a query."""
        return await _in(self._long, partial(work, *args, **kwargs))

    async def upload(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call that writes or converts an upload."""
        return await _in(self._uploads, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Take no more work; what runs ends by itself."""
        for pool in (self._short, self._long, self._uploads):
            pool.shutdown(wait=False, cancel_futures=True)


async def _in(pool: ThreadPoolExecutor, work: Callable[[], R]) -> R:
    # The log's context (request id, user) follows the work into the thread.
    context = contextvars.copy_context()
    run: Any = partial(context.run, work)
    result: R = await asyncio.get_running_loop().run_in_executor(pool, run)
    return result
