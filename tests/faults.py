"""What fault tests share: servers with slow and endless views, and the search for leftovers."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail.session import Session
from tests.databases import Database

POSTGRES = (
    "CREATE TABLE small (a integer, b text)",
    "INSERT INTO small VALUES (1, 'x'), (2, 'y'), (3, NULL)",
    # every row takes a while
    "CREATE VIEW slow AS SELECT i AS a, pg_sleep(0.002)::text AS b"
    " FROM generate_series(1, 100000) AS i",
    # rows come at once and for as long as anybody wants
    "CREATE VIEW endless AS SELECT generate_series(1, 1000000000) AS a, repeat('x', 200) AS b",
)
MYSQL = (
    "CREATE TABLE small (a INTEGER, b VARCHAR(10))",
    "INSERT INTO small VALUES (1, 'x'), (2, 'y'), (3, NULL)",
    "CREATE VIEW slow AS SELECT seq AS a, SLEEP(0.002) AS b FROM seq_1_to_100000",
    "CREATE VIEW endless AS SELECT seq AS a, REPEAT('x', 200) AS b FROM seq_1_to_1000000000",
)

_UNKNOWN_THREAD = 1094  # MySQL's ER_NO_SUCH_THREAD


def wait_until(condition: Callable[[], bool], message: str, seconds: float = 10) -> None:
    """Poll until the condition holds; fail with the message after so many seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        pause.wait(0.02)
    pytest.fail(message)


def our_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("dovetail")]


@dataclass
class Place:
    """A database to break, as the source ``shop`` of a session."""

    database: Database
    extra: dict[str, Any] = field(default_factory=dict)
    native: bool = False  # the engine reads it itself

    @property
    def kind(self) -> str:
        return self.database.server.kind

    def open(self, **limits: Any) -> Session:
        return dovetail.connect(
            {
                "sources": {"shop": self.database.source(connect_timeout=5, **self.extra)},
                "limits": {"threads": 2, **limits},
            }
        )

    def connections(self) -> list[tuple[int, str, str]]:
        """``(id, state, statement)`` of every connection that Dovetail has here."""
        if self.kind == "postgres":
            return self.database.execute(
                "SELECT pid, state, query FROM pg_stat_activity"
                " WHERE application_name LIKE 'dovetail%' AND datname = current_database()"
            )
        return self.database.execute(
            "SELECT id, command, coalesce(info, '') FROM information_schema.processlist"
            f" WHERE user = '{self.database.server.user}' AND db = database()"
        )

    def running(self, marker: str = "") -> list[int]:
        """Connections in the middle of a statement whose text has ``marker``."""
        idle = ("idle", "Sleep")
        return [
            number
            for number, state, text in self.connections()
            if state not in idle and "in transaction" not in (state or "") and marker in text
        ]

    def wait_running(self, session: Session, marker: str) -> int:
        """The first statement of a run of ``session`` seen over ``marker``.

        It may have ended when this returns. What the planner asks (an EXPLAIN) has ``marker`` in
        its text too, so nothing counts before the run has begun.
        """
        seen: list[int] = []

        def any_seen() -> bool:
            if session._running:
                seen.extend(self.running(marker))
            return bool(seen)

        wait_until(any_seen, f"no statement over {marker} began")
        return seen[0]

    def end(self, number: int, *, whole: bool) -> None:
        """End a statement, or the whole connection, as an administrator.

        A connection that is gone already is as good as ended: when one of a query's connections
        breaks off, Dovetail gives back the others, perhaps before it is their turn here.
        """
        if self.kind == "postgres":
            verb = "pg_terminate_backend" if whole else "pg_cancel_backend"
            self.database.execute(f"SELECT {verb}({number})")
            return
        import pymysql

        try:
            self.database.execute(f"KILL {'' if whole else 'QUERY'} {number}")
        except pymysql.err.OperationalError as error:
            if not whole or error.args[0] != _UNKNOWN_THREAD:
                raise


def check_usable(session: Session) -> None:
    """The next query is right."""
    assert session.sql("SELECT a, b FROM shop.small ORDER BY a").rows() == [
        (1, "x"),
        (2, "y"),
        (3, None),
    ]


def check_nothing_runs(session: Session, place: Place | None = None) -> None:
    """No thread of ours, no statement at the source, no spilled or spooled file."""
    wait_until(lambda: not our_threads(), f"threads are left: {our_threads()}")
    if place is not None:
        wait_until(lambda: not place.running(), "statements are left at the source")
    folder = Path(session._temporary)
    wait_until(lambda: not any(p.is_file() for p in folder.rglob("*")), "temporary files are left")


@contextmanager
def left_clean(place: Place, *, usable: bool = True, **limits: Any) -> Iterator[Session]:
    """A session to break; afterwards it must still work, and its end must leave nothing."""
    session = place.open(**limits)
    folder = Path(session._temporary)
    try:
        yield session
        gc.collect()
        check_nothing_runs(session, place if usable else None)
        if usable:
            check_usable(session)
            check_nothing_runs(session, place)
    finally:
        session.close()
    assert not our_threads()
    assert not folder.exists()
    if usable:
        wait_until(lambda: not place.connections(), "connections are left at the source")


@dataclass
class Outcome:
    error: BaseException
    seconds: float

    @property
    def text(self) -> str:
        return str(self.error)


def failing(work: Callable[[], object], kind: type[BaseException], within: float) -> Outcome:
    """Run ``work``, which must fail with exactly ``kind`` in time."""
    begin = time.monotonic()
    try:
        result = work()
    except BaseException as error:
        seconds = time.monotonic() - begin
        if type(error) is not kind:
            raise
        assert seconds < within, f"it took {seconds:.1f} s"
        return Outcome(error, seconds)
    pytest.fail(f"it did not fail: {result!r}")


class InThread:
    """``work`` in a thread of its own; :meth:`failed` waits for its error."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._outcome: list[object] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:
            self._outcome.append(error)

    def failed(self, kind: type[BaseException], within: float) -> Outcome:
        """``within`` seconds from now."""
        begin = time.monotonic()
        self._thread.join(within)
        assert not self._thread.is_alive(), f"it did not end within {within} s"
        error = self._outcome[0]
        assert isinstance(error, BaseException), f"it did not fail: {error!r}"
        if type(error) is not kind:
            raise error
        return Outcome(error, time.monotonic() - begin)


def read_all(session: Session, sql: str, **options: Any) -> int:
    return sum(batch.num_rows for batch in session.sql(sql, **options).batches())
