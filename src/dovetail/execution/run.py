"""Run one query: open a snapshot per source, start its fragments, let the engine finish.

A run has two threads. The *worker* makes every call that may block: it opens, executes, hands the
batches over and gives back whatever was opened, whatever happened before. The *watcher* waits for
a reason to stop (the time limit, a cancel, a result that was dropped) and then breaks up the
worker's calls, here and at the sources. Readers only wait for the two, so a limit and Ctrl-C reach
them in time even when a source is frozen and the worker cannot be freed.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import Connector
from dovetail.engines.duckdb import DuckDBEngine
from dovetail.errors import (
    CancelledError,
    DataError,
    InternalError,
    SourceError,
    SourceUnavailableError,
    TimeoutExceededError,
)
from dovetail.execution import crew
from dovetail.execution.carried import carried
from dovetail.execution.errors import (
    BrokenOffError,
    RefusedPlanError,
    closed_early,
    moved_too_much,
    refuses_the_plan,
    refuses_the_stream,
    translate_run_error,
    was_interrupted,
)
from dovetail.execution.fragments import Fragments
from dovetail.execution.handover import Handover, Rows
from dovetail.execution.meter import Meter
from dovetail.execution.moved import LIMIT_MARK
from dovetail.execution.opened import GRACE_SECONDS, Opened
from dovetail.execution.profile import Profile
from dovetail.execution.result import Result
from dovetail.execution.stop import Stop
from dovetail.execution.stream import RereadError
from dovetail.execution.work import Feed, RunLimits, Work

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 65_536


def run_query(
    engine: DuckDBEngine,
    connectors: Mapping[str, Connector],
    work: Work,
    limits: RunLimits,
    profile: Profile,
    on_progress: Callable[[Profile], None] | None = None,
    started: Callable[[Run], None] = lambda run: None,
    failed: Callable[[BaseException], None] = lambda error: None,
) -> Result:
    """Run ``work``; ``started`` is told of every run that begins, ``failed`` of what went wrong, in
    another thread and also once rows have been read.

    It runs a second time when nothing has been seen of the first, and only when that can help: a
    warm instance's connections were lost while they were idle, or the engine reads a stream twice.

    Raises:
        DovetailError: whatever stopped the query; nothing is left open then.
    """
    begin = time.perf_counter()
    again: set[str] = set()
    while True:
        left = limits
        if limits.timeout is not None:
            left = replace(
                limits, timeout=max(0.001, limits.timeout - (time.perf_counter() - begin))
            )
        run = Run(engine, connectors, work, left, profile, on_progress, failed)
        run.timeout_shown = limits.timeout
        started(run)
        try:
            return run.start()
        except RereadError:
            if "reread" in again:
                raise
            again.add("reread")
            work = replace(work, materialize=frozenset(p.number for p in work.pieces))
        except SourceUnavailableError:
            if "idle" in again or not run.on_warm_connections or (work.feed and work.feed.rows):
                raise
            again.add("idle")
            engine.forget_idle()
        profile.fragments.clear()
        profile.rows = 0


class Run:
    """A query under way."""

    def __init__(
        self,
        engine: DuckDBEngine,
        connectors: Mapping[str, Connector],
        work: Work,
        limits: RunLimits,
        profile: Profile,
        on_progress: Callable[[Profile], None] | None = None,
        failed: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._failed = failed
        self._connectors = connectors
        self._work = work
        self._limits = limits
        self.timeout_shown = limits.timeout
        self._profile = profile
        self._types = work.types
        self._skip, self._most = work.skip, work.most
        self._schema: pa.Schema | None = None
        self._handover = handover = Handover(GRACE_SECONDS)
        # A SimpleQueue may be put to from anywhere, also from a destructor.
        self._reasons = reasons = queue.SimpleQueue[BaseException | None]()

        def told(reason: BaseException) -> None:
            handover.stop(reason)
            reasons.put(None)

        self._stop = Stop(told)
        self._opened = Opened(engine, connectors, work, self._stop)
        self._meter = Meter(profile, connectors, limits, self._stop, on_progress)
        self._over = threading.Event()  # the worker needs no more breaking up
        self._worker: crew.Task | None = None
        self._watcher: crew.Task | None = None

    @property
    def on_warm_connections(self) -> bool:
        """Whether it read sources over connections that were there before it began."""
        return self._opened.on_warm_connections

    # -- the reader's side ----------------------------------------------------------------------

    def start(self) -> Result:
        """Begin to run and wait for the first rows.

        Raises:
            DovetailError: whatever stopped the query; nothing is left open then.
        """
        self._watcher = crew.start(self._watch, "dovetail-watch")
        self._worker = crew.start(self._main, "dovetail-run")
        first = self._take()
        assert self._schema is not None
        return Result(
            self._schema,
            self._types,
            Rows(first, self._take, self._abandon),
            self._profile,
            self.cancel,
            self.close,
            lambda: list(self._opened.warnings),
        )

    def _take(self) -> pa.RecordBatch | None:
        try:
            return self._handover.take()
        except (KeyboardInterrupt, SystemExit):
            self.close()
            raise

    def cancel(self) -> None:
        """Stop the query here and at the sources; rows taken later raise CancelledError."""
        reason = CancelledError("the query was cancelled")
        self._stop.give(reason)
        self._handover.stop(reason)

    def close(self) -> None:
        """Give back everything, ending what still runs. Idempotent; callable from any thread.

        Waits until all is given back, three seconds at most: a source that does not answer any
        more may hold its connection for longer.
        """
        reason = closed_early()
        self._stop.give(reason)
        self._handover.stop(reason)
        if not any(task is not None and task.is_here() for task in (self._worker, self._watcher)):
            self._handover.wait_finished()

    def _abandon(self) -> None:
        self._reasons.put(closed_early())

    # -- the watcher ----------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            reason = self._reasons.get(timeout=self._limits.timeout)
        except queue.Empty:
            reason = TimeoutExceededError(
                f"the query ran longer than {self.timeout_shown:g} s (limits.timeout); "
                "narrow it or raise the limit"
            )
        if reason is not None:
            self._stop.give(reason)
        if self._stop.reason is not None:
            self._opened.break_up(self._over)

    # -- the worker -----------------------------------------------------------------------------

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            self._pump()
        except BaseException as raised:
            error = self._translate(raised)
        try:
            if error is not None:
                self._failed(error)
            self._opened.release()
            self._meter.close()
            if isinstance(error, BrokenOffError) and self._opened.connection_lost:
                error = error.connection_lost()
        finally:
            self._over.set()
            self._reasons.put(None)
            assert self._watcher is not None
            self._watcher.join(GRACE_SECONDS)
            self._handover.finish(error)

    def _pump(self) -> None:
        work, opened, meter = self._work, self._opened, self._meter
        relations = Fragments(
            work, self._connectors, opened, meter, self._stop, self._translate
        ).open()
        meter.note_start(opened.native)
        if work.prepare is not None:
            for statement in work.prepare(relations):
                opened.execute(statement)
                read = {n: sql for n, sql in opened.native.items() if sql in statement}
                meter.measure(opened.instance, read)
        if work.feed is None:
            self._answer(relations)
        else:
            self._answer_each(work.feed, relations)
        self._stop.check()
        plain = work.prepare is None and work.feed is None
        meter.measure(opened.instance, opened.native if plain else {})
        meter.check_moved()
        meter.progress(last=True)
        self._stop.finish()
        meter.learn(work.pieces)

    def _answer(self, relations: Mapping[int, str]) -> None:
        """Run the statement and hand over its rows."""
        values: Any = None
        if self._work.parameters:
            given = self._work.parameters
            values = dict(given) if isinstance(given, Mapping) else list(given)
        statement = self._work.statement(relations)
        cursor = self._opened.execute(statement, values)
        if not self._work.types:  # known only now: a PIVOT over the values it finds
            columns = [(str(name), str(type_)) for name, type_, *_ in cursor.description or ()]
            self._types = [type_ for _, type_ in columns]
            exact = carried(statement, columns)
            if exact != statement:
                cursor = self._opened.execute(exact, values)
        reader = cursor.to_arrow_reader(_BATCH_ROWS)
        try:
            self._schema = reader.schema
            while self._most != 0:
                try:
                    batch = self._wanted(reader.read_next_batch())
                except StopIteration:
                    break
                self._stop.check()
                self._meter.count(batch.num_rows)
                self._meter.progress()
                self._handover.put(batch)
        finally:
            with contextlib.suppress(Exception):
                reader.close()  # it holds the connection, whoever else does

    def _wanted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What ``skip`` and ``most`` leave of a batch."""
        skipped = min(self._skip, batch.num_rows)
        self._skip -= skipped
        batch = batch.slice(skipped, self._most)
        if self._most is not None:
            self._most -= batch.num_rows
        return batch

    def _answer_each(self, feed: Feed, relations: dict[int, str]) -> None:
        """Run the statement over one batch of the feed after the other."""
        opened = self._opened
        for number, statement in self._work.once:
            relations[number] = opened.create_table(number, statement(relations))
        if opened.in_transaction:
            # All but the feed has been read, and that may take days: no server waits for it.
            opened.commit()
        for source, snapshot in opened.snapshots.items():
            if source != feed.source:
                snapshot.close()
        fed = [f for f in self._profile.fragments if f.source == feed.source]
        for statement_before in feed.batches():
            opened.execute(statement_before)
            for fragment in fed:
                fragment.rows = feed.rows
            self._answer(relations)
            if self._most == 0:
                break

    # -- what went wrong ------------------------------------------------------------------------

    def _translate(self, error: BaseException) -> BaseException:
        if self._stop.reason is not None:
            return self._stop.reason
        opened = self._opened
        if LIMIT_MARK in str(error) and self._limits.max_bytes_moved is not None:
            return moved_too_much(self._limits.max_bytes_moved)
        touched = dict.fromkeys(piece.source for piece in self._work.pieces)
        native = [self._connectors[source] for source in opened.native_sources() or touched]
        streams = [stream.error for stream in opened.streams]
        if opened.native and was_interrupted(error) and not any(streams):
            # DuckDB sometimes forgets a scanner's error and only says that it stopped.
            return BrokenOffError.of(opened.native_sources())
        relations: dict[str, list[str]] = {}
        for piece in self._work.pieces:
            if piece.number in opened.native:
                relations.setdefault(piece.source, []).append(opened.native[piece.number])
        translated = translate_run_error(error, native, streams, relations)
        of_a_source = isinstance(translated, SourceError | DataError) or any(streams)
        if refuses_the_stream(error):
            return RereadError(str(translated))
        if self._work.prepare is None and refuses_the_plan(error) and not of_a_source:
            refused = RefusedPlanError(str(translated))
            refused.__cause__ = error
            return refused
        if isinstance(translated, InternalError) and translated is not error:
            translated.__cause__ = error
        return translated
