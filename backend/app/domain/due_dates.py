"""When a task is due: a day, or a date-time with its offset, as it was given; and the moment that stands for.

The one place where text becomes a moment: due dates, filters and the times of an import are all read here.
"""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

_DUE: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<fraction>[0-9]{1,9}))?(?P<offset>[Zz]|[+-][0-9]{2}:[0-5][0-9]))?"
)
_UNREADABLE: Final = "must be a date (2026-12-24) or a date-time with its offset (2026-12-24T18:00:00+01:00)"
_NO_MOMENT: Final = "must be a date-time with its offset such as 2026-01-01T00:00:00.000000Z"
_OUT_OF_RANGE: Final = "must be a moment in the years 1 to 9999, in UTC and in its time_zone"
_LEAP_SECOND: Final = "must not be a leap second: send second 59, or the first second of the next minute"
# Of zoneinfo's names, those that stand for no place.
_NO_ZONES: Final = frozenset({"Factory", "localtime"})
SECONDS_PER_MINUTE, MINUTES_PER_HOUR = 60, 60
# PostgreSQL and Python keep microseconds; .NET writes seven digits, Go, Java and Rust up to nine.
FRACTION_DIGITS_KEPT: Final = 6
# A write reads its due date several times, and a page of an export many that are alike. Each takes about 300 bytes.
DUE_DATES_REMEMBERED: Final = 1024


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
        text = whole if not self.fraction else whole[: len(whole) - FRACTION_DIGITS_KEPT + self.fraction]
        if self.zulu and not self.offset:
            return f"{text}Z"
        minutes = _minutes(self.offset)
        hours, minutes_left = divmod(abs(minutes), MINUTES_PER_HOUR)
        return f"{text}{'-' if minutes < 0 else '+'}{hours:02}:{minutes_left:02}"


@lru_cache(maxsize=DUE_DATES_REMEMBERED)
def read(text: str) -> Due:
    """A due date (RFC 3339, section 5.6). Raises ValueError with a sentence that does not hold the text.

    A `t` or `z` may be small, a blank may stand for the T, and up to nine digits of a second are read, of which six are
    kept. A leap second is refused: neither PostgreSQL nor Python can store it.
    """
    found = _DUE.fullmatch(text)
    if found is None:
        raise ValueError(_UNREADABLE)
    if (found["time"] or "").endswith(":60"):
        raise ValueError(_LEAP_SECOND)
    fraction = (found["fraction"] or "")[:FRACTION_DIGITS_KEPT]
    try:
        if found["time"] is None:
            return Due(datetime.fromisoformat(found["day"]), None)
        seconds = f"{found['day']}T{found['time']}.{fraction:0<{FRACTION_DIGITS_KEPT}}"
        moment = datetime.fromisoformat(f"{seconds}{found['offset'].upper()}")
        moment.astimezone(UTC)
    except ValueError:
        raise ValueError(_UNREADABLE) from None
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None
    return Due(moment.replace(tzinfo=None), moment.utcoffset(), len(fraction), zulu=found["offset"] in "Zz")


def normalized(text: str) -> str:
    """A due date as it is stored and comes back: as it was given, with a T and at most six digits of a second.

    Raises ValueError for what `read` does not take.
    """
    read(text)
    found = _DUE.fullmatch(text)
    if found is None or found["time"] is None:
        return text
    separator = "T" if text[len(found["day"])] == " " else text[len(found["day"])]
    fraction = f".{found['fraction'][:FRACTION_DIGITS_KEPT]}" if found["fraction"] else ""
    return f"{found['day']}{separator}{found['time']}{fraction}{found['offset']}"


def same(one: str, other: str) -> bool:
    """Whether two due dates differ at most in how they are spelled: the same day, or moment and offset."""
    if one == other:
        return True
    try:
        first, second = read(one), read(other)
    except ValueError:
        return False
    return (first.wall, first.offset) == (second.wall, second.offset)


def moment(text: str) -> datetime:
    """A date-time with its offset, in UTC. Raises ValueError."""
    due = read(text)
    if due.offset is None:
        raise ValueError(_NO_MOMENT)
    return (due.wall - due.offset).replace(tzinfo=UTC)


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises ValueError."""
    if name not in _names():
        raise ValueError("must be an IANA time zone such as Europe/Berlin")
    return zoneinfo.ZoneInfo(name)


def is_zone(name: str) -> bool:
    """Whether it names a zone of the system's IANA database."""
    return name in _names()


def local_zone(due: Due, time_zone: str | None) -> tzinfo:
    """Where a due date is local: in its time zone, else at its own offset, else in UTC. Raises ValueError."""
    return zone(time_zone) if time_zone is not None else timezone(due.offset or timedelta())


def local(due: Due, time_zone: str | None) -> datetime:
    """The wall time in the task's zone: as it is written, where that is a wall time there.

    Raises ValueError for what is no zone, and where the zone's calendar does not reach that far.
    """
    if due.offset is None or time_zone is None:
        return due.wall
    where = zone(time_zone)
    try:
        # Before there were zones clocks were seconds apart, which no offset can say: it is then the nearest minute.
        offsets = (due.wall.replace(tzinfo=where, fold=fold).utcoffset() for fold in (0, 1))
        if _minutes(due.offset) in (_minutes(offset or timedelta()) for offset in offsets):
            return due.wall
        return due.wall.replace(tzinfo=timezone(due.offset)).astimezone(where).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None


def due_at(text: str, time_zone: str | None) -> datetime:
    """The moment by which it has to be done: of a day, the last one in this zone, or in UTC.

    Raises ValueError for what is no due date or no zone, and where that moment is out of range.
    """
    due = read(text)
    where = local_zone(due, time_zone)
    try:
        if due.offset is None:
            return datetime.combine(due.wall, time.max, where).replace(fold=1).astimezone(UTC)
        return (due.wall - due.offset).replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None


def start_at(text: str, time_zone: str | None) -> datetime:
    """The moment from which on it can be done: of a day, the first one in this zone, or in UTC. Raises ValueError."""
    due = read(text)
    if due.offset is not None:
        return due_at(text, time_zone)
    try:
        return datetime.combine(due.wall, time.min, local_zone(due, time_zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError(_OUT_OF_RANGE) from None


def written_like(wall: datetime, due: Due, time_zone: str | None) -> str:
    """A wall time as text in the spelling of this due date, with the offset that its time zone has then.

    A wall time that the clocks skip has the offset from before the change. One that comes twice is the first of both.
    Raises ValueError for what is no time zone.
    """
    offset = due.offset
    if offset is not None and time_zone is not None:
        offset = wall.replace(tzinfo=zone(time_zone)).utcoffset()
    return str(Due(wall, offset, due.fraction, due.zulu))


def check(text: str, time_zone: str | None) -> None:
    """Raises ValueError for a due date that is written now: its moment must be in range in UTC and in its zone."""
    due_at(text, time_zone)
    local(read(text), time_zone)


def first_moment(text: str) -> datetime:
    """The moment of a date-time, or the first one of a day in UTC. Raises ValueError."""
    due = read(text)
    return (due.wall - (due.offset or timedelta())).replace(tzinfo=UTC)


def _minutes(offset: timedelta) -> int:
    return round(offset.total_seconds() / SECONDS_PER_MINUTE)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NO_ZONES
