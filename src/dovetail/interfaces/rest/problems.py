"""Errors as RFC 9457 problem documents: one table of codes, one body, one place that builds it.

A code is what clients act on. Its title comes from the workspace
(:data:`dovetail.workspace.problems.CODES`) or, for what only HTTP knows, from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Response

from dovetail.workspace.problems import CODES, problem_of
from dovetail.workspace.shapes import Problem

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[str, int] = {
    "json-malformed": 400,
    "sql-empty": 400,
    "sql-syntax": 400,
    "sql-multiple": 400,
    "sql-not-read-only": 400,
    "sql-not-supported": 400,
    "sql-binding": 400,
    "sql-runtime": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "host-unknown": 403,
    "origin-unknown": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "alias-taken": 409,
    "already-member": 409,
    "ambiguous-member": 409,
    "name-taken": 409,
    "in-use": 409,
    "group-empty": 409,
    "dataset-not-ready": 409,
    "query-finished": 409,
    "query-cancelled": 409,
    "result-missing": 409,
    "store-full": 409,
    "result-expired": 410,
    "stale": 412,
    "too-large": 413,
    "unsupported-media-type": 415,
    "validation": 422,
    "target-ambiguous": 422,
    "target-missing": 422,
    "alias-invalid": 422,
    "alias-reserved": 422,
    "qualifier-unknown": 422,
    "parameters": 422,
    "configuration": 422,
    "file-unreadable": 422,
    "file-empty": 422,
    "key-reused": 422,
    "sql-generation-failed": 422,
    "too-many-requests": 429,
    "queue-full": 429,
    "internal": 500,
    "worker-lost": 500,
    "interrupted": 500,
    "extension-missing": 501,
    "source-unavailable": 502,
    "source-query": 502,
    "llm-unavailable": 502,
    "busy": 503,
    "resources-exhausted": 503,
    "llm-not-configured": 503,
    "query-timeout": 504,
}

_TITLES_OF_HTTP: dict[str, str] = {
    "json-malformed": "The body is not JSON",
    "host-unknown": "The host name is not served here",
    "origin-unknown": "The request comes from another site",
    "method-not-allowed": "The path has no such method",
    "sql-generation-failed": "Failed to generate SQL",
    "llm-not-configured": "Failed to generate SQL",
    "llm-unavailable": "Failed to generate SQL",
}
TITLES: dict[str, str] = {**CODES, **_TITLES_OF_HTTP}

# Seconds after which another try is worth while.
_RETRY_AFTER = {"too-many-requests": 60, "queue-full": 5, "busy": 5}


def body(
    problem: Problem, *, instance: str, request_id: str, base_path: str = ""
) -> dict[str, Any]:
    """The JSON body of a problem."""
    found: dict[str, Any] = {
        "type": f"{base_path}/problems/{problem.code}",
        "title": problem.title,
        "status": STATUSES[problem.code],
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.line is not None:
        found["line"], found["column"] = problem.line, problem.column
    if problem.candidates:
        found["candidates"] = list(problem.candidates)
    if problem.source is not None:
        found["source"] = problem.source
    if problem.retryable:
        found["retryable"] = True
    for name, value in problem.extra.items():
        found.setdefault(name, value)
    return found


def respond(
    problem: Problem,
    *,
    instance: str,
    request_id: str,
    base_path: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The whole answer."""
    data = body(problem, instance=instance, request_id=request_id, base_path=base_path)
    sent = dict(headers or {})
    if problem.code in _RETRY_AFTER:
        sent.setdefault("Retry-After", str(data.get("retry_after", _RETRY_AFTER[problem.code])))
    if problem.code == "unauthenticated":
        sent.setdefault("WWW-Authenticate", 'Bearer realm="dovetail"')
    return Response(
        json.dumps(data, ensure_ascii=False, default=str).encode(),
        status_code=STATUSES[problem.code],
        media_type=MEDIA_TYPE,
        headers=sent,
    )


def make(code: str, detail: str, *, title: str | None = None, **extra: Any) -> Problem:
    """A problem that only HTTP knows of."""
    return Problem(code, title or TITLES[code], detail, extra=extra)


class ProblemError(Exception):
    """Ends a request with a problem of the interface itself."""

    def __init__(self, code: str, detail: str, *, title: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.problem = make(code, detail, title=title, **extra)


def of_error(error: BaseException) -> Problem:
    """Any error as a problem; an unexpected one is ``internal`` and says nothing of itself."""
    if isinstance(error, ProblemError):
        return error.problem
    return problem_of(error)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """FastAPI's complaints about a request: where, what, of which kind; never the value."""
    if any(error.get("type") == "json_invalid" for error in errors):
        error = next(e for e in errors if e.get("type") == "json_invalid")
        reason = (error.get("ctx") or {}).get("error", "")
        return make("json-malformed", f"the body is not JSON: {reason}".rstrip(": "))
    listed = []
    for error in errors:
        place = [str(part) for part in error.get("loc", ())]
        where = place[1:] if place and place[0] in _PLACES else place
        item = {"loc": ".".join(where), "msg": error.get("msg", ""), "type": error.get("type", "")}
        if item not in listed:
            listed.append(item)
    names = [item["loc"] for item in listed if item["loc"]]
    first = listed[0] if listed else {"loc": "", "msg": "not valid"}
    detail = f"{first['loc'] or 'the body'}: {first['msg']}"
    if len(listed) > 1:
        detail += f" (and {len(listed) - 1} more: {', '.join(names[1:6])})"
    return make("validation", detail, errors=listed)


_PLACES = ("body", "query", "path", "header", "cookie")
