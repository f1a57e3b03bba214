"""``/queries/sql``, ``/queries/nl`` and what only looks at a text; ``/cross-database/query``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from dovetail.interfaces.rest import parameters, results, running
from dovetail.interfaces.rest.bodies import (
    AcceptedBody,
    CrossDatabaseBody,
    ExplainBody,
    FormattedBody,
    NlResultBody,
    NlSqlBody,
    QueryResultBody,
    ValidationBody,
)
from dovetail.interfaces.rest.call import Call, Caller, json_response
from dovetail.interfaces.rest.documented import QUERY_PROBLEMS, answers
from dovetail.interfaces.rest.inputs import (
    CheckedQuery,
    CrossDatabaseQuery,
    NlQuery,
    SqlQuery,
    SqlText,
)
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.interfaces.rest.repeats import key_of, once
from dovetail.interfaces.rest.routes import API
from dovetail.interfaces.rest.routes.shaped import Numbers, Shape
from dovetail.interfaces.rest.translator import Translation, TranslationError
from dovetail.workspace.problems import WorkspaceError
from dovetail.workspace.shapes import Problem, QueryAnswer, QueryRequest, Target

router = APIRouter(prefix=f"{API}/queries", tags=["Queries"])
cross_router = APIRouter(tags=["Queries"])

_SYNC_LIMIT = 10_000
_SYNC_SECONDS = 300
_FAILED = "Failed to generate SQL"


def _out_of_range(field: str, message: str) -> ProblemError:
    return ProblemError(
        "validation",
        f"{field}: {message}",
        errors=[{"loc": field, "msg": message, "type": "less_than_equal"}],
    )


_sql_answers = answers(
    QueryResultBody, problems=(*QUERY_PROBLEMS, "key-reused"), description="The rows"
)
_sql_answers["responses"][202] = {
    "model": AcceptedBody,
    "description": "Taken, in async mode; `Location` is where to poll",
}


@router.post("/sql", summary="Run SQL", **_sql_answers)
async def sql(
    call: Caller,
    given: SqlQuery,
    shape: Shape = "objects",
    numbers: Numbers = "native",
    prefer: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Over one dataset (`dataset`), a group (its aliases) or connections (`alias.table`)."""
    wants_async = given.mode == "async" or "respond-async" in (prefer or "")
    if not wants_async:
        if given.limit is not None and given.limit > _SYNC_LIMIT:
            raise _out_of_range("limit", f"at most {_SYNC_LIMIT:,}; async mode takes 10,000,000")
        if given.timeout_secs is not None and given.timeout_secs > _SYNC_SECONDS:
            raise _out_of_range("timeout_secs", "at most 300; async mode takes 3600")
    request = QueryRequest(
        given.sql,
        running.target_of(given),
        params=parameters.parse(given.params),
        limit=given.limit,
        apply_limit=given.apply_limit,
        timeout=given.timeout_secs,
        cache=given.cache,
    )

    async def make() -> Response:
        if wants_async:
            started = await call.short(call.workspace.queries.start, request)
            return json_response(
                {"query_id": started.id, "status": started.status},
                status=202,
                headers={"Location": f"{call.root}/api/v1/queries/{started.id}"},
            )

        def encode(answer: QueryAnswer) -> dict[str, Any]:
            return results.query_result(answer, shape=shape, numbers=numbers)

        return json_response(await running.run(call, request, encode))

    return await once(call, key_of(call), await call.digest(), make)


@router.post(
    "/nl",
    summary="Ask a question",
    **answers(
        NlResultBody | NlSqlBody,
        problems=(
            *QUERY_PROBLEMS,
            "sql-generation-failed",
            "llm-not-configured",
            "llm-unavailable",
        ),
    ),
)
async def nl(
    call: Caller, given: NlQuery, shape: Shape = "objects", numbers: Numbers = "native"
) -> Response:
    """The question becomes SQL, which passes the same checks as typed SQL."""
    target = running.target_of(given)
    call.actor.require("query")
    try:
        translation = await _translate(call, given, target)
    except WorkspaceError as error:
        raise ProblemError(error.code, error.message, title=_FAILED, **error.extra) from None
    told = {
        "explanation": translation.explanation,
        "assumptions": list(translation.assumptions),
        "attempts": translation.attempts,
        "model": translation.model,
    }
    if not given.execute:
        return json_response({"sql": translation.sql, "retrieved_columns": [], **told})
    request = QueryRequest(translation.sql, target, origin="nl", question=given.query)

    def encode(answer: QueryAnswer) -> dict[str, Any]:
        return {**results.query_result(answer, shape=shape, numbers=numbers), **told}

    return json_response(await running.run(call, request, encode))


async def _translate(call: Call, given: NlQuery, target: Target) -> Translation:
    translator = call.service.translator
    if translator is None:
        raise ProblemError(
            "llm-not-configured",
            "no language model is configured (llm.kind); POST /api/v1/queries/sql takes SQL",
        )
    try:
        return await call.long(
            translator.translate, given.query, target, conversation_id=given.conversation_id
        )
    except TranslationError as error:
        raise ProblemError(
            error.code,
            str(error),
            attempts=[{"sql": a.sql, "error": a.error} for a in error.attempts],
        ) from None


def _checked(given: CheckedQuery) -> QueryRequest:
    return QueryRequest(given.sql, running.target_of(given), params=parameters.parse(given.params))


@router.post(
    "/explain",
    summary="The plan of a query",
    **answers(ExplainBody, problems=QUERY_PROBLEMS),
)
async def explain(
    call: Caller,
    given: CheckedQuery,
    analyze: Annotated[bool, Query(description="Run it, and add what it cost.")] = False,
) -> Response:
    """Fragments with their SQL, what is pushed, and why the rest is not."""
    found = await call.long(call.workspace.queries.explain, _checked(given), analyze=analyze)
    return json_response(results.dump({"text": found.text, "plan": dict(found.data)}))


@router.post(
    "/validate",
    summary="Whether a query would run",
    **answers(
        ValidationBody,
        problems=(
            "target-ambiguous",
            "target-missing",
            "parameters",
            "not-found",
            "dataset-not-ready",
            "group-empty",
            "qualifier-unknown",
            "source-unavailable",
            "source-query",
            "configuration",
        ),
    ),
)
async def validate(call: Caller, given: CheckedQuery) -> Response:
    """Diagnostics with line and column, or the columns of the result."""
    found = await call.long(call.workspace.queries.validate, _checked(given))
    return json_response(
        {
            "valid": not found.problems,
            "diagnostics": [_diagnostic(problem) for problem in found.problems],
            "columns": results.columns(found.columns),
        }
    )


def _diagnostic(problem: Problem) -> dict[str, Any]:
    near = problem.candidates[0] if problem.candidates else None
    return {
        "line": problem.line,
        "column": problem.column,
        "length": problem.extra.get("length"),
        "severity": "error",
        "code": problem.code,
        "message": problem.detail,
        "suggestion": problem.extra.get("suggestion", near),
    }


@router.post(
    "/format",
    summary="Lay SQL out",
    **answers(FormattedBody),
)
async def format_sql(call: Caller, given: SqlText) -> Response:
    """Text that cannot be laid out without changing what it means comes back as it is."""
    from dovetail.interfaces.rest.formatting import layout

    made = await call.service.pools.short(layout, given.sql)
    return json_response({"sql": made, "changed": made != given.sql})


_cross_answers = answers(CrossDatabaseBody, problems=(*QUERY_PROBLEMS, "key-reused"))


# The first address is what the product's first documents gave it.
@cross_router.post(
    "/api/cross-database/query",
    summary="Run SQL over several databases",
    name="cross_database_first_address",
    **_cross_answers,
)
@cross_router.post(
    f"{API}/cross-database/query", summary="Run SQL over several databases", **_cross_answers
)
async def cross_database(
    call: Caller,
    given: CrossDatabaseQuery,
    shape: Shape = "objects",
    numbers: Numbers = "native",
) -> Response:
    """Tables are `alias.table` or `alias.schema.table`."""
    request = QueryRequest(
        given.query,
        Target(connection_ids=tuple(given.connection_ids), database_aliases=given.database_aliases),
        limit=given.limit_value,
        apply_limit=given.apply_limit,
        timeout=given.timeout_secs,
    )

    def encode(answer: QueryAnswer) -> dict[str, Any]:
        return results.cross_database(answer, shape=shape, numbers=numbers)

    async def make() -> Response:
        return json_response(await running.run(call, request, encode))

    return await once(call, key_of(call), await call.digest(), make)
