"""``/saved-queries``: kept texts, their versions, running and sharing them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from dovetail.interfaces.rest import parameters, results
from dovetail.interfaces.rest.bodies import QueryResultBody, SavedQueryBody, SavedVersionBody
from dovetail.interfaces.rest.call import Caller, Listed, json_response, no_content
from dovetail.interfaces.rest.documented import CHANGE, QUERY_PROBLEMS, answers
from dovetail.interfaces.rest.inputs import (
    SavedQueryChange,
    SavedQueryCreate,
    SavedQueryRun,
    SavedQueryShare,
)
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.routes import API
from dovetail.interfaces.rest.routes.shaped import Numbers, Shape

router = APIRouter(prefix=f"{API}/saved-queries", tags=["Saved queries"])


@router.post(
    "",
    summary="Save a query",
    **answers(SavedQueryBody, status=201, problems=("name-taken", "not-found")),
)
async def create(call: Caller, given: SavedQueryCreate) -> Response:
    """`target` has `dataset_id`, `group_id` or `connection_ids`."""
    fields = given.model_dump(exclude={"name", "text"})
    made = await call.short(call.workspace.saved.create, given.name, given.text, **fields)
    location = f"/api/v1/saved-queries/{made.id}"
    return call.one(SavedQueryBody, made, status=201, location=location)


@router.get("", summary="List saved queries", **answers(list[SavedQueryBody]))
async def list_saved(
    call: Caller,
    page: Listed,
    folder: Annotated[str | None, Query(max_length=1_000)] = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Your own, and those shared with you."""
    found = await call.short(
        call.workspace.saved.list,
        limit=page.limit,
        cursor=page.cursor,
        q=page.q,
        folder=folder,
        tag=tag,
    )
    return call.page(SavedQueryBody, found)


@router.get(
    "/{saved_id}", summary="One saved query", **answers(SavedQueryBody, problems=("not-found",))
)
async def get(call: Caller, saved_id: str) -> Response:
    """Its newest version."""
    return call.one(SavedQueryBody, await call.short(call.workspace.saved.get, saved_id))


@router.patch(
    "/{saved_id}",
    summary="Change a saved query",
    **answers(SavedQueryBody, problems=(*CHANGE, "name-taken")),
)
async def change(call: Caller, saved_id: str, given: SavedQueryChange) -> Response:
    """Another text or other parameters make a new version. Honours `If-Match`."""
    changes = given.model_dump(exclude_unset=True)
    made = await call.short(
        call.workspace.saved.update, saved_id, changes, if_match=call.if_match()
    )
    return call.one(SavedQueryBody, made)


@router.delete(
    "/{saved_id}",
    summary="Delete a saved query",
    **answers(status=204, problems=("not-found",), description="Deleted"),
)
async def delete(call: Caller, saved_id: str) -> Response:
    """With its versions."""
    await call.short(call.workspace.saved.delete, saved_id)
    return no_content()


@router.get(
    "/{saved_id}/versions",
    summary="Earlier versions",
    **answers(list[SavedVersionBody], problems=("not-found",)),
)
async def versions(call: Caller, saved_id: str) -> Response:
    """Up to 50, newest first."""
    found = await call.short(call.workspace.saved.versions, saved_id)
    return call.many(SavedVersionBody, found)


@router.post(
    "/{saved_id}/versions/{version}/restore",
    summary="Go back to an earlier version",
    **answers(SavedQueryBody, problems=("not-found",)),
)
async def restore(call: Caller, saved_id: str, version: int) -> Response:
    """It becomes the newest one."""
    made = await call.short(call.workspace.saved.restore, saved_id, version)
    return call.one(SavedQueryBody, made)


@router.post(
    "/{saved_id}/run",
    summary="Run a saved query",
    **answers(QueryResultBody, problems=QUERY_PROBLEMS),
)
async def run(
    call: Caller,
    saved_id: str,
    given: SavedQueryRun,
    shape: Shape = "objects",
    numbers: Numbers = "native",
) -> Response:
    """Over its target; the defaults of its parameters fill what is missing."""
    saved = call.workspace.saved
    params = parameters.parse(given.params)

    def work(actor: Any) -> bytes:
        answer = saved.run(actor, saved_id, params)
        return results.dump(results.query_result(answer, shape=shape, numbers=numbers))

    return json_response(await call.long(work))


@router.put(
    "/{saved_id}/shares",
    summary="Share a saved query",
    **answers(SavedQueryBody, problems=("not-found",)),
)
async def share(call: Caller, saved_id: str, given: SavedQueryShare) -> Response:
    """With a user or a role; readers still need the datasets' grants."""
    return await _share(call, saved_id, given.user, given.role, given.right)


@router.delete(
    "/{saved_id}/shares",
    summary="Stop sharing a saved query",
    **answers(SavedQueryBody, problems=("not-found",)),
)
async def unshare(
    call: Caller,
    saved_id: str,
    user: Annotated[str | None, Query(max_length=100)] = None,
    role: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """With one user or one role."""
    return await _share(call, saved_id, user, role, None)


async def _share(
    call: Caller, saved_id: str, user: str | None, role: str | None, right: str | None
) -> Response:
    if (user is None) == (role is None):
        raise ProblemError("validation", "name one of user and role", valid=["user", "role"])
    with_ = user if user is not None else f"role:{role}"
    made = await call.short(call.workspace.saved.share, saved_id, with_=with_, right=right)
    return call.one(SavedQueryBody, made)
