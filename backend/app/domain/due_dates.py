"""When a task is due: a day, or a date-time with its offset, as it was given; and the moment that stands for."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache

_DUE = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([Tt](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<fraction>[0-9]{1,6}))?(?P<offset>[Zz]|[+-][0-9]{2}:[0-5][0-9]))?"
)
_UNREADABLE = "must be a date (2026-12-24) or a date-time with its offset (2026-12-24T18:00:00+01:00)"
_OUT_OF_RANGE = "must be a moment in the years 1 to 9999"
# Of zoneinfo's names, those that stand for no place.
_NO_ZONES = frozenset({"Factory", "localtime"})
SECONDS_PER_MINUTE, MINUTES_PER_HOUR = 60, 60


@dataclass(frozen=True, slots=True)
class Due:
    """A due date as it is written: wall time without a zone, its offset (None: a day), and how it was spelled."""

    wall: datetime
    offset: timedelta | None
    fraction: int = 0
    """Digits of a second's fraction."""
    zulu: bool = False

    def __str__(self) -> str:
        if self.offset is None:
            return self.wall.date().isoformat()
        whole = self.wall.isoformat(timespec="seconds" if not self.fraction else "microseconds")
        text = whole if not self.fraction else whole[: len(whole) - 6 + self.fraction]
        if self.zulu and not self.offset:
            return f"{text}Z"
        minutes = round(self.offset.total_seconds() / SECONDS_PER_MINUTE)
        hours, minutes_left = divmod(abs(minutes), MINUTES_PER_HOUR)
        return f"{text}{'-' if minutes < 0 else '+'}{hours:02}:{minutes_left:02}"


def read(text: str) -> Due:
    """A due date (RFC 3339). Raises ValueError with a sentence that does not hold the text."""
    found = _DUE.fullmatch(text)
    if found is None:
        raise ValueError(_UNREADABLE)
    try:
        if found["time"] is None:
            return Due(datetime.fromisoformat(found["day"]), None)
        moment = datetime.fromisoformat(text.upper())
        moment.astimezone(UTC)
    except ValueError:
        raise ValueError(_UNREADABLE) from None
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None
    fraction = len(found["fraction"] or "")
    return Due(moment.replace(tzinfo=None), moment.utcoffset(), fraction, zulu=found["offset"] in "Zz")


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises ValueError."""
    if name not in _names():
        raise ValueError("must be an IANA time zone such as Europe/Berlin")
    return zoneinfo.ZoneInfo(name)


def instant(text: str, time_zone: str | None) -> datetime:
    """The moment by which it has to be done: of a day, the last one in this zone, or in UTC.

    Raises ValueError for what is no due date or no zone, and where that moment is out of range.
    """
    due = read(text)
    where = UTC if time_zone is None else zone(time_zone)
    try:
        if due.offset is None:
            return datetime.combine(due.wall, time.max, where).replace(fold=1).astimezone(UTC)
        return (due.wall - due.offset).replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None


def beginning(text: str) -> datetime:
    """The moment of a date-time, or the first one of a day in UTC. Raises ValueError."""
    due = read(text)
    return (due.wall - (due.offset or timedelta())).replace(tzinfo=UTC)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NO_ZONES
