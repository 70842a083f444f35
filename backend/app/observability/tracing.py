"""Traces for OpenTelemetry. Loaded only where OTEL_ settings ask for them.

FastAPI's own telemetry makes a span of each request. Here the span gets the route's name and the statements as its
children, and loses all that a caller has written: path, query, host, method, trace state.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.re import parse_env_headers
from starlette.types import Scope

from backend.app.observability.observer import Gauges, Observer, route_of
from backend.app.problems import StartupError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
except ImportError:
    raise StartupError(
        "OTEL_ settings ask for traces, and what sends them is not installed. Install it with "
        "`pip install --group tracing` (pip 25.1 or newer), or set OTEL_SDK_DISABLED=true."
    ) from None

SERVICE: Final = "tasks"
# What FastAPI calls a method that HTTP does not know.
OTHER_METHOD: Final = "_OTHER"
# How long the last spans may take on their way (seconds): a collector that is away must not hold up the end.
ENDING_SECONDS: Final = 3.0
# All attributes that are sent, as OpenTelemetry's conventions for HTTP and databases name them. Their values are our
# own, or few.
ATTRIBUTES: Final = frozenset(
    {
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "url.scheme",
        "network.protocol.name",
        "network.protocol.version",
        "error.type",
        "db.system.name",
        "db.query.summary",
    }
)


class Tracing(Observer):
    """The spans of one process."""

    def __init__(
        self, endpoint: str, *, headers: str | None, service_name: str | None, version: str, untraced: frozenset[str]
    ) -> None:
        """`endpoint` takes OTLP over HTTP; `headers` are sent along, as OTEL_EXPORTER_OTLP_HEADERS has them.

        Requests to `untraced` paths make no span. The rest is the SDK's: it reads OTEL_TRACES_SAMPLER, OTEL_BSP_* and
        OTEL_RESOURCE_ATTRIBUTES itself.
        """
        self._endpoint = endpoint
        self._headers = None if headers is None else parse_env_headers(headers, liberal=True)
        named = Resource({} if service_name is None else {SERVICE_NAME: service_name})
        ours = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: version})
        resource = ours.merge(OTELResourceDetector().detect()).merge(named)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._untraced = untraced
        self._tracer = self._provider.get_tracer("tasks", version)
        # FastAPI's logs would hold exceptions' messages; metrics are Prometheus'.
        self.telemetry: TelemetryConfig = {
            "tracing": True,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "tracer_provider": self._provider,
            "exclude": lambda scope: scope.get("path") in self._untraced,
        }

    @contextlib.contextmanager
    def running(self, gauges: Gauges) -> Iterator[None]:  # noqa: ARG002 - metrics' alone
        """Send spans, in a thread of its own; at the end also the last ones, if the collector takes them soon."""
        exporter = OTLPSpanExporter(self._endpoint, headers=self._headers)
        processor = BatchSpanProcessor(StrippingExporter(exporter))
        self._provider.add_span_processor(processor)
        try:
            yield
        finally:
            ending = threading.Thread(target=processor.shutdown, daemon=True)
            ending.start()
            ending.join(ENDING_SECONDS)

    def answer_started(self, scope: Scope) -> None:
        """Name the request's span after its route; FastAPI ends the span with the answer."""
        span, route = trace.get_current_span(), route_of(scope)
        if route is not None and isinstance(span, ReadableSpan):
            method = (span.attributes or {})["http.request.method"]
            span.update_name(f"{'HTTP' if method == OTHER_METHOD else method} {route}")
            span.set_attribute("http.route", route)

    def trace_ids(self) -> dict[str, str]:
        """The current span's, as log lines have them; empty where there is none."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}

    @contextlib.contextmanager
    def statement(self, name: str) -> Iterator[None]:
        """A span; an error is named by its type, for its message may hold values."""
        attributes = {"db.system.name": "postgresql", "db.query.summary": name}
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


class StrippingExporter(SpanExporter):
    """Hands on what ATTRIBUTES lists, and of a span no event, no link, no state of the caller's, no message."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_stripped(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _stripped(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=_stateless(span.get_span_context()),
        parent=_stateless(span.parent),
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in ATTRIBUTES},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _stateless(context: SpanContext | None) -> SpanContext | None:
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
