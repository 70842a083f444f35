"""The observer: silent by default, and several are told as one is."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.telemetry import TelemetryConfig

from backend.app import problems
from backend.app.observability.observer import (
    NO_TELEMETRY,
    UNOBSERVED,
    Gauges,
    Observer,
    Observers,
    combined,
)

GAUGES = Gauges(*[lambda: 0.0] * 4)
SCOPE = {"type": "http", "method": "GET"}
TELEMETRY: TelemetryConfig = {"tracing": True}
# What is reported, in plain calls.
REPORTS: dict[str, tuple[Any, ...]] = {
    "answer_started": (SCOPE,),
    "request_answered": (SCOPE, 200, 0.1),
    "problem_answered": (problems.RouteNotFound(),),
    "limit_met": ("requests",),
    "database_failed": ("57014",),
    "request_retried": ("lost",),
    "revision_bumped": ("create a task",),
}
# What is reported by its beginning and its end.
SPANS: dict[str, tuple[Any, ...]] = {"running": (GAUGES,), "statement": ("create a task",)}


class Noting(Observer):
    """Notes what it is told."""

    def __init__(self, **ids: str) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.ids = ids

    def __getattribute__(self, name: str) -> Any:
        if name in REPORTS:
            return lambda *values: self.told.append((name, *values))
        return super().__getattribute__(name)

    @contextlib.contextmanager
    def statement(self, name: str) -> Iterator[None]:
        self.told.append(("begins", name))
        yield
        self.told.append(("ends", name))

    @contextlib.contextmanager
    def running(self, gauges: Gauges) -> Iterator[None]:
        self.told.append(("begins", gauges))
        yield
        self.told.append(("ends", gauges))

    def trace_ids(self) -> dict[str, str]:
        return self.ids


def test_the_tables_have_every_report() -> None:
    """A new method of the observer is in these tests, too."""
    methods = {name for name, _ in inspect.getmembers(Observer, inspect.isfunction)}

    assert methods == {*REPORTS, *SPANS, "trace_ids"}


def test_nobody_is_told_by_default() -> None:
    """Every report is accepted, and nothing comes of it."""
    for name, values in REPORTS.items():
        assert getattr(UNOBSERVED, name)(*values) is None
    for name, values in SPANS.items():
        with getattr(UNOBSERVED, name)(*values) as entered:
            assert entered is None

    assert UNOBSERVED.trace_ids() == {}
    assert UNOBSERVED.telemetry is NO_TELEMETRY


@pytest.mark.parametrize("name", REPORTS)
def test_each_of_several_is_told(name: str) -> None:
    """With the same values."""
    several = [Noting(), Noting()]

    getattr(Observers(several), name)(*REPORTS[name])

    assert [observer.told for observer in several] == [[(name, *REPORTS[name])]] * 2


@pytest.mark.parametrize("name", SPANS)
def test_each_of_several_sees_beginning_and_end(name: str) -> None:
    """The end, when it has come."""
    several, (value,) = [Noting(), Noting()], SPANS[name]

    with getattr(Observers(several), name)(value):
        assert [observer.told for observer in several] == [[("begins", value)]] * 2

    assert [observer.told for observer in several] == [[("begins", value), ("ends", value)]] * 2


def test_several_have_their_ids_and_telemetry_together() -> None:
    """Whoever of them has any."""
    tracing = Noting(trace_id="t", span_id="s")
    tracing.telemetry = TELEMETRY

    both = Observers([Noting(), tracing])

    assert both.trace_ids() == {"trace_id": "t", "span_id": "s"}
    assert both.telemetry is TELEMETRY


def test_one_is_not_wrapped() -> None:
    """Nor is none."""
    one = Observer()

    assert combined([one]) is one
    assert combined([]) is UNOBSERVED
    assert isinstance(combined([one, one]), Observers)
