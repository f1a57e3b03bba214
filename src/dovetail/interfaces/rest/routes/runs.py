"""``/queries/{id}``: the history, running queries, their results."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from dovetail.interfaces.rest import downloads, results, running
from dovetail.interfaces.rest.bodies import DatasetBody, ProfileBody, RunBody
from dovetail.interfaces.rest.call import Caller, json_response, no_content
from dovetail.interfaces.rest.documented import answers
from dovetail.interfaces.rest.inputs import KeepResult, RunChange, Share
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.routes import API
from dovetail.interfaces.rest.routes.shaped import Numbers, Shape

router = APIRouter(prefix=f"{API}/queries", tags=["Runs and results"])

_RESULT = ("not-found", "result-expired", "result-missing")
_ARROW = "application/vnd.apache.arrow.stream"
Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "arrow", "xlsx"]


@router.get("", summary="History", **answers(list[RunBody]))
async def history(
    call: Caller,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    q: Annotated[str | None, Query(max_length=200, description="The SQL contains.")] = None,
    status: Literal["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    min_ms: Annotated[float | None, Query(ge=0, le=1e12)] = None,
    target: Annotated[str | None, Query(max_length=100, description="Id of a target.")] = None,
    user: Annotated[
        str | None, Query(max_length=100, description="For admins: a user, or `*`.")
    ] = None,
    favourite: bool | None = None,
) -> Response:
    """Your own runs, newest first."""
    page = await call.short(
        call.workspace.queries.history,
        limit=limit,
        cursor=cursor,
        q=q,
        status=status,
        since=since,
        until=until,
        min_ms=min_ms,
        target=target,
        user=user,
        favourite=favourite,
    )
    return json_response(
        results.dump([results.run_of(run) for run in page.items]),
        headers=call.page_headers(page),
    )


@router.get("/{query_id}", summary="One run", **answers(RunBody, problems=("not-found",)))
async def get(
    call: Caller,
    query_id: str,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for its end.")] = 0,
) -> Response:
    """Its state and progress; with `wait`, as soon as it has finished."""
    found = await running.wait_for(call, query_id, wait)
    return json_response(results.dump(results.run_of(found)))


@router.get(
    "/{query_id}/events",
    summary="A run's states as they change",
    **answers(
        problems=("not-found",),
        content={"text/event-stream": {"schema": {"type": "string"}}},
        description="Server-sent events named `run`, until it has finished",
    ),
)
async def events(call: Caller, query_id: str) -> Response:
    """The same documents as a poll."""
    first = await call.short(call.workspace.queries.get, query_id)
    return StreamingResponse(running.events(call, query_id, first), media_type="text/event-stream")


@router.post(
    "/{query_id}/cancel",
    summary="Cancel a run",
    **answers(
        RunBody,
        status=202,
        problems=("not-found", "query-finished"),
        description="It reaches `CANCELLED` within two seconds",
    ),
)
async def cancel(call: Caller, query_id: str) -> Response:
    """Here and at the sources."""
    found = await call.short(call.workspace.queries.cancel, query_id)
    return json_response(results.dump(results.run_of(found)), status=202)


_rows_answers = answers(
    problems=_RESULT,
    content={
        "application/json": {"schema": {"$ref": "#/components/schemas/RowsBody"}},
        _ARROW: {"schema": {"type": "string", "format": "binary"}},
    },
    description="Rows; as Arrow when `Accept` says so",
)


@router.get("/{query_id}/rows", summary="A page of a result", **_rows_answers)
async def rows(
    call: Caller,
    query_id: str,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    sort: Annotated[str | None, Query(max_length=1_000, description="`-amount,name`")] = None,
    filter: Annotated[
        str | None,
        Query(max_length=4_000, description='JSON: `{"amount": {"gt": 100}}`'),
    ] = None,
    shape: Shape = "objects",
    numbers: Numbers = "native",
) -> Response:
    """Sorted and filtered here, not at the sources."""
    order = [
        (part.strip().removeprefix("-"), part.strip().startswith("-"))
        for part in (sort or "").split(",")
        if part.strip()
    ]
    filters = _filters(filter)
    as_arrow = _ARROW in call.request.headers.get("accept", "")
    queries = call.workspace.queries

    def read(actor: Any) -> bytes:
        page = queries.rows(
            actor, query_id, offset=offset, limit=limit, sort=order, filters=filters
        )
        if as_arrow:
            return _arrow_bytes(page.table)
        return results.dump(results.page_of(page, shape=shape, numbers=numbers))

    content = await call.long(read)
    return Response(content, media_type=_ARROW) if as_arrow else json_response(content)


def _filters(text: str | None) -> dict[str, dict[str, Any]] | None:
    if text is None:
        return None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise ProblemError(
            "validation",
            'filter: a JSON object such as {"amount": {"gt": 100}}',
            errors=[{"loc": "filter", "msg": "not a filter", "type": "value_error"}],
        )
    return given


def _arrow_bytes(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@router.get(
    "/{query_id}/result",
    summary="Download a result",
    **answers(
        problems=(*_RESULT, "sql-not-supported", "sql-runtime"),
        content={
            kind.media_type.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for kind in downloads.KINDS.values()
        },
        description="The whole result as a file",
    ),
)
async def result(
    call: Caller,
    query_id: str,
    format: Format = "csv",
    name: Annotated[str | None, Query(max_length=200, description="Name of the file.")] = None,
    bom: Annotated[bool, Query(description="Begin a CSV with a byte order mark.")] = False,
    escape_formulas: Annotated[
        bool, Query(description="Put `'` before cells that a spreadsheet would run.")
    ] = False,
) -> Response:
    """CSV: RFC 4180, NULL is nothing and the empty string `""`."""
    kind = downloads.KINDS[format]
    stored = await call.short(call.workspace.queries.result, query_id)
    if format == "xlsx" and stored.rows > downloads.SHEET_ROWS:
        raise ProblemError(
            "validation", f"format: a sheet has {downloads.SHEET_ROWS:,} rows at most"
        )
    file, length = await call.service.pools.long(
        downloads.written,
        stored,
        kind,
        str(call.workspace.folder),
        bom=bom,
        escape_formulas=escape_formulas,
    )
    await call.service.pools.short(
        call.workspace.audit.record,
        call.actor,
        "download",
        object_kind="query",
        object_id=query_id,
        request_id=call.actor.request_id,
        address=call.actor.address,
    )
    return StreamingResponse(
        downloads.chunks(call.service.pools, file),
        media_type=kind.media_type,
        headers={
            "Content-Length": str(length),
            "Content-Disposition": downloads.disposition(f"{name or query_id}.{kind.ending}"),
        },
    )


@router.get(
    "/{query_id}/profile",
    summary="Figures per column of a result",
    **answers(ProfileBody, problems=_RESULT),
)
async def profile(call: Caller, query_id: str) -> Response:
    """As for datasets."""
    found = await call.long(call.workspace.queries.profile, query_id)
    return json_response(results.profile(found))


@router.post(
    "/{query_id}/dataset",
    summary="Keep a result as a dataset",
    **answers(DatasetBody, status=201, problems=(*_RESULT, "store-full")),
)
async def keep(call: Caller, query_id: str, given: KeepResult) -> Response:
    """The dataset outlives the result."""
    made = await call.long(
        call.workspace.queries.keep, query_id, given.name, description=given.description
    )
    return call.one(DatasetBody, made, status=201, location=f"/api/v1/datasets/{made.id}")


@router.post(
    "/{query_id}/share",
    summary="Share a run",
    **answers(RunBody, problems=("not-found",)),
)
async def share(call: Caller, query_id: str, given: Share) -> Response:
    """With those who may view everything it read."""
    found = await call.short(call.workspace.queries.share, query_id, shared=given.shared)
    return json_response(results.dump(results.run_of(found)))


@router.patch(
    "/{query_id}",
    summary="Mark a run as favourite",
    **answers(RunBody, problems=("not-found",)),
)
async def change(call: Caller, query_id: str, given: RunChange) -> Response:
    """Favourites are kept however old."""
    found = await call.short(call.workspace.queries.update, query_id, favourite=given.favourite)
    return json_response(results.dump(results.run_of(found)))


@router.delete(
    "/{query_id}",
    summary="Remove a run from the history",
    **answers(
        status=204,
        problems=("not-found", "query-finished", "in-use"),
        description="Removed",
    ),
)
async def delete(call: Caller, query_id: str) -> Response:
    """With its result; the audit log keeps its line."""
    await call.short(call.workspace.queries.delete, query_id)
    return no_content()
