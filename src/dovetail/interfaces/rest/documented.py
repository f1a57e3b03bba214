"""What a path can answer, for the OpenAPI document: its shape and the codes of its problems."""

from __future__ import annotations

import json
import threading
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dovetail.interfaces.rest.bodies import ProblemBody
from dovetail.interfaces.rest.problems import MEDIA_TYPE, STATUSES, TITLES

_ALWAYS = ("host-unknown", "validation", "busy", "internal")
_BEHIND_TOKEN = ("unauthenticated", "forbidden", "too-many-requests")
_WITH_BODY = ("json-malformed", "too-large", "unsupported-media-type", "origin-unknown")
_CODES = "x-problem-codes"
_PUBLIC = "x-public"
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
        "openapi_extra": {**(extra or {}), _CODES: codes, _PUBLIC: public},
    }


def _complete(method: str, operation: dict[str, Any]) -> None:
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
    if not operation.pop(_PUBLIC):
        operation["security"] = [{"token": []}]


class Document:
    """The OpenAPI document of an application, made when somebody asks: that takes a while."""

    def __init__(self, app: FastAPI, base_path: str) -> None:
        self._app = app
        self._base_path = base_path
        self._lock = threading.Lock()
        self._content: bytes | None = None

    def content(self) -> bytes:
        """As JSON. Blocking."""
        with self._lock:
            if self._content is None:
                self._content = json.dumps(self.data(), ensure_ascii=False).encode()
            return self._content

    def data(self) -> dict[str, Any]:
        """As plain data, made anew."""
        made: dict[str, Any] = get_openapi(
            title=self._app.title,
            version=self._app.version,
            description=self._app.description,
            routes=self._app.routes,
            servers=[{"url": self._base_path}] if self._base_path else None,
        )
        schemas = made["components"]["schemas"]
        schemas["ProblemBody"] = ProblemBody.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for operations in made["paths"].values():
            for method, operation in operations.items():
                _complete(method, operation)
        return made
