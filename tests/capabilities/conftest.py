"""The hostile tables on every database, and sessions over them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pytest

import dovetail
from dovetail.connectors.capabilities import Capabilities, Entry, mysql, postgres
from dovetail.session import Session
from tests.capabilities.hostile import MYSQL, POSTGRES, Pair, rows
from tests.conftest import server_or_fail
from tests.databases import Database, create_database
from tests.servers import Run, Server

NOCASE = (
    "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
)


@dataclass
class Place:
    """A source ``s`` with the table ``hostile`` (by :data:`name`), and the same in DuckDB."""

    name: str
    pairs: tuple[Pair, ...]
    table: Capabilities
    session: Session
    local: duckdb.DuckDBPyConnection
    database: Database
    # A second collation of one kind: only what touches text can differ.
    only_text: bool = False

    def entries(self) -> dict[tuple[str, tuple[str, ...]], Entry]:
        """The entries that this place proves."""
        return {
            key: entry
            for key, entry in self.table.entries.items()
            if not self.only_text or any("text" in c or "char" in c for c in key[1])
        }


def load(
    database: Database,
    local: duckdb.DuckDBPyConnection,
    name: str,
    pairs: Sequence[Pair],
    values: Sequence[Sequence[str | None]],
) -> None:
    """The same rows under ``name`` in a database and in a local DuckDB."""
    kind = database.server.kind
    natives = ["id int primary key"] + [f"{c} {p.native}" for p in pairs for c in (p.a, p.b)]
    database.execute(f"CREATE TABLE {name} ({', '.join(natives)})")
    columns = len(pairs) * 2 + 1
    with contextlib.closing(database.connect()) as connection, connection.cursor() as cursor:
        marks = ["%s"] * columns
        if kind == "postgres":
            casts = {"money": "numeric::money"}
            types = [p.native.split(" COLL")[0] for p in pairs for _ in "ab"]
            marks = ["%s::text::int", *(f"%s::text::{casts.get(t, t)}" for t in types)]
        cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(marks)})", values)
    declared = ["id INTEGER"] + [f"{c} {p.local}" for p in pairs for c in (p.a, p.b)]
    local.execute(f"CREATE TABLE s.{name} ({', '.join(declared)})")
    names = ["id", *(c for p in pairs for c in (p.a, p.b))]
    texts = pa.table(
        {n: pa.array(v, pa.string()) for n, v in zip(names, zip(*values, strict=True), strict=True)}
    )
    local.register("texts", texts)
    casts = [f"CAST({d.split(' ')[0]} AS {d.partition(' ')[2]})" for d in declared]
    local.execute(f"INSERT INTO s.{name} SELECT {', '.join(casts)} FROM texts")
    local.unregister("texts")


@pytest.fixture(
    scope="session", params=["postgres-icu", "postgres-c", "mariadb"], ids=lambda name: str(name)
)
def place(request: pytest.FixtureRequest, server_run: Run) -> Iterator[Place]:
    """Each kind of source with its hostile table."""
    kind, _, collation = request.param.partition("-")
    server: Server = server_or_fail(server_run, "postgres" if kind == "postgres" else "mysql")
    database = create_database(
        server, f"hostile_{request.param}", collation="C" if collation == "c" else ""
    )
    if kind == "postgres":
        database.execute(NOCASE)
    name = f"hostile_{database.name.split('_')[1]}_{database.name.split('_')[2]}"
    pairs = POSTGRES if kind == "postgres" else MYSQL
    local = duckdb.connect()
    local.execute("SET TimeZone = 'UTC'")
    local.execute("CREATE SCHEMA s")
    load(database, local, name, pairs, list(rows(pairs)))
    database.analyze()
    table = postgres.CAPABILITIES if kind == "postgres" else mysql.CAPABILITIES
    # What may go down does, also where it would not pay.
    config = {"sources": {"s": database.source(pushdown="always")}}
    with dovetail.connect(config) as session:
        yield Place(f"s.{name}", pairs, table, session, local, database, collation == "c")
    local.close()
    database.drop()
