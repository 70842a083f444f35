"""CORS for a fixed list of origins; it adds to each answer what Starlette's CORSMiddleware adds."""

from collections.abc import Awaitable
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app.problems import RawHeaders

VARY = (b"vary", b"Origin")
# HEAD, too: with a token it is asked for beforehand, and a browser that is refused then does not send it.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-ID",
    # What libraries add by themselves: axios and jQuery, and those that stand in for EventSource.
    "X-Requested-With",
    "Cache-Control",
    "Pragma",
    "If-Modified-Since",
    # What browsers' tracing adds: W3C Trace Context, Baggage, Sentry, Datadog, Zipkin, New Relic, Elastic, Azure.
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-origin",
    "x-datadog-sampling-priority",
    "b3",
    "X-B3-TraceId",
    "X-B3-SpanId",
    "X-B3-ParentSpanId",
    "X-B3-Sampled",
    "newrelic",
    "elastic-apm-traceparent",
    "Request-Id",
    "Request-Context",
)
ANSWER_HEADERS: Final = (
    "Accept",
    "Accept-Encoding",
    "Accept-Patch",
    "Allow",
    "Content-Disposition",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
    "X-Total-Count",
)


class KnownOriginsCORS:
    """Starlette's CORSMiddleware with the headers of each allowed origin computed once, not for each request.

    Preflight requests (OPTIONS) stay Starlette's. `allow_origins` lists whole origins; "*" is not supported.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.app = app
        self.starlettes = CORSMiddleware(app, **options)
        common = [(name.lower().encode(), value.encode()) for name, value in self.starlettes.simple_headers.items()]
        self.without_origin: RawHeaders = [VARY]
        self.unknown_origin: RawHeaders = [*common, VARY]
        self.known_origins: dict[bytes, RawHeaders] = {
            origin.encode(): [*common, (b"access-control-allow-origin", origin.encode()), VARY]
            for origin in self.starlettes.allow_origins
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            return self.starlettes(scope, receive, send)
        added = self._headers_for(scope["headers"])

        def send_with_cors(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            return send(message)

        return self.app(scope, receive, send_with_cors)

    def _headers_for(self, request_headers: RawHeaders) -> RawHeaders:
        for name, origin in request_headers:
            if name == b"origin":
                return self.known_origins.get(origin, self.unknown_origin)
        return self.without_origin
