"""The one place where the program reports what happens: statements, failures, retries, problems, answered requests.

An `Observer` that overrides nothing does nothing. Metrics and tracing are observers; `Observers` is several as one.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal

from fastapi.telemetry import TelemetryConfig
from starlette.types import Scope

from backend.app.problems import Bound, Problem

NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_NOTHING: Final = contextlib.nullcontext()

# Why a request was tried again: its transaction was undone, or its connection was lost.
RetryReason = Literal["undone", "lost"]


@dataclass(frozen=True)
class Gauges:
    """Numbers that are read only when somebody asks for them."""

    pool_in_use: Callable[[], float]
    pool_waiting: Callable[[], float]
    pool_size: Callable[[], float]
    event_streams: Callable[[], float]


class Observer:
    """What may be reported. Override what matters; the rest costs a call that does nothing."""

    # What FastAPI is told about OpenTelemetry.
    telemetry: TelemetryConfig = NO_TELEMETRY

    def running(self, gauges: Gauges) -> AbstractContextManager[None]:  # noqa: ARG002 - for those who override it
        """The time between the application's start and its end. Raises StartupError."""
        return _NOTHING

    def statement(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - likewise
        """The time that a statement, or a transaction, takes in the database."""
        return _NOTHING

    def answer_started(self, scope: Scope) -> None:
        """The head of an answer is about to be sent, also of one that is a problem."""

    def request_answered(self, scope: Scope, status: int, seconds: float) -> None:
        """A request has ended; `status` is 499 if the client was gone before. For its route see `route_of`."""

    def problem_answered(self, problem: Problem) -> None:
        """A request was refused, or failed."""

    def limit_met(self, bound: Bound) -> None:
        """A request was refused because a bound of what is shared is met."""

    def database_failed(self, sqlstate: str | None) -> None:
        """An error of the database; None where the server said no SQLSTATE."""

    def request_retried(self, reason: RetryReason) -> None:
        """A request is tried again."""

    def revision_bumped(self, statement: str) -> None:
        """A write gave a list a new revision; by the name of its statement."""

    def trace_ids(self) -> dict[str, str]:
        """The current span's `trace_id` and `span_id`, for log lines; empty where there is none."""
        return {}


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        for observer in observers:
            if observer.telemetry is not NO_TELEMETRY:
                self.telemetry = observer.telemetry

    @contextlib.contextmanager
    def running(self, gauges: Gauges) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.running(gauges))
            yield

    @contextlib.contextmanager
    def statement(self, name: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.statement(name))
            yield

    def answer_started(self, scope: Scope) -> None:
        for observer in self._observers:
            observer.answer_started(scope)

    def request_answered(self, scope: Scope, status: int, seconds: float) -> None:
        for observer in self._observers:
            observer.request_answered(scope, status, seconds)

    def problem_answered(self, problem: Problem) -> None:
        for observer in self._observers:
            observer.problem_answered(problem)

    def limit_met(self, bound: Bound) -> None:
        for observer in self._observers:
            observer.limit_met(bound)

    def database_failed(self, sqlstate: str | None) -> None:
        for observer in self._observers:
            observer.database_failed(sqlstate)

    def request_retried(self, reason: RetryReason) -> None:
        for observer in self._observers:
            observer.request_retried(reason)

    def revision_bumped(self, statement: str) -> None:
        for observer in self._observers:
            observer.revision_bumped(statement)

    def trace_ids(self) -> dict[str, str]:
        return {name: value for observer in self._observers for name, value in observer.trace_ids().items()}


# Nobody observes.
UNOBSERVED: Final = Observer()


def route_of(scope: Scope) -> str | None:
    """The pattern of the request's route, if it has got to one."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def combined(observers: Sequence[Observer]) -> Observer:
    """Several observers as one, and the one itself where there is only one."""
    match observers:
        case []:
            return UNOBSERVED
        case [single]:
            return single
    return Observers(observers)
