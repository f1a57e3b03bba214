"""What a path can answer, for the OpenAPI document: its shape and the codes of its problems."""

from __future__ import annotations

from typing import Any

from dovetail.interfaces.rest.problems import MEDIA_TYPE, STATUSES, TITLES

_ALWAYS = ("host-unknown", "validation", "busy", "internal")
_BEHIND_TOKEN = ("unauthenticated", "forbidden", "too-many-requests")
_WITH_BODY = ("json-malformed", "too-large", "unsupported-media-type", "origin-unknown")
_CODES = "x-problem-codes"
_READS = frozenset(("get", "head"))

QUERY_PROBLEMS = (
    "sql-empty",
    "sql-syntax",
    "sql-multiple",
    "sql-not-read-only",
    "sql-not-supported",
    "sql-binding",
    "sql-runtime",
    "target-ambiguous",
    "target-missing",
    "qualifier-unknown",
    "parameters",
    "configuration",
    "not-found",
    "group-empty",
    "dataset-not-ready",
    "query-cancelled",
    "queue-full",
    "extension-missing",
    "source-unavailable",
    "source-query",
    "resources-exhausted",
    "query-timeout",
    "interrupted",
    "worker-lost",
)
"""What running SQL can give."""


CHANGE = ("not-found", "stale")
"""What changing an object can give."""


def answers(
    model: Any = None,
    *,
    status: int = 200,
    problems: tuple[str, ...] = (),
    public: bool = False,
    content: dict[str, Any] | None = None,
    description: str = "OK",
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments of a route: what it answers.

    ``problems`` are codes besides those that any path has. ``public`` paths need no token.
    ``extra`` goes into the document as it is.
    """
    success: dict[str, Any] = {"description": description}
    if model is not None:
        success["model"] = model
    if content is not None:
        success["content"] = content
    codes = [*_ALWAYS, *(() if public else _BEHIND_TOKEN), *problems]
    return {
        "status_code": status,
        "response_model": None,
        "responses": {status: success},
        "openapi_extra": {**(extra or {}), _CODES: codes},
    }


def complete(method: str, operation: dict[str, Any]) -> None:
    """Write the problems of an operation into its responses, by status, each with its codes."""
    codes: list[str] = operation.pop(_CODES)
    if method not in _READS:
        codes += _WITH_BODY
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(STATUSES[code], []).append(code)
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own
    for status, listed in sorted(by_status.items()):
        response = responses.setdefault(str(status), {"description": ""})
        told = "; ".join(f"`{code}`: {TITLES[code]}" for code in listed)
        response["description"] = "; ".join(filter(None, (response["description"], told)))
        response.setdefault("content", {})[MEDIA_TYPE] = {
            "schema": {"$ref": "#/components/schemas/ProblemBody"}
        }
        response[_CODES] = listed
    if "unauthenticated" in codes:
        operation["security"] = [{"token": []}]
