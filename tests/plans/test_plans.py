"""Runs every ``tests/plans/*.txt``; see :mod:`tests.plans.runner` for their form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import dovetail
from dovetail.errors import DovetailError
from tests.conftest import server_or_fail
from tests.databases import duckdb_type, quoted
from tests.federated import SOURCE_OF, federate
from tests.plans.runner import Table, outcome, parse, text
from tests.servers import Run

pytestmark = [pytest.mark.servers, pytest.mark.regen]

FILES = sorted(Path(__file__).parent.glob("*.txt"))


def _arrow(table: Table) -> pa.Table:
    """The rows of a set-up table in its declared types."""
    columns = table.declared.columns
    casts = ", ".join(
        f"CAST(c{i} AS {duckdb_type(t)}) AS {quoted('duckdb', c)}"
        for i, (c, t) in enumerate(columns.items())
    )
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    rows = [f"({row})" for row in table.rows] or [f"({', '.join(['NULL'] * len(columns))})"]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        made = f"SELECT {casts} FROM (VALUES {', '.join(rows)}) AS t({names})"
        return connection.execute(made if table.rows else f"{made} LIMIT 0").to_arrow_table()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_plans(
    path: Path, tmp_path: Path, server_run: Run, check_file: Callable[[Path, str], None]
) -> None:
    setup, tables, blocks = parse(path.read_text(encoding="utf-8"))
    arrow = {table.name: _arrow(table) for table in tables}
    federated = federate(
        f"plans_{path.stem}",
        {table.name: table.declared for table in tables},
        {table.name: table.place for table in tables},
        arrow.__getitem__,
        tmp_path,
        lambda kind: server_or_fail(server_run, kind),
    )
    for table in tables:
        schema = SOURCE_OF[table.place]
        federated.local.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        federated.local.execute(f"CREATE VIEW {schema}.{table.name} AS FROM main.{table.name}")
    made: list[str] = []
    problems: list[str] = []
    try:
        with dovetail.connect(federated.config) as session:
            for block in blocks:
                try:
                    made.append(outcome(block, session, federated.local))
                except (AssertionError, DovetailError, duckdb.Error) as error:
                    problems.append(f"{block.sql}\n  {error}")
    finally:
        federated.close()
    assert not problems, "\n\n".join(problems)
    check_file(path, text(setup, blocks, made))
