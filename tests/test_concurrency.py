"""Many queries at once, and one snapshot per source however many fragments a query has."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.connectors.postgres_snapshot import PostgresSnapshot
from dovetail.execution import run
from dovetail.execution.run import Run
from dovetail.session import Session
from tests.databases import Database
from tests.faults import MYSQL, POSTGRES, check_usable, our_threads, wait_until

ACCOUNTS = 2000
MONEY = ACCOUNTS * 100


@pytest.fixture(scope="module")
def databases(postgres_database: Database, mariadb_database: Database) -> dict[str, Database]:
    for database, numbers in (
        (postgres_database, f"SELECT i, 100, i % 2 FROM generate_series(1, {ACCOUNTS}) AS i"),
        (mariadb_database, f"SELECT seq, 100, seq % 2 FROM seq_1_to_{ACCOUNTS}"),
    ):
        database.execute(
            *(POSTGRES if database is postgres_database else MYSQL),
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, money INTEGER, side INTEGER)",
            f"INSERT INTO accounts {numbers}",
        )
        database.analyze()
    return {"pg": postgres_database, "my": mariadb_database}


@pytest.fixture(scope="module")
def config(
    databases: dict[str, Database], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("files")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT range + 1 AS id, 'n' || range AS name FROM range({ACCOUNTS})) "
            f"TO '{folder}/names.parquet'"
        )
    sources: dict[str, Any] = {n: d.source() for n, d in databases.items()}
    sources["shop"] = sources["pg"]
    sources["files"] = {"kind": "files", "path": str(folder)}
    return {"sources": sources, "limits": {"threads": 2}}


@pytest.fixture
def session(config: dict[str, Any]) -> Iterator[Session]:
    with dovetail.connect(config) as opened:
        yield opened
    wait_until(lambda: not our_threads(), f"threads are left: {our_threads()}")


# --- many at once ---------------------------------------------------------------------------------

MIXED = (
    ("SELECT count(*), sum(money) FROM pg.accounts", [(ACCOUNTS, MONEY)]),
    ("SELECT count(*), sum(money) FROM my.accounts", [(ACCOUNTS, MONEY)]),
    ("SELECT count(*) FROM files.names", [(ACCOUNTS,)]),
    ("SELECT count(*) FROM pg.accounts p JOIN my.accounts m ON p.id = m.id", [(ACCOUNTS,)]),
    (
        "SELECT name FROM files.names n JOIN my.accounts m ON n.id = m.id WHERE m.id = 7",
        [("n6",)],
    ),
    (
        "SELECT n.name, p.side + m.side FROM pg.accounts p JOIN my.accounts m USING (id) "
        "JOIN files.names n USING (id) WHERE id = 3",
        [("n2", 2)],
    ),
    ("SELECT 42", [(42,)]),
    (
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r JOIN pg.accounts a "
        "ON a.id = i WHERE i < 10) SELECT max(i) FROM r",
        [(10,)],
    ),
)


def run_mixed(session: Session, worker: int, rounds: int = 4) -> None:
    for turn in range(rounds):
        sql, expected = MIXED[(worker + turn) % len(MIXED)]
        assert session.sql(sql).rows() == expected, sql
        if turn % 2:
            half = session.sql("SELECT * FROM my.accounts")  # closed without being read
            half.close()


def test_eight_threads_on_one_session(session: Session) -> None:
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(run_mixed, session, worker) for worker in range(8)]:
            future.result(60)


def test_several_sessions(config: dict[str, Any]) -> None:
    def work(worker: int) -> None:
        with dovetail.connect(config) as own:
            run_mixed(own, worker, rounds=2)

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(work, worker) for worker in range(3)]:
            future.result(60)


def test_a_failure_is_the_failing_query_s_alone(session: Session) -> None:
    stop = threading.Event()

    def fail() -> int:
        failures = 0
        while not stop.is_set():
            with pytest.raises(dovetail.errors.TimeoutExceededError):
                session.sql("SELECT max(b) FROM shop.slow", timeout=0.3)
            failures += 1
        return failures

    with ThreadPoolExecutor(3) as pool:
        failing = pool.submit(fail)
        try:
            working = [pool.submit(run_mixed, session, n) for n in range(2)]
            for future in working:
                future.result(60)
        finally:
            stop.set()
        assert failing.result(30) > 0
    check_usable(session)


def test_memory_is_shared_out(config: dict[str, Any]) -> None:
    limited = {**config, "limits": {"threads": 1, "memory": 400_000_000}}
    with dovetail.connect(limited) as session:
        held = [session.sql("SELECT a, b FROM shop.endless") for _ in range(2)]
        shares = [
            i.execute_beside("SELECT current_setting('memory_limit')")
            for i in session._engine._busy
        ]
        assert len(shares) == 2
        assert all(share == [("190.7 MiB",)] for share in shares), shares
        for result in held:
            result.close()
        assert session.sql("SELECT count(*) FROM shop.small").rows() == [(3,)]


def test_instances_are_used_again(session: Session) -> None:
    sql, expected = MIXED[3]
    for _ in range(3):
        assert session.sql(sql).rows() == expected
    (instance,) = session._engine._idle
    assert instance.leases == 3


# --- one snapshot per source ----------------------------------------------------------------------


class Writer:
    """Moves money between the two sides all the time; the sum never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self.moves = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self._database.connect() as connection, connection.cursor() as cursor:
                while not self._stop.is_set():
                    cursor.execute("BEGIN")
                    cursor.execute("UPDATE accounts SET money = money - 1 WHERE side = 0")
                    cursor.execute("UPDATE accounts SET money = money + 1 WHERE side = 1")
                    cursor.execute("COMMIT")
                    self.moves += 1
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Writer:
        self._thread.start()
        wait_until(lambda: self.moves > 0 or self._error is not None, "the writer does nothing")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        if self._error is not None:
            raise self._error


# Four fragments of one source: volatile text keeps each side's aggregate in the engine.
SUMS = """
    SELECT (SELECT sum(money + n.id - n.id) FROM {s}.accounts a JOIN files.names n USING (id)
            WHERE side = 0),
           (SELECT sum(money + n.id - n.id) FROM {s}.accounts a JOIN files.names n USING (id)
            WHERE side = 1),
           (SELECT sum(money) FROM {s}.accounts),
           (SELECT max(money) - min(money) FROM {s}.accounts WHERE side = 1)
"""


@pytest.mark.parametrize("road", ["pg native", "pg stream", "pg both", "my stream"])
def test_fragments_of_one_source_see_one_state(
    road: str,
    session: Session,
    databases: dict[str, Database],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, how = road.split()
    if source == "pg" and how != "native":
        native = PostgresSnapshot.native

        def some(self: PostgresSnapshot, request: Any, alias: str) -> Any:
            if how == "stream" or "side" in request.query.sql():
                return None
            return native(self, request, alias)

        monkeypatch.setattr(PostgresSnapshot, "native", some)
    roads: set[str] = set()
    with Writer(databases[source]) as writer:
        begin = writer.moves
        deadline = time.monotonic() + 30
        for _ in range(8):
            result = session.sql(SUMS.format(s=source))
            ((one, other, all_, spread),) = result.rows()
            assert one + other == all_ == MONEY
            assert spread == 0
            mine = [f for f in result.profile.fragments if f.source == source]
            assert len(mine) >= 2
            roads |= {f.road for f in mine}
        wait_until(lambda: writer.moves > begin, "nothing was written", deadline - time.monotonic())
    assert roads == ({"native", "stream"} if how == "both" else {how})


# --- streams that the engine wants twice ----------------------------------------------------------


def test_a_stream_read_twice_is_read_from_a_table_instead(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that scans a fragment two times must run again, never see nothing."""
    runs: list[frozenset[int]] = []
    plain = Run.__init__

    def twice(self: Run, engine: Any, connectors: Any, work: Any, *rest: Any) -> None:
        def statement(relations: Any) -> str:
            (relation,) = relations.values()
            return f"SELECT count(*) AS n FROM {relation} a JOIN {relation} b USING (id)"

        runs.append(work.materialize)
        plain(self, engine, connectors, with_changes(work, statement=statement), *rest)

    monkeypatch.setattr(run.Run, "__init__", twice)
    result = session.sql("SELECT id FROM my.accounts")
    assert result.rows() == [(ACCOUNTS,)]
    assert runs == [frozenset(), frozenset({1})]
    assert len(result.profile.fragments) == 1


# --- what a query costs besides the work ----------------------------------------------------------


def test_own_time_of_a_warm_trivial_query(session: Session) -> None:
    """A guard against the grossest losses; bench/ has the figures, on a quiet machine."""
    sql = "SELECT p.id, m.id FROM pg.accounts p JOIN my.accounts m ON p.id = m.id WHERE p.id = 1"
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        assert session.sql(sql).rows() == [(1, 1)]
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.5, times
