"""When a task reminds of itself: at a moment, or a duration before its due date (RFC 5545, section 3.8.6.3, TRIGGER).

A duration counts from the due date's moment; from a day it counts from that day's midnight where the task is at home
(section 3.6.6). Its days and weeks are those of the calendar, its hours are exact (section 3.3.6).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from backend.app.domain import due_dates

# The longest duration; a year and the day that a leap year has more.
LEAD_MAX: Final = timedelta(days=366)
# A text of 30 characters takes about 300 bytes as a value.
DURATIONS_REMEMBERED: Final = 512

# dur-value: each part has a bound, so that no number grows beyond what is compared with LEAD_MAX.
_DURATION: Final = re.compile(
    r"(?P<sign>[+-]?)P(?=[0-9T])((?P<weeks>[0-9]{1,3})W|((?P<days>[0-9]{1,4})D)?"
    r"(T(?=[0-9])(?![0-9]+H[0-9]+S)((?P<hours>[0-9]{1,5})H)?((?P<minutes>[0-9]{1,7})M)?((?P<seconds>[0-9]{1,9})S)?)?)"
)
_UNREADABLE: Final = (
    "must be a date-time with its offset (2026-12-24T09:00:00+01:00), or a duration before the due date as RFC 5545 "
    "writes it (-PT30M, -P1D)"
)
_OUT_OF_RANGE: Final = "must be a moment in the years 1 to 9999, in UTC and in the task's time_zone"
NO_DUE_DATE: Final = "a reminder that is a duration needs a due_date"
_TOO_LATE: Final = "a reminder that is a duration must not come after the due_date"


@dataclass(frozen=True, slots=True)
class Lead:
    """A duration from the due date on, negative where it is before: days of the calendar, and an exact time."""

    days: int
    time: timedelta


@lru_cache(maxsize=DURATIONS_REMEMBERED)
def read(text: str) -> Lead | datetime:
    """A reminder: a duration, or a moment in UTC. Raises ValueError with a sentence that does not hold the text."""
    if text[:1] not in ("+", "-", "P"):
        try:
            return due_dates.moment(text)
        except ValueError:
            raise ValueError(_UNREADABLE) from None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(_UNREADABLE)
    part = {name: int(digits or 0) for name, digits in found.groupdict().items() if name != "sign"}
    sign = -1 if found["sign"] == "-" else 1
    days = part["weeks"] * 7 + part["days"]
    exact = timedelta(hours=part["hours"], minutes=part["minutes"], seconds=part["seconds"])
    if timedelta(days=days) + exact > LEAD_MAX:
        raise ValueError(f"must be a duration of at most {LEAD_MAX.days} days")
    return Lead(sign * days, sign * exact)


def normalized(text: str) -> str:
    """A reminder as it is stored and comes back; a moment is spelled as a due date is. Raises ValueError."""
    return text if isinstance(read(text), Lead) else due_dates.normalized(text)


def moment(text: str, due_date: str | None, time_zone: str | None) -> datetime:
    """When a reminder comes, in UTC. Raises ValueError where it has no due date to count from, or is out of range."""
    reminder = read(text)
    if isinstance(reminder, datetime):
        return reminder
    if due_date is None:
        raise ValueError(NO_DUE_DATE)
    due = due_dates.read(due_date)
    try:
        if due.offset is not None and not reminder.days:
            return due_dates.due_at(due_date, time_zone) + reminder.time
        day = due_dates.local(due, time_zone) + timedelta(days=reminder.days)
        return day.replace(tzinfo=due_dates.local_zone(due, time_zone)).astimezone(UTC) + reminder.time
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None


def check(reminders: Sequence[str], due_date: str | None, time_zone: str | None) -> None:
    """Raises ValueError for a duration without a due date, out of the calendar, or after what it reminds of."""
    for text in reminders:
        comes = moment(text, due_date, time_zone)
        if due_date is not None and isinstance(read(text), Lead) and comes > due_dates.due_at(due_date, time_zone):
            raise ValueError(_TOO_LATE)


def needs_due_date(text: str) -> bool:
    """Whether a reminder counts from the due date. Raises ValueError for what is no reminder."""
    return isinstance(read(text), Lead)


def moments(reminders: Sequence[str], due_date: str | None, time_zone: str | None) -> list[datetime]:
    """When the reminders of a stored task come, each moment once, the first one first."""
    found = set()
    for text in reminders:
        try:
            found.add(moment(text, due_date, time_zone))
        except ValueError:  # the system's list of zones has become shorter
            continue
    return sorted(found)


def next_moment(task: Mapping[str, Any]) -> str | None:
    """When a task, with the members that it is shown with, reminds next; None where it is completed, or never."""
    if task["completed"] or not task["reminders"]:
        return None
    now = datetime.now(UTC)
    coming = moments(task["reminders"], task["due_date"], task["time_zone"])
    return next((_rfc3339(one) for one in coming if one > now), None)


def moved(reminders: Sequence[str], due_date: str, following: str, time_zone: str | None) -> list[str]:
    """The reminders of a task that comes again: durations stay, moments go as many days further as the due date.

    They keep their wall time where the task is at home. A moment beyond the calendar is left out.
    """
    before, after = (due_dates.local(due_dates.read(text), time_zone) for text in (due_date, following))
    days = after.date() - before.date()
    found: list[str] = []
    for text in reminders:
        try:
            again = text if isinstance(read(text), Lead) else _later(text, days, time_zone)
        except (OverflowError, ValueError):
            continue
        if again not in found:
            found.append(again)
    return found


def _later(text: str, days: timedelta, time_zone: str | None) -> str:
    due = due_dates.read(text)
    there = due_dates.written_like(due_dates.local(due, time_zone) + days, due, time_zone)
    due_dates.check(there, time_zone)
    return there


def _rfc3339(when: datetime) -> str:
    # strftime pads no year before 1000.
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(len("2026-01-01T00:00:00.000000Z"), "0")
