"""Part of the company on servers: the orders on PostgreSQL, the customers on MariaDB or MySQL.

This is the one place in Dovetail that writes to a server, and it writes nowhere but to a schema
or database named ``dovetail_demo``, with a connection of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dovetail.demo.company import COLUMNS, Company, make_company
from dovetail.errors import SourceUnavailableError, UsageError
from dovetail.secrets import redact

POSTGRES, MYSQL = "shop_pg", "crm_my"
SCHEMA = "dovetail_demo"
CONFIGURATION = "dovetail.servers.yaml"

_ORDERS = (
    "order_id bigint PRIMARY KEY, customer_id bigint NOT NULL, product_id bigint NOT NULL, "
    "ordered_on date NOT NULL, quantity integer NOT NULL, unit_price numeric(10,2) NOT NULL, "
    "currency text NOT NULL, status text NOT NULL"
)
_CUSTOMERS = (
    "customer_id bigint PRIMARY KEY, name varchar(100) NOT NULL, email varchar(100) NOT NULL, "
    "country varchar(50) NOT NULL, segment varchar(20) NOT NULL, since date NOT NULL"
)


def prepare_servers(folder: Path, postgres_url: str, mysql_url: str) -> Path:
    """Load both servers and write a configuration for them; returns its path.

    The URLs may hold references for passwords and none written out. Raises
    :class:`UsageError` for a URL that does not fit, :class:`SourceUnavailableError` for a server
    that cannot be reached or refuses.
    """
    from dovetail.config import MySQLSettings, PostgresSettings
    from dovetail.config_load import load

    sources: dict[str, Any] = {
        POSTGRES: {"url": postgres_url, "schemas": [SCHEMA]},
        MYSQL: {"url": mysql_url, "schemas": [SCHEMA]},
        "exports": {"kind": "files", "path": "exports"},
    }
    config = load({"sources": sources})
    postgres, mysql = config.sources[POSTGRES], config.sources[MYSQL]
    if not isinstance(postgres, PostgresSettings):
        raise UsageError("--postgres takes an address that begins with postgres://")
    if not isinstance(mysql, MySQLSettings):
        raise UsageError("--mysql takes an address that begins with mysql:// or mariadb://")
    company = make_company()
    _load_postgres(postgres, company)
    _load_mysql(mysql, company)
    path = folder / CONFIGURATION
    text = yaml.safe_dump({"sources": sources}, sort_keys=False)
    path.write_text(f"# The demo company with two servers.\n{text}", encoding="utf-8")
    return path


def _load_postgres(settings: Any, company: Company) -> None:
    import psycopg

    columns = ", ".join(COLUMNS["orders"])
    try:
        with psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.database or None,
            user=settings.user or None,
            password=_password(settings),
            sslmode=settings.sslmode,
            connect_timeout=max(2, round(settings.connect_timeout)),
        ) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            if connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.orders"]).fetchone() != (
                None,
            ):
                connection.execute(f"DROP TABLE {SCHEMA}.orders")
            connection.execute(f"CREATE TABLE {SCHEMA}.orders ({_ORDERS})")
            into = f"COPY {SCHEMA}.orders ({columns}) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(into) as copy:
                for row in company.orders:
                    copy.write_row(row)
            connection.execute(f"ANALYZE {SCHEMA}.orders")
    except psycopg.Error as error:
        raise SourceUnavailableError(
            f"PostgreSQL at {settings.host}:{settings.port}: {redact(str(error)).strip()}",
            source=POSTGRES,
        ) from None


def _load_mysql(settings: Any, company: Company) -> None:
    import pymysql

    place: dict[str, Any] = {"unix_socket": str(settings.socket)} if settings.socket else {}
    try:
        connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user or None,
            password=_password(settings) or "",
            charset="utf8mb4",
            connect_timeout=max(2, round(settings.connect_timeout)),
            **place,
        )
        with connection, connection.cursor() as cursor:
            if not cursor.execute("SHOW DATABASES LIKE %s", (SCHEMA.replace("_", "\\_"),)):
                cursor.execute(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
            # IF EXISTS warns where there is none; asking first keeps the run quiet.
            cursor.execute(f"SHOW TABLES FROM {SCHEMA} LIKE 'customers'")
            if cursor.fetchall():
                cursor.execute(f"DROP TABLE {SCHEMA}.customers")
            cursor.execute(f"CREATE TABLE {SCHEMA}.customers ({_CUSTOMERS})")
            marks = ", ".join(["%s"] * len(COLUMNS["customers"]))
            cursor.executemany(
                f"INSERT INTO {SCHEMA}.customers VALUES ({marks})", company.customers
            )
            connection.commit()
    except pymysql.Error as error:
        raise SourceUnavailableError(
            f"MySQL at {settings.host}:{settings.port}: {redact(str(error))}", source=MYSQL
        ) from None


def _password(settings: Any) -> str | None:
    return settings.password.reveal() if settings.password else None
