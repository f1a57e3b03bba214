"""``--memory`` bounds the whole process, also on files larger than it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from tests.interfaces.conftest import PROGRAM, environment

from dovetail.interfaces.cli.runtime import engine_memory

LIMIT = 500_000_000
# Runs a command and prints the most memory it held, in KiB. A small process of its own: what a
# command's parent held when it started it counts as the command's.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


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
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command, sql.format(large, large)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    # 284 to 480 MB; other machines and allocators differ by some per cent
    assert int(done.stdout) * 1024 <= 1.1 * LIMIT
    [(rows,)] = duckdb.sql(f"SELECT count(*) FROM '{out}'").fetchall()
    assert rows in (1_000_000, 5_000_000)


def test_what_of_a_limit_is_the_engines() -> None:
    assert engine_memory(500_000_000) == 231_034_482
    assert engine_memory(150_000_000) == 100_000_000
    assert engine_memory(50_000_000) == 50_000_000
