"""A recurrence rule as text and as a value: a subset of RFC 5545, section 3.3.10. Knows nothing of due dates."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from functools import lru_cache
from typing import Final

RULE_MAX_CHARACTERS: Final = 200
INTERVAL_MAX: Final = 366
COUNT_MAX: Final = 10_000
WEEKS_OF_A_MONTH: Final = 5
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# A rule of 200 characters takes about 2 KB as a value.
RULES_REMEMBERED: Final = 512

_WEEKDAY: Final = f"({'|'.join(WEEKDAYS)})"
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
# Only these know days of a month, numbered weekdays and positions, in RFC 5545 or here.
_LONG: Final = ("MONTHLY", "YEARLY")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule says. Months count from 1, weekdays from 0 (Monday); what is absent is empty or None."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: str | None = None
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    numbered: tuple[tuple[int, int], ...] = ()
    """Weekdays with their numbers in the month or year: (-1, 4) is the last Friday."""
    positions: tuple[int, ...] = ()
    week_start: int = 0

    def last_wall_time(self, where: tzinfo) -> datetime | None:
        """The last wall time that UNTIL includes in a zone: of a day, its end. None without UNTIL."""
        if self.until is None:
            return None
        until = _until(self.until)
        if "T" not in self.until:
            return datetime.combine(until, time.max)
        if not self.until.endswith("Z"):
            return until
        try:
            return until.replace(tzinfo=UTC).astimezone(where).replace(tzinfo=None)
        except OverflowError:
            return until


@lru_cache(maxsize=RULES_REMEMBERED)
def read_rule(text: str) -> Rule:
    """The rule that a text says. Raises ValueError for what is no rule, or none of the subset.

    The error's sentence does not hold the text.
    """
    parts = _parts(text)
    _check_together(parts)
    days = [(int(day[:-2] or 0), WEEKDAYS.index(day[-2:])) for day in _values(parts, "BYDAY")]
    return Rule(
        frequency=parts["FREQ"],
        interval=int(parts.get("INTERVAL", 1)),
        count=int(parts["COUNT"]) if "COUNT" in parts else None,
        until=parts.get("UNTIL"),
        months=_numbers(parts, "BYMONTH"),
        month_days=_numbers(parts, "BYMONTHDAY"),
        weekdays=tuple(sorted({weekday for number, weekday in days if not number})),
        numbered=tuple(sorted({day for day in days if day[0]})),
        positions=_numbers(parts, "BYSETPOS"),
        week_start=WEEKDAYS.index(parts.get("WKST", "MO")),
    )


def _parts(text: str) -> dict[str, str]:
    if len(text) > RULE_MAX_CHARACTERS:
        raise ValueError(f"must have at most {RULE_MAX_CHARACTERS} characters")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS:
            raise ValueError(f"may have these parts: {', '.join(_PARTS)}")
        if name in parts:
            raise ValueError(f"must have {name} once")
        parts[name] = value
        values = value.split(",") if name in _LISTS else [value]
        if len(values) > _LIST_MAX or not all(re.fullmatch(_PARTS[name], one) for one in values):
            raise ValueError(f"has a {name} that is not known here (RFC 5545, section 3.3.10)")
    return parts


def _values(parts: dict[str, str], name: str) -> list[str]:
    return parts[name].split(",") if name in parts else []


def _numbers(parts: dict[str, str], name: str) -> tuple[int, ...]:
    return tuple(sorted({int(value) for value in _values(parts, name)}))


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
        numbered = any(len(day) > len("MO") for day in _values(parts, "BYDAY"))
        if numbered or "BYMONTHDAY" in parts or "BYSETPOS" in parts:
            raise ValueError("may have BYMONTHDAY, BYSETPOS and numbered days only with FREQ=MONTHLY or YEARLY")
    if (parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts) and any(
        abs(int(day[:-2] or 0)) > WEEKS_OF_A_MONTH for day in _values(parts, "BYDAY")
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
