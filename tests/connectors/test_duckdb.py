"""DuckDB files in the shared suite, and what only DuckDB has."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dovetail.config import DuckDBSettings
from dovetail.connectors import inspector
from dovetail.connectors.base import FragmentRequest, OutputColumn
from dovetail.connectors.duckdb import DuckDBConnector
from dovetail.errors import SourceUnavailableError, StaleCatalogError
from dovetail.types import parse_type
from tests.connectors.suite import (
    Adapter,
    ConnectorSuite,
    Tables,
    engine,
    read,
    request_for,
)
from tests.databases import create_table, quoted


def connector_for(path: Path) -> DuckDBConnector:
    return DuckDBConnector("lake", DuckDBSettings(kind="duckdb", path=path))


def elsewhere(path: Path, sql: str) -> str:
    """Run SQL on the file in another process; what went wrong."""
    code = (
        "import duckdb, sys\n"
        "try:\n"
        "    with duckdb.connect(sys.argv[1]) as c: c.execute(sys.argv[2])\n"
        "except duckdb.Error as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(path), sql]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Callable[[str], DuckDBConnector]]:
    """``database("create …; insert …")`` makes a file and a connector over it."""
    with contextlib.ExitStack() as stack:

        def make(script: str) -> DuckDBConnector:
            path = tmp_path / "lake.duckdb"
            with duckdb.connect(str(path)) as connection:
                connection.execute(script)
            connector = connector_for(path)
            stack.callback(connector.close)
            return connector

        yield make


class TestSuite(ConnectorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
        folder = tmp_path_factory.mktemp("duckdb")
        numbers = iter(range(1000))

        def make(tables: Tables) -> DuckDBConnector:
            path = folder / f"{next(numbers)}.duckdb"
            with duckdb.connect(str(path)) as connection:
                for name, (table, declared) in tables.items():
                    connection.execute(create_table("duckdb", name, declared))
                    connection.register("arrow_table", table)
                    connection.execute(
                        f"INSERT INTO {quoted('duckdb', name)} SELECT * FROM arrow_table"
                    )
            return connector_for(path)

        return Adapter("duckdb", make)


def test_catalog(database: Any) -> None:
    connector = database(
        """
        CREATE TYPE mood AS ENUM ('a', 'b');
        CREATE TABLE p (id INTEGER PRIMARY KEY, m mood, s STRUCT(a INT, "B c" VARCHAR[])[],
                        d DECIMAL(38,10) NOT NULL, UNIQUE (m, d));
        CREATE SCHEMA other;
        CREATE TABLE f (x INTEGER REFERENCES p (id));
        CREATE TABLE other.t AS SELECT range AS i FROM range(1000);
        CREATE VIEW v AS SELECT id + 1 AS next, m FROM p;
        CREATE TABLE gone (i INT);
        CREATE VIEW broken AS FROM gone;
        DROP TABLE gone;
        COMMENT ON COLUMN p.id IS 'the key';
        COMMENT ON TABLE p IS 'things';
        """
    )
    catalog = connector.catalog()
    assert catalog.schemas() == ("main", "other")
    assert [(t.schema, t.name, t.kind) for t in catalog.tables] == [
        ("main", "broken", "view"),
        ("main", "f", "table"),
        ("main", "p", "table"),
        ("main", "v", "view"),
        ("other", "t", "table"),
    ]
    p = catalog.table(None, "p")
    assert p is not None
    assert [(c.name, str(c.type), c.nullable, c.comment) for c in p.columns] == [
        ("id", "INTEGER", False, "the key"),
        ("m", "ENUM('a', 'b')", True, ""),
        ("s", 'STRUCT(a INTEGER, "B c" VARCHAR[])[]', True, ""),
        ("d", "DECIMAL(38,10)", False, ""),
    ]
    assert (p.comment, p.primary_key, p.unique_keys) == ("things", ("id",), (("m", "d"),))
    f, t, v, broken = (catalog.table(None, name) for name in ("f", "t", "v", "broken"))
    assert f is not None
    assert t is not None
    assert v is not None
    assert broken is not None
    (key,) = f.foreign_keys
    assert (key.columns, key.ref_schema, key.ref_table, key.ref_columns) == (
        ("x",),
        "main",
        "p",
        ("id",),
    )
    assert t.row_estimate == 1000
    assert [(c.name, str(c.type)) for c in v.columns] == [
        ("next", "INTEGER"),
        ("m", "ENUM('a', 'b')"),
    ]
    assert "gone" in str(broken.details["problem"])
    assert read(connector, request_for(t), sql="SELECT sum(i) AS s FROM {0}").to_pylist() == [
        {"s": 499500}
    ]


def test_a_view_cannot_reach_other_files(database: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    connector = database(f"CREATE VIEW v AS FROM read_csv('{tmp_path / 'secret.csv'}')")
    (table,) = connector.catalog().tables
    assert table.columns == ()
    assert "disabled by configuration" in str(table.details["problem"])


def test_whole_fragments_run_in_the_file(database: Any) -> None:
    connector = database("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT range AS i FROM range(10)")
    import sqlglot

    query = sqlglot.parse_one(
        'WITH t AS (SELECT i FROM "s"."t" WHERE i > 3) SELECT count(*) AS n FROM t', read="duckdb"
    )
    assert isinstance(query, sqlglot.exp.Query)
    request = FragmentRequest(query, (OutputColumn("n", parse_type("BIGINT")),))
    for road in ("native", "stream"):
        assert read(connector, request, road).to_pylist() == [{"n": 6}]  # type: ignore[arg-type]


def test_a_writer_elsewhere_is_a_clear_error(database: Any) -> None:
    connector = database("CREATE TABLE t (i INT)")
    code = (
        "import duckdb, sys\n"
        "c = duckdb.connect(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(connector.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
            with pytest.raises(SourceUnavailableError, match="is open for writing") as error:
                connector.catalog()
            assert str(writer.pid) in str(error.value)
            assert error.value.retryable
            assert "is open for writing" in str(connector.check().problem)
        finally:
            writer.communicate("")
    assert len(connector.catalog().tables) == 1


def test_a_writer_in_this_process_is_a_clear_error(database: Any) -> None:
    connector = database("CREATE TABLE t (i INT)")
    with (
        duckdb.connect(str(connector.path)),
        pytest.raises(SourceUnavailableError, match="in this very process"),
    ):
        connector.catalog()


def test_writers_wait_until_every_connector_is_closed(database: Any) -> None:
    first = database("CREATE TABLE t (i INT)")
    second = connector_for(first.path)
    try:
        assert len(first.catalog().tables) == len(second.catalog().tables) == 1
        assert inspector.holds(str(first.path.resolve()))
        first.close()
        assert "lock" in elsewhere(first.path, "INSERT INTO t VALUES (1)")
        assert second.check().problem is None
    finally:
        second.close()
    assert not inspector.holds(str(first.path.resolve()))
    assert elsewhere(first.path, "INSERT INTO t VALUES (1)") == ""


def test_a_changed_file_is_opened_anew(database: Any) -> None:
    connector = database("CREATE TABLE t (i INT); INSERT INTO t VALUES (1)")
    request = request_for(connector.catalog().table(None, "t"))
    setup = connector.native_setup()
    # Opening and closing the file in this process gives up its locks (POSIX): a writer gets in.
    with connector.path.open("rb"):
        pass
    assert elsewhere(connector.path, "INSERT INTO t VALUES (2)") == ""
    with pytest.raises(StaleCatalogError, match="was changed since"):
        connector.snapshot()
    assert connector.native_setup() != setup
    assert read(connector, request).to_pylist() == [{"i": 1}, {"i": 2}]
    assert read(connector, request, "stream").num_rows == 2


def test_nothing_is_ever_written(database: Any) -> None:
    connector = database("CREATE TABLE t (i INT); INSERT INTO t VALUES (1)")
    with (
        engine(connector) as (instance, _),
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        instance.execute("INSERT INTO source_lake.t VALUES (2)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; path must name a DuckDB file"),
        (b"something else entirely " * 1000, "is not a DuckDB database file"),
    ],
)
def test_no_duckdb_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.duckdb"
    if content is not None:
        path.write_bytes(content)
    connector = connector_for(path)
    with pytest.raises(SourceUnavailableError, match=message) as error:
        connector.catalog()
    assert error.value.source == "lake"
    assert message in str(connector.check().problem)
