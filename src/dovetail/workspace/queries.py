"""Queries: run, start, watch, cancel, read results, look back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import (
    Dataset,
    Explained,
    Page,
    QueryAnswer,
    QueryRequest,
    QueryRun,
    Rows,
    StoredResult,
    TableProfile,
    Validation,
)


class Queries:
    """Runs queries for users, each with the sight of its own target only, and remembers them."""

    # -- running --------------------------------------------------------------------------------

    def run(
        self,
        actor: Actor,
        request: QueryRequest,
        *,
        on_start: Callable[[str], None] | None = None,
    ) -> QueryAnswer:
        """Run and wait. ``on_start`` gets the run's id, so that another thread can cancel it.

        At most 10,000 rows and 16 MiB; beyond, ``run.truncated``. Errors of the query are stored
        and raised; they carry ``query_id``.

        Raises:
            WorkspaceError: ``target-missing``, ``target-ambiguous``, ``validation``,
                ``qualifier-unknown`` (``valid``), ``parameters``, ``dataset-not-ready``,
                ``group-empty``, ``queue-full`` (``retry_after``), ``not-found``, ``forbidden``.
            DovetailError: what the query itself meets.
        """
        raise NotImplementedError

    def start(self, actor: Actor, request: QueryRequest) -> QueryRun:
        """Queue and return at once, PENDING; its target and text have been checked."""
        raise NotImplementedError

    def get(self, actor: Actor, query_id: str, *, wait: float = 0.0) -> QueryRun:
        """A run as it stands; with ``wait`` (30 s at most) as soon as it has finished."""
        raise NotImplementedError

    def cancel(self, actor: Actor, query_id: str) -> QueryRun:
        """Stop it here and at the sources. Raises ``query-finished``."""
        raise NotImplementedError

    def explain(self, actor: Actor, request: QueryRequest, *, analyze: bool = False) -> Explained:
        """The plan; nothing runs at the sources but their catalogs, unless ``analyze``."""
        raise NotImplementedError

    def validate(self, actor: Actor, request: QueryRequest) -> Validation:
        """Whether it would run, and what columns it would give."""
        raise NotImplementedError

    # -- results --------------------------------------------------------------------------------

    def rows(
        self,
        actor: Actor,
        query_id: str,
        *,
        offset: int = 0,
        limit: int = 1_000,
        sort: Sequence[tuple[str, bool]] = (),
        filters: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Rows:
        """A page of the stored result (1–10,000 rows).

        ``sort`` holds ``(column, descending)``; ``filters`` maps column → ``{operator: value}``
        with eq, ne, lt, le, gt, ge, in, contains, null. ``total_rows`` counts what passes.

        Raises:
            WorkspaceError: ``result-expired`` (``sql``), ``result-missing``, ``validation``.
        """
        raise NotImplementedError

    def result(self, actor: Actor, query_id: str) -> StoredResult:
        """The whole stored result. Grants are checked again. Raises as :meth:`rows`."""
        raise NotImplementedError

    def profile(self, actor: Actor, query_id: str) -> TableProfile:
        """Figures per column of the stored result."""
        raise NotImplementedError

    def keep(
        self, actor: Actor, query_id: str, name: str, *, description: str | None = None
    ) -> Dataset:
        """Keep a result as a new dataset."""
        raise NotImplementedError

    # -- history --------------------------------------------------------------------------------

    def history(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        q: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        min_ms: float | None = None,
        target: str | None = None,
        user: str | None = None,
        favourite: bool | None = None,
    ) -> Page[QueryRun]:
        """One's own runs, newest first; ``user`` (id, name or ``*``) is for admins.

        ``target`` is the id of a dataset, group or connection.
        """
        raise NotImplementedError

    def update(self, actor: Actor, query_id: str, *, favourite: bool) -> QueryRun:
        """Mark or unmark a favourite; those are kept however old."""
        raise NotImplementedError

    def share(self, actor: Actor, query_id: str, *, shared: bool = True) -> QueryRun:
        """Let those read it who may view everything it read."""
        raise NotImplementedError

    def delete(self, actor: Actor, query_id: str) -> None:
        """Take a finished run out of the history, with its result."""
        raise NotImplementedError
