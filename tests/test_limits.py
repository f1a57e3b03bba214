"""Limits stop a query with the promised error; under them it spills and gets through."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dovetail
from dovetail.errors import (
    BytesExceededError,
    MemoryExceededError,
    RowsExceededError,
    TempSpaceExceededError,
)
from dovetail.execution.profile import Profile
from dovetail.session import Session
from tests.databases import Database
from tests.faults import MYSQL, POSTGRES, check_nothing_runs, failing, our_threads, read_all

ROWS = 1_000_000
BIG_SORT = "SELECT * FROM files.big ORDER BY b, a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``big.parquet``: a million rows, some 80 MB once they are in memory."""
    made = tmp_path_factory.mktemp("big")
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT range AS a, md5(range::VARCHAR) || md5((range * 7)::VARCHAR) AS b"
            f" FROM range({ROWS})) TO '{made}/big.parquet' (ROW_GROUP_SIZE 10240)"
        )
    return made


@pytest.fixture(scope="module")
def databases(postgres_database: Database, mariadb_database: Database) -> dict[str, Database]:
    numbers = "CREATE TABLE numbers (a INTEGER, b VARCHAR(100))"
    postgres_database.execute(
        *POSTGRES,
        numbers,
        "INSERT INTO numbers SELECT i, repeat('x', 100) FROM generate_series(1, 20000) AS i",
    )
    mariadb_database.execute(
        *MYSQL, numbers, "INSERT INTO numbers SELECT seq, REPEAT('x', 100) FROM seq_1_to_20000"
    )
    return {"pg": postgres_database, "my": mariadb_database}


def opened(folder: Path, databases: dict[str, Database], **limits: Any) -> Session:
    sources: dict[str, Any] = {name: d.source() for name, d in databases.items()}
    sources["files"] = {"kind": "files", "path": str(folder)}
    return dovetail.connect({"sources": sources, "limits": {"threads": 2, **limits}})


@pytest.fixture(params=["pg", "my", "files"])
def table(request: pytest.FixtureRequest) -> str:
    return {"files": "files.big"}.get(request.param, f"{request.param}.numbers")


# --- rows and bytes -------------------------------------------------------------------------------


def test_max_rows(table: str, folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases, max_rows=10_000) as session:
        outcome = failing(
            lambda: read_all(session, f"SELECT a FROM {table}"), RowsExceededError, 20
        )
        assert "10000 rows" in outcome.text
        assert "max_rows" in outcome.text
        assert read_all(session, f"SELECT a FROM {table} LIMIT 10000") == 10_000
        check_nothing_runs(session)


@pytest.mark.parametrize("table", ["pg.numbers", "my.numbers"])
def test_max_bytes_moved(table: str, folder: Path, databases: dict[str, Database]) -> None:
    """20,000 rows of 100 bytes are two million; a result of one row must not hide them."""
    with opened(folder, databases, max_bytes_moved=1_000_000) as session:
        sql = f"SELECT count(DISTINCT b || random()) FROM {table}"
        outcome = failing(lambda: session.sql(sql), BytesExceededError, 20)
        assert "1000000 bytes" in outcome.text
        assert "max_bytes_moved" in outcome.text
        few = session.sql(f"SELECT a, b FROM {table} WHERE a <= 100 AND a > 0 ORDER BY a")
        assert [a for a, _ in few.rows()] == list(range(1, 101))
        check_nothing_runs(session)


def test_files_move_nothing(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases, max_bytes_moved=1_000_000) as session:
        assert session.sql("SELECT count(b), min(a) FROM files.big").rows() == [(ROWS, 0)]
    limits = {"limits": {"max_bytes_moved": 1_000_000}}
    with dovetail.connect(limits, allowed_directories=[str(folder)]) as session:
        by_path = f"SELECT count(b), min(a) FROM '{folder}/big.parquet'"
        assert session.sql(by_path).rows() == [(ROWS, 0)]


def test_bytes_of_all_fragments_count(folder: Path, databases: dict[str, Database]) -> None:
    """The limit lies above every single fragment, below their sum."""
    sql = (
        "SELECT count(x.b || y.b || z.b) FROM pg.numbers x JOIN my.numbers y ON x.a = y.a "
        "JOIN my.numbers z ON z.a = y.a"
    )
    apart = {"pg": "never", "my": "never"}  # else a source would join its tables
    with opened(folder, databases) as session:
        result = session.sql(sql, pushdown=apart)
        assert result.rows() == [(20_000,)]
        parts = [fragment.bytes for fragment in result.profile.fragments]
        limit = 20_000 * 130  # a row has an integer and a text of 100
        assert max(parts) < limit < sum(parts)
    with opened(folder, databases, max_bytes_moved=limit) as session:
        failing(lambda: session.sql(sql, pushdown=apart), BytesExceededError, 20)


# --- memory and disk ------------------------------------------------------------------------------


def test_a_big_sort_spills_under_the_memory_limit(
    folder: Path, databases: dict[str, Database]
) -> None:
    with opened(folder, databases, memory=100_000_000) as session:
        result = session.sql(BIG_SORT)
        last, rows = "", 0
        for batch in result.batches():
            column = batch.column("b")
            assert last <= column[0].as_py() <= column[-1].as_py()
            last, rows = column[-1].as_py(), rows + batch.num_rows
        assert rows == ROWS
        assert result.profile.spilled_bytes > 0
        assert result.profile.peak_memory > 50_000_000
        again = session.sql("SELECT 1")  # on the same instance; the peaks are not its own
        again.rows()
        assert again.profile.peak_memory is None
        check_nothing_runs(session)


def test_a_big_group_spills_under_the_memory_limit(
    folder: Path, databases: dict[str, Database]
) -> None:
    with opened(folder, databases, memory=100_000_000) as session:
        sql = "SELECT count(*), sum(n) FROM (SELECT b, count(*) AS n FROM files.big GROUP BY b)"
        assert session.sql(sql).rows() == [(ROWS, ROWS)]


def test_memory_exceeded(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases, memory=60_000_000) as session:
        # One list of everything cannot be spilled.
        outcome = failing(
            lambda: session.sql("SELECT list(b ORDER BY b) FROM files.big").rows(),
            MemoryExceededError,
            30,
        )
        assert "limits.memory" in outcome.text
        check_nothing_runs(session)
        assert session.sql("SELECT count(*) FROM files.big").rows() == [(ROWS,)]


def test_temp_space_exceeded(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases, memory=60_000_000, temp_space=4_000_000) as session:
        outcome = failing(lambda: read_all(session, BIG_SORT), TempSpaceExceededError, 30)
        assert "limits.temp_space" in outcome.text
        check_nothing_runs(session)
        assert session.sql("SELECT max(a) FROM files.big").rows() == [(ROWS - 1,)]


def test_disk_full(folder: Path, tmp_path: Path) -> None:
    """A real full disk: a tiny file system of its own, in namespaces of its own."""
    unshare = shutil.which("unshare")
    assert unshare, "the test needs util-linux"
    script = textwrap.dedent(
        f"""
        import os, dovetail
        from dovetail.errors import TempSpaceExceededError
        config = {{
            "sources": {{"files": {{"kind": "files", "path": {str(folder)!r}}}}},
            "limits": {{"threads": 2, "memory": 60_000_000, "temp_directory": {str(tmp_path)!r}}},
        }}
        with dovetail.connect(config) as session:
            # Only once the session is there: DuckDB limits itself to what was free then.
            assert session.sql("SELECT count(*) FROM files.big").rows() == [({ROWS},)]
            free = os.statvfs({str(tmp_path)!r}).f_bavail * os.statvfs({str(tmp_path)!r}).f_bsize
            with open(os.path.join({str(tmp_path)!r}, "filler"), "wb") as filler:
                filler.write(bytes(free - 3_000_000))
            try:
                for _ in session.sql({BIG_SORT!r}).batches():
                    pass
            except TempSpaceExceededError as error:
                print("refused:", error)
            assert session.sql("SELECT max(a) FROM files.big").rows() == [({ROWS} - 1,)]
            assert os.listdir({str(tmp_path)!r}) == ["filler"]
        """
    )
    mount = f'mount -t tmpfs -o size=40m tmpfs "{tmp_path}" && exec "$@"'
    done = subprocess.run(
        [
            *(unshare, "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"),
            *(sys.executable, "-c", script),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr and done.returncode:
        pytest.skip(f"no namespaces for users here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused:"), done.stdout
    assert "temp" in done.stdout


def test_threads(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases, threads=1) as session:
        assert session.sql("SELECT count(*) FROM files.big").rows() == [(ROWS,)]
        (instance,) = session._engine._idle
        assert instance.execute("SELECT current_setting('threads')") == [(1,)]


# --- what a query tells about itself --------------------------------------------------------------


def test_native_fragments_are_measured(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases) as session:
        result = session.sql(
            "SELECT count(x.b), count(y.b), count(z.b) FROM pg.numbers x "
            "JOIN my.numbers y ON x.a = y.a JOIN files.big z ON z.a = x.a WHERE y.a > 0"
        )
        assert result.rows() == [(20_000, 20_000, 20_000)]
        found = {fragment.source: fragment for fragment in result.profile.fragments}
        assert found["pg"].road == "native"
        assert found["pg"].rows == 20_000
        assert found["my"].road == "stream"
        assert found["my"].rows == 20_000
        assert found["files"].rows is not None
        for fragment in found.values():
            assert fragment.bytes >= fragment.rows * 4
            assert fragment.milliseconds > 0
        assert result.profile.bytes_moved == sum(f.bytes for f in found.values())
        assert result.profile.peak_memory > 0
        assert result.profile.spilled_bytes == 0


def test_the_fallback_road_is_measured_too(folder: Path, databases: dict[str, Database]) -> None:
    with opened(folder, databases) as session:
        result = session.sql("PIVOT (SELECT a % 2 AS g, a FROM pg.numbers) ON g USING count(*)")
        assert result.arrow().num_rows >= 1
        assert result.profile.road == "fallback"
        (fragment,) = result.profile.fragments
        assert fragment.rows == 20_000


def test_two_fragments_of_one_table_are_told_apart(
    folder: Path, databases: dict[str, Database]
) -> None:
    with opened(folder, databases) as session:
        result = session.sql(
            "SELECT count(*) FROM (SELECT a FROM pg.numbers WHERE a <= 10) x, "
            "(SELECT a FROM my.numbers WHERE a <= 3) m, "
            "(SELECT a FROM pg.numbers WHERE a > 19995) y"
        )
        assert result.rows() == [(10 * 3 * 5,)]
        rows = sorted(f.rows for f in result.profile.fragments if f.source == "pg")
        assert rows in ([5, 10], [50])


# --- progress -------------------------------------------------------------------------------------


def test_progress(folder: Path, databases: dict[str, Database]) -> None:
    told: list[tuple[float, int, str]] = []

    def on_progress(profile: Profile) -> None:
        rows = sum(fragment.rows or 0 for fragment in profile.fragments)
        told.append((time.monotonic(), rows, threading.current_thread().name))

    with opened(folder, databases) as session:
        result = session.sql("SELECT a, b FROM my.endless LIMIT 300000", on_progress=on_progress)
        begin = time.monotonic()
        assert sum(batch.num_rows for batch in result.batches()) == 300_000
        seconds = time.monotonic() - begin
    assert told
    assert told[-1][1] >= 300_000  # the last word is complete
    assert [rows for _, rows, _ in told] == sorted(rows for _, rows, _ in told)
    assert len(told) <= (seconds + 2) * 10 + 2


@pytest.mark.parametrize("source", ["pg", "my", "files"])
def test_what_a_progress_callback_raises_ends_the_query(
    source: str, folder: Path, databases: dict[str, Database]
) -> None:
    class OwnError(Exception):
        pass

    def on_progress(_: Profile) -> None:
        raise OwnError("enough")

    table = "files.big" if source == "files" else f"{source}.numbers"
    with opened(folder, databases) as session:
        outcome = failing(
            lambda: read_all(session, f"SELECT a, b FROM {table}", on_progress=on_progress),
            OwnError,
            10,
        )
        assert outcome.text == "enough"
        check_nothing_runs(session)
        assert session.sql(f"SELECT count(*) > 0 FROM {table}").rows() == [(True,)]
    assert not our_threads()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not our_threads()
