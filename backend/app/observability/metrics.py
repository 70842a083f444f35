"""What the person on call looks at: counters and durations for Prometheus, on a port of their own.

Everything that is told apart here is few and known before: routes, statuses, reasons. Users are neither, nor is what a
request brings along.
"""

import contextlib
import errno
import logging
import socket
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from backend.app.config import PORT_MAX
from backend.app.problems import StartupError, TokenFault

# Upper bounds of the buckets (seconds).
DURATIONS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
# How many workers of one supervisor may have a port each.
PORTS: Final = 64
# How long a worker is asked whose it is (seconds), and how much it may say.
PATIENCE: Final = 2.0
ANSWER_MAX_BYTES: Final = 64 * 1024

METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
OTHER_METHOD, NO_ROUTE, NO_SQLSTATE = "other", "none", "connection"

Look = Callable[[], float]

log = logging.getLogger("tasks")

disable_created_metrics()  # type: ignore[no-untyped-call] # the library's


class Metrics:
    """The measurements of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self._requests = _Requests()
        self.registry.register(self._requests)
        self._problems = counter("tasks_problems", "Errors that were answered.", ("problem",))
        self._rejected = counter("tasks_rejected_tokens", "Requests without a good token.", ("reason",))
        self._limited = counter("tasks_rate_limited", "Requests over a rate limit.", ("limit",))
        self._errors = counter("tasks_database_errors", "Errors of the database, by class of SQLSTATE.", ("class",))
        self._retries = counter("tasks_retries", "Requests that were tried once more.", ("after",))
        self._revisions = counter("tasks_revision_writes", "Writes that moved a list on.", ("statement",))
        self._pool_in_use = gauge("tasks_pool_connections_in_use", "Database connections at work.")
        self._pool_size = gauge("tasks_pool_connections_max", "Database connections that there may be.")
        self._pool_waiting = gauge("tasks_pool_requests_waiting", "Requests that wait for a connection.")
        self._streams = gauge("tasks_streams_open", "Streams of GET /events.")
        self._worker = gauge("tasks_worker", "One for each process.", ("supervisor",))

    def look_at(self, in_use: Look, waiting: Look, size: Look, streams: Look) -> None:
        """What is read only when somebody asks: of the pool, and how many streams are open."""
        self._pool_in_use.set_function(in_use)
        self._pool_waiting.set_function(waiting)
        self._pool_size.set_function(size)
        self._streams.set_function(streams)

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """A request, under its route's pattern."""
        self._requests.add(method if method in METHODS else OTHER_METHOD, route or NO_ROUTE, status, seconds)

    def refused(self, problem: str) -> None:
        """An error, by its slug."""
        self._problems.labels(problem).inc()

    def token_rejected(self, reason: TokenFault) -> None:
        self._rejected.labels(reason).inc()

    def rate_limited(self, limit: str) -> None:
        self._limited.labels(limit).inc()

    def database_failed(self, sqlstate: str | None) -> None:
        """An error by the class of its SQLSTATE (PostgreSQL's manual, appendix A); None where the server said none."""
        self._errors.labels(NO_SQLSTATE if sqlstate is None else sqlstate[:2]).inc()

    def tried_again(self, after: str) -> None:
        self._retries.labels(after).inc()

    def revision_bumped(self, statement: str) -> None:
        """A write that gave a new revision, by the name of its statement."""
        self._revisions.labels(statement).inc()

    @contextlib.contextmanager
    def served(self, host: str, port: int, *, supervisor: int | None = None) -> Iterator[int]:
        """Answer Prometheus in a thread of its own; the port.

        Workers of the same `supervisor` (a process id) take the next ports, one each. Raises StartupError where a
        port is somebody else's, or cannot be listened on.
        """
        if supervisor is not None:
            self._worker.labels(supervisor).set(1)
        server, thread, port = self._listen(host, port, supervisor)
        log.info("metrics: ready", extra={"fields": {"host": host, "port": port}})
        try:
            yield port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _listen(self, host: str, first: int, supervisor: int | None) -> tuple[WSGIServer, threading.Thread, int]:
        for port in range(first, min(first + PORTS, PORT_MAX + 1)):
            try:
                return *start_http_server(port, host, self.registry), port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise StartupError(f"METRICS_PORT {port} on METRICS_HOST {host}: {error.strerror}.") from None
            if supervisor is None or not _is_of(supervisor, host, port):
                raise StartupError(
                    f"METRICS_PORT: port {port} on {host} is taken by another program. Choose another; with several "
                    "workers each needs a port of its own, from METRICS_PORT on."
                )
        raise StartupError(f"METRICS_PORT {first}: there is no port left for this worker.")


class _Requests(Collector):
    """Requests and how long they took, kept in plain numbers: the library's own take ten times as long for each.

    Only the event loop's thread adds; who collects in another copies at once what there is.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], _Durations] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        durations = self._durations.get((method, route))
        if durations is None:
            durations = self._durations[method, route] = _Durations()
        durations.buckets[bisect_left(DURATIONS, seconds)] += 1
        durations.sum += seconds

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "tasks_requests", "Requests by how they were answered.", labels=("method", "route", "status")
        )
        for (method, route, status), count in self._counts.copy().items():
            requests.add_metric((method, route, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "tasks_request_duration_seconds", "How long requests took.", labels=("method", "route")
        )
        for labels, found in self._durations.copy().items():
            below = zip(map(str, (*DURATIONS, "+Inf")), accumulate(found.buckets), strict=True)
            durations.add_metric(labels, list(below), found.sum)
        yield durations


class _Durations:
    """How many took how long, by the first bound that is not exceeded, and all of them together (seconds)."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATIONS) + 1)
        self.sum = 0.0


def _is_of(supervisor: int, host: str, port: int) -> bool:
    """Whether who answers here is a worker of the same supervisor."""
    said = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=PATIENCE) as asking:
        asking.sendall(b"GET /metrics?name[]=tasks_worker HTTP/1.0\r\n\r\n")
        while len(said) < ANSWER_MAX_BYTES and (more := asking.recv(ANSWER_MAX_BYTES)):
            said += more
    return f'tasks_worker{{supervisor="{supervisor}"}}'.encode() in said
