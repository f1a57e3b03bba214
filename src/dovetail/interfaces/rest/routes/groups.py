"""``/dataset-groups``: sets of datasets under aliases."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from dovetail.interfaces.rest import results
from dovetail.interfaces.rest.bodies import (
    GroupBody,
    GroupSummaryBody,
    MemberPreviewBody,
    MemberSchemaBody,
    MembershipBody,
    RelationshipBody,
    stored_problem,
)
from dovetail.interfaces.rest.call import Caller, Listed, json_response, no_content
from dovetail.interfaces.rest.documented import CHANGE, answers
from dovetail.interfaces.rest.inputs import (
    GroupChange,
    GroupCreate,
    MemberAdd,
    MemberChange,
    RelationshipCreate,
)
from dovetail.interfaces.rest.routes import API
from dovetail.workspace.shapes import MemberPreview

router = APIRouter(prefix=f"{API}/dataset-groups", tags=["Dataset groups"])

_MEMBER = ("not-found", "alias-taken", "alias-invalid", "alias-reserved")


@router.post(
    "",
    summary="Create a group",
    **answers(GroupBody, status=201, problems=("name-taken",)),
)
async def create(call: Caller, given: GroupCreate) -> Response:
    """Names are unique per owner, ignoring case."""
    group = await call.short(
        call.workspace.groups.create, given.name, description=given.description
    )
    location = f"/api/v1/dataset-groups/{group.id}"
    return call.one(GroupBody, group, status=201, location=location)


@router.get("", summary="List groups", **answers(list[GroupSummaryBody]))
async def list_groups(call: Caller, page: Listed) -> Response:
    """Your own, and those all of whose members you may view."""
    found = await call.short(
        call.workspace.groups.list, limit=page.limit, cursor=page.cursor, q=page.q
    )
    return call.page(GroupSummaryBody, found)


@router.get("/{group_id}", summary="One group", **answers(GroupBody, problems=("not-found",)))
async def get(call: Caller, group_id: str) -> Response:
    """With its members."""
    return call.one(GroupBody, await call.short(call.workspace.groups.get, group_id))


@router.patch(
    "/{group_id}",
    summary="Change a group",
    **answers(GroupBody, problems=(*CHANGE, "name-taken")),
)
async def change(call: Caller, group_id: str, given: GroupChange) -> Response:
    """Honours `If-Match`."""
    description = given.description
    if description is None and "description" in given.model_fields_set:
        description = ""
    group = await call.short(
        call.workspace.groups.update,
        group_id,
        name=given.name,
        description=description,
        if_match=call.if_match(),
    )
    return call.one(GroupBody, group)


@router.delete(
    "/{group_id}",
    summary="Delete a group",
    **answers(status=204, problems=("not-found",), description="Deleted"),
)
async def delete(call: Caller, group_id: str) -> Response:
    """Its datasets stay."""
    await call.short(call.workspace.groups.delete, group_id)
    return no_content()


@router.post(
    "/{group_id}/datasets",
    summary="Add a dataset",
    **answers(MembershipBody, status=201, problems=(*_MEMBER, "already-member")),
)
async def add(call: Caller, group_id: str, given: MemberAdd) -> Response:
    """The alias is its table name in queries over the group."""
    member = await call.short(
        call.workspace.groups.add,
        group_id,
        given.dataset_id,
        alias=given.alias,
        display_order=given.display_order,
        allow_repeat=given.allow_repeat,
    )
    location = f"/api/v1/dataset-groups/{group_id}/datasets/{given.dataset_id}"
    return call.one(MembershipBody, member, status=201, location=location)


CurrentAlias = Annotated[
    str | None,
    Query(max_length=200, description="Which one, when the dataset is in the group twice."),
]


@router.patch(
    "/{group_id}/datasets/{dataset_id}",
    summary="Change alias or order of a member",
    **answers(MembershipBody, problems=(*_MEMBER, "ambiguous-member")),
)
async def change_member(
    call: Caller,
    group_id: str,
    dataset_id: str,
    given: MemberChange,
    alias: CurrentAlias = None,
) -> Response:
    """`?alias=` says which one, when the dataset is in the group twice."""
    member = await call.short(
        call.workspace.groups.update_member,
        group_id,
        dataset_id,
        alias=given.alias,
        display_order=given.display_order,
        current_alias=alias,
    )
    return call.one(MembershipBody, member)


@router.delete(
    "/{group_id}/datasets/{dataset_id}",
    summary="Take a dataset out",
    **answers(
        status=204,
        problems=("not-found", "ambiguous-member"),
        description="Taken out",
    ),
)
async def remove(
    call: Caller, group_id: str, dataset_id: str, alias: CurrentAlias = None
) -> Response:
    """The dataset itself stays."""
    await call.short(call.workspace.groups.remove, group_id, dataset_id, alias=alias)
    return no_content()


@router.get(
    "/{group_id}/schemas",
    summary="Columns of every member",
    **answers(list[MemberSchemaBody], problems=("not-found",)),
)
async def schemas(call: Caller, group_id: str) -> Response:
    """A member that cannot be read has `error`."""
    return call.many(MemberSchemaBody, await call.long(call.workspace.groups.schemas, group_id))


@router.get(
    "/{group_id}/preview",
    summary="Rows of every member",
    **answers(list[MemberPreviewBody], problems=("not-found",)),
)
async def preview(
    call: Caller, group_id: str, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Response:
    """A member that cannot be read has `error`."""
    groups = call.workspace.groups

    def read(actor: Any) -> bytes:
        members = groups.preview(actor, group_id, limit=limit)
        return results.dump([_preview(member) for member in members])

    return json_response(await call.long(read))


def _preview(member: MemberPreview) -> dict[str, Any]:
    return {
        "dataset_id": member.dataset_id,
        "dataset_name": member.dataset_name,
        "alias": member.alias,
        "status": member.status,
        "row_count": member.row_count,
        "columns": results.columns(member.rows.columns) if member.rows else [],
        "rows": results.rows(member.rows) if member.rows else [],
        "error": stored_problem(member.error),
    }


@router.get(
    "/{group_id}/relationships",
    summary="Known joins",
    **answers(list[RelationshipBody], problems=("not-found",)),
)
async def relationships(call: Caller, group_id: str) -> Response:
    """Oldest first."""
    found = await call.short(call.workspace.groups.relationships, group_id)
    return call.many(RelationshipBody, found)


@router.post(
    "/{group_id}/relationships",
    summary="Add a known join",
    **answers(RelationshipBody, status=201, problems=("not-found", "dataset-not-ready")),
)
async def add_relationship(call: Caller, group_id: str, given: RelationshipCreate) -> Response:
    """Aliases and columns must exist."""
    made = await call.long(call.workspace.groups.add_relationship, group_id, **given.model_dump())
    location = f"/api/v1/dataset-groups/{group_id}/relationships/{made.id}"
    return call.one(RelationshipBody, made, status=201, location=location)


@router.delete(
    "/{group_id}/relationships/{relationship_id}",
    summary="Forget a join",
    **answers(status=204, problems=("not-found",), description="Forgotten"),
)
async def remove_relationship(call: Caller, group_id: str, relationship_id: str) -> Response:
    """Only the note is removed."""
    await call.short(call.workspace.groups.remove_relationship, group_id, relationship_id)
    return no_content()
