"""Random scalar expressions over what is in scope, typed by families.

What may fail for one row only (casts of text, overflow) is left out: whether a row is looked at is
the planner's freedom, so such a query has no single right answer. What rounds is *inexact*: it may
be delivered but never compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tests.fuzz.worlds import VALUES

if TYPE_CHECKING:
    from tests.fuzz.random_queries import Queries

FAMILIES = ("int", "decimal", "text", "date", "timestamp", "boolean", "double")
_LITERALS = {
    "int": "kn",
    "decimal": "v",
    "text": "sc",
    "date": "d",
    "timestamp": "t",
    "double": "x",
}


@dataclass(frozen=True)
class Relation:
    """Something with columns in a FROM clause; ``key`` columns together tell its rows apart."""

    alias: str
    columns: dict[str, str]  # name → family
    key: tuple[str, ...] = ()


@dataclass
class Scope:
    """Relations at hand, and those of the queries around."""

    relations: list[Relation]
    outer: Scope | None = None
    depth: int = 0

    def columns(self, family: str | None = None) -> list[str]:
        """Qualified columns of a family, or all."""
        return [
            f"{relation.alias}.{name}"
            for relation in self.relations
            for name, of in relation.columns.items()
            if family is None or of == family
        ]

    def inner(self, relations: list[Relation]) -> Scope:
        """The scope of a subquery that may look out."""
        return Scope(relations, self, self.depth + 1)


@dataclass
class Expressions:
    """Makes expressions; ``queries`` makes the subqueries in them."""

    rng: random.Random
    queries: Queries

    # -- values ---------------------------------------------------------------------------------

    def column(self, scope: Scope, family: str) -> str:
        """A column, of a query around now and then; a literal where there is none."""
        where = scope
        while where.outer is not None and self.rng.random() < 0.25:
            where = where.outer
        found = where.columns(family) or scope.columns(family)
        return self.rng.choice(found) if found else self.literal(family)

    def literal(self, family: str) -> str:
        """A value of the family, from the hostile ones mostly."""
        rng = self.rng
        if family == "boolean":
            return rng.choice(("true", "false"))
        known = [v for v in VALUES[rng.choice(_LITERALS[family])] if v is not None]
        value: Any = rng.choice(known)
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        if isinstance(value, datetime):
            return f"timestamp '{value}'"
        if isinstance(value, date):
            return f"date '{value}'"
        if isinstance(value, float):
            return repr(value)
        return f"({value})" if str(value).startswith("-") else str(value)

    def value(self, scope: Scope, family: str, depth: int = 0) -> str:
        """An expression of the family."""
        rng = self.rng
        if depth > 1 or rng.random() < 0.5:
            return self.column(scope, family)
        again: Callable[[str], str] = lambda of: self.value(scope, of, depth + 1)  # noqa: E731
        roll = rng.random()
        if roll < 0.12:
            return f"coalesce({again(family)}, {self.literal(family)})"
        if roll < 0.22:
            test = self.predicate(scope, depth + 1)
            other = rng.choice((again(family), self.literal(family), "null"))
            return f"case when {test} then {again(family)} else {other} end"
        if roll < 0.28:
            return f"nullif({again(family)}, {again(family)})"
        if roll < 0.34 and scope.depth < 2:
            return self.queries.scalar(scope, family)
        if roll < 0.4:
            word = rng.choice(("greatest", "least"))
            return f"{word}({again(family)}, {again(family)})"
        return rng.choice(self._own(scope, family, again))()

    def _own(
        self, scope: Scope, family: str, again: Callable[[str], str]
    ) -> list[Callable[[], str]]:
        """What only this family has."""
        rng = self.rng
        plain = lambda: self.column(scope, family)  # noqa: E731
        if family == "int":
            return [
                lambda: f"({again('int')} % {rng.choice((2, 3, 7, -3))})",
                lambda: f"({again('int')} // {rng.choice((2, 3, 10))})",
                lambda: f"(({plain()}) % 1000 + {rng.choice((1, -1, 1000))})",
                lambda: f"length({again('text')})",
                lambda: (
                    f"extract({rng.choice(('year', 'month', 'day', 'dow', 'quarter', 'isodow'))} "
                    f"from {again('date')})"
                ),
                lambda: f"extract(hour from {again('timestamp')})",
                lambda: f"date_diff('day', {again('date')}, {self.literal('date')})",
                lambda: f"strpos({again('text')}, 'a')",
                lambda: f"cast({again('boolean')} as integer)",
                lambda: f"sign({plain()} % 10)",
            ]
        if family == "decimal":
            return [
                lambda: f"({self._narrow(scope)} * 2)",
                lambda: f"({self._narrow(scope)} + {self._narrow(scope)})",
                lambda: f"(- {plain()})",
                lambda: f"round({self._narrow(scope)}, 1)",
                lambda: f"abs({self._narrow(scope)})",
                lambda: f"cast(({self.column(scope, 'int')} % 1000) as decimal(12,2))",
            ]
        if family == "text":
            return [
                lambda: f"({again('text')} || {self.literal('text')})",
                lambda: (
                    f"{rng.choice(('upper', 'lower', 'trim', 'ltrim', 'rtrim', 'reverse'))}"
                    f"({again('text')})"
                ),
                lambda: (
                    f"substring({again('text')}, {rng.choice((1, 2, -1))}, {rng.choice((1, 2))})"
                ),
                lambda: f"left({again('text')}, 1)",
                lambda: f"replace({again('text')}, 'a', 'b')",
                lambda: f"concat({again('text')}, {again('text')})",
                lambda: f"cast({self.column(scope, 'int')} as varchar)",
                lambda: f"cast({self.column(scope, 'date')} as varchar)",
            ]
        if family == "date":
            return [
                lambda: f"cast({self.column(scope, 'timestamp')} as date)",
                lambda: (
                    f"cast(date_trunc('{rng.choice(('month', 'year', 'week'))}', "
                    f"{plain()}) as date)"
                ),
            ]
        if family == "timestamp":
            return [
                lambda: f"cast({self.column(scope, 'date')} as timestamp)",
                lambda: f"date_trunc('{rng.choice(('hour', 'day', 'month'))}', {plain()})",
                lambda: f"({plain()} - interval {rng.choice((1, 30))} day)",
            ]
        if family == "boolean":
            return [lambda: f"({self.predicate(scope, 1)})", lambda: f"(not {plain()})"]
        return [
            lambda: f"({self.column(scope, 'double')} / 2)",
            lambda: f"(({self.column(scope, 'int')} % 8) / 4)",
        ]

    def _narrow(self, scope: Scope) -> str:
        """A decimal far from overflow, whatever is in scope under which name."""
        return f"coalesce(try_cast({self.column(scope, 'decimal')} as decimal(14,2)), 0)"

    # -- predicates -----------------------------------------------------------------------------

    def predicate(self, scope: Scope, depth: int = 0) -> str:
        """A condition."""
        rng = self.rng
        roll = rng.random()
        if depth < 2 and roll < 0.28:
            word = rng.choice(("and", "and", "or"))
            left, right = (self.predicate(scope, depth + 1) for _ in range(2))
            return f"({left} {word} {right})"
        if depth < 2 and roll < 0.34:
            return f"not ({self.predicate(scope, depth + 1)})"
        if depth < 2 and roll < 0.5 and scope.depth < 2:
            return self.queries.subquery_predicate(scope)
        return self.comparison(scope)

    def comparison(self, scope: Scope, family: str = "") -> str:
        """A condition without subqueries."""
        rng = self.rng
        here = [f for f in FAMILIES if scope.columns(f)] or ["int"]
        family = family or rng.choice(here)
        simple = rng.random() < 0.6
        left = self.column(scope, family) if simple else self.value(scope, family, 1)
        operator = rng.choice(("=", "=", "<>", "<", "<=", ">", ">="))
        negate = rng.choice(("", "not "))
        literal: Callable[[], str] = lambda: self.literal(family)  # noqa: E731
        makers: list[Callable[[], str]] = [
            lambda: f"{left} {operator} {literal()}",
            lambda: f"{literal()} {operator} {left}",
            lambda: f"{left} is {negate}null",
            lambda: (
                f"{left} {negate}in ({', '.join(literal() for _ in range(rng.choice((1, 3))))})"
            ),
            lambda: f"{left} {negate}in ({literal()}, null)",
            lambda: f"{left} {negate}between {literal()} and {literal()}",
            lambda: f"{left} is {negate}distinct from {self.column(scope, family)}",
            lambda: f"{left} {operator} {self.column(scope, family)}",
        ]
        if family == "boolean":
            makers += [lambda: left, lambda: f"{left} is {negate}true"]
        if family == "text":
            pattern = rng.choice(("a%", "%b", "_", "%a%", "A%", "a ", "%", "\\%", "_b", "%\\\\%"))
            word = rng.choice(("like", "like", "ilike"))
            makers += [lambda: f"{left} {negate}{word} '{pattern}'"] * 2
            makers.append(lambda: f"starts_with({left}, 'a')")
        return rng.choice(makers)()

    # -- aggregates -----------------------------------------------------------------------------

    def aggregate(self, scope: Scope, *, inexact: bool = False) -> tuple[str, str]:
        """An aggregate and its family; ``inexact`` also allows what rounds."""
        rng = self.rng
        family = rng.choice(FAMILIES)
        value = lambda of: self.value(scope, of, 1)  # noqa: E731
        counted = rng.choice(("", "distinct "))
        makers: list[tuple[str, str]] = [
            ("count(*)", "int"),
            (f"count({counted}{value(family)})", "int"),
            (f"sum({counted}({value('int')}) % 100000)", "int"),
            (f"sum({counted}{self._narrow(scope)})", "decimal"),
            (f"min({value(family)})", family),
            (f"max({value(family)})", family),
            (self._listed(scope), "text"),
        ]
        if rng.random() < 0.2:
            makers.append((f"{rng.choice(('bool_and', 'bool_or'))}({value('boolean')})", "boolean"))
        if inexact:
            makers += [
                (f"avg({value('int')})", "inexact"),
                (f"avg({self._narrow(scope)})", "inexact"),
                (f"median({value('int')} % 1000)", "inexact"),
                (f"stddev_samp({value('int')} % 1000)", "inexact"),
                (f"var_pop({value('int')} % 1000)", "inexact"),
            ]
        text, of = rng.choice(makers)
        if rng.random() < 0.2:
            text += f" filter (where {self.comparison(scope)})"
        return text, of

    def _listed(self, scope: Scope) -> str:
        """Texts in an order that equal texts cannot upset."""
        text = self.column(scope, "text")
        return f"string_agg({text}, ',' order by {text})"

    def ordering(self, items: Sequence[str]) -> str:
        """An ORDER BY list over ``items``, with directions and places for NULL."""
        words = ("", " desc", " nulls first", " desc nulls last", " asc nulls last")
        return ", ".join(f"{item}{self.rng.choice(words)}" for item in items)
