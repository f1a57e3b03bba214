"""Refusals of the workspace, and the problem codes of every error.

Codes are stable: clients act on them. :func:`problem_of` turns any error of the library into a
:class:`~dovetail.workspace.shapes.Problem`, so that a failed run in the history and the answer to
the request that started it say the same.
"""

from __future__ import annotations

from typing import Any

from dovetail.errors import (
    AuthenticationError,
    BindError,
    BytesExceededError,
    CancelledError,
    ConfigError,
    DataError,
    DovetailError,
    LimitError,
    NotSupportedError,
    QuerySyntaxError,
    RefusedError,
    RowsExceededError,
    SourceError,
    TimeoutExceededError,
    UnknownNameError,
    UsageError,
)
from dovetail.workspace.shapes import Problem

_SHOWN = 20

CODES: dict[str, str] = {
    # code → title. Statuses belong to the REST interface.
    "sql-empty": "The query is empty",
    "sql-syntax": "The query is not valid SQL",
    "sql-multiple": "Only one statement can be run",
    "sql-not-read-only": "Only queries that read are allowed",
    "sql-binding": "A name or type in the query is wrong",
    "sql-runtime": "The query failed while it ran",
    "sql-not-supported": "The query asks for something that is not supported",
    "unauthenticated": "Authentication is needed",
    "forbidden": "Not allowed",
    "not-found": "Not found",
    "alias-taken": "The alias is taken",
    "already-member": "The dataset is already in the group",
    "name-taken": "The name is taken",
    "group-empty": "The group has no datasets",
    "dataset-not-ready": "A dataset is not ready",
    "query-finished": "The query has finished",
    "query-cancelled": "The query was cancelled",
    "in-use": "The object is in use",
    "ambiguous-member": "The dataset is in the group more than once",
    "result-expired": "The result has expired",
    "result-missing": "The query has no result",
    "stale": "The object was changed by someone else",
    "too-large": "Too large",
    "store-full": "The user's store is full",
    "unsupported-media-type": "The file is of no known kind",
    "validation": "A value is not valid",
    "target-ambiguous": "Cannot specify both dataset_id and group_id",
    "target-missing": "A target is needed",
    "alias-invalid": "The alias is not valid",
    "alias-reserved": "The alias is a reserved word",
    "qualifier-unknown": "Unknown database in the query",
    "parameters": "Parameters are missing or left over",
    "file-unreadable": "The file cannot be read",
    "file-empty": "The file is empty",
    "key-reused": "The idempotency key was used with another request",
    "too-many-requests": "Too many requests",
    "queue-full": "Too many queries are waiting",
    "source-unavailable": "A source is unavailable",
    "source-query": "A source refused its part of the query",
    "busy": "The server is busy",
    "resources-exhausted": "The query needs more than it may use",
    "query-timeout": "The query took too long",
    "worker-lost": "The worker that ran the query is gone",
    "interrupted": "The server was stopped",
    "extension-missing": "An extension is not installed",
    "configuration": "The configuration is wrong",
    "internal": "Internal error",
}


class WorkspaceError(DovetailError):
    """The workspace refuses a request: ``code`` is a key of :data:`CODES`.

    ``title`` is the code's unless a nearer one is given; ``extra`` holds what helps to mend it.
    """

    exit_code = 1
    kind = "workspace"

    def __init__(self, code: str, detail: str, *, title: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.title = title or CODES[code]
        self.extra = extra

    def to_dict(self) -> dict[str, object]:
        """The error as plain data."""
        return {**super().to_dict(), "kind": self.code, **self.extra}


_CODES_OF: tuple[tuple[type[DovetailError], str], ...] = (
    (QuerySyntaxError, "sql-syntax"),
    (UnknownNameError, "sql-binding"),
    (BindError, "sql-binding"),
    (RefusedError, "sql-not-read-only"),
    (DataError, "sql-runtime"),
    (AuthenticationError, "source-unavailable"),
    (TimeoutExceededError, "query-timeout"),
    (RowsExceededError, "resources-exhausted"),
    (BytesExceededError, "resources-exhausted"),
    (LimitError, "resources-exhausted"),
    (CancelledError, "query-cancelled"),
    (ConfigError, "configuration"),
    (UsageError, "validation"),
    (NotSupportedError, "sql-not-supported"),
)


def problem_of(error: BaseException) -> Problem:
    """What went wrong, as data; nothing of an unexpected error is shown but that it happened."""
    if isinstance(error, WorkspaceError):
        return Problem(error.code, error.title, error.message, extra=error.extra)
    if not isinstance(error, DovetailError):
        return Problem("internal", CODES["internal"], "an unexpected error; see the server's log")
    code = _code_of(error)
    location = error.location
    return Problem(
        code,
        CODES[code],
        error.message,
        line=location.line if location else None,
        column=location.column if location else None,
        candidates=error.suggestions[:3],
        source=error.source,
        retryable=bool(getattr(error, "retryable", False)),
        extra=getattr(error, "extra", {}),
    )


def _code_of(error: DovetailError) -> str:
    # The judge tells these two apart in words only; tests hold it to them.
    if isinstance(error, RefusedError) and error.message.startswith("only one statement"):
        return "sql-multiple"
    if isinstance(error, QuerySyntaxError) and error.message.startswith("the text holds no"):
        return "sql-empty"
    if isinstance(error, SourceError) and not isinstance(error, AuthenticationError):
        return "source-query" if error.exit_code == 1 else "source-unavailable"
    return next((code for kind, code in _CODES_OF if isinstance(error, kind)), "internal")


def invalid(loc: str, message: str, **extra: Any) -> WorkspaceError:
    """A ``validation`` error about the field ``loc``."""
    valid = [str(one) for one in extra.get("valid") or ()]
    tail = f" ({', '.join(valid[:_SHOWN])})" if valid else ""
    return WorkspaceError(
        "validation",
        f"{loc}: {message}{tail}",
        errors=[{"loc": loc, "msg": message, "type": "value_error"}],
        **extra,
    )


def not_found(what: str, *, title: str | None = None) -> WorkspaceError:
    """A ``not-found`` error, also for what is there and may not be seen."""
    return WorkspaceError("not-found", f"there is no such {what}", title=title)
