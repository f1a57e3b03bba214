"""PostgreSQL as a source: the shared suite, the catalog, fragments, the attachment."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from dovetail.config import PostgresSettings
from dovetail.connectors.base import FragmentRequest, OutputColumn
from dovetail.connectors.extensions import extension_path
from dovetail.connectors.postgres import PostgresConnector
from dovetail.errors import DataError, SourceUnavailableError
from dovetail.quoting import quote
from dovetail.secrets import Secret
from dovetail.types import parse_type
from tests.connectors.suite import (
    Adapter,
    ConnectorSuite,
    Road,
    Tables,
    alias_of,
    engine,
    read,
    request_for,
    rows,
    wait_until,
)
from tests.databases import Database, quoted
from tests.servers import Server


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


# --- fragments ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(postgres_database: Database) -> Database:
    long_name = "long_" + "ä" * 40  # 85 bytes; PostgreSQL itself keeps 63
    postgres_database.execute(
        "CREATE TABLE numbers (i integer, l bigint, d numeric(15,2), f double precision, t text,"
        ' c character(6) COLLATE "en-x-icu", day date, at timestamptz)',
        "INSERT INTO numbers VALUES (2, 5, 1.25, 0.1, 'a', 'x', '2024-02-29',"
        " '2024-07-01 12:00+02'), (3, NULL, NULL, NULL, 'B', 'y ', NULL, NULL)",
        f'CREATE TABLE "{long_name}" (a integer)',
        "CREATE TABLE big AS SELECT i AS a, repeat('x', 900) AS b, i::numeric(15,2) AS d"
        " FROM generate_series(1, 24000) AS i",
        "ANALYZE big",
    )
    return postgres_database


@pytest.fixture(scope="module")
def connector(shop: Database) -> Iterator[PostgresConnector]:
    made = connector_for(shop)
    yield made
    made.close()


@pytest.fixture(scope="module")
def instance(connector: PostgresConnector) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine for tests that read much."""
    with engine(connector) as (made, _):
        yield made


def fragment(sql: str, **columns: str) -> FragmentRequest:
    """A fragment of computed columns: name=type."""
    query = sqlglot.parse_one(sql, dialect="postgres")
    assert isinstance(query, exp.Query)
    outputs = tuple(
        OutputColumn(name, parse_type(kind), None, f"shop.query.{name}")
        for name, kind in columns.items()
    )
    return FragmentRequest(query, outputs, tag="q1.f1")


@pytest.mark.parametrize("road", ["native", "stream"])
def test_computed_columns_have_the_promised_types(connector: PostgresConnector, road: Road) -> None:
    request = fragment(
        "SELECT i + 1 AS a, sum(l) AS b, sum(d) AS c, avg(f) AS e, count(*) AS n, max(day) AS day,"
        " max(at) AS moment, bool_or(i > 2) AS o, max(c) AS ch, i::text AS t, 1::numeric AS tiny"
        " FROM numbers GROUP BY i ORDER BY i LIMIT 5",
        a="INTEGER",
        b="HUGEINT",
        c="DECIMAL(38,2)",
        e="DOUBLE",
        n="BIGINT",
        day="DATE",
        moment="TIMESTAMP WITH TIME ZONE",
        o="BOOLEAN",
        ch="VARCHAR",
        t="VARCHAR",
        tiny="TINYINT",
    )
    found = read(
        connector, request, road, sql="SELECT * REPLACE (moment::VARCHAR AS moment) FROM {0}"
    )
    assert sorted(found.to_pylist(), key=lambda row: row["a"]) == [
        {
            "a": 3, "b": 5, "c": Decimal("1.25"), "e": 0.1, "n": 1,
            "day": datetime.date(2024, 2, 29), "moment": "2024-07-01 10:00:00+00", "o": False,
            "ch": "x", "t": "2", "tiny": 1,
        },
        {
            "a": 4, "b": None, "c": None, "e": None, "n": 1, "day": None, "moment": None, "o": True,
            "ch": "y", "t": "3", "tiny": 1,
        },
    ]  # fmt: skip


@pytest.mark.parametrize("road", ["native", "stream"])
def test_a_computed_value_is_never_rounded(connector: PostgresConnector, road: Road) -> None:
    for value in ("1.255", "'NaN'::numeric"):
        request = fragment(f"SELECT {value} AS v FROM numbers", v="DECIMAL(10,2)")
        with pytest.raises(DataError, match=r"shop\.query\.v holds a value that DECIMAL\(10,2\)"):
            read(connector, request, road)


def test_a_guard_does_not_see_rows_that_limit_leaves_out(
    connector: PostgresConnector, shop: Database
) -> None:
    shop.execute(
        "DROP TABLE IF EXISTS ranked",
        "CREATE TABLE ranked (a integer, d numeric(9,2))",
        "INSERT INTO ranked SELECT i, CASE WHEN i = 9 THEN 'NaN'::numeric ELSE i END"
        " FROM generate_series(1, 9) i",
    )
    request = fragment("SELECT d FROM ranked ORDER BY a LIMIT 3", d="DECIMAL(9,2)")
    request = replace(request, columns=(replace(request.columns[0], native_type="numeric(9,2)"),))
    assert len(rows(connector, request)) == 3


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE place (v numeric(9,2)); INSERT INTO place VALUES (1), ('NaN')",
        "CREATE TABLE place (v numeric(38,10)); INSERT INTO place VALUES (1), ('NaN')",
        "CREATE TABLE place (v numeric(9,2)); ALTER TABLE place ALTER v SET STORAGE PLAIN;"
        " INSERT INTO place VALUES ('NaN')",
        "CREATE TABLE place (v numeric(9,2)); ALTER TABLE place ALTER v SET STORAGE EXTERNAL;"
        " INSERT INTO place VALUES ('NaN')",
        "CREATE TABLE place (i integer); INSERT INTO place VALUES (1);"
        " ALTER TABLE place ADD v numeric(9,2) DEFAULT 'NaN'",  # lies in the catalog
        "CREATE TABLE place (v numeric(9,2)) PARTITION BY LIST (v);"
        " CREATE TABLE part_of_place PARTITION OF place DEFAULT; INSERT INTO place VALUES ('NaN')",
        "CREATE VIEW place AS SELECT CAST('NaN' AS numeric(9,2)) AS v",
        "CREATE VIEW place AS SELECT CAST(sum(x) AS numeric(9,2)) AS v"
        " FROM (VALUES (CAST(1 AS numeric)), ('NaN')) AS t (x)",
        "CREATE MATERIALIZED VIEW place AS SELECT CAST('NaN' AS numeric(9,2)) AS v",
    ],
)
def test_a_nan_is_found_wherever_it_lies(
    connector: PostgresConnector, shop: Database, made: str
) -> None:
    """The guard first looks at a value's size, which depends on where it comes from."""
    shop.execute("DROP SCHEMA IF EXISTS nans CASCADE", "CREATE SCHEMA nans")
    shop.execute("SET search_path = nans; " + made)
    shop.execute("GRANT USAGE ON SCHEMA nans TO PUBLIC")
    shop.execute("GRANT SELECT ON ALL TABLES IN SCHEMA nans TO PUBLIC")
    request = request_for(connector.catalog().table("nans", "place"), ["v"])
    with pytest.raises(DataError, match=r"shop\.nans\.place\.v holds a NaN"):
        read(connector, request, "native")


def test_values_of_every_length_pass_the_guard(
    connector: PostgresConnector, shop: Database
) -> None:
    values = [Decimal(0), Decimal("-0.01")]
    values += [sign * Decimal(7 * 10**power) / 100 for power in range(18) for sign in (1, -1)]
    values.append(Decimal("1234567891234567.89"))
    shop.execute(
        "DROP TABLE IF EXISTS lengths",
        "CREATE TABLE lengths (v numeric(20,2))",
        f"INSERT INTO lengths VALUES (NULL), {', '.join(f'({value})' for value in values)}",
    )
    request = request_for(connector.catalog().table(None, "lengths"), ["v"])
    assert [row[0] for row in rows(connector, request)] == [None, *values]


def test_names_that_postgresql_would_cut(connector: PostgresConnector, shop: Database) -> None:
    long_names = ["x" * 63 + "1", "x" * 63 + "2"]
    request = fragment(
        f'SELECT 1 AS "{long_names[0]}", 2 AS "{long_names[1]}"',
        **{long_names[0]: "INTEGER", long_names[1]: "INTEGER"},
    )
    for road in ("native", "stream"):
        assert read(connector, request, road).to_pylist() == [{long_names[0]: 1, long_names[1]: 2}]


def test_render_and_describe_show_what_is_sent(connector: PostgresConnector) -> None:
    table = connector.catalog().table(None, "numbers")
    request = request_for(table, ["i", "d", "t"])
    sql = connector.render(request)
    assert sql.startswith('/* t1 */ SELECT "i" AS "i", CASE WHEN 24 % PG_COLUMN_SIZE("d") = 0 AND ')
    native = connector.snapshot().native(request, "source_shop")
    assert native is not None
    assert native.described_as == sql
    bare = replace(request_for(table, ["i", "t"]), tag="x */ DROP")
    assert connector.render(bare) == (
        '/* xDROP */ SELECT "i" AS "i", "t" AS "t" FROM "public"."numbers"'
    )


def test_literals_cannot_break_out(
    connector: PostgresConnector, instance: duckdb.DuckDBPyConnection
) -> None:
    for text in ("'; DROP TABLE numbers; --", "\\'; SELECT 1", "$$x$$", "*/ x", "E'\\x'", "%s {0}"):
        value = exp.Literal.string(text)
        query = exp.Select().select(exp.alias_(value, "v")).from_("numbers").limit(1)
        request = FragmentRequest(query, (OutputColumn("v", parse_type("VARCHAR")),), tag=text)
        assert rows(connector, request, instance=instance) == [(text,)]
        assert rows(connector, request, "stream", instance=instance) == [(text,)]


# --- lanes ----------------------------------------------------------------------------------------


def test_a_large_table_is_read_by_page_ranges(connector: PostgresConnector) -> None:
    table = connector.catalog().table(None, "big")
    assert table.details["page_ranges"] is True
    request = request_for(table)
    snapshot = connector.snapshot()
    with contextlib.closing(snapshot):
        sql = snapshot.native(request, "source_shop").sql
        assert sql.count("postgres_query") == 2
        assert "ctid" in sql
        assert "ctid" not in connector.render(request)
    found = rows(connector, request, sql="SELECT count(*), sum(a), sum(d) FROM {0}")
    total = 24000 * 24001 // 2
    assert found == [(24000, total, Decimal(total))]
    # rows that came after the statistics are in the last range
    filtered = request_for(table, where="a > 5", dialect="postgres")
    assert snapshot.native(filtered, "source_shop").sql.count("postgres_query") == 1


def test_many_fragments_share_the_lanes_and_the_snapshot(
    connector: PostgresConnector, shop: Database
) -> None:
    catalog = connector.catalog()
    big = request_for(catalog.table(None, "big"), ["a"])
    requests = [replace(big, tag=f"f{n}") for n in range(5)]
    requests.append(request_for(catalog.table(None, "numbers"), ["i"]))
    with engine(connector) as (instance, _):
        for planned in (True, False):
            snapshot = connector.snapshot()
            with contextlib.closing(snapshot):
                instance.execute("BEGIN")
                if planned:
                    snapshot.plan_native(requests)
                relations = [snapshot.native(r, alias_of(connector)).sql for r in requests]
                snapshot.begin_native(
                    lambda text: instance.execute(text).fetchall(), alias_of(connector)
                )
                shop.execute("INSERT INTO big VALUES (0, '', 0)")
                counts = ", ".join(f"(SELECT count(*) FROM {r})" for r in relations)
                expected = 24000 + (0 if planned else 1)
                assert instance.execute(f"SELECT {counts}").fetchall() == [(*([expected] * 5), 2)]
                instance.execute("ROLLBACK")
    shop.execute("DELETE FROM big WHERE a = 0")


def test_one_connection_is_enough(shop: Database) -> None:
    connector = connector_for(shop, max_connections=1)
    with contextlib.closing(connector):
        assert len(connector.native_setup().statements) == 4
        table = connector.catalog().table(None, "big")
        assert rows(connector, request_for(table, ["a"]), sql="SELECT count(*) FROM {0}") == [
            (24000,)
        ]


# --- the attachment -------------------------------------------------------------------------------


def test_the_password_is_nowhere_to_be_seen(connector: PostgresConnector, shop: Database) -> None:
    password = shop.server.password
    with engine(connector) as (instance, _):
        for function in (
            "duckdb_databases()",
            "duckdb_secrets()",
            "duckdb_settings()",
            "duckdb_views()",
        ):
            shown = str(instance.execute(f"SELECT * FROM {function}").fetchall())
            assert password not in shown
            assert "pw'x" not in shown
    assert password not in repr(connector.settings)
    with contextlib.closing(shop.connect()) as other:
        arguments = other.execute("SELECT query FROM pg_stat_activity").fetchall()
    assert password not in str(arguments)


def test_the_attachment_cannot_write(connector: PostgresConnector, shop: Database) -> None:
    with engine(connector_for(shop, user="postgres", password=shop.server.admin_password)) as (
        instance,
        _,
    ):
        alias = alias_of(connector)
        for attempt in (
            f'INSERT INTO "{alias}".public.numbers (i) VALUES (9)',
            f'DROP TABLE "{alias}".public.numbers',
            f"CALL postgres_execute('{alias}', 'DELETE FROM numbers')",
            f"SELECT * FROM postgres_query('{alias}', 'DELETE FROM numbers RETURNING i')",
        ):
            with pytest.raises(duckdb.Error):
                instance.execute(attempt)
    assert shop.execute("SELECT count(*) FROM numbers") == [(2,)]


def test_session_settings_are_pinned(connector: PostgresConnector, shop: Database) -> None:
    """Text forms depend on them; the server's defaults here are another time zone."""
    shop.execute(
        f'ALTER DATABASE "{shop.name}" SET "DateStyle" = \'SQL, DMY\'',
        f"ALTER DATABASE \"{shop.name}\" SET bytea_output = 'escape'",
        f'ALTER DATABASE "{shop.name}" SET "IntervalStyle" = \'iso_8601\'',
        f"ALTER DATABASE \"{shop.name}\" SET extra_float_digits = '-5'",
    )
    try:
        request = fragment(
            "SELECT at::text || ' ' || day::text || ' ' || '\\x00'::bytea::text || ' '"
            " || interval '1 day'::text || ' ' || (f * 3)::text AS v FROM numbers WHERE i = 2",
            v="VARCHAR",
        )
        fresh = connector_for(shop)
        with contextlib.closing(fresh):
            for road in ("native", "stream"):
                assert rows(fresh, request, road) == [
                    ("2024-07-01 10:00:00+00 2024-02-29 \\x00 1 day 0.30000000000000004",)
                ]
    finally:
        for name in ("DateStyle", "bytea_output", "IntervalStyle", "extra_float_digits"):
            shop.execute(f'ALTER DATABASE "{shop.name}" RESET "{name}"')


def test_what_the_scanner_alone_would_answer_wrong(
    connector: PostgresConnector, shop: Database
) -> None:
    """Why its filter pushdown is off and why ``numeric`` has a guard: it lets PostgreSQL compare
    char(n), which ignores the padding, and it reads a NaN as 0.
    """
    padded = "SELECT c FROM {0}.public.numbers WHERE c = 'x     '"
    shop.execute("DROP TABLE IF EXISTS nan", "CREATE TABLE nan (v numeric(9,2))")
    shop.execute("INSERT INTO nan VALUES ('NaN')")
    with engine(connector) as (instance, _):
        assert instance.execute(
            "SELECT current_setting('pg_experimental_filter_pushdown')"
        ).fetchone() == (False,)
        assert instance.execute(padded.format(quote(alias_of(connector)))).fetchall() == []
    plain = duckdb.connect()
    plain.execute(f"LOAD '{extension_path('postgres_scanner')}'")
    with contextlib.closing(plain):
        for statement in connector.native_setup().statements:
            if "pushdown" not in statement and "lane" not in statement:
                plain.execute(statement.replace("{alias}", "s"))
        assert plain.execute(padded.format("s")).fetchall() == [("x",)]
        assert plain.execute("SELECT v FROM s.public.nan").fetchall() == [(Decimal("0.00"),)]


def test_a_unix_socket(shop: Database) -> None:
    if not shop.server.socket:
        pytest.skip("never: a given server has no known socket")
    connector = connector_for(shop, host=shop.server.socket)
    with contextlib.closing(connector):
        table = connector.catalog().table(None, "numbers")
        for road in ("native", "stream"):
            assert len(rows(connector, request_for(table, ["i"]), road)) == 2
        assert connector.check().notes == ()


def test_tls_that_the_server_does_not_offer_is_a_clear_error(shop: Database) -> None:
    connector = connector_for(shop, sslmode="require")
    with pytest.raises(SourceUnavailableError, match="SSL"):
        connector.catalog()


# --- estimates and health -------------------------------------------------------------------------


def test_estimates_are_the_servers_own(connector: PostgresConnector, shop: Database) -> None:
    request = request_for(connector.catalog().table(None, "big"), ["a"])
    found = connector.estimate(request)
    assert found is not None
    assert found.rows == 24000
    assert found.cost is not None
    assert found.cost > 0
    assert found.row_bytes == 4
    # a lost side connection is opened again
    shop.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'dovetail-side'"
    )
    for _ in range(8):  # psycopg would prepare a statement that it has seen often
        plan = connector.explain(request)
        assert plan is not None
        assert "Seq Scan" in plan


def test_health(connector: PostgresConnector, shop: Database) -> None:
    health = connector.check()
    assert health.version.startswith("PostgreSQL ")
    assert health.read_only is True
    assert health.tls is False
    assert health.round_trip is not None
    assert 0 < health.round_trip < 5
    assert health.throughput is not None
    assert health.throughput > 100_000
    assert health.clock_skew is not None
    assert abs(health.clock_skew) < 5
    assert any("not encrypted" in note for note in health.notes)
    admin = connector_for(shop, user="postgres", password=shop.server.admin_password)
    assert admin.check().read_only is False
    assert any("superuser" in note for note in admin.check().notes)


def test_both_roads_see_one_state(connector: PostgresConnector, shop: Database) -> None:
    """A query may read one fragment natively and another as a stream."""
    catalog = connector.catalog()
    native = request_for(catalog.table(None, "big"), ["a"])
    streamed = request_for(catalog.table(None, "numbers"), ["i"])
    with engine(connector) as (instance, _), contextlib.closing(connector.snapshot()) as snapshot:
        execute = instance.execute
        first = snapshot.native(native, alias_of(connector)).sql
        execute("BEGIN")
        snapshot.prepare([streamed])
        snapshot.begin_native(lambda text: execute(text).fetchall(), alias_of(connector))
        assert execute(f"SELECT count(*) FROM {first}").fetchone() == (24000,)
        shop.execute("INSERT INTO numbers (i) VALUES (99)")
        try:
            found = snapshot.read(streamed).reader.read_all()
            assert found.num_rows == 2
        finally:
            shop.execute("DELETE FROM numbers WHERE i = 99")


@pytest.fixture(scope="module")
def tls_server(own_server: Callable[[str], Server], tmp_path_factory: Any) -> tuple[Server, Path]:
    """A server with TLS under a certificate authority of ours; and the authority's file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Dovetail tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    server = own_server("postgres")
    data = Path(server.socket) / "data"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    owner = data.stat()
    for file, content in (("server.crt", pem), ("server.key", private)):
        path = data / file
        path.touch(mode=0o600)
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)
    server.execute("ALTER SYSTEM SET ssl = on")
    server.execute("SELECT pg_reload_conf()")
    wait_until(lambda: server.execute("SHOW ssl") == [("on",)], "the server has no TLS")
    server.execute("CREATE TABLE small (a integer)", "INSERT INTO small VALUES (1)")
    authority = tmp_path_factory.mktemp("tls") / "it's the authority.pem"
    authority.write_bytes(pem)
    return server, authority


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_tls(tls_server: tuple[Server, Path], mode: str) -> None:
    server, authority = tls_server
    chosen = {"sslrootcert": authority} if mode.startswith("verify") else {}
    connector = connector_for(Database(server, "postgres"), sslmode=mode, **chosen)
    with contextlib.closing(connector):
        assert connector.check().tls is True
        table = connector.catalog().table(None, "small")
        used = "SELECT bool_and(ssl) AS v FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        for road in ("native", "stream"):
            assert rows(connector, request_for(table), road) == [(1,)]
            assert rows(connector, fragment(used, v="BOOLEAN"), road) == [(True,)]


@pytest.mark.parametrize("road", ["native", "stream"])
def test_tls_under_another_authority_is_refused(
    tls_server: tuple[Server, Path], tmp_path: Path, road: Road
) -> None:
    server, authority = tls_server
    good = connector_for(Database(server, "postgres"))
    table = good.catalog().table(None, "small")
    localhost = connector_for(
        Database(replace(server, host="localhost"), "postgres"),
        sslmode="verify-full",
        sslrootcert=authority,
    )
    with pytest.raises(SourceUnavailableError, match="localhost"):
        rows(localhost, request_for(table), road)
    missing = connector_for(
        Database(server, "postgres"), sslmode="verify-ca", sslrootcert=tmp_path / "gone.pem"
    )
    with pytest.raises(SourceUnavailableError, match=r"gone\.pem"):
        rows(missing, request_for(table), road)
    with pytest.raises(SourceUnavailableError, match=r"gone\.pem"):
        missing.catalog()
