"""Real servers that fail in every way: the promised error, in time, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import dovetail
from dovetail.connectors.postgres_snapshot import PostgresSnapshot
from dovetail.errors import (
    CancelledError,
    DataError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
    TimeoutExceededError,
)
from tests.databases import Database, create_database
from tests.faults import (
    MYSQL,
    POSTGRES,
    InThread,
    Place,
    check_nothing_runs,
    check_usable,
    failing,
    left_clean,
    our_threads,
    read_all,
    wait_until,
)
from tests.servers import Server

SLOW = "SELECT max(b) FROM shop.slow"
ENDLESS = "SELECT a, b FROM shop.endless"


@pytest.fixture(scope="module")
def databases(postgres_database: Database, mariadb_database: Database) -> dict[str, Database]:
    postgres_database.execute(*POSTGRES)
    mariadb_database.execute(*MYSQL)
    return {"postgres": postgres_database, "mysql": mariadb_database}


@pytest.fixture(params=["postgres native", "postgres stream", "mysql stream"])
def place(
    request: pytest.FixtureRequest,
    databases: dict[str, Database],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A healthy source; fragments come to the engine on the road that the name says."""
    kind, road = request.param.split()
    if request.param == "postgres stream":
        monkeypatch.setattr(PostgresSnapshot, "native", lambda *_: None)
    return Place(databases[kind], native=road == "native")


# --- the source goes away -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_down_at_start(kind: str, databases: dict[str, Database]) -> None:
    settings = {**databases[kind].source(), "port": 1, "connect_timeout": 2}
    import dovetail

    with dovetail.connect({"sources": {"shop": settings}}) as session:
        outcome = failing(
            lambda: session.sql("SELECT * FROM shop.small"), SourceUnavailableError, 10
        )
        assert "shop" in outcome.text
        assert outcome.error.source == "shop"
        assert databases[kind].server.password not in outcome.text
    assert not our_threads()


def test_connection_ended_in_mid_stream(place: Place) -> None:
    with left_clean(place) as session:
        result = session.sql(ENDLESS)
        batches = result.batches()
        next(batches)
        place.end(place.running("endless")[0], whole=True)
        outcome = failing(lambda: [None for _ in batches], SourceUnavailableError, 5)
        assert outcome.error.source == "shop"
        assert "shop" in outcome.text


def test_all_connections_ended_in_mid_stream(place: Place) -> None:
    """Two fragments, two connections. (DuckDB once aborted the process here, in a destructor.)"""
    with left_clean(place) as session:
        result = session.sql(f"{ENDLESS} UNION ALL {ENDLESS}", rules=False)
        batches = result.batches()
        next(batches)
        assert len(result.profile.fragments) == 2
        for number, *_ in place.connections():
            place.end(number, whole=True)
        failing(lambda: [None for _ in batches], SourceUnavailableError, 5)


def test_connection_ended_before_the_first_row(place: Place) -> None:
    with left_clean(place) as session:
        reading = InThread(lambda: session.sql(SLOW))
        place.end(place.wait_running(session, "slow"), whole=True)
        reading.failed(SourceUnavailableError, 5)


def test_statement_cancelled_by_the_server(place: Place) -> None:
    with left_clean(place) as session:
        reading = InThread(lambda: session.sql(SLOW))
        place.end(place.wait_running(session, "slow"), whole=False)
        outcome = reading.failed(SourceQueryError, 5)
        assert outcome.error.source == "shop"


def test_statement_timeout_of_the_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    database, user = place.database, place.database.server.user
    if place.kind == "postgres":
        change = f"ALTER ROLE {user} IN DATABASE {database.name} SET statement_timeout = {{}}"
        on, off = change.format("'300ms'"), change.format("0")
    else:
        change = f"GRANT USAGE ON *.* TO '{user}'@'%' WITH MAX_STATEMENT_TIME {{}}"
        on, off = change.format(0.3), change.format(0)
    database.execute(on)
    try:
        with place.open() as session:
            outcome = failing(lambda: session.sql(SLOW), SourceQueryError, 8)
            assert "time" in outcome.text.lower()
            assert outcome.error.source == "shop"
            check_usable(session)
    finally:
        database.execute(off)
    wait_until(lambda: not place.connections(), "connections are left")


def test_idle_connections_that_were_cut_are_replaced(place: Place) -> None:
    """A warm session survives a restart of the server between two queries."""
    with left_clean(place) as session:
        check_usable(session)
        for number, *_ in place.connections():
            place.end(number, whole=True)
        wait_until(lambda: not place.connections(), "connections are left")
        check_usable(session)


def _with_a_user_of_its_own(place: Place) -> Place:
    """The same place as another MariaDB user, whose limits no other test meets."""
    database, user, password = place.database, "limited", "x"
    database.execute(
        f"CREATE OR REPLACE USER {user}@'%' IDENTIFIED BY '{password}'",
        f"GRANT SELECT, SHOW VIEW ON `{database.name}`.* TO {user}@'%'",
    )
    server = replace(database.server, user=user, password=password)
    return replace(place, database=replace(database, server=server))


def test_connection_limit_reached(place: Place) -> None:
    if place.kind == "mysql":
        place = _with_a_user_of_its_own(place)
    database, user = place.database, place.database.server.user
    with left_clean(place) as session:
        session.tables("shop")  # the catalog is known
        wait_until(lambda: not place.running(), "the catalog is still being read")
        with contextlib.ExitStack() as stack:
            if place.kind == "postgres":
                database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
                stack.callback(
                    database.server.execute,
                    f"ALTER DATABASE {database.name} CONNECTION LIMIT -1",
                )
            else:
                limit = f"GRANT USAGE ON *.* TO '{user}'@'%' WITH MAX_USER_CONNECTIONS "
                database.execute(limit + "1")
                stack.callback(database.execute, limit + "0")
                for number, *_ in place.connections():
                    place.end(number, whole=True)
                wait_until(lambda: not place.connections(), "connections are left")
                stack.enter_context(contextlib.closing(database.connect(admin=False)))
            outcome = failing(
                lambda: session.sql("SELECT * FROM shop.small"), SourceUnavailableError, 15
            )
            assert "connection" in outcome.text


# --- time limits and cancelling -------------------------------------------------------------------


def test_slow_source_against_a_timeout(place: Place) -> None:
    with left_clean(place) as session:
        check_usable(session)  # connections are there: the limit is about the source alone
        outcome = failing(lambda: session.sql(SLOW, timeout=0.7), TimeoutExceededError, 0.7 + 3)
        assert outcome.seconds > 0.6
        assert "0.7 s" in outcome.text


def test_timeout_of_a_half_read_result(place: Place) -> None:
    """The clock runs while nobody reads, too."""
    with left_clean(place) as session:
        check_usable(session)
        result = session.sql(ENDLESS, timeout=2)
        batches = result.batches()
        next(batches)
        wait_until(lambda: not place.running("endless"), "the source still sends")
        failing(lambda: [None for _ in batches], TimeoutExceededError, 3)


def test_cancel_before_the_first_row(place: Place) -> None:
    with left_clean(place) as session:
        reading = InThread(lambda: session.sql(SLOW))
        place.wait_running(session, "slow")
        for run in list(session._running):
            run.cancel()
        reading.failed(CancelledError, 4)


def test_cancel_from_another_thread_while_rows_are_taken(place: Place) -> None:
    with left_clean(place) as session:
        result = session.sql(ENDLESS)
        reading = InThread(lambda: sum(batch.num_rows for batch in result.batches()))
        wait_until(lambda: result.profile.rows > 100_000, "no rows come")
        result.cancel()
        reading.failed(CancelledError, 4)


def test_cancel_of_an_engine_at_work(place: Place) -> None:
    """The source is done; the engine itself computes for ever."""
    with left_clean(place) as session:
        sql = (
            "SELECT count(*) FROM shop.small x, range(100000000) a(i), range(1000) b(j) "
            "WHERE (a.i * b.j) % 7 = x.a"
        )
        failing(lambda: session.sql(sql, timeout=1), TimeoutExceededError, 1 + 4)


def test_closing_a_half_read_result(place: Place) -> None:
    with left_clean(place) as session:
        result = session.sql(ENDLESS)
        batches = result.batches()
        next(batches)
        begin = time.monotonic()
        result.close()
        assert time.monotonic() - begin < 4
        assert not our_threads()
        failing(lambda: next(batches), CancelledError, 1)
        result.close()  # again: no harm


def test_closing_the_session_under_a_query(place: Place) -> None:
    session = place.open()
    result = session.sql(ENDLESS)
    next(result.batches())
    session.close()
    assert not our_threads()
    wait_until(lambda: not place.connections(), "connections are left")


def test_an_abandoned_result_ends_by_itself(place: Place) -> None:
    with left_clean(place) as session:
        result = session.sql(ENDLESS)
        assert place.running("endless")
        del result
        gc.collect()
        wait_until(lambda: not place.running("endless"), "the source still sends")


def test_an_abandoned_reader_ends_by_itself(place: Place) -> None:
    with left_clean(place) as session:
        reader = session.sql(ENDLESS).reader()  # the result itself is gone already
        assert reader.read_next_batch().num_rows > 0
        assert reader.read_next_batch().num_rows > 0
        reader.close()
        del reader
        gc.collect()
        wait_until(lambda: not place.running("endless"), "the source still sends")


def test_control_c(place: Place) -> None:
    """KeyboardInterrupt while the main thread waits for the first row, and in mid-stream."""

    def press(marker: str) -> None:
        place.wait_running(session, marker)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with left_clean(place) as session:
        for sql, marker in ((SLOW, "slow"), (ENDLESS, "endless")):
            helper = threading.Thread(target=press, args=(marker,))
            helper.start()
            failing(lambda sql=sql: read_all(session, sql), KeyboardInterrupt, 15)
            helper.join()
            check_nothing_runs(session, place)


# --- the source changes ---------------------------------------------------------------------------


@pytest.fixture
def changing(place: Place) -> Iterator[Place]:
    place.database.execute(
        "DROP TABLE IF EXISTS moving",
        "CREATE TABLE moving (a INTEGER, b INTEGER, c INTEGER)",
        "INSERT INTO moving VALUES (1, 10, 100), (2, 20, 200)",
    )
    yield place
    place.database.execute("DROP TABLE IF EXISTS moving")


def test_column_dropped_between_planning_and_reading(changing: Place) -> None:
    with left_clean(changing) as session:
        assert session.sql("SELECT sum(b) FROM shop.moving").rows() == [(30,)]
        changing.database.execute("ALTER TABLE moving DROP COLUMN b")
        # The catalog is read again, once, and the query has no meaning any more.
        with pytest.raises(Exception, match='no column "b"') as caught:
            session.sql("SELECT sum(b) FROM shop.moving")
        assert type(caught.value).__name__ == "UnknownNameError"
        assert session.sql("SELECT * FROM shop.moving ORDER BY a").rows() == [(1, 100), (2, 200)]


def test_star_follows_a_dropped_column(changing: Place) -> None:
    with left_clean(changing) as session:
        assert session.sql("SELECT * FROM shop.moving ORDER BY 1").rows()[0] == (1, 10, 100)
        changing.database.execute("ALTER TABLE moving DROP COLUMN b")
        assert session.sql("SELECT * FROM shop.moving ORDER BY 1").rows()[0] == (1, 100)


def test_type_changed(changing: Place) -> None:
    with left_clean(changing) as session:
        assert session.sql("SELECT c FROM shop.moving ORDER BY 1").rows() == [(100,), (200,)]
        if changing.kind == "postgres":
            changes = ["ALTER TABLE moving ALTER COLUMN c TYPE text USING 'v' || c"]
        else:
            changes = [
                "ALTER TABLE moving MODIFY c VARCHAR(10)",
                "UPDATE moving SET c = concat('v', c)",
            ]
        changing.database.execute(*changes)
        if changing.native:  # the catalog is read again
            rows = session.sql("SELECT c FROM shop.moving ORDER BY 1").rows()
            assert rows == [("v100",), ("v200",)]
        else:
            expected = SourceQueryError if changing.kind == "postgres" else DataError
            outcome = failing(lambda: read_all(session, "SELECT c FROM shop.moving"), expected, 5)
            assert "shop" in outcome.text
            session.refresh()
            assert session.sql("SELECT min(c) FROM shop.moving").rows() == [("v100",)]


def test_a_type_that_changed_is_noticed_after_the_first_rows(postgres_database: Database) -> None:
    """Rows are out, so the query cannot begin again; the next one knows."""
    postgres_database.execute(
        # More than is handed over ahead of the reader.
        "CREATE TABLE late AS SELECT n AS v, repeat('x', 100) AS w "
        "FROM generate_series(1, 400000) n"
    )
    config = {"sources": {"shop": postgres_database.source()}, "limits": {"threads": 1}}
    with dovetail.connect(config) as session:
        assert session.sql("SELECT max(v) FROM shop.late").rows() == [(400_000,)]
        postgres_database.execute(
            "ALTER TABLE late ALTER COLUMN v TYPE text", "INSERT INTO late VALUES ('x', 'x')"
        )
        batches = session.sql("SELECT v, w FROM shop.late").batches()
        next(batches)
        outcome = failing(lambda: [None for _ in batches], StaleCatalogError, 5)
        assert 'source shop: column "v" changed its type' in outcome.text
        assert session.sql("SELECT max(v) FROM shop.late").rows() == [("x",)]
    assert not our_threads()


def test_table_dropped(changing: Place) -> None:
    with left_clean(changing) as session:
        session.sql("SELECT a FROM shop.moving").rows()
        changing.database.execute("DROP TABLE moving")
        with pytest.raises(Exception, match="moving") as caught:
            session.sql("SELECT a FROM shop.moving")
        assert type(caught.value).__name__ in ("UnknownNameError", "StaleCatalogError")


@pytest.mark.parametrize("by_path", [False, True])
def test_a_changed_file_is_read_anew_by_the_same_query(tmp_path: Path, by_path: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    sources = {"f": {"kind": "files", "path": str(tmp_path)}}
    sql = f"SELECT * FROM '{path}'" if by_path else "SELECT * FROM f.t"
    with dovetail.connect({"sources": sources}, allowed_directories=[tmp_path]) as session:
        for content, rows in (("a\n1\n", [(1,)]), ("a\n25\n", [(25,)]), ("b\nx\n", [("x",)])):
            path.write_text(content)
            assert session.sql(sql).rows() == rows
            assert session.sql(sql).rows() == rows


def test_a_catalog_that_is_never_right_is_read_twice_only(
    changing: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with left_clean(changing) as session:
        session.tables()
        catalog = session._catalogs.get("shop")
        changing.database.execute("ALTER TABLE moving DROP COLUMN b")
        reads = []

        def old_catalog() -> object:
            reads.append(1)
            return catalog

        monkeypatch.setitem(session._catalogs._readers, "shop", old_catalog)
        failing(lambda: session.sql("SELECT b FROM shop.moving"), StaleCatalogError, 5)
        assert len(reads) == 1


# --- servers that die -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def doomed(request: pytest.FixtureRequest, own_server: Callable[[str], Server]) -> Place:
    """A server of its own; the last test here kills it."""
    server = own_server(request.param)
    database = create_database(server, "doomed")
    database.execute(*(POSTGRES if request.param == "postgres" else MYSQL))
    return Place(database)


def _family(pid: int) -> list[int]:
    """A process and its children: PostgreSQL has one per connection."""
    children = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as listed:
        children = [int(number) for number in listed.read().split()]
    return [pid, *children]


def test_frozen_server(doomed: Place) -> None:
    """It holds its connections and answers nothing: even a cancel cannot be delivered."""
    pid = doomed.database.server.pid
    with left_clean(doomed) as session:
        check_usable(session)
        result = session.sql(ENDLESS, timeout=3)
        batches = result.batches()
        next(batches)
        frozen = _family(pid)
        for number in frozen:
            os.kill(number, signal.SIGSTOP)
        try:
            failing(lambda: [None for _ in batches], TimeoutExceededError, 3 + 4)
        finally:
            for number in reversed(frozen):
                os.kill(number, signal.SIGCONT)
        # once the server answers again, what was stuck is given back


def test_killed_server(doomed: Place) -> None:
    with left_clean(doomed, usable=False) as session:
        result = session.sql(ENDLESS)
        batches = result.batches()
        next(batches)
        for number in _family(doomed.database.server.pid):
            os.kill(number, signal.SIGKILL)
        outcome = failing(lambda: [None for _ in batches], SourceUnavailableError, 5)
        assert outcome.error.source == "shop"
        # and down at start, with the catalog known
        outcome = failing(
            lambda: session.sql("SELECT a FROM shop.small"), SourceUnavailableError, 10
        )
        assert "shop" in outcome.text
