"""Counting native fragments: the guard's SQL, and reading the engine's own profile."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dovetail.connectors.base import OutputColumn
from dovetail.execution.moved import LIMIT_MARK, add_measures, guarded
from dovetail.execution.profile import FragmentProfile, Profile
from dovetail.types import Type

COLUMNS = (OutputColumn('a"b', Type("BIGINT")), OutputColumn("text", Type("VARCHAR")))


def run_guarded(rows: int, limit: int) -> int:
    relation = f'(SELECT range AS "a""b", repeat(\'x\', 84) AS text FROM range({rows}))'
    with duckdb.connect() as connection:
        sql = f"SELECT count(*), count(text) FROM {guarded(relation, COLUMNS, limit)}"
        ((count, texts),) = connection.execute(sql).fetchall()
    assert count == texts
    return int(count)


def test_the_guard_lets_through_what_fits() -> None:
    assert run_guarded(100, 100 * (8 + 16 + 84)) == 100


def test_the_guard_stops_at_the_first_byte_too_many() -> None:
    with pytest.raises(duckdb.Error, match=LIMIT_MARK):
        run_guarded(100, 100 * (8 + 16 + 84) - 1)


def test_the_guard_keeps_every_null_and_column() -> None:
    relation = '(SELECT NULL::BIGINT AS "a""b", NULL AS text FROM range(3))'
    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM {guarded(relation, COLUMNS, 10_000)}").fetchall()
    assert rows == [(None, None)] * 3


def measured(
    sql: str, native: dict[int, str], setup: tuple[str, ...] = ()
) -> tuple[Profile, dict[str, int]]:
    profile = Profile([FragmentProfile(n, "s", "files", "", "native") for n in native])
    peaks: dict[str, int] = {}
    with duckdb.connect() as connection:
        for statement in setup:
            connection.execute(statement)
        connection.execute("SET enable_profiling='no_output'")
        for _ in connection.execute(sql).to_arrow_reader(1000):
            pass
        report = connection.get_profiling_information(format="json")
    add_measures(report, profile, native, peaks)
    return profile, peaks


def test_scans_are_credited_by_their_names(tmp_path: Path) -> None:
    csv = tmp_path / "x.csv"
    csv.write_text("a,b\n" + "1,2\n" * 50)
    setup = (
        'CREATE TABLE "Orders" AS SELECT range AS id FROM range(20)',
        f"COPY (SELECT range AS p FROM range(30)) TO '{tmp_path}/y.parquet'",
    )
    native = {
        1: '(SELECT "id" FROM "memory"."main"."Orders")',
        2: f"(SELECT \"a\" FROM read_csv('{csv}', columns={{'a': 'INT', 'b': 'INT'}}))",
        3: f"(SELECT \"p\" FROM read_parquet('{tmp_path}/y.parquet'))",
    }
    sql = "SELECT count(*) FROM {1} o, {2} c, {3} p WHERE o.id + p.p >= c.a - 1".replace(
        "{1}", native[1]
    )
    profile, peaks = measured(
        sql.replace("{2}", native[2]).replace("{3}", native[3]), native, setup
    )
    assert [f.rows for f in profile.fragments] == [20, 50, 30]
    assert all(f.bytes and f.milliseconds is not None for f in profile.fragments)
    assert profile.peak_memory == peaks["memory"] > 0
    assert profile.spilled_bytes == 0


def test_scans_that_could_be_either_s_are_credited_to_none() -> None:
    native = {1: '(SELECT "id" FROM "t" WHERE id < 5)', 2: '(SELECT "id" FROM "t")'}
    sql = f"SELECT count(*) FROM {native[1]} a, {native[2]} b"
    setup = ("CREATE TABLE t AS SELECT range AS id FROM range(20)",)
    profile, _ = measured(sql, native, setup)
    assert [f.rows for f in profile.fragments] == [None, None]


def test_peaks_of_earlier_queries_are_not_this_one_s() -> None:
    report = '{"system_peak_buffer_memory": 100, "system_peak_temp_dir_size": 7, "children": []}'
    peaks = {"memory": 100, "disk": 5}
    profile = Profile()
    add_measures(report, profile, {}, peaks)
    assert (profile.peak_memory, profile.spilled_bytes) == (None, 7)
    assert peaks == {"memory": 100, "disk": 7}
