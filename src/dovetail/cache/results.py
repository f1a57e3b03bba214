"""Results that are recorded while they are read, and results that are played back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dovetail.cache.store import Kept, KeptWriter
from dovetail.errors import CancelledError
from dovetail.execution.errors import closed_early, too_many_rows
from dovetail.execution.profile import Profile
from dovetail.execution.result import Result

if TYPE_CHECKING:
    import pyarrow as pa


def recorded(
    result: Result, writer: KeptWriter, created: float, unchanged: Callable[[], bool]
) -> Result:
    """``result``, which becomes an entry when it has been read to its end.

    Not when it is closed, cancelled or fails before, nor when what it was read from is not
    ``unchanged`` then.
    """
    types = [type_ for _, type_ in result.columns]
    source = result.batches()

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in source:
                writer.add(batch)
                yield batch
            if unchanged():
                writer.finish(result.schema, created, types, result.warnings)
            else:
                writer.abandon("what it was read from has changed meanwhile")
        finally:
            writer.abandon()
            result.profile.cache_note = writer.problem

    def close() -> None:
        result.close()
        writer.abandon()

    return Result(
        result.schema,
        types,
        batches(),
        result.profile,
        result.cancel,
        close,
        lambda: result.warnings,
    )


def replayed(
    kept: Kept, profile: Profile, max_rows: int | None, done: Callable[[], None]
) -> Result:
    """The rows of a kept result; ``done`` is called after the last.

    Raises, when read, :class:`~dovetail.errors.RowsExceededError` as a run does.
    """
    stopped: list[CancelledError] = []
    started = time.perf_counter()

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in kept.batches():
                if stopped:
                    raise stopped[0]
                profile.rows += batch.num_rows
                if max_rows is not None and profile.rows > max_rows:
                    raise too_many_rows(max_rows)
                yield batch
        except (OSError, ValueError):  # another thread has closed the file
            if stopped:
                raise stopped[0] from None
            raise
        profile.milliseconds = (time.perf_counter() - started) * 1e3
        done()

    def cancel() -> None:
        stopped.append(CancelledError("the query was cancelled"))

    def close() -> None:
        stopped.append(closed_early())
        kept.close()

    about = kept.about
    return Result(
        kept.schema, about.types, batches(), profile, cancel, close, lambda: list(about.warnings)
    )
