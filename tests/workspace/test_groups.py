"""Groups: aliases, members, who may change them, relationships."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.workspace import Actor, Workspace, WorkspaceError
from dovetail.workspace.aliases import alias_of, reserved_words
from tests.workspace.sales import ORDERS, ask, rows, upload


def refused(call: Callable[[], object]) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("Sales 2024.csv", "sales_2024"),
        ("2024.csv", "t_2024"),
        ("ORDER.csv", "order_"),
        ("***.csv", "t_1"),
        ("orders.csv", "orders"),
        ("user.csv", "user"),
        ("a.b.csv.gz", "a_b"),
        ("x" * 80, "x" * 63),
    ],
)
def test_aliases_made_from_names(name: str, alias: str) -> None:
    assert alias_of(name) == alias


def test_aliases_that_are_taken_get_a_number() -> None:
    assert alias_of("orders.csv", ["Orders"]) == "orders_2"
    assert alias_of("orders.csv", ["orders", "orders_2"]) == "orders_3"
    assert alias_of("***", ["t_1"]) == "t_2"
    assert len(alias_of("x" * 80, ["x" * 63])) == 63
    assert {"order", "select", "table"} <= reserved_words()
    assert not {"user", "work", "value"} & reserved_words()


def test_members(workspace: Workspace, sales: SimpleNamespace) -> None:
    owner = sales.owner
    group = workspace.groups.create(owner, "Members")
    workspace.groups.add(owner, group.id, sales.customers)
    error = refused(lambda: workspace.groups.add(owner, group.id, sales.orders, alias="Customers"))
    assert (error.code, error.extra["aliases"]) == ("alias-taken", ["customers"])
    for alias, code, suggestion in (
        ("order", "alias-reserved", "order_"),
        ("Sales 2024", "alias-invalid", "sales_2024"),
        ("x" * 64, "alias-invalid", "x" * 63),
        ("", "alias-invalid", "t_1"),
    ):
        error = refused(
            lambda a=alias: workspace.groups.add(owner, group.id, sales.orders, alias=a)  # type: ignore[misc]
        )
        assert (error.code, error.extra["suggestion"]) == (code, suggestion)
    assert workspace.groups.add(owner, group.id, sales.orders, display_order=-1).alias == "orders"
    shown = workspace.groups.get(owner, group.id)
    assert [m.alias for m in shown.memberships] == ["orders", "customers"]
    changed = workspace.groups.update_member(
        owner, group.id, sales.orders, alias="bought", display_order=9
    )
    assert (changed.alias, changed.display_order) == ("bought", 9)
    assert rows(ask(workspace, owner, "SELECT count(*) FROM bought", group=group.id)) == [(6,)]
    workspace.groups.remove(owner, group.id, sales.orders)
    error = refused(lambda: workspace.groups.remove(owner, group.id, sales.orders))
    assert (error.code, error.title) == ("not-found", "Dataset not in group")
    assert workspace.datasets.get(owner, sales.orders).status == "READY"


def test_a_dataset_twice(workspace: Workspace, sales: SimpleNamespace) -> None:
    owner = sales.owner
    group = workspace.groups.create(owner, "Twice")
    workspace.groups.add(owner, group.id, sales.orders, alias="a")
    error = refused(lambda: workspace.groups.add(owner, group.id, sales.orders, alias="b"))
    assert error.code == "already-member"
    workspace.groups.add(owner, group.id, sales.orders, alias="b", allow_repeat=True)
    sql = "SELECT count(*) FROM a JOIN b USING (id)"
    assert rows(ask(workspace, owner, sql, group=group.id)) == [(6,)]
    error = refused(lambda: workspace.groups.remove(owner, group.id, sales.orders))
    assert (error.code, error.extra["aliases"]) == ("ambiguous-member", ["a", "b"])
    workspace.groups.remove(owner, group.id, sales.orders, alias="A")
    assert [m.alias for m in workspace.groups.get(owner, group.id).memberships] == ["b"]


def test_fifty_members_at_most(workspace: Workspace, sales: SimpleNamespace) -> None:
    group = workspace.groups.create(sales.owner, "Full")
    for _ in range(50):
        workspace.groups.add(sales.owner, group.id, sales.orders, allow_repeat=True)
    error = refused(
        lambda: workspace.groups.add(sales.owner, group.id, sales.orders, allow_repeat=True)
    )
    assert error.code == "validation"
    assert workspace.groups.get(sales.owner, group.id).memberships[-1].alias == "orders_50"


def test_names_and_changes(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    owner, other = person(), person()
    made = workspace.groups.create(owner, "Mine", description="x")
    for name in ("", "x" * 101):
        error = refused(lambda n=name: workspace.groups.create(owner, n))  # type: ignore[misc]
        assert error.extra["errors"][0]["loc"] == "name"
    assert refused(lambda: workspace.groups.create(owner, "MINE")).code == "name-taken"
    assert workspace.groups.create(other, "Mine").owner_id == other.user_id
    changed = workspace.groups.update(owner, made.id, name="Ours", description="")
    assert (changed.name, changed.description) == ("Ours", None)
    stale = refused(lambda: workspace.groups.update(owner, made.id, name="x", if_match=made.etag))
    assert (stale.code, stale.extra["etag"]) == ("stale", changed.etag)
    workspace.groups.delete(owner, made.id)
    assert refused(lambda: workspace.groups.delete(owner, made.id)).code == "not-found"


def test_others_see_it_when_they_see_all_of_it(
    workspace: Workspace, sales: SimpleNamespace, person: Callable[..., Actor]
) -> None:
    owner, guest = person(), person()
    group = workspace.groups.create(owner, "Seen")
    mine = upload(workspace, owner, "orders.csv", ORDERS)
    workspace.groups.add(owner, group.id, mine.id)
    everything: list[Callable[[], Any]] = [
        lambda: workspace.groups.get(guest, group.id),
        lambda: workspace.groups.schemas(guest, group.id),
        lambda: workspace.groups.preview(guest, group.id),
        lambda: workspace.groups.relationships(guest, group.id),
        lambda: workspace.groups.update(guest, group.id, name="x"),
        lambda: workspace.groups.add(guest, group.id, mine.id, allow_repeat=True),
        lambda: workspace.groups.update_member(guest, group.id, mine.id, alias="x"),
        lambda: workspace.groups.remove(guest, group.id, mine.id),
        lambda: workspace.groups.add_relationship(
            guest,
            group.id,
            from_alias="orders",
            from_column="id",
            to_alias="orders",
            to_column="id",
        ),
        lambda: workspace.groups.remove_relationship(guest, group.id, "x"),
        lambda: workspace.groups.delete(guest, group.id),
    ]
    assert [refused(call).code for call in everything] == ["not-found"] * len(everything)
    assert group.id not in [g.id for g in workspace.groups.list(guest).items]
    workspace.grants.grant(owner, "dataset", mine.id, user=guest.user_id, right="view")
    for call in everything[:4]:
        assert call() is not None
    assert [refused(call).code for call in everything[4:]] == ["forbidden"] * 7
    assert group.id in [g.id for g in workspace.groups.list(guest).items]
    # A dataset that one may not see cannot be put into one's own group.
    foreign = workspace.groups.create(guest, "Mine")
    assert (
        refused(lambda: workspace.groups.add(guest, foreign.id, sales.orders)).code == "not-found"
    )


def test_whose_groups_are_listed_and_by_pages(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    owner, guest = person(), person()
    open_, closed = (
        upload(workspace, owner, "o.csv", ORDERS),
        upload(workspace, owner, "c.csv", ORDERS),
    )
    workspace.grants.grant(owner, "dataset", open_.id, user=guest.user_id, right="view")
    groups = {}
    for name, members in (("empty", []), ("open", [open_]), ("both", [open_, closed])):
        groups[name] = workspace.groups.create(owner, f"{name} group").id
        for dataset in members:
            workspace.groups.add(owner, groups[name], dataset.id)

    def listed(actor: Actor, **more: Any) -> list[str]:
        return [group.name for group in workspace.groups.list(actor, **more).items]

    assert listed(owner) == ["both group", "open group", "empty group"]
    assert listed(guest) == ["open group"]
    # What is deleted stands in nobody's way, and alone it opens nothing.
    workspace.datasets.delete(owner, closed.id)
    assert listed(guest) == ["both group", "open group"]
    workspace.datasets.delete(owner, open_.id)
    assert listed(guest) == []
    first = workspace.groups.list(owner, limit=2)
    assert (len(first.items), first.total) == (2, 3)
    assert listed(owner, limit=2, cursor=first.next_cursor) == ["empty group"]
    assert listed(owner, q="OPEN") == ["open group"]


def test_a_member_that_may_not_be_seen_has_no_name(
    workspace: Workspace, person: Callable[..., Actor]
) -> None:
    owner, curator = person(), person()
    mine = upload(workspace, owner, "secret plans.csv", ORDERS)
    grant = workspace.grants.grant(owner, "dataset", mine.id, user=curator.user_id, right="view")
    group = workspace.groups.create(curator, "Borrowed")
    workspace.groups.add(curator, group.id, mine.id, alias="borrowed")
    workspace.grants.revoke(owner, "dataset", mine.id, grant.id)
    (member,) = workspace.groups.get(curator, group.id).memberships
    assert (member.accessible, member.dataset) == (False, None)
    (schema,) = workspace.groups.schemas(curator, group.id)
    (preview,) = workspace.groups.preview(curator, group.id)
    for shown in (schema, preview):
        assert shown.dataset_name is None
        assert shown.error is not None
        assert shown.error.code == "forbidden"
    assert "secret" not in repr([member, schema, preview])


def test_relationships(workspace: Workspace, sales: SimpleNamespace) -> None:
    owner, group = sales.owner, sales.group
    ends = {
        "from_alias": "orders",
        "from_column": "customer_id",
        "to_alias": "customers",
        "to_column": "id",
    }
    made = workspace.groups.add_relationship(owner, group.id, **ends, join_type="left")
    assert workspace.groups.relationships(owner, group.id) == (made,)
    for wrong in ({"from_alias": "x"}, {"to_column": "x"}, {"join_type": "anti"}):
        error = refused(
            lambda w=wrong: workspace.groups.add_relationship(owner, group.id, **{**ends, **w})  # type: ignore[misc, arg-type]
        )
        assert error.extra["valid"]
    workspace.groups.remove_relationship(owner, group.id, made.id)
    assert (
        refused(lambda: workspace.groups.remove_relationship(owner, group.id, made.id)).code
        == "not-found"
    )
