"""Migrations: up, down, and up again with data in the store; and a process killed in one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from dovetail.workspace import Workspace, WorkspaceError, WorkspaceSettings
from dovetail.workspace.database import Database, store_url
from dovetail.workspace.schema import Schema
from tests.databases import Database as ServerDatabase
from tests.servers import Server
from tests.workspace.conftest import store_url_of
from tests.workspace.sales import TOTALS, ask, rows, sales_group


@pytest.fixture(params=["sqlite", "postgres"])
def settings(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_database: Callable[[Server], ServerDatabase],
) -> WorkspaceSettings:
    url = None
    if request.param == "postgres":
        url = store_url_of(new_database(request.getfixturevalue("postgres_server")))
    return WorkspaceSettings(tmp_path, url=url)


@pytest.fixture
def schema(settings: WorkspaceSettings) -> Iterator[Schema]:
    database = Database(store_url(settings.url, settings.folder))
    yield Schema(database, settings.folder)
    database.close()


def test_up_down_up_keeps_the_data(settings: WorkspaceSettings, schema: Schema) -> None:
    with Workspace.open(settings) as workspace:
        me = workspace.users.local_actor()
        group = sales_group(workspace, me, "Sales")
        run = ask(workspace, me, TOTALS, group=group.id).run
        workspace.saved.create(me, "totals", TOTALS, target={"group_id": group.id})
        token = workspace.users.create_token(me, "laptop").secret
        guest = workspace.users.create(me, "guest", role="analyst")
        team = workspace.teams.create(me, "Sales team")
        workspace.teams.add_member(me, team.id, "guest")
        dataset = group.memberships[0].dataset_id
        workspace.grants.grant(me, "dataset", dataset, team="Sales team", right="view")
        kept = workspace.grants.grant(me, "dataset", dataset, user="guest", right="query")

    for revision in ("0003", "0002", "0001"):
        schema.downgrade(revision)
        assert schema.current() == revision
        with pytest.raises(WorkspaceError, match="dovetail db upgrade"):
            schema.require_current()
    schema.upgrade()
    assert schema.current() == schema.newest()
    assert schema.drift() == []

    with Workspace.open(settings) as workspace:
        assert workspace.users.authenticate(token).user_id == me.user_id
        assert len(workspace.groups.get(me, group.id).memberships) == 3
        assert rows(ask(workspace, me, TOTALS, group=group.id))[0] == ("Ada", 200.0)
        assert workspace.grants.list(me, "dataset", dataset) == (kept,)
        assert kept.user_id == guest.id
        # These tables came with the revisions that were taken back.
        assert workspace.teams.list(me).total == 0
        assert workspace.saved.list(me).total == 0
        assert run.id not in [one.id for one in workspace.queries.history(me).items]

    schema.downgrade("base")
    assert schema.current() is None
    schema.upgrade()
    assert schema.drift() == []


def test_an_old_schema_is_refused_unless_it_may_be_upgraded(
    settings: WorkspaceSettings, schema: Schema
) -> None:
    schema.upgrade("0001")
    strict = WorkspaceSettings(settings.folder, url=settings.url, migrate=False)
    with pytest.raises(WorkspaceError) as caught:
        Workspace.open(strict)
    assert caught.value.code == "configuration"
    assert "0001" in caught.value.message
    with Workspace.open(settings):
        assert schema.current() == schema.newest()
    copies = list(settings.folder.glob("*.before-upgrade-from-0001"))
    assert len(copies) == (1 if settings.url is None else 0)


def test_a_newer_schema_is_refused(settings: WorkspaceSettings, schema: Schema) -> None:
    schema.upgrade()
    database = Database(store_url(settings.url, settings.folder))
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(WorkspaceError, match="newer version of Dovetail"):
        Workspace.open(settings)


KILLED_MIGRATION = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from dovetail.workspace.database import Database, store_url
from dovetail.workspace.schema import Schema

folder, url = Path(sys.argv[1]), sys.argv[2] or None
database = Database(store_url(url, folder))

@event.listens_for(database.engine, "after_cursor_execute")
def die(connection, cursor, statement, parameters, context, executemany):
    if "CREATE TABLE query_fragments" in statement:
        os.kill(os.getpid(), 9)

Schema(database, folder).upgrade()
"""


def test_a_killed_migration_leaves_the_old_schema(
    settings: WorkspaceSettings, schema: Schema
) -> None:
    schema.upgrade("0001")
    command = [sys.executable, "-c", KILLED_MIGRATION, str(settings.folder), settings.url or ""]
    killed = subprocess.run(command, check=False, timeout=120)
    assert killed.returncode == -9
    assert schema.current() == "0001"
    with Workspace.open(settings) as workspace:
        assert workspace.readiness().ready
        assert schema.drift() == []


def test_two_processes_migrate_one_after_the_other(
    settings: WorkspaceSettings, schema: Schema
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from dovetail.workspace.database import Database, store_url\n"
        "from dovetail.workspace.schema import Schema\n"
        "database = Database(store_url(sys.argv[2] or None, Path(sys.argv[1])))\n"
        "Schema(database, Path(sys.argv[1])).upgrade()\n"
    )
    command = [sys.executable, "-c", program, str(settings.folder), settings.url or ""]
    started = [subprocess.Popen(command) for _ in range(3)]
    assert [one.wait(timeout=120) for one in started] == [0, 0, 0]
    assert schema.current() == schema.newest()
    assert schema.drift() == []


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    for url in ("mysql://me@host/db", "not a url"):
        with pytest.raises(WorkspaceError) as caught:
            Workspace.open(WorkspaceSettings(tmp_path, url=url))
        assert caught.value.code == "configuration"
