"""Occurrences that were missed: skipped at once as if each was completed, whatever the rule, in a bounded time."""

import itertools
import random
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock

import pytest

from backend.app.domain import due_dates, recurrence
from backend.app.domain.occurrences import occurrences
from backend.app.domain.recurrence import Next, advance, advance_past
from backend.app.domain.rules import RULE_MAX_CHARACTERS, read_rule
from backend.app.domain.schedule import Schedule
from tests.support.recurrence_rules import hostile_rule, random_rule

BERLIN, NEW_YORK, APIA = "Europe/Berlin", "America/New_York", "Pacific/Apia"
# What a step of ours may take is 20 ms; this is a slow and busy machine.
SECONDS_AT_MOST = 0.1


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def repeated(due: str, rule: str, time_zone: str | None, now: datetime) -> Next | None:
    """The due date mode, as often as it takes to come to what is not past."""
    for skipped in itertools.count():
        following = advance(due, rule, time_zone=time_zone, completed_at=None)
        if following is None:
            return None
        due, rule = following.due, following.rule
        if due_dates.due_at(due, time_zone) > now:
            return Next(due, rule, skipped)
    raise AssertionError


def as_moment(following: Next | None) -> tuple[object, ...] | None:
    """A Z may become an offset and not come back while a task moves on one by one; the moment is the same."""
    if following is None:
        return None
    due = due_dates.read(following.due)
    return due.wall, due.offset, following.rule, following.skipped


@pytest.mark.parametrize("seed", range(400))
def test_skipping_is_completing_one_by_one(seed: int) -> None:
    """The same due date, the same rule, and as many occurrences in between; or the same end."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    rule = random_rule(choose)
    first = date(choose.randint(2024, 2026), choose.randint(1, 12), choose.randint(1, 28))
    start = datetime.combine(first, clock(choose.choice([0, 2, 23])))
    due = choose.choice([start.date().isoformat(), f"{start.isoformat()}Z", f"{start.isoformat()}+01:00"])
    time_zone = choose.choice([None, BERLIN, NEW_YORK, APIA])
    now = start.replace(tzinfo=UTC) + timedelta(hours=choose.randint(-1000, choose.choice([100, 20_000])))
    try:
        recurrence.check(due, rule, time_zone)
    except ValueError:
        return

    following = advance_past(due, rule, time_zone=time_zone, now=now)

    assert as_moment(following) == as_moment(repeated(due, rule, time_zone, now))


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
@pytest.mark.parametrize("seed", range(300))
def test_years_have_the_days_that_the_search_has(seed: int) -> None:
    """The rule's days counted by years and found one by one are the same, for rules of every kind."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    text = hostile_rule(choose)
    rule, start = read_rule(text), date(choose.randint(1990, 2030), choose.randint(1, 12), choose.randint(1, 28))
    end, earliest = (start + timedelta(days=choose.randint(0, 4000)) for _ in range(2))
    schedule = Schedule(rule, start)

    days = list(itertools.takewhile(lambda day: day < end, occurrences(rule, start)))
    assert schedule.count(start, end) == len(days)
    assert schedule.count(earliest, end) == len([day for day in days if day >= earliest])
    assert schedule.first(earliest) == next((day for day in occurrences(rule, start) if day >= earliest), None)
    assert schedule.includes(start) == (start in days or (end == start and schedule.first(start) == start))


BY_HAND = {
    "20 days late": ("2026-01-01", "FREQ=DAILY", None, "2026-01-21T08:00Z", "2026-01-21", "FREQ=DAILY", 19),
    "in time": ("2026-01-21", "FREQ=DAILY", None, "2026-01-21T08:00Z", "2026-01-22", "FREQ=DAILY", 0),
    "ahead of time": ("2026-02-01", "FREQ=DAILY", None, "2026-01-21T08:00Z", "2026-02-02", "FREQ=DAILY", 0),
    "a day lasts until it ends": (
        "2026-01-01", "FREQ=DAILY", BERLIN, "2026-01-20T22:59Z", "2026-01-20", "FREQ=DAILY", 18,
    ),
    "where the task is": ("2026-01-01", "FREQ=DAILY", BERLIN, "2026-01-20T23:00Z", "2026-01-21", "FREQ=DAILY", 19),
    "a moment that is over": (
        "2026-01-01T09:00:00+01:00", "FREQ=DAILY", BERLIN, "2026-07-01T07:00Z",
        "2026-07-02T09:00:00+02:00", "FREQ=DAILY", 181,
    ),
    "a moment that is yet to come": (
        "2026-01-01T09:00:00+01:00", "FREQ=DAILY", BERLIN, "2026-07-01T06:59Z",
        "2026-07-01T09:00:00+02:00", "FREQ=DAILY", 180,
    ),
    "the days stay those of the rule": (
        "2026-01-05", "FREQ=WEEKLY;INTERVAL=2", None, "2026-02-10T08:00Z", "2026-02-16", "FREQ=WEEKLY;INTERVAL=2", 2,
    ),
    "the 31st": ("2026-01-31", "FREQ=MONTHLY", None, "2026-06-30T08:00Z", "2026-07-31", "FREQ=MONTHLY", 2),
    "a count falls by what is skipped": (
        "2026-01-01", "FREQ=DAILY;COUNT=30", None, "2026-01-21T08:00Z", "2026-01-21", "FREQ=DAILY;COUNT=10", 19,
    ),
    "the last of a count": (
        "2026-01-01", "FREQ=DAILY;COUNT=21", None, "2026-01-21T08:00Z", "2026-01-21", "FREQ=DAILY;COUNT=1", 19,
    ),
    "a due date that is none of the rule's": (
        "2026-01-01", "FREQ=WEEKLY;BYDAY=MO;COUNT=4", None, "2026-01-12T08:00Z", "2026-01-12",
        "FREQ=WEEKLY;BYDAY=MO;COUNT=3", 1,
    ),
    "the last until": (
        "2026-01-01", "FREQ=DAILY;UNTIL=20260121", None, "2026-01-21T08:00Z",
        "2026-01-21", "FREQ=DAILY;UNTIL=20260121", 19,
    ),
    "a day that Samoa left out": (
        "2011-12-20T12:00:00-10:00", "FREQ=DAILY", APIA, "2011-12-30T12:00Z",
        "2011-12-30T12:00:00-10:00", "FREQ=DAILY", 9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND.values(), ids=BY_HAND)
def test_by_hand(case: tuple[str, str, str | None, str, str, str, int]) -> None:
    """What is skipped, where the task comes to, and what is left of its rule."""
    due, rule, time_zone, now, then, left, skipped = case

    assert advance_past(due, rule, time_zone=time_zone, now=moment(now)) == Next(then, left, skipped)


ENDED = [
    ("2026-01-01", "FREQ=DAILY;COUNT=20"),
    ("2026-01-01", "FREQ=DAILY;COUNT=1"),
    ("2026-01-01", "FREQ=DAILY;UNTIL=20260120"),
    ("2026-01-01", "FREQ=WEEKLY;BYDAY=MO;COUNT=2"),
    ("9999-12-31", "FREQ=DAILY"),
    ("9999-12-30T23:00:00-05:00", "FREQ=DAILY"),
    ("2026-01-06", "FREQ=DAILY;INTERVAL=7;BYDAY=MO"),
]


@pytest.mark.parametrize(("due", "rule"), ENDED)
def test_none_is_left(due: str, rule: str) -> None:
    """The count and the end are those of all occurrences, also of the missed ones."""
    assert advance_past(due, rule, time_zone=None, now=moment("2026-01-21T08:00Z")) is None


def test_a_zone_that_is_gone_is_no_fault() -> None:
    """A task that was stored with it can be completed."""
    assert advance_past("2026-01-01", "FREQ=DAILY", time_zone="Gone/Zone", now=moment("2026-02-01T00:00Z")) is None


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
def test_two_thousand_years_are_skipped_in_a_moment() -> None:
    """No step for each occurrence: Vikunja's loop was CVE-2026-35599."""
    choose = random.Random(7)  # noqa: S311 - no secret
    rules = [rule for rule in (hostile_rule(choose) for _ in range(200)) if len(rule) <= RULE_MAX_CHARACTERS]
    for rule in [*rules, "FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=305", "FREQ=DAILY;INTERVAL=220"]:
        started = time.process_time()

        advance_past("0001-01-01", rule, time_zone=BERLIN, now=moment("2026-01-21T08:00Z"))

        assert time.process_time() - started < SECONDS_AT_MOST, rule
