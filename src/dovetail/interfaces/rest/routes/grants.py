"""``/datasets/{id}/grants`` and ``/connections/{id}/grants``: rights given to users and teams."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from dovetail.interfaces.rest.bodies import GrantBody
from dovetail.interfaces.rest.call import Caller, no_content
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.inputs import GrantCreate
from dovetail.interfaces.rest.routes import API
from dovetail.workspace.grants import ObjectKind

ObjectId = Annotated[str, Path(description="Id of the dataset or connection.")]


def _router(prefix: str, kind: ObjectKind) -> APIRouter:
    router = APIRouter(prefix=f"{API}/{prefix}/{{object_id}}/grants", tags=["Access"])

    @router.get(
        "",
        summary=f"Rights on a {kind}",
        name=f"list_{kind}_grants",
        **answers(list[GrantBody], problems=("not-found",)),
    )
    async def list_grants(call: Caller, object_id: ObjectId) -> Response:
        """Oldest first; needs `manage`."""
        found = await call.short(call.workspace.grants.list, kind, object_id)
        return call.many(GrantBody, found)

    @router.post(
        "",
        summary=f"Give a right on a {kind}",
        name=f"grant_{kind}",
        **answers(GrantBody, status=201, problems=("not-found",)),
    )
    async def grant(call: Caller, object_id: ObjectId, given: GrantCreate) -> Response:
        """An earlier grant to the same user or team is replaced; needs `manage`."""
        made = await call.short(
            call.workspace.grants.grant,
            kind,
            object_id,
            user=given.user,
            team=given.team,
            right=given.right,
            expires_at=given.expires_at,
        )
        location = f"/api/v1/{prefix}/{object_id}/grants/{made.id}"
        return call.one(GrantBody, made, status=201, location=location)

    @router.delete(
        "/{grant_id}",
        summary=f"Take a right on a {kind} back",
        name=f"revoke_{kind}_grant",
        **answers(status=204, problems=("not-found",), description="Revoked"),
    )
    async def revoke(call: Caller, object_id: ObjectId, grant_id: str) -> Response:
        """At once, for stored results too."""
        await call.short(call.workspace.grants.revoke, kind, object_id, grant_id)
        return no_content()

    return router


dataset_router = _router("datasets", "dataset")
connection_router = _router("connections", "connection")
