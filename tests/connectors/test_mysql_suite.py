"""MySQL/MariaDB in the shared connector suite."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from dovetail.config import MySQLSettings
from dovetail.connectors.mysql import MySQLConnector
from dovetail.secrets import Secret
from tests.connectors.suite import Adapter, ConnectorSuite, Tables
from tests.databases import Database, quoted


def connector_for(database: Database, name: str = "crm", **changes: Any) -> MySQLConnector:
    """A connector that logs in as the read-only user and sees this database alone."""
    given = {**database.source(), "schemas": (database.name,), **changes}
    if isinstance(given.get("password"), str):
        given["password"] = Secret(given["password"])
    return MySQLConnector(name, MySQLSettings(**given))


def ours(database: Database) -> list[tuple[Any, ...]]:
    """The connections that the reader's account has to the server, with what they run."""
    return database.execute(
        "SELECT id, command, info FROM information_schema.processlist "
        f"WHERE user = '{database.server.user}' AND db = '{database.name}'"
    )


class TestSuite(ConnectorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, mariadb_database: Database) -> Adapter:
        def make(tables: Tables) -> MySQLConnector:
            for name, (table, declared) in tables.items():
                mariadb_database.load(name, table, declared)
            return connector_for(mariadb_database, tinyint1="boolean")

        def unreachable(secret: str) -> MySQLConnector:
            return connector_for(mariadb_database, port=1, password=secret)

        def insert(table: str, row: Sequence[Any]) -> None:
            places = ", ".join(["%s"] * len(row))
            with contextlib.closing(mariadb_database.connect()) as connection:
                connection.cursor().execute(
                    f"INSERT INTO {quoted('mysql', table)} VALUES ({places})", list(row)
                )

        return Adapter(
            "mysql",
            make,
            roads=("stream",),
            unreachable=unreachable,
            insert=insert,
            quiet=lambda: not ours(mariadb_database),
            gaps={
                "test_hostile_names_of_tables_and_columns": (
                    "never",
                    "no character beyond U+FFFF in MySQL's names; test_mysql.py tests the others",
                )
            },
        )
