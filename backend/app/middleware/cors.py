"""CORS for a fixed list of origins; it adds to each answer what Starlette's CORSMiddleware adds."""

from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app.problems import RawHeaders

VARY = (b"vary", b"Origin")


class KnownOriginsCORS(CORSMiddleware):
    """Starlette's CORSMiddleware with the headers of each allowed origin computed once, not for each request.

    Preflight requests (OPTIONS) stay Starlette's. `allow_origins` lists whole origins; "*" is not supported.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **options)
        common = [(name.lower().encode(), value.encode()) for name, value in self.simple_headers.items()]
        self.without_origin: RawHeaders = [VARY]
        self.unknown_origin: RawHeaders = [*common, VARY]
        self.known_origins: dict[bytes, RawHeaders] = {
            origin.encode(): [*common, (b"access-control-allow-origin", origin.encode()), VARY]
            for origin in self.allow_origins
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await super().__call__(scope, receive, send)
            return
        added = self._headers_for(scope["headers"])

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self.app(scope, receive, send_with_cors)

    def _headers_for(self, request_headers: RawHeaders) -> RawHeaders:
        for name, origin in request_headers:
            if name == b"origin":
                return self.known_origins.get(origin, self.unknown_origin)
        return self.without_origin
