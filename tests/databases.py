"""Fresh databases on the test servers, and fast loading of Arrow tables with declared types.

Types are declared once, in DuckDB's words plus ``CHAR(n)`` and ``VARCHAR(n)``, and translated per
kind of source. What DuckDB holds locally for comparison is :func:`duckdb_type` of the same text.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.servers import Server

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Declared:
    """A table's declared shape: column → type text, keys, and the columns that hold no NULL."""

    columns: Mapping[str, str]
    primary_key: tuple[str, ...] = ()
    # (columns, other table, its columns)
    foreign_keys: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    not_null: frozenset[str] = field(default_factory=frozenset)


def duckdb_type(text: str) -> str:
    """The type that Dovetail and a local DuckDB table give to a declared type."""
    return re.sub(r"^(VAR)?CHAR\(\d+\)$", "VARCHAR", text)


_POSTGRES = {"DOUBLE": "double precision", "FLOAT": "real", "BLOB": "bytea", "TINYINT": "smallint"}
_MYSQL = {
    "TIMESTAMP": "DATETIME(6)",
    "TIMESTAMPTZ": "TIMESTAMP(6) NULL",
    "TIME": "TIME(6)",
    "BLOB": "LONGBLOB",
    "VARCHAR": "VARCHAR(500)",
    "BOOLEAN": "TINYINT(1)",
}


def native_type(kind: str, text: str) -> str:
    """A declared type in the words of a kind of source."""
    return {"postgres": _POSTGRES, "mysql": _MYSQL}.get(kind, {}).get(text, text)


def quoted(kind: str, name: str) -> str:
    """``name`` as a quoted identifier of that kind."""
    mark = "`" if kind == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def declared_of(table: pa.Table) -> Declared:
    """Declare a table by DuckDB's own view of its Arrow types."""
    with duckdb.connect() as connection:
        connection.register("arrow_table", table)
        rows = connection.execute("DESCRIBE arrow_table").fetchall()
    return Declared({name: type_text for name, type_text, *_ in rows})


def create_table(kind: str, name: str, declared: Declared) -> str:
    """The CREATE TABLE statement of that kind, keys included."""
    parts = []
    for column, type_text in declared.columns.items():
        part = f"{quoted(kind, column)} {native_type(kind, type_text)}"
        if column in declared.not_null or column in declared.primary_key:
            part += " NOT NULL"
        parts.append(part)

    def names(columns: Iterable[str]) -> str:
        return ", ".join(quoted(kind, column) for column in columns)

    if declared.primary_key:
        parts.append(f"PRIMARY KEY ({names(declared.primary_key)})")
    for columns, other, other_columns in declared.foreign_keys:
        parts.append(
            f"FOREIGN KEY ({names(columns)}) REFERENCES"
            f" {quoted(kind, other)} ({names(other_columns)})"
        )
    return f"CREATE TABLE {quoted(kind, name)} (\n  " + ",\n  ".join(parts) + "\n)"


@dataclass(frozen=True)
class Database:
    """A database on a test server, made for one test module and dropped after it."""

    server: Server
    name: str

    def source(self, **extra: Any) -> dict[str, Any]:
        """The entry for ``sources:`` of a Dovetail configuration; logs in as the reader."""
        return {
            "kind": self.server.kind,
            "host": self.server.host,
            "port": self.server.port,
            "database": self.name,
            "user": self.server.user,
            "password": self.server.password,
            **extra,
        }

    def connect(self, *, admin: bool = True, **options: Any) -> Any:
        """A driver connection to this database; see :meth:`tests.servers.Server.connect`."""
        return self.server.connect(self.name, admin=admin, **options)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the administrator and return the rows of the last one."""
        return self.server.execute(*statements, database=self.name)

    def load(self, name: str, table: pa.Table, declared: Declared | None = None) -> None:
        """Create a table and fill it in bulk; without ``declared`` the Arrow types decide."""
        declared = declared or declared_of(table)
        self.execute(create_table(self.server.kind, name, declared))
        load = {"postgres": _copy_postgres, "mysql": _load_mysql}[self.server.kind]
        load(self, name, table, declared)

    def analyze(self) -> None:
        """Refresh the server's statistics of every table here."""
        if self.server.kind == "postgres":
            self.execute("ANALYZE")
            return
        tables = [
            row[0] for row in self.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
        ]
        if tables:
            self.execute("ANALYZE TABLE " + ", ".join(quoted("mysql", table) for table in tables))

    def drop(self) -> None:
        """Drop it with all its data, also while somebody is connected."""
        name = quoted(self.server.kind, self.name)
        force = " WITH (FORCE)" if self.server.kind == "postgres" else ""
        self.server.execute(f"DROP DATABASE IF EXISTS {name}{force}")


def create_database(server: Server, hint: str = "t", *, collation: str = "") -> Database:
    """A fresh, empty database.

    ``collation`` of PostgreSQL: ``icu`` (default; language order, so ``a A b B``) or ``C``
    (byte order); of MariaDB: any collation of utf8mb4, default ``utf8mb4_general_ci``.
    """
    hint = re.sub(r"\W+", "_", hint.lower()).strip("_")[-30:]
    name = f"dv_{os.getpid()}_{next(_numbers)}_{hint}"
    identifier = quoted(server.kind, name)
    if server.kind == "postgres":
        provider = {
            "icu": "LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C'",
            "C": "LOCALE_PROVIDER libc LOCALE 'C'",
        }[collation or "icu"]
        statement = f"CREATE DATABASE {identifier} TEMPLATE template0 ENCODING 'UTF8' {provider}"
    else:
        statement = (
            f"CREATE DATABASE {identifier} CHARACTER SET utf8mb4"
            f" COLLATE {collation or 'utf8mb4_general_ci'}"
        )
    server.execute(statement)
    return Database(server, name)


def _csv(table: pa.Table, declared: Declared, path: Path, *, null: str, mysql: bool) -> None:
    """Write ``table`` as CSV in the declared types; every text quoted, so '' is not NULL."""
    selects, forced = [], []
    for column, type_text in declared.columns.items():
        name = quoted("duckdb", column)
        kind = duckdb_type(type_text)
        if kind == "BLOB":
            prefix = "" if mysql else "'\\x' || "
            selects.append(f"{prefix}hex({name}) AS {name}")
        elif kind == "BOOLEAN" and mysql:
            selects.append(f"CAST({name} AS TINYINT) AS {name}")
        elif kind == "TIMESTAMPTZ" and mysql:
            selects.append(f"CAST({name} AS TIMESTAMP) AS {name}")  # UTC, as is the session
        else:
            selects.append(f"CAST({name} AS {kind}) AS {name}")
            if kind in ("VARCHAR", "JSON"):
                forced.append(name)
    force = f", FORCE_QUOTE ({', '.join(forced)})" if forced else ""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("arrow_table", table)
        connection.execute(
            f"COPY (SELECT {', '.join(selects)} FROM arrow_table) TO '{path}'"
            f" (FORMAT csv, HEADER false, NULLSTR '{null}'{force})"
        )


def _copy_postgres(database: Database, name: str, table: pa.Table, declared: Declared) -> None:
    with tempfile.TemporaryDirectory() as folder, database.connect() as connection:
        path = Path(folder) / "rows.csv"
        _csv(table, declared, path, null="", mysql=False)
        target = quoted("postgres", name)
        with (
            path.open("rb") as rows,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {target} FROM STDIN (FORMAT csv)") as copy,
        ):
            while block := rows.read(1 << 20):
                copy.write(block)


def _load_mysql(database: Database, name: str, table: pa.Table, declared: Declared) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        _csv(table, declared, path, null="NULL", mysql=True)
        targets, sets = [], []
        for number, (column, type_text) in enumerate(declared.columns.items()):
            if type_text == "BLOB":
                targets.append(f"@b{number}")
                sets.append(f"{quoted('mysql', column)} = UNHEX(@b{number})")
            else:
                targets.append(quoted("mysql", column))
        statement = (
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {quoted('mysql', name)}"
            " CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
            f" ESCAPED BY '' LINES TERMINATED BY '\\n' ({', '.join(targets)})"
        )
        if sets:
            statement += " SET " + ", ".join(sets)
        with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
            cursor.execute(statement)
            cursor.execute("SHOW WARNINGS")
            warnings = cursor.fetchall()
            cursor.execute(f"SELECT count(*) FROM {quoted('mysql', name)}")
            (rows,) = cursor.fetchone()
    if warnings or rows != table.num_rows:
        raise AssertionError(f"{name}: {rows} of {table.num_rows} rows loaded; {warnings[:5]}")


def load_sqlite(path: Path, name: str, table: pa.Table, declared: Declared | None = None) -> None:
    """Create and fill a table of a SQLite file: dates, times and decimals as ISO text, as is usual.

    SQLite stores a decimal text of a NUMERIC column as a number by its affinity rules.
    """
    declared = declared or declared_of(table)
    selects = []
    for column, type_text in declared.columns.items():
        kind = duckdb_type(type_text)
        keep = kind in ("VARCHAR", "BLOB", "DOUBLE", "FLOAT") or kind.endswith("INT")
        keep = keep or kind in ("INTEGER", "BOOLEAN")
        selects.append(f'CAST("{column}" AS {kind if keep else "VARCHAR"})')
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("arrow_table", table)
        rows = connection.execute(f"SELECT {', '.join(selects)} FROM arrow_table").fetchall()
    with contextlib.closing(sqlite3.connect(path)) as target, target:
        target.execute("PRAGMA synchronous = OFF")
        target.execute(create_table("sqlite", name, declared))
        places = ", ".join("?" * len(selects))
        target.executemany(f"INSERT INTO {quoted('sqlite', name)} VALUES ({places})", rows)


def load_duckdb(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    table: pa.Table,
    declared: Declared | None = None,
) -> None:
    """Create and fill a local DuckDB table of the declared types, without keys."""
    declared = declared or declared_of(table)
    columns = ", ".join(
        f"{quoted('duckdb', column)} {duckdb_type(text)}"
        for column, text in declared.columns.items()
    )
    target = quoted("duckdb", name)
    connection.execute(f"CREATE TABLE {target} ({columns})")
    connection.register("arrow_table", table)
    connection.execute(f"INSERT INTO {target} SELECT * FROM arrow_table")
    connection.unregister("arrow_table")


def write_parquet(
    folder: Path, name: str, table: pa.Table, declared: Declared | None = None
) -> None:
    """Write ``name.parquet`` in the declared types."""
    with duckdb.connect() as connection:
        load_duckdb(connection, name, table, declared)
        exact = connection.execute(f"SELECT * FROM {quoted('duckdb', name)}").to_arrow_table()
    pq.write_table(exact, folder / f"{name}.parquet")


def write_csv(folder: Path, name: str, table: pa.Table, declared: Declared | None = None) -> None:
    """Write ``name.csv`` with a header; NULL is an empty field."""
    with duckdb.connect() as connection:
        load_duckdb(connection, name, table, declared)
        path = str(folder / f"{name}.csv").replace("'", "''")
        connection.execute(f"COPY {quoted('duckdb', name)} TO '{path}' (FORMAT csv, HEADER)")


def arrow_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, pa.Table]:
    """Small tables from lists of rows, for tests that spell their data out."""
    return {name: pa.Table.from_pylist(list(rows)) for name, rows in tables.items()}
