"""Random tables and random queries over them, from one seed.

Values are hostile to careless pushdown (semantics.md): case, accents, trailing spaces, NULLs, the
edges of types. Queries are valid most of the time; whatever plain DuckDB refuses is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.databases import Declared

TABLES = ("ta", "tb", "tc")
KINDS = ("postgres", "mysql", "sqlite", "duckdb", "parquet")

COLUMNS = {
    "id": "BIGINT",
    "k": "BIGINT",
    "n": "INTEGER",
    "v": "DECIMAL(12,2)",
    "s": "VARCHAR(20)",
    "c": "CHAR(4)",
    "d": "DATE",
    "x": "DOUBLE",
}
_ARROW = {
    "id": pa.int64(),
    "k": pa.int64(),
    "n": pa.int32(),
    "v": pa.decimal128(12, 2),
    "s": pa.string(),
    "c": pa.string(),
    "d": pa.date32(),
    "x": pa.float64(),
}
_VALUES: dict[str, list[Any]] = {
    "k": [None, 0, 1, 2, 3, 4, 5, -1, 2**53 + 1, -(2**63)],
    "n": [None, 0, 1, 2, 7, -7, 2**31 - 1, -(2**31)],
    "v": [None, *map(Decimal, ("0.00", "1.50", "-1.50", "0.01", "9999999999.99", "2.50"))],
    "s": [None, "a", "A", "ä", "a ", "", "b", "B", "ab", "aB", "ß", "ss", "%", "_", "日本", "z'z"],
    "c": [None, "a", "A", "ab", "b", "abcd", "ä"],
    "d": [None, date(1969, 12, 31), date(2024, 2, 29), date(2024, 1, 1), date(2025, 12, 31)],
    "x": [None, 0.0, 1.5, -1.5, 1e308, 2.25, 3.0],
}


def declared() -> dict[str, Declared]:
    """The shape of every table."""
    return {name: Declared(COLUMNS, ("id",), (), frozenset({"id"})) for name in TABLES}


def table(rng: random.Random) -> pa.Table:
    """Rows for one table; sometimes none."""
    rows = rng.choice((0, 3, 15, 40))
    data: dict[str, list[Any]] = {"id": list(range(rows))}
    for name, values in _VALUES.items():
        data[name] = [rng.choice(values) for _ in range(rows)]
    return pa.table({n: pa.array(data[n], _ARROW[n]) for n in COLUMNS})


def places(rng: random.Random) -> dict[str, str]:
    """Where each table lies; at least one on a server."""
    chosen = {name: rng.choice(KINDS) for name in TABLES}
    chosen[rng.choice(TABLES)] = rng.choice(("postgres", "mysql"))
    if rng.random() < 0.3:  # all on one server: whole queries go down
        chosen = dict.fromkeys(TABLES, rng.choice(("postgres", "mysql")))
    return chosen


class Queries:
    """Makes query texts. Deterministic for a given generator."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._aliases = 0

    def query(self) -> str:
        """One statement."""
        rng = self._rng
        self._aliases = 0
        roll = rng.random()
        if roll < 0.12:
            operator = rng.choice(("union all", "union", "intersect", "except", "except all"))
            names = rng.sample([c for c in COLUMNS if c != "x"], 2)
            return f"{self._plain(names)} {operator} {self._plain(names)}"
        if roll < 0.24:
            inner = self._plain(["k", "s", "v"])
            return (
                f"with w as ({inner}) select a.k, count(*) as n, max(b.v) as m from w a "
                f"{self._join_word()} w b on a.k = b.k group by a.k"
            )
        if roll < 0.34:
            return self._windowed()
        return self._select()

    def _alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    def _plain(self, names: list[str]) -> str:
        alias = self._alias()
        where = self._predicate([alias]) if self._rng.random() < 0.7 else "true"
        listed = ", ".join(f"{alias}.{n}" for n in names)
        return f"select {listed} from {self._rng.choice(TABLES)} {alias} where {where}"

    def _windowed(self) -> str:
        alias = self._alias()
        function = self._rng.choice(
            ("row_number()", "rank()", "count(*)", f"sum({alias}.v)", f"lag({alias}.k)")
        )
        part = self._rng.choice(("k", "s", "c"))
        outer = self._rng.choice((f"{part} is not null", "w > 1", "k = 1", "true"))
        return (
            f"select * from (select {alias}.id, {alias}.k, {alias}.s, {alias}.c, {function} over "
            f"(partition by {alias}.{part} order by {alias}.id) as w "
            f"from {self._rng.choice(TABLES)} {alias}) z where {outer}"
        )

    def _select(self) -> str:
        rng = self._rng
        from_, aliases = self._from()
        where = f" where {self._predicate(aliases)}" if rng.random() < 0.8 else ""
        if rng.random() < 0.45:
            keys = [
                self._column(aliases, rng.choice("knscd")) for _ in range(rng.choice((0, 1, 2)))
            ]
            keys = list(dict.fromkeys(keys))
            aggregates = [self._aggregate(aliases) for _ in range(rng.choice((1, 2, 3)))]
            items = [f"{e} as o{i}" for i, e in enumerate([*keys, *aggregates])]
            group = f" group by {', '.join(keys)}" if keys else ""
            having = " having count(*) > 1" if rng.random() < 0.3 else ""
            text = f"select {', '.join(items)} from {from_}{where}{group}{having}"
            columns = len(items)
        else:
            listed = [self._value(aliases) for _ in range(rng.choice((1, 2, 3)))]
            distinct = "distinct " if rng.random() < 0.2 else ""
            items = [f"{e} as o{i}" for i, e in enumerate(listed)]
            text = f"select {distinct}{', '.join(items)} from {from_}{where}"
            columns = len(items)
        if rng.random() < 0.35:
            # Ordered by everything that is delivered, so that a limit has one answer.
            keys = [
                f"{i + 1}{rng.choice(('', ' desc', ' nulls first', ' desc nulls last'))}"
                for i in range(columns)
            ]
            text += f" order by {', '.join(keys)} limit {rng.choice((0, 1, 3, 10))}"
            if rng.random() < 0.3:
                text += " offset 1"
        return text

    def _join_word(self) -> str:
        return self._rng.choice(("join", "left join", "right join", "full join", "join"))

    def _from(self) -> tuple[str, list[str]]:
        rng = self._rng
        first = self._alias()
        text, aliases = f"{rng.choice(TABLES)} {first}", [first]
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            alias = self._alias()
            right = f"{rng.choice(TABLES)} {alias}"
            if rng.random() < 0.2:
                inner = self._alias()
                right = (
                    f"(select {inner}.k, {inner}.s, {inner}.id, {inner}.n, {inner}.c, {inner}.d, "
                    f"{inner}.x, coalesce({inner}.v, 0) as v from {rng.choice(TABLES)} {inner}) "
                    f"{alias}"
                )
            kind = rng.random()
            other = rng.choice(aliases)
            column = rng.choice(("id", "k", "k", "s", "c", "d", "n"))
            on = f"{other}.{column} = {alias}.{column}"
            if rng.random() < 0.3:
                on += f" and {self._comparison([other, alias])}"
            if kind < 0.1:
                text += f" {rng.choice(('semi', 'anti'))} join {right} on {on}"
                continue
            text += f" {self._join_word()} {right} on {on}"
            aliases.append(alias)
        return text, aliases

    def _column(self, aliases: list[str], name: str | None = None) -> str:
        return f"{self._rng.choice(aliases)}.{name or self._rng.choice(list(COLUMNS))}"

    def _value(self, aliases: list[str]) -> str:
        rng = self._rng
        makers: list[Callable[[], str]] = [
            lambda: self._column(aliases),
            lambda: self._column(aliases),
            lambda: f"{self._column(aliases, 'v')} * 2",
            lambda: f"coalesce({self._column(aliases, 's')}, 'none')",
            lambda: f"case when {self._comparison(aliases)} then 1 else 0 end",
            lambda: f"extract(year from {self._column(aliases, 'd')})",
            lambda: f"{self._column(aliases, 's')} || 'x'",
            lambda: (
                f"(select count(*) from {rng.choice(TABLES)} i where i.k = "
                f"{self._column(aliases, 'k')})"
            ),
        ]
        return rng.choice(makers)()

    def _aggregate(self, aliases: list[str]) -> str:
        rng = self._rng
        makers = [
            "count(*)",
            f"count({self._column(aliases)})",
            f"count(distinct {self._column(aliases, rng.choice('ksd'))})",
            f"sum({self._column(aliases, rng.choice('nv'))})",
            f"min({self._column(aliases, rng.choice('knvscd'))})",
            f"max({self._column(aliases, rng.choice('knvscd'))})",
            f"avg({self._column(aliases, rng.choice('nv'))})",
            f"sum({self._column(aliases, 'v')}) filter (where {self._comparison(aliases)})",
        ]
        return rng.choice(makers)

    def _predicate(self, aliases: list[str], depth: int = 0) -> str:
        rng = self._rng
        roll = rng.random()
        if depth < 2 and roll < 0.3:
            word = rng.choice(("and", "or"))
            left, right = (self._predicate(aliases, depth + 1) for _ in range(2))
            return f"({left} {word} {right})"
        if depth < 2 and roll < 0.38:
            return f"not ({self._predicate(aliases, depth + 1)})"
        if roll < 0.5:
            name = rng.choice(("k", "s", "c"))
            inner = self._alias()
            negate = rng.choice(("", "not "))
            if rng.random() < 0.5:
                return (
                    f"{self._column(aliases, name)} {negate}in (select {inner}.{name} from "
                    f"{rng.choice(TABLES)} {inner} where {self._comparison([inner])})"
                )
            return (
                f"{negate}exists (select 1 from {rng.choice(TABLES)} {inner} where "
                f"{inner}.{name} = {self._column(aliases, name)} and {self._comparison([inner])})"
            )
        return self._comparison(aliases)

    def _literal(self, name: str) -> str:
        value = self._rng.choice([v for v in _VALUES[name] if v is not None])
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        if isinstance(value, date):
            return self._rng.choice((f"date '{value}'", f"'{value}'"))
        if isinstance(value, float):
            return repr(value)
        return f"({value})" if str(value).startswith("-") else str(value)

    def _comparison(self, aliases: list[str]) -> str:
        rng = self._rng
        name = rng.choice(list(_VALUES))
        left = self._column(aliases, name)
        operator = rng.choice(("=", "<>", "<", "<=", ">", ">="))
        makers: list[Callable[[], str]] = [
            lambda: f"{left} {operator} {self._literal(name)}",
            lambda: f"{self._literal(name)} {operator} {left}",
            lambda: f"{left} is {rng.choice(('', 'not '))}null",
            lambda: f"{left} in ({self._literal(name)}, {self._literal(name)})",
            lambda: f"{left} not in ({self._literal(name)}, {self._literal(name)})",
            lambda: f"{left} between {self._literal(name)} and {self._literal(name)}",
            lambda: f"{left} is {rng.choice(('', 'not '))}distinct from {self._literal(name)}",
            lambda: f"{left} {operator} {self._column(aliases, name)}",
        ]
        if name in "sc":
            pattern = rng.choice(("a%", "%b", "_", "%a%", "A%", "a "))
            negate = rng.choice(("", "not "))
            makers.append(lambda: f"{left} {negate}like '{pattern}'")
        return rng.choice(makers)()
