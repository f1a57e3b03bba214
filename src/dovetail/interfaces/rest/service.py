"""What all requests of a process share: the workspace, its settings, threads, metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dovetail.interfaces.rest.logs import logger, redact_sql
from dovetail.interfaces.rest.metrics import Metrics
from dovetail.interfaces.rest.pools import Pools
from dovetail.interfaces.rest.rates import Rates
from dovetail.interfaces.rest.settings import ServiceSettings

if TYPE_CHECKING:
    from dovetail.interfaces.rest.telemetry import Telemetry
    from dovetail.interfaces.rest.translator import Translator
    from dovetail.workspace.shapes import QueryRun
    from dovetail.workspace.workspace import Workspace

# How long running queries may go on once the process is asked to stop.
GRACE_SECONDS = 30.0


class Service:
    """One process's service over an open workspace."""

    def __init__(
        self,
        workspace: Workspace,
        settings: ServiceSettings,
        *,
        translator: Translator | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.translator = translator
        self.telemetry = telemetry
        self.metrics = Metrics(workspace.gauges)
        limits = settings.workspace
        # Queries that wait for a place wait in a thread; the workspace refuses what is beyond.
        self.pools = Pools(
            short=settings.requests.metadata_threads,
            long=limits.running + limits.queue,
            uploads=settings.requests.upload_threads,
        )
        self.rates = Rates(settings.requests.requests_per_minute)
        self.stopping_since: float | None = None
        workspace.queries.on_end = self._ended
        if settings.auth != "users":
            # Found now, so that no request waits for it: the event loop asks for them later.
            workspace.users.local_actor()
            workspace.users.local_token()

    def _ended(self, run: QueryRun) -> None:
        """A query of this process is over: count it, trace it, log it."""
        self.metrics.count_run(run)
        if self.telemetry is not None:
            self.telemetry.trace(run)
        full = self.settings.log_sql == "full"
        logger().info(
            "query",
            query_id=run.id,
            user_id=run.user_id,
            status=run.status,
            code=run.problem.code if run.problem else None,
            ms=run.execution_ms,
            rows=run.row_count,
            bytes_moved=run.bytes_moved,
            fragments=len(run.fragments),
            sql=run.sql if full else redact_sql(run.sql),
        )

    def stop(self) -> None:
        """Cancel what still runs after the grace, close the workspace."""
        since = self.stopping_since or time.monotonic()
        left = max(0.0, GRACE_SECONDS - (time.monotonic() - since))
        self.workspace.close(grace=left)
        self.pools.close()
        if self.telemetry is not None:
            self.telemetry.close()
