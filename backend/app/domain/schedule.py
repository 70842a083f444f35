"""The days of a recurrence rule year by year: what lies between two dates is counted without a step for each day.

Which days of a year a rule means depends only on the year's first weekday, on its length, and on where the rule's
interval stands when it begins. Each such kind of year is worked out once, so a task may be two thousand years late.
"""

import calendar
from datetime import MAXYEAR, date
from functools import cached_property
from itertools import accumulate
from typing import Final

from backend.app.domain.occurrences import (
    DAYS_A_WEEK,
    MONTHS_A_YEAR,
    WEEKLY,
    Span,
    days_of_period,
    month_length,
    with_defaults,
)
from backend.app.domain.rules import Rule

_WEEK: Final = (1 << DAYS_A_WEEK) - 1
_COMMON_YEAR: Final = 365

# The weekday of a year's first day, whether it is a leap year, and how many days, months or years after its beginning
# the rule's interval begins anew (of months and years, at most one more than matters).
_YearKind = tuple[int, bool, int]


def _months(*, leap: bool) -> list[Span]:
    """The months of a year."""
    lengths = [month_length(number, leap=leap) for number in range(1, MONTHS_A_YEAR + 1)]
    return [Span(offset, length) for offset, length in zip(accumulate(lengths, initial=0), lengths, strict=False)]


_MONTHS: Final = {leap: _months(leap=leap) for leap in (False, True)}


class Schedule:
    """The days that a rule means from its first day on; COUNT and UNTIL are left out."""

    def __init__(self, rule: Rule, start: date) -> None:
        self._rule = with_defaults(rule, start)
        self._start = start
        self._years: dict[_YearKind, int] = {}
        self._month_days: dict[tuple[int, int], int] = {}

    def includes(self, day: date) -> bool:
        return self.first(day) == day

    def first(self, earliest: date) -> date | None:
        """The rule's first day that is not before this one; None where the calendar has none (December 9999)."""
        for year in range(max(earliest, self._start).year, MAXYEAR + 1):
            if days := self._days_of(year, earliest):
                return date.fromordinal(date(year, 1, 1).toordinal() + (days & -days).bit_length() - 1)
        return None

    def count(self, earliest: date, end: date) -> int:
        """How many of the rule's days there are from one day on and before another."""
        found = 0
        for year in range(max(earliest, self._start).year, end.year + 1):
            days = self._days_of(year, earliest)
            if year == end.year:
                days &= (1 << _day_of_year(end)) - 1
            found += days.bit_count()
        return found

    def _days_of(self, year: int, earliest: date) -> int:
        """The days of a year from `earliest` and from the rule's first day on, as bits."""
        first = date(year, 1, 1)
        kind = (first.weekday(), calendar.isleap(year), self._begins(first))
        days = self._years.get(kind)
        if days is None:
            days = self._years[kind] = self._days_of_kind(*kind)
        begin = max(earliest, self._start)
        if year == begin.year:
            days = days >> _day_of_year(begin) << _day_of_year(begin)
        return days

    def _begins(self, first: date) -> int:
        """In how many days, months or years from a year's first day on the rule's interval begins anew."""
        interval, start = self._rule.interval, self._start
        match self._rule.frequency:
            case "DAILY":
                return (start.toordinal() - first.toordinal()) % interval
            case "WEEKLY":
                return (self._first_week - first.toordinal()) % (interval * DAYS_A_WEEK)
            case "MONTHLY":
                months = (start.year - first.year) * MONTHS_A_YEAR + start.month - 1
                return min(months % interval, MONTHS_A_YEAR)
        return min((start.year - first.year) % interval, 1)

    @cached_property
    def _first_week(self) -> int:
        """The ordinal of the day that the rule's first week begins with."""
        return self._start.toordinal() - (self._start.weekday() - self._rule.week_start) % DAYS_A_WEEK

    def _days_of_kind(self, weekday: int, leap: bool, begins: int) -> int:
        match self._rule.frequency:
            case "DAILY":
                return self._days_every(1, begins) & self._allowed(weekday, leap)
            case "WEEKLY":
                return self._days_every(DAYS_A_WEEK, begins) & self._allowed(weekday, leap)
            case "MONTHLY":
                return self._days_of_months(weekday, leap, begins)
        if begins:
            return 0
        months = self._months_of_rule(leap)
        numbered_in = months if self._rule.months else [Span(0, _COMMON_YEAR + leap)]
        return days_of_period(self._rule, weekday, months, numbered_in)

    def _days_every(self, length: int, first: int) -> int:
        """Every so many days or weeks of the year; `first` is the first day of one, in the year itself."""
        step = length * self._rule.interval
        days = sum(((1 << length) - 1) << day for day in range(first, _COMMON_YEAR + 1, step))
        # The week that the year before began.
        return days | (_WEEK >> (step - first) if length == DAYS_A_WEEK and first > step - DAYS_A_WEEK else 0)

    def _allowed(self, weekday: int, leap: bool) -> int:
        """The days of a year that have the rule's weekdays and are in its months."""
        days = sum(span.days for span in self._months_of_rule(leap))
        if self._rule.weekdays:
            days &= sum(WEEKLY << (day - weekday) % DAYS_A_WEEK for day in self._rule.weekdays)
        return days

    def _months_of_rule(self, leap: bool) -> list[Span]:
        months = self._rule.months or range(1, MONTHS_A_YEAR + 1)
        return [_MONTHS[leap][number - 1] for number in months]

    def _days_of_months(self, weekday: int, leap: bool, begins: int) -> int:
        found = 0
        for number in range(begins + 1, MONTHS_A_YEAR + 1, self._rule.interval):
            if not self._rule.months or number in self._rule.months:
                span = _MONTHS[leap][number - 1]
                found |= self._days_of_month((weekday + span.offset) % DAYS_A_WEEK, span.length) << span.offset
        return found

    def _days_of_month(self, weekday: int, length: int) -> int:
        days = self._month_days.get((weekday, length))
        if days is None:
            month = [Span(0, length)]
            days = self._month_days[weekday, length] = days_of_period(self._rule, weekday, month, month)
        return days


def _day_of_year(day: date) -> int:
    """Counted from 0."""
    return day.toordinal() - date(day.year, 1, 1).toordinal()
