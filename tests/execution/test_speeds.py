"""How fast a source delivers is learnt from what was read of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.databases import Database

import dovetail
from dovetail.execution import speeds

MIB = 1 << 20


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    speeds.forget()
    yield
    speeds.forget()


def test_whole_tables_decide() -> None:
    speeds.learn("here", 10 * MIB, 1.0, whole_table=True)
    assert speeds.of("here") == 10 * MIB
    speeds.learn("here", 20 * MIB, 1.0, whole_table=True)
    assert speeds.of("here") == 15 * MIB
    assert speeds.of("there") is None


def test_other_fragments_show_no_less() -> None:
    speeds.learn("here", 4 * MIB, 2.0, whole_table=False)  # who knows what it waited for
    assert speeds.of("here") is None
    speeds.learn("here", 10 * MIB, 1.0, whole_table=True)
    speeds.learn("here", 4 * MIB, 2.0, whole_table=False)
    assert speeds.of("here") == 10 * MIB
    speeds.learn("here", 30 * MIB, 1.0, whole_table=False)
    assert speeds.of("here") == 30 * MIB


def test_small_ones_show_nothing() -> None:
    speeds.learn("here", 1000, 1.0, whole_table=True)
    assert speeds.of("here") is None


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_run_teaches(
    kind: str,
    postgres_database: Database,
    mariadb_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speeds, "_EXPLAINED", 0.0)  # this machine is no slow link
    database = postgres_database if kind == "postgres" else mariadb_database
    series = {
        "postgres": "SELECT i AS id, repeat('x', 20) AS t FROM generate_series(1, 100000) AS g(i)",
        "mysql": "SELECT seq AS id, REPEAT('x', 20) AS t FROM seq_1_to_100000",
    }[kind]
    database.execute(f"CREATE TABLE learnt AS {series}")
    place = f"{kind} {database.server.host}:{database.server.port}"
    with dovetail.connect({"sources": {"shop": database.source()}}) as session:
        assert len(session.sql("SELECT id, t FROM shop.learnt").rows()) == 100_000
        assert (speeds.of(place) or 0) > MIB
        session.sql("SELECT count(*) FROM shop.learnt").rows()


def test_wide_rows_tell_nothing_of_the_link_when_they_take_their_own_time() -> None:
    speeds.learn("here", 10 * MIB, 1.0, whole_table=True, explained=0.9)
    assert speeds.of("here") is None
    speeds.learn("here", 10 * MIB, 1.0, whole_table=True, explained=0.1)
    assert speeds.of("here") == 10 * MIB
    speeds.learn("here", 40 * MIB, 1.0, whole_table=True, explained=0.9)  # it is no slower
    assert speeds.of("here") == 40 * MIB
