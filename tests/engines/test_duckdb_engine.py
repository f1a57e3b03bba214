"""Instances: locked, leased to one query at a time, reused, and closed when they are spoilt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from dovetail.connectors.base import NativeSetup
from dovetail.connectors.extensions import extension_path
from dovetail.engines.duckdb import DuckDBEngine, EngineLimits, Instance


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    made = DuckDBEngine(
        EngineLimits(200_000_000, 2, str(tmp_path / "spill"), 50_000_000), extension_path
    )
    yield made
    made.close()


@pytest.fixture
def lake(tmp_path: Path) -> NativeSetup:
    path = tmp_path / "lake.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS n")
    return NativeSetup(statements=(f"ATTACH '{path}' AS {{alias}} (READ_ONLY)",))


def test_an_instance_is_locked(engine: DuckDBEngine, tmp_path: Path) -> None:
    instance = engine.lease({})
    (tmp_path / "x.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/x.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET preserve_insertion_order=false",
        "SET enable_external_access=true",
        "RESET lock_configuration",
        "INSTALL spatial",
        "LOAD spatial",
        f"SET temp_directory='{tmp_path}'",
    ):
        with pytest.raises(duckdb.Error):
            instance.execute(sql)
    assert not (tmp_path / "out.csv").exists()
    assert instance.execute("SELECT current_setting('TimeZone')") == [("UTC",)]
    assert instance.execute("SELECT current_setting('max_temp_directory_size')") == [("47.6 MiB",)]
    engine.release(instance)


def test_small_queries_use_one_thread() -> None:
    engine = DuckDBEngine(EngineLimits(threads=3), extension_path)
    instance = engine.lease({})
    for all_of_them, threads in ((False, 1), (True, 3), (True, 3), (False, 1)):
        instance.use_threads(all_of_them=all_of_them)
        assert instance.execute("SELECT current_setting('threads')") == [(threads,)]
    engine.release(instance)
    engine.close()


@pytest.mark.parametrize(("told", "least", "most"), [(None, 4, 1000), (2, 2, 2)])
def test_groups_within_a_memory_limit_are_cut_by_at_least_four_threads(
    told: int | None, least: int, most: int
) -> None:
    engine = DuckDBEngine(EngineLimits(200_000_000, told), extension_path)
    instance = engine.lease({})
    instance.use_threads(all_of_them=True)
    [(threads,)] = instance.execute("SELECT current_setting('threads')")
    assert least <= threads <= most
    engine.release(instance)
    engine.close()


def test_python_variables_are_no_tables(engine: DuckDBEngine) -> None:
    secret = pa.table({"a": [1]})  # noqa: F841
    instance = engine.lease({})
    with pytest.raises(duckdb.Error, match="secret"):
        instance.execute("SELECT * FROM secret")
    engine.release(instance)


def test_a_warm_instance_is_used_again(engine: DuckDBEngine, lake: NativeSetup) -> None:
    first = engine.lease({"lake": lake})
    assert first.execute("SELECT n FROM source_lake.t") == [(42,)]
    engine.release(first)
    again = engine.lease({"lake": lake})
    assert again is first
    assert again.leases == 2
    beside = engine.lease({"lake": lake})  # the first is busy
    assert beside is not first
    engine.release(again)
    engine.release(beside)


def test_an_instance_knows_the_sources_seen_so_far(engine: DuckDBEngine, lake: NativeSetup) -> None:
    other = NativeSetup(statements=("ATTACH ':memory:' AS {alias}",))
    engine.release(engine.lease({"lake": lake}))
    both = engine.lease({"other": other})
    assert set(both.attached) == {"lake", "other"}
    engine.release(both)
    assert engine.lease({"lake": lake, "other": other}) is both


def test_a_source_that_is_down_does_not_matter_to_others(
    engine: DuckDBEngine, lake: NativeSetup, tmp_path: Path
) -> None:
    path = tmp_path / "gone.duckdb"
    duckdb.connect(str(path)).close()
    gone = NativeSetup(statements=(f"ATTACH '{path}' AS {{alias}} (READ_ONLY)",))
    engine.release(engine.lease({"gone": gone}))
    engine.forget_idle()
    busy = engine.lease({"gone": gone})
    path.unlink()
    instance = engine.lease({"lake": lake})
    assert instance.execute("SELECT n FROM source_lake.t") == [(42,)]
    with pytest.raises(duckdb.Error):
        engine.lease({"gone": NativeSetup(statements=(*gone.statements, "SELECT 1"))})
    engine.release(instance)
    engine.release(busy)


def test_what_a_query_left_is_gone(engine: DuckDBEngine) -> None:
    instance = engine.lease({})
    instance.register("s", pa.table({"a": [1]}))
    cursor = instance.connect()
    instance.register("beside", pa.table({"a": [1]}), cursor)
    assert cursor.execute("SELECT count(*) FROM beside").fetchall() == [(1,)]
    cursor.execute("CREATE TABLE kept AS SELECT 1 AS a")
    instance.tables.append('"kept"')
    engine.release(instance)
    again = engine.lease({})
    assert again is instance
    for name in ("s", "kept", "beside"):
        with pytest.raises(duckdb.Error, match=name):
            again.execute(f"SELECT * FROM {name}")
    assert not again.beside
    engine.release(again)


@pytest.mark.parametrize("how", ["broken", "disposable"])
def test_a_spoilt_instance_is_closed(engine: DuckDBEngine, how: str) -> None:
    instance = engine.lease({}, disposable=how == "disposable")
    engine.release(instance, broken=how == "broken")
    with pytest.raises(duckdb.Error):
        instance.execute("SELECT 1")
    other = engine.lease({})
    assert other is not instance
    engine.release(other)


def test_schema_setup_runs_before_the_lock(engine: DuckDBEngine) -> None:
    instance = engine.lease(
        {}, schema_setup=["ATTACH ':memory:' AS shop", "CREATE SCHEMA shop.x"], disposable=True
    )
    instance.execute("CREATE TABLE shop.x.t AS SELECT 1 AS a")
    engine.release(instance)


def test_memory_is_shared_among_busy_instances(engine: DuckDBEngine) -> None:
    def share(instance: Instance) -> str:
        return str(instance.execute("SELECT current_setting('memory_limit')")[0][0])

    first = engine.lease({})
    assert share(first) == "190.7 MiB"
    second = engine.lease({})
    assert share(first) == share(second) == "95.3 MiB"
    engine.release(second)
    assert share(first) == "190.7 MiB"
    engine.release(first)


def test_interrupt_reaches_every_connection(engine: DuckDBEngine) -> None:
    instance = engine.lease({})
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range % 7 = b.range"
    running = [instance.connection, instance.connect()]
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(connection.execute, endless) for connection in running]
        pause = threading.Event()
        for _ in range(200):
            instance.interrupt()
            if all(call.done() for call in calls):
                break
            pause.wait(0.05)
        for call in calls:
            assert type(call.exception()) is duckdb.InterruptException
    engine.release(instance, broken=True)


def test_a_closed_engine_closes_what_comes_back(tmp_path: Path) -> None:
    engine = DuckDBEngine(EngineLimits(temp_directory=str(tmp_path)), extension_path)
    idle, busy = engine.lease({}), engine.lease({})
    engine.release(idle)
    engine.close()
    assert busy.execute("SELECT 1") == [(1,)]
    engine.release(busy)
    for instance in (idle, busy):
        with pytest.raises(duckdb.Error):
            instance.execute("SELECT 1")


def test_the_report_of_a_statement(engine: DuckDBEngine) -> None:
    instance = engine.lease({})
    instance.execute("SELECT count(*) FROM range(1000)")
    assert '"operator_cardinality": 1000' in instance.report()
    engine.release(instance)
