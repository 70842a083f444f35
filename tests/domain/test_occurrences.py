"""The days of rules against python-dateutil's, and how long a search takes at most."""

import itertools
import random
import time
from datetime import date, datetime

import pytest
from dateutil.rrule import rrulestr

from backend.app.domain.occurrences import following, occurrences
from backend.app.domain.rules import RULE_MAX_CHARACTERS, read_rule
from tests.support.recurrence_rules import hostile_rule

# A search takes less than a millisecond; this is a slow and busy machine, and several are made of one rule.
SEARCH_SECONDS_AT_MOST = 0.05


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
@pytest.mark.parametrize("seed", range(300))
def test_hostile_rules_come_when_dateutil_says(seed: int) -> None:
    """Ten days of each, as far as there are as many before the year 2400; and none takes long."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    text = hostile_rule(choose)
    start = date(choose.randint(1990, 2030), choose.randint(1, 12), choose.randint(1, 28))
    started = time.process_time()

    ours = list(itertools.islice(occurrences(read_rule(text), start), 10))

    assert time.process_time() - started < SEARCH_SECONDS_AT_MOST * (len(ours) + 1)
    midnight = datetime(start.year, start.month, start.day)  # noqa: DTZ001 - rules know no zone
    theirs = itertools.islice(rrulestr(f"{text};UNTIL=24000101", dtstart=midnight), 10)
    assert [day for day in ours if day.year < 2400] == [moment.date() for moment in theirs]


def test_many_searches_in_a_row_are_short() -> None:
    """A thousand rules that are as hard as can be thought of: less than a millisecond each, with room to spare."""
    choose = random.Random(7)  # noqa: S311 - no secret
    texts = [text for text in (hostile_rule(choose) for _ in range(1000)) if len(text) <= RULE_MAX_CHARACTERS]
    rules = [read_rule(text) for text in texts]
    started = time.process_time()

    for rule in rules:
        following(rule, date(2026, 2, 1))

    assert time.process_time() - started < 3


def test_a_search_gives_up_after_so_many_steps() -> None:
    """Every step without a day is counted, from the last one on that had one."""
    rare = read_rule("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO")
    start = date(2044, 1, 1)

    assert len(list(occurrences(rare, start, steps_max=12 * 28 + 1))) == 2
    assert [day.year for day in itertools.islice(occurrences(rare, start), 4)] == [2044, 2072, 2112, 2140]
