"""A span per query and per fragment, sent to a collector over HTTP when one is configured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.interfaces.rest.running import CUSTOMERS, running


class Collector(HTTPServer):
    """Keeps what it is sent."""

    received: list[ExportTraceServiceRequest]


class Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector(("127.0.0.1", 0), Receive)
    server.received = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans(tmp_path: Path, collector: Collector) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    with running(tmp_path / "w", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as service:
        client = service.client()
        dataset = client.dataset("customers.csv", CUSTOMERS)
        done = client.sql("SELECT name FROM dataset WHERE region = 'North'", dataset_id=dataset)
        run = done.json()
    spans = [
        span
        for request in collector.received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name.partition(" ")[0]: span for span in spans}
    assert set(by_name) == {"query", "fragment"}
    assert len(spans) == 1 + len(run["sub_queries"])
    query, fragment = by_name["query"], by_name["fragment"]
    assert fragment.parent_span_id == query.span_id
    attributes = {a.key: a.value for a in query.attributes}
    assert attributes["dovetail.query_id"].string_value == run["query_id"]
    assert "North" not in str(spans)
