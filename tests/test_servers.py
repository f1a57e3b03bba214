"""The servers themselves: what tests may rely on, and that nothing outlives a run."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from tests import conftest, servers
from tests.databases import Database, Declared, create_table, load_sqlite, native_type
from tests.servers import MissingServer, Run, Server

HOSTILE = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int32()),
        "text": ["", None, "NULL", "q\"u,o'te\\n\n\t ä中😀"],
        "money": pa.array([Decimal("1.50"), None, Decimal("-0.01"), Decimal("9999999999999.99")]),
        "day": pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31), dt.date(2024, 2, 29)]),
        "at": pa.array([dt.datetime(2024, 3, 10, 2, 30, 0, 123456), None] * 2, pa.timestamp("us")),
        "bytes": [b"", None, b"\x00\xff'\"\\", b"NULL"],
        "yes": [True, None, False, True],
        "ratio": [0.1, None, -1e300, 5e-324],
    }
)
DECLARED = Declared(
    {
        "id": "INTEGER",
        "text": "VARCHAR(100)",
        "money": "DECIMAL(15,2)",
        "day": "DATE",
        "at": "TIMESTAMP",
        "bytes": "BLOB",
        "yes": "BOOLEAN",
        "ratio": "DOUBLE",
    },
    primary_key=("id",),
)


@pytest.mark.parametrize("which", ["postgres_database", "mariadb_database"])
def test_bulk_loading_is_exact(which: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(which)
    database.load("hostile", HOSTILE, DECLARED)
    database.analyze()
    rows = database.execute("SELECT * FROM hostile ORDER BY id")
    assert [tuple(row) for row in rows] == [tuple(row.values()) for row in HOSTILE.to_pylist()]


def test_sqlite_loading(tmp_path: Path) -> None:
    load_sqlite(tmp_path / "t.db", "hostile", HOSTILE, DECLARED)
    with sqlite3.connect(tmp_path / "t.db") as connection:
        rows = connection.execute(
            "SELECT id, text, day, bytes, typeof(money) FROM hostile"
        ).fetchall()
    connection.close()
    assert rows[0] == (1, "", "0001-01-01", b"", "real")
    assert rows[1] == (2, None, None, None, "null")
    assert rows[3][1] == HOSTILE["text"][3].as_py()


def test_collations(
    postgres_database: Database, postgres_c_database: Database, mariadb_database: Database
) -> None:
    ordered = "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('b'), ('A'), ('a'), ('B')) t(x)"
    assert postgres_database.execute(ordered) == [("aAbB",)]
    assert postgres_c_database.execute(ordered) == [("ABab",)]
    mariadb_database.execute("CREATE TABLE c (x varchar(5))", "INSERT INTO c VALUES ('a'), ('Ä')")
    assert mariadb_database.execute("SELECT count(*) FROM c WHERE x = 'A'") == [(2,)]


@pytest.mark.parametrize("which", ["postgres_database", "mariadb_database"])
def test_the_reader_reads_and_cannot_write(which: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(which)
    database.execute("CREATE TABLE seen (x int)", "INSERT INTO seen VALUES (7)")
    connection = database.connect(admin=False)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT x FROM seen")
        assert list(cursor.fetchall()) == [(7,)]
        with pytest.raises(Exception, match="denied"):
            cursor.execute("INSERT INTO seen VALUES (8)")
    finally:
        connection.close()
    source = database.source()
    assert (source["user"], source["database"]) == ("analyst", database.name)


def test_sessions_do_not_start_in_utc(postgres_server: Server, mariadb_server: Server) -> None:
    with postgres_server.connect(options="") as postgres:
        assert postgres.execute("SHOW timezone").fetchone() == ("America/New_York",)
    assert mariadb_server.execute("SELECT @@global.time_zone") == [("+05:30",)]


def test_no_anonymous_login(mariadb_server: Server) -> None:
    assert mariadb_server.execute("SELECT count(*) FROM mysql.user WHERE user = ''") == [(0,)]


def test_declarations() -> None:
    assert native_type("mysql", "BLOB") == "LONGBLOB"
    text = create_table("mysql", "a`b", Declared({"x": "INTEGER"}, (), ((("x",), "o", ("y",)),)))
    assert text.startswith("CREATE TABLE `a``b` (")
    assert "FOREIGN KEY (`x`) REFERENCES `o` (`y`)" in text


_CHILD = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.servers import Run
run = Run.begin()
found = run.servers(("postgres", "mysql"))
print(json.dumps([str(run.folder), *(server.pid for server in found)]), flush=True)
signal.pause()
"""


def _gone(pid: int) -> bool:
    """Whether a process has ended; one that is dead but not yet collected counts as gone."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_a_killed_run(number: signal.Signals) -> None:
    import json

    root = str(Path(__file__).resolve().parents[1])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DOVETAIL_TEST_")}
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, root],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as child:
        assert child.stdout is not None
        folder, *pids = json.loads(child.stdout.readline())
        assert len(pids) == 2
        assert not any(_gone(pid) for pid in pids)
        child.send_signal(number)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if all(_gone(pid) for pid in pids) and not Path(folder).exists():
            return
        time.sleep(0.05)
    pytest.fail(f"left behind: {pids}, {folder}")


@pytest.mark.parametrize(
    ("kind", "package"), [("postgres", "postgresql"), ("mysql", "mariadb-server")]
)
def test_missing_programs_are_named(
    kind: str, package: str, server_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.servers.shutil.which", lambda name, path=None: None)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    with pytest.raises(MissingServer, match=f"sudo apt-get install .* {package}\n") as caught:
        servers._programs(kind)
    assert f"DOVETAIL_TEST_{kind.upper()}" in str(caught.value)
    with pytest.raises(pytest.fail.Exception, match="apt-get install"):
        conftest.server_or_fail(Run(server_run.folder, None, {}), kind)


def test_given_servers_are_used(
    postgres_server: Server, mariadb_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server, name in ((postgres_server, "POSTGRES"), (mariadb_server, "MYSQL")):
        password = quote(server.admin_password, safe="")
        url = f"{server.kind}://{server.admin_user}:{password}@localhost:{server.port}/"
        monkeypatch.setenv(f"DOVETAIL_TEST_{name}", url)
    run = Run.begin()
    try:
        for started, given in zip(
            (postgres_server, mariadb_server), run.servers(("postgres", "mysql")), strict=True
        ):
            assert (given.port, given.pid) == (started.port, 0)
            assert given.execute("SELECT 1") == [(1,)]
            given.connect(admin=False).close()
        assert not list(run.folder.glob("*.started"))  # nothing was started
    finally:
        run.end()
    assert postgres_server.execute("SELECT 1") == [(1,)]


def test_an_own_server_can_be_killed(own_server: Callable[[str], Server]) -> None:
    import psycopg

    server = own_server("postgres")
    assert server.execute("SELECT 1") == [(1,)]
    os.kill(server.pid, signal.SIGQUIT)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            return
        time.sleep(0.02)
    pytest.fail("it still answers")
