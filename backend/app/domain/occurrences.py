"""The days of a recurrence rule, one by one. A search takes a bounded number of steps, whatever the rule says.

The days of a month or year are the bits of a number: which of them a rule means depends only on the weekday that the
period begins with and on its length, so each such kind of period is worked out once for a search.
"""

import calendar
import dataclasses
import math
from collections.abc import Iterator
from datetime import MAXYEAR, date
from functools import cache
from typing import Final

from backend.app.domain.rules import Rule

# The Gregorian calendar repeats itself, weekdays too, every 400 years: a month that has not come in 4,800 never comes.
STEPS_MAX: Final = 4800
# How many periods it has by then: a rule that has met each kind of them once in vain never comes.
_CYCLES: Final = {"DAILY": 146_097, "WEEKLY": 20_871, "MONTHLY": 4800, "YEARLY": 400}
DAYS_A_WEEK: Final = 7
MONTHS_A_YEAR: Final = 12
_FEBRUARY: Final = 2
_MONTH_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_DAY: Final = date.max.toordinal()
# The first day of each of 54 weeks.
WEEKLY: Final = sum(1 << day for day in range(0, 378, DAYS_A_WEEK))


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Some days in a row of a period: from which on (0 is its first one), and how many."""

    offset: int
    length: int

    @property
    def days(self) -> int:
        return ((1 << self.length) - 1) << self.offset


def occurrences(rule: Rule, start: date, *, steps_max: int = STEPS_MAX) -> Iterator[date]:
    """The days of the rule from this one on, which is among them only if the rule means it.

    COUNT and UNTIL are left out. Ends with the calendar (December 9999), or when so many steps of the rule's frequency
    had none.
    """
    rule = with_defaults(rule, start)
    days = _IN_PERIODS[rule.frequency](rule, start)
    cycle = _CYCLES[rule.frequency]
    # One more: of the first period only a part is looked at.
    steps_max = min(steps_max, cycle // math.gcd(cycle, rule.interval) + 1)
    fruitless = 0
    for day in days:
        if day is None:
            fruitless += 1
            if fruitless >= steps_max:
                return
            continue
        fruitless = 0
        yield date.fromordinal(day)


def following(rule: Rule, start: date) -> tuple[bool, date | None]:
    """Whether a day is one of the rule's own, and the next one after it; None where there is none."""
    days = occurrences(rule, start)
    first = next(days, None)
    if first != start:
        return False, first
    return True, next(days, None)


def with_defaults(rule: Rule, start: date) -> Rule:
    """What a rule does not say it takes from its first day (RFC 5545, section 3.3.10)."""
    if rule.weekdays or rule.numbered or rule.month_days:
        return rule
    if rule.frequency == "WEEKLY":
        return dataclasses.replace(rule, weekdays=(start.weekday(),))
    if rule.frequency == "MONTHLY":
        return dataclasses.replace(rule, month_days=(start.day,))
    if rule.frequency == "YEARLY":
        return dataclasses.replace(rule, months=rule.months or (start.month,), month_days=(start.day,))
    return rule


def _daily(rule: Rule, start: date) -> Iterator[int | None]:
    """Ordinals of days, None for each step that has none."""
    weekdays, months = rule.weekdays or range(DAYS_A_WEEK), rule.months
    first = start.toordinal()
    on_weekdays = [(start.weekday() + step * rule.interval) % DAYS_A_WEEK in weekdays for step in range(DAYS_A_WEEK)]
    if not any(on_weekdays):
        return
    for step, ordinal in enumerate(range(first, _LAST_DAY + 1, rule.interval)):
        fits = on_weekdays[step % DAYS_A_WEEK] and (not months or date.fromordinal(ordinal).month in months)
        yield ordinal if fits else None


def _weekly(rule: Rule, start: date) -> Iterator[int | None]:
    first = start.toordinal()
    week = first - (start.weekday() - rule.week_start) % DAYS_A_WEEK
    offsets = sorted((weekday - rule.week_start) % DAYS_A_WEEK for weekday in rule.weekdays)
    for monday in range(week, _LAST_DAY + 1, rule.interval * DAYS_A_WEEK):
        for ordinal in range(monday, min(monday + DAYS_A_WEEK, _LAST_DAY + 1)):
            if ordinal - monday not in offsets or ordinal < first:
                continue
            if not rule.months or date.fromordinal(ordinal).month in rule.months:
                yield ordinal
        yield None


def _monthly(rule: Rule, start: date) -> Iterator[int | None]:
    @cache
    def days(weekday: int, length: int) -> int:
        span = Span(0, length)
        return days_of_period(rule, weekday, [span], [span])

    month = start.year * MONTHS_A_YEAR + start.month - 1
    if not any(days(weekday, length) for length in _lengths(rule, month) for weekday in range(DAYS_A_WEEK)):
        return
    for number in range(month, (MAXYEAR + 1) * MONTHS_A_YEAR, rule.interval):
        year, month_of_year = divmod(number, MONTHS_A_YEAR)
        if rule.months and month_of_year + 1 not in rule.months:
            yield None
            continue
        first = date(year, month_of_year + 1, 1)
        found = days(first.weekday(), month_length(month_of_year + 1, leap=calendar.isleap(year)))
        yield from _ordinals(found, first, start)


def _lengths(rule: Rule, month: int) -> set[int]:
    """How long the months are that a monthly rule can come to from this one on."""
    every = {(month + step * rule.interval) % MONTHS_A_YEAR + 1 for step in range(MONTHS_A_YEAR)}
    reached = every.intersection(rule.months) if rule.months else every
    return {month_length(number, leap=leap) for number in reached for leap in (False, True)}


def _yearly(rule: Rule, start: date) -> Iterator[int | None]:
    @cache
    def days(weekday: int, leap: bool) -> int:
        spans, offset = [], 0
        for month in range(1, MONTHS_A_YEAR + 1):
            length = month_length(month, leap=leap)
            if not rule.months or month in rule.months:
                spans.append(Span(offset, length))
            offset += length
        return days_of_period(rule, weekday, spans, spans if rule.months else [Span(0, offset)])

    if not any(days(weekday, leap) for weekday in range(DAYS_A_WEEK) for leap in (False, True)):
        return
    for year in range(start.year, MAXYEAR + 1, rule.interval):
        first = date(year, 1, 1)
        yield from _ordinals(days(first.weekday(), calendar.isleap(year)), first, start)


_IN_PERIODS: Final = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}


def days_of_period(rule: Rule, weekday: int, months: list[Span], numbered_in: list[Span]) -> int:
    """The days that a rule means in a month or year that begins with this weekday, as bits."""
    allowed = sum(span.days for span in months)
    if rule.month_days:
        allowed &= _on_month_days(rule, months)
    if rule.weekdays or rule.numbered:
        allowed &= _on_weekdays(rule, weekday, numbered_in)
    return _at_positions(allowed, rule.positions) if rule.positions else allowed


def _on_month_days(rule: Rule, months: list[Span]) -> int:
    found = 0
    for span in months:
        for number in rule.month_days:
            day = number - 1 if number > 0 else span.length + number
            if 0 <= day < span.length:
                found |= 1 << (span.offset + day)
    return found


def _on_weekdays(rule: Rule, first: int, numbered_in: list[Span]) -> int:
    found = 0
    for weekday in rule.weekdays:
        found |= WEEKLY << (weekday - first) % DAYS_A_WEEK
    for number, weekday in rule.numbered:
        for span in numbered_in:
            until_it = (weekday - first - span.offset) % DAYS_A_WEEK
            last = until_it + (span.length - 1 - until_it) // DAYS_A_WEEK * DAYS_A_WEEK
            day = until_it + (number - 1) * DAYS_A_WEEK if number > 0 else last + (number + 1) * DAYS_A_WEEK
            if 0 <= day < span.length:
                found |= 1 << (span.offset + day)
    return found


def _at_positions(days: int, positions: tuple[int, ...]) -> int:
    each = list(_bits(days))
    found = 0
    for position in positions:
        place = position - 1 if position > 0 else len(each) + position
        if 0 <= place < len(each):
            found |= 1 << each[place]
    return found


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _ordinals(days: int, first: date, start: date) -> Iterator[int | None]:
    """The days of a period that begins with `first`, none of them before `start`; then None."""
    begin = first.toordinal()
    before = max(start.toordinal() - begin, 0)
    for day in _bits(days >> before << before):
        yield begin + day
    yield None


def month_length(month: int, *, leap: bool) -> int:
    """The days of a month (1 to 12)."""
    return _MONTH_LENGTHS[month - 1] + (month == _FEBRUARY and leap)
