"""Queries over datasets and groups: answers, limits, errors, and what is remembered of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.errors import CancelledError, DovetailError, TimeoutExceededError
from dovetail.workspace import (
    Actor,
    QueryRequest,
    Target,
    Workspace,
    WorkspaceError,
    WorkspaceLimits,
    problem_of,
)
from tests.workspace.sales import CUSTOMERS, TOTALS, ask, rows, sales_group, upload

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range*b.range)%7=3"


def test_join_in_a_group(workspace: Workspace, sales: SimpleNamespace) -> None:
    answer = ask(workspace, sales.owner, TOTALS, group=sales.group.id)
    assert rows(answer) == [("Ada", 200.0), ("Ben", 241.0), ("Cleo", 15.25)]
    assert [(c.name, c.type) for c in answer.rows.columns] == [
        ("name", "VARCHAR"),
        ("total", "DOUBLE"),
    ]
    run = answer.run
    assert (run.status, run.truncated, run.limit_applied, run.total_rows) == (
        "SUCCESS",
        False,
        True,
        3,
    )
    assert {f.source: f.dataset_id for f in run.fragments} == {
        "customers": sales.customers,
        "orders": sales.orders,
    }
    assert workspace.queries.get(sales.owner, run.id) == run
    assert run.execution_ms is not None
    assert run.plan_ms is not None
    assert run.execution_ms >= run.plan_ms > 0


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT c.id, o.id, c.name FROM customers c JOIN orders o ON c.id=o.customer_id "
            "ORDER BY o.id LIMIT 2",
            [(1, 10, "Ada"), (1, 11, "Ada")],
        ),
        (
            "SELECT count(*) AS n FROM customers c FULL JOIN orders o ON c.id=o.customer_id",
            [(7,)],
        ),
        (
            "SELECT c.region, COUNT(*) AS n, SUM(o.amount) AS total FROM customers c LEFT JOIN "
            "orders o ON c.id=o.customer_id GROUP BY c.region ORDER BY c.region",
            [("North", 3, 215.25), ("South", 1, 241.0), (None, 1, None)],
        ),
    ],
)
def test_answers(workspace: Workspace, sales: SimpleNamespace, sql: str, expected: Any) -> None:
    assert rows(ask(workspace, sales.owner, sql, group=sales.group.id)) == expected


def test_one_dataset_has_two_names(workspace: Workspace, sales: SimpleNamespace) -> None:
    for name in ("dataset", "orders"):
        sql = f"SELECT count(*) AS n, sum(amount) AS total FROM {name}"
        assert rows(ask(workspace, sales.owner, sql, dataset=sales.orders)) == [(6, 656.25)]


def test_pivot(workspace: Workspace, sales: SimpleNamespace) -> None:
    sql = "PIVOT dataset ON product_id USING sum(amount) GROUP BY customer_id ORDER BY customer_id"
    answer = ask(workspace, sales.owner, sql, dataset=sales.orders)
    assert [c.name for c in answer.rows.columns] == ["customer_id", "100", "101", "102"]
    assert rows(answer)[0] == (1, 120.5, 79.5, None)
    assert rows(answer)[-1] == (None, None, 79.5, None)


@pytest.mark.parametrize(
    ("sql", "code", "place"),
    [
        ("SELECT * FROM custmers", "sql-binding", (1, 15)),
        ("SELECT nme FROM customers", "sql-binding", (1, 8)),
        ("DROP TABLE customers", "sql-not-read-only", (1, 1)),
        ("COPY customers TO 'x.csv'", "sql-not-read-only", (1, 1)),
        ("ATTACH 'x.db'", "sql-not-read-only", (1, 1)),
        ("SET threads=1", "sql-not-read-only", (1, 1)),
        ("INSTALL httpfs", "sql-not-read-only", (1, 1)),
        ("PRAGMA version", "sql-not-read-only", (1, 1)),
        (
            "WITH x AS (DELETE FROM customers RETURNING *) SELECT * FROM x",
            "sql-not-read-only",
            None,
        ),
        ("select 1; select 2", "sql-multiple", None),
        ("SELEC 1", "sql-syntax", (1, 1)),
        (" ", "sql-empty", None),
        ("-- nothing", "sql-empty", None),
        ("SELECT CAST(name AS INTEGER) FROM customers", "sql-runtime", None),
        ("FROM read_csv('/etc/hostname')", "sql-not-read-only", (1, 6)),
        ("FROM read_text('/etc/hostname')", "sql-not-read-only", (1, 6)),
        ("FROM glob('/*')", "sql-not-read-only", (1, 6)),
    ],
)
def test_refusals(
    workspace: Workspace,
    sales: SimpleNamespace,
    sql: str,
    code: str,
    place: tuple[int, int] | None,
) -> None:
    with pytest.raises(DovetailError) as caught:
        ask(workspace, sales.owner, sql, group=sales.group.id)
    problem = problem_of(caught.value)
    assert problem.code == code
    assert str(workspace.folder) not in str(problem.to_dict())
    if place is not None:
        assert (problem.line, problem.column) == place
    if code != "sql-empty":
        kept = workspace.queries.get(sales.owner, caught.value.query_id)  # type: ignore[attr-defined]
        assert (kept.status, kept.sql, kept.problem) == ("FAILED", sql, problem)
    assert rows(ask(workspace, sales.owner, "SELECT count(*) FROM customers", group=sales.group.id))


def test_near_names_come_from_the_group(workspace: Workspace, sales: SimpleNamespace) -> None:
    with pytest.raises(DovetailError) as caught:
        ask(workspace, sales.owner, "SELECT * FROM custmers", group=sales.group.id)
    assert problem_of(caught.value).candidates == ("customers",)


def test_parameters(workspace: Workspace, sales: SimpleNamespace) -> None:
    sql = (
        "SELECT count(*) AS n FROM customers c JOIN orders o ON c.id=o.customer_id "
        "WHERE o.amount > $min"
    )
    for given in ({"min": 100}, {"min": {"type": "DECIMAL(10,2)", "value": "100.00"}}):
        assert rows(ask(workspace, sales.owner, sql, group=sales.group.id, params=given)) == [(2,)]
    for wrong, name in ((None, "min"), ({"min": 1, "max": 2}, "max")):
        with pytest.raises(WorkspaceError) as caught:
            ask(workspace, sales.owner, sql, group=sales.group.id, params=wrong)
        assert caught.value.code == "parameters"
        assert name in caught.value.message
    bad = {"min": {"type": "INTEGER", "value": "much"}}
    with pytest.raises(WorkspaceError) as caught:
        ask(workspace, sales.owner, sql, group=sales.group.id, params=bad)
    assert caught.value.code == "validation"


def test_statements_about_a_query_or_a_target(workspace: Workspace, sales: SimpleNamespace) -> None:
    def asked(sql: str, **given: Any) -> Any:
        return ask(workspace, sales.owner, sql, group=sales.group.id, **given)

    answer = asked("-- why?\nEXPLAIN /* so */ " + TOTALS)
    ((key, plan),) = rows(answer)
    assert [column.name for column in answer.rows.columns] == ["explain_key", "explain_value"]
    assert (key, plan.startswith("Plan")) == ("plan", True)
    assert str(workspace.folder) not in plan
    ((key, plan),) = rows(asked("explain analyze " + TOTALS, params=None))
    assert (key, "ms" in plan) == ("analyzed_plan", True)
    assert rows(asked("SHOW TABLES;")) == [("customers",), ("orders",), ("products",)]
    assert rows(asked("show\ntables", limit=1)) == [("customers",)]
    assert [row[0] for row in rows(asked("SHOW customers"))][:2] == ["id", "name"]
    assert rows(asked("SUMMARIZE orders"))[0][0] == "id"
    for sql, code, place in (
        ("EXPLAIN\nSELECT nme FROM customers", "sql-binding", (2, 8)),
        ("EXPLAIN DELETE FROM customers", "sql-not-read-only", (1, 9)),
        ("EXPLAIN SELECT 1; SELECT 2", "sql-multiple", None),
        ("SHOW ALL TABLES", "sql-not-read-only", None),
    ):
        with pytest.raises(DovetailError) as caught:
            asked(sql)
        problem = problem_of(caught.value)
        assert problem.code == code
        if place is not None:
            assert (problem.line, problem.column) == place
    target = Target(group_id=sales.group.id)
    for sql, names in (
        ("EXPLAIN SELECT 1", ["explain_key", "explain_value"]),
        ("SHOW TABLES", ["name"]),
    ):
        found = workspace.queries.validate(sales.owner, QueryRequest(sql, target))
        assert [column.name for column in found.columns] == names


def test_limits(workspace: Workspace, sales: SimpleNamespace) -> None:
    def outcome(sql: str, **given: Any) -> tuple[int, bool, bool, int | None]:
        run = ask(workspace, sales.owner, sql, dataset=sales.orders, **given).run
        assert run.row_count is not None
        return run.row_count, run.limit_applied, run.truncated, run.total_rows

    many = "SELECT i FROM range(12000) t(i)"
    assert outcome(many) == (1000, True, True, None)
    assert outcome(many, limit=7) == (7, True, True, None)
    assert outcome(many, apply_limit=False) == (10_000, False, True, None)
    assert outcome(f"{many} LIMIT 5", limit=2) == (5, False, False, 5)
    assert outcome("FROM dataset", limit=6) == (6, True, False, 6)
    assert outcome("SUMMARIZE dataset", limit=2) == (2, True, True, None)
    # 16 MiB at most, whatever the rows.
    wide = outcome("SELECT repeat('x', 100000) FROM range(1000)")
    assert wide[2]
    assert 100 <= wide[0] <= 168


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"timeout": 0}, "timeout_secs"),
        ({"timeout": 301}, "timeout_secs"),
    ],
)
def test_values_out_of_range(
    workspace: Workspace, sales: SimpleNamespace, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        ask(workspace, sales.owner, "SELECT 1", dataset=sales.orders, **given)
    assert caught.value.code == "validation"
    assert caught.value.extra["errors"][0]["loc"] == field


def test_a_query_has_one_target(workspace: Workspace, sales: SimpleNamespace) -> None:
    for target, code in (
        (Target(), "target-missing"),
        (Target(sales.orders, sales.group.id), "target-ambiguous"),
        (Target(group_id="nope"), "not-found"),
        (Target(dataset_id="nope"), "not-found"),
        (Target(connection_ids=()), "validation"),
        (Target(connection_ids=("nope",)), "not-found"),
    ):
        with pytest.raises(WorkspaceError) as caught:
            workspace.queries.run(sales.owner, QueryRequest("SELECT 1", target))
        assert caught.value.code == code
    assert (
        "Cannot specify both dataset_id and group_id"
        in WorkspaceError("target-ambiguous", "").title
    )


def test_background_result_is_paged(workspace: Workspace, sales: SimpleNamespace) -> None:
    request = QueryRequest(
        "SELECT i AS id, i*2 AS twice FROM range(120000) t(i)",
        Target(sales.orders),
        apply_limit=False,
    )
    started = workspace.queries.start(sales.owner, request)
    assert started.status == "PENDING"
    run = workspace.queries.get(sales.owner, started.id, wait=30)
    assert (run.status, run.total_rows, run.result) == ("SUCCESS", 120_000, "stored")

    def page(**given: Any) -> list[dict[str, int]]:
        found = workspace.queries.rows(sales.owner, run.id, **given)
        return found.table.to_pylist()  # type: ignore[no-any-return]

    assert page(offset=119_998) == [
        {"id": 119_998, "twice": 239_996},
        {"id": 119_999, "twice": 239_999 - 1},
    ]
    assert page(limit=1, sort=[("id", True)], filters={"twice": {"le": 10}}) == [
        {"id": 5, "twice": 10}
    ]
    for wrong in ({"sort": [("nope", False)]}, {"filters": {"id": {"like": 1}}}, {"limit": 0}):
        with pytest.raises(WorkspaceError) as caught:
            page(**wrong)
        assert caught.value.code == "validation"
    result = workspace.queries.result(sales.owner, run.id)
    assert result.open().read_all().num_rows == result.rows == 120_000
    assert workspace.queries.profile(sales.owner, run.id).columns[0].max == 119_999


def test_a_result_becomes_a_dataset(workspace: Workspace, sales: SimpleNamespace) -> None:
    answer = ask(workspace, sales.owner, TOTALS, group=sales.group.id)
    kept = workspace.queries.keep(sales.owner, answer.run.id, "Totals 2024")
    assert (kept.status, kept.source_type, kept.row_count) == ("READY", "RESULT", 3)
    assert kept.default_alias == "totals_2024"
    again = ask(workspace, sales.owner, "SELECT sum(total) FROM totals_2024", dataset=kept.id)
    assert rows(again) == [(456.25,)]


def test_cancel(workspace: Workspace, sales: SimpleNamespace) -> None:
    run = workspace.queries.start(sales.owner, QueryRequest(ENDLESS, Target(sales.orders)))
    started = time.monotonic()
    assert workspace.queries.cancel(sales.owner, run.id).status == "CANCELLED"
    assert time.monotonic() - started < 15  # two seconds on a machine that is not busy
    with pytest.raises(WorkspaceError) as caught:
        workspace.queries.cancel(sales.owner, run.id)
    assert caught.value.code == "query-finished"
    assert rows(ask(workspace, sales.owner, "SELECT 1", dataset=sales.orders)) == [(1,)]
    with pytest.raises(WorkspaceError) as caught:
        workspace.queries.rows(sales.owner, run.id)
    assert caught.value.code == "result-missing"


def test_cancel_of_one_that_is_waited_for(workspace: Workspace, sales: SimpleNamespace) -> None:
    ids: list[str] = []
    known = threading.Event()

    def on_start(query_id: str) -> None:
        ids.append(query_id)
        known.set()

    def cancel_it() -> None:
        known.wait(10)
        while workspace.queries.history(sales.owner, status="RUNNING").total == 0:
            known.wait(0.01)
        workspace.queries.cancel(sales.owner, ids[0])

    canceller = threading.Thread(target=cancel_it)
    canceller.start()
    with pytest.raises(CancelledError):
        workspace.queries.run(
            sales.owner, QueryRequest(ENDLESS, Target(sales.orders)), on_start=on_start
        )
    canceller.join()
    assert workspace.queries.get(sales.owner, ids[0]).status == "CANCELLED"


def test_time_limit(workspace: Workspace, sales: SimpleNamespace) -> None:
    with pytest.raises(TimeoutExceededError) as caught:
        ask(
            workspace,
            sales.owner,
            f"SELECT (SELECT max(amount) FROM dataset), ({ENDLESS})",
            dataset=sales.orders,
            timeout=1,
        )
    problem = problem_of(caught.value)
    assert problem.code == "query-timeout"
    assert [fragment["source"] for fragment in problem.extra["fragments"]] == ["dataset"]


def test_runs_are_their_owners(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    run = ask(workspace, sales.owner, TOTALS, group=sales.group.id).run
    other = person("analyst")
    for call in (
        workspace.queries.get,
        workspace.queries.rows,
        workspace.queries.result,
        workspace.queries.profile,
        workspace.queries.cancel,
        workspace.queries.delete,
        workspace.queries.share,
    ):
        with pytest.raises(WorkspaceError) as caught:
            call(other, run.id)
        assert caught.value.code == "not-found"
    admin = workspace.users.local_actor()
    assert workspace.queries.get(admin, run.id).id == run.id
    # Shared, it is seen by those who may view everything it read.
    workspace.queries.share(sales.owner, run.id)
    with pytest.raises(WorkspaceError):
        workspace.queries.get(other, run.id)
    for dataset in (sales.customers, sales.orders, sales.products):
        workspace.grants.grant(sales.owner, "dataset", dataset, user=other.name, right="view")
    assert workspace.queries.rows(other, run.id).table.num_rows == 3
    workspace.queries.share(sales.owner, run.id, shared=False)
    with pytest.raises(WorkspaceError):
        workspace.queries.rows(other, run.id)


def test_a_group_needs_the_right_to_all_its_datasets(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    owner, guest = person("analyst"), person("analyst")
    group = sales_group(workspace, owner, "Shared")
    ids = {member.alias: member.dataset_id for member in group.memberships}

    def give(alias: str, right: str) -> str:
        return workspace.grants.grant(
            owner,
            "dataset",
            ids[alias],
            user=guest.user_id,
            right=right,  # type: ignore[arg-type]
        ).id

    def code(call: Callable[[], object]) -> str:
        with pytest.raises(WorkspaceError) as caught:
            call()
        return caught.value.code

    give("customers", "query")
    assert code(lambda: ask(workspace, guest, TOTALS, group=group.id)) == "not-found"
    give("orders", "query")
    give("products", "view")
    assert workspace.groups.get(guest, group.id).name == "Shared"
    assert code(lambda: ask(workspace, guest, TOTALS, group=group.id)) == "forbidden"
    last = give("products", "query")
    answer = ask(workspace, guest, TOTALS, group=group.id)
    assert rows(answer) == [("Ada", 200.0), ("Ben", 241.0), ("Cleo", 15.25)]
    workspace.grants.revoke(owner, "dataset", ids["products"], last)
    assert code(lambda: ask(workspace, guest, TOTALS, group=group.id)) == "not-found"
    assert code(lambda: workspace.queries.rows(guest, answer.run.id)) == "not-found"
    assert workspace.queries.get(guest, answer.run.id).status == "SUCCESS"


def test_no_query_sees_another_dataset(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    """Also not by a session that served the other one a moment ago."""
    other = person("analyst")
    own = upload(workspace, other, "mine.csv", CUSTOMERS)
    file = next((workspace.folder / "files" / sales.orders).rglob("data.parquet"))
    ask(workspace, sales.owner, "FROM dataset", dataset=sales.orders)
    ask(workspace, other, "FROM dataset", dataset=own.id)
    for text in (
        "FROM orders",
        "FROM orders.main.data",
        "FROM source_orders.main.data",
        f"FROM '{file}'",
        f"FROM read_parquet('{file}')",
        f"FROM parquet_metadata('{file}')",
        f"SELECT * FROM mine WHERE id IN (SELECT id FROM read_parquet('{file}'))",
    ):
        with pytest.raises(DovetailError) as caught:
            ask(workspace, other, text, dataset=own.id)
        found = problem_of(caught.value)
        assert found.code in ("sql-binding", "sql-not-read-only")
        assert str(workspace.folder) not in found.detail.replace(str(file), "")


def test_a_deleted_member_fails_only_the_query_that_names_it(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    owner = person("analyst")
    group = sales_group(workspace, owner, "Halved")
    ids = {member.alias: member.dataset_id for member in group.memberships}
    workspace.datasets.delete(owner, ids["orders"])
    shown = workspace.groups.get(owner, group.id)
    assert shown.dataset_count == 2
    status = {m.alias: m.dataset.status for m in shown.memberships if m.dataset is not None}
    assert status == {"customers": "READY", "orders": "DELETED", "products": "READY"}
    assert rows(ask(workspace, owner, "SELECT count(*) FROM customers", group=group.id)) == [(4,)]
    with pytest.raises(WorkspaceError) as caught:
        ask(workspace, owner, TOTALS, group=group.id)
    assert caught.value.code == "dataset-not-ready"
    assert caught.value.extra["members"] == [{"alias": "orders", "status": "DELETED"}]
    workspace.datasets.restore(owner, ids["orders"])
    assert len(rows(ask(workspace, owner, TOTALS, group=group.id))) == 3


def test_an_empty_group(workspace: Workspace, person: Callable[..., Actor]) -> None:
    owner = person("analyst")
    group = workspace.groups.create(owner, "Empty")
    with pytest.raises(WorkspaceError) as caught:
        ask(workspace, owner, "SELECT 1", group=group.id)
    assert caught.value.code == "group-empty"


def test_explain_and_validate(workspace: Workspace, sales: SimpleNamespace) -> None:
    request = QueryRequest(
        "SELECT name FROM customers WHERE id > 2", Target(group_id=sales.group.id)
    )
    explained = workspace.queries.explain(sales.owner, request)
    assert "customers" in explained.text
    assert str(workspace.folder) not in explained.text + str(explained.data)
    assert workspace.queries.validate(sales.owner, request).columns[0].type == "VARCHAR"
    wrong = QueryRequest("SELECT nme FROM customers", Target(group_id=sales.group.id))
    (problem,) = workspace.queries.validate(sales.owner, wrong).problems
    assert (problem.code, problem.line, problem.column) == ("sql-binding", 1, 8)


def test_results_expire_and_history_is_swept(local: Callable[..., Workspace]) -> None:
    workspace = local(limits=WorkspaceLimits(result_seconds=0.0, history_per_user=2))
    me = workspace.users.local_actor()
    dataset = upload(workspace, me, "customers.csv", CUSTOMERS)
    runs = [ask(workspace, me, f"SELECT {n}", dataset=dataset.id).run for n in range(4)]
    with pytest.raises(WorkspaceError) as caught:
        workspace.queries.rows(me, runs[0].id)
    assert caught.value.code == "result-expired"
    assert caught.value.extra["sql"] == "SELECT 0"
    assert len(list((workspace.folder / "results").iterdir())) == 4
    workspace.queries.update(me, runs[0].id, favourite=True)
    workspace.sweep()
    assert list((workspace.folder / "results").iterdir()) == []
    left = [run.sql for run in workspace.queries.history(me).items]
    assert "SELECT 0" in left
    assert len(left) == 2


def test_the_result_store_has_a_size(local: Callable[..., Workspace]) -> None:
    workspace = local(limits=WorkspaceLimits(result_store_bytes=200_000))
    me = workspace.users.local_actor()
    dataset = upload(workspace, me, "customers.csv", CUSTOMERS)
    runs = [
        ask(workspace, me, f"SELECT uuid() FROM range(3000) -- {n}", dataset=dataset.id, limit=3000)
        for n in range(3)
    ]
    workspace.sweep()
    states = [workspace.queries.get(me, answer.run.id).result for answer in runs]
    assert states[-1] == "stored"
    assert states[0] == "expired"
