"""The catalog: what it says of a source, large ones, joins, dragging."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.interfaces.tui.conftest import Play, Tui
from tests.interfaces.tui.test_panes import drag

from dovetail.catalog.model import ColumnInfo, ForeignKey, TableInfo
from dovetail.editing.joins import suggest_joins
from dovetail.editing.schema import Schema, SourceNames
from dovetail.interfaces.tui.catalog import Catalog
from dovetail.interfaces.tui.keys import Sequences
from dovetail.session import Session
from dovetail.types import parse_type


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, object]:
    """A configuration with one source of three tables."""
    import duckdb

    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("create table customers (id bigint primary key, name varchar)")
        connection.execute(
            "create table orders (id bigint primary key, "
            "customer_id bigint references customers (id), referred_by bigint)"
        )
        connection.execute("create table days (day date)")
        connection.execute("insert into customers values (1, 'x'), (2, null)")
    return {"sources": {"shop": {"kind": "duckdb", "path": str(tmp_path / "shop.duckdb")}}}


def test_a_source_says_how_much_there_is_and_how_old_that_is(
    play: Play, shop: dict[str, object]
) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.wait()
        await tui.settle()
        await tui.keys("<alt+1><space>")
        read = time.strftime("%H:")
        assert f"3 tables, ~2 rows, read {read}" in tui.screen()
        assert "shop" in tui.status
        assert tui.text == ""
        await tui.keys("<down><enter>")  # that line is nothing to insert
        assert tui.text == ""

    with Session.open(shop) as over:
        play(scenario, over=over)


def test_a_lost_source_says_how_to_try_again(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "late.sqlite"
    config = {"sources": {"late": {"kind": "sqlite", "path": str(path)}}}

    async def scenario(tui: Tui) -> None:
        import sqlite3

        tui.app.schema.wait()
        await tui.settle()
        await tui.keys("<alt+1><space>")
        assert "late ✗" in tui.screen()
        [node] = tui.app.catalog.names_tree.root.children[0].children
        assert "r tries again" in str(node.label)
        await tui.keys("<down>")  # under the tree there is room for all of it
        assert path.name in tui.screen()
        with sqlite3.connect(path) as connection:
            connection.execute("create table t (a integer)")
        connection.close()
        await tui.keys("r")
        tui.app.schema.wait()
        await tui.settle()
        assert "late ✗" not in tui.screen()
        assert "1 table" in tui.screen()

    with Session.open(config) as over:
        play(scenario, over=over)


def test_two_tables_are_joined(play: Play, shop: dict[str, object]) -> None:
    async def scenario(tui: Tui) -> None:
        tui.app.schema.wait()
        await tui.settle()
        tui.app.buffer.editor.text = "from shop.orders "
        tui.app.buffer.editor.move_cursor((0, 17))
        await tui.keys("<alt+1><space>/orders<enter><home><down><down>m")
        assert "shop.orders is marked" in tui.told[-1]
        await tui.keys("j")
        assert "mark one table" in tui.told[-1]
        await tui.keys("/<ctrl+u>days<enter><home><down><down>j")
        assert "no key of orders or days" in tui.told[-1]
        await tui.keys("/<ctrl+u>customers<enter><home><down><down>j")
        assert tui.text == (
            "from shop.orders join shop.customers as customers on orders.customer_id = customers.id"
        )

    with Session.open(shop) as over:
        play(scenario, over=over)


def _table(name: str, columns: str, **more: object) -> TableInfo:
    made = tuple(ColumnInfo(c, parse_type("BIGINT"), "bigint") for c in columns.split())
    return TableInfo("s", "main", name, made, **more)  # type: ignore[arg-type]


def test_what_joins_are_suggested() -> None:
    users = _table("users", "id name", primary_key=("id",))
    both = ForeignKey(("owner", "id"), "main", "users", ("name", "id"))
    things = _table("things", "id owner user_id", foreign_keys=(both,))
    found = suggest_joins(users, things, ("s", "things"))
    assert [s.sql.partition(" on ")[2] for s in found] == [
        "users.name = things.owner and users.id = things.id",
        "users.id = things.user_id",
    ]
    assert found[0].evidence == "foreign key of things"
    assert suggest_joins(users, _table("days", "day"), ("s", "days")) == []
    days = _table("days", "day", primary_key=("day",))
    [itself] = suggest_joins(days, days, ("s", "days"))
    assert itself.sql == "join s.days as days_2 on days.day = days_2.day"


def _large(session: Session) -> Catalog:
    columns = tuple(ColumnInfo(f"column_{n}", parse_type("BIGINT"), "bigint") for n in range(20))
    tables = tuple(TableInfo("big", "main", f"table_{n:05}", columns) for n in range(10_000))
    schema = Schema(session)
    schema._known["big"] = SourceNames("big", "duckdb", "ready", tables)
    assert len(schema._known["big"].searchable) == 10_000
    return Catalog(schema, Sequences([], "catalog"), list)


@pytest.mark.parametrize(
    ("wanted", "count", "first"),
    [("tbl_9", 200, "table_00009"), ("column_19", 200, "table_00000"), ("zz", 0, "")],
)
def test_the_filter_of_a_large_catalog_is_quick(
    session: Session, wanted: str, count: int, first: str
) -> None:
    catalog = _large(session)
    catalog._wanted = wanted
    before = time.process_time()
    found = catalog._tables(catalog._schema.sources[-1])
    assert time.process_time() - before < 0.15  # three times the figure
    assert len(found) == count
    assert not first or found[0].name == first


def test_a_large_schema_is_listed_in_part(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        known = _large(tui.app.session)._schema._known["big"]
        tui.app.schema._known["big"] = known
        before = time.process_time()
        tui.app.catalog.update_names()
        assert time.process_time() - before < 0.5
        root = tui.app.catalog.names_tree.root
        [node] = [n for n in root.children if n.data is not None and n.data.name == "big"]
        assert len(node.children) == 1_002
        assert "9,000 more; / finds them" in str(node.children[-1].label)

    play(scenario)


def test_a_name_is_dragged_into_the_editor(play: Play) -> None:
    async def scenario(tui: Tui) -> None:
        editor = tui.app.buffer.editor
        editor.text = "select * from  t"
        tree, region = tui.app.catalog.names_tree.region, editor.region
        await drag(tui, (tree.x + 4, tree.y), (region.x + editor.gutter_width + 14, region.y))
        assert tui.text == "select * from trades t"
        assert tui.app.place == "editor"

    play(scenario)


def test_queries_are_kept_by_name_beside_the_configuration(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "team"
    (folder / "queries").mkdir(parents=True)
    (folder / "queries" / "by trader.sql").write_text("select 1 as kept")
    config = folder / "dovetail.yaml"
    config.write_text("sources: {}\n")

    async def scenario(tui: Tui) -> None:
        assert "saved queries 1" in tui.screen()
        tree = tui.app.catalog.names_tree
        await tui.keys("<alt+1><space>")
        tree.move_cursor(tree.root.children[0].children[0])
        await tui.keys("<enter>")
        assert tui.text == "select 1 as kept"
        assert tui.app.buffer.name_shown == "by trader.sql"
        await tui.keys("<f5>")
        assert tui.names == ["kept"]
        await tui.keys("<alt+2><ctrl+n>select 2<alt+3>")
        tui.app.commands.run_line("save by trader")
        await tui.settle()
        assert "Replace the query by trader?" in tui.screen()
        await tui.keys("n")
        assert (folder / "queries" / "by trader.sql").read_text() == "select 1 as kept"
        await tui.keys("<alt+2><ctrl+x>wtwo<enter>")
        assert (folder / "queries" / "two.sql").read_text() == "select 2"
        assert "saved queries 2" in tui.screen()
        await tui.keys("<ctrl+x>1<ctrl+x>qtwo<enter>")
        assert tui.text == "select 2"
        assert len(tui.app.buffers) == 3
        await tui.keys("<ctrl+x>w../three<enter>")
        assert "cannot be the name of a query" in tui.told[-1]

    with Session.open(config) as over:
        play(scenario, over=over)
