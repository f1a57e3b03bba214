"""Random queries over the tables of a world, from one seed.

Joins of all kinds, subqueries of all kinds, grouping, windows, set operations, common table
expressions. Queries are valid most of the time; whatever plain DuckDB refuses is left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.fuzz.expressions import FAMILIES, Expressions, Relation, Scope
from tests.fuzz.worlds import COLUMNS, TABLES

_SHAPE = {name: family for name, (_, family) in COLUMNS.items()}


@dataclass(frozen=True)
class Query:
    """A query text and how to judge its answer.

    ``keys`` are the delivered columns, by number, that it is ordered by. With ``unlimited``, the
    same without its LIMIT, rows that tie at the limit may differ: then the keys must be right and
    every row must be one of the unlimited query's.
    """

    text: str
    keys: tuple[int, ...] = ()
    unlimited: str = ""


class Queries:
    """Makes queries. Deterministic for a given generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._aliases = 0
        self._ctes: list[Relation] = []
        self._make = Expressions(rng, self)

    def query(self) -> Query:
        """One statement."""
        rng = self._rng
        prefix = self._with() if rng.random() < 0.2 else ""
        families = [rng.choice(FAMILIES) for _ in range(rng.choice((1, 2, 3)))]
        if rng.random() < 0.12:
            operator = rng.choice(
                ("union all", "union", "intersect", "except", "except all", "intersect all")
            )
            text = f"{self._body(families)} {operator} {self._body(families)}"
            if rng.random() < 0.2:
                text += f" union all {self._body(families)}"
            exact = list(range(1, len(families) + 1))
        else:
            text, exact = self._top(families)
        return self._ordered(prefix, text, exact)

    def _ordered(self, prefix: str, text: str, exact: list[int]) -> Query:
        rng = self._rng
        if not exact or rng.random() < 0.6:
            return Query(prefix + text)
        keys = rng.sample(exact, rng.randint(1, len(exact)))
        ordered = f"{text} order by {self._make.ordering([str(key) for key in keys])}"
        numbers = tuple(key - 1 for key in keys)
        if rng.random() < 0.3:
            return Query(prefix + ordered, numbers)
        limited = f"{ordered} limit {rng.choice((0, 1, 3, 10))}"
        if rng.random() < 0.3:
            limited += f" offset {rng.choice((1, 4))}"
        return Query(prefix + limited, numbers, prefix + text)

    # -- parts that expressions ask for -----------------------------------------------------------

    def scalar(self, scope: Scope, family: str) -> str:
        """A scalar subquery of the family: an aggregate, a row found by key, or the first row."""
        rng = self._rng
        if rng.random() < 0.35:
            return self._one_row(scope, family)
        from_, relations = self._from(1, scope)
        inner = scope.inner(relations)
        where = self._where(inner, correlate=0.7)
        if family == "int" and rng.random() < 0.15:
            word, groups = rng.choice(("max", "sum", "count")), self._make.column(inner, "text")
            grouped = f"select count(*) as c from {from_}{where} group by {groups}"
            return f"(select {word}(c) from ({grouped}) {self._alias()})"
        if family == "int":
            word = rng.choice(("count(*)", f"max({self._make.column(inner, 'int')})",
                               f"count({self._make.column(inner, 'text')})"))  # fmt: skip
            return f"(select {word} from {from_}{where})"
        word = rng.choice(("min", "max"))
        return f"(select {word}({self._make.value(inner, family, 1)}) from {from_}{where})"

    def _one_row(self, scope: Scope, family: str) -> str:
        """A value of a table's row with a key's value, or of its first row of some."""
        rng = self._rng
        alias = self._alias()
        inner = scope.inner([Relation(alias, _SHAPE, ("id",))])
        from_ = f"{rng.choice(('ta', 'tb', 'tc', 'td'))} {alias}"
        value = self._make.value(inner, family, 1)
        if rng.random() < 0.5:
            key = self._make.column(scope, "int")
            return f"(select {value} from {from_} where {alias}.id = {key})"
        where = self._where(inner, correlate=0.9)
        order = f"{rng.choice((f'{alias}.k desc, ', ''))}{alias}.id"
        offset = rng.choice(("", "", " offset 1"))
        return f"(select {value} from {from_}{where} order by {order} limit 1{offset})"

    def subquery_predicate(self, scope: Scope) -> str:
        """EXISTS, IN, ANY and ALL, plain and negated."""
        rng = self._rng
        from_, relations = self._from(rng.choice((1, 1, 2)), scope)
        inner = scope.inner(relations)
        where = self._where(inner, correlate=0.5)
        negate = rng.choice(("", "not "))
        roll = rng.random()
        if roll < 0.35:
            where = self._where(inner, correlate=0.9)
            rest = rng.choice(
                ("",) * 8
                + (
                    f" group by {self._make.column(inner, 'text')} having count(*) > 1",
                    f" limit {rng.choice((0, 1, 2))}",
                    " limit 1 offset 1",
                    f" union all select 1 from {from_}{where}",
                )
            )
            what = "1" if rest else rng.choice(("1", "*"))
            return f"{negate}exists (select {what} from {from_}{where}{rest})"
        family = rng.choice(("int", "text", "text", "date", "decimal"))
        left, value = self._make.column(scope, family), self._make.value(inner, family, 1)
        if roll < 0.75:
            distinct = rng.choice(("", "", "distinct "))
            return f"{left} {negate}in (select {distinct}{value} from {from_}{where})"
        if roll < 0.85:  # DuckDB has no correlated IN over several columns
            inner = Scope(relations, depth=scope.depth + 1)
            value = self._make.column(inner, family)
            where = self._where(inner)
            second = self._make.column(scope, "int"), self._make.column(inner, "int")
            return (
                f"({left}, {second[0]}) {negate}in (select {value}, {second[1]} from "
                f"{from_}{where})"
            )
        operator, word = rng.choice(("=", "<>", "<", ">=")), rng.choice(("any", "all"))
        return f"{left} {operator} {word} (select {value} from {from_}{where})"

    # -- queries ----------------------------------------------------------------------------------

    def _with(self) -> str:
        """One or two common table expressions, which FROM clauses then may name."""
        rng = self._rng
        parts, recursive = [], ""
        for _ in range(rng.choice((1, 1, 2))):
            name = self._alias("w")
            if rng.random() < 0.15:
                recursive = "recursive "
                parts.append(
                    f"{name}(k, n) as (select 1, 0 union {rng.choice(('', 'all '))}"
                    f"select k + 1, (k * 3) % 7 from {name} where k < {rng.choice((1, 6))})"
                )
                self._ctes.append(Relation(name, {"k": "int", "n": "int"}, ("k",)))
                continue
            families = [rng.choice(FAMILIES) for _ in range(3)]
            word = rng.choice(("", "", "materialized ", "not materialized "))
            names = [f"f{i}" for i in range(3)]
            parts.append(f"{name}({', '.join(names)}) as {word}({self._body(families)})")
            self._ctes.append(Relation(name, dict(zip(names, families, strict=True))))
        return f"with {recursive}{', '.join(parts)} "

    def _body(self, families: list[str]) -> str:
        """A SELECT that delivers exact values of those families."""
        roll = self._rng.random()
        if roll < 0.25:
            return self._grouped(families)[0]
        if roll < 0.35:
            return self._windowed(families)[0]
        return self._plain(families)

    def _top(self, families: list[str]) -> tuple[str, list[int]]:
        """A SELECT and the numbers of the columns that are exact."""
        roll = self._rng.random()
        if roll < 0.4:
            return self._grouped(families, inexact=True)
        if roll < 0.55:
            return self._windowed(families, inexact=True)
        if roll < 0.58:
            return self._distinct_on(), [1, 2]
        return self._plain(families), list(range(1, len(families) + 1))

    def _plain(self, families: list[str]) -> str:
        scope, from_ = self._scope()
        items = [f"{self._make.value(scope, f)} as o{i}" for i, f in enumerate(families)]
        distinct = "distinct " if self._rng.random() < 0.2 else ""
        return f"select {distinct}{', '.join(items)} from {from_}{self._where(scope)}"

    def _grouped(self, families: list[str], *, inexact: bool = False) -> tuple[str, list[int]]:
        """Grouped by some columns; without ``inexact`` every column has the family asked for."""
        rng = self._rng
        scope, from_ = self._scope()
        where = self._where(scope)
        if not inexact:
            keys = [self._make.value(scope, family, 1) for family in families[:-1]]
            last = families[-1]
            word = rng.choice(("min", "max"))
            items = [*keys, f"{word}({self._make.value(scope, last, 1)})"]
            exact = list(range(1, len(items) + 1))
        else:
            keys = [self._make.value(scope, f, 1) for f in families[: rng.choice((0, 1, 1, 2))]]
            made = [self._make.aggregate(scope, inexact=True) for _ in range(rng.choice((1, 2, 3)))]
            items = [*keys, *(text for text, _ in made)]
            exact = [*range(1, len(keys) + 1)]
            exact += [len(keys) + i + 1 for i, (_, f) in enumerate(made) if f != "inexact"]
        keys = list(dict.fromkeys(keys))
        group = ""
        if keys:
            listed = ", ".join(keys)
            forms = [listed, listed, listed, f"rollup({listed})", f"cube({listed})",
                     f"grouping sets (({listed}), ())",
                     f"grouping sets ({', '.join(f'({key})' for key in keys)})"]  # fmt: skip
            group = f" group by {rng.choice(forms)}"
        having = ""
        if rng.random() < 0.3:
            left = rng.choice(("count(*)", f"count(distinct {self._make.column(scope, 'text')})"))
            having = f" having {left} {rng.choice(('>', '=', '<='))} {rng.choice((0, 1, 2))}"
            if rng.random() < 0.3:
                having += f" and min({self._make.column(scope, 'int')}) is not null"
        shown = [f"{item} as o{i}" for i, item in enumerate(items)]
        return f"select {', '.join(shown)} from {from_}{where}{group}{having}", exact

    def _windowed(self, families: list[str], *, inexact: bool = False) -> tuple[str, list[int]]:
        """A window over rows in an order that has no ties but between equal rows."""
        rng = self._rng
        from_, relations = self._from(rng.choice((1, 1, 2)))
        scope = Scope(relations)
        where = self._where(scope)
        items = [self._make.value(scope, family) for family in families]
        part = self._make.value(scope, rng.choice(("int", "text", "date")), 1)
        keys = [f"{r.alias}.{key}" for r in relations for key in r.key]
        keyed = all(r.key for r in relations)
        order = self._make.ordering([*self._some(scope), *keys])
        value = self._make.column(scope, rng.choice(FAMILIES))
        number = f"({self._make.column(scope, 'int')} % 1000)"
        tied = self._make.ordering(self._some(scope) or [value])
        # in an order with ties only what does not look at single rows has one answer
        functions = [
            (f"{rng.choice(('rank', 'dense_rank'))}()", tied, ""),
            (f"{rng.choice(('count', 'min', 'max'))}({value})", tied, ""),
            (f"sum({number})", tied, rng.choice(("", "range unbounded preceding"))),
            ("count(*)", "", ""),
            ("count(*)", tied, "groups between 1 preceding and 1 following"),
        ]
        if keyed:
            frame = rng.choice(
                ("", "rows between 1 preceding and 1 following",
                 "rows between unbounded preceding and 1 preceding",
                 "rows between current row and unbounded following",
                 "rows between 2 preceding and current row exclude current row")
            )  # fmt: skip
            functions += [
                ("row_number()", order, ""),
                (f"lag({value})", order, ""),
                (f"lead({value}, 2)", order, ""),
                (f"ntile({rng.choice((2, 3))})", order, ""),
                (f"first_value({value})", order, frame),
                (f"last_value({value})", order, frame),
                (f"sum({number})", order, frame),
                (f"count({value})", order, frame),
                (f"{rng.choice(('min', 'max'))}({value})", order, frame),
                (f"last_value({value} ignore nulls)", order, ""),
            ]
        if inexact:
            functions.append((f"avg({number})", tied, ""))
        function, by, frame = rng.choice(functions)
        partition = f"partition by {part} " if rng.random() < 0.7 else ""
        ordered = f"order by {by} {frame}" if by else ""
        window = f"{function} over ({partition}{ordered})"
        exact = list(range(1, len(items) + 1))
        if not inexact:  # its family is not what was asked for: use it to choose rows
            wanted = f"{window} is not null"
            text = ", ".join(f"{item} as o{i}" for i, item in enumerate(items))
            return f"select {text} from {from_}{where} qualify {wanted}", exact
        shown = ", ".join(f"{item} as o{i}" for i, item in enumerate([*items, window]))
        text = f"select {shown} from {from_}{where}"
        if rng.random() < 0.4:
            last = f"o{len(items)}"
            test = rng.choice((f"{last} is not null", f"o0 is not null or {last} is null"))
            text = f"select * from ({text}) z where {test}"
        return text, exact

    def _distinct_on(self) -> str:
        rng = self._rng
        table = rng.choice(("ta", "tb", "tc"))
        alias = self._alias()
        column = rng.choice(("k", "s", "c", "n"))
        where = self._where(Scope([Relation(alias, _SHAPE, ("id",))]))
        return (
            f"select * from (select distinct on ({alias}.{column}) {alias}.{column}, {alias}.id "
            f"from {table} {alias}{where} order by {alias}.{column}, {alias}.id) z"
        )

    # -- clauses ----------------------------------------------------------------------------------

    def _some(self, scope: Scope) -> list[str]:
        """A column or two."""
        count = self._rng.choice((0, 1, 1, 2))
        return [self._make.column(scope, self._rng.choice(FAMILIES[:5])) for _ in range(count)]

    def _alias(self, letter: str = "q") -> str:
        self._aliases += 1
        return f"{letter}{self._aliases}"

    def _where(self, scope: Scope, *, correlate: float = 0.0) -> str:
        rng = self._rng
        tests = [self._make.predicate(scope)] if rng.random() < 0.75 else []
        if scope.outer is not None and rng.random() < correlate:
            family = rng.choice(("int", "int", "text", "date"))
            mine, outer = scope.columns(family), scope.outer.columns(family)
            others = ("<", ">=", "<>", "is not distinct from")
            operator = "=" if rng.random() < 0.8 else rng.choice(others)
            if mine and outer:
                tests.append(f"{rng.choice(mine)} {operator} {rng.choice(outer)}")
        return f" where {' and '.join(tests)}" if tests else ""

    def _scope(self) -> tuple[Scope, str]:
        from_, relations = self._from(self._rng.choice((1, 1, 2, 2, 3, 4)))
        return Scope(relations), from_

    def _relation(self, outer: Scope | None, derive: bool = True) -> tuple[str, Relation]:
        """Something to read: a table, a common table expression, a subquery, VALUES."""
        rng = self._rng
        alias = self._alias()
        if self._ctes and rng.random() < 0.4:
            known = rng.choice(self._ctes)
            return f"{known.alias} {alias}", Relation(alias, known.columns, known.key)
        depth = outer.depth if outer else 0
        if derive and depth == 0 and rng.random() < 0.15:
            families = [rng.choice(FAMILIES) for _ in range(3)]
            names = [f"f{i}" for i in range(3)]
            text = f"({self._body(families)}) {alias}({', '.join(names)})"
            return text, Relation(alias, dict(zip(names, families, strict=True)))
        if rng.random() < 0.03:
            rows = ", ".join(f"({n}, '{c}')" for n, c in ((1, "a"), (2, "A"), (3, "ä")))
            return f"(values {rows}) {alias}(k, s)", Relation(
                alias, {"k": "int", "s": "text"}, ("k",)
            )
        table = rng.choice(TABLES)
        key = ("id", "r") if table == "te" else ("id",)
        return f"{table} {alias}", Relation(alias, _SHAPE, key)

    def _from(self, count: int, outer: Scope | None = None) -> tuple[str, list[Relation]]:
        """A FROM clause of ``count`` relations and what is in scope after it."""
        rng = self._rng
        text, first = self._relation(outer)
        relations = [first]
        for _ in range(count - 1):
            right, relation = self._relation(outer)
            roll = rng.random()
            if roll < 0.06:
                text += f" cross join {right}"
                relations.append(relation)
                continue
            if roll < 0.07:
                inner = self._lateral(relations)
                if inner is not None:
                    text += f" {rng.choice(('join', 'left join'))} lateral {inner[0]} on true"
                    relations.append(inner[1])
                    continue
            if roll < 0.2:
                word = rng.choice(("semi", "anti"))
                text += f" {word} join {right} on {self._on(relations, relation)}"
                continue
            shared = [n for n in ("k", "r", "s", "id") if n in relation.columns]
            if roll < 0.26 and len(relations) == 1 and all(n in first.columns for n in shared):
                # columns joined by USING stay reachable by alias
                text += f" {self._join_word()} {right} using ({rng.choice(shared or ['k'])})"
            else:
                text += f" {self._join_word()} {right} on {self._on(relations, relation)}"
            relations.append(relation)
        return text, relations

    def _lateral(self, relations: list[Relation]) -> tuple[str, Relation] | None:
        outer = Scope(relations)
        mine = outer.columns("int")
        if not mine:
            return None
        alias, inner = self._alias(), self._alias()
        table = self._rng.choice(TABLES)
        return (
            f"(select max({inner}.n) as n, count(*) as k from {table} {inner} where "
            f"{inner}.k = {self._rng.choice(mine)}) {alias}",
            Relation(alias, {"n": "int", "k": "int"}),
        )

    def _join_word(self) -> str:
        return self._rng.choice(
            ("join", "join", "join", "left join", "left join", "right join", "full join")
        )

    def _on(self, relations: list[Relation], relation: Relation) -> str:
        rng = self._rng
        left = Scope(relations)
        family = rng.choice(("int", "int", "int", "text", "text", "date", "decimal"))
        mine = Scope([relation]).columns(family)
        theirs = left.columns(family)
        if not mine or not theirs:
            return rng.choice(("true", "1 = 1"))
        pair = f"{rng.choice(theirs)} = {rng.choice(mine)}"
        if "id" in relation.columns and left.columns("int") and rng.random() < 0.3:  # along a key
            pair = f"{rng.choice(left.columns('int'))} = {relation.alias}.id"
        if rng.random() < 0.1:
            pair = f"{rng.choice(theirs)} {rng.choice(('<', '<=', '<>'))} {rng.choice(mine)}"
        if rng.random() < 0.3:
            pair += f" and {self._make.comparison(Scope([*relations, relation]))}"
        return pair
