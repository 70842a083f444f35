"""A time zone as a VTIMEZONE (RFC 5545, section 3.6.5): all of its past, and what it does from now on as rules.

Made from the zone's TZif file (RFC 8536), which says both: its changes one by one, and the rule after the last of them.
"""

import importlib.resources
import re
import struct
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from backend.app.domain.rules import WEEKDAYS

# There are about 600 names, with 1 to 4 KB each.
ZONES_REMEMBERED: Final = 640
# Where calendars begin: what Windows writes, too. Years before that are not asked for.
FIRST_YEAR: Final = 1601
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall times
_HEADER: Final = struct.Struct(">4s1s15x6I")
_DAY_SECONDS: Final = 86_400
_DAYS_A_WEEK: Final = 7
_LAST_WEEK: Final = 5
_DECEMBER: Final = 12

_NAME, _OFFSET = r"(?:<[^>]+>|[A-Za-z]+)", r"[+-]?[0-9:]+"
_CHANGE: Final = r"M([0-9]+)\.([0-9])\.([0-9])(?:/([+-]?[0-9:]+))?"
_FOOTER: Final = re.compile(f"({_NAME})({_OFFSET})({_NAME})({_OFFSET})?,{_CHANGE},{_CHANGE}")


class _State(NamedTuple):
    """What clocks show: seconds ahead of UTC, whether that is summer time, and its name."""

    offset: int
    daylight: bool
    name: str


class _Change(NamedTuple):
    """When clocks change, in seconds since 1970 (UTC), and from what to what."""

    at: int
    before: _State
    after: _State

    @property
    def wall(self) -> datetime:
        """As the clocks showed it until then."""
        return _EPOCH + timedelta(seconds=self.at + self.before.offset)


@dataclass(frozen=True, slots=True)
class _Yearly:
    """A change that comes every year: on a weekday in a week of a month (5: its last), so many seconds after 0:00."""

    month: int
    week: int
    weekday: int
    seconds: int
    before: _State
    after: _State

    def in_year(self, year: int) -> _Change:
        first = date(year, self.month, 1)
        day = (self.weekday - first.weekday()) % _DAYS_A_WEEK + (self.week - 1) * _DAYS_A_WEEK
        if self.week == _LAST_WEEK:
            following = date(year + self.month // _DECEMBER, self.month % _DECEMBER + 1, 1)
            day -= _DAYS_A_WEEK * (first + timedelta(days=day) >= following)
        wall = datetime(year, self.month, 1) + timedelta(days=day, seconds=self.seconds)  # noqa: DTZ001 - a wall time
        return _Change(round((wall - _EPOCH).total_seconds()) - self.before.offset, self.before, self.after)

    def rules(self) -> Iterator[tuple[int, str]]:
        """Months, and rules in them. There are two where the last week's change is on the first of the next month."""
        shift = self.seconds // _DAY_SECONDS
        name = WEEKDAYS[(self.weekday + shift) % _DAYS_A_WEEK]
        if not shift:
            yield self.month, f"BYDAY={-1 if self.week == _LAST_WEEK else self.week}{name}"
            return
        first = -_DAYS_A_WEEK if self.week == _LAST_WEEK else (self.week - 1) * _DAYS_A_WEEK + 1
        days = [first + shift + day for day in range(_DAYS_A_WEEK)]
        inside = [day for day in days if (day < 0) == (first < 0) and day]
        yield self.month, f"BYMONTHDAY={','.join(map(str, inside))};BYDAY={name}"
        if first < 0 <= days[-1]:
            beyond = [day + 1 for day in days if day >= 0]
            yield self.month % _DECEMBER + 1, f"BYMONTHDAY={','.join(map(str, beyond))};BYDAY={name}"


@lru_cache(maxsize=ZONES_REMEMBERED)
def vtimezone(name: str) -> bytes:
    """The component of a zone that `due_dates.zone` knows, in whole lines. Raises OSError where it has no file."""
    first, changes, yearly = _read(_file(name))
    changes, year = _without_regular(changes, yearly)
    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}", *_observance(datetime(FIRST_YEAR, 1, 1), first, first)]  # noqa: DTZ001 - wall time
    groups: dict[tuple[_State, _State], list[datetime]] = {}
    for change in changes:
        groups.setdefault((change.before, change.after), []).append(change.wall)
    for (before, after), (start, *more) in groups.items():
        lines += _observance(start, before, after, *(f"RDATE:{_text(wall)}" for wall in more))
    for regular in yearly:
        lines += _for_ever(regular, year)
    return "\r\n".join([*lines, "END:VTIMEZONE", ""]).encode()


@lru_cache(maxsize=ZONES_REMEMBERED)
def fixed_vtimezone(name: str, offset: timedelta) -> bytes:
    """The component of a zone that never changes its clocks."""
    state = _State(round(offset.total_seconds()), daylight=False, name=_offset(round(offset.total_seconds())))
    lines = _observance(datetime(FIRST_YEAR, 1, 1), state, state)  # noqa: DTZ001 - a wall time
    return "\r\n".join(["BEGIN:VTIMEZONE", f"TZID:{name}", *lines, "END:VTIMEZONE", ""]).encode()


def _file(name: str) -> bytes:
    """From where zoneinfo has it: the system, else the package tzdata."""
    path = next((path for folder in zoneinfo.TZPATH if (path := Path(folder, name)).is_file()), None)
    if path is not None:
        return path.read_bytes()
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _read(file: bytes) -> tuple[_State, list[_Change], list[_Yearly]]:
    """What clocks showed first, when they changed, and how they change every year since (RFC 8536, section 3)."""
    *_, utc, standard, leaps, times, types, characters = _HEADER.unpack_from(file)
    # The second block holds the same in 64 bits.
    start = _HEADER.size + times * 5 + types * 6 + characters + leaps * 8 + standard + utc
    *_, utc, standard, leaps, times, types, characters = _HEADER.unpack_from(file, start)
    at = start + _HEADER.size
    moments = struct.unpack_from(f">{times}q", file, at)
    indices = file[at + times * 8 : at + times * 9]
    kinds = list(struct.iter_unpack(">l?B", file[at + times * 9 : at + times * 9 + types * 6]))
    at += times * 9 + types * 6
    names = file[at : at + characters]
    states = [_State(offset, daylight, names[n : names.index(0, n)].decode()) for offset, daylight, n in kinds]
    changes, before = [], states[0]
    for moment, index in zip(moments, indices, strict=True):
        change = _Change(moment, before, states[index])
        before = states[index]
        if change.before != change.after and moment > (datetime(FIRST_YEAR, 1, 2) - _EPOCH).total_seconds():  # noqa: DTZ001 - as above
            changes.append(change)
    footer = file[at + characters + leaps * 12 + standard + utc :].decode().strip("\n")
    return states[0], changes, _yearly(footer)


def _yearly(footer: str) -> list[_Yearly]:
    """The rules of a POSIX TZ string; none where clocks do not change any more."""
    found = _FOOTER.fullmatch(footer)
    if found is None:
        return []
    standard_name, standard, daylight_name, daylight, *rules = found.groups()
    # POSIX counts west of Greenwich.
    winter = _State(-_seconds(standard), daylight=False, name=standard_name.strip("<>"))
    summer_offset = winter.offset + 3600 if daylight is None else -_seconds(daylight)
    summer = _State(summer_offset, daylight=True, name=daylight_name.strip("<>"))
    return [
        _one_yearly(rules[:4], winter, summer),
        _one_yearly(rules[4:], summer, winter),
    ]


def _one_yearly(rule: list[str], before: _State, after: _State) -> _Yearly:
    month, week, weekday, time = rule
    seconds = _seconds(time or "2")
    # POSIX counts from Sunday.
    return _Yearly(int(month), int(week), (int(weekday) - 1) % _DAYS_A_WEEK, seconds, before, after)


def _seconds(text: str) -> int:
    hours, minutes, seconds = ([int(part) for part in text.lstrip("+-").split(":")] + [0, 0])[:3]
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text.startswith("-") else 1)


def _without_regular(changes: list[_Change], yearly: list[_Yearly]) -> tuple[list[_Change], int]:
    """The changes before those that the rules say, and the first year in which the rules hold."""
    if not yearly:
        return changes, 0
    year = changes[-1].wall.year
    rest = [change for change in _in_year(yearly, year) if change.at > changes[-1].at]
    left = changes + rest
    while left[-2:] == _in_year(yearly, year):
        del left[-2:]
        year -= 1
    return left, year + 1


def _in_year(yearly: list[_Yearly], year: int) -> list[_Change]:
    return sorted(change.in_year(year) for change in yearly)


def _for_ever(change: _Yearly, year: int) -> Iterator[str]:
    onset = change.in_year(year).wall
    for month, rule in change.rules():
        while onset.month != month:
            year += 1
            onset = change.in_year(year).wall
        yield from _observance(onset, change.before, change.after, f"RRULE:FREQ=YEARLY;BYMONTH={month};{rule}")


def _observance(start: datetime, before: _State, after: _State, *more: str) -> list[str]:
    kind = "DAYLIGHT" if after.daylight else "STANDARD"
    offsets = [f"TZOFFSETFROM:{_offset(before.offset)}", f"TZOFFSETTO:{_offset(after.offset)}"]
    return [f"BEGIN:{kind}", f"DTSTART:{_text(start)}", *offsets, f"TZNAME:{after.name}", *more, f"END:{kind}"]


def _offset(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{minutes // 60:02}{minutes % 60:02}" + (f"{rest:02}" if rest else "")


def _text(wall: datetime) -> str:
    return wall.isoformat(timespec="seconds").replace("-", "").replace(":", "")
