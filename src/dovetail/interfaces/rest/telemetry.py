"""OpenTelemetry: a span per query and one per fragment, sent where the environment says.

Configured by the standard variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``, …);
without an endpoint nothing of OpenTelemetry is loaded. Spans hold no literal of any SQL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dovetail.interfaces.rest.logs import redact_sql
from dovetail.workspace.shapes import FragmentRun, QueryRun

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Telemetry:
    """Sends spans of finished runs."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("dovetail")

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Telemetry | None:
        """What the environment configures, or None."""
        if not any(environment.get(name) for name in _ENDPOINTS):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        name = environment.get("OTEL_SERVICE_NAME", "dovetail")
        provider = TracerProvider(resource=Resource.create({"service.name": name}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return Telemetry(provider)

    def trace(self, run: QueryRun) -> None:
        """A span for ``run`` and, inside it, one for each fragment."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.status import Status, StatusCode

        start = _nanoseconds(run.started_at or run.created_at)
        end = start + round((run.execution_ms or 0) * 1e6)
        span = self._tracer.start_span(
            "query",
            start_time=start,
            attributes=_known(
                {
                    "db.system": "dovetail",
                    "db.query.text": redact_sql(run.sql),
                    "dovetail.query_id": run.id,
                    "dovetail.status": run.status,
                    "dovetail.rows": run.row_count,
                    "dovetail.bytes_moved": run.bytes_moved,
                }
            ),
        )
        inside = set_span_in_context(span)
        for fragment in run.fragments:
            self._fragment(fragment, start, inside)
        if run.status == "FAILED":
            span.set_status(Status(StatusCode.ERROR, run.problem.code if run.problem else None))
        span.end(end_time=end)

    def _fragment(self, fragment: FragmentRun, query_start: int, inside: Any) -> None:
        start = query_start + round((fragment.started_ms or 0) * 1e6)
        span = self._tracer.start_span(
            f"fragment {fragment.connection_name or fragment.kind}",
            context=inside,
            start_time=start,
            attributes=_known(
                {
                    "db.system": fragment.kind,
                    "db.query.text": redact_sql(fragment.sql),
                    "dovetail.fragment": fragment.number,
                    "dovetail.road": fragment.road,
                    "dovetail.rows": fragment.rows,
                    "dovetail.bytes": fragment.bytes,
                }
            ),
        )
        span.end(end_time=start + round((fragment.milliseconds or 0) * 1e6))

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e9)
