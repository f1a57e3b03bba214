"""``/teams``: sets of users to grant rights to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from dovetail.interfaces.rest.bodies import TeamBody
from dovetail.interfaces.rest.call import Caller, Listed, no_content
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.inputs import TeamCreate
from dovetail.interfaces.rest.routes import API

router = APIRouter(prefix=f"{API}/teams", tags=["Access"])

Member = Annotated[str, Path(max_length=100, description="Id or name of a user.")]


@router.post(
    "",
    summary="Create a team",
    **answers(TeamBody, status=201, problems=("name-taken",)),
)
async def create(call: Caller, given: TeamCreate) -> Response:
    """For admins."""
    made = await call.short(call.workspace.teams.create, given.name)
    return call.one(TeamBody, made, status=201, location=f"/api/v1/teams/{made.id}")


@router.get("", summary="List teams", **answers(list[TeamBody]))
async def list_teams(call: Caller, page: Listed) -> Response:
    """Those you are in; all for admins."""
    found = await call.short(
        call.workspace.teams.list, limit=page.limit, cursor=page.cursor, q=page.q
    )
    return call.page(TeamBody, found)


@router.get("/{team_id}", summary="One team", **answers(TeamBody, problems=("not-found",)))
async def get(call: Caller, team_id: str) -> Response:
    """For its members and admins."""
    return call.one(TeamBody, await call.short(call.workspace.teams.get, team_id))


@router.patch(
    "/{team_id}",
    summary="Rename a team",
    **answers(TeamBody, problems=("not-found", "name-taken")),
)
async def change(call: Caller, team_id: str, given: TeamCreate) -> Response:
    """For admins."""
    return call.one(
        TeamBody, await call.short(call.workspace.teams.update, team_id, name=given.name)
    )


@router.delete(
    "/{team_id}",
    summary="Delete a team",
    **answers(status=204, problems=("not-found",), description="Deleted"),
)
async def delete(call: Caller, team_id: str) -> Response:
    """With what was granted to it; for admins."""
    await call.short(call.workspace.teams.delete, team_id)
    return no_content()


@router.put(
    "/{team_id}/members/{user}",
    summary="Put a user into a team",
    **answers(TeamBody, problems=("not-found",)),
)
async def add_member(call: Caller, team_id: str, user: Member) -> Response:
    """Who has what is granted to the team from now on; for admins."""
    return call.one(TeamBody, await call.short(call.workspace.teams.add_member, team_id, user))


@router.delete(
    "/{team_id}/members/{user}",
    summary="Take a user out of a team",
    **answers(status=204, problems=("not-found",), description="Removed"),
)
async def remove_member(call: Caller, team_id: str, user: Member) -> Response:
    """At once, for stored results too; for admins."""
    await call.short(call.workspace.teams.remove_member, team_id, user)
    return no_content()
