"""PostgreSQL as a source.

DuckDB's scanner reads the data (see :mod:`dovetail.connectors.postgres_snapshot`); psycopg reads
the catalog, asks for estimates, cancels and checks, over short side connections.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.catalog.model import ColumnStatistics, SourceCatalog, TableInfo
from dovetail.config import PostgresSettings
from dovetail.connectors import known
from dovetail.connectors.base import (
    Connector,
    Estimate,
    FragmentRequest,
    Health,
    NativeSetup,
    connection_lost,
)
from dovetail.connectors.extensions import extension_path
from dovetail.connectors.postgres_catalog import read_catalog
from dovetail.connectors.postgres_connect import (
    KeptConnection,
    address,
    parameters,
    read_transaction,
    side_connection,
)
from dovetail.connectors.postgres_errors import data_error, is_ours, source_error
from dovetail.connectors.postgres_fragment import Fragment, render
from dovetail.connectors.postgres_snapshot import READER_ALIAS, PostgresSnapshot, lane_name
from dovetail.connectors.postgres_statistics import read_statistics
from dovetail.connectors.rendered import Rendered, comment
from dovetail.errors import AuthenticationError, DovetailError
from dovetail.quoting import quote, sql_string

if TYPE_CHECKING:
    import duckdb

    from dovetail.connectors.capabilities import Capabilities

_PROBE_ROWS = 20_000  # of 100 bytes each, for the throughput that doctor shows


class PostgresConnector(Connector):
    """One PostgreSQL database."""

    kind: ClassVar[str] = "postgres"
    dialect: ClassVar[str] = "postgres"
    settings: PostgresSettings

    def __init__(
        self, name: str, settings: PostgresSettings, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(name, settings, options)
        self._lock = threading.RLock()
        self._side = KeptConnection(settings, name, "dovetail-side")
        self._fragments = Rendered(lambda request: render(request, settings, name))
        self._reader_lock = threading.Lock()
        self._reader: duckdb.DuckDBPyConnection | None = None
        self._reader_name = f"dovetail-reader-{uuid.uuid4().hex[:12]}"
        self._raised: deque[DovetailError] = deque(maxlen=32)

    @property
    def lanes(self) -> int:
        """How many connections the engine may have at once; one is kept for side work."""
        return max(1, min(self.settings.max_connections - 1, 8))

    @property
    def capabilities(self) -> Capabilities:
        """What PostgreSQL computes with DuckDB's meaning."""
        from dovetail.connectors.capabilities import postgres

        made = postgres.CAPABILITIES
        if self.settings.infinite_dates == "null":
            made = replace(made, dates_are_exact=False)
        if self.settings.max_connections == 1:  # no second one to stay in the snapshot
            made = replace(made, keeps_state=lambda table: False)
        return made

    # --- catalog and planning --------------------------------------------------------------------

    def catalog(self) -> SourceCatalog:
        """Every table that the role may read, in one transaction."""
        with read_transaction(self.settings, self.name, "dovetail-catalog") as cursor:
            return read_catalog(cursor, self.name, self.settings)

    def fragment(self, request: FragmentRequest) -> Fragment:
        """The request as SQL with its decode."""
        return self._fragments.of(request)

    def render(self, request: FragmentRequest) -> str:
        """The SQL as PostgreSQL gets it (inside a COPY, or an EXPLAIN)."""
        return comment(request.tag) + self.fragment(request).body

    def estimate(self, request: FragmentRequest) -> Estimate | None:
        """PostgreSQL's own estimate (``EXPLAIN``).

        Raises :class:`dovetail.errors.SourceError` when the source cannot be asked.
        """
        sql = self.fragment(request).body
        with self._side.cursor() as cursor:
            rows = cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()
        assert rows is not None
        plan = (json.loads(rows[0]) if isinstance(rows[0], str) else rows[0])[0]["Plan"]
        return Estimate(
            rows=float(plan["Plan Rows"]),
            row_bytes=float(plan["Plan Width"]),
            cost=float(plan["Total Cost"]),
            detail=str(plan["Node Type"]),
        )

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """What ``ANALYZE`` found, kept for a while."""

        def ask() -> Mapping[str, ColumnStatistics]:
            with self._side.cursor() as cursor:
                return read_statistics(cursor, table)

        return known.STATISTICS.recall(self.login, table, ask)

    def explain(self, request: FragmentRequest) -> str | None:
        """PostgreSQL's plan for the fragment, as text."""
        with self._side.cursor() as cursor:
            rows = cursor.execute(f"EXPLAIN (VERBOSE) {self.fragment(request).body}").fetchall()
        return "\n".join(row[0] for row in rows)

    # --- reading ---------------------------------------------------------------------------------

    def native_setup(self) -> NativeSetup:
        """Attach the database once per lane. The password stands only in ``CREATE SECRET``."""
        options = parameters(self.settings, "{instance}")
        given = ", ".join(f"{name} {sql_string(value)}" for name, value in options.items())
        statements = [
            # A filter that the scanner pushes compares char(n) with its padding, and IN lists by
            # the column's collation. What may be pushed, our capability table says.
            "SET GLOBAL pg_experimental_filter_pushdown = false",
            # one connection per lane, and none kept longer than a firewall remembers it
            "SET GLOBAL pg_pool_max_connections = 1",
            f"CREATE OR REPLACE TEMPORARY SECRET {{alias}} (TYPE postgres, {given})",
            "ATTACH '' AS {alias} (TYPE postgres, SECRET {alias}, READ_ONLY)",
        ]
        for lane in range(1, self.lanes):
            name = quote(lane_name(self.name, lane))
            statements.append(f"ATTACH '' AS {name} (TYPE postgres, SECRET {{alias}}, READ_ONLY)")
        return NativeSetup(extensions=("postgres_scanner",), statements=tuple(statements))

    def snapshot(self) -> PostgresSnapshot:
        """A view for one query; it connects on first use."""
        return PostgresSnapshot(self)

    @property
    def reader_alias(self) -> str:
        """The database alias of this source in the reader instance."""
        return READER_ALIAS

    def reader_cursor(self) -> duckdb.DuckDBPyConnection:
        """A fresh connection of the private DuckDB instance that streams are read with.

        Raises DuckDB's errors when the source cannot be attached.
        """
        with self._reader_lock:
            if self._reader is None:
                self._reader = self._open_reader()
            return self._reader.cursor()

    def _open_reader(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        reader = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        try:
            reader.execute(f"LOAD {sql_string(extension_path('postgres_scanner'))}")
            reader.execute("SET GLOBAL TimeZone = 'UTC'")
            for statement in self.native_setup().statements:
                if "lane:" in statement:
                    continue  # a stream has a connection of its own from the first lane's pool
                statement = statement.replace("{alias}", quote(READER_ALIAS))
                reader.execute(statement.replace("{instance}", self._reader_name))
            reader.execute("SET enable_external_access = false")
            reader.execute("SET lock_configuration = true")
        except BaseException:
            reader.close()
            raise
        return reader

    # --- cancelling and errors -------------------------------------------------------------------

    def cancel_native(self, instance: str) -> None:
        """Cancel every statement of the engine instance with that name."""
        self._cancel(
            "application_name IN (%s, %s) AND pid <> pg_backend_pid()",
            (instance, f"dovetail-{instance}"),
        )

    def stopped(self, error: BaseException, pid: int) -> BaseException:
        """The error of a backend's scan, or if its connection is gone, the one that says so.

        DuckDB sometimes forgets what the server said and only says that the scan was interrupted.
        """
        if "INTERRUPT Error" not in str(error):
            return error
        # An error of ours here means that the server has gone, too.
        with contextlib.suppress(DovetailError):
            try:
                with self._side.cursor(patience=0.2) as cursor:
                    cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,))
                    if cursor.fetchone() is not None:
                        return error
            except TimeoutError:
                return error
        place = f"source {self.name}: PostgreSQL at {address(self.settings)}"
        return connection_lost(place, self.name)

    def cancel_backends(self, pids: list[int]) -> None:
        """Cancel what these backends of our own reader are running."""
        self._cancel("pid = ANY (%s) AND application_name = %s", (pids, self._reader_name))

    def _cancel(self, condition: str, values: tuple[object, ...]) -> None:
        """Cancel backends over the kept connection (there may be no other to be had) or a new one
        when that is busy.
        """
        query = f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {condition}"
        try:
            with self._side.cursor(patience=0.2) as cursor:
                cursor.execute(query, values)
        except (TimeoutError, DovetailError):
            with side_connection(self.settings, self.name, "dovetail-cancel") as connection:
                connection.execute(query, values)

    def translate_error(self, error: BaseException) -> Exception | None:
        """Our error for one of DuckDB's, libpq's or psycopg's; None if it is not PostgreSQL's."""
        if isinstance(error, DovetailError):
            return error
        text = str(error)
        with self._lock:
            for raised in self._raised:  # one of ours that came back through Arrow as text
                if raised.message in text:
                    return raised
        data = data_error(error, self.name)
        if data is not None:
            return data if data.message.startswith(f"{self.name}.") or is_ours(error) else None
        if not is_ours(error):
            return None
        return self._translated(error)

    def raised(self, error: BaseException) -> DovetailError:
        """Translate an error of a stream and remember it: through Arrow only its text travels."""
        found = error if isinstance(error, DovetailError) else self._translated(error)
        with self._lock:
            self._raised.append(found)
        return found

    def _translated(self, error: BaseException) -> DovetailError:
        found = source_error(error, self.name, address(self.settings))
        if isinstance(found, AuthenticationError) and self.settings.password is not None:
            self.settings.password.forget()
        return found

    # --- checks ----------------------------------------------------------------------------------

    def check(self) -> Health:
        """Connect, look at version, TLS and rights, and time a small read."""
        try:
            return self._check()
        except AuthenticationError as error:
            return Health(reachable=True, authenticated=False, problem=str(error))
        except DovetailError as error:
            return Health(reachable=False, authenticated=False, problem=str(error))

    def _check(self) -> Health:
        with read_transaction(self.settings, self.name, "dovetail-check") as cursor:
            begin = time.perf_counter()
            row = cursor.execute(
                "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()), "
                "current_setting('default_transaction_read_only') = 'on', pg_is_in_recovery(), "
                "r.rolsuper, (SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()) "
                "FROM pg_roles r WHERE r.rolname = current_user"
            ).fetchone()
            round_trip = time.perf_counter() - begin
            now = time.time()
            assert row is not None
            version, server_time, read_only, standby, superuser, tls = row
            may_write = cursor.execute(
                "SELECT n.nspname || '.' || c.relname FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' "
                "AND n.nspname <> 'information_schema' "
                "AND has_schema_privilege(n.oid, 'USAGE') "
                "AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') LIMIT 1"
            ).fetchone()
            begin = time.perf_counter()
            received = 0
            with cursor.copy(
                f"COPY (SELECT repeat('x', 100) FROM generate_series(1, {_PROBE_ROWS})) TO STDOUT"
            ) as copy:
                for data in copy:
                    received += len(data)
            spent = time.perf_counter() - begin
        notes = []
        if superuser:
            notes.append("the role is a superuser; a role that may only SELECT is safer")
        elif may_write is not None and not read_only:
            notes.append(
                f"the role may write (for example to {may_write[0]}); Dovetail only ever opens "
                f"read-only transactions, a role that may only SELECT is safer still"
            )
        if standby:
            notes.append("a standby: long queries may be cancelled by replication")
        if not tls and not self.settings.host.startswith("/"):
            notes.append("the connection is not encrypted")
        return Health(
            reachable=True,
            authenticated=True,
            version=f"PostgreSQL {version}",
            read_only=bool(read_only or standby or (may_write is None and not superuser)),
            tls=bool(tls),
            round_trip=round_trip,
            throughput=received / spent if spent > 0 else None,
            clock_skew=float(server_time) - (now - round_trip / 2),
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Close every connection of ours."""
        with self._reader_lock:
            reader, self._reader = self._reader, None
        self._side.close()
        if reader is not None:
            reader.close()
