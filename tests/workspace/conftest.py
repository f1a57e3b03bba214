"""A workspace on either store, and people in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.engine import URL

from dovetail.workspace import Actor, Group, Workspace, WorkspaceSettings
from tests.databases import Database
from tests.workspace.sales import sales_group

KEY = "a key that is long enough for tests"


def store_url_of(database: Database) -> str:
    """The URL of a store in a database on a test server."""
    server = database.server
    url = URL.create(
        "postgresql",
        server.admin_user,
        server.admin_password,
        server.host,
        server.port,
        database.name,
    )
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str | None:
    """Where the store of this module is: None is SQLite in the workspace's folder."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return store_url_of(request.getfixturevalue("new_database")(server))


@pytest.fixture(scope="module")
def workspace(
    store_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """An open workspace, shared by the tests of a module: each brings its own people and data."""
    folder = tmp_path_factory.mktemp("workspace")
    settings = WorkspaceSettings(folder, url=store_url, secret_key=KEY)
    with Workspace.open(settings) as opened:
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """``local(**settings)`` opens a workspace of one's own on SQLite; closed after the test."""
    opened: list[Workspace] = []

    def make(**settings: Any) -> Workspace:
        settings.setdefault("folder", tmp_path / "workspace")
        opened.append(Workspace.open(WorkspaceSettings(**settings)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


_numbers = iter(range(1, 1_000_000))


@pytest.fixture(scope="module")
def person(workspace: Workspace) -> Callable[..., Actor]:
    """``person("analyst")``: a new user with that role, as he is when he comes with a token."""
    admin = workspace.users.local_actor()

    def make(role: str = "analyst", *scopes: str) -> Actor:
        user = workspace.users.create(admin, f"{role}-{next(_numbers)}", role=role)  # type: ignore[arg-type]
        actor = Actor(user.id, user.name, role)  # type: ignore[arg-type]
        if scopes:
            actor = Actor(user.id, user.name, role, frozenset(scopes))  # type: ignore[arg-type]
        return actor

    return make


@pytest.fixture(scope="module")
def sales(workspace: Workspace, person: Callable[..., Actor]) -> SimpleNamespace:
    """``sales.owner`` and his ``sales.group`` of customers, orders, products."""
    owner = person("analyst")
    group: Group = sales_group(workspace, owner, "Sales")
    ids = {member.alias: member.dataset_id for member in group.memberships}
    return SimpleNamespace(owner=owner, group=group, **ids)
