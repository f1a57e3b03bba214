"""PostgreSQL's catalog: what it knows of tables, columns, keys, sizes and collations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.catalog.model import SourceCatalog, TableInfo
from dovetail.connectors.postgres_catalog import _collation_name
from dovetail.errors import DataError
from tests.connectors.suite import request_for, rows
from tests.connectors.test_postgres import connector_for
from tests.databases import Database
from tests.servers import Server

SETUP = """
CREATE SCHEMA sales;
COMMENT ON SCHEMA sales IS 'all we sell';
CREATE TABLE sales.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL UNIQUE,
  name varchar(40) COLLATE "C",
  region text COLLATE "en-x-icu",
  net numeric(10,2),
  gross numeric(10,2) GENERATED ALWAYS AS (net * 1.19) STORED
);
COMMENT ON TABLE sales.customers IS 'who buys';
COMMENT ON COLUMN sales.customers.email IS 'where to write';
CREATE UNIQUE INDEX ON sales.customers (region, name);
CREATE UNIQUE INDEX ON sales.customers (lower(name));
CREATE UNIQUE INDEX ON sales.customers (name) WHERE id > 10;
CREATE UNIQUE INDEX ON sales.customers (id) INCLUDE (name);
CREATE TABLE sales.orders (
  customer bigint REFERENCES sales.customers,
  line integer,
  region text,
  name varchar(40),
  PRIMARY KEY (line, customer),
  FOREIGN KEY (region, name) REFERENCES sales.customers (region, name)
);
ALTER TABLE sales.orders ADD CONSTRAINT unchecked FOREIGN KEY (line) REFERENCES sales.customers
  NOT VALID;
CREATE VIEW sales.rich AS SELECT id, net FROM sales.customers;
CREATE MATERIALIZED VIEW sales.totals AS SELECT count(*) AS n FROM sales.customers;
CREATE TABLE sales.events (day date, n integer) PARTITION BY RANGE (day);
CREATE TABLE sales.events_old PARTITION OF sales.events
  FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE sales.events_new PARTITION OF sales.events
  FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
INSERT INTO sales.events SELECT date '2023-12-01' + i % 60, i FROM generate_series(1, 1000) i;
CREATE TABLE sales.animals (id integer PRIMARY KEY);
CREATE TABLE sales.dogs () INHERITS (sales.animals);
INSERT INTO sales.animals VALUES (1);
INSERT INTO sales.dogs VALUES (1);
CREATE TABLE sales.gappy (a integer, b integer, c integer UNIQUE);
ALTER TABLE sales.gappy DROP COLUMN b;
CREATE TABLE sales.empty ();
CREATE TABLE sales."Case" (a integer, "A" integer, "a_1" integer);
CREATE TABLE sales."case" (x integer);
CREATE SCHEMA "Sales";
CREATE TABLE "Sales".customers (z integer);
CREATE TYPE sales.mood AS ENUM ('sad', 'happy');
CREATE DOMAIN sales.positive AS integer NOT NULL CHECK (value > 0);
CREATE TABLE sales.typed (m sales.mood, p sales.positive, q sales.positive[]);
CREATE COLLATION sales.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE sales.loose_text (t text COLLATE sales.loose, u text COLLATE "POSIX", v integer);
CREATE TABLE sales.private (open integer, closed integer);
CREATE TABLE sales.hidden (a integer);
CREATE TABLE sales.many (a integer);
INSERT INTO sales.many SELECT generate_series(1, 1000);
CREATE TABLE public.here (a integer);
"""


@pytest.fixture(scope="module")
def database(postgres_database: Database) -> Database:
    postgres_database.execute(SETUP)
    postgres_database.execute("ANALYZE sales.many", "ANALYZE sales.events_old, sales.events_new")
    postgres_database.execute("ANALYZE sales.animals, sales.dogs")
    return postgres_database


@pytest.fixture(scope="module")
def catalog(database: Database) -> SourceCatalog:
    return connector_for(database).catalog()


def get(catalog: SourceCatalog, name: str, schema: str = "sales") -> TableInfo:
    table = catalog.table(schema, name)
    assert table is not None, name
    return table


def test_tables_and_their_kinds(catalog: SourceCatalog) -> None:
    assert catalog.default_schema == "public"
    assert catalog.schemas()[0] == "public"
    kinds = {t.name: t.kind for t in catalog.tables if t.source_schema == "sales"}
    assert kinds["customers"] == "table"
    assert kinds["rich"] == "view"
    assert kinds["totals"] == "materialized view"
    assert kinds["events"] == "table"
    assert kinds["empty"] == "table"
    assert catalog.table(None, "here") is not None
    assert catalog.table(None, "totals") is not None  # the only one of that name
    assert not any(t.source_schema.startswith("pg_") for t in catalog.tables)


def test_columns(catalog: SourceCatalog) -> None:
    table = get(catalog, "customers")
    assert table.comment == "who buys"
    assert [(c.name, c.type.text, c.native_type, c.nullable) for c in table.columns] == [
        ("id", "BIGINT", "bigint", False),
        ("email", "VARCHAR", "text", False),
        ("name", "VARCHAR", "character varying(40)", True),
        ("region", "VARCHAR", "text", True),
        ("net", "DECIMAL(10,2)", "numeric(10,2)", True),
        ("gross", "DECIMAL(10,2)", "numeric(10,2)", True),
    ]
    assert table.columns[1].comment == "where to write"
    assert table.details["generated"] == ["gross"]
    assert get(catalog, "gappy").columns[1].name == "c"
    assert get(catalog, "empty").columns == ()


def test_collations(catalog: SourceCatalog) -> None:
    table = get(catalog, "customers")
    assert [c.collation for c in table.columns] == [None, "und", "C", "en", None, None]
    loose = get(catalog, "loose_text")
    assert [c.collation for c in loose.columns] == [
        "nondeterministic:und-u-ks-level2",
        "C",
        None,
    ]
    assert _collation_name("c", "C.UTF-8", True) == "C"
    assert _collation_name("c", "en_US.utf8", True) == "en_US.utf8"
    assert _collation_name("b", "PG_UNICODE_FAST", True) == "C"


def test_keys(catalog: SourceCatalog) -> None:
    customers = get(catalog, "customers")
    assert customers.primary_key == ("id",)
    # not the one over an expression, not the partial one; an INCLUDEd column is no part of a key
    assert set(customers.unique_keys) == {("email",), ("region", "name"), ("id",)}
    orders = get(catalog, "orders")
    assert orders.primary_key == ("line", "customer")
    # a constraint that was never checked over the old rows proves nothing
    assert {(k.columns, k.ref_table, k.ref_columns) for k in orders.foreign_keys} == {
        (("customer",), "customers", ("id",)),
        (("region", "name"), "customers", ("region", "name")),
    }
    assert get(catalog, "gappy").unique_keys == (("c",),)


def test_a_parent_table_has_no_keys(catalog: SourceCatalog) -> None:
    """A key of the parent is not one of the rows that its children add to a scan."""
    assert get(catalog, "animals").primary_key == ()
    assert get(catalog, "animals").row_estimate == 2


def test_sizes(catalog: SourceCatalog) -> None:
    assert get(catalog, "many").row_estimate == 1000
    assert get(catalog, "many").byte_estimate == 5 * 8192
    assert get(catalog, "customers").row_estimate is None  # never analyzed
    assert get(catalog, "customers").byte_estimate in (None, 0)
    assert get(catalog, "rich").row_estimate is None
    assert get(catalog, "events").row_estimate == 1000
    assert get(catalog, "events_old").details["partition"] is True


def test_names_that_differ_by_case(catalog: SourceCatalog, database: Database) -> None:
    first = get(catalog, "Case_1")
    assert [(c.name, c.source_name) for c in first.columns] == [
        ("a", "a"),
        ("A_2", "A"),
        ("a_1", "a_1"),
    ]
    other = get(catalog, "case")
    assert (other.source_schema, other.source_name) == ("sales", "case")
    schemas = {t.source_schema: t.schema for t in catalog.tables}
    assert (schemas["sales"], schemas["Sales"]) == ("sales", "Sales_1")
    database.execute('INSERT INTO sales."Case" VALUES (1, 2, 3)')
    connector = connector_for(database)
    with contextlib.closing(connector):
        assert rows(connector, request_for(first)) == [(1, 2, 3)]


def test_enums_and_domains(catalog: SourceCatalog) -> None:
    table = get(catalog, "typed")
    assert [(c.type.text, c.nullable) for c in table.columns] == [
        ("VARCHAR", True),
        ("INTEGER", False),
        ("VARCHAR[]", True),  # an array of a domain: elements as text
    ]
    assert table.details["enums"] == {"m": ["sad", "happy"]}
    assert table.details["domains"] == {"p": "sales.positive"}


def test_an_array_of_a_domain_is_read(database: Database, catalog: SourceCatalog) -> None:
    database.execute("INSERT INTO sales.typed VALUES ('happy', 1, '{1,2}')")
    connector = connector_for(database)
    with contextlib.closing(connector):
        assert rows(connector, request_for(get(catalog, "typed"))) == [("happy", 1, ["1", "2"])]


@pytest.mark.parametrize("name", ["events", "totals", "rich", "animals"])
def test_everything_that_is_listed_can_be_read(
    database: Database, catalog: SourceCatalog, name: str
) -> None:
    connector = connector_for(database)
    with contextlib.closing(connector):
        expected = database.execute(f"SELECT count(*) FROM sales.{name}")
        for road in ("native", "stream"):
            found = rows(
                connector,
                request_for(get(catalog, name)),
                road,
                sql="SELECT count(*) FROM {0}",
            )
            assert found == expected


def test_only_chosen_schemas(database: Database) -> None:
    found = connector_for(database, schemas=("public", "no such")).catalog()
    assert {t.source_schema for t in found.tables} == {"public"}


def test_what_the_role_may_not_read(postgres_server: Server, database: Database) -> None:
    role = f"half_{database.name}"
    database.execute(
        f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'p'",
        f'GRANT USAGE ON SCHEMA sales TO "{role}"',
        f'GRANT SELECT (open) ON sales.private TO "{role}"',
    )
    try:
        connector = connector_for(database, user=role, password="p")
        found = connector.catalog()
        assert found.table("sales", "hidden") is None
        private = get(found, "private")
        assert [c.unreadable is None for c in private.columns] == [True, False]
        assert "may not SELECT" in str(private.columns[1].unreadable)
        assert rows(connector, request_for(private, ["open"])) == []
        connector.close()
    finally:
        database.execute(f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


def test_a_locked_table_does_not_hold_the_catalog_up(database: Database) -> None:
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE sales.many IN ACCESS EXCLUSIVE MODE")
        begin = time.monotonic()
        assert connector_for(database, connect_timeout=2).catalog().table("sales", "many")
        assert time.monotonic() - begin < 5
        other.execute("ROLLBACK")


def test_five_thousand_tables(
    postgres_server: Server, new_database: Callable[..., Database]
) -> None:
    made = new_database(postgres_server)
    made.execute("CREATE SCHEMA s")
    with contextlib.closing(made.connect()) as connection:
        for start in range(0, 5000, 500):
            connection.execute(
                "DO $$ BEGIN FOR i IN "
                f"{start}..{start + 499} LOOP EXECUTE format("
                "'CREATE TABLE s.t%s (a integer, b numeric(10,2))', i);"
                " END LOOP; END $$"
            )
    begin = time.monotonic()
    found = connector_for(made).catalog()
    assert len(found.tables) == 5000
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("road", ["native", "stream"])
def test_text_that_is_no_utf8_names_its_place(postgres_server: Server, road: Any) -> None:
    """A SQL_ASCII database takes any bytes; they must not reach the engine as text."""
    name = f"ascii_{road}_{time.monotonic_ns()}"
    postgres_server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    )
    database = Database(postgres_server, name)
    try:
        database.execute(
            "CREATE TABLE mixed (n integer, t text, c character(4), v varchar)",
            r"INSERT INTO mixed VALUES (1, convert_from('\xc3a4', 'SQL_ASCII'), 'ab', '\\'),"
            r" (2, convert_from('\xe4', 'SQL_ASCII'), NULL, NULL)",
        )
        connector = connector_for(database)
        with contextlib.closing(connector):
            table = connector.catalog().table(None, "mixed")
            good = request_for(table, where="n = 1", dialect="postgres")
            assert rows(connector, good, road) == [(1, "ä", "ab", "\\\\")]
            with pytest.raises(DataError, match=r"mixed\.t holds text that is not UTF-8"):
                rows(connector, request_for(table), road)
    finally:
        database.drop()


def test_the_width_of_what_is_toasted(database: Database) -> None:
    database.execute(
        "CREATE TABLE toasted (id int PRIMARY KEY, short text, long text, none text)",
        "INSERT INTO toasted SELECT i, 'abc', (SELECT string_agg(md5(i || '.' || k), '') "
        "FROM generate_series(1, 100) k) FROM generate_series(1, 300) i",
        "ANALYZE toasted",
    )
    connector = connector_for(database)
    try:
        tables = {table.name: table for table in connector.catalog().tables}
        widths = {n: s.width or 0.0 for n, s in connector.statistics(tables["toasted"]).items()}
    finally:
        connector.close()
    assert 3_000 < widths["long"] < 5_000
    assert widths["short"] == 4
