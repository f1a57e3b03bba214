"""The oracle: a query with all rules, some off, no pushdown; plain DuckDB says what is right."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

import dovetail
from dovetail.optimize import optimizer
from dovetail.session import Session
from tests.federated import Federated
from tests.fuzz.random_queries import Queries, Query
from tests.fuzz.worlds import World, world
from tests.servers import Server
from tests.three_ways import differ, rows_of, same

# Those of the optimizer, and what else can be left out by its name.
RULES = (
    *dict.fromkeys(rule.__name__ for rule in optimizer.RULES),
    *("remove_joins", "group_joins", "partial_aggregates", "presort"),
    *("dynamic_filters", "late_fetch"),
)
QUERIES_PER_WORLD = 300
MOST_ROWS = 20_000
LOCAL_SECONDS = 1.5
TIMEOUT = 60.0

Rules = bool | Collection[str]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Failure:
    """A query that was answered wrongly, with the rules as given to ``Session.sql``.

    ``forced``: the servers were made to do whatever they can, whatever it costs.
    """

    world: World
    number: int
    query: Query
    rules: Rules
    problem: str
    forced: bool = False


@dataclass(frozen=True)
class Expected:
    """What plain DuckDB answers."""

    types: list[str]
    rows: list[Row]
    all_rows: list[Row] | None = None  # of the query without its LIMIT


def expect(local: duckdb.DuckDBPyConnection, query: Query) -> Expected | None:
    """DuckDB's answer; None for what it refuses, what takes long and what is too large."""
    timer = threading.Timer(LOCAL_SECONDS, local.interrupt)
    timer.start()
    try:
        found = local.execute(query.text)
        types = [str(column[1]) for column in found.description]
        rows = found.fetchmany(MOST_ROWS + 1)
        all_rows = None
        if query.unlimited:
            all_rows = local.execute(query.unlimited).fetchmany(MOST_ROWS + 1)
    except duckdb.Error:
        return None
    finally:
        timer.cancel()
    if max(len(rows), len(all_rows or ())) > MOST_ROWS:
        return None
    return Expected(types, rows, all_rows)


def judge(
    session: Session,
    query: Query,
    expected: Expected,
    rules: Rules,
    *,
    widths: bool = True,
    forced: Collection[str] = (),
) -> str | None:
    """What is wrong with Dovetail's answer, or None.

    Without ``widths`` INTEGER and BIGINT are the same: a SQLite column of either is a BIGINT.
    ``forced`` are sources that do whatever they can: cost says no to most for so few rows.
    """
    pushdown = dict.fromkeys(forced, "always")
    try:
        with session.sql(query.text, rules=rules, pushdown=pushdown, timeout=TIMEOUT) as result:
            rows = rows_of(result)
            types = [type_ for _, type_ in result.columns]
    except Exception as error:  # DuckDB has an answer: ours that has none is wrong, however it ends
        return f"{type(error).__name__}: {error}"
    wrong = [
        f"column {n} is {a}, not {b}"
        for n, (a, b) in enumerate(zip(types, expected.types, strict=True))
        if _plain(a, widths) != _plain(b, widths)
    ]
    if wrong:
        return "; ".join(wrong)
    if expected.all_rows is not None:
        problem = _within(rows, expected.rows, expected.all_rows)
    else:
        problem = differ(rows, expected.rows, ordered=False)
    if problem is None and query.keys:
        problem = _order(rows, expected.rows, query.keys)
    return problem


def _plain(type_: str, widths: bool) -> str:
    name = type_.replace(" ", "")
    return name if widths or name != "INTEGER" else "BIGINT"


def _within(rows: Sequence[Row], expected: Sequence[Row], everything: Sequence[Row]) -> str | None:
    """A limited result: as many rows as expected, all among ``everything``, none too often."""
    if len(rows) != len(expected):
        return f"{len(rows)} rows instead of {len(expected)}"
    left = list(everything)
    for number, row in enumerate(rows):
        for place, other in enumerate(left):
            if all(same(a, b) for a, b in zip(row, other, strict=True)):
                del left[place]
                break
        else:
            return f"row {number}, {row!r}, is not of the result (or not so often)"
    return None


def _order(rows: Sequence[Row], expected: Sequence[Row], keys: Sequence[int]) -> str | None:
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True)):
        for key in keys:
            if not same(row[key], wanted[key]):
                return (
                    f"row {number} in order has {row[key]!r} in column {key}, not {wanted[key]!r}"
                )
    return None


def ways(rng: random.Random) -> tuple[tuple[Rules, bool], ...]:
    """All rules; and now none, now one, now some of them off, by cost or by force."""
    some = tuple(rule for rule in RULES if rng.random() < 0.3)
    other = rng.choice((False, some, some, (rng.choice(RULES),), ()))
    return ((True, False), (other, rng.random() < 0.6))


def forceable(federated: Federated) -> tuple[str, ...]:
    """The sources that do what they are told."""
    return tuple(name for name in federated.config["sources"] if name in ("pg", "my"))


def run(
    seed: int, folder: Path, server: Callable[[str], Server], *, until: float = math.inf
) -> Iterator[Failure | None]:
    """One world: for each query that was compared, what was wrong with it, or None.

    ``until`` is when to stop, by ``time.monotonic``.
    """
    made = world(seed)
    folder.mkdir(parents=True)
    federated = made.load(folder, server)
    servers = forceable(federated)
    widths = "sqlite" not in made.places.values()
    try:
        with dovetail.connect(federated.config) as session:
            for number in range(QUERIES_PER_WORLD):
                if time.monotonic() > until:
                    return
                rng = random.Random(f"{seed}.{number}")
                query = Queries(rng).query()
                expected = expect(federated.local, query)
                if expected is None:
                    continue
                for rules, forced in ways(rng):
                    given = servers if forced else ()
                    problem = judge(session, query, expected, rules, widths=widths, forced=given)
                    if problem:
                        yield Failure(made, number, query, rules, problem, forced)
                        break
                else:
                    yield None
    finally:
        federated.close()
