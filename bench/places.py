"""Where the data lies: addresses of servers, private servers, and what is loaded into them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

SCAN_COLUMNS = (
    "l_orderkey", "l_partkey", "l_suppkey", "l_quantity", "l_extendedprice", "l_discount",
    "l_returnflag", "l_shipdate", "l_shipmode",
)  # fmt: skip

PORTS = {"postgres": 5432, "mysql": 3306}


class BadAddressError(Exception):
    """A URL that does not name a server; the text says what is wanted."""


@dataclass(frozen=True)
class Address:
    """A database on a server, with a login that may read it."""

    kind: str  # postgres or mysql
    host: str
    port: int
    database: str
    user: str
    password: str

    @staticmethod
    def parse(kind: str, url: str) -> Address:
        """``postgresql://user:password@host:port/database`` or ``mysql://…``, percent-encoded."""
        parts = urlsplit(url)
        if parts.scheme not in {"postgres": ("postgres", "postgresql"), "mysql": ("mysql",)}[kind]:
            raise BadAddressError(f"--{kind} wants {kind}://user:password@host:port/database")
        database = unquote(parts.path.lstrip("/"))
        if not parts.hostname or not database:
            raise BadAddressError(f"--{kind}: host or database is missing")
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return Address(kind, host, parts.port or PORTS[kind], database, user, password)

    def source(self) -> dict[str, Any]:
        """The entry under ``sources:`` of a Dovetail configuration."""
        fields = asdict(self)
        if not self.password:
            del fields["password"]
        return fields

    def url(self) -> str:
        """A URL for ConnectorX."""
        scheme = {"postgres": "postgresql", "mysql": "mysql"}[self.kind]
        login = quote(self.user, safe="")
        if self.password:
            login += ":" + quote(self.password, safe="")
        return f"{scheme}://{login}@{self.host}:{self.port}/{quote(self.database, safe='')}"

    @property
    def schema(self) -> str:
        """The schema that unqualified tables of this database lie in."""
        return "public" if self.kind == "postgres" else self.database

    def attach(self, alias: str) -> list[str]:
        """DuckDB statements that attach it read-only with DuckDB's own scanner."""
        from dovetail.connectors.extensions import extension_path

        extension = {"postgres": "postgres_scanner", "mysql": "mysql_scanner"}[self.kind]
        options = {
            "HOST": self.host,
            "PORT": str(self.port),
            "DATABASE": self.database,
            "USER": self.user,
            "PASSWORD": self.password,
        }
        given = ", ".join(f"{name} {_text(value)}" for name, value in options.items() if value)
        return [
            f"LOAD {_text(extension_path(extension))}",
            f"CREATE SECRET secret_{alias} (TYPE {self.kind}, {given})",
            f"ATTACH '' AS {alias} (TYPE {self.kind}, SECRET secret_{alias}, READ_ONLY)",
        ]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class Servers:
    """Private servers of one benchmark run, started when first asked for."""

    def __init__(self, run: Any) -> None:
        self.run = run  # tests.servers.Run

    @staticmethod
    @contextlib.contextmanager
    def private() -> Iterator[Servers]:
        """Servers that end with the block; loopback only, in a temporary folder."""
        from tests.servers import Run

        run = Run.begin(use_given=False)
        try:
            yield Servers(run)
        finally:
            run.end()

    def server(self, kind: str) -> Any:
        """A ``tests.servers.Server`` of that kind."""
        return self.run.server(kind)

    def address(self, database: Any) -> Address:
        """The address of a ``tests.databases.Database``, logging in as the reader."""
        source = database.source()
        return Address(*(source[field] for field in Address.__dataclass_fields__))

    def lineitem(self, kind: str, scale: float) -> Address:
        """A new database with TPC-H lineitem in the types that tpchgen writes, no keys."""
        from tests import tpch
        from tests.databases import create_database

        database = create_database(self.server(kind), "bench")
        database.load("lineitem", tpch.table("lineitem", scale))
        database.analyze()
        return self.address(database)

    def small(self, kind: str, *statements: str) -> Address:
        """A new database filled by ``statements``."""
        from tests.databases import create_database

        database = create_database(self.server(kind), "bench")
        database.execute(*statements)
        database.analyze()
        return self.address(database)
