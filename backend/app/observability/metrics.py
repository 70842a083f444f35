"""Counters and durations for Prometheus, which are answered on a port of their own.

Labels have few values, which are known before: routes, statuses, reasons. A user is never a label, nor is anything that
a request brings along.
"""

import contextlib
import errno
import logging
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import Final

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
from starlette.types import Scope

from backend.app.observability.observer import Gauges, Observer, RetryReason, route_of
from backend.app.problems import AuthenticationRequired, Bound, Problem, StartupError, TooManyRequests

# Upper bounds of the buckets (seconds).
DURATIONS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
OTHER_METHOD, NO_ROUTE, NO_SQLSTATE = "other", "none", "connection"

log = logging.getLogger("tasks")

disable_created_metrics()  # type: ignore[no-untyped-call] # the library's


class Metrics(Observer):
    """The measurements of one process."""

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` are where Prometheus is answered while the application is `running`."""
        self._host, self._port = host, port
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self._requests = _Requests()
        self.registry.register(self._requests)
        self._problems = counter("tasks_problems", "Errors that were answered.", ("problem",))
        self._rejected = counter("tasks_rejected_tokens", "Requests without a good token.", ("reason",))
        self._limited = counter("tasks_rate_limited", "Requests over a rate limit.", ("limit",))
        self._limits_met = counter("tasks_limits_met", "Requests refused because a bound is met.", ("limit",))
        self._errors = counter("tasks_database_errors", "Errors of the database, by class of SQLSTATE.", ("class",))
        self._retries = counter("tasks_retries", "Requests that were tried again.", ("after",))
        self._revisions = counter("tasks_revision_writes", "Writes that gave a list a new revision.", ("statement",))
        self._pool_in_use = gauge("tasks_pool_connections_in_use", "Database connections at work.")
        self._pool_size = gauge("tasks_pool_connections_max", "Database connections that there may be.")
        self._pool_waiting = gauge("tasks_pool_requests_waiting", "Requests that wait for a connection.")
        self._streams = gauge("tasks_streams_open", "Streams of GET /events.")

    @contextlib.contextmanager
    def running(self, gauges: Gauges) -> Iterator[None]:
        """Answer Prometheus in a thread of its own. Raises StartupError where the port cannot be listened on."""
        self._pool_in_use.set_function(gauges.pool_in_use)
        self._pool_waiting.set_function(gauges.pool_waiting)
        self._pool_size.set_function(gauges.pool_size)
        self._streams.set_function(gauges.event_streams)
        try:
            server, thread = start_http_server(self._port, self._host, self.registry)
        except OSError as error:
            raise StartupError(self._refusal(error)) from None
        log.info("metrics: ready", extra={"fields": {"host": self._host, "port": self._port}})
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def request_answered(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        self._requests.add(method, route_of(scope) or NO_ROUTE, status, seconds)

    def problem_answered(self, problem: Problem) -> None:
        self._problems.labels(problem.slug).inc()
        if isinstance(problem, AuthenticationRequired):
            self._rejected.labels(problem.fault).inc()
        elif isinstance(problem, TooManyRequests):
            self._limited.labels(problem.counted_by).inc()

    def limit_met(self, bound: Bound) -> None:
        self._limits_met.labels(bound).inc()

    def database_failed(self, sqlstate: str | None) -> None:
        """By the class of the SQLSTATE (PostgreSQL's manual, appendix A)."""
        self._errors.labels(NO_SQLSTATE if sqlstate is None else sqlstate[:2]).inc()

    def request_retried(self, reason: RetryReason) -> None:
        self._retries.labels(reason).inc()

    def revision_bumped(self, statement: str) -> None:
        self._revisions.labels(statement).inc()

    def _refusal(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"METRICS_PORT: port {self._port} on {self._host} is taken by another process. Choose another; a port "
                "belongs to one process, so instead of uvicorn's --workers start a program for each METRICS_PORT."
            )
        return f"METRICS_PORT {self._port} on METRICS_HOST {self._host}: {error.strerror}."


class _Requests(Collector):
    """Requests and how long they took, kept in plain numbers: the library's own take ten times as long for each.

    Only the event loop's thread adds; another thread that collects copies the dictionaries first.
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
    """Counts by the first bound that is not exceeded, and the sum (seconds)."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATIONS) + 1)
        self.sum = 0.0
