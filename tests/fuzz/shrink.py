"""Make a failing query small: cut away clause by clause and row by row while it still fails."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

import dovetail
from dovetail.session import Session
from tests.federated import Federated
from tests.fuzz.oracle import RULES, Failure, expect, forceable, judge
from tests.fuzz.random_queries import Query
from tests.fuzz.worlds import TABLES, World
from tests.servers import Server


def shrink(
    failure: Failure, server: Callable[[str], Server], *, seconds: float = 180
) -> tuple[Failure, list[str]]:
    """The smallest failing case found, and the rules without any one of which it passes.

    ``seconds`` is for the query, and again for the rows.
    """
    with _Trials(failure, server, time.monotonic() + seconds) as trials:
        failure = trials.smaller_query(failure)
        guilty = trials.guilty(failure)
    failure = _fewer_rows(failure, server, time.monotonic() + seconds)
    return failure, guilty


class _Trials:
    """A loaded world to try queries on."""

    def __init__(self, failure: Failure, server: Callable[[str], Server], until: float) -> None:
        self._stack = contextlib.ExitStack()
        self._failure, self._server, self._until = failure, server, until

    def __enter__(self) -> _Trials:
        self._federated, self._session = self._stack.enter_context(
            _loaded(self._failure.world, self._server)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def smaller_query(self, failure: Failure) -> Failure:
        """Take the first cut that still fails, and again, until none does."""
        while True:
            for text in _cuts(failure.query.text):
                if time.monotonic() > self._until:
                    return failure
                problem = self._problem(text, failure)
                if problem and _alike(problem, failure.problem):
                    failure = replace(failure, query=_bare(text), problem=problem)
                    break
            else:
                return failure

    def guilty(self, failure: Failure) -> list[str]:
        """Rules without any one of which the query passes."""
        if failure.rules is False:
            return ["none: it fails without pushdown"]
        off = () if failure.rules is True else tuple(failure.rules)
        return [
            rule
            for rule in RULES
            if rule not in off
            and self._problem(failure.query.text, replace(failure, rules=(*off, rule))) is None
        ]

    def _problem(self, text: str, failure: Failure) -> str | None:
        return _problem(self._federated, self._session, _bare(text), failure)


def _bare(text: str) -> Query:
    """The query with how to judge it: whose rows a LIMIT takes, which columns it is ordered by."""
    tree = parse_one(text, dialect="duckdb")
    if not isinstance(tree, exp.Query):
        return Query(text)
    order = tree.args.get("order")
    keys = tuple(
        int(item.this.this) - 1
        for item in (order.expressions if order else ())
        if isinstance(item.this, exp.Literal) and not item.this.is_string
    )
    if not (tree.args.get("limit") or tree.args.get("offset")):
        return Query(text, keys)
    for clause in ("order", "limit", "offset"):
        tree.set(clause, None)
    return Query(text, keys, tree.sql(dialect="duckdb"))


def _problem(federated: Federated, session: Session, query: Query, failure: Failure) -> str | None:
    expected = expect(federated.local, query)
    if expected is None:
        return None
    widths = "sqlite" not in failure.world.places.values()
    forced = forceable(federated) if failure.forced else ()
    return judge(session, query, expected, failure.rules, widths=widths, forced=forced)


def _alike(problem: str, other: str) -> bool:
    """Whether two problems are of one kind: both an error of the same class, or both not."""
    kinds = [text.split(":")[0] if "Error:" in text else "" for text in (problem, other)]
    return kinds[0] == kinds[1]


@contextlib.contextmanager
def _loaded(world: World, server: Callable[[str], Server]) -> Iterator[tuple[Federated, Session]]:
    with tempfile.TemporaryDirectory() as folder:
        federated = world.load(Path(folder), server)
        try:
            with dovetail.connect(federated.config) as session:
                yield federated, session
        finally:
            federated.close()


def _fewer_rows(failure: Failure, server: Callable[[str], Server], until: float) -> Failure:
    """Halve tables, then drop single rows, while it fails. Each try loads the world anew."""

    def time_left() -> bool:
        return time.monotonic() < until

    def fails(world: World) -> str | None:
        with _loaded(world, server) as (federated, session):
            return _problem(federated, session, failure.query, failure)

    def kept(world: World) -> bool:
        nonlocal failure
        problem = fails(world)
        if problem and _alike(problem, failure.problem):
            failure = replace(failure, world=world, problem=problem)
            return True
        return False

    named = {t for t in TABLES if f"{t} " in f"{failure.query.text} "}
    for table in TABLES:
        if table not in named and failure.world.rows[table]["id"] and time_left() and table != "td":
            kept(failure.world.with_rows(table, []))
    for table in sorted(named, reverse=True):  # td, which others refer to, last
        step = max(1, len(failure.world.rows[table]["id"]) // 2)
        while step and time_left():
            start = 0
            while start < len(failure.world.rows[table]["id"]) and time_left():
                rows = len(failure.world.rows[table]["id"])
                keep = [i for i in range(rows) if not start <= i < start + step]
                if table == "td" or not kept(failure.world.with_rows(table, keep)):
                    start += step
            step //= 2
    return failure


# --- cutting a query ------------------------------------------------------------------------------


def _cuts(text: str) -> Iterator[str]:
    """Smaller queries, the boldest cuts first."""
    try:
        tree = parse_one(text, dialect="duckdb")
    except SqlglotError:
        return
    seen = {tree.sql(dialect="duckdb")}
    for number in count():
        copy = tree.copy()
        nodes = list(copy.walk(bfs=True))
        if number >= len(nodes):
            return
        for cut in _of(nodes[number]):
            again = tree.copy()
            node = list(again.walk(bfs=True))[number]
            with contextlib.suppress(Exception):  # what sqlglot cannot put together is no cut
                made = cut(node) or again
                shorter = made.sql(dialect="duckdb")
                if shorter not in seen and len(shorter) < len(text) + 5:
                    seen.add(shorter)
                    parse_one(shorter, dialect="duckdb")
                    yield shorter


Cut = Callable[[exp.Expression], exp.Expression | None]


def _of(node: exp.Expression) -> list[Cut]:
    """Ways to make ``node`` smaller; one that returns a tree replaces the whole query by it."""
    cuts: list[Cut] = []
    if isinstance(node, exp.Query) and node.parent is not None:
        cuts.append(lambda n: n.copy())
    if isinstance(node, exp.SetOperation):
        cuts += [_replace("this"), _replace("expression")]
    if isinstance(node, exp.Select | exp.SetOperation):
        chosen = node.args.get("distinct")  # of a set operation a bool
        clauses = ["with_", "where", "having", "qualify", "limit", "offset", "distinct", "group"]
        # DISTINCT ON keeps the first row
        if not isinstance(chosen, exp.Distinct) or not chosen.args.get("on"):
            clauses.append("order")
        cuts += [_without(clause) for clause in clauses if node.args.get(clause)]
    if isinstance(node, exp.Select):
        joins = node.args.get("joins") or []
        cuts += [_drop("joins", i) for i in range(len(joins))]
        if len(node.expressions) > 1:
            cuts += [_drop("expressions", i) for i in range(len(node.expressions))]
    lists = exp.Group | exp.Tuple | exp.Rollup | exp.Cube | exp.With | exp.In
    if isinstance(node, lists) and len(node.expressions) > 1:
        cuts += [_drop("expressions", i) for i in range(len(node.expressions))]
    if isinstance(node, exp.Join):
        cuts += [_without("on")] if node.args.get("on") else []
        cuts += [_without("side")] if node.args.get("side") else []
    if isinstance(node, exp.And | exp.Or):
        cuts += [_replace("this"), _replace("expression")]
    if isinstance(node, exp.Not | exp.Paren | exp.Filter | exp.Cast | exp.Distinct | exp.Neg):
        cuts.append(_replace("this"))
    if isinstance(node, exp.Window):
        # not its order: rows would be numbered at random
        cuts += [_without(clause) for clause in ("partition_by", "spec") if node.args.get(clause)]
    if isinstance(node, exp.Case | exp.Func | exp.Binary) and not isinstance(node, exp.AggFunc):
        for name, value in node.args.items():
            if isinstance(value, exp.Expression):
                cuts.append(_replace(name))
            elif isinstance(value, list):
                cuts += [_replace_by(name, i) for i in range(len(value))]
    if isinstance(node, exp.Case):
        cuts.append(lambda n: n.replace(n.args["ifs"][0].args["true"].copy()) and None)
    return cuts


def _replace(name: str) -> Cut:
    def cut(node: exp.Expression) -> exp.Expression | None:
        inner = node.args[name]
        if node.parent is None:
            return inner.copy()
        node.replace(inner.copy())
        return None

    return cut


def _replace_by(name: str, number: int) -> Cut:
    def cut(node: exp.Expression) -> None:
        node.replace(node.args[name][number].copy())

    return cut


def _without(name: str) -> Cut:
    def cut(node: exp.Expression) -> None:
        node.set(name, None)

    return cut


def _drop(name: str, number: int) -> Cut:
    def cut(node: exp.Expression) -> None:
        values = list(node.args[name])
        del values[number]
        node.set(name, values)

    return cut
