"""Days and moments of iCalendar (RFC 5545, sections 3.3.4 and 3.3.5) as due dates, and the zones that they are in."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

from backend.app.domain import due_dates, reminders
from backend.app.web.foreign.calendar_zones import Zones, offset_named
from backend.app.web.foreign.content_lines import ContentLine

_TIME: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z)?)?", re.ASCII)
_LEAP_SECOND: Final = 60
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
IN_UTC: Final = "the time zone of {name} is not known: it is taken as UTC"
AT_OFFSET: Final = "the time zone of {name} has no name that is known: only its offset is taken over"


@dataclass(frozen=True, slots=True)
class When:
    """A due date and the zone it is in; `note` says, with a place for the property's name, what of it is not sure."""

    due_date: str
    time_zone: str | None = None
    note: str | None = None

    @property
    def is_moment(self) -> bool:
        return "T" in self.due_date

    @property
    def day(self) -> str:
        return self.due_date[: len("2026-12-24")]

    def is_second_after(self, other: "When") -> bool:
        """Whether this is one second later: how a task that repeats is written by our own export."""
        if not (self.is_moment and other.is_moment):
            return False
        return due_dates.moment(self.due_date) - due_dates.moment(other.due_date) == timedelta(seconds=1)

    def after(self, duration: str) -> "When | None":
        """What is due so much later (section 3.8.2.5). A day lasts until its end, which is the next one's beginning."""
        try:
            lead = reminders.read(duration)
            if isinstance(lead, datetime) or lead.days < 0 or lead.time < timedelta():
                return None
            if not self.is_moment:
                days = max(timedelta(lead.days) + lead.time - _DAY, timedelta()).days
                day = date.fromisoformat(self.due_date) + timedelta(days)
                return When(day.isoformat(), self.time_zone, self.note)
            due = due_dates.read(self.due_date)
            later = reminders.moment(duration, self.due_date, self.time_zone)
            wall = later.astimezone(due_dates.local_zone(due, self.time_zone)).replace(tzinfo=None)
            return When(due_dates.written_like(wall, due, self.time_zone), self.time_zone, self.note)
        except (ValueError, OverflowError):
            return None


def when(line: ContentLine, zones: Zones) -> When | None:
    """None for what is no day or moment. A time without a zone is in the calendar's, or in UTC."""
    # Some programs leave quotation marks out where a TZID has a colon: (UTC+01:00) Berlin.
    rest, colon, value = line.value.rpartition(":")
    found = _TIME.fullmatch(value.strip())
    if found is None:
        return None
    named = line.parameters.get("TZID")
    named = f"{named}:{rest}" if named is not None and colon else named
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
        if found[4] is None:
            return When(day.isoformat(), zones.named(named))
        second = min(int(found[6]), _LEAP_SECOND - 1)
        wall = datetime(day.year, day.month, day.day, int(found[4]), int(found[5]), second)  # noqa: DTZ001 - of the zone below
        if found[7]:
            return When(f"{wall.isoformat()}Z")
        zone, fixed = zones.named(named), offset_named(named)
        if zone is None and fixed is not None:
            return When(_written(wall.replace(tzinfo=timezone(fixed))))
        return _local(wall, zone, zones.offset(named, wall))
    except (ValueError, OverflowError):
        return None


def _written(moment: datetime) -> str:
    """Raises OverflowError at the ends of the calendar."""
    moment.astimezone(UTC)
    return moment.isoformat()


def _local(wall: datetime, zone: str | None, offset: timedelta | None) -> When:
    """Raises OverflowError at the ends of the calendar."""
    if zone is None and offset is None:
        return When(f"{wall.isoformat()}Z", note=IN_UTC)
    where = wall.replace(tzinfo=ZoneInfo(zone) if zone is not None else timezone(offset or timedelta()))
    moment = where.astimezone(UTC)
    if (where.utcoffset() or timedelta()) % _MINUTE:  # before there were zones
        return When(f"{moment.replace(tzinfo=None).isoformat()}Z", zone)
    return When(where.isoformat(), zone, None if zone is not None else AT_OFFSET)


def moment_text(line: ContentLine) -> str | None:
    """A moment such as CREATED, in UTC as sections 3.8.7.1 to 3.8.7.3 have it."""
    found = when(line, Zones())
    return found.due_date if found is not None and found.is_moment else None
