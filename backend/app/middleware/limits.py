"""Refuses what could hold the server up or be read in two ways, before anything else looks at the request."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems

# What HTTP/1.1 puts around a header field on the wire: ": " and CRLF.
FIELD_OVERHEAD_BYTES = 4


class LimitsMiddleware:
    """Raises HeadersTooLarge, MalformedRequest (two ways to tell where the body ends) or TooSlow."""

    def __init__(self, app: ASGIApp, *, max_header_bytes: int, request_timeout: float) -> None:
        """`request_timeout` in seconds, from the request's headers to the last byte of the answer."""
        self.app = app
        self.max_header_bytes = max_header_bytes
        self.request_timeout = request_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.check_headers(scope["headers"])
        try:
            async with asyncio.timeout(self.request_timeout) as deadline:
                await self.app(scope, receive, send)
        except TimeoutError:
            if deadline.expired():
                raise problems.TooSlow from None
            raise

    def check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        size = sum(len(name) + len(value) + FIELD_OVERHEAD_BYTES for name, value in headers)
        if size > self.max_header_bytes:
            raise problems.HeadersTooLarge(self.max_header_bytes)
        names = [name for name, _ in headers]
        if b"transfer-encoding" in names and b"content-length" in names:
            # RFC 9112, section 6.1: a sign of request smuggling.
            raise problems.MalformedRequest("Content-Length and Transfer-Encoding exclude each other.")
