"""Predicates of a loaded program as tables of SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail.errors import UnknownNameError
from dovetail.session import Session

PROGRAM = """
city(ny, 'NYC'). city(ca, 'LA'). city(ny, 'Albany').
per_state(State, N) :- group_by(State, city(State, _), count, N).
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.open({}, allowed_directories=[tmp_path]) as opened:
        yield opened


def test_a_rule_is_a_table(session: Session) -> None:
    assert session.load_rules("geo", PROGRAM) == ["city", "per_state"]
    text = "select a.state, a.n from rules.per_state a join rules.geo.per_state b using (n)"
    with session.sql(f"{text} where a.n > 1") as result:
        assert result.columns == [("state", "VARCHAR"), ("n", "BIGINT")]
        assert result.rows() == [("ny", 2)]
    assert session.explain(f"{text} where a.n > 1").to_dict()["road"] == "plan"


def test_loaded_again(session: Session) -> None:
    session.load_rules("geo", PROGRAM)
    with session.sql("select count(*) from rules.city") as result:
        assert result.rows() == [(3,)]
    session.load_rules("geo", "city(ny, 'NYC').")
    with session.sql("select count(*) from rules.city") as result:
        assert result.rows() == [(1,)]


def test_unknown_predicate(session: Session) -> None:
    session.load_rules("geo", PROGRAM)
    with pytest.raises(UnknownNameError, match=r"no rule rules\.per_stat; there is rules\.geo\.c"):
        session.sql("select * from rules.per_stat")
