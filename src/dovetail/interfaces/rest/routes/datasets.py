"""``/datasets``: uploads, tables by reference, looking at them, changing and deleting them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from dovetail.interfaces.rest import results
from dovetail.interfaces.rest.bodies import DatasetBody, ProfileBody, RowsBody, SchemaBody
from dovetail.interfaces.rest.call import Call, Caller, Listed, json_response, no_content
from dovetail.interfaces.rest.documented import CHANGE, answers
from dovetail.interfaces.rest.inputs import DatasetChange, DatasetReference
from dovetail.interfaces.rest.repeats import key_of, once
from dovetail.interfaces.rest.routes import API
from dovetail.interfaces.rest.routes.shaped import Numbers, Shape
from dovetail.interfaces.rest.uploads import receive
from dovetail.workspace.datasets import Upload

router = APIRouter(prefix=f"{API}/datasets", tags=["Datasets"])

_FILE_PROBLEMS = (
    "too-large",
    "store-full",
    "unsupported-media-type",
    "file-empty",
    "file-unreadable",
    "key-reused",
)
_READING = ("not-found", "dataset-not-ready", "source-unavailable", "source-query", "query-timeout")


def _form(**fields: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, **fields},
        "additionalProperties": False,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema}},
        }
    }


_TEXT = {"type": "string"}
_OPTIONS = {
    "type": "string",
    "contentMediaType": "application/json",
    "description": "JSON object: delimiter, quote, header, encoding, decimal, nullstr, "
    "date_format, skip, sheet, types, on_error.",
    "example": '{"delimiter": ";"}',
}


@router.post(
    "/upload",
    summary="Upload a file as a dataset",
    **answers(
        DatasetBody,
        status=201,
        problems=_FILE_PROBLEMS,
        extra=_form(name=_TEXT, description=_TEXT, options=_OPTIONS),
    ),
)
async def upload(call: Caller) -> Response:
    """CSV, TSV, JSON, JSON lines, Parquet or Excel; the text kinds also as `.gz` or `.zst`."""
    key = key_of(call)

    def begin(filename: str) -> Upload:
        return call.workspace.datasets.begin_upload(call.actor, filename)

    received = await receive(call, begin, ("name", "description", "options"))

    async def make() -> Response:
        dataset = await received.finish(call)
        location = f"/api/v1/datasets/{dataset.id}"
        return call.one(DatasetBody, dataset, status=201, location=location)

    try:
        return await once(call, key, received.fingerprint, make)
    finally:
        await received.abort(call)  # nothing, once it is finished


@router.post(
    "",
    summary="Register a table of a source",
    **answers(
        DatasetBody,
        status=201,
        problems=("not-found", "source-unavailable", "source-query"),
    ),
)
async def register(call: Caller, given: DatasetReference) -> Response:
    """The table is not copied: queries read it where it is."""
    dataset = await call.long(
        call.workspace.datasets.register,
        given.source,
        given.table,
        schema=given.schema_name,
        name=given.name,
    )
    return call.one(DatasetBody, dataset, status=201, location=f"/api/v1/datasets/{dataset.id}")


@router.get("", summary="List datasets", **answers(list[DatasetBody]))
async def list_datasets(
    call: Caller, page: Listed, deleted: Annotated[bool, Query(description="The deleted.")] = False
) -> Response:
    """Those you may view, newest first."""
    found = await call.short(
        call.workspace.datasets.list,
        limit=page.limit,
        cursor=page.cursor,
        q=page.q,
        deleted=deleted,
    )
    return call.page(DatasetBody, found)


@router.get("/{dataset_id}", summary="One dataset", **answers(DatasetBody, problems=("not-found",)))
async def get(call: Caller, dataset_id: str) -> Response:
    """Poll this while `status` is `PROCESSING`."""
    return call.one(DatasetBody, await call.short(call.workspace.datasets.get, dataset_id))


@router.patch(
    "/{dataset_id}",
    summary="Change name or descriptions",
    **answers(DatasetBody, problems=(*CHANGE, "name-taken")),
)
async def change(call: Caller, dataset_id: str, given: DatasetChange) -> Response:
    """Honours `If-Match`."""
    dataset = await call.short(
        call.workspace.datasets.update,
        dataset_id,
        name=given.name,
        description=_removable(given, "description"),
        columns=given.columns,
        if_match=call.if_match(),
    )
    return call.one(DatasetBody, dataset)


def _removable(given: DatasetChange, field: str) -> str | None:
    """A field set to null is emptied; one that is left out stays."""
    value: str | None = getattr(given, field)
    return "" if value is None and field in given.model_fields_set else value


@router.put(
    "/{dataset_id}/file",
    summary="New content for a dataset",
    **answers(
        DatasetBody,
        problems=(*_FILE_PROBLEMS, "not-found", "dataset-not-ready"),
        extra=_form(options=_OPTIONS),
    ),
)
async def replace(call: Caller, dataset_id: str) -> Response:
    """The id stays, `dataset_version` grows; the earlier version is kept for seven days."""

    def begin(filename: str) -> Upload:
        return call.workspace.datasets.begin_upload(call.actor, filename, replaces=dataset_id)

    received = await receive(call, begin, ("options",))
    try:
        return call.one(DatasetBody, await received.finish(call))
    finally:
        await received.abort(call)


@router.get("/{dataset_id}/schema", summary="Columns", **answers(SchemaBody, problems=_READING))
async def schema(call: Caller, dataset_id: str) -> Response:
    """Names, types, keys and descriptions."""
    return call.one(SchemaBody, await call.long(call.workspace.datasets.schema, dataset_id))


@router.get(
    "/{dataset_id}/profile", summary="Figures per column", **answers(ProfileBody, problems=_READING)
)
async def profile(call: Caller, dataset_id: str) -> Response:
    """Counts, extremes, averages, top values and a histogram."""
    found = await call.long(call.workspace.datasets.profile, dataset_id)
    return json_response(results.profile(found))


@router.get("/{dataset_id}/preview", summary="Rows", **answers(RowsBody, problems=_READING))
async def preview(
    call: Caller,
    dataset_id: str,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    shape: Shape = "objects",
    numbers: Numbers = "native",
) -> Response:
    """Rows as they lie in the file."""
    return await _preview(call, dataset_id, limit, offset, shape, numbers)


async def _preview(
    call: Call, dataset_id: str, limit: int, offset: int, shape: str, numbers: str
) -> Response:
    datasets = call.workspace.datasets

    def read(actor: Any) -> bytes:
        page = datasets.preview(actor, dataset_id, limit=limit, offset=offset)
        return results.dump(results.page_of(page, shape=shape, numbers=numbers))

    return json_response(await call.long(read))


@router.delete(
    "/{dataset_id}",
    summary="Delete a dataset",
    **answers(status=204, problems=("not-found",), description="Deleted"),
)
async def delete(call: Caller, dataset_id: str) -> Response:
    """Soft: it can be restored for 30 days."""
    await call.short(call.workspace.datasets.delete, dataset_id)
    return no_content()


@router.post(
    "/{dataset_id}/restore",
    summary="Undo a deletion",
    **answers(DatasetBody, problems=("not-found",)),
)
async def restore(call: Caller, dataset_id: str) -> Response:
    """Within 30 days."""
    return call.one(DatasetBody, await call.short(call.workspace.datasets.restore, dataset_id))


@router.post(
    "/{dataset_id}/purge",
    summary="Remove a deleted dataset for good",
    **answers(status=204, problems=("not-found", "in-use"), description="Removed"),
)
async def purge(call: Caller, dataset_id: str) -> Response:
    """With its files; for admins."""
    await call.short(call.workspace.datasets.purge, dataset_id)
    return no_content()
