"""What a run costs while it runs: noted in its profile, held against its limits, told on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping

from dovetail.connectors.base import Connector, NativeRelation
from dovetail.engines.duckdb import Instance
from dovetail.execution import speeds
from dovetail.execution.errors import moved_too_much, too_many_rows
from dovetail.execution.moved import add_measures, guarded
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.execution.stop import Stop
from dovetail.execution.work import Piece, RunLimits

_PROGRESS_SECONDS = 0.1


class Meter:
    """Fills the profile of one run. Streams and the worker use it side by side."""

    def __init__(
        self,
        profile: Profile,
        connectors: Mapping[str, Connector],
        limits: RunLimits,
        stop: Stop,
        on_progress: Callable[[Profile], None] | None,
    ) -> None:
        self._profile = profile
        self._connectors = connectors
        self._limits = limits
        self._stop = stop
        self._on_progress = on_progress
        self._progress_due = 0.0
        self._lock = threading.Lock()
        self._started = time.perf_counter()

    def open(self, piece: Piece, native: NativeRelation | None) -> FragmentProfile:
        """The profile of a fragment that is about to be read."""
        connector = self._connectors[piece.source]
        sql = native.described_as if native is not None else connector.render(piece.request)
        road = "native" if native is not None else "stream"
        profile = FragmentProfile(
            piece.number, piece.source, connector.kind, sql, road, cache=self._profile.cache
        )
        self._profile.fragments.append(profile)
        return profile

    def note_start(self, numbers: Collection[int]) -> None:
        """Write down that these fragments are asked for now, unless they were before."""
        elapsed = (time.perf_counter() - self._started) * 1e3
        for fragment in self._profile.fragments:
            if fragment.number in numbers and fragment.started is None:
                fragment.started = elapsed

    def measure(self, instance: Instance, native: Mapping[int, str]) -> None:
        """Take over what the engine measured of the statement that has just ended.

        ``native`` are the relations of the fragments that it read, by number.
        """
        with contextlib.suppress(Exception):  # figures are welcome, never worth a query
            report = instance.report()
            if report:
                add_measures(report, self._profile, native, instance.peaks)

    def count(self, rows: int) -> None:
        """Add rows of the result. Raises RowsExceededError."""
        self._profile.rows += rows
        limit = self._limits.max_rows
        if limit is not None and self._profile.rows > limit:
            raise too_many_rows(limit)

    def guarded(self, piece: Piece, relation: str) -> str:
        """The relation of a native fragment, which fails once it has moved too many bytes."""
        limit = self._limits.max_bytes_moved
        if limit is None or self._connectors[piece.source].local:
            return relation
        return guarded(relation, piece.request.columns, limit)

    def check_moved(self) -> None:
        """Raise the reason to stop, which too many bytes moved are: BytesExceededError."""
        limit = self._limits.max_bytes_moved
        if limit is not None:
            moved = sum(
                fragment.bytes or 0
                for fragment in self._profile.fragments
                if not self._connectors[fragment.source].local
            )
            if moved > limit:
                error = moved_too_much(limit)
                self._stop.give(error)
                raise error
        self._stop.check()

    def progress(self, last: bool = False) -> None:
        """Tell the caller, ten times a second at most. What its callback raises ends the query."""
        if self._on_progress is None:
            return
        with self._lock:
            now = time.monotonic()
            if (now < self._progress_due and not last) or self._stop.reason is not None:
                return
            self._progress_due = now + _PROGRESS_SECONDS
        try:
            self._on_progress(self._profile)
        except BaseException as error:
            self._stop.give(error)
            raise

    def learn(self, pieces: Collection[Piece]) -> None:
        """Take note of how fast the sources delivered."""
        requests = {piece.number: piece.request for piece in pieces}
        for fragment in self._profile.fragments:
            connector, request = self._connectors[fragment.source], requests[fragment.number]
            if connector.place is not None and fragment.bytes and fragment.milliseconds:
                costs = connector.capabilities.costs
                row = costs.scan + costs.send_row + costs.send_value * len(request.columns)
                speeds.learn(
                    connector.place,
                    fragment.bytes,
                    (fragment.milliseconds - fragment.waited) / 1e3,
                    whole_table=request.scan is not None,
                    explained=row * (fragment.rows or 0),
                )

    def close(self) -> None:
        """The run is over."""
        self._profile.milliseconds = (time.perf_counter() - self._started) * 1e3
