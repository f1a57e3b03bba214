"""``/connections``: the sources that the workspace stores, and those of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from dovetail.interfaces.rest.bodies import ConnectionBody, ConnectionTestBody, MetadataBody
from dovetail.interfaces.rest.call import Caller, Listed, encode, json_response, no_content
from dovetail.interfaces.rest.documented import CHANGE, answers
from dovetail.interfaces.rest.inputs import ConnectionChange, ConnectionCreate
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.routes import API

router = APIRouter(prefix=f"{API}/connections", tags=["Connections"])

_NAMES = ("name-taken", "alias-invalid", "alias-reserved", "configuration")


def _settings(given: ConnectionCreate) -> tuple[str, dict[str, Any]]:
    """Kind and settings; a URL says both."""
    settings = dict(given.settings)
    if given.url is not None:
        settings["url"] = given.url
    if given.password is not None:
        settings["password"] = given.password
    kind = given.kind
    if kind is None and given.url is not None:
        scheme = given.url.partition(":")[0].lower()
        kind = {"postgresql": "postgres", "mariadb": "mysql"}.get(scheme, scheme)
    if kind is None:
        raise ProblemError(
            "validation",
            "kind: needed, unless a url says it",
            errors=[{"loc": "kind", "msg": "needed, unless a url says it", "type": "missing"}],
        )
    return kind, settings


@router.post(
    "",
    summary="Create a connection",
    **answers(ConnectionBody, status=201, problems=_NAMES),
)
async def create(call: Caller, given: ConnectionCreate) -> Response:
    """Its name is its source name in SQL. A password is a reference, or is kept encrypted."""
    kind, settings = _settings(given)
    made = await call.short(call.workspace.connections.create, given.name, kind, settings)
    return call.one(ConnectionBody, made, status=201, location=f"/api/v1/connections/{made.id}")


@router.get("", summary="List connections", **answers(list[ConnectionBody]))
async def list_connections(call: Caller, page: Listed) -> Response:
    """Those you may view."""
    found = await call.short(
        call.workspace.connections.list, limit=page.limit, cursor=page.cursor, q=page.q
    )
    return call.page(ConnectionBody, found)


@router.post(
    "/test",
    summary="Try a connection that is not stored",
    **answers(ConnectionTestBody, problems=_NAMES),
)
async def test(call: Caller, given: ConnectionCreate) -> Response:
    """At most ten seconds; what failed is in `stage` and `error`."""
    kind, settings = _settings(given)
    return call.one(
        ConnectionTestBody, await call.long(call.workspace.connections.test, kind, settings)
    )


@router.get(
    "/{connection_id}",
    summary="One connection",
    **answers(ConnectionBody, problems=("not-found",)),
)
async def get(call: Caller, connection_id: str) -> Response:
    """By id or by name."""
    return call.one(ConnectionBody, await call.short(call.workspace.connections.get, connection_id))


@router.patch(
    "/{connection_id}",
    summary="Change a connection",
    **answers(ConnectionBody, problems=(*CHANGE, *_NAMES)),
)
async def change(call: Caller, connection_id: str, given: ConnectionChange) -> Response:
    """Settings are laid over the stored ones; null removes one. Honours `If-Match`."""
    settings = dict(given.settings) if given.settings is not None else None
    if "password" in given.model_fields_set:
        settings = {**(settings or {}), "password": given.password}
    made = await call.short(
        call.workspace.connections.update,
        connection_id,
        name=given.name,
        settings=settings,
        if_match=call.if_match(),
    )
    return call.one(ConnectionBody, made)


@router.delete(
    "/{connection_id}",
    summary="Delete a connection",
    **answers(status=204, problems=("not-found", "in-use"), description="Deleted"),
)
async def delete(
    call: Caller,
    connection_id: str,
    force: Annotated[bool, Query(description="Although datasets use it; they fail.")] = False,
) -> Response:
    """Refused while datasets use it, unless forced."""
    await call.short(call.workspace.connections.delete, connection_id, force=force)
    return no_content()


@router.post(
    "/{connection_id}/test",
    summary="Try a connection",
    **answers(ConnectionTestBody, problems=("not-found",)),
)
async def test_saved(call: Caller, connection_id: str) -> Response:
    """At most ten seconds; what failed is in `stage` and `error`."""
    found = await call.long(call.workspace.connections.test_saved, connection_id)
    return call.one(ConnectionTestBody, found)


@router.get(
    "/{connection_id}/metadata",
    summary="Tables of a connection",
    **answers(MetadataBody, problems=("not-found", "source-unavailable", "source-query")),
)
async def metadata(
    call: Caller,
    connection_id: str,
    page: Listed,
    refresh: Annotated[bool, Query(description="Read anew, not from the cache.")] = False,
) -> Response:
    """Schemas, tables, columns, keys and estimates; `q` is a part of a table's name."""
    found = await call.long(
        call.workspace.connections.metadata,
        connection_id,
        refresh=refresh,
        limit=page.limit,
        cursor=page.cursor,
        q=page.q,
    )
    flat = {
        "connection_id": found.connection_id,
        "default_schema": found.default_schema,
        "tables": found.tables.items,
        "retrieved_at": found.retrieved_at,
        "stale": found.stale,
    }
    return json_response(encode(MetadataBody, flat), headers=call.page_headers(found.tables))
