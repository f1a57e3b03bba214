"""What a run is told: fragments to read, the statement over them, keys to pass on, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dovetail.connectors.base import FragmentRequest
from dovetail.connectors.capabilities import Keys
from dovetail.execution.keys import KeyLookup


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run; None is none.

    ``timeout`` in seconds from the start of the run. ``max_bytes_moved`` is about what comes over
    a wire: files that the engine reads by itself do not count.
    """

    timeout: float | None = None
    max_rows: int | None = None
    max_bytes_moved: int | None = None


@dataclass(frozen=True)
class Piece:
    """One fragment to run: which source, and its request.

    ``bind`` is set when other fragments teach it keys: with those, by number of the lookup, it
    makes the request to send of the one to show.
    """

    number: int
    source: str
    request: FragmentRequest
    bind: Callable[[FragmentRequest, Mapping[int, Keys | None]], FragmentRequest] | None = None


class Feed(Protocol):
    """A source whose rows come in batches while the query runs. It can be read once."""

    source: str
    rows: int
    """How many rows have come so far."""

    def batches(self) -> Iterator[str]:
        """Before each batch the statement that makes it what the source's fragments read.

        Waits for the next one; at least one comes, if without rows. Used by one thread.
        """
        ...

    def stop(self) -> None:
        """Wait for no more, from any thread: ``batches`` then raises CancelledError."""
        ...


Statement = Callable[[Mapping[int, str]], str]
"""SQL over fragments, given SQL for a FROM clause per fragment number."""


@dataclass(frozen=True)
class Kept:
    """Rows that are worked out before the fragments ``late`` are read, which wait for their keys.

    They are kept as table ``number``, which is read like a fragment of that number.
    """

    number: int
    statement: Statement
    late: frozenset[int]


@dataclass
class Work:
    """What a run needs to know.

    ``statement`` is what to run. ``prepare`` gets the same and returns statements to run before it
    (fallback road), in a fresh instance set up by ``schema_setup``. ``materialize`` lists fragments
    that are read more than once. ``lookups`` are keys that some fragments wait for, ``kept`` the
    rows whose keys the last of them wait for.

    With a ``feed`` the statement runs once for each of its batches; of all these rows ``skip`` are
    left out and ``most`` follow. ``once`` are numbered tables that the statement reads besides
    fragments, made before the first batch.
    """

    pieces: Sequence[Piece]
    statement: Statement
    types: list[str]
    parameters: Mapping[str, Any] | Sequence[Any] | None = None
    prepare: Callable[[Mapping[int, str]], list[str]] | None = None
    schema_setup: Sequence[str] = ()
    materialize: frozenset[int] = frozenset()
    lookups: Sequence[KeyLookup] = ()
    kept: Kept | None = None
    feed: Feed | None = None
    once: Sequence[tuple[int, Statement]] = ()
    skip: int = 0
    most: int | None = None
