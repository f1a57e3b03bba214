"""Running queries: admitted, given the session of their view, streamed into a result file.

A *job* lives in the process that took the request. It ends once: by itself, by a cancel, or by its
time limit, whichever comes first; what comes later finds it ended and changes nothing. A caller who
waits is let go at that moment, even when a source keeps the thread a little longer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import (
    CancelledError,
    ConfigError,
    DovetailError,
    QuerySyntaxError,
    TimeoutExceededError,
    UnknownNameError,
    UsageError,
)
from dovetail.execution.profile import Profile
from dovetail.workspace import about
from dovetail.workspace.access import Actor
from dovetail.workspace.admission import Admission, Ticket
from dovetail.workspace.history import History, show_run
from dovetail.workspace.models import QueryRow
from dovetail.workspace.problems import WorkspaceError, problem_of
from dovetail.workspace.result_files import ResultWriter, Taken
from dovetail.workspace.sessions import Sessions
from dovetail.workspace.shapes import Column, QueryRequest, QueryRun
from dovetail.workspace.statements import Statements
from dovetail.workspace.store import Store
from dovetail.workspace.views import View, not_ready

if TYPE_CHECKING:
    import pyarrow as pa

    from dovetail.execution.result import Result

_log = logging.getLogger("dovetail.workspace")
# How long after a cancel or a time limit a run may clean up before it counts as ended.
_GRACE_SECONDS = 1.5


@dataclass(eq=False)
class Job:
    """One run. ``max_rows`` and ``max_bytes`` cap the result; ``limit`` is what was asked for."""

    id: str
    actor: Actor
    request: QueryRequest
    view: View
    mode: str
    params: dict[str, Any] | None
    timeout: float
    max_rows: int
    max_bytes: int
    limit_applied: bool
    keep_rows: bool
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    batches: list[pa.RecordBatch] = field(default_factory=list)
    schema: pa.Schema | None = None
    columns: tuple[Column, ...] = ()
    profile: Profile | None = None
    ticket: Ticket | None = None
    began: float | None = None
    row: QueryRow = field(default_factory=QueryRow)
    rows: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cancelled: bool = False
    _cancel: Callable[[], None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._cancelled

    def started(self, cancel: Callable[[], None]) -> None:
        """The engine runs it now, and can be stopped by ``cancel``."""
        with self._lock:
            self._cancel = cancel
            now = self._cancelled
        if now:
            cancel()

    def cancel(self) -> None:
        """Stop it, now or as soon as it runs."""
        with self._lock:
            self._cancelled = True
            cancel = self._cancel
        if cancel is not None:
            cancel()


class Runner:
    """The running queries of one process. Thread-safe."""

    def __init__(
        self, store: Store, sessions: Sessions, history: History, statements: Statements
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._history = history
        self._statements = statements
        limits = store.limits
        self.admission = Admission(limits.running, limits.running_per_user, limits.queue)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self.on_end: Callable[[QueryRun], None] | None = None

    def job(self, query_id: str) -> Job | None:
        """The unfinished job with that id, if it is this process's."""
        with self._lock:
            return self._jobs.get(query_id)

    def jobs(self) -> list[Job]:
        """All unfinished jobs of this process."""
        with self._lock:
            return list(self._jobs.values())

    def submit(self, job: Job) -> None:
        """Write the run down and queue it.

        Raises:
            WorkspaceError: ``queue-full``, ``busy``.
        """
        job.row = self._history.add(job.actor, job.id, job.request, job.view, job.mode)
        with self._lock:
            self._jobs[job.id] = job
        try:
            job.ticket = self.admission.submit(job.actor.user_id, lambda: self._run(job))
        except WorkspaceError as error:
            self._end(job, "FAILED", error)
            raise

    def wait(self, job: Job) -> None:
        """Wait until a job has ended; raises what ended it."""
        while not job.done.wait(timeout=1.0):
            if (
                job.began is not None
                and time.monotonic() > job.began + job.timeout + _GRACE_SECONDS
            ):
                # The engine keeps the time limit; this is for what comes before it runs, such as
                # reading the catalog of a source that does not answer.
                job.cancel()
                self._end(job, "FAILED", _timed_out(job))
        if job.error is not None:
            raise job.error

    def cancel(self, job: Job) -> None:
        """Stop a job; it is CANCELLED when this returns, unless it had ended before."""
        job.cancel()
        waiting = job.ticket is not None and self.admission.withdraw(job.ticket)
        if waiting or not job.done.wait(_GRACE_SECONDS):
            self._end(job, "CANCELLED", CancelledError("the query was cancelled"))

    def close(self, grace: float) -> None:
        """Let what runs finish for ``grace`` seconds, then cancel it."""
        waiting = [job for job in self.jobs() if job.began is None]
        self.admission.close(0.0)
        for job in waiting:
            if job.began is None:
                self._end(job, "CANCELLED", CancelledError("the server was stopped"))
        self.admission.close(grace)
        for job in self.jobs():
            self.cancel(job)

    # -- one run --------------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        job.began = time.monotonic()
        try:
            if not self._history.begin(job.row):
                self._end(job, "CANCELLED", CancelledError("the query was cancelled"))
                return
            taken, warnings = self._execute(job)
            self._end(job, "SUCCESS", None, taken, warnings)
        except CancelledError as error:
            self._end(job, "CANCELLED", error)
        except BaseException as error:
            if not isinstance(error, DovetailError):
                _log.exception("query %s failed unexpectedly", job.id)
            self._end(job, "FAILED", error)

    def _execute(self, job: Job) -> tuple[Taken, list[str]]:
        def progress(profile: Profile) -> None:
            job.profile = profile

        sql, files = job.request.sql, self._store.folders.files
        with self._sessions.lease(job.view) as session:
            try:
                told = about.tell(
                    session,
                    job.view,
                    sql,
                    job.params,
                    files=files,
                    timeout=job.timeout,
                    on_start=job.started,
                )
                if told is not None:
                    job.profile = told.profile
                    return self._take(job, told)
                result = session.sql(
                    sql,
                    job.params,
                    # One more than may be taken: so it shows whether there was more.
                    limit=job.max_rows + 1,
                    timeout=job.timeout,
                    cache=None if job.request.cache else False,
                    on_progress=progress,
                    on_start=job.started,
                )
                with result:
                    job.profile = result.profile
                    return self._take(job, result)
            except DovetailError as error:
                raise in_terms_of(job.view, sql, error, files) from None

    def _take(self, job: Job, result: Result | about.Told) -> tuple[Taken, list[str]]:
        job.columns = tuple(Column(name, type_, name) for name, type_ in result.columns)
        job.schema = result.schema
        path = self._store.scratch / f"{job.id}.arrow"
        writer = ResultWriter(path, result.schema, job.max_rows, job.max_bytes)
        try:
            batches = result.batches()
            for batch in batches:
                kept = writer.take(batch)
                if kept is not None:
                    job.rows += kept.num_rows
                    if job.keep_rows:
                        job.batches.append(kept)
                if writer.full:
                    break
            if job.rows >= job.max_rows:
                # The limit has ended it: with the end read, it can be taken from the cache again.
                for _ in batches:
                    pass
            result.close()
            if job.cancelled:
                raise CancelledError("the query was cancelled")
            warnings = list(result.warnings)
            taken = writer.finish(self._store.folders.results / f"{job.id}.arrow")
        except BaseException:
            writer.abort()
            raise
        return taken, warnings

    def _end(
        self,
        job: Job,
        status: str,
        error: BaseException | None,
        taken: Taken | None = None,
        warnings: list[str] | None = None,
    ) -> None:
        if job.done.is_set():
            return
        elapsed = 0.0 if job.began is None else (time.monotonic() - job.began) * 1e3
        if isinstance(error, TimeoutExceededError) and job.profile is not None:
            error.extra = {"fragments": _states(job.profile)}  # type: ignore[attr-defined]
        try:
            written = self._history.finish(
                job.row,
                status,
                view=job.view,
                execution_ms=elapsed,
                profile=job.profile,
                problem=None if error is None else problem_of(error),
                columns=job.columns,
                taken=taken,
                limit_applied=job.limit_applied,
                warnings=[*(warnings or ()), *unused_aliases(job)],
            )
        except BaseException as failure:
            _log.exception("the end of query %s could not be written down", job.id)
            written, error = True, error or failure
        if not written:
            if taken is not None:
                # It was ended otherwise meanwhile: nobody may see the rows.
                (self._store.folders.results / f"{job.id}.arrow").unlink(missing_ok=True)
            # Whoever ended it says how, unless that was another process.
            if job.done.wait(_GRACE_SECONDS):
                return
            error = CancelledError("the query was cancelled")
        if error is not None:
            error.query_id = job.id  # type: ignore[attr-defined]
        self._tell(job)
        if not job.done.is_set():
            job.error = error
            job.done.set()
        with self._lock:
            self._jobs.pop(job.id, None)

    def _tell(self, job: Job) -> None:
        if self.on_end is None:
            return
        try:
            self.on_end(show_run(job.row))
        except Exception:  # whoever listens must not decide how a query ends
            _log.exception("the end of query %s could not be told", job.id)


def in_terms_of(view: View, sql: str, error: DovetailError, files: Path) -> DovetailError:
    """An error as whoever wrote the query understands it: in terms of the target."""
    error.message = view.without_paths(error.message, files)
    if isinstance(error, UsageError) and not isinstance(error, ConfigError):
        return WorkspaceError("parameters", error.message)
    if isinstance(error, UnknownNameError) and error.table is not None:
        missing = {alias.lower(): alias for alias in view.missing}
        alias = missing.get(error.table.lower())
        if alias is not None:
            return not_ready(alias, view.missing[alias])
        if view.tables is None and error.source is None and "." in error.table:
            qualifier = error.table.partition(".")[0]
            return WorkspaceError(
                "qualifier-unknown",
                f'"{qualifier}" is none of the databases of this query; valid: '
                + ", ".join(view.names),
                valid=list(view.names),
                line=error.location.line if error.location else None,
                column=error.location.column if error.location else None,
            )
    if isinstance(error, QuerySyntaxError) and view.tables is None:
        bare = [name for name in view.names if "-" in name and f'"{name}"' not in sql]
        if any(name in sql for name in bare):
            error.message += '; an id with - needs double quotes, as in FROM "…".table'
    return error


def unused_aliases(job: Job) -> list[str]:
    """A warning for every alias that was given and that no fragment reads."""
    given = job.request.target.database_aliases or {}
    if job.profile is None or not given:
        return []
    used = {fragment.source for fragment in job.profile.fragments}
    return [f'the alias "{alias}" is not used' for alias in given if alias not in used]


def _states(profile: Profile) -> list[dict[str, Any]]:
    """How far each fragment of a query that ran out of time had come."""
    return [
        {
            "source": fragment.source,
            "status": "SUCCESS" if fragment.complete else "CANCELLED",
            "row_count": fragment.rows,
        }
        for fragment in profile.fragments
    ]


def _timed_out(job: Job) -> TimeoutExceededError:
    return TimeoutExceededError(f"the query took longer than {job.timeout:g} s")
