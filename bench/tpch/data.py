"""TPC-H in PostgreSQL and MariaDB: all eight tables, keys and the usual indexes, statistics read.

Every server gets every table; a split only says which table is read where. Rows are copied first
and keys and indexes are made afterwards, which is several times faster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

# Keys of the specification (1.4.2) that ``tests.tpch`` has no need of: parts of a compound key.
MORE_KEYS: dict[str, tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]] = {
    "lineitem": ((("l_suppkey",), "supplier", ("s_suppkey",)),)
}


def fill(server: Any, name: str, folder: Path, say: Callable[[str], None]) -> None:
    """Create database ``name`` on a ``tests.servers.Server`` and load ``folder``/TABLE.parquet."""
    import pyarrow.parquet as pq
    from tests import tpch
    from tests.databases import Database

    collation = " CHARACTER SET utf8mb4" if server.kind == "mysql" else ""
    server.execute(f"CREATE DATABASE {name}{collation}")
    database = Database(server, name)
    late = server.kind == "postgres"  # InnoDB keeps rows in the primary key's order: make it first
    for table, declared in tpch.TABLES.items():
        keys = () if late else declared.primary_key
        bare = replace(declared, primary_key=keys, foreign_keys=())
        database.load(table, pq.read_table(folder / f"{table}.parquet"), bare)
        say(f"{server.kind} {name}: {table} copied")
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in _keys(server.kind):
            cursor.execute(statement)
    if late:
        database.execute("VACUUM (FREEZE, ANALYZE)")
    else:
        # 256 pages instead of 20: the sampled number of distinct keys is otherwise off by tens of
        # per cent, and differs between two loads of the same rows
        database.execute("SET GLOBAL innodb_stats_persistent_sample_pages = 256")
        database.analyze()
    say(f"{server.kind} {name}: keys, indexes and statistics made")


def _keys(kind: str) -> Iterator[str]:
    from tests import tpch

    if kind == "mysql":  # else every foreign key copies the table instead of adding to it in place
        yield "SET foreign_key_checks = 0"
    else:
        yield "SET maintenance_work_mem = '512MB'"
        for table, declared in tpch.TABLES.items():
            yield f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(declared.primary_key)})"
    for table, declared in tpch.TABLES.items():
        parts = []
        for columns, other, others in (*declared.foreign_keys, *MORE_KEYS.get(table, ())):
            listed = ", ".join(columns)
            index = f"{table}_{'_'.join(columns)}"
            if declared.primary_key[: len(columns)] != columns:
                if kind == "postgres":
                    yield f"CREATE INDEX {index} ON {table} ({listed})"
                else:
                    parts.append(f"ADD INDEX {index} ({listed})")
            parts.append(f"ADD FOREIGN KEY ({listed}) REFERENCES {other} ({', '.join(others)})")
        if parts:
            yield f"ALTER TABLE {table} {', '.join(parts)}"
