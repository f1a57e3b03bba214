"""What servers said is kept for the next session, for a while."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest

import dovetail
from dovetail.connectors import known
from dovetail.connectors.base import Estimate
from dovetail.connectors.known import Known
from tests.databases import Database


def test_kept_for_a_while_and_no_longer() -> None:
    now = [100.0]
    kept: Known[str] = Known(seconds=60, clock=lambda: now[0])
    kept.keep("here", "q", "a")
    assert kept.get("here", "q") == "a"
    assert kept.get("there", "q") is None
    now[0] = 159.9
    assert kept.get("here", "q") == "a"
    now[0] = 160.0
    assert kept.get("here", "q") is None


def test_what_cannot_be_told_is_not_asked_again() -> None:
    kept: Known[int | None] = Known()
    asked: list[str] = []

    def ask() -> None:
        asked.append("q")

    assert [kept.recall("here", "q", ask) for _ in range(3)] == [None] * 3
    assert asked == ["q"]


def test_the_least_lately_used_goes_first() -> None:
    kept: Known[int] = Known(most=2)
    kept.keep("here", 1, 1)
    kept.keep("here", 2, 2)
    assert kept.get("here", 1) == 1
    kept.keep("here", 3, 3)
    assert [kept.get("here", n) for n in (1, 2, 3)] == [1, None, 3]


def test_one_place_is_forgotten() -> None:
    kept: Known[int] = Known()
    kept.keep("here", 1, 1)
    kept.keep("there", 1, 2)
    kept.forget("here")
    assert kept.get("here", 1) is None
    assert kept.get("there", 1) == 2
    kept.forget()
    assert kept.get("there", 1) is None


def _statistics_asked(database: Database, seen: Callable[[], int], refresh: bool) -> int:
    """How often the server is asked for statistics by a session that plans a join."""
    before = seen()
    with dovetail.connect({"sources": {"one": database.source()}}) as session:
        if refresh:
            session.refresh()
        session.explain("SELECT count(*) FROM one.public.seats a JOIN one.public.seats b USING (n)")
    return seen() - before


def test_an_estimate_is_asked_for_once(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of a filter with a subquery, which is found by its SQL."""
    postgres_database.execute(
        "CREATE TABLE rows AS SELECT n FROM generate_series(1, 999) n", "ANALYZE rows"
    )
    asked: list[object] = []
    keep = known.ESTIMATES.keep

    def noted(place: Hashable, what: Hashable, answer: Estimate | None) -> None:
        asked.append(what)
        keep(place, what, answer)

    monkeypatch.setattr(known.ESTIMATES, "keep", noted)
    filters = ("n < 100", "n < (SELECT max(n) FROM one.public.rows)")
    for number, predicate in enumerate(filters, 1):
        for _ in range(2):
            with dovetail.connect({"sources": {"one": postgres_database.source()}}) as session:
                session.explain(
                    f"SELECT count(*) FROM one.public.rows a JOIN one.public.rows b USING (n) "
                    f"WHERE a.{predicate}"
                )
            assert len(asked) == number


def test_the_next_session_does_not_ask_again(postgres_database: Database) -> None:
    postgres_database.execute(
        "CREATE TABLE seats AS SELECT n, n % 7 AS row FROM generate_series(1, 99) n"
    )
    postgres_database.execute("ANALYZE seats")

    asked: list[str] = []
    real = known.STATISTICS.keep

    def noted(place: object, what: object, answer: object) -> None:
        asked.append(str(what))
        real(place, what, answer)  # type: ignore[arg-type]

    known.STATISTICS.keep = noted  # type: ignore[method-assign,assignment]
    try:
        assert _statistics_asked(postgres_database, lambda: len(asked), refresh=False) == 1
        assert _statistics_asked(postgres_database, lambda: len(asked), refresh=False) == 0
        assert _statistics_asked(postgres_database, lambda: len(asked), refresh=True) == 1
    finally:
        known.STATISTICS.keep = real  # type: ignore[method-assign]
