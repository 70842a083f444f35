"""When a task that repeats is due again: its rule in local time, and what is left of the rule then.

Like RFC 5545: a date that a month does not have is left out, so the 31st of January goes on to the 31st of March. The
wall time stays the same over daylight saving changes.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from backend.app.domain import due_dates as dues
from backend.app.domain.due_dates import Due
from backend.app.domain.occurrences import following
from backend.app.domain.rules import Rule, read_rule

_COUNT: Final = re.compile("(?i)COUNT=[0-9]+")


@dataclass(frozen=True, slots=True)
class Next:
    """When the task comes again, and the rule from then on."""

    due: str
    rule: str


def check_rule(rule: str) -> None:
    """Raises ValueError, in a sentence without the rule, for what is no rule, or none of the subset."""
    read_rule(rule)


def check(due: str, rule: str, time_zone: str | None) -> None:
    """Raises ValueError for a rule that, apart from its end, never comes again after this due date."""
    wall = dues.local(dues.read(due), time_zone)
    if following(read_rule(rule), wall.date())[1] is None:
        raise ValueError("the recurrence never comes again after the due_date")


def advance(due: str, rule: str, *, time_zone: str | None, completed_at: datetime | None) -> Next | None:
    """When a task comes again that was completed: next after its due date, or after the completion where that is given.

    COUNT and UNTIL of a rule are of what is left from the due date on. None: it does not come again. Next's `due` is
    written like the one before.
    """
    read, written = read_rule(rule), dues.read(due)
    try:
        return _advance(read, written, rule, time_zone, completed_at)
    except (OverflowError, ValueError):  # the end of the calendar, or of its zone's
        return None


def _advance(rule: Rule, due: Due, text: str, time_zone: str | None, completed_at: datetime | None) -> Next | None:
    where, wall = dues.home(due, time_zone), dues.local(due, time_zone)
    start = wall.date() if completed_at is None else completed_at.astimezone(where).date()
    is_one, day = following(rule, start)
    left = None if rule.count is None else rule.count - (is_one or completed_at is not None)
    if day is None or left == 0:
        return None
    again, last = datetime.combine(day, wall.time()), rule.last_wall_time(where)
    if last is not None and again > last:
        return None
    there = _written(again, due, time_zone)
    dues.check(there, time_zone)
    return Next(there, text if left is None else _COUNT.sub(f"COUNT={left}", text))


def _written(wall: datetime, due: Due, time_zone: str | None) -> str:
    """A wall time, written like this due date.

    One that is left out by a change of the clocks has the offset from before: that is a moment, and the wall time is
    still there to go on from. Of two, it is the first.
    """
    offset = due.offset
    if offset is not None and time_zone is not None:
        offset = wall.replace(tzinfo=dues.zone(time_zone)).utcoffset()
    return str(Due(wall, offset, due.fraction, due.zulu))
