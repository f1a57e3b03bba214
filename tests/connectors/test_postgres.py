"""PostgreSQL as a source: the shared suite, the catalog, fragments, the attachment."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from dovetail.config import PostgresSettings
from dovetail.connectors.postgres import PostgresConnector
from dovetail.secrets import Secret
from tests.connectors.suite import Adapter, ConnectorSuite, Tables
from tests.databases import Database, quoted


def connector_for(at: Database, name: str = "shop", **changes: Any) -> PostgresConnector:
    """A connector that logs in as the read-only user."""
    given = {**at.source(), **changes}
    if isinstance(given.get("password"), str):
        given["password"] = Secret(given["password"])
    return PostgresConnector(name, PostgresSettings(**given))


class TestSuite(ConnectorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, postgres_database: Database) -> Adapter:
        def make(tables: Tables) -> PostgresConnector:
            for name, (table, declared) in tables.items():
                postgres_database.load(name, table, declared)
            return connector_for(postgres_database)

        def unreachable(secret: str) -> PostgresConnector:
            return connector_for(postgres_database, port=1, password=secret)

        def insert(table: str, row: Sequence[Any]) -> None:
            places = ", ".join(["%s"] * len(row))
            with contextlib.closing(postgres_database.connect()) as connection:
                connection.execute(
                    f"INSERT INTO {quoted('postgres', table)} VALUES ({places})", list(row)
                )

        def quiet() -> bool:
            ((count,),) = postgres_database.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name LIKE 'dovetail%'"
            )
            return bool(count == 0)

        return Adapter("postgres", make, unreachable=unreachable, insert=insert, quiet=quiet)
