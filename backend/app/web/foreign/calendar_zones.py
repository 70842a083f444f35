"""The zones of a calendar: by their IANA names, or by what its VTIMEZONEs say (RFC 5545, section 3.6.5)."""

import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from backend.app.domain import due_dates
from backend.app.domain.occurrences import occurrences, with_defaults
from backend.app.domain.rules import Rule, read_rule
from backend.app.web.foreign.content_lines import ContentLine

# How many definitions are kept, and how much of each: programs that make names up write a few rules.
ZONES_MAX: Final = 50
OBSERVANCES_MAX: Final = 6
DATES_MAX: Final = 100
NAME_MAX_CHARACTERS: Final = 200
# Programs put a path of their own before the zone's name: /example.org/Tzfile/Europe/Berlin. IANA's have three parts.
_PARTS_OF_A_ZONE: Final = 3
_OBSERVANCES: Final = frozenset({"STANDARD", "DAYLIGHT"})
_DAY_MAX: Final = timedelta(days=1)
_OFFSET_NAME: Final = re.compile(r"(?:UTC|GMT)?([+-])([01]?[0-9]|2[0-3])(?::?([0-5][0-9]))?", re.ASCII)


@dataclass(slots=True)
class _Observance:
    """Clocks that were set to `after` at some wall times, and every year since the first where there is a rule."""

    starts: list[datetime] = field(default_factory=list)
    before: timedelta | None = None
    after: timedelta | None = None
    rule_text: str | None = None
    rule: Rule | None = None
    _years: dict[int, list[datetime]] = field(default_factory=dict)

    def settle(self) -> None:
        """All of its properties are known, in whatever order they came. What cannot be read makes it useless."""
        try:
            if self.rule_text is not None:
                self.rule = _yearly(self.rule_text, self.starts[0].date())
        except (ValueError, IndexError):
            self.starts = []

    def latest(self, wall: datetime) -> datetime | None:
        """When they were set last before this wall time."""
        begun = [start for start in self.starts if start <= wall]
        if begun and self.rule is not None:
            years = (self._in_year(self.rule, year) for year in (wall.year, wall.year - 1) if year)
            begun += [onset for onsets in years for onset in onsets if onset <= wall]
        return max(begun, default=None)

    def _in_year(self, rule: Rule, year: int) -> list[datetime]:
        if year not in self._years:
            first, last = self.starts[0], rule.last_wall_time(UTC)
            if rule.count is not None and year >= first.year + rule.count:
                return []
            begin, end = max(first.date(), date(year, 1, 1)), date(year, 12, 31)
            days = itertools.takewhile(lambda day: day <= end, occurrences(rule, begin, steps_max=1))
            onsets = [datetime.combine(day, first.time()) for day in days]
            self._years[year] = [onset for onset in onsets if last is None or onset <= last]
        return self._years[year]


@dataclass(slots=True)
class _Definition:
    name: str = ""
    place: str | None = None
    observances: list[_Observance] = field(default_factory=list)

    def offset(self, wall: datetime) -> timedelta | None:
        """What clocks show at a wall time; None where that is not said."""
        known = [one for one in self.observances if one.starts and one.after is not None]
        begun = [(onset, one) for one in known if (onset := one.latest(wall)) is not None]
        if begun:
            return max(begun, key=lambda found: found[0])[1].after
        return min(known, key=lambda one: one.starts[0]).before if known else None


class Zones:
    """The zone of a calendar's times that name none (`default`), and those that it defines before its tasks."""

    def __init__(self) -> None:
        self.default: str | None = None
        self._defined: dict[str, _Definition] = {}
        self._open = _Definition()

    def enter(self, component: str) -> None:
        """A VTIMEZONE begins, or a part of one."""
        if component not in _OBSERVANCES:
            self._open = _Definition()
        elif len(self._open.observances) <= OBSERVANCES_MAX:
            self._open.observances.append(_Observance())

    def add(self, line: ContentLine, component: str) -> None:
        """A property of what has begun."""
        if component in _OBSERVANCES:
            _observe(self._open.observances[-1], line)
        elif line.name == "X-LIC-LOCATION":
            self._open.place = zone_named(line.text)
        elif line.name == "TZID":
            self._open.name = line.value[:NAME_MAX_CHARACTERS].strip()

    def leave(self) -> None:
        """A VTIMEZONE ends; one that changes its clocks too often in its own way is not kept."""
        for observance in self._open.observances:
            observance.settle()
        if len(self._defined) < ZONES_MAX and len(self._open.observances) <= OBSERVANCES_MAX:
            self._defined.setdefault(self._open.name, self._open)

    def named(self, name: str | None) -> str | None:
        """The IANA name of a TZID; of none, the calendar's zone."""
        if name is None:
            return self.default
        defined = self._defined.get(name[:NAME_MAX_CHARACTERS].strip())
        return zone_named(name) or (None if defined is None else defined.place)

    def offset(self, name: str | None, wall: datetime) -> timedelta | None:
        """What clocks show at a wall time by the calendar's own definition of this TZID; whole minutes of it."""
        defined = None if name is None else self._defined.get(name[:NAME_MAX_CHARACTERS].strip())
        found = None if defined is None else defined.offset(wall)
        return None if found is None else found - found % timedelta(minutes=1)


def zone_named(name: str) -> str | None:
    """The IANA name that a TZID is, or ends with."""
    parts = name[:NAME_MAX_CHARACTERS].strip("/").split("/")
    for count in range(min(_PARTS_OF_A_ZONE, len(parts)), 0, -1):
        if due_dates.is_zone(found := "/".join(parts[-count:])):
            return found
    return None


def offset_named(name: str | None) -> timedelta | None:
    """The offset that a TZID is, as in our own export: UTC+0545, GMT-3. None for other names."""
    found = _OFFSET_NAME.fullmatch(name or "")
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return -offset if found[1] == "-" else offset


def _observe(observance: _Observance, line: ContentLine) -> None:
    value = line.value.strip()
    try:
        match line.name:
            case "DTSTART":
                observance.starts.insert(0, _wall(value))
            case "RDATE":
                observance.starts += [_wall(one) for one in value.split(",", DATES_MAX)[:DATES_MAX]]
            case "TZOFFSETFROM":
                observance.before = _offset(value)
            case "TZOFFSETTO":
                observance.after = _offset(value)
            case "RRULE":
                observance.rule_text = value
    except ValueError:
        observance.rule_text = ""


def _wall(text: str) -> datetime:
    return datetime.strptime(text.strip().removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall time


def _yearly(text: str, start: date) -> Rule:
    """Clocks change on a day of one month. Raises ValueError for other rules."""
    rule = with_defaults(read_rule(text), start)
    if (rule.frequency, rule.interval, len(rule.months)) != ("YEARLY", 1, 1):
        raise ValueError(text)
    return rule


def _offset(text: str) -> timedelta:
    """UTC-OFFSET (section 3.3.14). Raises ValueError."""
    sign = {"+": 1, "-": -1}[text[:1]] if text[:1] in ("+", "-") else 0
    digits = text[1:]
    if not sign or len(digits) not in (4, 6) or not (digits.isascii() and digits.isdigit()):
        raise ValueError(text)
    found = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:] or 0))
    if abs(found) >= _DAY_MAX:
        raise ValueError(text)
    return found
