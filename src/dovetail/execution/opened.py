"""What a run has opened at the sources and in the engine.

One thread, the worker, opens, uses and gives back. Its calls may block for as long as a source
likes, so any other thread can break them up meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from dovetail.connectors.base import Connector, NativeSetup, Snapshot
from dovetail.engines.duckdb import DuckDBEngine, Instance
from dovetail.execution import crew
from dovetail.execution.stop import Stop
from dovetail.execution.stream import FragmentStream
from dovetail.execution.work import Work
from dovetail.quoting import quote

GRACE_SECONDS = 3.0
"""How long a stopped query may clean up before its reader gets the error all the same."""

# An interrupt between two statements is lost, so it is repeated; sources are asked less often.
_INTERRUPT_SECONDS = 0.05
_CANCEL_SECONDS = 1.0


class Opened:
    """A run's snapshots, streams, engine instance and reading transaction.

    What opens or executes raises the reason to stop when there is one.
    """

    def __init__(
        self, engine: DuckDBEngine, connectors: Mapping[str, Connector], work: Work, stop: Stop
    ) -> None:
        self.snapshots: dict[str, Snapshot] = {}
        """By source."""
        self.streams: list[FragmentStream] = []
        self.native: dict[int, str] = {}
        """By number of the fragment that the engine reads itself, the relation it reads."""
        self.in_transaction = False
        self.on_warm_connections = False
        """Whether it reads sources over connections that were there before it began."""
        self.connection_lost = False
        """Whether giving back showed that the connection to a source was gone."""
        self.warnings: list[str] = []
        """What the sources had to say; complete once all is given back."""
        self._engine = engine
        self._connectors = connectors
        self._work = work
        self._stop = stop
        self._instance: Instance | None = None
        self._lock = threading.Lock()
        self._releasing = False  # the worker gives back; interrupts would only disturb that

    @property
    def instance(self) -> Instance:
        """The leased instance of the engine."""
        assert self._instance is not None
        return self._instance

    def native_sources(self) -> list[str]:
        """The sources that the engine reads itself."""
        return sorted({p.source for p in self._work.pieces if p.number in self.native})

    # -- opening and using ----------------------------------------------------------------------

    def open_snapshot(self, source: str) -> Snapshot:
        """One consistent state of a source."""
        snapshot = self._connectors[source].snapshot()
        with self._lock:
            self.snapshots[source] = snapshot
        self._stop.check()
        return snapshot

    def lease(self, setups: Mapping[str, NativeSetup]) -> None:
        """Take an instance of the engine that has these sources attached."""
        self._stop.check()
        instance = self._engine.lease(
            setups,
            schema_setup=self._work.schema_setup,
            disposable=self._work.prepare is not None,
        )
        self.on_warm_connections = bool(setups) and instance.leases > 1
        with self._lock:
            self._instance = instance
        self._stop.check()

    def begin(self) -> None:
        """Begin the transaction that reads the native fragments, each in its source's snapshot."""
        instance = self.instance
        self.execute("BEGIN")
        self.in_transaction = True
        for source in self.native_sources():
            self._stop.check()
            self.snapshots[source].begin_native(instance.execute, instance.alias(source))

    def commit(self) -> None:
        """End the reading transaction: what is still to be read needs none."""
        self.execute("COMMIT")
        self.in_transaction = False

    def start(self, name: str, stream: FragmentStream, connection: Any = None) -> None:
        """Begin to fetch a stream that the engine, or one connection of it, knows by ``name``."""
        with self._lock:
            self.streams.append(stream)
        self.instance.register(name, stream, connection)
        stream.start()

    def execute(self, statement: str, values: Any = None, connection: Any = None) -> Any:
        """Run a statement on the instance's own connection, or on another one of its."""
        self._stop.check()
        connection = connection or self.instance.connection
        if values is None:
            return connection.execute(statement)
        return connection.execute(statement, values)

    def create_table(self, number: int, query: str, connection: Any = None) -> str:
        """Keep the rows of a query in a table of the instance; its quoted name."""
        name = quote(f"dovetail_table_{number}")
        self.instance.tables.append(name)
        self.execute(f"CREATE OR REPLACE TABLE {name} AS {query}", connection=connection)
        return name

    # -- breaking up ----------------------------------------------------------------------------

    def break_up(self, over: threading.Event) -> None:
        """Interrupt the worker's calls, here and at the sources, until it is ``over``."""
        due = time.monotonic()
        cancelling: dict[str, crew.Task] = {}
        while not over.is_set():
            with self._lock:
                snapshots, instance = dict(self.snapshots), self._instance
            with self._lock, contextlib.suppress(Exception):
                if instance is not None and not self._releasing:
                    instance.interrupt()
            self._stop_fetching()
            if time.monotonic() >= due:
                due = time.monotonic() + _CANCEL_SECONDS
                for source in snapshots:
                    # A thread each: one that does not answer must not hold up the others.
                    if source not in cancelling or cancelling[source].join(0):
                        cancelling[source] = crew.start(
                            partial(self._cancel_at, source, snapshots[source], instance),
                            f"dovetail-cancel-{source}",
                        )
            over.wait(_INTERRUPT_SECONDS)
        for task in cancelling.values():
            task.join(GRACE_SECONDS)

    def _cancel_at(self, source: str, snapshot: Snapshot, instance: Instance | None) -> None:
        with contextlib.suppress(Exception):
            snapshot.cancel()
        if instance is not None and source in self.native_sources():
            with contextlib.suppress(Exception):
                self._connectors[source].cancel_native(instance.name)

    def _stop_fetching(self) -> None:
        with self._lock:
            streams = list(self.streams)
        for stream in streams:
            stream.stop()
        if self._work.feed is not None:
            self._work.feed.stop()

    # -- giving back ----------------------------------------------------------------------------

    def release(self) -> None:
        """Give back everything. Never raises."""
        with self._lock:
            self._releasing = True
        instance = self._instance
        self._stop_fetching()
        for snapshot in self.snapshots.values():
            with contextlib.suppress(Exception):
                self.warnings.extend(snapshot.warnings())
        broken = not self._stop.finished
        if instance is not None:
            if broken:
                # What else it was reading may compute for long before it notices.
                with contextlib.suppress(Exception):
                    self._cancel_native(instance)
            try:
                # Also before an instance is closed: DuckDB aborts the process when the end of an
                # open transaction on a lost connection fails in a destructor.
                if self.in_transaction:
                    instance.connection.execute("ROLLBACK")
            except Exception as error:
                broken = True
                self.connection_lost = 'query "ROLLBACK"' in str(error)
        for snapshot in self.snapshots.values():
            with contextlib.suppress(Exception):
                snapshot.close()
        for stream in self.streams:
            broken = not stream.join(GRACE_SECONDS) or broken
        if instance is not None:
            with contextlib.suppress(Exception):
                self._engine.release(instance, broken=broken)

    def _cancel_native(self, instance: Instance) -> None:
        if self._stop.reason is None:  # else whoever breaks up does
            for source in self.native_sources():
                self._connectors[source].cancel_native(instance.name)
