"""A collector of OpenTelemetry's traces: it takes OTLP over HTTP and keeps what came."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_SECONDS = 20.0


class Span:
    """What came of a span."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.state: str = span.trace_state
        self.kind: int = span.kind
        self.failed: bool = span.status.code == 2
        self.message: str = span.status.message
        self.attributes = _values(span.attributes)
        self.more = [*span.events, *span.links]
        self.resource = resource


class Collector:
    """Everything that came: spans, and the bodies and headers that they came in."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._came = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._came:
            self.requests.append((path, headers))
            self.bodies.append(body)
            for of_resource in request.resource_spans:
                resource = _values(of_resource.resource.attributes)
                self.spans += [Span(span, resource) for scope in of_resource.scope_spans for span in scope.spans]
            self._came.notify_all()

    def wait_for(self, count: int) -> list[Span]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.spans) >= count, PATIENCE_SECONDS), "no such spans came"
            return list(self.spans)


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, dict(self.headers), body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
