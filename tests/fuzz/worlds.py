"""Random worlds: tables full of hostile values, spread over places of several kinds.

Values are hostile to careless pushdown (semantics.md): case, accents, trailing spaces, NULLs, the
edges of types. Everything comes from one seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.databases import Declared
from tests.federated import Federated, federate
from tests.servers import Server

# td is small, and every other table has a foreign key to it; te has a key of two columns.
TABLES = ("td", "ta", "tb", "tc", "te")
KINDS = ("postgres", "mysql", "sqlite", "duckdb", "parquet", "csv")
SERVERS = ("postgres", "mysql")

# Column → declared type and family: what the grammar of queries may do with it.
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("BIGINT", "int"),
    "r": ("BIGINT", "int"),
    "k": ("BIGINT", "int"),
    "n": ("INTEGER", "int"),
    "v": ("DECIMAL(12,2)", "decimal"),
    "w": ("DECIMAL(30,6)", "decimal"),
    "s": ("VARCHAR(20)", "text"),
    "c": ("CHAR(4)", "text"),
    "d": ("DATE", "date"),
    "t": ("TIMESTAMP", "timestamp"),
    "b": ("BOOLEAN", "boolean"),
    "x": ("DOUBLE", "double"),
}
_ARROW = {
    "id": pa.int64(),
    "r": pa.int64(),
    "k": pa.int64(),
    "n": pa.int32(),
    "v": pa.decimal128(12, 2),
    "w": pa.decimal128(30, 6),
    "s": pa.string(),
    "c": pa.string(),
    "d": pa.date32(),
    "t": pa.timestamp("us"),
    "b": pa.bool_(),
    "x": pa.float64(),
}
_DATES = ("1000-01-01", "1969-12-31", "2024-02-29", "2024-01-01", "2024-12-30", "2025-12-31",
          "9999-12-31")  # fmt: skip
_TIMESTAMPS = ("1000-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2024-02-29 12:30:00.5",
               "2024-01-01 00:00:00", "2024-12-31 23:59:59",
               "9999-12-31 23:59:59.999999")  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "k": [None, 0, 1, 2, 3, 4, 5, -1, 2**53 + 1, -(2**63), 2**63 - 1],
    "n": [None, 0, 1, 2, 7, -7, 2**31 - 1, -(2**31)],
    "v": [None, *map(Decimal, ("0.00", "1.50", "-1.50", "0.01", "9999999999.99", "2.50"))],
    "w": [
        None,
        *map(Decimal, ("0.000000", "1.000001", "-2.500000", "123456789012345678901234.999999")),
    ],
    "s": [
        *(None, "a", "A", "ä", "a ", " a", "", "b", "B", "ab", "aB", "ß", "ss", "%", "_", "日本"),
        *("z'z", "é", "e\u0301", "a\\b", "0", "10", "9", "Å", "a\tb", "𝔘"),
    ],
    "c": [None, "a", "A", "ab", "b", "abcd", "ä"],
    "d": [None, *map(date.fromisoformat, _DATES)],
    "t": [None, *map(datetime.fromisoformat, _TIMESTAMPS)],
    "b": [None, True, False],
    "x": [None, 0.0, 1.5, -1.5, 1e308, 2.25, 3.0, 0.1],
}  # fmt: skip
# SQLite keeps decimals as 64-bit reals.
_SQLITE_VALUES = {"w": [None, *map(Decimal, ("0.000000", "1.000001", "-2.500000"))]}

Rows = dict[str, list[Any]]


@dataclass(frozen=True)
class World:
    """Tables, and where each lies."""

    seed: int
    rows: Mapping[str, Rows]
    places: Mapping[str, str]
    nullable: Mapping[str, frozenset[str]]  # table → columns that may hold NULL
    indexes: tuple[tuple[str, str], ...]  # (table, column), made on servers
    collations: Mapping[str, str]  # kind of server → collation of the database

    def declared(self) -> dict[str, Declared]:
        """The shape of every table, in an order in which keys can be loaded."""
        types = {name: type_ for name, (type_, _) in COLUMNS.items()}
        shapes = {}
        for table in TABLES:
            key = ("id", "r") if table == "te" else ("id",)
            to_td = ((("r",), "td", ("id",)),) if table != "td" else ()
            filled = frozenset(types) - self.nullable[table] | frozenset(key)
            shapes[table] = Declared(types, key, to_td, filled)
        return shapes

    def table(self, name: str) -> pa.Table:
        """One table's rows."""
        return pa.table({n: pa.array(self.rows[name][n], _ARROW[n]) for n in COLUMNS})

    def load(self, folder: Path, server: Callable[[str], Server]) -> Federated:
        """Put the tables where they belong."""
        made = federate(
            "fuzz",
            self.declared(),
            self.places,
            self.table,
            folder,
            server,
            collations=self.collations,
        )
        if "my" in made.config["sources"]:  # its BOOLEAN is a small number otherwise
            made.config["sources"]["my"]["tinyint1"] = "boolean"
        for database in made.databases:
            for table, column in self.indexes:
                if self.places[table] == database.server.kind:
                    database.execute(f"CREATE INDEX i_{table}_{column} ON {table} ({column})")
            database.analyze()
        return made

    def with_rows(self, table: str, keep: list[int]) -> World:
        """The world with only those rows of ``table``."""
        rows = {n: [values[i] for i in keep] for n, values in self.rows[table].items()}
        return replace(self, rows={**self.rows, table: rows})

    def shown(self) -> str:
        """The tables as SQL, for a report."""
        lines = []
        for table in TABLES:
            rows = list(zip(*self.rows[table].values(), strict=True))
            lines.append(f"{table} in {self.places[table]}, {len(rows)} rows")
            lines += [f"  {', '.join(map(_shown, row))}" for row in rows[:8]]
        return "\n".join(lines)


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value) if isinstance(value, str) else str(value)


def world(seed: int) -> World:
    """The world of a seed."""
    rng = random.Random(seed)
    places = {name: rng.choice(KINDS) for name in TABLES}
    roll = rng.random()
    if roll < 0.2:  # all on one server: whole queries go down
        places = dict.fromkeys(TABLES, rng.choice(SERVERS))
    elif roll < 0.7:  # two servers, the case that all is about
        places = {name: rng.choice(SERVERS) for name in TABLES}
    places[rng.choice(TABLES)] = rng.choice(SERVERS)
    # now and then large enough that key sets, partial aggregates and order of joins pay
    sizes = rng.choice(((0, 3, 15, 40), (3, 15, 40), (15, 40), (3, 15), (3, 40, 1000)))
    few = rng.random() < 0.3  # hardly any NULLs, so that facts about columns can be used
    columns = [name for name in COLUMNS if name != "id"]
    nullable = {
        table: frozenset(c for c in columns if rng.random() < (0.3 if few else 0.9))
        for table in TABLES
    }
    rows: dict[str, Rows] = {}
    for table in TABLES:
        count = rng.choice((3, 10)) if table == "td" else rng.choice(sizes)
        parents = [None] if table == "td" else rows["td"]["id"]
        rows[table] = _rows(rng, table, count, places[table], nullable[table], parents)
    indexed = [c for c in ("k", "n", "r", "d", "c") if rng.random() < 0.3]
    return World(
        seed,
        rows,
        places,
        nullable,
        tuple((table, column) for table in TABLES for column in indexed),
        {
            "postgres": rng.choice(("icu", "icu", "C")),
            "mysql": rng.choice(
                ("utf8mb4_general_ci", "utf8mb4_general_ci", "utf8mb4_unicode_ci",
                 "utf8mb4_bin", "utf8mb4_unicode_nopad_ci")
            ),
        },
    )  # fmt: skip


def _rows(
    rng: random.Random,
    table: str,
    count: int,
    place: str,
    nullable: frozenset[str],
    parents: list[Any],
) -> Rows:
    hostile = 1.0 if count <= 40 else 0.1  # of many rows few: else joins have millions
    rows: Rows = {"id": list(range(count))}
    rows["r"] = [rng.choice(parents) for _ in range(count)]
    if table == "td":
        rows["r"] = [rng.choice((0, 1, 2)) for _ in range(count)]
    if table == "te":  # id and r together are the key
        rows["id"] = [number // 3 for number in range(count)]
        rows["r"] = [parents[number % 3 % len(parents)] for number in range(count)]
    elif "r" in nullable:
        rows["r"] = [None if rng.random() < 0.2 else value for value in rows["r"]]
    for name in COLUMNS:
        if name in rows:
            continue
        values = VALUES[name]
        if place == "sqlite":
            values = _SQLITE_VALUES.get(name, values)
        if name not in nullable:
            values = [value for value in values if value is not None]
        rows[name] = [
            rng.choice(values) if rng.random() < hostile else _usual(rng, name, count)
            for _ in range(count)
        ]
    return {name: rows[name] for name in COLUMNS}


def _usual(rng: random.Random, name: str, count: int) -> Any:
    """A harmless value of a wide range."""
    number = rng.randrange(count * 2)
    match name:
        case "k" | "n":
            return number
        case "v" | "w":
            return Decimal(number) / 4
        case "s":
            return f"s{number}"
        case "c":
            return f"c{number % 100}"
        case "d":
            return date(2020, 1, 1) + timedelta(days=number % 1500)
        case "t":
            return datetime(2020, 1, 1) + timedelta(hours=number)
        case "b":
            return number % 2 == 0
        case _:
            return number / 8
