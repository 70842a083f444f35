"""Days and moments of iCalendar (RFC 5545, sections 3.3.4 and 3.3.5) as due dates, and the zones that they are in."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from backend.app.domain import due_dates
from backend.app.web.foreign.content_lines import ContentLine

_TIME: Final = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z)?)?", re.ASCII)
_LEAP_SECOND: Final = 60
# Programs put a path of their own before the zone's name: /example.org/Tzfile/Europe/Berlin. IANA's have three parts.
_PARTS_OF_A_ZONE: Final = 3
ZONE_MAX_CHARACTERS: Final = 200
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class When:
    """A due date and the zone it is in; `guessed` says that the file names none that is known."""

    due_date: str
    time_zone: str | None = None
    guessed: bool = False

    @property
    def is_moment(self) -> bool:
        return "T" in self.due_date

    def is_second_after(self, other: "When") -> bool:
        """Whether this is one second later: how a task that repeats is written by our own export."""
        if not (self.is_moment and other.is_moment):
            return False
        return due_dates.moment(self.due_date) - due_dates.moment(other.due_date) == timedelta(seconds=1)


def zone_named(name: str) -> str | None:
    """The IANA name that a TZID is, or ends with."""
    parts = name[:ZONE_MAX_CHARACTERS].strip("/").split("/")
    for count in range(min(_PARTS_OF_A_ZONE, len(parts)), 0, -1):
        if due_dates.is_zone(found := "/".join(parts[-count:])):
            return found
    return None


def when(line: ContentLine, default_zone: str | None) -> When | None:
    """None for what is no day or moment. A time without a zone is in the calendar's (`default_zone`), or in UTC."""
    found = _TIME.fullmatch(line.value.strip())
    if found is None:
        return None
    named = line.parameters.get("TZID")
    zone = default_zone if named is None else zone_named(named)
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
        if found[4] is None:
            return When(day.isoformat(), zone)
        second = min(int(found[6]), _LEAP_SECOND - 1)
        wall = datetime(day.year, day.month, day.day, int(found[4]), int(found[5]), second)  # noqa: DTZ001 - of the zone below
        if found[7]:
            return When(f"{wall.isoformat()}Z")
        return _local(wall, zone)
    except (ValueError, OverflowError):
        return None


def _local(wall: datetime, zone: str | None) -> When:
    """Raises OverflowError at the ends of the calendar."""
    if zone is None:
        return When(f"{wall.isoformat()}Z", guessed=True)
    where = wall.replace(tzinfo=ZoneInfo(zone))
    moment = where.astimezone(UTC)
    if (where.utcoffset() or timedelta()) % _MINUTE:  # before there were zones
        return When(f"{moment.replace(tzinfo=None).isoformat()}Z", zone)
    return When(where.isoformat(), zone)


def moment_text(line: ContentLine) -> str | None:
    """A moment such as CREATED, in UTC as sections 3.8.7.1 to 3.8.7.3 have it."""
    found = when(line, None)
    return found.due_date if found is not None and found.is_moment else None
