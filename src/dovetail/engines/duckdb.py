"""The embedded engine: locked-down DuckDB instances, leased to one query at a time.

An *instance* is an in-memory database with the native sources attached that its queries need. It
is locked before the first query: no file, network or extension access beyond those sources, and no
setting can change. One query has an instance to itself, so its transaction, temporary relations,
interrupt and source sessions are its own; between queries warm instances are kept. The session's
memory limit is shared out among the instances in use.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.connectors.base import NativeSetup
from dovetail.quoting import quote, sql_string

if TYPE_CHECKING:
    import duckdb

_KEPT_INSTANCES = 4
# Memory that DuckDB has freed, and does not count any more, goes back to the system once it is more
# than this: else it may keep as much again as its limit (250 MB: 520 MB in all, then 330).
_FREED_KEPT = "1MB"
# A grouping that does not fit is cut into parts by the number of threads, and each part has to fit:
# with one or two threads DuckDB 1.5.5 gives up on groupings that it can do with four.
_LEAST_THREADS_IN_A_LIMIT = 4


@dataclass(frozen=True)
class EngineLimits:
    """Resources of a session's engine: bytes, and threads per query."""

    memory: int | None = None
    threads: int | None = None
    temp_directory: str | None = None
    temp_space: int | None = None


@dataclass
class Instance:
    """One locked DuckDB database; ``name`` is its application name at the sources.

    ``leases`` counts the queries it has served, the present one included; ``threads`` are those
    that DuckDB uses now, ``most_threads`` those it may use. ``peaks`` keeps the highest memory and
    disk use so far, which DuckDB measures over the life of an instance.
    """

    name: str
    connection: duckdb.DuckDBPyConnection
    attached: Mapping[str, NativeSetup]
    disposable: bool = False
    leases: int = 1
    most_threads: int = 1
    threads: int = 1
    peaks: dict[str, int] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    registered: list[tuple[duckdb.DuckDBPyConnection, str]] = field(default_factory=list)
    beside: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    def alias(self, source: str) -> str:
        """The database alias (unquoted) of an attached source."""
        return f"source_{source}"

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of the engine's own and return its rows."""
        return self.connection.execute(sql).fetchall()

    def execute_beside(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement while another one of this instance runs; from any thread."""
        with contextlib.closing(self.connection.cursor()) as cursor:
            return cursor.execute(sql).fetchall()

    def use_threads(self, *, all_of_them: bool) -> None:
        """Work with one thread or with all; from any thread, also while a statement runs."""
        wanted = self.most_threads if all_of_them else 1
        if wanted != self.threads:
            self.execute_beside(f"SET threads = {wanted}")
            self.threads = wanted

    def connect(self) -> duckdb.DuckDBPyConnection:
        """One more connection to this database, until the lease ends."""
        cursor = self.connection.cursor()
        self.beside.append(cursor)
        return cursor

    def register(
        self, name: str, relation: object, connection: duckdb.DuckDBPyConnection | None = None
    ) -> None:
        """Make an Arrow stream readable under ``name`` on one connection until the lease ends."""
        connection = connection or self.connection
        connection.register(name, relation)
        self.registered.append((connection, name))

    def end_lease(self) -> None:
        """Forget what a query left: streams, tables, connections. Raises what DuckDB raises."""
        registered, self.registered = self.registered, []
        tables, self.tables = self.tables, []
        beside, self.beside = self.beside, []
        for connection, name in registered:
            connection.unregister(name)
        for connection in beside:
            connection.close()
        for table in tables:
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")

    def report(self) -> str:
        """The engine's profile (JSON) of the statement that ended last; empty if there is none."""
        return str(self.connection.get_profiling_information(format="json") or "")

    def interrupt(self) -> None:
        """Stop the running statements; callable from any thread."""
        for connection in (self.connection, *self.beside):
            connection.interrupt()


class DuckDBEngine:
    """Creates, keeps and leases instances. Thread-safe."""

    def __init__(self, limits: EngineLimits, extension_path: Any) -> None:
        self._limits = limits
        self._extension_path = extension_path
        self._lock = threading.Lock()
        self._idle: list[Instance] = []
        self._busy: list[Instance] = []
        self._closed = False

    def lease(
        self,
        sources: Mapping[str, NativeSetup],
        *,
        schema_setup: Sequence[str] = (),
        disposable: bool = False,
    ) -> Instance:
        """An instance with ``sources`` attached, for one query; give it back with `release`.

        ``disposable`` instances are made fresh and closed after use; ``schema_setup`` runs in
        them before the lock.
        """
        if not disposable:
            with self._lock:
                for instance in self._idle:
                    if all(instance.attached.get(n) == setup for n, setup in sources.items()):
                        self._idle.remove(instance)
                        self._busy.append(instance)
                        instance.leases += 1
                        self._share_memory()
                        return instance
                # Attaching is not possible after the lock: make one that knows all seen so far.
                known: dict[str, NativeSetup] = {}
                for instance in (*self._idle, *self._busy):
                    known.update(instance.attached)
            merged = {**known, **sources}
            try:
                instance = self._create(merged, (), False)
            except Exception:
                # A source that this query does not even touch may be down.
                if merged.keys() == sources.keys():
                    raise
                instance = self._create(sources, (), False)
        else:
            instance = self._create(sources, schema_setup, True)
        with self._lock:
            self._busy.append(instance)
            self._share_memory()
        return instance

    def release(self, instance: Instance, *, broken: bool = False) -> None:
        """Give an instance back; a broken or disposable one is closed."""
        try:
            instance.end_lease()
        except Exception:
            broken = True
        close = broken or instance.disposable
        with self._lock:
            if instance in self._busy:
                self._busy.remove(instance)
            # An instance that knows fewer sources than another idle one is not worth keeping.
            if not close and not self._closed:
                self._idle.insert(0, instance)
            evicted = self._idle[_KEPT_INSTANCES:]
            del self._idle[_KEPT_INSTANCES:]
            with contextlib.suppress(Exception):
                self._share_memory()
        if close or self._closed:
            instance.connection.close()
        for old in evicted:
            old.connection.close()

    def forget_idle(self) -> None:
        """Close the idle instances: a source's connections that they hold may be dead."""
        with self._lock:
            idle, self._idle = self._idle, []
        for instance in idle:
            instance.connection.close()

    def close(self) -> None:
        """Close every idle instance; busy ones close when they are released."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for instance in idle:
            instance.connection.close()

    def _share_memory(self) -> None:
        if self._limits.memory is None or not self._busy:
            return
        share = max(self._limits.memory // len(self._busy), 32 << 20)
        for instance in self._busy:
            with contextlib.suppress(Exception):  # in use beyond the new share: keeps the old one
                instance.execute_beside(f"SET memory_limit='{share}B'")

    def _create(
        self, sources: Mapping[str, NativeSetup], schema_setup: Sequence[str], disposable: bool
    ) -> Instance:
        import duckdb

        config: dict[str, Any] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
        }
        if self._limits.threads is not None:
            config["threads"] = self._limits.threads
        if self._limits.memory is not None:
            config["memory_limit"] = f"{self._limits.memory}B"
            config["allocator_flush_threshold"] = _FREED_KEPT
            config["allocator_bulk_deallocation_flush_threshold"] = _FREED_KEPT
        connection = duckdb.connect(":memory:", config=config)
        name = f"dovetail-{uuid.uuid4().hex[:12]}"
        instance = Instance(name, connection, dict(sources), disposable)
        try:
            self._configure(instance, schema_setup)
        except BaseException:
            connection.close()
            raise
        return instance

    def _configure(self, instance: Instance, schema_setup: Sequence[str]) -> None:
        connection = instance.connection
        threads = int(instance.execute("SELECT current_setting('threads')")[0][0])
        if self._limits.memory is not None and self._limits.threads is None:
            threads = max(threads, _LEAST_THREADS_IN_A_LIMIT)
            connection.execute(f"SET threads={threads}")
        instance.most_threads = instance.threads = threads
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET enable_progress_bar=false")
        connection.execute("SET enable_profiling='no_output'")
        if self._limits.temp_directory is not None:
            directory = Path(self._limits.temp_directory) / instance.name
            connection.execute(f"SET temp_directory={sql_string(str(directory))}")
        if self._limits.temp_space is not None:
            connection.execute(f"SET max_temp_directory_size='{self._limits.temp_space}B'")
        extensions = {e for setup in instance.attached.values() for e in setup.extensions}
        for extension in sorted(extensions):
            connection.execute(f"LOAD {sql_string(str(self._extension_path(extension)))}")
        paths: set[str] = set()
        directories: set[str] = set()
        for source, setup in instance.attached.items():
            for statement in setup.statements:
                text = statement.replace("{alias}", quote(instance.alias(source)))
                connection.execute(text.replace("{instance}", instance.name))
            paths.update(setup.allowed_paths)
            directories.update(setup.allowed_directories)
        for statement in schema_setup:
            connection.execute(statement)
        if paths:
            listed = ", ".join(sql_string(path) for path in sorted(paths))
            connection.execute(f"SET allowed_paths=[{listed}]")
        if directories:
            listed = ", ".join(sql_string(path) for path in sorted(directories))
            connection.execute(f"SET allowed_directories=[{listed}]")
        connection.execute("SET allowed_configs=['memory_limit', 'threads']")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
