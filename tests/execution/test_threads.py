"""The engine works with one thread where one does, since whoever waits for more of them spins."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.databases import Database

import dovetail
from dovetail.engines.duckdb import Instance

ROWS = 130_000  # more than DuckDB's row group of 122,880


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether all threads were to be used, in the order it was said."""
    said: list[bool] = []
    plain = Instance.use_threads

    def spy(instance: Instance, *, all_of_them: bool) -> None:
        said.append(all_of_them)
        plain(instance, all_of_them=all_of_them)

    monkeypatch.setattr(Instance, "use_threads", spy)
    return said


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_rows_of_a_server(
    kind: str, postgres_database: Database, mariadb_database: Database, used: list[bool]
) -> None:
    database = postgres_database if kind == "postgres" else mariadb_database
    series = {
        "postgres": f"SELECT i AS id, i % 3 AS g FROM generate_series(1, {ROWS}) AS s(i)",
        "mysql": f"SELECT seq AS id, seq % 3 AS g FROM seq_1_to_{ROWS}",
    }[kind]
    database.execute(f"CREATE TABLE shared_out AS {series}")
    database.execute("ANALYZE TABLE shared_out" if kind == "mysql" else "ANALYZE shared_out")
    config = {"sources": {"s": database.source()}, "limits": {"threads": 4}}
    with dovetail.connect(config) as session:
        assert session.sql("SELECT count(*), max(id) FROM s.shared_out").rows() == [(ROWS, ROWS)]
        assert set(used) == {False}  # the server has done the work
        used.clear()
        assert len(session.sql("SELECT id, g FROM s.shared_out").rows()) == ROWS
        assert used[-1]
        used.clear()
        assert len(session.sql("SELECT id FROM s.shared_out WHERE id <= 10").rows()) == 10
        assert set(used) == {False}


def test_a_file_is_scanned_by_all(tmp_path: Path, used: list[bool]) -> None:
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"id": range(ROWS)}), path)
    with dovetail.connect(
        {"limits": {"threads": 4}}, allowed_directories=[str(tmp_path)], data={"many": path}
    ) as session:
        assert session.sql("SELECT count(*) FROM many WHERE id > 5").rows() == [(ROWS - 6,)]
        assert used[-1]


@pytest.mark.servers
def test_more_rows_than_expected(
    mariadb_database: Database, used: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dovetail.optimize.cardinality import Cardinality

    monkeypatch.setattr(Cardinality, "rows", lambda self, plan: 10.0)
    mariadb_database.execute(f"CREATE TABLE underrated AS SELECT seq AS id FROM seq_1_to_{ROWS}")
    config = {"sources": {"s": mariadb_database.source()}, "limits": {"threads": 4}}
    with dovetail.connect(config) as session:
        rows = session.sql(
            "SELECT sum(length(id::varchar || random()::varchar)) > 0 FROM s.underrated"
        )
        assert rows.rows() == [(True,)]
    assert not used[0]
    assert used[-1]
