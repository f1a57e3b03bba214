"""The cache in a workspace: shared by those who may see the same, and by nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.config import Config
from dovetail.connectors import file_state
from dovetail.workspace import Actor, QueryRequest, Target, Workspace, WorkspaceError
from tests.databases import Database
from tests.workspace.conftest import KEY
from tests.workspace.sales import CUSTOMERS, ask, rows, upload

SQL = "SELECT count(*) AS n FROM dataset"


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "SETTLED", 0.0)


@pytest.fixture
def kept(local: Callable[..., Workspace]) -> Workspace:
    config = Config.model_validate({"cache": {"enabled": True, "max_age": "1h"}})
    return local(config=config, secret_key=KEY)


def user(workspace: Workspace, name: str) -> Actor:
    made = workspace.users.create(workspace.users.local_actor(), name, role="analyst")
    return Actor(made.id, made.name, "analyst")


def cache_of(workspace: Workspace, actor: Actor, dataset: str, **rest: Any) -> tuple[str, Any]:
    answer = ask(workspace, actor, SQL, dataset=dataset, **rest)
    assert workspace.queries.get(actor, answer.run.id).cache == answer.run.cache
    assert {f.cache for f in answer.run.fragments} == {answer.run.cache}
    return answer.run.cache, rows(answer)


def test_off_unless_configured(local: Callable[..., Workspace]) -> None:
    workspace = local(secret_key=KEY)
    owner = user(workspace, "ann")
    dataset = upload(workspace, owner, "customers.csv", CUSTOMERS)
    for _ in range(2):
        assert cache_of(workspace, owner, dataset.id) == ("none", [(4,)])
    assert workspace.gauges()["cache_hits"] == 0


def test_hit_miss_and_as_the_request_says(kept: Workspace) -> None:
    owner = user(kept, "ann")
    dataset = upload(kept, owner, "customers.csv", CUSTOMERS)
    assert cache_of(kept, owner, dataset.id) == ("miss", [(4,)])
    assert cache_of(kept, owner, dataset.id) == ("hit", [(4,)])
    assert cache_of(kept, owner, dataset.id, cache=False) == ("none", [(4,)])
    assert kept.gauges()["cache_hits"] == 1
    assert (kept.folder / "cache").is_dir()
    run = kept.queries.history(owner).items[1]
    assert (run.cache, run.bytes_moved, run.rows_moved) == ("hit", 0, 0)
    stats = kept.stats.queries(owner, by="source")
    assert stats.overall.cached == 1


def test_a_result_that_its_limit_cut(kept: Workspace) -> None:
    """The statement with the limit has an answer, which is whole."""
    owner = user(kept, "ann")
    dataset = upload(kept, owner, "n.csv", "n\n" + "\n".join(map(str, range(5000))))
    for expected in ("miss", "hit"):
        answer = ask(kept, owner, "SELECT n FROM dataset ORDER BY n", dataset=dataset.id, limit=10)
        assert (answer.run.cache, answer.run.truncated) == (expected, True)
        assert rows(answer) == [(n,) for n in range(10)]
    answer = ask(kept, owner, "SELECT n FROM dataset ORDER BY n", dataset=dataset.id, limit=11)
    assert (answer.run.cache, len(rows(answer))) == ("miss", 11)


def test_only_who_may_query_it_gets_it(kept: Workspace) -> None:
    owner, friend, stranger = (user(kept, name) for name in ("ann", "ben", "cleo"))
    dataset = upload(kept, owner, "customers.csv", CUSTOMERS)
    grant = kept.grants.grant(owner, "dataset", dataset.id, right="query", user=friend.name)
    assert cache_of(kept, owner, dataset.id)[0] == "miss"
    assert cache_of(kept, friend, dataset.id) == ("hit", [(4,)])
    with pytest.raises(WorkspaceError) as caught:
        ask(kept, stranger, SQL, dataset=dataset.id)
    assert caught.value.code == "not-found"
    kept.grants.revoke(owner, "dataset", dataset.id, grant.id)
    with pytest.raises(WorkspaceError):
        ask(kept, friend, SQL, dataset=dataset.id)


def test_a_copy_of_somebody_elses_data_is_another_dataset(kept: Workspace) -> None:
    ann, ben = user(kept, "ann"), user(kept, "ben")
    first = upload(kept, ann, "customers.csv", CUSTOMERS)
    second = upload(kept, ben, "customers.csv", CUSTOMERS)
    assert cache_of(kept, ann, first.id)[0] == "miss"
    assert cache_of(kept, ben, second.id)[0] == "miss"
    assert cache_of(kept, ann, first.id)[0] == "hit"


def test_a_new_version_of_an_upload(kept: Workspace) -> None:
    owner = user(kept, "ann")
    dataset = upload(kept, owner, "customers.csv", CUSTOMERS)
    assert cache_of(kept, owner, dataset.id)[0] == "miss"
    with kept.datasets.begin_upload(owner, "customers.csv", replaces=dataset.id) as incoming:
        incoming.write((CUSTOMERS + "5,Eve,South,2024-04-01\n").encode())
        incoming.finish(wait=60)
    assert cache_of(kept, owner, dataset.id) == ("miss", [(5,)])
    assert cache_of(kept, owner, dataset.id) == ("hit", [(5,)])


def test_a_connection_with_another_login(kept: Workspace, postgres_database: Database) -> None:
    postgres_database.execute("CREATE TABLE kept (a int)", "INSERT INTO kept VALUES (1)")
    admin = kept.users.local_actor()
    source = postgres_database.source()
    kind = source.pop("kind")
    connection = kept.connections.create(admin, "shop", kind, source)
    target = Target(connection_ids=(connection.name,))
    request = QueryRequest("SELECT a FROM shop.kept", target)
    assert [kept.queries.run(admin, request).run.cache for _ in range(2)] == ["miss", "hit"]
    server = postgres_database.server
    login = {**source, "user": server.admin_user, "password": server.admin_password}
    kept.connections.update(admin, connection.id, settings=login)
    assert [kept.queries.run(admin, request).run.cache for _ in range(2)] == ["miss", "hit"]


def test_another_workspace_has_its_own(
    local: Callable[..., Workspace], tmp_path: Path, kept: Workspace
) -> None:
    config = Config.model_validate({"cache": {"enabled": True}})
    other = local(config=config, folder=tmp_path / "other", secret_key=KEY)
    owner = user(other, "ann")
    upload(other, owner, "customers.csv", CUSTOMERS)
    assert other.folder / "cache" != kept.folder / "cache"


def test_rows_that_are_too_old_are_swept(local: Callable[..., Workspace]) -> None:
    config = Config.model_validate({"cache": {"enabled": True, "max_age": "500ms"}})
    workspace = local(config=config, secret_key=KEY)
    owner = user(workspace, "ann")
    dataset = upload(workspace, owner, "customers.csv", CUSTOMERS)
    assert cache_of(workspace, owner, dataset.id)[0] == "miss"
    folder = workspace.folder / "cache"
    assert len(list(folder.glob("*.result"))) == 1
    until = time.monotonic() + 30
    while list(folder.glob("*.result")) and time.monotonic() < until:
        workspace.sweep()
    assert not list(folder.glob("*.result"))
    assert cache_of(workspace, owner, dataset.id)[0] == "miss"
