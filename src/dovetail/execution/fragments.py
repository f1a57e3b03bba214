"""Open the fragments of a run, so that the engine can read each as SQL in a FROM clause.

They come on two roads (see :mod:`dovetail.connectors.base`). Streams are fetched ahead in threads
of their own, so sources work in parallel; native relations are read inside the engine's own
transaction. What is read more than once, or teaches others its keys before they are asked for
(:mod:`dovetail.execution.keys`), is kept in a table of the engine. Fragments that wait for rows
which the engine works out of the others come last, after the transaction that reads those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from dovetail.connectors.base import (
    SMALL_ROWS,
    Connector,
    FragmentRequest,
    NativeRelation,
    NativeSetup,
    OutputColumn,
    Stream,
)
from dovetail.connectors.capabilities import Keys
from dovetail.execution import crew
from dovetail.execution.keys import look_up
from dovetail.execution.meter import Meter
from dovetail.execution.opened import Opened
from dovetail.execution.profile import FragmentProfile
from dovetail.execution.stop import Stop
from dovetail.execution.stream import FragmentStream
from dovetail.execution.work import Kept, Piece, Work
from dovetail.quoting import quote

# By how many rows DuckDB shares work among its threads.
_ROW_GROUP = 122_880

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Fragments:
    """The fragments of one run while they are opened; used by its worker, once."""

    def __init__(
        self,
        work: Work,
        connectors: Mapping[str, Connector],
        opened: Opened,
        meter: Meter,
        stop: Stop,
        translate: Callable[[BaseException], BaseException],
    ) -> None:
        """``translate`` gives the error to raise for what the engine or a source raised."""
        self._work = work
        self._connectors = connectors
        self._opened = opened
        self._meter = meter
        self._stop = stop
        self._translate = translate
        self._relations: dict[int, str] = {}  # fragment number → SQL for a FROM clause
        self._profiles: dict[int, FragmentProfile] = {}
        self._beside: dict[int, Any] = {}  # fragment number → the connection that filled its table
        self._kept: frozenset[int] = work.materialize  # fragments that are read into tables
        self._parallel: frozenset[int] = frozenset()  # whose reading threads can share
        self._is_open = False
        self._small = bool(work.pieces) and all(self._is_small(p) for p in work.pieces)

    def open(self) -> dict[int, str]:
        """Open every fragment; SQL for the engine's FROM clause per fragment number."""
        opened, kept = self._opened, self._work.kept
        waiting = kept.late if kept else frozenset()
        late = [p for p in self._work.pieces if p.number in waiting]
        pieces = [p for p in self._work.pieces if p.number not in waiting]
        for source, requests in _by_source(pieces).items():
            opened.open_snapshot(source).plan_native(requests)
        native: dict[int, NativeRelation] = {}
        setups: dict[str, NativeSetup] = {}
        for piece in pieces:
            setup = self._connectors[piece.source].native_setup()
            relation = self._native(piece) if setup is not None else None
            if setup is not None and relation is not None:
                native[piece.number] = relation
                setups[piece.source] = setup
        self._relations = {number: relation.sql for number, relation in native.items()}
        opened.native = dict(self._relations)
        self._parallel = frozenset(n for n, relation in native.items() if relation.parallel)
        opened.lease(setups)
        self._profiles = {
            p.number: self._meter.open(p, native.get(p.number)) for p in self._work.pieces
        }
        self._meter.progress()
        streamed = [p for p in pieces if p.number not in native]
        streams, later = _by_source(streamed), _by_source(late)
        self._each(
            lambda source: opened.snapshots[source].prepare(
                streams.get(source, []), later.get(source, [])
            ),
            list(streams | later),
        )
        opened.begin()
        # A teacher that can be read only once is put into a table first.
        taught = {lookup.teacher for lookup in self._work.lookups}
        self._kept = self._work.materialize | {p.number for p in streamed if p.number in taught}
        for stage in self._stages(pieces):
            self._read(stage, native)
        self._each(lambda source: opened.snapshots[source].stay(), list(later))
        if self._settles():
            opened.commit()
        if kept is not None:
            self._keep(kept)
            self._read(late, native)
        self._is_open = True
        self._use_threads(self._finishes_in_parallel())
        return self._relations

    def _keep(self, kept: Kept) -> None:
        """Work out rows of what has been read, now that the engine knows how much that is."""
        self._use_threads(self._finishes_in_parallel())
        statement, opened = kept.statement(self._relations), self._opened
        self._relations[kept.number] = opened.create_table(kept.number, statement)
        scanned = {n: relation for n, relation in opened.native.items() if relation in statement}
        self._meter.measure(opened.instance, scanned)

    def _native(self, piece: Piece) -> NativeRelation | None:
        snapshot = self._opened.snapshots[piece.source]
        return snapshot.native(piece.request, f"source_{piece.source}")

    def _stages(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """The fragments in the order of their lessons: every teacher before whom it teaches."""
        level = {piece.number: 0 for piece in pieces}
        lookups = [lookup for lookup in self._work.lookups if lookup.target in level]
        for _ in pieces:
            for lookup in lookups:
                level[lookup.target] = max(level[lookup.target], level[lookup.teacher] + 1)
        return [
            [piece for piece in pieces if level[piece.number] == stage]
            for stage in sorted(set(level.values()))
        ]

    def _read(self, stage: Sequence[Piece], native: Mapping[int, NativeRelation]) -> None:
        """Open the fragments of one stage; what is to be kept is read into its table."""
        ready = [self._taught(piece) for piece in stage]
        pieces = [piece for piece in ready if piece is not None]
        for piece in pieces:
            if piece.number in native and piece.bind is not None:
                made = self._native(piece)
                assert made is not None
                self._opened.native[piece.number] = made.sql
                self._relations[piece.number] = made.sql
                self._profiles[piece.number].sql = made.described_as
        streamed = [piece for piece in pieces if piece.number not in native]
        # The engine asks for the rest when it runs the statement that reads them.
        self._meter.note_start(
            {p.number for p in pieces if p in streamed or p.number in self._kept}
        )
        streams = self._each(
            lambda piece: self._opened.snapshots[piece.source].read(piece.request), streamed
        )
        beside: dict[int, Any] = {}
        for piece, stream in zip(streamed, streams, strict=True):
            connection = None
            if self._settles() and len(self._kept) > 1 and not self._small:
                connection = beside[piece.number] = self._opened.instance.connect()
            self._relations[piece.number] = self._stream(piece, stream, connection)
        for piece in pieces:
            if piece.number in native:
                relation = self._relations[piece.number]
                self._relations[piece.number] = self._meter.guarded(piece, relation)
        self._materialize(pieces, beside)

    # -- keys that fragments wait for -----------------------------------------------------------

    def _taught(self, piece: Piece) -> Piece | None:
        """The piece with the keys it waited for; None when there is none and so no row of it."""
        if piece.bind is None:
            return piece
        profile = self._profiles[piece.number]
        keys: dict[int, Keys | None] = {}
        for lookup in self._work.lookups:
            if lookup.target != piece.number:
                continue
            self._stop.check()
            connection = self._beside.get(lookup.teacher) or self._opened.instance.connection
            count, found = look_up(connection, lookup, self._relations)
            profile.keys[lookup.number] = count
            if count == 0:
                self._leave_empty(piece)
                return None
            keys[lookup.number] = found
        request = piece.bind(piece.request, keys)
        if piece.number not in self._opened.native:
            profile.sql = self._connectors[piece.source].render(request)
        return replace(piece, request=request)

    def _leave_empty(self, piece: Piece) -> None:
        columns = ", ".join(
            f"CAST(NULL AS {c.type}) AS {quote(c.name)}" for c in piece.request.columns
        )
        self._relations[piece.number] = f"(SELECT {columns} WHERE false)"
        profile = self._profiles[piece.number]
        profile.rows, profile.bytes, profile.milliseconds = 0, 0, 0.0
        self._opened.native.pop(piece.number, None)

    # -- tables of the engine -------------------------------------------------------------------

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

    def _materialize(self, stage: Sequence[Piece], beside: Mapping[int, Any]) -> None:
        """Read fragments into tables: streams side by side, each on its connection in ``beside``,
        with those that the engine's transaction reads one after the other.
        """
        pieces = [p for p in stage if p.number in self._kept]
        self._use_threads(
            any(p.number in self._parallel and self._is_more(p, _ROW_GROUP) for p in pieces)
        )
        together = [p for p in pieces if p.number not in beside]
        groups = [[p] for p in pieces if p.number in beside]
        if together:
            groups.append(together)

        def fill(group: Sequence[Piece]) -> None:
            for piece in group:
                self._fill(piece, beside.get(piece.number))

        self._each(fill, groups)
        self._beside.update(beside)

    def _fill(self, piece: Piece, connection: Any) -> None:
        number, opened = piece.number, self._opened
        query = f"SELECT * FROM {self._relations[number]}"
        self._relations[number] = opened.create_table(number, query, connection)
        if number in opened.native:
            self._meter.measure(opened.instance, {number: opened.native[number]})

    # -- streams --------------------------------------------------------------------------------

    def _stream(self, piece: Piece, stream: Stream, connection: Any) -> str:
        """Begin to fetch; the relation that makes of the received values the declared ones."""
        reader = stream.reader
        name = f"dovetail_stream_{piece.number}"
        fetching = FragmentStream(
            lambda: reader,
            reader.schema,
            self._profiles[piece.number],
            self._batch_came,
            self._meter.progress,
        )
        self._opened.start(name, fetching, connection)
        items = [
            _decoded(column, decode)
            for column, decode in zip(piece.request.columns, stream.decode, strict=True)
        ]
        return f"(SELECT {', '.join(items)} FROM {quote(name)})"

    def _batch_came(self) -> None:
        if self._is_open and any((f.rows or 0) > _ROW_GROUP for f in self._profiles.values()):
            self._use_threads(True)  # the planner expected less
        self._meter.check_moved()

    # -- side by side ---------------------------------------------------------------------------

    def _each(self, call: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
        """``call`` for every item, side by side; the first failure breaks up the rest."""
        self._stop.check()

        def failed(error: BaseException) -> BaseException:
            # Before the others are broken up: what they then say is not what went wrong.
            first = self._translate(error)
            self._stop.give(first)
            return first

        return crew.each(call, items, "dovetail-side", failed)

    # -- threads of the engine ------------------------------------------------------------------

    def _is_more(self, piece: Piece, rows: int) -> bool:
        """Whether the piece has, or may have, more rows than these."""
        came = self._profiles[piece.number].rows if piece.number in self._profiles else None
        known = came or self._connectors[piece.source].expected_rows(piece.request)
        return known is None or known > rows

    def _is_small(self, piece: Piece) -> bool:
        return not self._is_more(piece, SMALL_ROWS)

    def _finishes_in_parallel(self) -> bool:
        """Whether what is left to do is more than one thread's work: some fragment has more rows
        than one takes at a time, or several sources are to be waited for.
        """
        unread = [p for p in self._work.pieces if p.number not in self._kept]
        waited = [p for p in unread if p.number in self._opened.native and not self._is_small(p)]
        return len(waited) > 1 or any(self._is_more(p, _ROW_GROUP) for p in self._work.pieces)

    def _use_threads(self, all_of_them: bool) -> None:
        """Let the engine work with all its threads, or with one.

        Who asks DuckDB for rows spins for as long as one of its threads waits for a source: half a
        processor, taken from servers beside it, from other queries and from the readers of
        streams. With one thread it is that one that waits.
        """
        self._opened.instance.use_threads(all_of_them=all_of_them)


def _by_source(pieces: Sequence[Piece]) -> dict[str, list[FragmentRequest]]:
    found: dict[str, list[FragmentRequest]] = {}
    for piece in pieces:
        found.setdefault(piece.source, []).append(piece.request)
    return found


def _decoded(column: OutputColumn, decode: str | None) -> str:
    received = quote(column.name)
    if decode is None:
        return f"CAST({received} AS {column.type}) AS {received}"
    value = decode.replace("{0}", received).replace("{{", "{").replace("}}", "}")
    return f"{value} AS {received}"
