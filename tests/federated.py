"""A data set spread over several sources, beside the same data in plain DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tests.databases import (
    Database,
    Declared,
    create_database,
    duckdb_type,
    load_duckdb,
    load_sqlite,
    write_csv,
    write_parquet,
)
from tests.servers import Server

SOURCE_OF = {
    "postgres": "pg",
    "mysql": "my",
    "sqlite": "lite",
    "duckdb": "duck",
    "parquet": "files",
    "csv": "files",
}


@dataclass
class Federated:
    """``config`` for Dovetail, and ``local``: DuckDB with the same tables under the same names.

    Every table name is unique across the sources. ``places`` maps each to its kind of place.
    Take ``local.cursor()`` per thread.
    """

    config: dict[str, Any]
    local: duckdb.DuckDBPyConnection
    places: Mapping[str, str]
    databases: list[Database] = field(default_factory=list)

    def close(self) -> None:
        """Drop what was made on the servers."""
        self.local.close()
        for database in self.databases:
            database.drop()


def federate(
    name: str,
    declared: Mapping[str, Declared],
    places: Mapping[str, str],
    table: Callable[[str], pa.Table],
    folder: Path,
    server: Callable[[str], Server],
    local: duckdb.DuckDBPyConnection | None = None,
    collations: Mapping[str, str] | None = None,
) -> Federated:
    """Load every table of ``places`` (table → postgres, mysql, sqlite, duckdb, parquet or csv).

    ``declared`` stands in an order in which foreign keys can be loaded; keys between tables that
    live in different places are left out. ``server(kind)`` gives a test server; ``collations`` are
    those of :func:`~tests.databases.create_database` by kind. Without ``local`` the tables are also
    loaded into a new in-memory DuckDB.
    """
    fill_local = local is None
    local = local or duckdb.connect(config={"threads": 1})
    data = folder / "files"
    data.mkdir(parents=True, exist_ok=True)
    sources: dict[str, dict[str, Any]] = {}
    databases: dict[str, Database] = {}
    for table_name, shape in declared.items():
        place = places.get(table_name)
        if place is None:
            continue
        rows = table(table_name)
        here = Declared(
            shape.columns,
            shape.primary_key,
            tuple(key for key in shape.foreign_keys if places.get(key[1]) == place),
            shape.not_null,
        )
        if fill_local:
            load_duckdb(local, table_name, rows, here)
        source = SOURCE_OF[place]
        if place in ("postgres", "mysql"):
            if place not in databases:
                collation = (collations or {}).get(place, "")
                databases[place] = create_database(server(place), name, collation=collation)
                sources[source] = databases[place].source()
            databases[place].load(table_name, rows, here)
        elif place == "sqlite":
            sources[source] = {"kind": "sqlite", "path": str(folder / "lite.db")}
            load_sqlite(folder / "lite.db", table_name, rows, here)
        elif place == "duckdb":
            sources[source] = {"kind": "duckdb", "path": str(folder / "duck.duckdb")}
            with duckdb.connect(str(folder / "duck.duckdb")) as connection:
                load_duckdb(connection, table_name, rows, here)
        else:
            files = sources.setdefault(source, {"kind": "files", "path": str(data), "tables": {}})
            if place == "parquet":
                write_parquet(data, table_name, rows, here)
            else:
                write_csv(data, table_name, rows, here)
                files["tables"][table_name] = {
                    "path": f"{table_name}.csv",
                    "options": {
                        "types": {c: duckdb_type(text) for c, text in shape.columns.items()},
                        "allow_quoted_nulls": False,  # "" is written for the empty text
                    },
                }
    for database in databases.values():
        database.analyze()
    return Federated({"sources": sources}, local, dict(places), list(databases.values()))
