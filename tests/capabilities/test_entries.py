"""Every entry of the PostgreSQL and MySQL tables answers as DuckDB does, over hostile values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import duckdb
import pytest

from dovetail.connectors.capabilities.document import is_exact
from dovetail.errors import DovetailError
from tests.capabilities.conftest import Place
from tests.capabilities.expressions import constants, of_entry
from tests.capabilities.hostile import Pair
from tests.three_ways import check, differ

pytestmark = pytest.mark.servers

BATCH = 120
Query = Callable[[Place, Sequence[str]], str]


def batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def selecting(place: Place, expressions: Sequence[str]) -> str:
    """A query that delivers expressions; the LIMIT makes it worth pushing whole."""
    listed = ", ".join(f"{e} AS r{i}" for i, e in enumerate(expressions))
    return f"SELECT id, {listed} FROM {place.name} LIMIT 100000"


def pushed_whole(place: Place, sql: str) -> bool:
    plan = place.session.explain(sql).to_dict()["plan"]
    return bool(plan is not None and plan.startswith("Fragment 1"))


def pushable(place: Place, expressions: Sequence[str]) -> list[str]:
    """The expressions that go down; found by halving, since most batches go down at once."""
    if not expressions:
        return []
    if pushed_whole(place, selecting(place, expressions)):
        return list(expressions)
    if len(expressions) == 1:
        return []
    middle = len(expressions) // 2
    return [*pushable(place, expressions[:middle]), *pushable(place, expressions[middle:])]


def test_selected(place: Place) -> None:
    """Entries in SELECT: exact values, NULL and three-valued truth included."""
    of: dict[str, str] = {}
    problems: list[str] = []
    for (operator, classes), entry in place.entries().items():
        made = of_entry(operator, classes, place.pairs)
        if is_exact(place.table, classes, entry):
            of.update(dict.fromkeys(made, f"{operator} ({', '.join(classes)})"))
        else:
            problems += [
                f"{operator} {classes} is looser, but {e} is delivered"
                for e in list(made)[:1]
                if pushed_whole(place, selecting(place, [e]))
            ]
    down: list[str] = []
    for batch in batches(list(of), BATCH):
        pushed = pushable(place, batch)
        down += pushed
        problems += failing(place, of, pushed)
    untried = set(of.values()) - {of[e] for e in down}
    problems += [f"{entry}: no expression is pushed" for entry in sorted(untried)]
    assert not problems, "\n".join(problems)


def agree(place: Place, sql: str, ordered: bool = False) -> None:
    """With all rules against plain DuckDB; whole scans without rules would only take time."""
    with place.local.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        expected = cursor.execute(sql).fetchall()
    with place.session.sql(sql) as result:
        difference = differ(result.rows(), expected, ordered)
    assert difference is None, f"{sql}: {difference}"


def three_ways(place: Place, sql: str) -> None:
    check(place.session, place.local, sql)


def failing(
    place: Place,
    of: Mapping[str, str],
    expressions: Sequence[str],
    query: Query = selecting,
    compare: Callable[[Place, str], None] = three_ways,
) -> list[str]:
    """The expressions of a batch that differ, found by halving."""
    if not expressions:
        return []
    try:
        compare(place, query(place, expressions))
    except (AssertionError, DovetailError, duckdb.Error) as error:
        if len(expressions) == 1:
            return [f"{of[expressions[0]]}: {expressions[0]}: {str(error)[:300]}"]
        middle = len(expressions) // 2
        parts = (expressions[:middle], expressions[middle:])
        return [problem for part in parts for problem in failing(place, of, part, query, compare)]
    return []


def filtering(place: Place, expressions: Sequence[str]) -> str:
    """One scan with a filter per expression."""
    branches = [
        f"SELECT {number} AS k, id FROM {place.name} WHERE {expression}"
        for number, expression in enumerate(expressions)
    ]
    return " UNION ALL ".join(branches)


def test_filtered(place: Place) -> None:
    """Entries in WHERE, plain and under NOT; looser forms keep the exact filter above."""
    of: dict[str, str] = {}
    for (operator, classes), entry in place.entries().items():
        if entry.result != "boolean":
            continue
        made = list(of_entry(operator, classes, place.pairs))
        exact = is_exact(place.table, classes, entry)
        # What a text filter lets through depends on each constant, the others are all alike.
        wanted = 3 if exact else 8 if entry.exact else len(made)
        if set(classes) == {"double", "decimal"}:
            wanted = len(made)  # short decimals are few among them
        for expression in made[:: max(1, len(made) // wanted)]:
            of[expression] = f"{operator} {classes}"
        if exact:
            of[f"NOT {made[0]}"] = f"{operator} {classes}"
    down = [e for batch in batches(list(of), 24) for e in filtered_there(place, batch)]
    untried = set(of.values()) - {of[e] for e in down}
    assert not untried, f"no filter is pushed for {sorted(untried)}"
    problems: list[str] = []
    for batch in batches(down, 24):
        problems += failing(place, of, batch, filtering, agree)
    assert not problems, "\n".join(problems)


def filtered_there(place: Place, expressions: Sequence[str]) -> list[str]:
    """The expressions that become a WHERE of their source, found by halving."""
    if _sent(place, filtering(place, expressions)).count(" WHERE ") == len(expressions):
        return list(expressions)
    if len(expressions) == 1:
        return []
    middle = len(expressions) // 2
    parts = (expressions[:middle], expressions[middle:])
    return [e for part in parts for e in filtered_there(place, part)]


def _sent(place: Place, sql: str) -> str:
    return "\n".join(str(f["sql"]) for f in place.session.explain(sql).fragments)


def aggregating(place: Place, expressions: Sequence[str]) -> str:
    """Aggregates per group of equal small integers, NULL among them."""
    listed = ", ".join(f"{e} AS r{i}" for i, e in enumerate(expressions))
    return f"SELECT twoa, {listed} FROM {place.name} GROUP BY twoa"


def aggregating_all(place: Place, expressions: Sequence[str]) -> str:
    listed = ", ".join(f"{e} AS r{i}" for i, e in enumerate(expressions))
    return f"SELECT {listed} FROM {place.name}"


def aggregating_nothing(place: Place, expressions: Sequence[str]) -> str:
    return f"{aggregating_all(place, expressions)} WHERE id < 0"


def aggregates(place: Place) -> dict[str, str]:
    """Calls of every aggregate over every column of its classes, with DISTINCT and FILTER."""
    of: dict[str, str] = {}
    for name, (operand,) in place.table.aggregates:
        for pair in (p for p in place.pairs if p.operand == operand):
            if name in ("sum", "avg") and pair.local == "DECIMAL(38,10)":
                continue  # overflows in DuckDB
            key = f"{name} ({operand})"
            of[f"{name}({pair.a})"] = key
            of[f"{name}({pair.b})"] = key
            of[f"{name}(DISTINCT {pair.a})"] = key
            of[f"{name}({pair.a}) FILTER (WHERE id % 3 = 0)"] = key
            of[f"{name}({pair.a}) FILTER (WHERE id < 100)"] = key
    return of


@pytest.mark.parametrize("query", [aggregating, aggregating_all, aggregating_nothing])
def test_aggregates(place: Place, query: Query) -> None:
    of = {"count(*)": "count(*)", **aggregates(place)}
    down = [e for e in of if pushed_whole(place, query(place, [e]))]
    untried = set(of.values()) - {of[e] for e in down}
    assert not untried, f"never pushed: {sorted(untried)}"
    problems: list[str] = []
    for batch in batches(down, BATCH):
        problems += failing(place, of, batch, query)
    assert not problems, "\n".join(problems)


def test_constants(place: Place) -> None:
    """Constants are delivered as DuckDB has them."""
    listed = [c for pair in place.pairs for c in constants(pair)]
    of = dict.fromkeys(listed, "constant")
    down = pushable(place, list(of))
    texts = [c for c in down if c.startswith("'")]
    assert len(texts) == len({t for p in place.pairs if p.local == "VARCHAR" for t in p.values}) - 1
    problems: list[str] = []
    for batch in batches(down, BATCH):
        problems += failing(place, of, batch)
    assert not problems, "\n".join(problems)


GROUPED = {
    "postgres": {"integer", "decimal", "date", "timestamp", "timestamptz"}
    | {"boolean", "text", "char"},
    "mysql": {"integer", "decimal", "text loose", "char loose", "date", "timestamp"}
    | {"timestamptz"},
}


def test_grouping(place: Place) -> None:
    """GROUP BY and DISTINCT of every column; what may group otherwise stays local."""
    for pair in place.pairs:
        for sql in (
            f"SELECT {pair.a}, count(*) AS n FROM {place.name} GROUP BY {pair.a}",
            f"SELECT DISTINCT {pair.a}, {pair.b} FROM {place.name} WHERE id < 100",
            f"SELECT {pair.a} FROM {place.name} WHERE id < 40 EXCEPT "
            f"SELECT {pair.b} FROM {place.name} WHERE id < 10",
            f"SELECT count(DISTINCT {pair.a}) AS n FROM {place.name}",
        ):
            agree(place, sql)
        grouped = f"SELECT {pair.a}, count(*) AS n FROM {place.name} GROUP BY {pair.a}"
        wanted = pair.operand in GROUPED[place.table.kind]
        assert pushed_whole(place, grouped) == wanted, pair


def test_order(place: Place) -> None:
    """The first rows in every direction, with NULLs at either end."""
    for pair in place.pairs:
        for direction in ("ASC", "DESC", "ASC NULLS FIRST", "DESC NULLS FIRST"):
            sql = (
                f"SELECT id, {pair.a} FROM {place.name} "
                f"ORDER BY {pair.a} {direction}, id LIMIT 40 OFFSET 3"
            )
            agree(place, sql, ordered=True)
    ordered = {p.operand for p in place.pairs if pushed_whole(place, _top(place, p))}
    wanted = {"integer", "decimal", "double"}
    if place.table.kind == "postgres":
        wanted |= {"date", "timestamp", "timestamptz", "boolean", "text"}
    assert ordered >= wanted, wanted - ordered


def _top(place: Place, pair: Pair) -> str:
    return f"SELECT id, {pair.a} FROM {place.name} ORDER BY {pair.a}, id LIMIT 5"


def test_joins(place: Place) -> None:
    """Every kind of join, on keys of every class, with NULLs on both sides."""
    for pair in place.pairs:
        one, two = (f"(SELECT * FROM {place.name} WHERE id {r})" for r in ("< 90", ">= 170"))
        on = f"a.{pair.a} = b.{pair.b}"
        thorough = pair.name in ("big", "txt", "day")
        for kind in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] if thorough else ["JOIN"]:
            sql = f"SELECT a.id AS x, b.id AS y FROM {one} a {kind} {two} b ON {on}"
            agree(place, sql)
        for kind in ("SEMI JOIN", "ANTI JOIN") if thorough else ("ANTI JOIN",):
            sql = f"SELECT a.id FROM {place.name} a {kind} {two} b ON {on}"
            agree(place, sql)
        for test in ("IN", "NOT IN") if thorough else ("NOT IN",):
            sql = (
                f"SELECT id FROM {place.name} WHERE {pair.a} {test} "
                f"(SELECT {pair.b} FROM {place.name} WHERE id BETWEEN 1 AND 6)"
            )
            agree(place, sql)
