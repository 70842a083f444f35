"""Every error is answered here, inside CORS: problems of any layer as they are, and an unexpected exception as a 500
that leaks nothing. Each request gets its id here, which every answer carries.
"""

import logging
import os
import random
import re
import sys
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app import problems
from backend.app.middleware.rate_limit import RATE_FIELDS
from backend.app.observability.observer import UNOBSERVED, Observer
from backend.app.problems import StartupError

ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# RFC 6455, section 7.4.1: the endpoint is refused because of a policy.
POLICY_VIOLATION: Final = 1008
# Browsers take an answer for what it says it is (Fetch standard, section 3.6), whoever wrote what is in it.
NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
PROBLEM_HEADERS: Final = ((b"content-type", problems.MEDIA_TYPE.encode()), (b"cache-control", b"no-store"))

# Request ids are names and no secrets: the operating system's random numbers cost a system call each.
_ids = random.Random()  # noqa: S311 - as said
os.register_at_fork(after_in_child=_ids.seed)
# Where the access log finds in the state which status was sent.
STATUS: Final = "status"

log = logging.getLogger("tasks")


class ErrorsMiddleware:
    """Answers whatever is raised further in, and gives every request an id (`request.state.request_id`).

    An answer that has begun cannot be taken back: the server cuts the connection of one that is incomplete.
    """

    def __init__(self, app: ASGIApp, *, observer: Observer = UNOBSERVED) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.refuse_websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.start(scope, receive, send)
            return
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        id_header = (b"x-request-id", request_id.encode())
        has_begun = False

        def send_with_headers(message: Message) -> Awaitable[None]:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                state[STATUS] = message["status"]
                self.observer.answer_started(scope)
                message["headers"] = [
                    *message.get("headers", ()),
                    id_header,
                    NO_SNIFFING,
                    *state.get(RATE_FIELDS, ()),
                ]
            return send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except problems.Problem as problem:
            await self._refuse(problem, scope, send_with_headers, has_begun=has_begun)
        except Exception as error:  # noqa: BLE001 - the last resort
            _log_unexpected(error, request_id)
            await self._refuse(problems.InternalError(), scope, send_with_headers, has_begun=has_begun)

    async def _refuse(self, problem: problems.Problem, scope: Scope, send: Send, *, has_begun: bool) -> None:
        """Answer a problem, unless the answer has begun: the server then cuts the connection."""
        self.observer.problem_answered(problem)
        if problem.bound is not None:
            self.observer.limit_met(problem.bound)
        if not has_begun:
            await _answer(problem, scope["state"]["request_id"], scope, send)

    async def refuse_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except problems.Problem:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def start(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_plainly(message: Message) -> None:
            refusal = sys.exc_info()[1]
            if isinstance(refusal, StartupError):  # Starlette reports a traceback; a sentence is enough
                message = {**message, "message": str(refusal)}
            await send(message)

        await self.app(scope, receive, send_plainly)


async def _answer(problem: problems.Problem, request_id: str, scope: Scope, send: Send) -> None:
    body = problem.body(request_id)
    headers = [*PROBLEM_HEADERS, (b"content-length", b"%d" % len(body)), *problem.headers()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and ACCEPTED_REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{_ids.getrandbits(64):016x}"


def _log_unexpected(error: Exception, request_id: str) -> None:
    """Log where it happened. The message stays out: it may hold what the user wrote, or a password."""
    frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    log.error(
        "unexpected",
        extra={"fields": {"error": type(error).__name__, "at": frames, "request_id": request_id}},
    )
