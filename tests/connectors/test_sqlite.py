"""SQLite files in the shared suite, and what only SQLite has."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dovetail.catalog.model import TableInfo
from dovetail.config import SQLiteSettings
from dovetail.connectors.base import FragmentRequest, OutputColumn
from dovetail.connectors.sqlite import SETTLED, SQLiteConnector
from dovetail.errors import CancelledError, DataError, SourceUnavailableError, StaleCatalogError
from dovetail.types import parse_type
from tests.connectors.suite import (
    Adapter,
    ConnectorSuite,
    Tables,
    alias_of,
    engine,
    read,
    request_for,
    wait_until,
)
from tests.databases import create_table


def connector_for(path: Path) -> SQLiteConnector:
    return SQLiteConnector("old", SQLiteSettings(kind="sqlite", path=path))


def settle(path: Path) -> None:
    """Make a file look as if it was last written a while ago."""
    past = time.time() - 10 * SETTLED
    os.utime(path, (past, past))


def elsewhere(path: Path, *statements: str) -> str:
    """Run SQL on the file in another process (locks belong to a process); what went wrong."""
    code = (
        "import sqlite3, sys\n"
        "try:\n"
        "    with sqlite3.connect(sys.argv[1], timeout=0.2) as c:\n"
        "        for s in sys.argv[2:]: c.execute(s)\n"
        "except sqlite3.Error as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *statements],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Callable[..., SQLiteConnector]]:
    """``database("create …", "insert …")`` makes a settled file and a connector over it."""
    with contextlib.ExitStack() as stack:

        def make(*statements: str, settled: bool = True) -> SQLiteConnector:
            path = tmp_path / "old.db"
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                for statement in statements:
                    connection.execute(statement)
            if settled:
                settle(path)
            connector = connector_for(path)
            stack.callback(connector.close)
            return connector

        yield make


def table_of(connector: SQLiteConnector, name: str = "t") -> TableInfo:
    table = connector.catalog().table(None, name)
    assert table is not None
    return table


def values(connector: SQLiteConnector, name: str = "t") -> list[dict[str, Any]]:
    return read(connector, request_for(table_of(connector, name))).to_pylist()


def is_typed(connector: SQLiteConnector, columns: Sequence[str] | None = None) -> bool:
    """Whether the table ``t`` would be read by the typed road."""
    with contextlib.closing(connector.snapshot()) as snapshot:
        relation = snapshot.native(request_for(table_of(connector), columns), "source_old")
    assert relation is not None
    return "sqlite_query" not in relation.sql


class TestSuite(ConnectorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
        folder = tmp_path_factory.mktemp("sqlite")
        numbers = iter(range(1000))
        latest: list[Path] = []

        def make(tables: Tables) -> SQLiteConnector:
            path = folder / f"{next(numbers)}.db"
            latest[:] = [path]
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                for name, (table, declared) in tables.items():
                    connection.execute(create_table("sqlite", name, declared))
                    places = ", ".join("?" * len(declared.columns))
                    quoted = name.replace('"', '""')
                    rows = (
                        [str(v) if v is not None and type(v).__name__ in _AS_TEXT else v for v in r]
                        for r in zip(*(c.to_pylist() for c in table.columns), strict=True)
                    )
                    connection.executemany(f'INSERT INTO "{quoted}" VALUES ({places})', rows)
            if next(numbers) % 2:
                settle(path)
            return connector_for(path)

        def insert(table: str, row: Sequence[Any]) -> None:
            # In rollback mode a reader keeps writers out: this fails, and that is consistent too.
            elsewhere(latest[0], f'INSERT INTO "{table}" VALUES ({", ".join(map(str, row))})')

        return Adapter(
            "sqlite",
            make,
            insert=insert,
            types=frozenset(_TYPES),
            gaps={
                "test_a_missing_column_is_a_clear_error": (
                    "never",
                    "a scan is read by its scan, not its query; see test_what_is_gone_is_stale",
                )
            },
        )


_TYPES = ["BOOLEAN", "BIGINT", "DOUBLE", "DECIMAL(15,2)", "VARCHAR", "DATE", "TIMESTAMP", "BLOB"]
_AS_TEXT = frozenset(["Decimal", "date", "datetime"])


# --- catalog --------------------------------------------------------------------------------------


def test_catalog_of_every_kind_of_table(database: Any) -> None:
    connector = database(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE, qty INT, "
        "twice INT GENERATED ALWAYS AS (qty * 2) STORED, UNIQUE (name, qty))",
        'CREATE TABLE c (a INT, b INT REFERENCES p, x TEXT REFERENCES P("name"), '
        "PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE TABLE s (i INTEGER NOT NULL, a ANY) STRICT",
        "CREATE VIEW v AS SELECT id, name || '!' AS loud, count(*) OVER () AS n FROM p",
        "CREATE VIEW broken AS SELECT * FROM nowhere",
        "CREATE UNIQUE INDEX part ON p (qty) WHERE qty > 0",
        "INSERT INTO p (id, name, qty) VALUES (1, 'a', 2), (7, 'b', 3)",
        "INSERT INTO s VALUES (1, 'x')",
    )
    catalog = connector.catalog()
    assert [(t.name, t.kind) for t in catalog.tables] == [
        ("broken", "view"),
        ("c", "table"),
        ("p", "table"),
        ("s", "table"),
        ("v", "view"),
    ]
    p, c, s, v = (catalog.table(None, name) for name in "pcsv")
    assert p is not None
    assert c is not None
    assert s is not None
    assert v is not None
    assert [(x.name, str(x.type), x.nullable) for x in p.columns] == [
        ("id", "BIGINT", False),
        ("name", "VARCHAR", True),
        ("qty", "BIGINT", True),
        ("twice", "BIGINT", True),
    ]
    assert (p.primary_key, p.row_estimate) == (("id",), 7)
    assert sorted(p.unique_keys) == [("name",), ("name", "qty")]
    assert c.primary_key == ("b", "a")
    assert {(k.columns, k.ref_table, k.ref_columns) for k in c.foreign_keys} == {
        (("b",), "p", ("id",)),
        (("x",), "p", ("name",)),
    }
    assert [(x.name, str(x.type), x.nullable) for x in s.columns] == [
        ("i", "BIGINT", False),
        ("a", "VARCHAR", True),
    ]
    assert [str(x.type) for x in v.columns] == ["BIGINT", "VARCHAR", "BIGINT"]
    broken = catalog.table(None, "broken")
    assert broken is not None
    assert "nowhere" in str(broken.details["problem"])
    assert values(connector, "v") == [
        {"id": 1, "loud": "a!", "n": 2},
        {"id": 7, "loud": "b!", "n": 2},
    ]
    with pytest.raises(StaleCatalogError, match=r"old: no such table: main\.nowhere"):
        values(connector, "broken")


def test_rows_are_known_from_analyze(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT)",
        "CREATE INDEX i ON t (b)",
        "INSERT INTO t VALUES (1, 1), (1000000, 1)",
        "ANALYZE",
    )
    assert table_of(connector).row_estimate == 2


# --- roads ----------------------------------------------------------------------------------------


def test_clean_data_takes_the_typed_road(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (i INTEGER, d DECIMAL(10,2), s TEXT, day DATE, r REAL, b BLOB, o BOOLEAN)",
        "INSERT INTO t VALUES (1, 1.1, 'ä', '2024-02-29', 0.1, x'00ff', 1), "
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL), (-1, 12345678.99, '', '0001-01-01', 1e300, "
        "x'', 0)",
    )
    assert is_typed(connector)
    before = values(connector)
    with contextlib.closing(sqlite3.connect(connector.path)) as other, other:
        other.execute("UPDATE t SET day = 0 WHERE i = -1")
    settle(connector.path)
    assert not is_typed(connector)
    assert is_typed(connector, ["i", "d", "s", "r", "b", "o"])
    after = values(connector)
    assert str(after[2].pop("day")) == "1970-01-01"
    before[2].pop("day")
    assert after == before


def test_a_file_that_is_being_written_takes_the_encoded_road(database: Any) -> None:
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)", settled=False)
    assert not is_typed(connector)
    assert values(connector) == [{"i": 1}]


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE t (i INTEGER, g INT AS (i + 1))",
        "CREATE TABLE t (i INTEGER, d TEXT DEFAULT (strftime('%s', 'now')))",
        "CREATE VIEW t AS SELECT 1 AS i",
        "CREATE TABLE t (i INTEGER, at DATETIME)",
    ],
)
def test_what_the_scanner_would_not_take_is_encoded(database: Any, made: str) -> None:
    connector = database(made)
    assert not is_typed(connector)
    read(connector, request_for(table_of(connector)))


def test_a_trigger_named_like_its_table_is_no_trap(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (i INTEGER)",
        "CREATE TRIGGER T AFTER INSERT ON t BEGIN SELECT 1; END",
        "INSERT INTO t VALUES (5)",
    )
    assert values(connector) == [{"i": 5}]


def test_a_write_between_planning_and_reading_is_noticed(database: Any) -> None:
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
    request = request_for(table_of(connector))
    with (
        engine(connector) as (instance, _),
        contextlib.closing(connector.snapshot()) as snapshot,
    ):
        assert "sqlite_query" not in snapshot.native(request, alias_of(connector)).sql
        assert elsewhere(connector.path, "INSERT INTO t VALUES ('text')") == ""
        instance.execute("BEGIN")
        with pytest.raises(StaleCatalogError, match="was written to while"):
            snapshot.begin_native(lambda sql: instance.execute(sql).fetchall(), alias_of(connector))


def test_computed_columns_of_a_larger_fragment(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (g TEXT, v INTEGER)", "INSERT INTO t VALUES ('b', 2), ('a', 1), ('b', 3)"
    )
    import sqlglot

    query = sqlglot.parse_one("SELECT g, sum(v) AS s FROM t GROUP BY g ORDER BY g DESC")
    assert isinstance(query, sqlglot.exp.Query)
    columns = (OutputColumn("g", parse_type("VARCHAR")), OutputColumn("s", parse_type("BIGINT")))
    request = FragmentRequest(query, columns)
    for road in ("native", "stream"):
        assert read(connector, request, road).to_pylist() == [  # type: ignore[arg-type]
            {"g": "b", "s": 5},
            {"g": "a", "s": 1},
        ]


# --- snapshots and locks --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("typed", [True, False])
def test_one_query_reads_one_state(tmp_path: Path, mode: str, typed: bool) -> None:
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA journal_mode = {mode}")
        with made:
            made.execute("CREATE TABLE t (i INTEGER)")
            made.execute("CREATE TABLE u (i INTEGER)")
            made.execute("INSERT INTO t VALUES (1)")
            made.execute("INSERT INTO u VALUES (1)")
    if typed:
        settle(path)
    connector = connector_for(path)
    catalog = connector.catalog()
    requests = [request_for(catalog.table(None, name)) for name in "tu"]  # type: ignore[arg-type]
    with (
        engine(connector) as (instance, _),
        contextlib.closing(connector.snapshot()) as snapshot,
    ):
        relations = [snapshot.native(r, alias_of(connector)).sql for r in requests]
        assert all(("sqlite_query" in relation) != typed for relation in relations)
        instance.execute("BEGIN")
        snapshot.begin_native(lambda sql: instance.execute(sql).fetchall(), alias_of(connector))
        counts = [instance.execute(f"SELECT count(*) FROM {relations[0]}").fetchone()]
        refused = elsewhere(path, "INSERT INTO u VALUES (2)", "INSERT INTO t VALUES (2)")
        # Without a write-ahead log a reader keeps writers out; with one it reads the old state.
        assert ("locked" in refused) == (mode == "delete")
        counts += [
            instance.execute(f"SELECT count(*) FROM {r}").fetchone() for r in relations[::-1]
        ]
        assert counts == [(1,), (1,), (1,)]
        instance.execute("COMMIT")
    assert elsewhere(path, "INSERT INTO u VALUES (3)") == ""
    expected = 2 if mode == "delete" else 3
    assert read(connector, requests[1]).num_rows == expected


def test_reading_the_catalog_does_not_drop_the_lock_of_a_query(database: Any) -> None:
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
    table_of(connector)
    with (
        engine(connector) as (instance, _),
        contextlib.closing(connector.snapshot()) as snapshot,
    ):
        instance.execute("BEGIN")
        snapshot.begin_native(lambda sql: instance.execute(sql).fetchall(), alias_of(connector))
        connector.catalog()
        connector.check()
        assert "locked" in elsewhere(connector.path, "INSERT INTO t VALUES (2)")


def test_a_locked_file_is_a_clear_error(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.connectors.sqlite.BUSY_TIMEOUT", 0.2)
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
    request = request_for(table_of(connector))
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(connector.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            for attempt in (
                connector.catalog,
                lambda: read(connector, request),
                lambda: read(connector, request, "stream"),
            ):
                with pytest.raises(
                    SourceUnavailableError, match=r"old: .*old\.db is locked"
                ) as error:
                    attempt()
                assert error.value.retryable
            assert "is locked" in str(connector.check().problem)
        finally:
            holder.communicate("")
    assert values(connector) == [{"i": 1}]


def test_nothing_is_ever_written(database: Any) -> None:
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
    before = connector.path.read_bytes()
    with engine(connector) as (instance, _):
        for statement in (
            "INSERT INTO source_old.t VALUES (2)",
            "DROP TABLE source_old.t",
            "FROM sqlite_query('source_old', 'DELETE FROM t RETURNING i')",
            "FROM sqlite_query('source_old', 'PRAGMA user_version = 5')",
        ):
            with contextlib.suppress(Exception):
                instance.execute(statement).fetchall()
    assert connector.path.read_bytes() == before


def test_cancel_ends_a_stream(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (i INTEGER)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) "
        "INSERT INTO t SELECT i FROM n",
    )
    request = request_for(table_of(connector))
    snapshot = connector.snapshot()
    reader = snapshot.read(request).reader
    assert reader.read_next_batch().num_rows > 0
    snapshot.cancel()
    with pytest.raises(CancelledError):
        reader.read_all()
    snapshot.close()
    wait_until(lambda: elsewhere(connector.path, "INSERT INTO t VALUES (1)") == "", "still locked")


# --- files that are none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; path must name a SQLite file"),
        (b"not a database, but long enough to look like one " * 30, "is not a SQLite file"),
    ],
)
def test_no_sqlite_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    connector = connector_for(path)
    with pytest.raises(SourceUnavailableError, match=message) as error:
        connector.catalog()
    assert error.value.source == "old"
    assert message in str(connector.check().problem)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="is a folder"):
        connector_for(tmp_path).catalog()


def test_a_damaged_file_is_named(database: Any) -> None:
    connector = database(
        "CREATE TABLE t (s TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) "
        "INSERT INTO t SELECT hex(randomblob(100)) FROM n",
    )
    request = request_for(table_of(connector))
    content = bytearray(connector.path.read_bytes())
    content[8192:200_000] = b"\xff" * (200_000 - 8192)
    connector.path.write_bytes(content)
    with pytest.raises(SourceUnavailableError, match=r"old\.db is damaged"):
        read(connector, request)


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("road", ["native", "stream"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE t", "source old: no such table: t"),
        ("ALTER TABLE t RENAME COLUMN i TO j", "source old: .*no such column: i"),
    ],
)
def test_what_is_gone_is_stale(
    database: Any, road: Any, change: str, message: str, settled: bool
) -> None:
    connector = database("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1)")
    request = request_for(table_of(connector))
    with contextlib.closing(sqlite3.connect(connector.path)) as other, other:
        other.execute(change)
    if settled:
        settle(connector.path)
    with pytest.raises(StaleCatalogError, match=message):
        read(connector, request, road)


def test_errors_name_table_and_column(database: Any) -> None:
    connector = database("CREATE TABLE t (qty INTEGER)", "INSERT INTO t VALUES (1), ('many')")
    with pytest.raises(Exception, match=r"old\.main\.t\.qty holds .* BIGINT: text 'many'") as error:
        read(connector, request_for(table_of(connector)))
    assert "dovetail-data:" in str(error.value) or isinstance(error.value, DataError)
