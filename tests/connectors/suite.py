"""The shared connector suite: one set of tests that every kind of source passes.

A kind takes part with an :class:`Adapter` and a subclass of :class:`ConnectorSuite`::

    class TestMySQL(ConnectorSuite):
        @pytest.fixture(scope="class")
        @classmethod
        def adapter(cls, mariadb_database):
            return Adapter(
                kind="mysql",
                make=lambda tables: connector_over(mariadb_database, tables),
                …
            )

A test that a kind cannot pass is listed in ``Adapter.gaps`` under the test's name, as ``never``
(it has no meaning there), ``not_yet`` (the source will be able) or ``not_implemented`` (we are
not), with the reason; such a test is expected to fail, and passing by surprise is a failure.

:func:`read` reads one fragment the way the engine does, over either road; tests of one kind use
it too.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from dovetail.catalog.model import TableInfo
from dovetail.connectors.base import Connector, FragmentRequest, OutputColumn, Snapshot, TableScan
from dovetail.connectors.extensions import extension_path
from dovetail.errors import DovetailError, SourceError, SourceUnavailableError
from dovetail.quoting import quote, sql_string
from tests.databases import Declared, duckdb_type

Tables = Mapping[str, tuple[pa.Table, Declared]]
Gap = Literal["never", "not_yet", "not_implemented"]
Road = Literal["native", "stream"]


@dataclass(frozen=True)
class Adapter:
    """How the suite makes a source of one kind.

    ``make`` creates the tables (names are new in every call) and returns a connector over them;
    the suite closes the connector. ``roads`` are those the kind offers. ``unreachable`` returns a
    connector whose source is down, with ``secret`` as its password where the kind has one.
    ``insert`` commits one row into a table (None: the kind cannot be written while it is read).
    ``quiet`` says whether nothing of ours is open or running at the source (None: no server).
    ``types`` are the declared types the kind can hold; the suite tests no others.
    """

    kind: str
    make: Callable[[Tables], Connector]
    roads: tuple[Road, ...] = ("native", "stream")
    unreachable: Callable[[str], Connector] | None = None
    insert: Callable[[str, Sequence[Any]], None] | None = None
    quiet: Callable[[], bool] | None = None
    types: frozenset[str] | None = None
    gaps: Mapping[str, tuple[Gap, str]] = field(default_factory=dict)


# --- reading a fragment as the engine does --------------------------------------------------------


@contextlib.contextmanager
def engine(connector: Connector) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A locked DuckDB instance with the source attached; yields it and the instance's name."""
    instance = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    name = f"dovetail-{uuid.uuid4().hex[:12]}"
    try:
        instance.execute("SET TimeZone = 'UTC'")
        setup = connector.native_setup()
        if setup is not None:
            for extension in setup.extensions:
                instance.execute(f"LOAD {sql_string(extension_path(extension))}")
            for statement in setup.statements:
                text = statement.replace("{alias}", quote(alias_of(connector)))
                instance.execute(text.replace("{instance}", name))
            for setting, paths in (
                ("allowed_paths", setup.allowed_paths),
                ("allowed_directories", setup.allowed_directories),
            ):
                if paths:
                    listed = ", ".join(sql_string(path) for path in paths)
                    instance.execute(f"SET {setting} = [{listed}]")
        instance.execute("SET enable_external_access = false")
        instance.execute("SET lock_configuration = true")
        yield instance, name
    finally:
        # Before closing: DuckDB ends the process when the roll-back in its destructor fails, as it
        # does for a transaction whose server connection was lost.
        _roll_back(instance)
        instance.close()


def alias_of(connector: Connector) -> str:
    """The database alias under which :func:`engine` attaches a source."""
    return f"source_{connector.name}"


def request_for(
    table: TableInfo, columns: Sequence[str] | None = None, where: str = "", dialect: str = ""
) -> FragmentRequest:
    """A scan of some columns of a table (by their visible names), with an optional filter in the
    source's own words.
    """
    chosen = [table.column(name) for name in columns] if columns is not None else table.columns
    assert all(chosen), columns
    projections = [
        exp.alias_(exp.column(c.source_name, quoted=True), c.name, quoted=True)
        for c in chosen
        if c is not None
    ]
    relation = exp.Table(
        this=exp.to_identifier(table.source_name, quoted=True),
        db=exp.to_identifier(table.source_schema, quoted=True) if table.source_schema else None,
    )
    query = exp.Select().select(*projections).from_(relation)
    if where:
        query = query.where(sqlglot.parse_one(where, dialect=dialect))
    scan = TableScan(table, tuple((c.source_name, c.name) for c in chosen if c is not None))
    return FragmentRequest(
        query=query,
        columns=tuple(
            OutputColumn(c.name, c.type, c.native_type, f"{table.qualified_name}.{c.name}")
            for c in chosen
            if c is not None
        ),
        scan=None if where else scan,
        filtered_scan=scan if where else None,
        tag="t1",
    )


def relation_of(
    connector: Connector,
    snapshot: Snapshot,
    request: FragmentRequest,
    road: Road,
    instance: duckdb.DuckDBPyConnection,
    name: str = "fragment",
) -> str:
    """The fragment as something for FROM; a stream is registered under ``name``."""
    if road == "native":
        native = snapshot.native(request, alias_of(connector))
        assert native is not None, "no native relation for this fragment"
        return native.sql
    stream = snapshot.read(request)
    assert [f.name for f in stream.reader.schema] == [c.name for c in request.columns]
    instance.register(name, stream.reader)
    decoded = ", ".join(
        f"{decode.format(quote(c.name)) if decode else f'CAST({quote(c.name)} AS {c.type})'}"
        f" AS {quote(c.name)}"
        for decode, c in zip(stream.decode, request.columns, strict=True)
    )
    return f"(SELECT {decoded} FROM {quote(name)})"


def read(
    connector: Connector,
    request: FragmentRequest,
    road: Road = "native",
    *,
    sql: str = "SELECT * FROM {0}",
    instance: duckdb.DuckDBPyConnection | None = None,
) -> pa.Table:
    """Read one fragment over one road, in a snapshot of its own.

    ``instance`` is from :func:`engine`; without it one is made for this call. The types that the
    engine sees are checked against the request's. Errors are translated as the engine does.
    """
    return _query(connector, request, road, sql, instance).to_arrow_table()


def rows(
    connector: Connector,
    request: FragmentRequest,
    road: Road = "native",
    *,
    sql: str = "SELECT * FROM {0}",
    instance: duckdb.DuckDBPyConnection | None = None,
) -> list[tuple[Any, ...]]:
    """Like :func:`read`, as the Python values that DuckDB gives."""
    return _query(connector, request, road, sql, instance).fetchall()


@dataclass
class _Answer:
    """A whole answer, fetched before its transaction ended."""

    table: pa.Table
    values: list[tuple[Any, ...]]

    def to_arrow_table(self) -> pa.Table:
        return self.table

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.values


def _query(
    connector: Connector,
    request: FragmentRequest,
    road: Road,
    sql: str,
    instance: duckdb.DuckDBPyConnection | None,
) -> _Answer:
    try:
        return _run(connector, request, road, sql, instance)
    except duckdb.Error as error:
        translated = connector.translate_error(error)
        if translated is None:
            raise
        raise translated from None


def _run(
    connector: Connector,
    request: FragmentRequest,
    road: Road,
    sql: str,
    instance: duckdb.DuckDBPyConnection | None,
) -> _Answer:
    with contextlib.ExitStack() as stack:
        if instance is None:
            instance, _ = stack.enter_context(engine(connector))
        snapshot = stack.enter_context(contextlib.closing(connector.snapshot()))
        execute = instance.execute
        alias = alias_of(connector)
        execute("BEGIN")
        stack.callback(_roll_back, instance)
        if road == "stream":
            snapshot.prepare([request])
        relation = relation_of(connector, snapshot, request, road, instance)
        if road == "native":
            snapshot.begin_native(lambda text: execute(text).fetchall(), alias)
            described = execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            assert [(row[0], row[1]) for row in described] == [
                (c.name, c.type.text) for c in request.columns
            ]
        execute(f"CREATE TEMP TABLE answer AS {sql.format(relation)}")
        table = execute("FROM answer").to_arrow_table()
        return _Answer(table, execute("FROM answer").fetchall())


def _roll_back(instance: duckdb.DuckDBPyConnection) -> None:
    with contextlib.suppress(duckdb.Error):
        instance.execute("ROLLBACK")


# --- the suite ------------------------------------------------------------------------------------


_HOSTILE = [
    "",
    " ",
    "a",
    "A",
    "ä",
    "a ",
    "it's",
    '"',
    "\\",
    "\\'",
    "%_",
    "😀",
    "a\nb",
    "{0}",
    "NULL",
]


def _values(declared: Declared) -> dict[str, list[Any]]:
    """Some values per declared type: NULL, ordinary, and the ends of the range."""
    moment = datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999)
    known: dict[str, list[Any]] = {
        "BOOLEAN": [True, False],
        "SMALLINT": [-32768, 0, 32767],
        "INTEGER": [-(2**31), 0, 2**31 - 1],
        "BIGINT": [-(2**63), 0, 2**63 - 1],
        "DOUBLE": [-1.5, 0.0, 1e300, 5e-324],
        "DECIMAL(15,2)": [decimal.Decimal(v) for v in ("-9999999999999.99", "0.00", "0.01")],
        "VARCHAR": _HOSTILE,
        "DATE": [datetime.date(1, 1, 1), datetime.date(1970, 1, 1), datetime.date(9999, 12, 31)],
        "TIMESTAMP": [datetime.datetime(1970, 1, 1), moment],
        "BLOB": [b"", b"\x00\xff\\'", bytes(range(256))],
    }
    return {name: known[kind] for name, kind in declared.columns.items()}


def table_of(declared: Declared) -> pa.Table:
    """A table in which every column takes each of its values, and NULL, in turn."""
    values = _values(declared)
    length = max(map(len, values.values())) + 1
    with duckdb.connect() as connection:
        types = {
            name: connection.execute(f"SELECT NULL::{duckdb_type(kind)}").to_arrow_table()[0].type
            for name, kind in declared.columns.items()
        }
    columns = {
        name: pa.array([[*found, None][i % (len(found) + 1)] for i in range(length)], types[name])
        for name, found in values.items()
    }
    return pa.table(columns)


_TYPES = {
    "b": "BOOLEAN",
    "i": "INTEGER",
    "l": "BIGINT",
    "f": "DOUBLE",
    "d": "DECIMAL(15,2)",
    "s": "VARCHAR",
    "day": "DATE",
    "moment": "TIMESTAMP",
    "bytes": "BLOB",
}

_NAMES = [
    "plain",
    "Mixed Case",
    "select",
    'quo"te',
    "back`tick",
    "dollar$",
    "dot.ted",
    "per%cent",
    "brace{0}",
    "back\\slash",
    "semi;colon--",
    "ünïcode",
    "naïve 😀",
]


class ConnectorSuite:
    """See the module's text. Subclass as ``Test…`` and define the ``adapter`` fixture."""

    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls) -> Adapter:
        raise NotImplementedError("the kind's test module defines this fixture")

    @pytest.fixture(autouse=True)
    def _gap(self, request: pytest.FixtureRequest, adapter: Adapter) -> None:
        gap = adapter.gaps.get(request.node.originalname)
        if gap is not None:
            kind, reason = gap
            request.node.add_marker(pytest.mark.xfail(reason=f"{kind}: {reason}", strict=True))

    @pytest.fixture
    def make(self, adapter: Adapter) -> Iterator[Callable[[Tables], Connector]]:
        """``adapter.make`` whose connectors are closed after the test."""
        with contextlib.ExitStack() as stack:

            def build(tables: Tables) -> Connector:
                connector = adapter.make(tables)
                stack.callback(connector.close)
                return connector

            yield build

    def _declared(self, adapter: Adapter) -> Declared:
        kinds = adapter.types
        return Declared({n: t for n, t in _TYPES.items() if kinds is None or t in kinds})

    def _name(self) -> str:
        return f"t_{uuid.uuid4().hex[:10]}"

    # catalog

    def test_catalog_lists_tables_columns_and_types(self, adapter: Adapter, make: Any) -> None:
        declared, name = self._declared(adapter), self._name()
        connector = make({name: (table_of(declared), declared)})
        catalog = connector.catalog()
        table = catalog.table(None, name)
        assert table is not None, [t.qualified_name for t in catalog.tables]
        assert table.source == connector.name
        assert {c.name: c.type.text for c in table.columns} == {
            c: duckdb_type(t) for c, t in declared.columns.items()
        }
        assert table.row_estimate is None or table.row_estimate >= 0

    def test_catalog_knows_keys_and_nullability(self, make: Any) -> None:
        parent, child = self._name(), self._name()
        rows_ = pa.table({"a": pa.array([1], pa.int32()), "b": pa.array([1], pa.int32())})
        columns = {"a": "INTEGER", "b": "INTEGER"}
        connector = make(
            {
                parent: (rows_, Declared(columns, ("a",), (), frozenset({"a"}))),
                child: (
                    rows_,
                    Declared(columns, ("a", "b"), ((("b",), parent, ("a",)),), frozenset("ab")),
                ),
            }
        )
        catalog = connector.catalog()
        first, second = catalog.table(None, parent), catalog.table(None, child)
        assert first is not None
        assert second is not None
        assert first.primary_key == ("a",)
        assert [c.nullable for c in first.columns] == [False, True]
        assert second.primary_key == ("a", "b")
        (key,) = second.foreign_keys
        assert (key.columns, key.ref_table, key.ref_columns) == (("b",), parent, ("a",))
        assert key.ref_schema == first.schema

    # values

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_every_value_arrives_exactly(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        declared, name = self._declared(adapter), self._name()
        data = table_of(declared)
        connector = make({name: (data, declared)})
        table = connector.catalog().table(None, name)
        found = read(connector, request_for(table), road)
        key = lambda row: tuple((v is None, repr(v)) for v in row.values())  # noqa: E731
        assert sorted(found.to_pylist(), key=key) == sorted(data.to_pylist(), key=key)

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_columns_are_chosen_and_ordered(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        name = self._name()
        declared = Declared({"a": "INTEGER", "b": "VARCHAR", "c": "INTEGER"})
        data = pa.table(
            {"a": pa.array([1], pa.int32()), "b": ["x"], "c": pa.array([3], pa.int32())}
        )
        connector = make({name: (data, declared)})
        table = connector.catalog().table(None, name)
        found = read(connector, request_for(table, ["c", "a"]), road)
        assert found.to_pylist() == [{"c": 3, "a": 1}]

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_an_empty_table_has_no_rows(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        declared, name = self._declared(adapter), self._name()
        connector = make({name: (table_of(declared).slice(0, 0), declared)})
        table = connector.catalog().table(None, name)
        assert read(connector, request_for(table), road).num_rows == 0

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_hostile_names_of_tables_and_columns(
        self, adapter: Adapter, make: Any, road: Road
    ) -> None:
        self._needs(adapter, road)
        declared = Declared(dict.fromkeys(_NAMES, "INTEGER"))
        data = pa.table({n: pa.array([i], pa.int32()) for i, n in enumerate(_NAMES)})
        name = f"T {uuid.uuid4().hex[:6]} o'\"`\\ ünï"
        connector = make({name: (data, declared)})
        table = connector.catalog().table(None, name)
        assert [c.name for c in table.columns] == _NAMES
        assert read(connector, request_for(table), road).to_pylist() == data.to_pylist()

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_a_thousand_columns(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        name = self._name()
        names = [f"c{i}" for i in range(1000)]
        data = pa.table({n: pa.array([i], pa.int32()) for i, n in enumerate(names)})
        connector = make({name: (data, Declared(dict.fromkeys(names, "INTEGER")))})
        table = connector.catalog().table(None, name)
        assert len(table.columns) == 1000
        found = read(connector, request_for(table), road)
        assert found.to_pylist() == data.to_pylist()

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_more_rows_than_one_batch(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        name = self._name()
        data = pa.table({"a": pa.array(range(150_000), pa.int32())})
        connector = make({name: (data, Declared({"a": "INTEGER"}))})
        table = connector.catalog().table(None, name)
        found = read(
            connector, request_for(table), road, sql="SELECT count(*) n, sum(a) s FROM {0}"
        )
        assert found.to_pylist() == [{"n": 150_000, "s": sum(range(150_000))}]

    # consistency

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_a_snapshot_does_not_see_later_rows(
        self, adapter: Adapter, make: Any, road: Road
    ) -> None:
        self._needs(adapter, road)
        if adapter.insert is None:
            pytest.skip("never: the kind cannot be written while it is read")
        first, second = self._name(), self._name()
        data, declared = pa.table({"a": pa.array([1], pa.int32())}), Declared({"a": "INTEGER"})
        connector = make({first: (data, declared), second: (data, declared)})
        catalog = connector.catalog()
        requests = [request_for(catalog.table(None, name)) for name in (first, second)]
        with (
            engine(connector) as (instance, _),
            contextlib.closing(connector.snapshot()) as snapshot,
        ):
            counts = []
            instance.execute("BEGIN")
            if road == "stream":
                snapshot.prepare(requests)
            else:
                relations = [
                    relation_of(connector, snapshot, request, road, instance)
                    for request in requests
                ]
                snapshot.begin_native(
                    lambda text: instance.execute(text).fetchall(), alias_of(connector)
                )
            for number, (name, request) in enumerate(zip((first, second), requests, strict=True)):
                if road == "stream":
                    relation = relation_of(
                        connector, snapshot, request, road, instance, f"f{number}"
                    )
                else:
                    relation = relations[number]
                counts += instance.execute(f"SELECT count(*) FROM {relation}").fetchone()
                adapter.insert(name, [2])
                adapter.insert(second, [3])
            assert counts == [1, 1]

    def test_several_snapshots_at_once(self, adapter: Adapter, make: Any) -> None:
        name = self._name()
        data = pa.table({"a": pa.array(range(5000), pa.int32())})
        connector = make({name: (data, Declared({"a": "INTEGER"}))})
        table = connector.catalog().table(None, name)
        results: list[Any] = []

        def work(road: Road) -> None:
            try:
                results.append(read(connector, request_for(table), road).num_rows)
            except BaseException as error:
                results.append(error)

        threads = [
            threading.Thread(target=work, args=(road,)) for road in adapter.roads for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [5000] * len(threads)

    # the end, and errors

    @pytest.mark.parametrize("road", ["native", "stream"])
    def test_closing_leaves_nothing_behind(self, adapter: Adapter, make: Any, road: Road) -> None:
        self._needs(adapter, road)
        name = self._name()
        data = pa.table({"a": pa.array(range(100_000), pa.int32())})
        connector = make({name: (data, Declared({"a": "INTEGER"}))})
        request = request_for(connector.catalog().table(None, name))
        before = threading.active_count()
        with engine(connector) as (instance, _):
            snapshot = connector.snapshot()
            instance.execute("BEGIN")
            if road == "stream":
                snapshot.prepare([request])
                stream = snapshot.read(request)
                stream.reader.read_next_batch()  # and leave the rest
            else:
                relation = relation_of(connector, snapshot, request, road, instance)
                snapshot.begin_native(
                    lambda text: instance.execute(text).fetchall(), alias_of(connector)
                )
                instance.execute(f"SELECT * FROM {relation}").fetchmany(10)
            snapshot.cancel()
            snapshot.cancel()
            snapshot.close()
            snapshot.close()
        connector.close()
        if adapter.quiet is not None:
            wait_until(adapter.quiet, "something of ours is still open at the source")
        wait_until(lambda: threading.active_count() <= before, "a thread was left behind")

    def test_a_source_that_is_down_is_named(self, adapter: Adapter) -> None:
        if adapter.unreachable is None:
            pytest.skip("never: a local file")
        secret = "s3cr3t'\"\\%"
        connector = adapter.unreachable(secret)
        try:
            with pytest.raises(SourceUnavailableError) as caught:
                connector.catalog()
            message = str(caught.value)
            assert caught.value.source == connector.name
            assert connector.name in message
            assert secret not in message
            assert secret not in repr(caught.value) + str(caught.value.to_dict())
            health = connector.check()
            assert not health.reachable
            assert health.problem
            assert secret not in health.problem
        finally:
            connector.close()

    def test_a_missing_column_is_a_clear_error(self, adapter: Adapter, make: Any) -> None:
        name = self._name()
        data = pa.table({"a": pa.array([1], pa.int32())})
        connector = make({name: (data, Declared({"a": "INTEGER"}))})
        table = connector.catalog().table(None, name)
        request = request_for(table)
        request.query.expressions[0].this.set("this", exp.to_identifier("gone", quoted=True))
        for road in adapter.roads:
            with pytest.raises(DovetailError) as caught:
                read(connector, request, road)
            assert caught.value.source == connector.name
            assert isinstance(caught.value, SourceError)

    def test_health_of_a_source_that_is_up(self, adapter: Adapter, make: Any) -> None:
        data = pa.table({"a": pa.array([1], pa.int32())})
        health = make({self._name(): (data, Declared({"a": "INTEGER"}))}).check()
        assert health.reachable
        assert health.authenticated
        assert health.problem is None
        assert health.version
        assert health.round_trip is None or 0 <= health.round_trip < 5

    def _needs(self, adapter: Adapter, road: Road) -> None:
        if road not in adapter.roads:
            pytest.skip(f"never: {adapter.kind} has no {road} road")


def wait_until(condition: Callable[[], bool], message: str, seconds: float = 10) -> None:
    """Poll until the condition holds; fail with the message after so many seconds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail(message)
