"""Prometheus metrics. Labels hold routes, statuses, phases and source names: no SQL, no users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from dovetail.workspace.shapes import QueryRun

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one process."""

    def __init__(self, gauges: Callable[[], Mapping[str, float]]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dovetail_requests",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "dovetail_request_seconds",
            "Time of a request by route.",
            ["route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "dovetail_query_seconds",
            "Time of a query by phase.",
            ["phase"],
            buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600),
            registry=self.registry,
        )
        self.queries = Counter(
            "dovetail_queries", "Queries by outcome.", ["status"], registry=self.registry
        )
        self.source_bytes = Counter(
            "dovetail_source_bytes", "Bytes read per source.", ["source"], registry=self.registry
        )
        self.source_rows = Counter(
            "dovetail_source_rows", "Rows read per source.", ["source"], registry=self.registry
        )
        self.registry.register(_Gauges(gauges))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request is over."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def count_run(self, run: QueryRun) -> None:
        """One query is over."""
        self.queries.labels(run.status).inc()
        for phase in ("plan", "sources", "finish"):
            milliseconds = getattr(run, f"{phase}_ms")
            if milliseconds is not None:
                self.query_seconds.labels(phase).observe(milliseconds / 1e3)
        for fragment in run.fragments:
            # Aliases are users' words: only what stands behind them is a label.
            source = fragment.connection_name or fragment.kind
            self.source_bytes.labels(source).inc(fragment.bytes or 0)
            self.source_rows.labels(source).inc(fragment.rows or 0)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class _Gauges:
    """What the workspace counts, read when somebody asks."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        for name, value in self._read().items():
            yield GaugeMetricFamily(f"dovetail_{name}", f"{name} as the workspace counts.", value)
