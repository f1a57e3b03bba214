"""Teams: who may make them, and what a right granted to one opens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from dovetail.workspace import Actor, Team, Workspace, WorkspaceError
from dovetail.workspace.models import now
from tests.workspace.sales import TOTALS, ask, rows


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(WorkspaceError) as caught:
        call()
    return caught.value.code


@pytest.fixture
def admin(workspace: Workspace) -> Actor:
    return workspace.users.local_actor()


@pytest.fixture
def made(workspace: Workspace, admin: Actor, request: pytest.FixtureRequest) -> Team:
    return workspace.teams.create(admin, f"Team of {request.node.name}"[:100])


def test_admins_make_and_change_teams(
    workspace: Workspace, admin: Actor, made: Team, person: Callable[..., Actor]
) -> None:
    teams, ada = workspace.teams, person()
    assert (made.members, teams.get(admin, made.id)) == ((), made)
    assert code_of(lambda: teams.create(admin, made.name.upper())) == "name-taken"
    assert code_of(lambda: teams.create(admin, " ")) == "validation"
    joined = teams.add_member(admin, made.id, ada.name)
    assert [member.user_id for member in joined.members] == [ada.user_id]
    assert teams.add_member(admin, made.id, ada.user_id) == joined
    assert code_of(lambda: teams.add_member(admin, made.id, "nobody")) == "not-found"
    other = teams.create(admin, f"{made.name[:90]} two")
    assert code_of(lambda: teams.update(admin, other.id, name=made.name)) == "name-taken"
    assert teams.update(admin, made.id, name=made.name.upper()).name == made.name.upper()
    assert other.id in [team.id for team in teams.list(admin, q="TWO").items]
    teams.remove_member(admin, made.id, ada.name)
    assert code_of(lambda: teams.remove_member(admin, made.id, ada.name)) == "not-found"
    teams.delete(admin, made.id)
    assert code_of(lambda: teams.get(admin, made.id)) == "not-found"


def test_members_see_their_teams_and_change_none(
    workspace: Workspace, admin: Actor, made: Team, person: Callable[..., Actor]
) -> None:
    teams, member, stranger = workspace.teams, person("editor"), person("editor")
    teams.add_member(admin, made.id, member.name)
    assert [team.id for team in teams.list(member).items] == [made.id]
    assert teams.list(stranger).total == 0
    for actor, code in ((member, "forbidden"), (stranger, "not-found")):
        for call in (
            lambda a=actor: teams.update(a, made.id, name="x"),
            lambda a=actor: teams.delete(a, made.id),
            lambda a=actor: teams.add_member(a, made.id, stranger.name),
            lambda a=actor: teams.remove_member(a, made.id, member.name),
        ):
            assert code_of(call) == code  # type: ignore[arg-type]
    assert code_of(lambda: teams.get(stranger, made.id)) == "not-found"
    assert code_of(lambda: teams.create(member, "x")) == "forbidden"


def test_a_right_of_a_team_is_that_of_its_members(
    workspace: Workspace,
    sales: SimpleNamespace,
    admin: Actor,
    made: Team,
    person: Callable[..., Actor],
) -> None:
    grants, guest = workspace.grants, person()

    def visible() -> bool:
        return sales.group.id in [group.id for group in workspace.groups.list(guest).items]

    given = [
        grants.grant(sales.owner, "dataset", dataset, team=made.name, right="query")
        for dataset in (sales.customers, sales.orders, sales.products)
    ]
    assert (given[0].user_id, given[0].team_id, given[0].team_name) == (None, made.id, made.name)
    assert not visible()
    workspace.teams.add_member(admin, made.id, guest.name)
    assert visible()
    answer = ask(workspace, guest, TOTALS, group=sales.group.id)
    assert rows(answer)[0] == ("Ada", 200.0)
    # The most of what he has counts, from whichever side.
    own = grants.grant(sales.owner, "dataset", sales.orders, user=guest.name, right="view")
    assert workspace.datasets.get(guest, sales.orders).right == "query"
    grants.grant(sales.owner, "dataset", sales.orders, user=guest.name, right="manage")
    assert workspace.datasets.get(guest, sales.orders).right == "manage"
    assert len(grants.list(guest, "dataset", sales.orders)) == 2
    grants.revoke(sales.owner, "dataset", sales.orders, own.id)
    # One who leaves has it no more, and nor what he read with it.
    workspace.teams.remove_member(admin, made.id, guest.name)
    assert not visible()
    assert code_of(lambda: workspace.queries.rows(guest, answer.run.id)) == "not-found"
    workspace.teams.add_member(admin, made.id, guest.name)
    assert visible()
    workspace.teams.delete(admin, made.id)
    assert not visible()
    assert grants.list(sales.owner, "dataset", sales.orders) == ()


def test_a_grant_names_one_grantee(
    workspace: Workspace, sales: SimpleNamespace, made: Team, person: Callable[..., Actor]
) -> None:
    def grant(**given: str) -> object:
        return workspace.grants.grant(sales.owner, "dataset", sales.orders, right="view", **given)  # type: ignore[arg-type]

    assert code_of(grant) == "validation"
    assert code_of(lambda: grant(user=person().name, team=made.name)) == "validation"
    assert code_of(lambda: grant(team="no such team")) == "not-found"


def test_a_grant_to_a_team_runs_out(
    workspace: Workspace,
    sales: SimpleNamespace,
    admin: Actor,
    made: Team,
    person: Callable[..., Actor],
) -> None:
    from sqlalchemy import update

    from dovetail.workspace.models import GrantRow

    guest = person()
    workspace.teams.add_member(admin, made.id, guest.name)
    end = now() + timedelta(days=1)
    given = workspace.grants.grant(
        sales.owner, "dataset", sales.orders, team=made.id, right="view", expires_at=end
    )
    assert workspace.datasets.get(guest, sales.orders).right == "view"
    with workspace._store.write() as session:
        session.execute(update(GrantRow).where(GrantRow.id == given.id).values(expires_at=now()))
    assert code_of(lambda: workspace.datasets.get(guest, sales.orders)) == "not-found"
