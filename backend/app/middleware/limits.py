"""Refuses what could hold the server up or be read in two ways, before anything else looks at the request."""

import asyncio
import sys
from collections.abc import Awaitable

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems
from backend.app.web.deadlines import DEADLINE, Deadline, Deadlines

# What a header field counts for besides its name and value, as in HTTP/2 (RFC 9113, section 6.5.2): about what it takes
# in memory. Otherwise a head of MAX_HEADER_BYTES could have 6,000 fields.
FIELD_OVERHEAD_BYTES = 32


class LimitsMiddleware:
    """Raises HeadersTooLarge, MalformedRequest, TooManyConcurrentRequests or RequestTimeout.

    A request is malformed where its headers tell in two ways where its body ends (RFC 9112, section 6.1).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_header_bytes: int,
        request_timeout: float,
        max_requests: int = sys.maxsize,
        always_answered: frozenset[str] = frozenset(),
    ) -> None:
        """`request_timeout` in seconds, from the request's headers to the last byte of the answer.

        `max_requests` at the same time, without streams that wait; the paths in `always_answered` are never too many.
        """
        self.app = app
        self.max_header_bytes = max_header_bytes
        self.max_requests = max_requests
        self.always_answered = always_answered
        self.deadlines = Deadlines(request_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.check_headers(scope["headers"])
        if len(self.deadlines) >= self.max_requests and get_route_path(scope) not in self.always_answered:
            raise problems.TooManyConcurrentRequests
        scope[DEADLINE] = deadline = self.deadlines.start()
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if deadline.has_passed:
                raise problems.RequestTimeout from None
            raise
        finally:
            deadline.stop()

    def check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raises HeadersTooLarge or MalformedRequest."""
        size = sum([len(name) + len(value) + FIELD_OVERHEAD_BYTES for name, value in headers])
        if size > self.max_header_bytes:
            raise problems.HeadersTooLarge(self.max_header_bytes)
        names = [name for name, _ in headers]
        if b"transfer-encoding" in names and b"content-length" in names:
            # RFC 9112, section 6.1: a sign of request smuggling.
            raise problems.MalformedRequest("Content-Length and Transfer-Encoding exclude each other.")


class UserRequestLimit:
    """Raises TooManyRequestsOfUser for a user who has `max_requests` requests under way, so that others find room.

    Stands behind authentication. Event streams that wait are not counted here, but by MAX_STREAMS_PER_USER.
    """

    def __init__(self, app: ASGIApp, *, max_requests: int) -> None:
        self.app = app
        self.max_requests = max_requests

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        principal = scope.get("state", {}).get("principal")
        if scope["type"] == "http" and principal is not None:
            deadline: Deadline = scope[DEADLINE]
            if not deadline.enter(principal.user_id, self.max_requests):
                raise problems.TooManyRequestsOfUser
        return self.app(scope, receive, send)
