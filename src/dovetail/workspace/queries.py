"""Queries: run, start, watch, cancel, read results, look back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sqlalchemy import update

from dovetail.errors import DovetailError, QueryError
from dovetail.workspace import about
from dovetail.workspace.access import Actor
from dovetail.workspace.audit import record
from dovetail.workspace.conversion import Converted, private_duckdb, write_parquet
from dovetail.workspace.history import UNFINISHED, History, RunFilter, show_run
from dovetail.workspace.models import DatasetRow, QueryRow, new_id
from dovetail.workspace.paging import require_limit
from dovetail.workspace.problems import WorkspaceError, invalid, problem_of
from dovetail.workspace.profiling import parquet_relation, profile
from dovetail.workspace.result_files import read_slice, select
from dovetail.workspace.running import Job, Runner, in_terms_of
from dovetail.workspace.sessions import Sessions
from dovetail.workspace.shapes import (
    Column,
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
from dovetail.workspace.statements import Statements, require_sql
from dovetail.workspace.store import Store
from dovetail.workspace.uploads import add_version
from dovetail.workspace.views import DATA_FILE, View, Views

if TYPE_CHECKING:
    from dovetail.workspace.datasets import Datasets

_POLL_SECONDS = 0.2
_LONGEST_WAIT = 30.0
_MOST_ROWS_A_PAGE = 10_000


class Queries:
    """Runs queries for users, each with the sight of its own target only, and remembers them."""

    def __init__(
        self,
        store: Store,
        views: Views,
        sessions: Sessions,
        runner: Runner,
        records: History,
        statements: Statements,
        datasets: Datasets,
    ) -> None:
        self._store = store
        self._views = views
        self._sessions = sessions
        self._runner = runner
        self._history = records
        self._statements = statements
        self._datasets = datasets

    @property
    def on_end(self) -> Callable[[QueryRun], None] | None:
        """Called once for every run of this process that has ended, whatever way, and is written
        down; from the thread that ended it. What it raises is logged and goes no further.
        """
        return self._runner.on_end

    @on_end.setter
    def on_end(self, listener: Callable[[QueryRun], None] | None) -> None:
        self._runner.on_end = listener

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
        actor.require("query")
        return self._run(actor, request, on_start)

    def run_saved(self, actor: Actor, request: QueryRequest) -> QueryAnswer:
        """As :meth:`run`, for a saved query, which viewers may run too."""
        actor.require("run saved query")
        return self._run(actor, request, None)

    def _run(
        self, actor: Actor, request: QueryRequest, on_start: Callable[[str], None] | None
    ) -> QueryAnswer:
        import pyarrow as pa

        job = self._job(actor, request, "sync")
        if on_start is not None:
            on_start(job.id)
        self._runner.submit(job)
        self._runner.wait(job)
        assert job.schema is not None
        run = show_run(job.row)
        table = pa.Table.from_batches(job.batches, schema=job.schema)
        return QueryAnswer(run, Rows(job.columns, table, 0, run.total_rows))

    def start(self, actor: Actor, request: QueryRequest) -> QueryRun:
        """Queue and return at once, PENDING; its target and text have been checked."""
        actor.require("query")
        job = self._job(actor, request, "async")
        self._runner.submit(job)
        return replace(show_run(job.row), status="PENDING")

    def _job(self, actor: Actor, request: QueryRequest, mode: str) -> Job:
        limits = self._store.limits
        require_sql(request.sql, limits.sql_characters)
        is_sync = mode == "sync"
        most = limits.sync_rows if is_sync else limits.async_rows
        longest = limits.sync_timeout_max if is_sync else limits.async_timeout
        usual = limits.sync_timeout if is_sync else limits.async_timeout
        if request.limit is not None and not 1 <= request.limit <= most:
            raise invalid("limit", f"must be 1 to {most:,}")
        if request.timeout is not None and not 1 <= request.timeout <= longest:
            raise invalid("timeout_secs", f"must be 1 to {longest:g}")
        params = self._statements.parameters(request.params)
        view = self._view(actor, request)
        applied = request.apply_limit and not self._statements.has_limit(request.sql)
        wanted = request.limit or limits.default_limit
        return Job(
            id=new_id(),
            actor=actor,
            request=request,
            view=view,
            mode=mode,
            params=params,
            timeout=request.timeout or usual,
            max_rows=min(wanted, most) if applied else most,
            max_bytes=limits.sync_bytes if is_sync else limits.async_bytes,
            limit_applied=applied,
            keep_rows=is_sync,
        )

    def _view(self, actor: Actor, request: QueryRequest) -> View:
        with self._store.read() as session:
            return self._views.of(session, actor, request.target)

    def get(self, actor: Actor, query_id: str, *, wait: float = 0.0) -> QueryRun:
        """A run as it stands; with ``wait`` (30 s at most) as soon as it has finished."""
        actor.require("read")
        with self._store.read() as session:
            self._history.readable(session, actor, query_id)
        until = time.monotonic() + min(max(wait, 0.0), _LONGEST_WAIT)
        while True:
            job = self._runner.job(query_id)
            if job is not None:
                job.done.wait(max(0.0, until - time.monotonic()))
            run = self._shown(query_id)
            if run.status not in UNFINISHED or time.monotonic() >= until:
                return _with_progress(run, job)
            time.sleep(_POLL_SECONDS)  # it runs in another process

    def cancel(self, actor: Actor, query_id: str) -> QueryRun:
        """Stop it here and at the sources. Raises ``query-finished``."""
        actor.require("query")
        with self._store.write() as session:
            row = self._history.owned(session, actor, query_id)
            if row.status not in UNFINISHED:
                raise WorkspaceError("query-finished", f"the query is {row.status} already")
            row.cancel_requested = True
            record(session, actor, "cancel query", "query", query_id)
        job = self._runner.job(query_id)
        if job is not None:
            self._runner.cancel(job)
        return self._shown(query_id)

    def explain(self, actor: Actor, request: QueryRequest, *, analyze: bool = False) -> Explained:
        """The plan; nothing runs at the sources but their catalogs, unless ``analyze``."""
        actor.require("query")
        require_sql(request.sql, self._store.limits.sql_characters)
        params = self._statements.parameters(request.params)
        view = self._view(actor, request)
        files = self._store.folders.files
        with self._sessions.lease(view) as session:
            try:
                explanation = session.explain(request.sql, params, analyze=analyze)
            except DovetailError as error:
                raise in_terms_of(view, request.sql, error, files) from None
        data = json.dumps(explanation.to_dict(), default=str)
        return Explained(
            view.without_paths(str(explanation), files),
            json.loads(view.without_paths(data, files)),
        )

    def validate(self, actor: Actor, request: QueryRequest) -> Validation:
        """Whether it would run, and what columns it would give."""
        actor.require("query")
        try:
            require_sql(request.sql, self._store.limits.sql_characters)
            view = self._view(actor, request)
            with self._sessions.lease(view) as session:
                explain = about.explain_of(request.sql)
                if about.shows_tables(request.sql):
                    return Validation((), _columns(about.LISTED))
                described = session.describe(request.sql if explain is None else explain.query)
        except QueryError as error:
            files = self._store.folders.files
            return Validation((problem_of(in_terms_of(view, request.sql, error, files)),), ())
        except WorkspaceError as error:
            if error.code != "sql-empty":
                raise
            return Validation((problem_of(error),), ())
        if explain is not None:
            return Validation((), _columns(about.EXPLAINED))
        return Validation((), _columns((c.column, c.type) for c in described))

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
        require_limit(limit, _MOST_ROWS_A_PAGE)
        if offset < 0:
            raise invalid("offset", "must be 0 or more")
        result = self.result(actor, query_id)
        if not sort and not filters:
            table, total = read_slice(result.path, offset, limit)
            return Rows(result.columns, table, offset, total)
        import duckdb

        names = [column.name for column in result.columns]
        with private_duckdb(self._store.scratch) as connection:
            try:
                table, total = select(
                    connection,
                    result.path,
                    names,
                    offset=offset,
                    limit=limit,
                    sort=sort,
                    filters=filters or {},
                )
            except duckdb.ConversionException:
                raise invalid("filter", "a value is not of its column's type") from None
        return Rows(result.columns, table, offset, total)

    def result(self, actor: Actor, query_id: str) -> StoredResult:
        """The whole stored result. Grants are checked again. Raises as :meth:`rows`."""
        actor.require("read")
        with self._store.read() as session:
            run = show_run(self._history.result_readable(session, actor, query_id))
        if run.result == "none":
            raise WorkspaceError(
                "result-missing", f"the query is {run.status} and has no result", status=run.status
            )
        path = self._path(query_id)
        if run.result == "expired" or not path.exists():
            raise WorkspaceError(
                "result-expired", "the rows are kept no longer; run the query again", sql=run.sql
            )
        rows, size = run.row_count or 0, path.stat().st_size
        return StoredResult(run, run.columns, str(path), rows, size)

    def profile(self, actor: Actor, query_id: str) -> TableProfile:
        """Figures per column of the stored result."""
        result = self.result(actor, query_id)
        path = self._store.scratch / f"profile-{new_id()}.parquet"
        try:
            write_parquet(result.open(), path, self._store.scratch)
            columns = [(column.name, column.type) for column in result.columns]
            with private_duckdb(self._store.scratch) as connection:
                return profile(connection, parquet_relation(str(path)), columns)
        finally:
            path.unlink(missing_ok=True)

    def keep(
        self, actor: Actor, query_id: str, name: str, *, description: str | None = None
    ) -> Dataset:
        """Keep a result as a new dataset."""
        from dovetail.workspace.aliases import alias_of

        actor.require("upload")
        if not 1 <= len(name.strip()) <= 255:
            raise invalid("name", "must be 1 to 255 characters")
        result = self.result(actor, query_id)
        made = self._store.scratch / f"keep-{new_id()}"
        made.mkdir(mode=0o700)
        columns, rows = write_parquet(result.open(), made / DATA_FILE, made)
        (made / DATA_FILE).chmod(0o400)
        converted = Converted(columns, rows, (made / DATA_FILE).stat().st_size)
        with self._store.write() as session:
            row = DatasetRow(
                id=new_id(),
                name=name.strip(),
                description=description or None,
                owner_id=actor.user_id,
                source_type="RESULT",
                status="PROCESSING",
                default_alias=alias_of(name),
                worker_id=self._store.worker_id,
            )
            session.add(row)
            record(session, actor, "keep result", "query", query_id)
        add_version(self._store, row.id, made, converted, "RESULT", None)
        return self._datasets.get(actor, row.id)

    def _path(self, query_id: str) -> Path:
        return self._store.folders.results / f"{query_id}.arrow"

    # -- history --------------------------------------------------------------------------------

    def history(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **wanted: Unpack[RunFilter],
    ) -> Page[QueryRun]:
        """One's own runs, newest first, and those of others for admins."""
        return self._history.list(actor, wanted, limit=limit, cursor=cursor)

    def update(self, actor: Actor, query_id: str, *, favourite: bool) -> QueryRun:
        """Mark or unmark a favourite; those are kept however old."""
        actor.require("read")
        return self._set(actor, query_id, favourite=favourite)

    def share(self, actor: Actor, query_id: str, *, shared: bool = True) -> QueryRun:
        """Let those read it who may view everything it read."""
        actor.require("query")
        return self._set(actor, query_id, shared=shared)

    def delete(self, actor: Actor, query_id: str) -> None:
        """Take a finished run out of the history, with its result."""
        actor.require("query")
        with self._store.write() as session:
            row = self._history.owned(session, actor, query_id)
            if row.status in UNFINISHED:
                raise WorkspaceError("in-use", "the query is still running; cancel it first")
            record(session, actor, "delete query", "query", query_id)
            session.delete(row)
        self._path(query_id).unlink(missing_ok=True)

    def _set(self, actor: Actor, query_id: str, **values: bool) -> QueryRun:
        with self._store.write() as session:
            row = self._history.owned(session, actor, query_id)
            session.execute(update(QueryRow).where(QueryRow.id == row.id).values(**values))
            record(session, actor, f"mark query {' '.join(values)}", "query", query_id)
        return self._shown(query_id)

    def _shown(self, query_id: str) -> QueryRun:
        with self._store.read() as session:
            row = session.get(QueryRow, query_id)
            if row is None:
                raise WorkspaceError("not-found", "there is no such query", title="Query not found")
            return show_run(row)


def _columns(named: Iterable[tuple[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(name, type_, name) for name, type_ in named)


def _with_progress(run: QueryRun, job: Job | None) -> QueryRun:
    if job is None or run.status not in UNFINISHED:
        return run
    moved = job.profile.bytes_moved if job.profile is not None else 0
    return replace(run, progress_rows=job.rows, progress_bytes=moved)
