"""When a task that repeats is due again: its rule in local time, and what is left of the rule then.

Like RFC 5545: a date that a month does not have is left out, so the 31st of January goes on to the 31st of March. The
wall time stays the same over daylight saving changes.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from backend.app.domain import due_dates
from backend.app.domain.due_dates import Due
from backend.app.domain.occurrences import following
from backend.app.domain.rules import Rule, read_rule
from backend.app.domain.schedule import Schedule

# A wall time of two days before a moment's own local day is over by then, also where a zone has left a day out.
_OVER: Final = timedelta(days=2)
_DAY: Final = timedelta(days=1)
_COUNT: Final = re.compile("(?i)COUNT=[0-9]+")


@dataclass(frozen=True, slots=True)
class Next:
    """When the task comes again, the rule from then on, and how many occurrences are skipped until then."""

    due: str
    rule: str
    skipped: int = 0


def check(due: str, rule: str, time_zone: str | None) -> None:
    """Raises ValueError for a rule that, apart from its end, never comes again after this due date."""
    wall = due_dates.local(due_dates.read(due), time_zone)
    if following(read_rule(rule), wall.date())[1] is None:
        raise ValueError("the recurrence never comes again after the due_date")


def advance(due: str, rule: str, *, time_zone: str | None, completed_at: datetime | None) -> Next | None:
    """When a task comes again that was completed: next after its due date, or after the completion where that is given.

    COUNT and UNTIL of a rule are of what is left from the due date on. None: it does not come again. Next's `due` is
    written like the one before.
    """
    task = _Repeating(read_rule(rule), rule, due_dates.read(due), time_zone)
    try:
        start = task.wall.date() if completed_at is None else completed_at.astimezone(task.where).date()
        is_one, day = following(task.rule, start)
        return task.next(day, used=is_one or completed_at is not None)
    except (OverflowError, ValueError):  # the end of the calendar, or of its zone's
        return None


def advance_past(due: str, rule: str, *, time_zone: str | None, now: datetime) -> Next | None:
    """The first occurrence after the due date that is not past: what `advance` comes to when it is repeated.

    A day is past when it has ended. Those that are skipped count as if they were completed. None: none is left.
    """
    task = _Repeating(read_rule(rule), rule, due_dates.read(due), time_zone)
    try:
        start = task.wall.date()
        schedule = Schedule(task.rule, start)
        day = schedule.first(max(start + _DAY, now.astimezone(task.where).date() - _OVER))
        while day is not None and due_dates.due_at(task.due_on(day), time_zone) <= now:
            day = schedule.first(day + _DAY)
        skipped = 0 if day is None else schedule.count(start + _DAY, day)
        return task.next(day, used=schedule.includes(start), skipped=skipped)
    except (OverflowError, ValueError):  # as above
        return None


@dataclass(frozen=True, slots=True)
class _Repeating:
    """A task's rule, also as it is written, and what it counts from. Properties raise ValueError and OverflowError."""

    rule: Rule
    text: str
    due: Due
    time_zone: str | None

    @property
    def where(self) -> tzinfo:
        return due_dates.local_zone(self.due, self.time_zone)

    @property
    def wall(self) -> datetime:
        return due_dates.local(self.due, self.time_zone)

    def next(self, day: date | None, *, used: bool, skipped: int = 0) -> Next | None:
        """The occurrence on this day, unless the rule has ended before; `used`: the due date was one of the rule's."""
        left = None if self.rule.count is None else self.rule.count - used - skipped
        if day is None or (left is not None and left <= 0):
            return None
        last = self.rule.last_wall_time(self.where)
        if last is not None and datetime.combine(day, self.wall.time()) > last:
            return None
        there = self.due_on(day)
        due_dates.check(there, self.time_zone)
        return Next(there, self.text if left is None else _COUNT.sub(f"COUNT={left}", self.text), skipped)

    def due_on(self, day: date) -> str:
        """The due date of an occurrence on this day, written like the first."""
        return due_dates.written_like(datetime.combine(day, self.wall.time()), self.due, self.time_zone)


def moved_start(start: str | None, due: str, then: str, time_zone: str | None) -> str | None:
    """The start date of an occurrence: by local time as long before its due date as the first one's.

    None where there is none, or where the calendar does not reach that far.
    """
    if start is None:
        return None
    try:
        walls = [due_dates.local(due_dates.read(text), time_zone) for text in (start, due, then)]
        moved = due_dates.written_like(walls[0] + (walls[2] - walls[1]), due_dates.read(start), time_zone)
        due_dates.start_at(moved, time_zone)
    except (OverflowError, ValueError):
        return None
    return moved
