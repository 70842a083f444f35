"""Repeating tasks without HTTP: against python-dateutil's own answers, and by hand where clocks and months are odd."""

import itertools
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from backend.app.domain import recurrence
from backend.app.domain.recurrence import advance
from backend.app.domain.rules import read_rule
from tests.support.recurrence_rules import random_rule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
# Searching for what never comes takes less than a millisecond; this is a slow and busy machine.
SECONDS_AT_MOST = 0.02


def dates(due: str, rule: str, time_zone: str | None = None, *, at_most: int = 12) -> Iterator[str]:
    """The due dates of a task that is completed again and again."""
    for _ in range(at_most):
        following = advance(due, rule, time_zone=time_zone, completed_at=None)
        if following is None:
            return
        due, rule = following.due, following.rule
        yield due


def listed(rule: str, start: datetime, at_most: int) -> list[datetime]:
    """python-dateutil's own answer."""
    return list(itertools.islice(iter(rrulestr(rule, dtstart=start)), at_most))


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
@pytest.mark.parametrize("seed", range(500))
def test_random_rules_come_when_dateutil_says(seed: int) -> None:
    """The dates of a rule, one by one, are those that python-dateutil lists at once."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    hour = choose.choice([0, 9, 23])
    start = datetime(2026, choose.randint(1, 12), choose.randint(1, 28), hour, 30)  # noqa: DTZ001 - rules know no zone
    rule, day = random_rule(choose), choose.random() < 0.3
    start = start.replace(hour=0, minute=0) if day else start
    try:
        recurrence.check(start.date().isoformat() if day else f"{start.isoformat()}Z", rule, None)
    except ValueError:
        endless = ";".join(part for part in rule.split(";") if not part.startswith(("COUNT", "UNTIL")))
        assert [moment for moment in listed(endless, start, 2) if moment > start] == []
        return

    inclusive = rule.replace("0615", "0615T235959")
    later = [moment for moment in listed(inclusive, start, 14) if moment > start][:12]
    expected = [moment.date().isoformat() if day else f"{moment.isoformat()}Z" for moment in later]
    due = start.date().isoformat() if day else f"{start.isoformat()}Z"
    assert list(dates(due, rule, at_most=len(expected))) == expected
    if len(expected) < 12:
        assert list(dates(due, rule)) == expected


BY_HAND = {
    "the 31st, monthly": ("2026-01-31", "FREQ=MONTHLY", None, ["2026-03-31", "2026-05-31", "2026-07-31"]),
    "the last day": ("2026-01-31", "FREQ=MONTHLY;BYMONTHDAY=-1", None, ["2026-02-28", "2026-03-31", "2026-04-30"]),
    "the 29th of February": ("2024-02-29", "FREQ=YEARLY", None, ["2028-02-29", "2032-02-29"]),
    "over 2100, which is no leap year": ("2096-02-29", "FREQ=YEARLY", None, ["2104-02-29"]),
    "the clocks go forward": (
        "2026-03-28T02:30:00+01:00", "FREQ=DAILY", BERLIN,
        ["2026-03-29T02:30:00+01:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"],
    ),
    "the clocks go back": (
        "2026-10-24T02:30:00+02:00", "FREQ=DAILY", BERLIN,
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    "from the second of two": ("2026-10-25T02:30:00+01:00", "FREQ=DAILY", BERLIN, ["2026-10-26T02:30:00+01:00"]),
    "forward in New York": (
        "2026-03-07T02:30:00-05:00", "FREQ=DAILY", NEW_YORK,
        ["2026-03-08T02:30:00-05:00", "2026-03-09T02:30:00-04:00"],
    ),
    "back in New York": (
        "2026-10-31T01:30:00-04:00", "FREQ=DAILY", NEW_YORK,
        ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
    ),
    "just before and after": (
        "2026-03-28T01:59:59+01:00", "FREQ=DAILY", BERLIN, ["2026-03-29T01:59:59+01:00", "2026-03-30T01:59:59+02:00"],
    ),
    "written in UTC, at home elsewhere": (
        "2026-03-28T22:30:00Z", "FREQ=DAILY", BERLIN, ["2026-03-29T23:30:00+02:00", "2026-03-30T23:30:00+02:00"],
    ),
    "an offset of its own": (
        "2026-03-28T02:30:00.50+01:00", "FREQ=DAILY", None,
        ["2026-03-29T02:30:00.50+01:00", "2026-03-30T02:30:00.50+01:00"],
    ),
    "on UTC in London's winter": ("2026-03-28T09:00:00Z", "FREQ=DAILY", "Europe/London", ["2026-03-29T09:00:00+01:00"]),
    "seconds beside a zone's minutes": (
        "1971-01-01T09:00:00-00:44", "FREQ=DAILY", "Africa/Monrovia",
        ["1971-01-02T09:00:00-00:44", "1971-01-03T09:00:00-00:44"],
    ),
    "a day has no clock": ("2026-03-28", "FREQ=DAILY", BERLIN, ["2026-03-29", "2026-03-30"]),
    "three times": ("2026-01-01", "FREQ=DAILY;COUNT=3", None, ["2026-01-02", "2026-01-03"]),
    "once": ("2026-01-01", "FREQ=DAILY;COUNT=1", None, []),
    "a first day that is none of the rule": (
        "2026-01-01", "FREQ=WEEKLY;BYDAY=MO;COUNT=2", None, ["2026-01-05", "2026-01-12"],
    ),
    "weekdays with and without a number": (
        "2026-01-05", "FREQ=MONTHLY;BYDAY=MO,1TU", None,
        ["2026-01-06", "2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02", "2026-02-03"],
    ),
    "the first weekday of the year": (
        "2026-01-01", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1", None,
        ["2026-12-31", "2027-01-01", "2027-12-31"],
    ),
    "the 53rd Monday": ("2029-01-01", "FREQ=YEARLY;BYDAY=53MO", None, ["2029-12-31", "2035-12-31"]),
    "the last Monday of the year": ("2026-01-01", "FREQ=YEARLY;BYDAY=-1MO", None, ["2026-12-28", "2027-12-27"]),
    "every 366 days in May": ("2026-05-31", "FREQ=DAILY;INTERVAL=366;BYMONTH=5", None, ["2470-05-01", "2471-05-02"]),
    "until a day": ("2026-01-01T23:00:00Z", "FREQ=DAILY;UNTIL=20260102", None, ["2026-01-02T23:00:00Z"]),
    "until a moment": ("2026-01-01T09:00:00+01:00", "FREQ=DAILY;UNTIL=20260103T080000Z", BERLIN,
                       ["2026-01-02T09:00:00+01:00", "2026-01-03T09:00:00+01:00"]),
    "until just before": ("2026-01-01T09:00:00+01:00", "FREQ=DAILY;UNTIL=20260102T075959Z", None, []),
    "until a wall time": ("2026-01-01T09:00:00+01:00", "FREQ=DAILY;UNTIL=20260102T090000", None,
                          ["2026-01-02T09:00:00+01:00"]),
    "in small letters": ("2026-01-01", "freq=daily;count=2", None, ["2026-01-02"]),
    "the end of the calendar": ("9999-12-30", "FREQ=DAILY", None, ["9999-12-31"]),
    "the end of the calendar in Berlin": ("9999-12-30", "FREQ=DAILY", NEW_YORK, []),
}  # fmt: skip


@pytest.mark.parametrize(("due", "rule", "time_zone", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_by_hand(due: str, rule: str, time_zone: str | None, expected: list[str]) -> None:
    """Month ends, leap days, changes of the clocks, and each way to end."""
    ends = "COUNT" in rule.upper() or "UNTIL" in rule or due.startswith("9999")

    assert list(dates(due, rule, time_zone, at_most=12 if ends else len(expected))) == expected


def test_a_count_is_what_is_left() -> None:
    """The rule that comes back goes on where the due date is."""
    first = advance("2026-01-01", "count=3;freq=daily", time_zone=None, completed_at=None)
    assert first is not None
    second = advance(first.due, first.rule, time_zone=None, completed_at=None)

    assert (first.rule, second and second.rule) == ("COUNT=2;freq=daily", "COUNT=1;freq=daily")


COMPLETED = [
    ("2026-01-01", "FREQ=DAILY;INTERVAL=3", None, "2026-02-10T22:00:00+00:00", "2026-02-13"),
    ("2026-01-01", "FREQ=DAILY", BERLIN, "2026-02-10T23:30:00+00:00", "2026-02-12"),
    ("2026-01-01T09:00:00+01:00", "FREQ=DAILY", BERLIN, "2026-07-01T05:00:00+00:00", "2026-07-02T09:00:00+02:00"),
    ("2026-01-01T09:00:00+01:00", "FREQ=DAILY", None, "2026-07-01T23:30:00+00:00", "2026-07-03T09:00:00+01:00"),
    ("2026-06-01", "FREQ=MONTHLY", None, "2026-01-31T12:00:00+00:00", "2026-03-31"),
    ("2026-06-01", "FREQ=WEEKLY;BYDAY=MO", None, "2026-06-08T12:00:00+00:00", "2026-06-15"),
]


@pytest.mark.parametrize(("due", "rule", "time_zone", "completed_at", "expected"), COMPLETED)
def test_from_completion(due: str, rule: str, time_zone: str | None, completed_at: str, expected: str) -> None:
    """Counted from the day on which it was completed, where the task is; never that day again."""
    following = advance(due, rule, time_zone=time_zone, completed_at=datetime.fromisoformat(completed_at))

    assert following is not None
    assert following.due == expected


def test_each_completion_counts() -> None:
    """From completion, the due date may be none of the rule's days and uses one up all the same."""
    now = datetime(2026, 1, 7, tzinfo=UTC)
    first = advance("2026-01-01", "FREQ=WEEKLY;BYDAY=MO;COUNT=2", time_zone=None, completed_at=now)
    assert first is not None

    assert first.rule == "FREQ=WEEKLY;BYDAY=MO;COUNT=1"
    assert advance(first.due, first.rule, time_zone=None, completed_at=now) is None


REFUSED = [
    "", "DAILY", "INTERVAL=1;COUNT=2",
    "FREQ=", "FREQ=HOURLY", "FREQ=SECONDLY", "FREQ=DAILY;BYHOUR=1", "FREQ=DAILY;BYMINUTE=1",
    "FREQ=DAILY;BYSECOND=1", "FREQ=YEARLY;BYWEEKNO=1", "FREQ=YEARLY;BYEASTER=0", "FREQ=YEARLY;BYYEARDAY=1",
    "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;", ";FREQ=DAILY", "RRULE:FREQ=DAILY", "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;INTERVAL=367", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=10001",
    "FREQ=DAILY;COUNT=2;UNTIL=20270101", "FREQ=DAILY;UNTIL=20270230", "FREQ=DAILY;UNTIL=20270101T250000Z",
    "FREQ=MONTHLY;BYDAY=6MO", "FREQ=YEARLY;BYMONTH=2;BYDAY=53MO",
    "FREQ=DAILY;UNTIL=2027", "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;BYDAY=", "FREQ=DAILY;BYDAY=1MO",
    "FREQ=WEEKLY;BYDAY=-1MO",
    "FREQ=DAILY;BYMONTHDAY=1", "FREQ=WEEKLY;BYMONTHDAY=1", "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=1", "FREQ=MONTHLY;BYSETPOS=1",
    "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=YEARLY;BYMONTH=13", "FREQ=YEARLY;BYMONTH=0",
    "FREQ=YEARLY;BYDAY=54MO", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=0", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=367",
    "FREQ=MONTHLY;BYDAY=" + ",".join(["MO"] * 32), "FREQ=DAILY" + ";WKST=MO" * 40, "FREQ=DAILY;WKST=1",
    "FREQ=DAILY;INTERVAL=\u0661", "FREQ=DAILY\n", "FREQ=DAILY;X-OWN=1", "FREQ=DAILY;COUNT=3 ",
    "FREQ=DAILY;INTERVAL=1.0",
]  # fmt: skip


@pytest.mark.parametrize("rule", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_rule_is_refused(rule: str) -> None:
    """Not of RFC 5545, or not of the subset; the sentence does not hold what was sent."""
    with pytest.raises(ValueError, match=r"^(must|may|has) ") as refusal:
        read_rule(rule)

    assert len(rule) < 11 or rule not in str(refusal.value)


NEVER = [
    ("2026-01-06", "FREQ=DAILY;INTERVAL=7;BYDAY=MO"),
    ("2026-01-06", "FREQ=DAILY;INTERVAL=7;BYDAY=MO;BYMONTH=2"),
    ("2026-02-01", "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31"),
    ("2026-02-01", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=50"),
    ("2026-02-01", "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30,31"),
    ("2026-02-01", "FREQ=YEARLY;BYMONTH=4,6,9,11;BYMONTHDAY=31"),
    ("2026-02-01", "FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=SU;BYSETPOS=366"),
    ("2026-02-01", "FREQ=YEARLY;INTERVAL=366;BYMONTH=2;BYMONTHDAY=30"),
    ("2026-01-01", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=" + ",".join(map(str, range(32, 63)))),
    ("2026-01-01", "FREQ=MONTHLY;BYDAY=5MO,5TU;BYMONTH=2;BYMONTHDAY=1"),
    ("2026-01-18", "FREQ=MONTHLY;INTERVAL=52;BYMONTH=6,7,8"),
    ("2026-02-01", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA;BYSETPOS=" + ",".join(map(str, range(336, 367)))),
    ("2026-02-01", "FREQ=YEARLY;BYMONTHDAY=31;BYDAY=1MO"),
    ("2026-02-28", "FREQ=YEARLY;BYDAY=53MO;BYMONTHDAY=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"),
    ("2025-02-28", "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29"),
    ("9999-12-31", "FREQ=WEEKLY"),
    ("9999-12-31", "FREQ=DAILY"),
    ("9999-12-31", "FREQ=MONTHLY"),
    ("9999-12-31", "FREQ=YEARLY"),
]


@pytest.mark.parametrize(("due", "rule"), NEVER)
def test_a_rule_that_never_comes_again_is_refused_soon(due: str, rule: str) -> None:
    """python-dateutil would search to the year 9999; here the steps are counted."""
    read_rule(rule)
    started = time.process_time()

    with pytest.raises(ValueError, match="never comes again"):
        recurrence.check(due, rule, None)

    assert time.process_time() - started < SECONDS_AT_MOST


@pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=1", "FREQ=DAILY;UNTIL=20200101"])
def test_a_rule_that_has_ended_is_a_rule(rule: str) -> None:
    """It is what a task has at its last due date, and a client may send it back."""
    recurrence.check("2026-01-01", rule, None)

    assert advance("2026-01-01", rule, time_zone=None, completed_at=None) is None


@pytest.mark.parametrize(("due", "time_zone"), [("9999-12-31T23:00:00Z", BERLIN), ("0001-01-01T00:30:00Z", NEW_YORK)])
def test_a_due_date_may_be_beyond_the_calendar_of_its_zone(due: str, time_zone: str) -> None:
    """Such a rule is refused; a task from before it was can be completed."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        recurrence.check(due, "FREQ=DAILY", time_zone)

    assert advance(due, "FREQ=DAILY", time_zone=time_zone, completed_at=None) is None


ENDS = [
    ("2026-01-01T09:00:00+01:00", "FREQ=DAILY;UNTIL=99991231T235959Z", BERLIN, "2026-01-02T09:00:00+01:00"),
    ("2026-01-01T09:00:00-05:00", "FREQ=DAILY;UNTIL=00010101T000000Z", NEW_YORK, None),
    ("2026-01-01", "FREQ=DAILY;UNTIL=99991231", NEW_YORK, "2026-01-02"),
    ("9999-12-30T23:00:00-05:00", "FREQ=DAILY", None, None),
    ("2026-01-01", "FREQ=DAILY", "Gone/Zone", None),
]


@pytest.mark.parametrize(("due", "rule", "time_zone", "expected"), ENDS)
def test_the_ends_of_the_calendar_are_no_fault(
    due: str, rule: str, time_zone: str | None, expected: str | None
) -> None:
    """An UNTIL that its zone cannot hold, an occurrence that UTC cannot, a zone that the system has not any more."""
    following = advance(due, rule, time_zone=time_zone, completed_at=None)

    assert (following and following.due) == expected


def test_no_drift_over_ten_years() -> None:
    """Every day at half past two in Berlin, through twenty changes of the clocks."""
    due, rule = "2026-01-01T02:30:00+01:00", "FREQ=DAILY"
    for due_next in dates(due, rule, BERLIN, at_most=3650):
        wall = datetime.fromisoformat(due_next)
        assert (wall.hour, wall.minute) == (2, 30)
        assert wall.utcoffset() == wall.replace(tzinfo=ZoneInfo(BERLIN)).utcoffset()
    assert wall.date() == (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=3650)).date()


@given(st.text(max_size=60) | st.text("FREQ=DAILYWKMOBUNT;,0123456789-+INTEVS", max_size=60))
def test_no_text_is_worse_than_refused(rule: str) -> None:
    """Whatever is sent is a rule, or a ValueError."""
    try:
        read_rule(rule)
        recurrence.check("2026-01-31", rule, BERLIN)
    except ValueError:
        return

    advance("2026-01-31", rule, time_zone=BERLIN, completed_at=None)
