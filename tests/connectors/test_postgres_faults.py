"""What a failing PostgreSQL looks like from above: the promised error, in time, nothing left."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import psycopg
import pytest

from dovetail.connectors.base import FragmentRequest
from dovetail.connectors.postgres import PostgresConnector
from dovetail.connectors.postgres_errors import classify, server_message
from dovetail.errors import (
    AuthenticationError,
    DovetailError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)
from tests.connectors.suite import (
    Road,
    alias_of,
    engine,
    relation_of,
    request_for,
    rows,
    wait_until,
)
from tests.connectors.test_postgres import connector_for
from tests.databases import Database
from tests.servers import Server

BOTH: tuple[Road, ...] = ("native", "stream")


@pytest.fixture(scope="module")
def database(postgres_database: Database) -> Database:
    postgres_database.execute(
        "CREATE TABLE small (a integer, b text)",
        "INSERT INTO small VALUES (1, 'x'), (2, NULL)",
        # every row takes a while: a statement over it is still running when it is to be hit
        "CREATE VIEW slow AS SELECT i AS a, pg_sleep(0.001)::text AS b"
        " FROM generate_series(1, 100000) AS i",
    )
    return postgres_database


@pytest.fixture
def connector(database: Database) -> Iterator[PostgresConnector]:
    made = connector_for(database)
    yield made
    made.close()


def request_of(connector: PostgresConnector, table: str) -> FragmentRequest:
    return request_for(connector.catalog().table(None, table))


def running(database: Database, marker: str = "slow") -> list[int]:
    """Backends of ours that run a statement over the slow view."""
    found = database.execute(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND application_name LIKE"
        f" 'dovetail%' AND query LIKE '%{marker}%' AND pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    return [pid for (pid,) in found]


class Reading:
    """A fragment that is being read in a thread; its outcome is awaited with a limit."""

    def __init__(self, connector: PostgresConnector, request: FragmentRequest, road: Road) -> None:
        self.connector, self.request, self.road = connector, request, road
        self.outcome: Any = None
        self.name = ""
        self.snapshot: Any = None
        self.instance: duckdb.DuckDBPyConnection | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        connector = self.connector
        try:
            with (
                engine(connector) as (instance, self.name),
                contextlib.closing(connector.snapshot()) as self.snapshot,
            ):
                self.instance = instance
                instance.execute("BEGIN")
                if self.road == "stream":
                    self.snapshot.prepare([self.request])
                relation = relation_of(connector, self.snapshot, self.request, self.road, instance)
                if self.road == "native":
                    self.snapshot.begin_native(
                        lambda text: instance.execute(text).fetchall(), alias_of(connector)
                    )
                self.outcome = instance.execute(f"SELECT count(b) FROM {relation}").fetchone()
        except duckdb.Error as error:
            self.outcome = connector.translate_error(error) or error
        except BaseException as error:
            self.outcome = error

    def result(self, seconds: float = 15) -> Any:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the reading did not end"
        return self.outcome


def check_error(error: Any, kind: type[DovetailError], *parts: str) -> None:
    assert type(error) is kind, repr(error)
    assert error.source == "shop"
    text = str(error)
    assert "shop" in text
    for part in parts:
        assert part in text, text
    for hidden in ("SELECT", "COPY", "pw'x", "Traceback"):
        assert hidden not in text, text


@pytest.mark.parametrize("road", BOTH)
def test_server_down(database: Database, road: Road) -> None:
    connector = connector_for(database, port=1)
    request = request_of(connector_for(database), "small")
    begin = time.monotonic()
    with contextlib.closing(connector):
        check_error(
            Reading(connector, request, road).result(),
            SourceUnavailableError,
            "cannot reach PostgreSQL at 127.0.0.1:1/",
            "refused",
        )
        with pytest.raises(SourceUnavailableError, match="cannot reach"):
            connector.estimate(request)
    assert time.monotonic() - begin < 8


@pytest.mark.parametrize("road", BOTH)
def test_wrong_password(database: Database, road: Road) -> None:
    connector = connector_for(database, password="never'it\"\\{}")
    request = request_of(connector_for(database), "small")
    with contextlib.closing(connector):
        error = Reading(connector, request, road).result()
        check_error(error, AuthenticationError, "refused the login")
        assert "never'it" not in repr(error) + str(error.to_dict())
        with pytest.raises(AuthenticationError):
            connector.catalog()
        health = connector.check()
        assert health.reachable
        assert not health.authenticated
        assert health.problem is not None
        assert "never'it" not in health.problem


def test_no_such_database(database: Database) -> None:
    connector = connector_for(database, database="no such one")
    with pytest.raises(AuthenticationError, match="no such database"):
        connector.catalog()


@pytest.mark.parametrize("road", BOTH)
def test_killed_in_mid_stream(database: Database, connector: PostgresConnector, road: Road) -> None:
    reading = Reading(connector, request_of(connector, "slow"), road)
    wait_until(lambda: bool(running(database)), "the statement never ran")
    for pid in running(database):
        database.execute(f"SELECT pg_terminate_backend({pid})")
    check_error(reading.result(), SourceUnavailableError, "closed the connection")
    # and the next query works, on fresh connections
    assert len(rows(connector, request_of(connector, "small"), road)) == 2
    wait_until(lambda: not running(database), "a statement was left running")


def test_an_engine_recovers_from_a_lost_idle_connection(
    database: Database, connector: PostgresConnector
) -> None:
    request = request_of(connector, "small")
    with engine(connector) as (instance, name):
        assert len(rows(connector, request, instance=instance)) == 2
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE application_name = '{name}'"
        )
        assert len(rows(connector, request, instance=instance)) == 2


@pytest.mark.parametrize("road", BOTH)
def test_statement_cancelled_by_the_server(
    database: Database, connector: PostgresConnector, road: Road
) -> None:
    reading = Reading(connector, request_of(connector, "slow"), road)
    wait_until(lambda: bool(running(database)), "the statement never ran")
    for pid in running(database):
        database.execute(f"SELECT pg_cancel_backend({pid})")
    check_error(reading.result(), SourceQueryError, "cancelled the statement")
    wait_until(lambda: not running(database), "a statement was left running")


def test_statement_timeout_of_the_role(database: Database) -> None:
    database.execute("ALTER DATABASE " + f'"{database.name}"' + " SET statement_timeout = '300ms'")
    try:
        connector = connector_for(database)
        with contextlib.closing(connector):
            for road in BOTH:
                error = Reading(connector, request_of(connector, "slow"), road).result()
                check_error(error, SourceQueryError, "statement timeout")
    finally:
        database.execute(f'ALTER DATABASE "{database.name}" RESET statement_timeout')


def test_cancelling_native_work_ends_it_at_the_server(
    database: Database, connector: PostgresConnector
) -> None:
    reading = Reading(connector, request_of(connector, "slow"), "native")
    wait_until(lambda: bool(running(database)), "the statement never ran")
    assert reading.instance is not None
    reading.instance.interrupt()
    connector.cancel_native(reading.name)
    assert isinstance(reading.result(), (DovetailError, duckdb.InterruptException))
    wait_until(lambda: not running(database), "a statement was left running")


def test_cancelling_a_stream_ends_it_at_the_server(
    database: Database, connector: PostgresConnector
) -> None:
    reading = Reading(connector, request_of(connector, "slow"), "stream")
    wait_until(lambda: bool(running(database)), "the statement never ran")
    reading.snapshot.cancel()
    assert isinstance(reading.result(), DovetailError)
    wait_until(lambda: not running(database), "a statement was left running")


@pytest.fixture(scope="module")
def crowded(postgres_server: Server, new_database: Callable[..., Database]) -> Database:
    """A database whose reader may have few connections at once."""
    made = new_database(postgres_server)
    made.execute("CREATE TABLE small (a integer, b text)", "INSERT INTO small VALUES (1, 'x')")
    return made


@pytest.mark.parametrize("road", BOTH)
def test_connection_limit(crowded: Database, road: Road) -> None:
    crowded.execute(f'ALTER DATABASE "{crowded.name}" CONNECTION LIMIT 8')
    connector = connector_for(crowded, connect_timeout=2)
    request = request_of(connector, "small")
    with contextlib.closing(connector), contextlib.ExitStack() as stack:
        crowded.execute(f'ALTER DATABASE "{crowded.name}" CONNECTION LIMIT 1')
        stack.enter_context(crowded.connect(admin=False))
        begin = time.monotonic()
        with pytest.raises(SourceUnavailableError) as caught:
            connector.catalog()
        assert 1 <= time.monotonic() - begin < 6, "not tried again until connect_timeout"
        assert caught.value.retryable
        check_error(caught.value, SourceUnavailableError, "too many connections")
        check_error(
            Reading(connector, request, road).result(),
            SourceUnavailableError,
            "no connection left",
        )
    crowded.execute(f'ALTER DATABASE "{crowded.name}" CONNECTION LIMIT -1')


def test_a_connection_that_becomes_free_is_waited_for(crowded: Database) -> None:
    connector = connector_for(crowded, connect_timeout=10)
    crowded.execute(f'ALTER DATABASE "{crowded.name}" CONNECTION LIMIT 1')
    try:
        other = crowded.connect(admin=False)
        timer = threading.Timer(0.5, other.close)
        timer.start()
        assert connector.catalog().table(None, "small") is not None
        timer.join()
    finally:
        crowded.execute(f'ALTER DATABASE "{crowded.name}" CONNECTION LIMIT -1')


@pytest.mark.parametrize("road", BOTH)
def test_column_dropped_between_catalog_and_read(
    database: Database, connector: PostgresConnector, road: Road
) -> None:
    database.execute("DROP TABLE IF EXISTS moving", "CREATE TABLE moving (a integer, b text)")
    request = request_of(connector, "moving")
    database.execute("ALTER TABLE moving DROP COLUMN b")
    with pytest.raises(StaleCatalogError) as caught:
        rows(connector, request, road)
    check_error(caught.value, StaleCatalogError, '"b"', "changed")
    assert caught.value.retryable
    database.execute("DROP TABLE moving")
    with pytest.raises(StaleCatalogError):
        rows(connector, request, road)
    with pytest.raises(StaleCatalogError):
        connector.estimate(request)


@pytest.mark.parametrize("road", BOTH)
def test_a_column_that_changed_its_type_is_never_misread(
    database: Database, connector: PostgresConnector, road: Road
) -> None:
    """The scanner's own view of a table is cached; reading the binary values of another type by it
    would give garbage. Fragments are described when they run.
    """
    database.execute(
        "DROP TABLE IF EXISTS widening",
        "CREATE TABLE widening (a integer)",
        "INSERT INTO widening VALUES (7)",
    )
    request = request_of(connector, "widening")
    with engine(connector) as (instance, _):
        assert rows(connector, request, road, instance=instance) == [(7,)]
        database.execute("ALTER TABLE widening ALTER a TYPE bigint")
        assert rows(connector, request, road, instance=instance) == [(7,)]
        database.execute("ALTER TABLE widening ALTER a TYPE text")
        assert rows(connector, request, road, instance=instance) == [(7,)]
        database.execute("UPDATE widening SET a = 'x'")
        with pytest.raises((DovetailError, duckdb.ConversionException)):
            rows(connector, request, road, instance=instance)


def test_a_restarted_server_is_reached_again(own_server: Callable[[str], Server]) -> None:
    server = own_server("postgres")
    server.execute("CREATE TABLE small (a integer)", "INSERT INTO small VALUES (1)")
    database = Database(server, "postgres")
    connector = connector_for(database)
    with contextlib.closing(connector):
        request = request_of(connector, "small")
        with engine(connector) as (instance, _):
            assert rows(connector, request, instance=instance) == [(1,)]
            # everything of ours is thrown out, as by a restart
            with contextlib.suppress(psycopg.Error):
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'dovetail%'"
                )
            assert rows(connector, request, instance=instance) == [(1,)]


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        (
            'IO Error: Unable to connect to Postgres at "": connection to server at "127.0.0.1", '
            "port 1 failed: Connection refused\n\tIs the server running?",
            "unreachable",
            "refused",
        ),
        (
            "Binder Error: Failed to prepare query \"SELECT 'password authentication failed'\": "
            'ERROR:  column "x" does not exist\nLINE 1: SELECT x\n',
            "stale",
            'column "x" does not exist',
        ),
        (
            'IO Error: Failed to execute COPY "COPY (SELECT 1) TO STDOUT": FATAL:  terminating '
            "connection due to administrator command\nserver closed the connection unexpectedly",
            "gone",
            "terminating connection",
        ),
        (
            "Invalid Error: FATAL:  sorry, too many clients already",
            "full",
            "too many clients",
        ),
    ],
)
def test_messages_without_a_state_are_understood(text: str, outcome: str, said: str) -> None:
    error = duckdb.IOException(text)
    assert classify(error) == outcome
    assert said in server_message(error)
    assert "COPY" not in server_message(error)
    assert "SELECT" not in server_message(error)


def test_pyarrow_keeps_our_error(database: Database, connector: PostgresConnector) -> None:
    """A stream that is read in Python raises our error itself, not its text."""
    reading = connector.snapshot()
    with contextlib.closing(reading):
        request = request_of(connector, "slow")
        reading.prepare([request])

        def kill() -> None:
            wait_until(lambda: bool(running(database)), "the statement never ran")
            for pid in running(database):
                database.execute(f"SELECT pg_terminate_backend({pid})")

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(SourceUnavailableError):
            for _ in reading.read(request).reader:
                pass
        killer.join()
