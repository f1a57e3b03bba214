"""Run one query: open a snapshot per source, start its fragments, let the engine finish.

Fragments come to the engine on two roads (see :mod:`dovetail.connectors.base`). Streams are
fetched ahead in threads of their own, so sources work in parallel; native relations are read inside
the engine's own transaction.

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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dovetail.connectors.base import (
    SMALL_ROWS,
    Connector,
    FragmentRequest,
    NativeRelation,
    NativeSetup,
    Snapshot,
    Stream,
    quote,
)
from dovetail.connectors.capabilities import Keys
from dovetail.engines.duckdb import DuckDBEngine, Instance
from dovetail.errors import (
    BytesExceededError,
    CancelledError,
    DataError,
    InternalError,
    SourceError,
    SourceUnavailableError,
    TimeoutExceededError,
)
from dovetail.execution import crew, speeds
from dovetail.execution.carried import carried
from dovetail.execution.errors import (
    BrokenOffError,
    RefusedPlanError,
    closed_early,
    refuses_the_plan,
    refuses_the_stream,
    too_many_rows,
    translate_run_error,
    was_interrupted,
)
from dovetail.execution.handover import Handover, Rows
from dovetail.execution.keys import KeyLookup, look_up
from dovetail.execution.moved import LIMIT_MARK, add_measures, guarded
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.execution.result import Result
from dovetail.execution.stream import FragmentStream, RereadError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 65_536
# How long a stopped query may clean up before its reader gets the error all the same.
_GRACE_SECONDS = 3.0
# An interrupt between two statements is lost, so it is repeated; sources are asked less often.
_INTERRUPT_SECONDS = 0.05
_CANCEL_SECONDS = 1.0
_PROGRESS_SECONDS = 0.1

_In = TypeVar("_In")
_Out = TypeVar("_Out")


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


@dataclass
class Work:
    """What a run needs to know.

    ``statement`` is what to run. ``prepare`` gets the same and returns statements to run before it
    (fallback road), in a fresh instance set up by ``schema_setup``. ``materialize`` lists fragments
    that are read more than once. ``lookups`` are keys that some fragments wait for.

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
    feed: Feed | None = None
    once: Sequence[tuple[int, Statement]] = ()
    skip: int = 0
    most: int | None = None


def run_query(
    engine: DuckDBEngine,
    connectors: Mapping[str, Connector],
    work: Work,
    limits: RunLimits,
    profile: Profile,
    on_progress: Callable[[Profile], None] | None = None,
    started: Callable[[Run], None] = lambda run: None,
) -> Result:
    """Run ``work``; ``started`` is told of every run that begins.

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
        run = Run(engine, connectors, work, left, profile, on_progress)
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
    ) -> None:
        self._engine = engine
        self._connectors = connectors
        self._work = work
        self._limits = limits
        self.timeout_shown = limits.timeout
        self._profile = profile
        self._on_progress = on_progress
        self._progress_due = 0.0
        self._snapshots: dict[str, Snapshot] = {}
        self._streams: list[FragmentStream] = []
        self._native: dict[int, str] = {}  # fragment number → its relation
        self._kept: frozenset[int] = work.materialize  # fragments that are read into tables
        self._beside: dict[int, Any] = {}  # fragment number → the connection that filled its table
        self._instance: Instance | None = None
        self._lock = threading.RLock()
        self._stop: BaseException | None = None
        self._finished = False  # every row has been handed over
        self._in_transaction = False
        self._connection_lost = False
        self._releasing = False  # the worker gives back; interrupts would only disturb that
        self._started = time.perf_counter()
        self._warnings: list[str] = []
        self._types = work.types
        self._skip, self._most = work.skip, work.most
        self._small = bool(work.pieces) and all(self._is_small(p) for p in work.pieces)
        self._schema: pa.Schema | None = None
        self._handover = Handover(_GRACE_SECONDS)
        # A SimpleQueue may be put to from anywhere, also from a destructor.
        self._reasons: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._over = threading.Event()  # the worker needs no more breaking up
        self._worker: crew.Task | None = None
        self._watcher: crew.Task | None = None
        self.on_warm_connections = False
        """Whether it read sources over connections that were there before it began."""

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
            lambda: list(self._warnings),
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
        self._end(reason)
        self._handover.stop(reason)

    def close(self) -> None:
        """Give back everything, ending what still runs. Idempotent; callable from any thread.

        Waits until all is given back, three seconds at most: a source that does not answer any
        more may hold its connection for longer.
        """
        reason = closed_early()
        self._end(reason)
        self._handover.stop(reason)
        if not any(task is not None and task.is_here() for task in (self._worker, self._watcher)):
            self._handover.wait_finished()

    def _abandon(self) -> None:
        self._reasons.put(closed_early())

    def _end(self, reason: BaseException) -> None:
        with self._lock:
            if self._finished or self._stop is not None:
                return
            self._stop = reason
        self._handover.stop(reason)
        self._reasons.put(None)

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
            self._end(reason)
        if self._stop is not None:
            self._break_up()

    def _break_up(self) -> None:
        """Interrupt the worker's calls until it has none left."""
        due = time.monotonic()
        cancelling: dict[str, crew.Task] = {}
        while not self._over.is_set():
            with self._lock:
                snapshots, streams = dict(self._snapshots), list(self._streams)
                instance = self._instance
            with self._lock, contextlib.suppress(Exception):
                if instance is not None and not self._releasing:
                    instance.interrupt()
            for stream in streams:
                stream.stop()
            if self._work.feed is not None:
                self._work.feed.stop()
            if time.monotonic() >= due:
                due = time.monotonic() + _CANCEL_SECONDS
                for source in snapshots:
                    # A thread each: one that does not answer must not hold up the others.
                    if source not in cancelling or cancelling[source].join(0):
                        cancelling[source] = crew.start(
                            partial(self._cancel_at, source, snapshots[source], instance),
                            f"dovetail-cancel-{source}",
                        )
            self._over.wait(_INTERRUPT_SECONDS)
        for task in cancelling.values():
            task.join(_GRACE_SECONDS)

    def _cancel_at(self, source: str, snapshot: Snapshot, instance: Instance | None) -> None:
        with contextlib.suppress(Exception):
            snapshot.cancel()
        if instance is not None and source in self._native_sources():
            with contextlib.suppress(Exception):
                self._connectors[source].cancel_native(instance.name)

    # -- the worker -----------------------------------------------------------------------------

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            self._pump()
        except BaseException as raised:
            error = self._translate(raised)
        try:
            self._release()
            if isinstance(error, BrokenOffError) and self._connection_lost:
                error = error.connection_lost()
        finally:
            self._over.set()
            self._reasons.put(None)
            assert self._watcher is not None
            self._watcher.join(_GRACE_SECONDS)
            self._handover.finish(error)

    def _pump(self) -> None:
        relations = self._fragments()
        self._note_start(self._native)
        if self._work.prepare is not None:
            for statement in self._work.prepare(relations):
                self._execute(statement)
                self._measure(
                    {n: relation for n, relation in self._native.items() if relation in statement}
                )
        if self._work.feed is None:
            self._answer(relations)
        else:
            self._answer_each(self._work.feed, relations)
        self._check()
        if self._work.prepare is None and self._work.feed is None:
            self._measure(self._native)
        else:
            self._measure({})
        self._check_moved()
        self._progress(last=True)
        with self._lock:
            self._check()
            self._finished = True
        self._learn()

    def _answer(self, relations: Mapping[int, str]) -> None:
        """Run the statement and hand over its rows."""
        values: Any = None
        if self._work.parameters:
            given = self._work.parameters
            values = dict(given) if isinstance(given, Mapping) else list(given)
        statement = self._work.statement(relations)
        cursor = self._execute(statement, values)
        if not self._work.types:  # known only now: a PIVOT over the values it finds
            columns = [(str(name), str(type_)) for name, type_, *_ in cursor.description or ()]
            self._types = [type_ for _, type_ in columns]
            exact = carried(statement, columns)
            if exact != statement:
                cursor = self._execute(exact, values)
        reader = cursor.to_arrow_reader(_BATCH_ROWS)
        try:
            self._schema = reader.schema
            while self._most != 0:
                try:
                    batch = self._wanted(reader.read_next_batch())
                except StopIteration:
                    break
                self._check()
                self._profile.rows += batch.num_rows
                limit = self._limits.max_rows
                if limit is not None and self._profile.rows > limit:
                    raise too_many_rows(limit)
                self._progress()
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
        for number, statement in self._work.once:
            self._create(number, statement(relations))
            relations[number] = _table(number)
        if self._in_transaction:
            # All but the feed has been read, and that may take days: no server waits for it.
            self._execute("COMMIT")
            self._in_transaction = False
        for source, snapshot in self._snapshots.items():
            if source != feed.source:
                snapshot.close()
        fed = [f for f in self._profile.fragments if f.source == feed.source]
        for statement_before in feed.batches():
            self._execute(statement_before)
            for fragment in fed:
                fragment.rows = feed.rows
            self._answer(relations)
            if self._most == 0:
                break

    def _execute(self, statement: str, values: Any = None) -> Any:
        self._check()
        assert self._instance is not None
        if values is None:
            return self._instance.connection.execute(statement)
        return self._instance.connection.execute(statement, values)

    def _measure(self, native: Mapping[int, str]) -> None:
        """Take over what the engine measured of the statement that has just ended."""
        assert self._instance is not None
        with contextlib.suppress(Exception):  # figures are welcome, never worth a query
            report = self._instance.report()
            if report:
                add_measures(report, self._profile, native, self._instance.peaks)

    def _learn(self) -> None:
        """Take note of how fast the sources delivered."""
        requests = {piece.number: piece.request for piece in self._work.pieces}
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

    # -- fragments ------------------------------------------------------------------------------

    def _fragments(self) -> dict[int, str]:
        """Open every fragment; SQL for the engine's FROM clause per fragment number."""
        connectors = self._connectors
        for source, requests in self._by_source(self._work.pieces).items():
            snapshot = connectors[source].snapshot()
            with self._lock:
                self._snapshots[source] = snapshot
            self._check()
            snapshot.plan_native(requests)
        native: dict[int, NativeRelation] = {}
        setups: dict[str, NativeSetup] = {}
        for piece in self._work.pieces:
            setup = connectors[piece.source].native_setup()
            if setup is None:
                continue
            relation = self._snapshots[piece.source].native(piece.request, f"source_{piece.source}")
            if relation is not None:
                native[piece.number] = relation
                setups[piece.source] = setup
        relations = {number: relation.sql for number, relation in native.items()}
        with self._lock:
            self._native = dict(relations)
        self._lease(setups)
        profiles = {p.number: self._profile_of(p, native.get(p.number)) for p in self._work.pieces}
        self._progress()
        streamed = [p for p in self._work.pieces if p.number not in native]
        self._each(
            lambda item: self._snapshots[item[0]].prepare(item[1]),
            list(self._by_source(streamed).items()),
        )
        self._begin()
        # A teacher that can be read only once is put into a table first.
        taught = {lookup.teacher for lookup in self._work.lookups}
        self._kept = self._work.materialize | {p.number for p in streamed if p.number in taught}
        for stage in self._stages():
            self._read(stage, relations, profiles, native)
        if self._settles():
            self._execute("COMMIT")
            self._in_transaction = False
        return relations

    def _stages(self) -> list[list[Piece]]:
        """The fragments in the order of their lessons: every teacher before whom it teaches."""
        level = {piece.number: 0 for piece in self._work.pieces}
        for _ in self._work.pieces:
            for lookup in self._work.lookups:
                level[lookup.target] = max(level[lookup.target], level[lookup.teacher] + 1)
        return [
            [piece for piece in self._work.pieces if level[piece.number] == stage]
            for stage in sorted(set(level.values()))
        ]

    def _read(
        self,
        stage: Sequence[Piece],
        relations: dict[int, str],
        profiles: Mapping[int, FragmentProfile],
        native: Mapping[int, NativeRelation],
    ) -> None:
        """Open the fragments of one stage; what is to be kept is read into its table."""
        ready = [self._taught(piece, relations, profiles[piece.number]) for piece in stage]
        pieces = [piece for piece in ready if piece is not None]
        for piece in pieces:
            if piece.number in native and piece.bind is not None:
                made = self._snapshots[piece.source].native(piece.request, f"source_{piece.source}")
                assert made is not None
                with self._lock:
                    self._native[piece.number] = made.sql
                relations[piece.number] = made.sql
                profiles[piece.number].sql = made.described_as
        streamed = [piece for piece in pieces if piece.number not in native]
        # The engine asks for the rest when it runs the statement that reads them.
        self._note_start({p.number for p in pieces if p in streamed or p.number in self._kept})
        streams = self._each(
            lambda piece: self._snapshots[piece.source].read(piece.request), streamed
        )
        beside: dict[int, Any] = {}
        for piece, stream in zip(streamed, streams, strict=True):
            connection = None
            if self._settles() and len(self._kept) > 1 and not self._small:
                connection = beside[piece.number] = self._instance_now().connect()
            relations[piece.number] = self._stream(
                piece, stream, profiles[piece.number], connection
            )
        limit = self._limits.max_bytes_moved
        if limit is not None:
            for piece in pieces:
                if piece.number in native and not self._connectors[piece.source].local:
                    relations[piece.number] = guarded(
                        relations[piece.number], piece.request.columns, limit
                    )
        self._materialize(pieces, relations, beside)

    def _taught(
        self, piece: Piece, relations: dict[int, str], profile: FragmentProfile
    ) -> Piece | None:
        """The piece with the keys it waited for; None when there is none and so no row of it."""
        if piece.bind is None:
            return piece
        keys: dict[int, Keys | None] = {}
        for lookup in self._work.lookups:
            if lookup.target != piece.number:
                continue
            self._check()
            connection = self._beside.get(lookup.teacher) or self._instance_now().connection
            count, found = look_up(connection, lookup, relations)
            profile.keys[lookup.number] = count
            if count == 0:
                self._leave_empty(piece, relations, profile)
                return None
            keys[lookup.number] = found
        request = piece.bind(piece.request, keys)
        if piece.number not in self._native:
            profile.sql = self._connectors[piece.source].render(request)
        return replace(piece, request=request)

    def _leave_empty(
        self, piece: Piece, relations: dict[int, str], profile: FragmentProfile
    ) -> None:
        columns = ", ".join(
            f"CAST(NULL AS {c.type}) AS {quote(c.name)}" for c in piece.request.columns
        )
        relations[piece.number] = f"(SELECT {columns} WHERE false)"
        profile.rows, profile.bytes, profile.milliseconds = 0, 0, 0.0
        with self._lock:
            self._native.pop(piece.number, None)

    def _settles(self) -> bool:
        """Whether the reading transaction ends once the fragments to materialize have been read.

        DuckDB tells the planner how many rows a table has only after the transaction that filled
        it; before, its estimate is zero, and joins are ordered blindly. What is still to be read
        then (files that the engine scans) has no transaction at a server.
        """
        unread = [p for p in self._work.pieces if p.number not in self._kept]
        return bool(self._kept) and all(
            self._connectors[p.source].capabilities.engine_reads for p in unread
        )

    def _materialize(
        self, stage: Sequence[Piece], relations: dict[int, str], beside: Mapping[int, Any]
    ) -> None:
        """Read fragments into tables: streams side by side, each on its connection in ``beside``,
        with those that the engine's transaction reads one after the other.
        """
        pieces = [p for p in stage if p.number in self._kept]
        together = [p for p in pieces if p.number not in beside]
        groups = [[p] for p in pieces if p.number in beside]
        if together:
            groups.append(together)

        def fill(group: Sequence[Piece]) -> None:
            for piece in group:
                self._fill(piece, relations[piece.number], beside.get(piece.number))

        self._each(fill, groups)
        self._beside.update(beside)
        for piece in pieces:
            relations[piece.number] = _table(piece.number)

    def _create(self, number: int, query: str, connection: Any = None) -> None:
        self._check()
        instance = self._instance_now()
        with self._lock:
            instance.tables.append(_table(number))
        (connection or instance.connection).execute(
            f"CREATE OR REPLACE TABLE {_table(number)} AS {query}"
        )

    def _fill(self, piece: Piece, relation: str, connection: Any) -> None:
        self._create(piece.number, f"SELECT * FROM {relation}", connection)
        if piece.number in self._native:
            self._measure({piece.number: self._native[piece.number]})
            self._check_small()

    def _is_small(self, piece: Piece) -> bool:
        rows = self._connectors[piece.source].expected_rows(piece.request)
        return rows is not None and rows <= SMALL_ROWS

    def _check_small(self) -> None:
        """Give the engine all its threads when a fragment was small only by its estimate."""
        if self._small and any((f.rows or 0) > SMALL_ROWS for f in self._profile.fragments):
            self._small = False
            self._instance_now().use_threads(all_of_them=True)

    def _batch_came(self) -> None:
        self._check_small()
        self._check_moved()

    def _instance_now(self) -> Instance:
        assert self._instance is not None
        return self._instance

    @staticmethod
    def _by_source(pieces: Sequence[Piece]) -> dict[str, list[FragmentRequest]]:
        found: dict[str, list[FragmentRequest]] = {}
        for piece in pieces:
            found.setdefault(piece.source, []).append(piece.request)
        return found

    def _native_sources(self) -> list[str]:
        return sorted({p.source for p in self._work.pieces if p.number in self._native})

    def _lease(self, setups: Mapping[str, NativeSetup]) -> None:
        self._check()
        instance = self._engine.lease(
            setups,
            schema_setup=self._work.schema_setup,
            disposable=self._work.prepare is not None,
        )
        instance.use_threads(all_of_them=not self._small)
        self.on_warm_connections = bool(setups) and instance.leases > 1
        with self._lock:
            self._instance = instance
        self._check()

    def _begin(self) -> None:
        instance = self._instance
        assert instance is not None
        self._execute("BEGIN")
        self._in_transaction = True
        for source in self._native_sources():
            self._check()
            self._snapshots[source].begin_native(instance.execute, instance.alias(source))

    def _each(self, call: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
        """``call`` for every item, side by side; the first failure breaks up the rest."""
        self._check()

        def failed(error: BaseException) -> BaseException:
            # Before the others are broken up: what they then say is not what went wrong.
            first = self._translate(error)
            self._end(first)
            return first

        return crew.each(call, items, "dovetail-side", failed)

    def _stream(
        self, piece: Piece, stream: Stream, profile: FragmentProfile, connection: Any
    ) -> str:
        instance = self._instance_now()
        name = f"dovetail_stream_{piece.number}"
        reader = stream.reader
        fetching = FragmentStream(
            lambda: reader, reader.schema, profile, self._batch_came, self._progress
        )
        with self._lock:
            self._streams.append(fetching)
        instance.register(name, fetching, connection)
        fetching.start()
        items = []
        for column, decode in zip(piece.request.columns, stream.decode, strict=True):
            received = quote(column.name)
            if decode is not None:
                value = decode.replace("{0}", received).replace("{{", "{").replace("}}", "}")
            else:
                value = f"CAST({received} AS {column.type})"
            items.append(f"{value} AS {received}")
        return f"(SELECT {', '.join(items)} FROM {quote(name)})"

    def _profile_of(self, piece: Piece, native: NativeRelation | None) -> FragmentProfile:
        connector = self._connectors[piece.source]
        sql = native.described_as if native is not None else connector.render(piece.request)
        road = "native" if native is not None else "stream"
        profile = FragmentProfile(
            piece.number, piece.source, connector.kind, sql, road, cache=self._profile.cache
        )
        self._profile.fragments.append(profile)
        return profile

    def _note_start(self, numbers: Collection[int]) -> None:
        """Write down that these fragments are asked for now, unless they were before."""
        elapsed = (time.perf_counter() - self._started) * 1e3
        for fragment in self._profile.fragments:
            if fragment.number in numbers and fragment.started is None:
                fragment.started = elapsed

    # -- checks ---------------------------------------------------------------------------------

    def _progress(self, last: bool = False) -> None:
        """Tell the caller, ten times a second at most. What its callback raises ends the query."""
        if self._on_progress is None:
            return
        with self._lock:
            now = time.monotonic()
            if (now < self._progress_due and not last) or self._stop is not None:
                return
            self._progress_due = now + _PROGRESS_SECONDS
        try:
            self._on_progress(self._profile)
        except BaseException as error:
            self._end(error)
            raise

    def _check(self) -> None:
        if self._stop is not None:
            raise self._stop

    def _check_moved(self) -> None:
        limit = self._limits.max_bytes_moved
        if limit is not None:
            moved = sum(
                fragment.bytes or 0
                for fragment in self._profile.fragments
                if not self._connectors[fragment.source].local
            )
            if moved > limit:
                error = _moved_too_much(limit)
                self._end(error)
                raise error
        self._check()

    # -- the end --------------------------------------------------------------------------------

    def _release(self) -> None:
        """Give back everything. Never raises."""
        with self._lock:
            self._releasing = True
            streams, snapshots = list(self._streams), dict(self._snapshots)
            instance = self._instance
        for stream in streams:
            stream.stop()
        if self._work.feed is not None:
            self._work.feed.stop()
        for snapshot in snapshots.values():
            with contextlib.suppress(Exception):
                self._warnings.extend(snapshot.warnings())
        broken = not self._finished
        if instance is not None:
            if broken:
                # What else it was reading may compute for long before it notices.
                with contextlib.suppress(Exception):
                    self._cancel_native(instance)
            try:
                # Also before an instance is closed: DuckDB aborts the process when the end of an
                # open transaction on a lost connection fails in a destructor.
                if self._in_transaction:
                    instance.connection.execute("ROLLBACK")
            except Exception as error:
                broken = True
                self._connection_lost = 'query "ROLLBACK"' in str(error)
        for snapshot in snapshots.values():
            with contextlib.suppress(Exception):
                snapshot.close()
        for stream in streams:
            broken = not stream.join(_GRACE_SECONDS) or broken
        if instance is not None:
            with contextlib.suppress(Exception):
                self._engine.release(instance, broken=broken)
        self._profile.milliseconds = (time.perf_counter() - self._started) * 1e3

    def _cancel_native(self, instance: Instance) -> None:
        if self._stop is None:  # else the watcher does
            for source in self._native_sources():
                self._connectors[source].cancel_native(instance.name)

    def _translate(self, error: BaseException) -> BaseException:
        if self._stop is not None:
            return self._stop
        touched = dict.fromkeys(piece.source for piece in self._work.pieces)
        native = [self._connectors[source] for source in self._native_sources() or touched]
        if LIMIT_MARK in str(error) and self._limits.max_bytes_moved is not None:
            return _moved_too_much(self._limits.max_bytes_moved)
        streams = [stream.error for stream in self._streams]
        if self._native and was_interrupted(error) and not any(streams):
            # DuckDB sometimes forgets a scanner's error and only says that it stopped.
            return BrokenOffError.of(self._native_sources())
        relations: dict[str, list[str]] = {}
        for piece in self._work.pieces:
            if piece.number in self._native:
                relations.setdefault(piece.source, []).append(self._native[piece.number])
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


def _table(number: int) -> str:
    return quote(f"dovetail_table_{number}")


def _moved_too_much(limit: int) -> BytesExceededError:
    return BytesExceededError(
        f"the sources sent more than {limit} bytes (limits.max_bytes_moved); filter more, select "
        "fewer columns or raise the limit"
    )
