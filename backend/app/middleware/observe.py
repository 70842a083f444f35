"""One request id, one log line and one answer for every request, whatever goes wrong further in.

Every problem that any layer raises is answered here, inside CORS; so is an exception that nobody expected, as a 500
that leaks nothing. How a log line is written is told here as well.
"""

import asyncio
import contextlib
import logging
import os
import random
import re
import sys
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app import problems
from backend.app.middleware.rate_limit import RATE_FIELDS
from backend.app.problems import StartupError

if TYPE_CHECKING:
    from backend.app.observability.metrics import Metrics
    from backend.app.observability.tracing import Tracing

ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, section 3.2.2: version, trace id, parent id, flags.
TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
# RFC 6455, section 7.4.1: the endpoint is refused because of a policy.
POLICY_VIOLATION: Final = 1008
# Browsers take an answer for what it says it is (Fetch standard, section 3.6), whoever wrote what is in it.
NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
PROBLEM_HEADERS: Final = ((b"content-type", problems.MEDIA_TYPE.encode()), (b"cache-control", b"no-store"))

# What nginx logs for a request whose client was gone before it was answered.
CUT_SHORT: Final = 499

# Request ids are names and no secrets: the operating system's random numbers cost a system call each.
_ids = random.Random()  # noqa: S311 - as said
os.register_at_fork(after_in_child=_ids.seed)

log = logging.getLogger("tasks")


class ObserveMiddleware:
    """Names, answers and logs every request; logs carry no token, no body, no path and no exception's message."""

    def __init__(self, app: ASGIApp, *, metrics: "Metrics | None" = None, tracing: "Tracing | None" = None) -> None:
        self.app = app
        self.metrics = metrics
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._observe(scope, receive, send)
            case "websocket":
                await self._refuse_websocket(scope, receive, send)
            case _:
                await self._start(scope, receive, send)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None
        refusal: problems.Problem | None = None

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.tracing is not None:
                    self.tracing.routed(scope)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    NO_SNIFFING,
                    *scope["state"].get(RATE_FIELDS, ()),
                ]
            await send(message)

        try:
            await self.app(scope, receive, observed_send)
        except problems.Problem as problem:
            refusal = problem
            if status is None:  # else the answer is under way; the server cuts a connection whose answer is incomplete
                await _answer(problem, request_id, observed_send)
        except Exception as error:  # noqa: BLE001 - the last resort
            _report(error, request_id)
            if self.metrics is not None:
                self.metrics.refused(problems.InternalError.slug)
            if status is None:
                await _answer(problems.InternalError(), request_id, observed_send)
        finally:
            self._tell(scope, request_id, status, started, refusal)
            # Its traceback holds this frame: a circle that every refusal would leave to the garbage collector.
            refusal = None

    def _tell(
        self, scope: Scope, request_id: str, status: int | None, started: float, refusal: problems.Problem | None
    ) -> None:
        if self.metrics is not None:
            _measure(self.metrics, scope, status, time.perf_counter() - started, refusal)
        if log.isEnabledFor(logging.INFO):
            line = _line(scope, request_id, status, started, refusal)
            line.update(_trace(scope) if self.tracing is None else self.tracing.ids())
            log.handle(_RequestRecord(line))

    async def _refuse_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except problems.Problem:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def plain_send(message: Message) -> None:
            refusal = sys.exc_info()[1]
            if isinstance(refusal, StartupError):  # Starlette reports a traceback; a sentence is enough
                message = {**message, "message": str(refusal)}
            await send(message)

        await self.app(scope, receive, plain_send)


async def _answer(problem: problems.Problem, request_id: str, send: Send) -> None:
    body = problem.body(request_id)
    headers = [*PROBLEM_HEADERS, (b"content-length", b"%d" % len(body)), *problem.headers()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and ACCEPTED_REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{_ids.getrandbits(64):016x}"


def _trace(scope: Scope) -> dict[str, str]:
    """The caller's trace, where there are no spans of ours in it."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := TRACEPARENT.fullmatch(value)):
            return {"trace_id": str(found[1], "ascii")}
    return {}


def _line(
    scope: Scope, request_id: str, status: int | None, started: float, refusal: problems.Problem | None
) -> dict[str, Any]:
    route = scope.get("route")
    line = {
        "method": scope["method"],
        "route": getattr(route, "path", None),
        "status": status,
        "ms": round((time.perf_counter() - started) * 1000, 2),
        "request_id": request_id,
        "user_id": scope["state"].get("user_id"),
    }
    if refusal is not None:
        line["reason"] = refusal.detail
    return line


def _measure(
    metrics: "Metrics", scope: Scope, status: int | None, seconds: float, refusal: problems.Problem | None
) -> None:
    metrics.answered(scope["method"], getattr(scope.get("route"), "path", None), status or CUT_SHORT, seconds)
    if refusal is None:
        return
    metrics.refused(refusal.slug)
    if isinstance(refusal, problems.AuthenticationRequired):
        metrics.token_rejected(refusal.fault)
    elif isinstance(refusal, problems.TooManyRequests):
        metrics.rate_limited("address" if scope["state"].get("user_id") is None else "user")


def _report(error: Exception, request_id: str) -> None:
    """Log where it happened. The message stays out: it may hold what the user wrote, or a password."""
    frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    log.error(
        "unexpected",
        extra={"fields": {"error": type(error).__name__, "at": frames, "request_id": request_id}},
    )


class _RequestRecord(logging.LogRecord):
    """A record that does not look up who logs, in which thread and process: that is most of what logging costs."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(_REQUEST_RECORD)
        self.created = time.time()
        self.fields = fields


_REQUEST_RECORD = logging.LogRecord(log.name, logging.INFO, __file__, 0, "request", None, None).__dict__


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes what one turn of the event loop has logged at once: a write for each line is what a log costs most.

    From a warning on, and where no loop runs, nothing waits.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        elif len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        if self._waiting:
            lines, self._waiting = self._waiting, []
            with contextlib.suppress(OSError, ValueError):  # nobody reads the log any more: no reason not to serve
                self.stream.write("\n".join(lines) + "\n")
                self.stream.flush()


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        return orjson.dumps(line, default=str).decode()


def _rfc3339(seconds: float) -> str:
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def configure_logging(level: str) -> None:
    """Send our log to standard output as JSON lines; uvicorn's access log, which says less, is silenced."""
    handler = BufferedHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level.upper())
    exporting = logging.getLogger("opentelemetry")
    exporting.handlers, exporting.propagate = [handler], False
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
