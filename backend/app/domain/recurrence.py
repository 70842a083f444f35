"""When a task that repeats comes again: a subset of RFC 5545's rules, in local time, computed by python-dateutil.

Like RFC 5545: a date that a month does not have is left out, so the 31st of January goes on to the 31st of March. The
wall time stays the same over daylight saving changes.
"""

import re
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from backend.app.domain import due_dates as dues
from backend.app.domain.due_dates import Due

RULE_MAX_CHARACTERS: Final = 200
INTERVAL_MAX: Final = 366
COUNT_MAX: Final = 10_000
WEEKS_OF_A_MONTH: Final = 5

# The Gregorian calendar repeats itself, weekdays too, every 400 years; python-dateutil searches until the year 9999.
_CYCLE: Final = 400
_LATE: Final = 9200

_WEEKDAY = "(MO|TU|WE|TH|FR|SA|SU)"
_PARTS: Final = {
    "FREQ": "DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": "[0-9]{1,3}",
    "COUNT": "[0-9]{1,5}",
    "UNTIL": "[0-9]{8}(T[0-9]{6}Z?)?",
    "BYMONTH": "(0?[1-9]|1[0-2])",
    "BYMONTHDAY": "[+-]?(0?[1-9]|[12][0-9]|3[01])",
    "BYDAY": f"([+-]?(0?[1-9]|[1-4][0-9]|5[0-3]))?{_WEEKDAY}",
    "BYSETPOS": "[+-]?(0{0,2}[1-9]|0?[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-6])",
    "WKST": _WEEKDAY,
}
_LISTS: Final = frozenset({"BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"})
_LIST_MAX: Final = 31
# Days of a month, and numbered weekdays, in a rule that is searched day by day could be found never, at great cost.
_LONG: Final = ("MONTHLY", "YEARLY")
_COUNT = re.compile("(?i)COUNT=[0-9]+")


@dataclass(frozen=True, slots=True)
class Next:
    """When the task comes again, and the rule from then on."""

    due: str
    rule: str


def check_rule(rule: str) -> None:
    """Raises ValueError, in a sentence without the rule, for what is no rule, or none of the subset."""
    _parts(rule)


def check(due: str, rule: str, time_zone: str | None) -> None:
    """Raises ValueError for a rule that, apart from its end, never comes again after this due date."""
    try:
        wall = _local(dues.read(due), time_zone)
    except OverflowError:
        raise ValueError("the due_date is out of range in its time_zone") from None
    if _following(wall, _parts(rule))[1] is None:
        raise ValueError("the recurrence never comes again after the due_date")


def advance(due: str, rule: str, *, time_zone: str | None, completed_at: datetime | None) -> Next | None:
    """When a task comes again that was completed: next after its due date, or after the completion where that is given.

    COUNT and UNTIL of a rule are of what is left from the due date on. None: it does not come again. Next's `due` is
    written like the one before.
    """
    parts, written = _parts(rule), dues.read(due)
    wall = _local(written, time_zone)
    if completed_at is not None:
        wall = datetime.combine(completed_at.astimezone(_where(written, time_zone)), wall.time())
    is_one, following = _following(wall, parts)
    left = int(parts["COUNT"]) - (is_one or completed_at is not None) if "COUNT" in parts else None
    if following is None or left == 0 or _is_over(following, parts, _where(written, time_zone)):
        return None
    try:
        there = _written(following, written, time_zone)
        dues.instant(there, time_zone)
    except (OverflowError, ValueError):  # the end of the calendar
        return None
    return Next(there, rule if left is None else _COUNT.sub(f"COUNT={left}", rule))


def _parts(rule: str) -> dict[str, str]:
    if len(rule) > RULE_MAX_CHARACTERS:
        raise ValueError(f"must have at most {RULE_MAX_CHARACTERS} characters")
    parts: dict[str, str] = {}
    for part in rule.upper().split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS:
            raise ValueError(f"may have these parts: {', '.join(_PARTS)}")
        if name in parts:
            raise ValueError(f"must have {name} once")
        parts[name] = value
        values = value.split(",") if name in _LISTS else [value]
        if len(values) > _LIST_MAX or not all(re.fullmatch(_PARTS[name], one) for one in values):
            raise ValueError(f"has a {name} that is not known here (RFC 5545, section 3.3.10)")
    _check_together(parts)
    return parts


def _check_together(parts: dict[str, str]) -> None:
    if "FREQ" not in parts:
        raise ValueError("must have FREQ: DAILY, WEEKLY, MONTHLY or YEARLY")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("must not have both COUNT and UNTIL")
    if not 1 <= int(parts.get("INTERVAL", 1)) <= INTERVAL_MAX:
        raise ValueError(f"must have an INTERVAL from 1 to {INTERVAL_MAX}")
    if not 1 <= int(parts.get("COUNT", 1)) <= COUNT_MAX:
        raise ValueError(f"must have a COUNT from 1 to {COUNT_MAX}")
    if parts["FREQ"] not in _LONG:
        numbered = any(len(day) > len("MO") for day in parts.get("BYDAY", "").split(","))
        if numbered or "BYMONTHDAY" in parts or "BYSETPOS" in parts:
            raise ValueError("may have BYMONTHDAY, BYSETPOS and numbered days only with FREQ=MONTHLY or YEARLY")
    if (parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts) and any(
        abs(int(day[:-2] or 0)) > WEEKS_OF_A_MONTH for day in parts.get("BYDAY", "MO").split(",")
    ):
        raise ValueError("must have numbered days from 1 to 5 where they are those of a month")
    if "BYSETPOS" in parts and not {"BYMONTH", "BYMONTHDAY", "BYDAY"} & parts.keys():
        raise ValueError("must have BYDAY, BYMONTHDAY or BYMONTH where it has BYSETPOS")
    if "UNTIL" in parts:
        _until(parts["UNTIL"])


def _until(text: str) -> datetime:
    try:
        return datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")  # noqa: DTZ007 - local
    except ValueError:
        raise ValueError("has an UNTIL that is no date") from None


def _is_over(wall: datetime, parts: dict[str, str], where: tzinfo) -> bool:
    """Whether a wall time is after UNTIL, which includes its moment, or its day."""
    if "UNTIL" not in parts:
        return False
    text, until = parts["UNTIL"], _until(parts["UNTIL"])
    if "T" not in text:
        return wall.date() > until.date()
    if text.endswith("Z"):
        until = until.replace(tzinfo=UTC).astimezone(where).replace(tzinfo=None)
    return wall > until


def _following(wall: datetime, parts: dict[str, str]) -> tuple[bool, datetime | None]:
    """Whether a wall time is an occurrence of the rule itself, and the next one in at most 400 years."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - loaded by the first task that repeats

    shift = _LATE + wall.year % _CYCLE - wall.year
    start = wall.replace(year=wall.year + shift, microsecond=0)
    rule = ";".join(f"{name}={value}" for name, value in parts.items() if name not in ("COUNT", "UNTIL"))
    found = iter(rrulestr(rule, dtstart=start))
    first = next(found, None)
    is_one = first == start
    following = next(found, None) if is_one else first
    if following is None or following.year - shift > MAXYEAR:
        return is_one, None
    return is_one, following.replace(year=following.year - shift, microsecond=wall.microsecond)


def _where(due: Due, time_zone: str | None) -> tzinfo:
    return dues.zone(time_zone) if time_zone is not None else timezone(due.offset or timedelta())


def _local(due: Due, time_zone: str | None) -> datetime:
    """The wall time in the task's zone: as it is written, where that is a wall time there."""
    if due.offset is None or time_zone is None:
        return due.wall
    where = dues.zone(time_zone)
    if due.offset in (due.wall.replace(tzinfo=where, fold=fold).utcoffset() for fold in (0, 1)):
        return due.wall
    return due.wall.replace(tzinfo=timezone(due.offset)).astimezone(where).replace(tzinfo=None)


def _written(wall: datetime, due: Due, time_zone: str | None) -> str:
    """A wall time, written like this due date.

    One that is left out by a change of the clocks has the offset from before: that is a moment, and the wall time is
    still there to go on from. Of two, it is the first.
    """
    offset = due.offset
    if offset is not None and time_zone is not None:
        offset = wall.replace(tzinfo=dues.zone(time_zone)).utcoffset()
    return str(Due(wall, offset, due.fraction, due.zulu))
