"""Run one query: open a snapshot per source, start its fragments, let the engine finish.

Fragments come to the engine on two roads (see :mod:`dovetail.connectors.base`). Streams are
fetched ahead in threads of their own, so sources work in parallel; native relations are read inside
the engine's own transaction. Everything a run opens is closed by :meth:`Run.close`, whatever
happened before.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import (
    Connector,
    FragmentRequest,
    NativeRelation,
    NativeSetup,
    OutputColumn,
    Snapshot,
    Stream,
    quote,
)
from dovetail.engines.duckdb import DuckDBEngine, Instance
from dovetail.errors import (
    BytesExceededError,
    CancelledError,
    DovetailError,
    InternalError,
    RowsExceededError,
    TimeoutExceededError,
)
from dovetail.execution.errors import translate_run_error
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.execution.result import Result
from dovetail.execution.stream import FragmentStream

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 65_536
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class RunLimits:
    """Limits of one run; None is none. ``timeout`` in seconds from the start of the run."""

    timeout: float | None = None
    max_rows: int | None = None
    max_bytes_moved: int | None = None


@dataclass(frozen=True)
class Piece:
    """One fragment to run: which source, and its request."""

    number: int
    source: str
    request: FragmentRequest


@dataclass
class Work:
    """What a run needs to know.

    ``statement`` gets, per fragment number, SQL for a FROM clause and returns the statement to
    run. ``prepare`` gets the same and returns statements to run before it (fallback road), in a
    fresh instance set up by ``schema_setup``. ``materialize`` lists fragments that are read more
    than once.
    """

    pieces: Sequence[Piece]
    statement: Callable[[Mapping[int, str]], str]
    types: list[str]
    parameters: Mapping[str, Any] | Sequence[Any] | None = None
    prepare: Callable[[Mapping[int, str]], list[str]] | None = None
    schema_setup: Sequence[str] = ()
    materialize: frozenset[int] = frozenset()


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
        self._profile = profile
        self._on_progress = on_progress
        self._snapshots: dict[str, Snapshot] = {}
        self._streams: list[FragmentStream] = []
        self._native: set[str] = set()
        self._instance: Instance | None = None
        self._lock = threading.RLock()
        self._stop: DovetailError | None = None
        self._closed = False
        self._finished = False
        self._timer: threading.Timer | None = None
        self._started = time.perf_counter()
        self._warnings: list[str] = []
        self._types = work.types

    # -- start ----------------------------------------------------------------------------------

    def start(self) -> Result:
        """Begin to run and wait for the first rows.

        Raises:
            DovetailError: whatever stopped the query; nothing is left open then.
        """
        if self._limits.timeout is not None:
            self._timer = threading.Timer(self._limits.timeout, self._expire)
            self._timer.daemon = True
            self._timer.start()
        try:
            reader = self._open()
            batches = self._batches(reader)
            first = next(batches, None)
        except BaseException as error:
            translated = self._translate(error)
            self.close()
            if translated is error:
                raise
            raise translated from None
        return Result(
            reader.schema,
            self._types,
            self._chain(first, batches),
            self._profile,
            self.cancel,
            self.close,
            lambda: list(self._warnings),
        )

    @staticmethod
    def _chain(
        first: pa.RecordBatch | None, rest: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        if first is not None:
            yield first
        yield from rest

    def _open(self) -> pa.RecordBatchReader:
        relations = self._fragments()
        instance = self._instance
        assert instance is not None
        if self._work.prepare is not None:
            for statement in self._work.prepare(relations):
                self._check()
                instance.connection.execute(statement)
        self._check()
        statement = self._work.statement(relations)
        if self._work.parameters:
            given = self._work.parameters
            values: Any = dict(given) if isinstance(given, Mapping) else list(given)
            cursor = instance.connection.execute(statement, values)
        else:
            cursor = instance.connection.execute(statement)
        if not self._work.types:  # known only now: a PIVOT over the values it finds
            self._types = [str(column[1]) for column in cursor.description or ()]
        return cursor.to_arrow_reader(_BATCH_ROWS)

    def _fragments(self) -> dict[int, str]:
        """Open every fragment; SQL for the engine's FROM clause per fragment number."""
        connectors = self._connectors
        for source in dict.fromkeys(piece.source for piece in self._work.pieces):
            self._check()
            self._keep(source, connectors[source].snapshot())
        native: dict[int, NativeRelation] = {}
        setups: dict[str, NativeSetup] = {}
        for piece in self._work.pieces:
            setup = connectors[piece.source].native_setup()
            if setup is None:
                continue
            relation = self._snapshots[piece.source].native(
                piece.request, f"source_{piece.source}"
            )
            if relation is not None:
                native[piece.number] = relation
                setups[piece.source] = setup
        self._native = {p.source for p in self._work.pieces if p.number in native}
        self._lease(setups)
        profiles = {p.number: self._profile_of(p, native.get(p.number)) for p in self._work.pieces}
        streamed = [p for p in self._work.pieces if p.number not in native]
        self._begin()
        relations = {number: relation.sql for number, relation in native.items()}
        for piece, stream in zip(streamed, self._read(streamed), strict=True):
            relations[piece.number] = self._stream(piece, stream, profiles[piece.number])
        for piece in self._work.pieces:
            if piece.number in self._work.materialize:
                relations[piece.number] = self._materialize(piece, relations[piece.number])
            elif piece.number in native and self._limits.max_bytes_moved is not None:
                width = _row_width(piece.request.columns)
                rows = self._limits.max_bytes_moved // width + 1
                relations[piece.number] = f"(SELECT * FROM {relations[piece.number]} LIMIT {rows})"
        return relations

    def _keep(self, source: str, snapshot: Snapshot) -> None:
        with self._lock:
            if self._closed:
                snapshot.close()
            self._snapshots[source] = snapshot

    def _lease(self, setups: Mapping[str, NativeSetup]) -> None:
        instance = self._engine.lease(
            setups,
            schema_setup=self._work.schema_setup,
            disposable=self._work.prepare is not None,
        )
        with self._lock:
            self._instance = instance
        self._check()

    def _begin(self) -> None:
        instance = self._instance
        assert instance is not None
        instance.connection.execute("BEGIN")
        for source in sorted(self._native):
            self._snapshots[source].begin_native(instance.execute, instance.alias(source))

    def _read(self, pieces: Sequence[Piece]) -> list[Stream]:
        """Start the stream fragments, all sources at once."""
        by_source: dict[str, list[FragmentRequest]] = {}
        for piece in pieces:
            by_source.setdefault(piece.source, []).append(piece.request)
        if not pieces:
            return []

        def prepare(source: str) -> None:
            self._snapshots[source].prepare(by_source[source])

        def read(piece: Piece) -> Stream:
            self._check()
            return self._snapshots[piece.source].read(piece.request)

        if len(pieces) == 1:
            prepare(pieces[0].source)
            return [read(pieces[0])]
        with ThreadPoolExecutor(max_workers=min(8, len(pieces))) as pool:
            list(pool.map(prepare, by_source))
            return list(pool.map(read, pieces))

    def _stream(self, piece: Piece, stream: Stream, profile: FragmentProfile) -> str:
        instance = self._instance
        assert instance is not None
        name = f"dovetail_stream_{piece.number}"
        reader = stream.reader
        fetching = FragmentStream(
            lambda: reader, reader.schema, profile, self._check_moved, self._progress
        )
        with self._lock:
            self._streams.append(fetching)
        instance.register(name, fetching)
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

    def _materialize(self, piece: Piece, relation: str) -> str:
        instance = self._instance
        assert instance is not None
        name = quote(f"dovetail_table_{piece.number}")
        instance.connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM {relation}")
        return name

    def _profile_of(self, piece: Piece, native: NativeRelation | None) -> FragmentProfile:
        connector = self._connectors[piece.source]
        sql = native.described_as if native is not None else connector.render(piece.request)
        road = "native" if native is not None else "stream"
        profile = FragmentProfile(piece.number, piece.source, connector.kind, sql, road)
        self._profile.fragments.append(profile)
        return profile

    # -- rows -----------------------------------------------------------------------------------

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                self._check()
                rows += batch.num_rows
                self._profile.rows = rows
                if self._limits.max_rows is not None and rows > self._limits.max_rows:
                    raise RowsExceededError(
                        f"the result has more than {self._limits.max_rows} rows "
                        "(limits.max_rows); add a LIMIT or raise it"
                    )
                self._progress()
                yield batch
            self._check()
            self._finished = True
        except GeneratorExit:
            self.close()
            raise
        except BaseException as error:
            translated = self._translate(error)
            self.close()
            if translated is error:
                raise
            raise translated from None
        self.close()

    def _progress(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._profile)

    def _check(self) -> None:
        if self._stop is not None:
            raise self._stop

    def _check_moved(self) -> None:
        limit = self._limits.max_bytes_moved
        if limit is not None and self._profile.bytes_moved > limit:
            error = BytesExceededError(
                f"the sources sent more than {limit} bytes (limits.max_bytes_moved); "
                "filter more or raise it"
            )
            self._end(error)
            raise error
        self._check()

    # -- stop -----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop the query here and at the sources; rows taken later raise CancelledError."""
        self._end(CancelledError("the query was cancelled"))

    def _expire(self) -> None:
        self._end(
            TimeoutExceededError(
                f"the query ran longer than {self._limits.timeout:g} s (limits.timeout)"
            )
        )

    def _end(self, reason: DovetailError) -> None:
        with self._lock:
            if self._closed or self._finished or self._stop is not None:
                return
            self._stop = reason
            snapshots = list(self._snapshots.items())
            streams = list(self._streams)
            instance = self._instance
        if instance is not None:
            with contextlib.suppress(Exception):
                instance.interrupt()
        for stream in streams:
            stream.stop()
        for source, snapshot in snapshots:
            with contextlib.suppress(Exception):
                snapshot.cancel()
            if instance is not None and source in self._native:
                with contextlib.suppress(Exception):
                    self._connectors[source].cancel_native(instance.name)

    def close(self) -> None:
        """Give back everything. Ends what still runs. Idempotent; callable from any thread."""
        if not self._finished:
            self._end(CancelledError("the result was closed before it was read to the end"))
        with self._lock:
            if self._closed:
                return
            self._closed = True
            streams, snapshots = list(self._streams), dict(self._snapshots)
            instance = self._instance
        if self._timer is not None:
            self._timer.cancel()
        for stream in streams:
            stream.stop()
        for snapshot in snapshots.values():
            with contextlib.suppress(Exception):
                self._warnings.extend(snapshot.warnings())
        broken = not self._finished
        if instance is not None:
            with contextlib.suppress(Exception):
                self._native_rows(instance)
            with contextlib.suppress(Exception):
                # Also drops the temporary tables that the transaction made.
                instance.connection.execute("ROLLBACK")
        for snapshot in snapshots.values():
            with contextlib.suppress(Exception):
                snapshot.close()
        for stream in streams:
            broken = not stream.join(_STOP_SECONDS) or broken
        if instance is not None:
            self._engine.release(instance, broken=broken)
        self._profile.milliseconds = (time.perf_counter() - self._started) * 1e3

    def _native_rows(self, instance: Instance) -> None:
        """Hook for row counts of native fragments (filled from the engine's own profile)."""

    def _translate(self, error: BaseException) -> BaseException:
        if self._stop is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            return self._stop
        native = [self._connectors[source] for source in sorted(self._native)]
        touched = [
            self._connectors[s] for s in dict.fromkeys(p.source for p in self._work.pieces)
        ]
        translated = translate_run_error(
            error, native or touched, [stream.error for stream in self._streams]
        )
        if isinstance(translated, InternalError):
            translated.__cause__ = error
        return translated


_WIDTHS = {
    "boolean": 1,
    "date": 4,
    "integer": 8,
    "float": 8,
    "decimal": 16,
    "timestamp": 8,
    "timestamptz": 8,
    "time": 8,
    "uuid": 16,
}


def _row_width(columns: Sequence[OutputColumn]) -> int:
    """A lower bound of the bytes of a row in Arrow form."""
    return max(1, sum(_WIDTHS.get(column.type.family, 4) for column in columns))
