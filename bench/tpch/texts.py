"""The 22 queries: their texts over a split, and the right answers from DuckDB alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.places import Address
from bench.tpch.contenders import ALIASES, Order

_FACTS = ("lineitem", "orders", "partsupp")
_DIMENSIONS = ("customer", "part", "supplier", "nation", "region")
SPLITS: dict[str, dict[str, str]] = {
    "A": {**dict.fromkeys(_FACTS, "postgres"), **dict.fromkeys(_DIMENSIONS, "mysql")},
    "B": {**dict.fromkeys(_FACTS, "mysql"), **dict.fromkeys(_DIMENSIONS, "postgres")},
    "C": {
        **dict.fromkeys(("part", "partsupp", "lineitem", "nation", "region"), "postgres"),
        **dict.fromkeys(("orders", "customer", "supplier"), "mysql"),
    },
}
QUERIES = tuple(f"q{number:02d}" for number in range(1, 23))


class Texts:
    """Orders for the contenders, and what they should answer."""

    def __init__(self, rows: Path) -> None:
        """``rows`` is a folder with ``TABLE.parquet`` of every table."""
        self._rows = rows
        self._answers: dict[str, list[tuple[Any, ...]]] = {}

    def order(self, query: str, split: str, addresses: Mapping[str, Address]) -> Order:
        """The order for ``query``; the contender is still to be named."""
        from tests import tpch

        text = tpch.queries()[query].strip().rstrip(";")
        places = SPLITS[split]
        schemas = {kind: address.schema for kind, address in addresses.items()}
        qualified, columns = _qualified(text, places, schemas)
        return Order("", query, text, qualified, places, columns, addresses)

    def expected(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that DuckDB gives over the local files."""
        if query not in self._answers:
            from tests import tpch

            self._answers[query] = self._local.execute(tpch.queries()[query]).fetchall()
        return self._answers[query]

    @cached_property
    def _local(self) -> Any:
        import duckdb
        from tests import tpch
        from tests.databases import duckdb_type

        local = duckdb.connect()
        for name, declared in tpch.TABLES.items():
            casts = ", ".join(
                f"CAST({column} AS {duckdb_type(type_)}) AS {column}"
                for column, type_ in declared.columns.items()
            )
            path = self._rows / f"{name}.parquet"
            local.execute(f"CREATE VIEW {name} AS SELECT {casts} FROM '{path}'")
        return local


def _qualified(
    text: str, places: Mapping[str, str], schemas: Mapping[str, str]
) -> tuple[str, dict[str, dict[str, str]]]:
    """The text with full names of tables, and the columns with their types it needs of each."""
    from sqlglot import exp, parse_one
    from tests import tpch

    tree = parse_one(text, dialect="duckdb")
    named = {column.name for column in tree.find_all(exp.Column)}
    columns: dict[str, dict[str, str]] = {}
    for table in list(tree.find_all(exp.Table)):
        declared = tpch.TABLES.get(table.name)
        if declared is None:
            continue  # a common table expression
        needed = {name: type_ for name, type_ in declared.columns.items() if name in named}
        columns[table.name] = needed or dict(list(declared.columns.items())[:1])
        kind = places[table.name]
        full = exp.table_(table.name, schemas[kind], ALIASES[kind])
        table.replace(exp.alias_(full, table.alias_or_name, table=True))
    return tree.sql(dialect="duckdb"), columns


def differ(
    rows: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]], *, exact: bool
) -> str | None:
    """What differs, or None. Without ``exact`` a number equals one of another type."""
    from tests import three_ways

    if not exact:
        rows, expected = _loose(rows), _loose(expected)
    return three_ways.differ(rows, expected, ordered=False)


def _loose(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(_loose_value(value) for value in row) for row in rows]


def _loose_value(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return float(value)
    # a date, whether or not its library adds midnight
    return str(value)[:10] if hasattr(value, "isoformat") else value
