"""``--memory`` bounds the whole process, also on files larger than it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import duckdb
import pytest
from tests.interfaces.conftest import PROGRAM, environment

from dovetail.interfaces.cli.runtime import engine_memory

LIMIT = 500_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000,000 rows, 320 MB: one group each."""
    path = tmp_path_factory.mktemp("large") / "large.csv"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT i AS id, 'a product of some length ' || (hash(i, 1) % 5000) AS product, "
            "hash(i, 2) AS mixed FROM range(5_000_000) t(i)) "
            f"TO '{path}' (HEADER)"
        )
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "select id // 5 as fifth, count(*) as n, max(mixed) as m from '{}' group by fifth",
        "select * from '{}' order by mixed",
        "select a.id, b.product from '{}' a join '{}' b using (id)",
    ],
    ids=["group", "sort", "join"],
)
def test_the_process_stays_within_the_limit(large: Path, tmp_path: Path, sql: str) -> None:
    out = tmp_path / "out.parquet"
    command = [str(PROGRAM), "query", "-q", "--memory", str(LIMIT), "-o", str(out)]
    process = subprocess.Popen(
        [*command, sql.format(large, large)], cwd=tmp_path, env=environment(tmp_path)
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert used.ru_maxrss * 1024 <= LIMIT
    [(rows,)] = duckdb.sql(f"SELECT count(*) FROM '{out}'").fetchall()
    assert rows in (1_000_000, 5_000_000)


def test_what_of_a_limit_is_the_engines() -> None:
    assert engine_memory(500_000_000) == 232_000_000
    assert engine_memory(150_000_000) == 100_000_000
    assert engine_memory(50_000_000) == 50_000_000
