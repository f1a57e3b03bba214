"""History, figures, saved queries, audit, idempotency keys, pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from dovetail.execution.figures import percentile
from dovetail.workspace import Actor, Workspace, WorkspaceError
from dovetail.workspace.models import FragmentRow, QueryRow, now
from tests.workspace.sales import TOTALS, ask


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(WorkspaceError) as caught:
        call()
    return caught.value.code


def test_history_is_filtered(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor, before = person(), now()
    with workspace._store.write() as session:
        for number in range(5):
            session.add(
                QueryRow(
                    user_id=actor.user_id,
                    user_name=actor.name,
                    sql=f"SELECT {number} -- 100%",
                    target={},
                    mode="sync",
                    status="FAILED" if number == 3 else "SUCCESS",
                    execution_ms=float(number),
                    favourite=number == 2,
                    created_at=before + timedelta(seconds=number),
                )
            )

    def found(**given: object) -> list[str]:
        page = workspace.queries.history(actor, **given)  # type: ignore[arg-type]
        assert page.total == len(page.items)
        return [run.sql.split()[1] for run in page.items]

    assert found() == ["4", "3", "2", "1", "0"]
    assert found(status="FAILED") == ["3"]
    assert found(q="select 1") == ["1"]
    assert found(q="%") == ["4", "3", "2", "1", "0"]
    assert found(q="_") == []
    assert found(min_ms=3) == ["4", "3"]
    assert found(since=before + timedelta(seconds=3)) == ["4", "3"]
    assert found(until=before + timedelta(seconds=1)) == ["0"]
    assert found(favourite=True) == ["2"]
    assert code_of(lambda: workspace.queries.history(actor, status="DONE")) == "validation"


def test_pages_do_not_shift(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    made = [workspace.groups.create(actor, f"g{number}").id for number in range(5)]
    rows = [workspace.saved.create(actor, f"s{n}", "SELECT 1").id for n in range(5)]
    page = workspace.saved.list(actor, limit=2)
    seen = [one.id for one in page.items]
    workspace.saved.create(actor, "newer", "SELECT 1")
    while page.next_cursor is not None:
        page = workspace.saved.list(actor, limit=2, cursor=page.next_cursor)
        seen += [one.id for one in page.items]
    assert seen == rows[::-1]
    groups = workspace.groups.list(actor, limit=3)
    rest = workspace.groups.list(actor, limit=3, cursor=groups.next_cursor)
    assert [g.id for g in (*groups.items, *rest.items)] == made[::-1]
    for cursor in ("nope", "bm9wZQ", "WzEsMl0"):
        assert code_of(lambda c=cursor: workspace.saved.list(actor, cursor=c)) == "validation"  # type: ignore[misc]
    for limit in (0, 501):
        assert code_of(lambda n=limit: workspace.saved.list(actor, limit=n)) == "validation"  # type: ignore[misc]


def test_figures_per_source(workspace: Workspace, person: Callable[..., Actor]) -> None:
    actor = person()
    with workspace._store.write() as session:
        for number, (source, status, time, size, cache) in enumerate(
            (
                ("crm", "SUCCESS", 120.0, 4_096, "none"),
                ("crm", "SUCCESS", 80.0, 1_024, "none"),
                ("crm", "FAILED", 30.0, 0, "none"),
                ("shop", "SUCCESS", 900.0, 500_000, "none"),
                ("shop", "SUCCESS", 3.0, 0, "hit"),
                ("shop", "SUCCESS", 1_100.0, 1_000_000, "none"),
            )
        ):
            query = QueryRow(
                user_id=actor.user_id,
                user_name=actor.name,
                sql=f"-- {number}",
                target={},
                mode="sync",
                status=status,
                cache=cache,
                execution_ms=time,
                bytes_moved=size,
                row_count=1,
            )
            query.fragments.append(
                FragmentRow(
                    number=1,
                    source=source,
                    kind="postgres",
                    sql="",
                    road="stream",
                    status=status,
                    milliseconds=time,
                    bytes=size,
                    rows=1,
                    cache=cache,
                )
            )
            session.add(query)
    figures = workspace.stats.queries(actor, by="source")
    crm, shop = figures.rows
    assert (crm.key, crm.count, crm.failed, crm.average_ms) == ("crm", 3, 1, 100.0)
    assert (crm.p50_ms, crm.p95_ms, crm.max_ms, crm.bytes) == (100.0, 118.0, 120.0, 5_120)
    assert (shop.count, shop.failed, shop.average_ms, shop.p95_ms) == (3, 0, 1_000.0, 1_090.0)
    assert (shop.cached, shop.bytes) == (1, 1_500_000)
    assert (figures.overall.count, figures.overall.failed) == (6, 1)
    assert [run.execution_ms for run in figures.slowest][:2] == [1_100.0, 900.0]
    (day,) = workspace.stats.queries(actor, by="day").rows
    assert day.key == now().date().isoformat()
    (user,) = workspace.stats.queries(actor, by="user").rows
    assert (user.key, user.count) == (actor.name, 6)
    everyone = workspace.stats.queries(workspace.users.local_actor(), by="user", user="*")
    assert actor.name in [row.key for row in everyone.rows]


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([7.0], 95) == 7.0
    assert percentile([80.0, 120.0], 50) == 100.0
    assert percentile([80.0, 120.0], 95) == 118.0


def test_saved_queries(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    owner, reader = sales.owner, person("analyst")
    saved = workspace.saved.create(
        owner,
        "Above",
        "SELECT count(*) AS n FROM orders WHERE amount > $least",
        target={"group_id": sales.group.id},
        params=[{"name": "least", "type": "DECIMAL(10,2)", "default": "100"}],
        tags=["sales"],
        folder="reports",
    )

    def answer(actor: Actor, **params: object) -> int:
        table = workspace.saved.run(actor, saved.id, params).rows.table
        return int(table.to_pylist()[0]["n"])

    assert answer(owner) == 3
    assert answer(owner, least="200.00") == 1
    assert code_of(lambda: workspace.saved.run(owner, saved.id, {"most": 1})) == "parameters"
    assert [s.id for s in workspace.saved.list(owner, tag="sales").items] == [saved.id]
    assert workspace.saved.list(owner, tag="nope").total == 0
    # Shared: seen, then changed, but the datasets' rights are still needed.
    assert code_of(lambda: workspace.saved.get(reader, saved.id)) == "not-found"
    workspace.saved.share(owner, saved.id, with_=reader.name, right="view")
    assert workspace.saved.get(reader, saved.id).right == "view"
    assert code_of(lambda: workspace.saved.run(reader, saved.id)) == "not-found"
    change = {"text": "SELECT 1"}
    assert code_of(lambda: workspace.saved.update(reader, saved.id, change)) == "forbidden"
    workspace.saved.share(owner, saved.id, with_=reader.name, right="edit")
    changed = workspace.saved.update(reader, saved.id, change)
    assert (changed.version, changed.right) == (2, "edit")
    assert code_of(lambda: workspace.saved.delete(reader, saved.id)) == "forbidden"
    stale = saved.etag
    assert (
        code_of(lambda: workspace.saved.update(owner, saved.id, {"name": "x"}, if_match=stale))
        == "stale"
    )
    assert workspace.saved.update(owner, saved.id, {"name": "Renamed"}).version == 2
    versions = workspace.saved.versions(owner, saved.id)
    assert [(v.version, v.saved_by) for v in versions] == [(2, reader.name), (1, owner.name)]
    assert workspace.saved.restore(owner, saved.id, 1).version == 3
    assert answer(owner) == 3
    workspace.saved.share(owner, saved.id, with_=reader.name, right=None)
    assert code_of(lambda: workspace.saved.get(reader, saved.id)) == "not-found"
    workspace.saved.delete(owner, saved.id)
    assert code_of(lambda: workspace.saved.get(owner, saved.id)) == "not-found"


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"name": ""}, "name"),
        ({"text": " "}, "text"),
        ({"language": "cobol"}, "language"),
        ({"target": {"table": "x"}}, "target.table"),
        ({"params": [{"type": "x"}]}, "params.0"),
        ({"owner_id": "x"}, "owner_id"),
    ],
)
def test_saved_queries_are_checked(
    workspace: Workspace, sales: SimpleNamespace, changes: dict[str, object], loc: str
) -> None:
    saved = workspace.saved.create(sales.owner, "checked", "SELECT 1")
    with pytest.raises(WorkspaceError) as caught:
        workspace.saved.update(sales.owner, saved.id, changes)
    assert caught.value.extra["errors"][0]["loc"] == loc
    assert workspace.saved.get(sales.owner, saved.id).etag == saved.etag


def test_fifty_versions_are_kept(workspace: Workspace, sales: SimpleNamespace) -> None:
    saved = workspace.saved.create(sales.owner, "many", "SELECT 0")
    for number in range(1, 53):
        workspace.saved.update(sales.owner, saved.id, {"text": f"SELECT {number}"})
    versions = workspace.saved.versions(sales.owner, saved.id)
    assert [v.version for v in versions] == list(range(53, 3, -1))


def test_audit(workspace: Workspace, sales: SimpleNamespace) -> None:
    admin = workspace.users.local_actor()
    actor = sales.owner.during(address="10.1.2.3", request_id="req-7")
    group = workspace.groups.create(actor, "Audited")
    workspace.audit.record(actor, "download", sql="SELECT 'x' -- password='hush'")
    first, second = workspace.audit.list(admin, limit=2, user=actor.name).items
    assert (first.action, first.sql) == ("download", "SELECT 'x' -- password=***")
    assert (second.action, second.object_kind, second.object_id) == (
        "create group",
        "group",
        group.id,
    )
    assert (second.address, second.request_id, second.outcome) == ("10.1.2.3", "req-7", "ok")
    exported = list(workspace.audit.export(admin))
    assert [line.id for line in exported] == sorted(line.id for line in exported)
    assert second in exported


def test_idempotency_keys(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    owner, other, keys = sales.owner, person(), workspace.idempotency
    assert keys.begin(owner, "k", "digest") is None
    assert code_of(lambda: keys.begin(owner, "k", "digest")) == "busy"
    assert code_of(lambda: keys.begin(owner, "k", "another")) == "key-reused"
    assert keys.begin(other, "k", "another") is None
    keys.finish(owner, "k", status=201, body='{"id": 1}')
    again = keys.begin(owner, "k", "digest")
    assert again is not None
    assert (again.status, again.body) == (201, '{"id": 1}')
    keys.abandon(other, "k")
    assert keys.begin(other, "k", "third") is None


def test_readiness_and_gauges(workspace: Workspace, sales: SimpleNamespace) -> None:
    ask(workspace, sales.owner, TOTALS, group=sales.group.id)
    ready = workspace.readiness()
    assert ready.ready
    assert set(ready.checks) == {"workspace", "migrations", "engine", "result_store"}
    gauges = workspace.gauges()
    assert gauges["running"] == gauges["queued"] == 0
    assert gauges["result_store_bytes"] > 0
