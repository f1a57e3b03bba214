"""MySQL 8 and MariaDB as a source.

Rows come over the text protocol of PyMySQL's connections but not through its row loop: see
:mod:`dovetail.connectors.mysql_rows` for the reader and :mod:`dovetail.connectors.mysql_snapshot`
for how several fragments see one state of the data.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.catalog.model import ColumnStatistics, SourceCatalog, TableInfo
from dovetail.connectors import known
from dovetail.connectors.base import Connector, Estimate, FragmentRequest, Health, Snapshot
from dovetail.connectors.mysql_catalog import read_catalog
from dovetail.connectors.mysql_connect import Pool, Session
from dovetail.connectors.mysql_snapshot import MySQLSnapshot
from dovetail.connectors.mysql_sql import Fragment, plain_sql, render_fragment
from dovetail.connectors.mysql_statistics import read_statistics
from dovetail.connectors.mysql_types import TYPE_TABLE
from dovetail.connectors.rendered import Rendered, comment
from dovetail.errors import AuthenticationError, DovetailError

if TYPE_CHECKING:
    from dovetail.connectors.capabilities import Capabilities

__all__ = ["TYPE_TABLE", "MySQLConnector"]

_ROW_BYTES = 4 << 20
"""Larger rows come apart (mysql_rows.row_sql); servers allow 16 MiB and more by default."""
_READ_PRIVILEGES = {
    "SELECT",
    "USAGE",
    "SHOW VIEW",
    "SHOW DATABASES",
    "PROCESS",
    "SHOW ROUTINE",
    "REPLICATION CLIENT",
    "BINLOG MONITOR",
    "SLAVE MONITOR",
}


class MySQLConnector(Connector):
    """One MySQL or MariaDB server."""

    kind: ClassVar[str] = "mysql"
    dialect: ClassVar[str] = "mysql"

    def __init__(self, name: str, settings: Any, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, settings, options)
        self._pool = Pool(name, settings)
        self._fragments = Rendered(lambda request: render_fragment(request, _ROW_BYTES))

    @property
    def capabilities(self) -> Capabilities:
        """What MySQL computes as DuckDB does."""
        from dovetail.connectors.capabilities import mysql

        if self.settings.zero_dates == "error":
            return mysql.SEEING_ZERO_DATES
        return mysql.CAPABILITIES

    def catalog(self) -> SourceCatalog:
        """Read information_schema of the configured (default: all visible) databases."""
        with self._pool.borrowed() as session:
            return read_catalog(session, self.settings)

    def fragment(self, request: FragmentRequest) -> Fragment:
        """The request as SQL with the fields to read."""
        return self._fragments.of(request)

    def render(self, request: FragmentRequest) -> str:
        """The SQL exactly as the server gets it."""
        return comment(request.tag) + self.fragment(request).body

    def snapshot(self) -> Snapshot:
        """A view for one query; it connects when it is first used."""
        directory = self.options.get("spool_directory")
        return MySQLSnapshot(self, self._pool, str(directory) if directory else None)

    def estimate(self, request: FragmentRequest) -> Estimate | None:
        """Rows and cost by EXPLAIN FORMAT=JSON; None when it cannot tell."""
        text = self._explain(plain_sql(request))
        return None if text is None else _estimate(text, request)

    def statistics(self, table: TableInfo) -> Mapping[str, ColumnStatistics]:
        """Different values of columns that lead an index or were looked at, kept for a while."""

        def ask() -> Mapping[str, ColumnStatistics]:
            with self._pool.borrowed() as session:
                return read_statistics(session, table)

        return known.STATISTICS.recall(self.login, table, ask)

    def explain(self, request: FragmentRequest) -> str | None:
        """The server's plan as JSON text."""
        return self._explain(plain_sql(request))

    def _explain(self, sql: str) -> str | None:
        with contextlib.suppress(DovetailError), self._pool.borrowed() as session:
            rows = session.rows(f"EXPLAIN FORMAT=JSON {sql}")
            return str(rows[0][0]) if rows else None
        return None

    def check(self) -> Health:
        """Connect, log in, and measure; a failure is described, not raised."""
        try:
            session = self._pool.open()
        except AuthenticationError as error:
            return Health(True, False, problem=error.message)
        except DovetailError as error:
            return Health(False, False, problem=error.message)
        try:
            return self._health(session)
        except DovetailError as error:
            return Health(True, True, version=session.version, problem=error.message)
        finally:
            session.close()

    def _health(self, session: Session) -> Health:
        started = time.perf_counter()
        session.rows("SELECT 1")
        round_trip = time.perf_counter() - started
        sent = time.time()
        server_time = float(session.rows("SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])
        skew = server_time - (sent + time.time()) / 2
        cipher = session.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        size = min(4_000_000, session.max_packet // 2)
        started = time.perf_counter()
        session.rows(f"SELECT REPEAT('x', {size})")
        throughput = size / max(time.perf_counter() - started, 1e-6)
        writes = _write_privileges([row[0] for row in session.rows("SHOW GRANTS")])
        notes: tuple[str, ...] = ()
        if writes:
            notes = (
                f"the account could write ({', '.join(writes[:5])}); Dovetail opens every session "
                "and transaction READ ONLY, an account with SELECT alone is safer",
            )
        product = "MariaDB" if session.mariadb else "MySQL"
        return Health(
            reachable=True,
            authenticated=True,
            version=f"{product} {re.split(r'[-+]', session.version)[0]}",
            read_only=not writes,
            tls=bool(cipher and cipher[0][1]),
            round_trip=round_trip,
            throughput=throughput,
            clock_skew=skew,
            notes=notes,
        )

    def close(self) -> None:
        """Close idle connections; those of running queries close with their snapshots."""
        self._pool.close()


def _write_privileges(grants: list[str]) -> list[str]:
    """The privileges beyond reading that SHOW GRANTS lists."""
    found: dict[str, None] = {}
    for grant in grants:
        match = re.match(r"GRANT (.*?) ON ", grant)
        if match is None:
            continue  # a role, a proxy
        for part in re.split(r",\s*(?![^(]*\))", match[1]):
            privilege = part.split("(")[0].strip().upper()
            if privilege not in _READ_PRIVILEGES:
                found[privilege] = None
    return list(found)


def _estimate(text: str, request: FragmentRequest) -> Estimate | None:
    try:
        block = json.loads(text)["query_block"]
    except (ValueError, KeyError, TypeError):
        return None
    rows = _rows(block)
    cost = block.get("cost", (block.get("cost_info") or {}).get("query_cost"))
    limit = request.query.args.get("limit")
    if rows is not None and limit is not None:
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            rows = min(rows, float(limit.expression.this))
    if rows is None and cost is None:
        return None
    return Estimate(rows=rows, cost=float(cost) if cost is not None else None, detail="EXPLAIN")


def _rows(block: Any) -> float | None:
    """Rows a plan block yields: its tables joined in the order given, before any grouping.

    MySQL tells the rows after each join; MariaDB the rows and the filtered share per table.
    """
    total: float | None = None
    for table in _tables(block):
        if "rows_produced_per_join" in table:
            total = float(table["rows_produced_per_join"])
        elif "rows" in table:
            share = float(table.get("r_filtered", table.get("filtered", 100))) / 100
            total = (1.0 if total is None else total) * float(table["rows"]) * share
    return total


def _tables(node: Any) -> list[dict[str, Any]]:
    """The tables of one block in join order; subqueries have blocks of their own."""
    if isinstance(node, list):
        return [table for item in node for table in _tables(item)]
    if not isinstance(node, dict):
        return []
    found: list[dict[str, Any]] = []
    for key, value in node.items():
        if key == "table" and isinstance(value, dict):
            found.append(value)
        elif key == "union_result" or key.endswith("subqueries") or key == "query_specifications":
            continue
        elif isinstance(value, (dict, list)):
            found.extend(_tables(value))
    return found
