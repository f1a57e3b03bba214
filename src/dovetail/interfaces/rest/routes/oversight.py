"""``/stats/queries`` and ``/audit``: figures, and who did what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from dovetail.interfaces.rest import results
from dovetail.interfaces.rest.bodies import AuditBody, QueryStatsBody, StatsRowBody, timestamp
from dovetail.interfaces.rest.call import Call, Caller, encode, json_response
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.routes import API
from dovetail.workspace.shapes import AuditEntry

router = APIRouter(prefix=API, tags=["Oversight"])

_LINES = 500


@router.get("/stats/queries", summary="Figures of queries", **answers(QueryStatsBody))
async def stats(
    call: Caller,
    by: Literal["day", "source", "user"] = "day",
    since: datetime | None = None,
    until: datetime | None = None,
    user: Annotated[
        str | None, Query(max_length=100, description="For admins: a user, or `*`.")
    ] = None,
) -> Response:
    """Counts, times, bytes, failures, and the slowest 20."""
    found = await call.long(
        call.workspace.stats.queries, by=by, since=since, until=until, user=user
    )

    def row(item: Any) -> dict[str, Any]:
        return StatsRowBody.model_validate(item).model_dump(mode="json")

    return json_response(
        {
            "since": timestamp(found.since) if found.since else None,
            "until": timestamp(found.until) if found.until else None,
            "overall": row(found.overall),
            "rows": [row(item) for item in found.rows],
            "slowest": [results.run_of(run) for run in found.slowest],
        }
    )


@router.get("/audit", summary="Who did what", **answers(list[AuditBody]))
async def audit(
    call: Caller,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    user: Annotated[str | None, Query(max_length=100)] = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Response:
    """Newest first; for admins."""
    found = await call.short(
        call.workspace.audit.list,
        limit=limit,
        cursor=cursor,
        user=user,
        action=action,
        since=since,
        until=until,
    )
    return call.page(AuditBody, found)


@router.get(
    "/audit/export",
    summary="The whole audit log",
    **answers(
        content={"application/x-ndjson": {"schema": {"type": "string"}}},
        description="JSON lines, oldest first",
    ),
)
async def export(call: Caller) -> Response:
    """For admins."""
    entries = await call.long(call.workspace.audit.export)
    first = await call.service.pools.long(_lines, entries)
    return StreamingResponse(_rest(call, entries, first), media_type="application/x-ndjson")


def _lines(entries: Iterator[AuditEntry]) -> bytes:
    return b"".join(encode(AuditBody, entry) + b"\n" for entry in islice(entries, _LINES))


async def _rest(call: Call, entries: Iterator[AuditEntry], lines: bytes) -> AsyncIterator[bytes]:
    while lines:
        yield lines
        lines = await call.service.pools.long(_lines, entries)
