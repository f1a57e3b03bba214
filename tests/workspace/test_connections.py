"""Connections, and queries over several databases and files in one group."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from dovetail.config_load import load
from dovetail.errors import DovetailError, UnknownNameError
from dovetail.workspace import (
    Actor,
    QueryRequest,
    Target,
    Workspace,
    WorkspaceError,
    WorkspaceSettings,
    problem_of,
)
from dovetail.workspace.models import ConnectionRow
from tests.databases import Database
from tests.workspace.sales import CUSTOMERS, ask, rows, upload

USERS = [
    (1, "alice", "alice@example.com"),
    (2, "bob", "bob@example.com"),
    (3, "carol", "carol@example.com"),
    (4, "dave", None),
]
TODOS = [
    (1, 1, "write brief", "pending"),
    (2, 1, "book room", "done"),
    (3, 2, "call db1.users desk", "pending"),
    (4, 3, "alice", "pending"),
    (5, None, "orphan", "pending"),
    (6, 9, "ghost", "done"),
]


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(DovetailError) as caught:
        call()
    return problem_of(caught.value).code


@pytest.fixture(scope="module")
def pair(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Users in SQLite, todos in DuckDB, both connected by an admin."""
    folder = tmp_path_factory.mktemp("pair")
    with closing(sqlite3.connect(folder / "users.sqlite")) as connection:
        connection.execute("CREATE TABLE users (id INTEGER, username TEXT, email TEXT)")
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", USERS)
        connection.commit()
    with duckdb.connect(str(folder / "todos.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE todos (id INTEGER, user_id INTEGER, title VARCHAR, status VARCHAR)"
        )
        connection.executemany("INSERT INTO todos VALUES (?, ?, ?, ?)", TODOS)
        connection.execute("CREATE TABLE secrets (word VARCHAR)")
    admin = workspace.users.local_actor()
    users = workspace.connections.create(
        admin, "people", "sqlite", {"path": str(folder / "users.sqlite")}
    )
    todos = workspace.connections.create(
        admin, "tasks", "duckdb", {"path": str(folder / "todos.duckdb")}
    )
    assert (users.url, users.options) == (f"sqlite://{folder / 'users.sqlite'}", {})
    return SimpleNamespace(admin=admin, users=users, todos=todos)


def across(workspace: Workspace, actor: Actor, sql: str, pair: SimpleNamespace, **rest: Any) -> Any:
    target = Target(
        connection_ids=(pair.users.id, pair.todos.id),
        database_aliases={"mysql_conn": pair.users.id, "pg_conn": pair.todos.id},
    )
    return workspace.queries.run(actor, QueryRequest(sql, target, **rest))


def test_join_of_two_databases(workspace: Workspace, pair: SimpleNamespace) -> None:
    sql = (
        "SELECT u.id, u.username, t.title, t.status FROM mysql_conn.users u "
        "JOIN pg_conn.todos t ON u.id = t.user_id WHERE t.status = 'pending' "
        "ORDER BY u.username, t.id"
    )
    answer = across(workspace, pair.admin, sql, pair)
    assert rows(answer) == [
        (1, "alice", "write brief", "pending"),
        (2, "bob", "call db1.users desk", "pending"),
        (3, "carol", "alice", "pending"),
    ]
    todos = next(f for f in answer.run.fragments if f.connection_id == pair.todos.id)
    assert (todos.source, todos.kind, todos.connection_name) == ("pg_conn", "duckdb", "tasks")
    # The engine reads a DuckDB file itself, filter included, and counts what comes out.
    assert "projection" in todos.pushed
    assert todos.rows is not None
    assert todos.rows <= 4
    assert [f.status for f in answer.run.fragments] == ["SUCCESS", "SUCCESS"]
    for fragment in answer.run.fragments:
        assert fragment.started_ms is not None
        assert answer.run.plan_ms <= fragment.started_ms <= answer.run.execution_ms


def test_names_of_databases(workspace: Workspace, pair: SimpleNamespace) -> None:
    def run(sql: str, listed: tuple[str, ...], aliases: dict[str, str] | None = None) -> Any:
        target = Target(connection_ids=listed, database_aliases=aliases)
        return rows(workspace.queries.run(pair.admin, QueryRequest(sql, target)))

    assert run("SELECT count(*) FROM people.users", ("people",)) == [(4,)]
    assert run(f'SELECT count(*) FROM "{pair.users.id}".users', (pair.users.id,)) == [(4,)]
    assert run("SELECT count(*) FROM todos", ("people", "tasks")) == [(6,)]
    assert run("SELECT count(*) FROM people.users, tasks.todos", ("*",)) == [(24,)]
    with pytest.raises(DovetailError) as caught:
        run(f"FROM {pair.users.id}.users", (pair.users.id,))
    assert "double quotes" in str(caught.value)
    with pytest.raises(WorkspaceError) as refused:
        run("FROM x.users", ("people",), {"y": "tasks"})
    assert refused.value.code == "validation"


def test_an_unknown_database(workspace: Workspace, pair: SimpleNamespace) -> None:
    with pytest.raises(WorkspaceError) as caught:
        across(workspace, pair.admin, "SELECT * FROM unknown_db.users", pair)
    assert caught.value.code == "qualifier-unknown"
    assert caught.value.extra["valid"] == ["mysql_conn", "pg_conn"]


def test_an_unused_alias_is_a_warning(workspace: Workspace, pair: SimpleNamespace) -> None:
    run = across(workspace, pair.admin, "SELECT id FROM mysql_conn.users", pair).run
    assert run.warnings == ('the alias "pg_conn" is not used',)


def test_files_of_the_server_are_out_of_reach(workspace: Workspace, pair: SimpleNamespace) -> None:
    for text in (
        "FROM '/etc/passwd'",
        "FROM read_csv('/etc/passwd')",
        f"FROM '{workspace.folder}/workspace.db'.users",
        "FROM sqlite_scan('x.db', 'users')",
    ):
        with pytest.raises(DovetailError) as caught:
            across(workspace, pair.admin, text, pair)
        found = problem_of(caught.value)
        assert found.code in ("sql-not-read-only", "sql-binding", "qualifier-unknown")
        assert str(workspace.folder) not in found.detail.replace(f"{workspace.folder}/wor", "")


def test_rights_on_connections(
    workspace: Workspace, pair: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    guest = person("analyst")
    sql = "SELECT count(*) FROM people.users"
    request = QueryRequest(sql, Target(connection_ids=("people",)))
    assert code_of(lambda: workspace.queries.run(guest, request)) == "not-found"
    assert workspace.connections.list(guest).total == 0
    workspace.grants.grant(
        pair.admin, "connection", pair.users.id, user=guest.user_id, right="view"
    )
    assert code_of(lambda: workspace.queries.run(guest, request)) == "forbidden"
    assert code_of(lambda: workspace.connections.metadata(guest, pair.users.id)) == "forbidden"
    workspace.grants.grant(
        pair.admin, "connection", pair.users.id, user=guest.user_id, right="query"
    )
    assert rows(workspace.queries.run(guest, request)) == [(4,)]
    everything = QueryRequest("FROM tasks.todos", Target(connection_ids=("*",)))
    assert code_of(lambda: workspace.queries.run(guest, everything)) == "qualifier-unknown"
    assert code_of(lambda: workspace.connections.update(guest, pair.users.id, name="mine")) == (
        "forbidden"
    )
    assert code_of(lambda: workspace.connections.delete(guest, pair.todos.id)) == "not-found"


def test_a_table_by_reference_opens_that_table_only(
    workspace: Workspace, pair: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    guest = person("analyst")
    dataset = workspace.datasets.register(pair.admin, "tasks", "todos")
    assert [c.name for c in workspace.datasets.schema(pair.admin, dataset.id).columns] == [
        "id",
        "user_id",
        "title",
        "status",
    ]
    workspace.grants.grant(pair.admin, "dataset", dataset.id, user=guest.user_id, right="query")
    assert rows(ask(workspace, guest, "SELECT count(*) FROM todos", dataset=dataset.id)) == [(6,)]
    assert workspace.datasets.preview(guest, dataset.id, limit=2).table.num_rows == 2
    assert workspace.datasets.profile(guest, dataset.id).total_rows == 6
    for text in ("FROM secrets", "FROM tasks.secrets", "FROM tasks.main.todos"):
        with pytest.raises(UnknownNameError) as caught:
            ask(workspace, guest, text, dataset=dataset.id)
        assert "secrets" not in caught.value.suggestions
    with pytest.raises(WorkspaceError) as refused:
        workspace.datasets.register(guest, "tasks", "secrets")
    assert refused.value.code == "not-found"
    with pytest.raises(WorkspaceError) as unknown:
        workspace.datasets.register(pair.admin, "tasks", "todo")
    assert unknown.value.extra["candidates"] == ["todos"]


def test_passwords_are_sealed(
    workspace: Workspace, postgres_database: Database, person: Callable[..., Actor]
) -> None:
    editor = person("editor")
    source = postgres_database.source(password="odd 'pass' wörd")
    made = workspace.connections.create(editor, "sealed", source.pop("kind"), source)
    assert made.password_set
    assert "password" not in made.settings
    with workspace._store.read() as session:
        row = session.scalars(select(ConnectionRow).where(ConnectionRow.name == "sealed")).one()
    assert row.password_sealed is not None
    assert "odd" not in repr([row.password_sealed, row.settings, row.password_reference])
    # The right password works, and a change of something else keeps it.
    workspace.connections.update(
        editor, made.id, settings={"password": postgres_database.server.password}
    )
    changed = workspace.connections.update(editor, made.id, settings={"connect_timeout": 5})
    assert changed.settings["connect_timeout"] == 5
    tested = workspace.connections.test_saved(editor, made.id)
    assert tested.ok, tested.problem
    assert workspace.connections.get(editor, made.id).status == "ok"
    for line in workspace.audit.list(workspace.users.local_actor(), limit=100).items:
        assert "odd" not in repr(line)


def test_a_wrong_password_and_a_wrong_place(
    workspace: Workspace, postgres_database: Database, person: Callable[..., Actor]
) -> None:
    editor = person("editor")
    source = postgres_database.source(password="wrong password")
    kind = source.pop("kind")
    tested = workspace.connections.test(editor, kind, source)
    assert (tested.ok, tested.stage) == (False, "auth")
    assert tested.problem is not None
    assert "wrong password" not in str(tested.problem.to_dict())
    nowhere = workspace.connections.test(editor, kind, {**source, "port": 1})
    assert (nowhere.ok, nowhere.stage) == (False, "connect")


def test_without_a_key_no_password_is_stored(local: Callable[..., Workspace]) -> None:
    workspace = local()
    me = workspace.users.local_actor()
    with pytest.raises(WorkspaceError) as caught:
        workspace.connections.create(me, "pg", "postgres", {"host": "h", "password": "text"})
    assert caught.value.code == "validation"
    assert "DOVETAIL_SECRET_KEY" in caught.value.message
    made = workspace.connections.create(
        me, "pg", "postgres", {"host": "h", "password": "${env:PG_PASSWORD}"}
    )
    assert made.password_set


def test_another_key_does_not_open_it(local: Callable[..., Workspace], tmp_path: Path) -> None:
    key, other = "the first key of this store", "another key, no less long"
    workspace = local(secret_key=key)
    me = workspace.users.local_actor()
    workspace.connections.create(me, "pg", "postgres", {"host": "h", "password": "text"})
    workspace.close()
    again = local(folder=tmp_path / "workspace", secret_key=other)
    with pytest.raises(WorkspaceError) as caught:
        again.connections.test_saved(me, "pg")
    assert caught.value.code == "configuration"
    assert "text" not in caught.value.message


@pytest.mark.parametrize(
    ("kind", "settings", "code"),
    [
        ("oracle", {}, "validation"),
        ("postgres", {"hots": "x"}, "validation"),
        ("postgres", {"port": 0}, "validation"),
        ("postgres", {"host": "${env:HOME}"}, "validation"),
        ("postgres", {"password": "${env:HOME}"}, "forbidden"),
        ("sqlite", {"path": "relative.db"}, "validation"),
        ("sqlite", {"path": "/etc/passwd"}, "forbidden"),
        ("files", {"path": "/"}, "validation"),
    ],
)
def test_settings_that_are_refused(
    workspace: Workspace,
    person: Callable[..., Actor],
    kind: str,
    settings: dict[str, Any],
    code: str,
) -> None:
    editor = person("editor")
    assert code_of(lambda: workspace.connections.create(editor, "x", kind, settings)) == code
    assert code_of(lambda: workspace.connections.test(editor, kind, settings)) == code


def test_the_workspace_itself_cannot_be_connected(workspace: Workspace) -> None:
    admin = workspace.users.local_actor()
    for kind, path in (
        ("sqlite", workspace.folder / "workspace.db"),
        ("files", workspace.folder / "files"),
        ("files", workspace.folder.parent),
    ):
        settings = {"path": str(path)}
        assert code_of(
            lambda k=kind, s=settings: workspace.connections.create(admin, "w", k, s)
        ) == (  # type: ignore[misc]
            "validation"
        )


def test_names_of_connections(workspace: Workspace, pair: SimpleNamespace) -> None:
    path = {"path": "/nowhere.db"}
    for name, code in (
        ("People", "name-taken"),
        ("order", "alias-reserved"),
        ("my db", "alias-invalid"),
    ):
        assert (
            code_of(
                lambda n=name: workspace.connections.create(pair.admin, n, "sqlite", path)  # type: ignore[misc]
            )
            == code
        )
    with pytest.raises(WorkspaceError) as caught:
        workspace.connections.update(pair.admin, pair.users.id, name="folk", if_match="99")
    assert caught.value.code == "stale"
    assert caught.value.extra["etag"] == pair.users.etag


def test_a_connection_in_use_is_not_deleted(workspace: Workspace, tmp_path: Path) -> None:
    admin = workspace.users.local_actor()
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")
    made = workspace.connections.create(
        admin, "short_lived", "sqlite", {"path": str(tmp_path / "a.sqlite")}
    )
    dataset = workspace.datasets.register(admin, made.id, "t", name="The t")
    with pytest.raises(WorkspaceError) as caught:
        workspace.connections.delete(admin, made.id)
    assert caught.value.code == "in-use"
    assert caught.value.extra["datasets"] == ["The t"]
    workspace.connections.delete(admin, made.id, force=True)
    assert workspace.datasets.get(admin, dataset.id).status == "FAILED"
    assert code_of(lambda: ask(workspace, admin, "FROM dataset", dataset=dataset.id)) == (
        "dataset-not-ready"
    )


def test_drift_of_a_registered_table_is_told(workspace: Workspace, tmp_path: Path) -> None:
    admin = workspace.users.local_actor()
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, name TEXT)")
    settings = {"path": str(tmp_path / "d.sqlite")}
    made = workspace.connections.create(admin, "drifting", "sqlite", settings)
    dataset = workspace.datasets.register(admin, made.id, "t")
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection:
        connection.execute("ALTER TABLE t RENAME COLUMN name TO title")
        connection.commit()
    workspace.connections.metadata(admin, made.id, refresh=True)
    assert [c.name for c in workspace.datasets.schema(admin, dataset.id).columns] == ["id", "title"]
    drift = workspace.datasets.get(admin, dataset.id).schema_drift
    assert drift == "columns gone: name; columns new: title"


def test_metadata_by_pages(workspace: Workspace, pair: SimpleNamespace) -> None:
    first = workspace.connections.metadata(pair.admin, pair.todos.id, limit=1)
    assert first.tables.total == 2
    second = workspace.connections.metadata(
        pair.admin, pair.todos.id, limit=1, cursor=first.tables.next_cursor
    )
    names = {page.tables.items[0].name for page in (first, second)}
    assert names == {"todos", "secrets"}
    assert second.tables.next_cursor is None
    assert first.retrieved_at == second.retrieved_at


def test_connections_of_the_configuration(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
        connection.commit()
    config = load({"sources": {"old": {"kind": "sqlite", "path": str(tmp_path / "c.sqlite")}}})
    settings = WorkspaceSettings(tmp_path / "workspace", config=config)
    with Workspace.open(settings) as workspace:
        me = workspace.users.local_actor()
        (shown,) = workspace.connections.list(me).items
        assert (shown.name, shown.managed_by) == ("old", "config")
        target = Target(connection_ids=("old",))
        assert rows(workspace.queries.run(me, QueryRequest("FROM old.t", target))) == [(7,)]
        assert code_of(lambda: workspace.connections.delete(me, shown.id)) == "forbidden"
    with Workspace.open(settings) as again:
        assert again.connections.get(me, shown.id).name == "old"


def test_a_group_over_two_servers_and_a_file(
    workspace: Workspace,
    postgres_database: Database,
    mariadb_database: Database,
    person: Callable[..., Actor],
) -> None:
    owner, guest = person("editor"), person("analyst")
    postgres_database.execute(
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders (id int, customer_id int, amount numeric(10,2))",
        "INSERT INTO orders VALUES (10, 1, 120.50), (11, 1, 79.50), (12, 2, 241.00)",
        "INSERT INTO orders VALUES (13, 3, 15.25)",
    )
    mariadb_database.execute(
        "DROP TABLE IF EXISTS regions",
        "CREATE TABLE regions (name varchar(20), manager varchar(20))",
        "INSERT INTO regions VALUES ('North', 'Nora'), ('South', 'Saul')",
    )
    group = workspace.groups.create(owner, "Everywhere")
    for name, database, table, alias in (
        ("shop", postgres_database, "orders", "o"),
        ("crm", mariadb_database, "regions", "r"),
    ):
        source = database.source()
        made = workspace.connections.create(owner, name, source.pop("kind"), source)
        dataset = workspace.datasets.register(owner, made.id, table)
        workspace.groups.add(owner, group.id, dataset.id, alias=alias)
        workspace.grants.grant(owner, "dataset", dataset.id, user=guest.user_id, right="query")
    file = upload(workspace, owner, "customers.csv", CUSTOMERS)
    workspace.groups.add(owner, group.id, file.id, alias="c")
    workspace.grants.grant(owner, "dataset", file.id, user=guest.user_id, right="query")
    sql = (
        "SELECT r.manager, count(*) AS orders, sum(o.amount) AS total FROM c JOIN o ON "
        "c.id = o.customer_id JOIN r ON r.name = c.region GROUP BY 1 ORDER BY 1"
    )
    answer = ask(workspace, guest, sql, group=group.id)
    assert [(m, n, float(t)) for m, n, t in rows(answer)] == [
        ("Nora", 3, 215.25),
        ("Saul", 1, 241.0),
    ]
    assert sorted(f.kind for f in answer.run.fragments) == ["files", "mysql", "postgres"]
    assert {f.connection_name for f in answer.run.fragments} == {"shop", "crm", None}
    # His owner may no longer query the source: the dataset closes for everyone.
    admin = workspace.users.local_actor()
    heir = person("analyst")
    with workspace._store.write() as session:
        row = session.scalars(select(ConnectionRow).where(ConnectionRow.name == "shop")).one()
        row.owner_id = heir.user_id
    assert code_of(lambda: ask(workspace, guest, sql, group=group.id)) == "dataset-not-ready"
    assert code_of(lambda: ask(workspace, admin, sql, group=group.id)) == "dataset-not-ready"
