"""Refuses what could hold the server up or be read in two ways, before anything else looks at the request."""

import asyncio
import sys
from typing import Any

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems

# What HTTP/1.1 puts around a header field on the wire: ": " and CRLF.
FIELD_OVERHEAD_BYTES = 4
# Where an answer that is made while it is sent finds its deadline in the scope.
DEADLINES = "tasks.deadlines"


class Deadlines:
    """Cancels tasks that take longer than `seconds`; one timer looks after all, where asyncio.timeout sets one each.

    All have the same time, so the first to come is the first whose time is over.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many tasks have a time that passes; those that pause are not among them."""
        return len(self._ends)

    def start(self) -> asyncio.Task[Any]:
        """The running task, which has `seconds` from now on."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment] # a request always runs in one
        loop = task.get_loop()
        self._ends[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        return task

    def passed(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task was cancelled because its time is over, and for no other reason."""
        return task in self._cancelled and task.uncancel() == 0

    def restart(self) -> None:
        """The running task has all of its time again."""
        self.pause()
        self.start()

    def pause(self) -> None:
        """No time passes for the running task until it restarts."""
        self._ends.pop(asyncio.current_task(), None)  # type: ignore[arg-type] # as above

    def end(self, task: asyncio.Task[Any]) -> None:
        self._ends.pop(task, None)
        self._cancelled.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._timer = None
        for task, end in self._ends.items():
            if end > now:
                self._timer = loop.call_at(end, self._look, loop)
                return
            if task not in self._cancelled:
                self._cancelled.add(task)
                task.cancel()


class LimitsMiddleware:
    """Raises HeadersTooLarge, MalformedRequest (two ways to tell where the body ends), Busy or TooSlow."""

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
            raise problems.Busy
        task = self.deadlines.start()
        scope[DEADLINES] = self.deadlines
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if self.deadlines.passed(task):
                raise problems.TooSlow from None
            raise
        finally:
            self.deadlines.end(task)

    def check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        size = sum([len(name) + len(value) + FIELD_OVERHEAD_BYTES for name, value in headers])
        if size > self.max_header_bytes:
            raise problems.HeadersTooLarge(self.max_header_bytes)
        names = [name for name, _ in headers]
        if b"transfer-encoding" in names and b"content-length" in names:
            # RFC 9112, section 6.1: a sign of request smuggling.
            raise problems.MalformedRequest("Content-Length and Transfer-Encoding exclude each other.")
