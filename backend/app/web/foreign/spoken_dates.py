"""Dates as Todoist writes them into a CSV file: a day, a moment, or how it repeats, in English."""

import re
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from backend.app.domain import due_dates
from backend.app.domain.occurrences import following
from backend.app.domain.rules import WEEKDAYS, read_rule

SPOKEN_MAX_CHARACTERS: Final = 100
WEEKDAY_MIN_CHARACTERS: Final = 3
_ISO: Final = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?(?P<zulu>Z)?)?", re.ASCII
)
_EVERY: Final = re.compile(
    r"(?:every|ev)(?P<after>!)? (?:(?P<other>other )|(?P<interval>[1-9]\d{0,2}) )?"
    r"(?:(?P<number>\d{1,2})(?:st|nd|rd|th)|(?P<what>[a-z, ]+?))"
    r"(?: (?:at|@) (?P<hour>\d{1,2})(?::(?P<minute>\d{2}))? ?(?P<half>am|pm)?)?"
    r"(?: starting (?P<start>\d{4}-\d{2}-\d{2}))?",
    re.ASCII,
)
_SHORT: Final = {"daily": "every day", "weekly": "every week", "monthly": "every month", "yearly": "every year"}
_NOON: Final = 12
_UNITS: Final = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORKDAYS: Final = {"weekday": "MO,TU,WE,TH,FR", "workday": "MO,TU,WE,TH,FR", "weekend": "SA"}


def spoken(text: str, time_zone: str | None, today: date | None = None) -> dict[str, str] | None:
    """The members of a task that a date says; None for what is not understood. `today` is when repeating begins."""
    text = " ".join(text[: SPOKEN_MAX_CHARACTERS + 1].split())
    if len(text) > SPOKEN_MAX_CHARACTERS:
        return None
    zone = time_zone if time_zone is not None and due_dates.is_zone(time_zone) else None
    if found := _ISO.fullmatch(text):
        return _due(found["day"], found["time"], zone, zulu=found["zulu"] is not None)
    return _repeating(text.lower(), zone, today or datetime.now(UTC).date())


def _due(day: str, time: str | None, zone: str | None, *, zulu: bool = False) -> dict[str, str] | None:
    members = {} if zone is None else {"time_zone": zone}
    try:
        if time is None:
            date.fromisoformat(day)
            return {**members, "due_date": day}
        wall = datetime.fromisoformat(f"{day}T{time}:00")
        where = UTC if zulu or zone is None else ZoneInfo(zone)
        moment = wall.replace(tzinfo=where).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if where is UTC:
        return {**members, "due_date": f"{wall.isoformat()}Z"}
    offset = wall.replace(tzinfo=UTC) - moment
    if offset.total_seconds() % 60:
        return {**members, "due_date": f"{moment.replace(tzinfo=None).isoformat()}Z"}
    return {**members, "due_date": wall.replace(tzinfo=where).isoformat()}


def _repeating(text: str, zone: str | None, today: date) -> dict[str, str] | None:
    word, _, rest = text.partition(" ")
    found = _EVERY.fullmatch(f"{_SHORT.get(word, word)} {rest}".strip())
    if found is None or (rule := _rule(found)) is None:
        return None
    try:
        start = today if found["start"] is None else date.fromisoformat(found["start"])
        is_one, later = following(read_rule(rule), start)
    except (ValueError, OverflowError):
        return None
    first = start if is_one else later
    time = None if found["hour"] is None else f"{_hour(found):02}:{found['minute'] or '00'}"
    due = None if first is None else _due(first.isoformat(), time, zone)
    return due and {**due, "recurrence": rule, "recurrence_from": "completion" if found["after"] else "due_date"}


def _hour(found: re.Match[str]) -> int:
    """Of a day's 24; another number, of which no time is made, where there is no such hour."""
    hour = int(found["hour"])
    if found["half"] is None:
        return hour
    return hour % _NOON + _NOON * (found["half"] == "pm") if 1 <= hour <= _NOON else 99


def _rule(found: re.Match[str]) -> str | None:
    interval = 2 if found["other"] else int(found["interval"] or 1)
    more = f";INTERVAL={interval}" if interval > 1 else ""
    what = found["what"]
    if what is None or what == "last day":
        return None if interval > 1 else f"FREQ=MONTHLY;BYMONTHDAY={-1 if what else int(found['number'])}"
    if unit := _UNITS.get(what.removesuffix("s") if interval > 1 else what):
        return f"FREQ={unit}{more}"
    if days := _WORKDAYS.get(what):
        return f"FREQ=WEEKLY{more};BYDAY={days}"
    words = [word for word in re.split(r"[, ]+", what) if word and word != "and"]
    numbers = {_weekday(word) for word in words}
    if not numbers or None in numbers:
        return None
    return f"FREQ=WEEKLY{more};BYDAY={','.join(day for day in WEEKDAYS if day in numbers)}"


def _weekday(word: str) -> str | None:
    """Of a weekday's name, or its first letters."""
    if len(word) < WEEKDAY_MIN_CHARACTERS:
        return None
    return next((short for short, name in zip(WEEKDAYS, _DAYS, strict=True) if name.startswith(word)), None)
