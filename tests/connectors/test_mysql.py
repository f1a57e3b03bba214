"""MySQL/MariaDB as a source: catalog, SQL as sent, consistency, cancelling, faults."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pymysql
import pytest
import sqlglot
from sqlglot import exp

from dovetail.catalog.model import TableInfo
from dovetail.connectors import mysql_snapshot
from dovetail.connectors.base import FragmentRequest, OutputColumn
from dovetail.connectors.mysql import MySQLConnector
from dovetail.connectors.mysql_sql import render_fragment, safe_literals
from dovetail.connectors.rendered import comment
from dovetail.errors import (
    AuthenticationError,
    CancelledError,
    ConfigError,
    SourceError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from dovetail.types import BIGINT, VARCHAR, parse_type
from tests.connectors.suite import read, request_for, rows, wait_until
from tests.connectors.test_mysql_suite import connector_for, ours
from tests.databases import Database, Declared, create_database, quoted
from tests.servers import Server


@pytest.fixture
def connector(mariadb_database: Database) -> Iterator[MySQLConnector]:
    with contextlib.closing(connector_for(mariadb_database)) as made:
        yield made


@pytest.fixture(scope="module")
def numbers(mariadb_database: Database) -> str:
    """A table that takes a while to read: 150,000 rows of about 100 bytes."""
    mariadb_database.execute(
        "CREATE TABLE numbers (id int PRIMARY KEY, filler varchar(100) NOT NULL)",
        "INSERT INTO numbers SELECT seq, REPEAT('x', 90) FROM seq_1_to_150000",
    )
    return "numbers"


def query(text: str, *columns: OutputColumn, tag: str = "t") -> FragmentRequest:
    parsed = sqlglot.parse_one(text, read="mysql")
    assert isinstance(parsed, exp.Query)
    return FragmentRequest(parsed, columns or (OutputColumn("c", VARCHAR),), tag=tag)


def table_of(connector: MySQLConnector, name: str) -> TableInfo:
    table = connector.catalog().table(None, name)
    assert table is not None
    return table


# --- catalog --------------------------------------------------------------------------------------


def test_catalog_shows_comments_keys_views_and_estimates(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute(
        "CREATE TABLE customers (id int PRIMARY KEY COMMENT 'the number', "
        "email varchar(50) NOT NULL COLLATE utf8mb4_bin, a int, b int, doc json, "
        "UNIQUE KEY by_email (email), UNIQUE KEY by_both (a, b)) COMMENT 'who buys'",
        "CREATE TABLE orders (no int, line int, customer int, PRIMARY KEY (no, line), "
        "FOREIGN KEY (customer) REFERENCES customers (id))",
        "INSERT INTO customers (id, email) SELECT seq, CONCAT(seq, '@x') FROM seq_1_to_500",
        "CREATE VIEW named AS SELECT id, email FROM customers",
        "ANALYZE TABLE customers",
    )
    catalog = connector.catalog()
    assert catalog.default_schema == mariadb_database.name
    customers, orders = catalog.table(None, "customers"), catalog.table(None, "orders")
    view = catalog.table(mariadb_database.name, "NAMED")
    assert customers is not None
    assert orders is not None
    assert view is not None
    assert customers.comment == "who buys"
    assert customers.columns[0].comment == "the number"
    assert customers.columns[1].collation == "utf8mb4_bin"
    assert customers.columns[1].native_type == "varchar(50)"
    assert customers.columns[4].type.text == "JSON"
    assert customers.primary_key == ("id",)
    assert customers.unique_keys == (("a", "b"), ("email",))
    assert customers.row_estimate is not None
    assert 400 <= customers.row_estimate <= 600
    assert customers.byte_estimate
    assert customers.details == {"engine": "InnoDB"}
    assert orders.primary_key == ("no", "line")
    (key,) = orders.foreign_keys
    assert (key.columns, key.ref_table, key.ref_columns) == (("customer",), "customers", ("id",))
    assert (view.kind, view.row_estimate, view.comment) == ("view", None, "")
    assert [c.name for c in view.columns] == ["id", "email"]


def test_default_is_every_database_but_the_systems(mariadb_database: Database) -> None:
    with contextlib.closing(connector_for(mariadb_database, schemas=None)) as connector:
        schemas = connector.catalog().schemas()
    assert mariadb_database.name in schemas
    assert not {"mysql", "sys", "information_schema", "performance_schema"} & set(schemas)


def test_a_configured_database_that_is_not_there_is_named(mariadb_database: Database) -> None:
    with (
        contextlib.closing(connector_for(mariadb_database, schemas=("nowhere",))) as connector,
        pytest.raises(ConfigError, match=r"source crm: no database nowhere.*it sees"),
    ):
        connector.catalog()


def test_tables_that_differ_in_case_get_distinct_names(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute(
        "CREATE TABLE `Twice` (a int)",
        "CREATE TABLE `twice` (b int)",
        "INSERT INTO twice VALUES (7)",
    )
    found = [t for t in connector.catalog().tables if t.name.lower().startswith("twice")]
    assert sorted((t.name, t.source_name) for t in found) == [
        ("Twice", "Twice"),
        ("twice_1", "twice"),
    ]
    (other,) = [t for t in found if t.name == "twice_1"]
    assert rows(connector, request_for(other), "stream") == [(7,)]


def test_hostile_names(mariadb_database: Database, connector: MySQLConnector) -> None:
    names = ["select", 'quo"te', "back`tick", "dot.ted", "per%cent", "brace{0}", "back\\slash",
             "a'b", "semi;colon--", "/*! 1 */", "ünïcode", "x" * 64]  # fmt: skip
    table = "T o'\"`\\ ünï"
    mariadb_database.load(
        table,
        pa.table({n: pa.array([i], pa.int32()) for i, n in enumerate(names)}),
        Declared(dict.fromkeys(names, "INTEGER")),
    )
    found = read(connector, request_for(table_of(connector, table)), "stream")
    assert found.to_pylist() == [{n: i for i, n in enumerate(names)}]


# --- SQL as sent ----------------------------------------------------------------------------------

HOSTILE = [
    "'", "''", "\\", "\\'", "\\\\'", "' OR 1=1 -- ", "\\' OR 1=1 -- ", "\x00", "\x00'", "a\nb",
    "\r\n", "\t", "\x1a", "\b", "\x7f", '"', "`", "%", "_", "\\%", "/*! SELECT 1 */",
    "; DROP TABLE x",
    "😀", "ä'\\", "\x01\x1f", "{0}", "%s", "?", "x'27'", "\\x27", "\u2028", "¿'",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI"])
def test_a_literal_stays_one_value_in_every_mode(mariadb_database: Database, mode: str) -> None:
    select = ", ".join(f"{{{i}}}" for i in range(len(HOSTILE)))
    literals = [safe_literals(exp.select(exp.Literal.string(text))) for text in HOSTILE]
    texts = [node.selects[0].sql("mysql") for node in literals]
    with contextlib.closing(mariadb_database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SET sql_mode = '{mode}'")
        cursor.execute("SELECT " + select.format(*texts))
        assert list(cursor.fetchone()) == HOSTILE


def test_hostile_literals_through_a_fragment(connector: MySQLConnector) -> None:
    literals = [exp.alias_(exp.Literal.string(t), f"c{i}") for i, t in enumerate(HOSTILE)]
    columns = tuple(OutputColumn(f"c{i}", VARCHAR) for i in range(len(HOSTILE)))
    request = FragmentRequest(exp.select(*literals), columns, tag="t")
    assert list(rows(connector, request, "stream")[0]) == HOSTILE


def test_hostile_literals_in_a_filter(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute(
        "CREATE TABLE hostile (id int, a varchar(50) COLLATE utf8mb4_nopad_bin)"
    )
    with contextlib.closing(mariadb_database.connect()) as connection:
        connection.cursor().executemany(
            "INSERT INTO hostile VALUES (%s, %s)", list(enumerate(HOSTILE))
        )
    table = table_of(connector, "hostile")
    for number, text in enumerate(HOSTILE):
        request = request_for(table)
        request.query.where(exp.column("a").eq(exp.Literal.string(text)), copy=False)
        assert rows(connector, request, "stream") == [(number, text)]


def test_comments_and_hints_never_reach_the_server() -> None:
    parsed = sqlglot.parse_one(
        "SELECT /*+ MAX_EXECUTION_TIME(1) */ a /* x */ AS c FROM t", read="mysql"
    )
    parsed.selects[0].comments = ["! DROP TABLE t"]
    request = FragmentRequest(parsed, (OutputColumn("c", BIGINT),), tag="a*/; DROP TABLE t; /*")
    sql = comment(request.tag) + render_fragment(request, 1 << 20).body
    assert sql.startswith("/* aDROPTABLEt */ SELECT CONCAT_WS(")
    assert sql.count("/*") == 1
    assert "DROP TABLE" not in sql
    assert "MAX_EXECUTION_TIME" not in sql


def test_text_that_utf8_cannot_express_is_refused(connector: MySQLConnector) -> None:
    request = FragmentRequest(
        exp.select(exp.alias_(exp.Literal.string("\ud800\\"), "c")), (OutputColumn("c", VARCHAR),)
    )
    with pytest.raises(Exception, match="UTF-8 cannot express"):
        rows(connector, request, "stream")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id AS c FROM t3 ORDER BY c DESC LIMIT 2", [(3,), (2,)]),
        ("SELECT -id AS c FROM t3 ORDER BY 1 LIMIT 1", [(-3,)]),
        ("SELECT -id AS id FROM t3 ORDER BY id LIMIT 1", [(-3,)]),
        ("SELECT DISTINCT grp AS c FROM t3 ORDER BY c DESC", [(2,), (1,)]),
        ("SELECT grp AS c FROM t3 GROUP BY grp HAVING COUNT(*) > 1", [(1,)]),
        ("SELECT SUM(id) AS c FROM t3 GROUP BY grp ORDER BY SUM(id) DESC LIMIT 1", [(3,)]),
        ("SELECT SUM(id) AS c FROM t3", [(6,)]),
        (
            "SELECT id AS c FROM t3 UNION SELECT grp FROM t3 ORDER BY c LIMIT 2 OFFSET 1",
            [(2,), (3,)],
        ),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY id DESC) AS c FROM t3 ORDER BY id",
            [(3,), (2,), (1,)],
        ),
        ("WITH w AS (SELECT MAX(id) AS m FROM t3) SELECT m AS c FROM w", [(3,)]),
        ("SELECT c FROM (SELECT id AS c FROM t3 WHERE id < 3) AS s WHERE c > 1", [(2,)]),
        ("SELECT (SELECT MAX(id) FROM t3) AS c", [(3,)]),
        ("SELECT id AS c FROM t3 WHERE EXISTS (SELECT 1 FROM t3 AS o WHERE o.grp > t3.id)", [(1,)]),
    ],
)
def test_fragments_keep_their_meaning(
    mariadb_database: Database, connector: MySQLConnector, text: str, expected: list[Any]
) -> None:
    mariadb_database.execute(
        "CREATE OR REPLACE TABLE t3 (id int, grp int)",
        "INSERT INTO t3 VALUES (1, 1), (2, 1), (3, 2)",
    )
    parsed = sqlglot.parse_one(text, read="mysql")
    for table in parsed.find_all(exp.Table):
        if table.name == "t3":
            table.set("db", exp.to_identifier(mariadb_database.name))
    name = parsed.named_selects[0]
    request = FragmentRequest(parsed, (OutputColumn(name, BIGINT),), tag="t")
    with contextlib.closing(connector.snapshot()) as snapshot:
        found = snapshot.read(request).reader.read_all().to_pylist()
    assert [tuple(row.values()) for row in found] == expected


# --- sessions -------------------------------------------------------------------------------------


def test_sessions_are_pinned_and_read_only(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute("CREATE TABLE target (a int)")
    with connector._pool.borrowed() as session:
        ((zone, mode, packet, wait, collation),) = session.rows(
            "SELECT @@time_zone, @@sql_mode, @@max_allowed_packet, @@net_write_timeout, "
            "@@collation_connection"
        )
        assert zone == "+00:00"
        assert set(mode.split(",")) == {"STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION"}
        assert packet == session.max_packet
        assert wait >= 3600  # a consumer may pause without losing its stream
        assert collation == "utf8mb4_nopad_bin"
    with contextlib.closing(
        connector_for(
            mariadb_database,
            user=mariadb_database.server.admin_user,
            password=mariadb_database.server.admin_password,
        )
    ) as powerful:
        for statement in ("INSERT INTO target VALUES (1)", "CREATE TABLE other (a int)"):
            with (
                powerful._pool.borrowed() as session,
                pytest.raises(SourceQueryError, match="READ ONLY"),
            ):
                session.rows(statement)
        health = powerful.check()
        assert health.read_only is False
        assert "READ ONLY" in health.notes[0]
    health = connector.check()
    assert health.read_only is True
    assert health.version.startswith("MariaDB ")
    assert health.tls is False
    assert health.throughput is not None
    assert health.throughput > 0
    assert health.clock_skew is not None
    assert abs(health.clock_skew) < 5


def test_connections_are_kept_and_reused(
    mariadb_database: Database, connector: MySQLConnector, numbers: str
) -> None:
    request = request_for(table_of(connector, numbers), ["id"], "id < 10")
    for _ in range(5):
        assert len(rows(connector, request, "stream")) == 9
    assert len(ours(mariadb_database)) == 1
    killed = ours(mariadb_database)[0][0]
    mariadb_database.execute(f"KILL {killed}")
    assert len(rows(connector, request, "stream")) == 9  # a dead idle connection goes unnoticed
    connector.close()
    wait_until(lambda: not ours(mariadb_database), "a connection was left open")


def test_unix_socket(mariadb_database: Database) -> None:
    server = mariadb_database.server
    if not server.socket:
        pytest.skip("never: a given server is reached over TCP only")
    with contextlib.closing(
        connector_for(mariadb_database, socket=server.socket, host="nowhere.invalid", port=1)
    ) as connector:
        assert connector.check().problem is None
    missing = f"{server.socket}.missing"
    with (
        contextlib.closing(connector_for(mariadb_database, socket=missing)) as connector,
        pytest.raises(SourceUnavailableError, match="source crm cannot be reached"),
    ):
        connector.catalog()


def test_tls_that_the_server_does_not_offer_is_an_error(mariadb_database: Database) -> None:
    for mode in ("require", "verify-ca", "verify-full"):
        with (
            contextlib.closing(connector_for(mariadb_database, ssl=mode)) as connector,
            pytest.raises(SourceUnavailableError, match=r"source crm: TLS failed.*SSL is required"),
        ):
            connector.catalog()


def test_a_refused_login_is_told_at_once(mariadb_database: Database) -> None:
    secret = "wr0ng'\\pass"
    with contextlib.closing(connector_for(mariadb_database, password=secret)) as connector:
        with pytest.raises(AuthenticationError, match="source crm refused the login") as caught:
            connector.catalog()
        health = connector.check()
    assert secret not in str(caught.value) + repr(caught.value) + str(caught.value.__context__)
    assert (health.reachable, health.authenticated) == (True, False)


def test_a_database_that_does_not_exist(mariadb_database: Database) -> None:
    gone = Database(mariadb_database.server, "no_such_db")
    with (
        contextlib.closing(connector_for(gone)) as connector,
        pytest.raises(SourceError, match=r"source crm.*no_such_db"),
    ):
        connector.catalog()


def test_the_servers_connection_limit(mariadb_database: Database, numbers: str) -> None:
    server = mariadb_database.server
    server.execute(
        "CREATE OR REPLACE USER crowded@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1",
        f"GRANT SELECT ON `{mariadb_database.name}`.* TO crowded@'%'",
    )
    with contextlib.closing(
        connector_for(mariadb_database, user="crowded", password="x")
    ) as connector:
        table = table_of(connector, numbers)
        requests = [request_for(table, ["id"]), request_for(table, ["id"], "id > 5")]
        # One connection is to be had: both fragments are read over it.
        with contextlib.closing(connector.snapshot()) as snapshot:
            snapshot.prepare(requests)
            streams = [snapshot.read(request) for request in requests]
            assert [stream.reader.read_all().num_rows for stream in streams] == [150_000, 149_995]
        connector._pool.forget_idle()
        with (
            contextlib.closing(
                server.connect(mariadb_database.name, admin=True, user="crowded", password="x")
            ),
            pytest.raises(SourceUnavailableError, match="accepts no more connections") as caught,
        ):
            connector.catalog()
    assert caught.value.retryable
    assert caught.value.suggestions


def test_estimates_and_plans(
    mariadb_database: Database, connector: MySQLConnector, numbers: str
) -> None:
    mariadb_database.execute(f"ANALYZE TABLE {numbers}")
    table = table_of(connector, numbers)
    whole = connector.estimate(request_for(table))
    assert whole is not None
    assert whole.rows is not None
    assert 100_000 < whole.rows < 200_000
    one = connector.estimate(request_for(table, ["id"], "id = 7"))
    assert one is not None
    assert one.rows == 1
    some = connector.estimate(request_for(table, ["id"], "id < 1000"))
    assert some is not None
    assert some.rows is not None
    assert 500 < some.rows < 2000
    limited = request_for(table, ["id"])
    limited.query.limit(5, copy=False)
    few = connector.estimate(limited)
    assert few is not None
    assert few.rows == 5
    plan = connector.explain(request_for(table))
    assert plan is not None
    assert json.loads(plan)["query_block"]
    assert connector.estimate(query("SELECT nonsense FROM nowhere")) is None


# --- consistency ----------------------------------------------------------------------------------


class Transfers:
    """A writer that moves money between two tables, one transaction each, until stopped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self.done = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with contextlib.closing(self._database.connect()) as connection:
            cursor = connection.cursor()
            while not self._stop.is_set():
                cursor.execute("BEGIN")
                cursor.execute("UPDATE money_a SET v = v - 1 WHERE id = 1")
                cursor.execute("UPDATE money_b SET v = v + 1 WHERE id = 1")
                cursor.execute("COMMIT")
                self.done += 1

    def __enter__(self) -> Transfers:
        self._thread.start()
        wait_until(lambda: self.done > 0, "the writer does not write")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


@pytest.fixture(scope="module")
def money(mariadb_database: Database) -> list[str]:
    names = ["money_a", "money_b"]
    for name in names:
        mariadb_database.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v bigint NOT NULL)",
            f"INSERT INTO {name} SELECT seq, 1000 FROM seq_1_to_20000",
        )
    return names


@pytest.mark.parametrize("road", ["validated", "spooled"])
def test_fragments_see_one_state_while_others_write(
    mariadb_database: Database,
    connector: MySQLConnector,
    money: list[str],
    road: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if road == "spooled":  # as on a server where somebody always writes
        positions = map(str, itertools.count())
        monkeypatch.setattr(mysql_snapshot, "_marker", lambda session: next(positions))
    catalog = connector.catalog()
    requests = [request_for(catalog.table(None, name)) for name in money]
    validated = []
    with Transfers(mariadb_database) as transfers:
        before = transfers.done
        for _ in range(40 if road == "validated" else 5):
            with contextlib.closing(connector.snapshot()) as snapshot:
                snapshot.prepare(requests)
                streams = [snapshot.read(request) for request in requests]
                total = sum(
                    value.as_py()
                    for stream in streams
                    for value in stream.reader.read_all().column("v")
                )
                validated.append(snapshot.validated)
            assert total == 2 * 20000 * 1000
        assert transfers.done > before, "nothing was written meanwhile"
    if road == "spooled":
        assert not any(validated)


def test_a_quiet_server_gives_a_common_snapshot_at_once(
    connector: MySQLConnector, money: list[str]
) -> None:
    catalog = connector.catalog()
    requests = [request_for(catalog.table(None, name)) for name in money]

    def common() -> bool:
        with contextlib.closing(connector.snapshot()) as snapshot:
            snapshot.prepare(requests)
            assert len(snapshot._sessions) in (1, 2)
            return bool(snapshot.validated)

    wait_until(common, "no common snapshot though nobody writes", 30)


def test_more_fragments_than_connections(
    mariadb_database: Database, numbers: str, tmp_path: Any
) -> None:
    with contextlib.closing(connector_for(mariadb_database, max_connections=2)) as connector:
        connector.options["spool_directory"] = tmp_path
        table = table_of(connector, numbers)
        requests = [request_for(table, ["id", "filler"], f"id > {n}") for n in range(6)]
        with contextlib.closing(connector.snapshot()) as snapshot:
            snapshot.prepare(requests)
            streams = [snapshot.read(request) for request in requests]
            first = [stream.reader.read_next_batch() for stream in streams]
            assert len(ours(mariadb_database)) == 2
            counts = []
            for batch, stream in zip(first, streams, strict=True):
                ids = pa.Table.from_batches([batch, *stream.reader]).column("id").to_pylist()
                assert len(set(ids)) == len(ids)
                counts.append(len(ids))
            assert counts == [150_000 - n for n in range(6)]
            # A later stage, not announced: the same snapshot still.
            late = snapshot.read(request_for(table, ["id"], "id < 4"))
            assert late.reader.read_all().num_rows == 3
        assert list(tmp_path.iterdir()) == []


def test_later_reads_see_the_same_state(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute("CREATE TABLE growing (a int)", "INSERT INTO growing VALUES (1)")
    request = request_for(table_of(connector, "growing"))
    with contextlib.closing(connector.snapshot()) as snapshot:
        assert snapshot.read(request).reader.read_all().num_rows == 1
        mariadb_database.execute("INSERT INTO growing VALUES (2)")
        assert snapshot.read(request).reader.read_all().num_rows == 1
    assert len(rows(connector, request, "stream")) == 2


def test_all_connections_in_use_is_told(
    mariadb_database: Database, numbers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.connectors.mysql_connect._LEASE_SECONDS", 0.2)
    with contextlib.closing(connector_for(mariadb_database, max_connections=1)) as connector:
        request = request_for(table_of(connector, numbers))
        with (
            contextlib.closing(connector.snapshot()) as first,
            contextlib.closing(connector.snapshot()) as second,
        ):
            first.read(request)
            with pytest.raises(SourceUnavailableError, match="all 1 connections"):
                second.read(request)
        assert len(rows(connector, request, "stream")) == 150_000


# --- ending ---------------------------------------------------------------------------------------


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run in a thread; the list gets what it returned or raised."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


SLOW = "SELECT BENCHMARK(1000000000, SHA2('x', 512)) + COUNT(*) AS c FROM {}.numbers"


def test_cancel_ends_a_statement_that_has_no_row_yet(
    mariadb_database: Database, connector: MySQLConnector, numbers: str
) -> None:
    snapshot = connector.snapshot()
    request = query(SLOW.format(mariadb_database.name), OutputColumn("c", BIGINT), tag="slow-1")
    thread, results = in_thread(lambda: snapshot.read(request).reader.read_all())
    wait_until(
        lambda: any("/* slow-1 */" in (info or "") for *_, info in ours(mariadb_database)),
        "the statement never ran",
    )
    snapshot.cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(results[0], CancelledError)
    assert "crm" in str(results[0])
    snapshot.close()
    wait_until(
        lambda: all(command == "Sleep" for _, command, _ in ours(mariadb_database)),
        "a statement was left running at the server",
    )
    connector.close()
    wait_until(lambda: not ours(mariadb_database), "a connection was left open")


def test_cancel_in_mid_stream(
    mariadb_database: Database, connector: MySQLConnector, numbers: str
) -> None:
    request = request_for(table_of(connector, numbers))
    snapshot = connector.snapshot()
    stream = snapshot.read(request)
    stream.reader.read_next_batch()
    snapshot.cancel()
    with pytest.raises(CancelledError):
        for _ in stream.reader:
            pass
    with pytest.raises(CancelledError):
        snapshot.read(request)
    snapshot.close()
    connector.close()
    wait_until(lambda: not ours(mariadb_database), "a connection was left open")


def test_closing_early_ends_the_statement(
    mariadb_database: Database, connector: MySQLConnector, numbers: str
) -> None:
    request = request_for(table_of(connector, numbers))
    with contextlib.closing(connector.snapshot()) as snapshot:
        snapshot.read(request).reader.read_next_batch()
    wait_until(
        lambda: all(command == "Sleep" for _, command, _ in ours(mariadb_database)),
        "a statement was left running at the server",
    )
    assert len(rows(connector, request, "stream")) == 150_000


@pytest.mark.parametrize(
    ("kill", "error", "message"),
    [
        ("KILL QUERY", SourceQueryError, "source crm: the server ended the statement"),
        ("KILL", SourceUnavailableError, "source crm went away while it was read"),
    ],
)
def test_a_stream_that_is_killed_never_looks_whole(
    mariadb_database: Database,
    connector: MySQLConnector,
    numbers: str,
    kill: str,
    error: type[SourceError],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    request = request_for(table_of(connector, numbers))
    with contextlib.closing(connector.snapshot()) as snapshot:
        stream = snapshot.read(request)
        stream.reader.read_next_batch()
        mariadb_database.execute(f"{kill} {snapshot._sessions[0].id}")
        with pytest.raises(error, match=message) as caught:
            for _ in stream.reader:
                pass
    assert caught.value.source == "crm"
    assert capfd.readouterr() == ("", "")
    assert len(rows(connector, request, "stream")) == 150_000


def test_a_server_that_dies_in_mid_stream(
    own_server: Callable[[str], Server], capfd: pytest.CaptureFixture[str]
) -> None:
    server = own_server("mysql")
    database = create_database(server, "dying")
    database.execute(
        "CREATE TABLE numbers (id int PRIMARY KEY, filler varchar(100))",
        "INSERT INTO numbers SELECT seq, REPEAT('x', 90) FROM seq_1_to_150000",
    )
    with contextlib.closing(connector_for(database)) as connector:
        request = request_for(table_of(connector, "numbers"))
        with contextlib.closing(connector.snapshot()) as snapshot:
            stream = snapshot.read(request)
            stream.reader.read_next_batch()
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(SourceUnavailableError, match="source crm went away"):
                for _ in stream.reader:
                    pass
        with pytest.raises(SourceUnavailableError, match="source crm cannot be reached"):
            rows(connector, request, "stream")
        assert not connector.check().reachable
    assert capfd.readouterr() == ("", "")


def test_what_is_gone_makes_the_catalog_stale(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute("CREATE TABLE fading (a int, b int)")
    request = request_for(table_of(connector, "fading"))
    mariadb_database.execute("ALTER TABLE fading DROP COLUMN b")
    with pytest.raises(StaleCatalogError, match=r"source crm .*'b'") as caught:
        rows(connector, request, "stream")
    assert caught.value.table == f"crm.{mariadb_database.name}.fading"
    mariadb_database.execute("DROP TABLE fading")
    with pytest.raises(StaleCatalogError, match=r"source crm .*fading"):
        rows(connector, request, "stream")


def test_a_view_that_fails_at_run_time_is_a_query_error(
    mariadb_database: Database, connector: MySQLConnector
) -> None:
    mariadb_database.execute(
        "CREATE TABLE halves (a int)",
        "INSERT INTO halves VALUES (1), (2)",
        "CREATE VIEW failing AS SELECT (SELECT h.a FROM halves AS h) AS c FROM halves",
    )
    with (
        contextlib.closing(connector.snapshot()) as snapshot,
        pytest.raises(SourceQueryError, match=r"source crm: .*more than 1 row.*error 1242"),
    ):
        snapshot.read(request_for(table_of(connector, "failing"))).reader.read_all()


def test_driver_internals_that_the_reader_relies_on() -> None:
    """The reader takes over PyMySQL's socket: these names must exist in any version we allow."""
    connection = pymysql.connections.Connection
    for name in ("_execute_command", "_read_packet", "_read_query_result", "_force_close"):
        assert callable(getattr(connection, name))
    assert parse_type("BIGINT") is not None
    assert quoted("mysql", "a`b") == "`a``b`"
