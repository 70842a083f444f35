"""One log line for every request, with its trace id. No token, body, path or exception's message is ever logged.

Stands inside `errors`, which names the request and answers what is raised: here a problem's status is known already.
"""

import logging
import re
import time
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems
from backend.app.auth.principal import CLAIMED_USER_ID
from backend.app.middleware.errors import STATUS
from backend.app.observability.logging import log_request
from backend.app.observability.observer import UNOBSERVED, Observer, route_of

# W3C Trace Context, section 3.2.2: version, trace id, parent id, flags.
TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
# What nginx logs for a request whose client was gone before it was answered.
CLIENT_CLOSED_REQUEST: Final = 499

log = logging.getLogger("tasks")


class AccessLogMiddleware:
    """Logs every request when it has ended, and tells the observer of it."""

    def __init__(self, app: ASGIApp, *, observer: Observer = UNOBSERVED) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status: int | None = None
        reason: str | None = None
        try:
            await self.app(scope, receive, send)
        except problems.Problem as problem:
            status, reason = problem.status, problem.detail
            raise
        except Exception:
            status = problems.InternalError.status
            raise
        finally:
            # What was sent has been noted by ErrorsMiddleware; a refusal is answered there, after this.
            self.report(scope, scope["state"].get(STATUS, status), time.perf_counter() - started, reason)

    def report(self, scope: Scope, status: int | None, seconds: float, reason: str | None) -> None:
        self.observer.request_answered(scope, status or CLIENT_CLOSED_REQUEST, seconds)
        if not log.isEnabledFor(logging.INFO):
            return
        state = scope["state"]
        principal = state.get("principal")
        line = {
            "method": scope["method"],
            "route": route_of(scope),
            "status": status,
            "ms": round(seconds * 1000, 2),
            "request_id": state["request_id"],
            "user_id": None if principal is None else principal.user_id,
        }
        if CLAIMED_USER_ID in state:
            line[CLAIMED_USER_ID] = state[CLAIMED_USER_ID]
        if reason is not None:
            line["reason"] = reason
        log_request({**line, **(self.observer.trace_ids() or _trace_of_caller(scope))})


def _trace_of_caller(scope: Scope) -> dict[str, str]:
    """The trace that the caller sends along, where there are no spans of ours in it."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := TRACEPARENT.fullmatch(value)):
            return {"trace_id": str(found[1], "ascii")}
    return {}
