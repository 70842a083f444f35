"""CORS for a fixed list of origins; it adds to each answer what Starlette's CORSMiddleware adds."""

from collections.abc import Awaitable
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app.problems import RawHeaders

VARY = (b"vary", b"Origin")


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
