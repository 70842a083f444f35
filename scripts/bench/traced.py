"""The project with stopwatches in it, which `bench.sh --tail` serves: `uvicorn scripts.bench.traced:app`.

Writes what it has measured to the file that TAIL_FILE names, when it ends; `tail.py` explains it. Times are seconds of
`time.perf_counter`. The stopwatches cost about a tenth of the rate.
"""

import asyncio
import contextlib
import gc
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import lifespan, main
from backend.app.db import database
from backend.app.db.connection import Connection
from backend.app.db.pool import Pool
from backend.app.db.statement import Row
from backend.app.observability.observer import Gauges, Observer, combined, route_of
from backend.app.server.protocol import Protocol

FILE: Final = "TAIL_FILE"
RECEIVED: Final = "bench.received"
# How often the sampler looks at whether the loop runs it in time (seconds), and what it does not count as late.
SAMPLE_SECONDS: Final = 0.001
IN_TIME_SECONDS: Final = 0.0005


class Stopwatch:
    """One request: when it was read and begun, and how long it waited for what."""

    def __init__(self, received: float) -> None:
        self.received = received
        self.started = time.perf_counter()
        self.pool = 0.0
        # Of each message to PostgreSQL: the process that it went to, its number there, and the time until the answer.
        self.messages: list[tuple[int, int, float]] = []


current: ContextVar[Stopwatch | None] = ContextVar("current", default=None)


class TracedProtocol(Protocol):
    """Notes when a request's bytes are read."""

    def data_received(self, data: bytes) -> None:
        self._read_at = time.perf_counter()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self.scope[RECEIVED] = self._read_at  # type: ignore[typeddict-unknown-key] # a member of ours
        super().on_headers_complete()


class TracedPool(Pool):
    """Measures how long requests wait for a connection."""

    async def acquire(self, owner: str | None = None, *, writes: bool = False) -> Connection:
        began = time.perf_counter()
        try:
            return await super().acquire(owner, writes=writes)
        finally:
            if (request := current.get()) is not None:
                request.pool += time.perf_counter() - began


class Tail(Observer):
    """Collects the requests as they are answered, the loop's lateness, and the pauses of garbage collection."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.late: list[tuple[float, float]] = []
        # As much of that as the loop's thread did not run. When within it, nobody knows.
        self.starved: list[tuple[float, float]] = []
        self._ran = time.thread_time()
        self.collections: list[tuple[float, float]] = []
        self._collecting = 0.0

    @contextlib.contextmanager
    def running(self, gauges: Gauges) -> Iterator[None]:  # noqa: ARG002 - as the observer has it
        loop = asyncio.get_running_loop()
        loop.call_later(SAMPLE_SECONDS, self._sample, loop, time.perf_counter() + SAMPLE_SECONDS)
        gc.callbacks.append(self._collected)
        yield
        gc.callbacks.remove(self._collected)
        names = ("requests", "late", "starved", "collections")
        found = {name: getattr(self, name) for name in names}
        Path(os.environ[FILE]).write_text(json.dumps(found))

    def request_answered(self, scope: Scope, status: int, seconds: float) -> None:  # noqa: ARG002 - measured here
        if (request := current.get()) is not None:
            self.requests.append(
                {
                    "what": f"{scope['method']} {route_of(scope)} {status}",
                    "received": request.received,
                    "started": request.started,
                    "ended": time.perf_counter(),
                    "pool": request.pool,
                    "messages": request.messages,
                }
            )

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now, ran = time.perf_counter(), time.thread_time()
        if now - due > IN_TIME_SECONDS:
            self.late.append((due, now))
            self.starved.append((due, max(now - (ran - self._ran), due)))
        self._ran = ran
        loop.call_later(SAMPLE_SECONDS, self._sample, loop, now + SAMPLE_SECONDS)

    def _collected(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self.collections.append((self._collecting, time.perf_counter()))


class TracedConnection(Connection):
    """Measures each message to PostgreSQL, and counts them."""

    sent = 0

    async def execute(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        self.sent += 1
        number, began = self.sent, time.perf_counter()
        try:
            return await super().execute(text, parameters)
        finally:
            if (request := current.get()) is not None:
                pid = self._raw.info.backend_pid
                request.messages.append((pid, number, time.perf_counter() - began))


def traced(inner: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            current.set(Stopwatch(scope[RECEIVED]))
        await inner(scope, receive, send)

    return app


def app_with_stopwatches() -> ASGIApp:
    """The application of the environment's settings, made of the classes above."""
    observer = lifespan._observer  # noqa: SLF001 - the settings name no observer of the benchmark's
    for module, name, stand_in in (
        (database, "Pool", TracedPool),
        (database, "Connection", TracedConnection),
        (lifespan, "_observer", lambda *arguments: combined([observer(*arguments), Tail()])),
    ):
        setattr(module, name, stand_in)
    return traced(main.app)


def __getattr__(name: str) -> ASGIApp:
    """`app`, made when uvicorn asks for it (PEP 562)."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = app_with_stopwatches()
    return globals()["app"]  # type: ignore[no-any-return] # as set above
