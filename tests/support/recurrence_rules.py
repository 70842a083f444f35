"""Recurrence rules of every kind, made at random."""

import random

from backend.app.domain.rules import WEEKDAYS

INTERVALS = [1, 1, 1, 2, 3, 7, 12, 28, 52, 91, 120, 182, 364, 365, 366]


def random_rule(choose: random.Random) -> str:
    frequency = choose.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = [f"FREQ={frequency}", f"INTERVAL={choose.choice([1, 1, 2, 3, 7])}"]
    days = choose.sample(["MO", "TU", "WE", "TH", "FR", "SA", "SU"], choose.randint(1, 3))
    if frequency in ("MONTHLY", "YEARLY"):
        if choose.random() < 0.3:
            parts.append(f"BYMONTHDAY={choose.choice([1, 15, 29, 31, -1])}")
        elif choose.random() < 0.4:
            parts.append("BYDAY=" + ",".join(f"{choose.choice([1, 2, -1])}{day}" for day in days))
        elif choose.random() < 0.4:
            parts += ["BYDAY=" + ",".join(days), f"BYSETPOS={choose.choice([1, 2, -1])}"]
    elif choose.random() < 0.6:
        parts.append("BYDAY=" + ",".join(days))
    if choose.random() < 0.2:
        parts.append(f"BYMONTH={choose.randint(1, 6)},{choose.randint(7, 12)}")
    if choose.random() < 0.3:
        parts.append(f"WKST={choose.choice(['MO', 'SU'])}")
    ending = choose.random()
    if ending < 0.3:
        parts.append(f"COUNT={choose.randint(1, 8)}")
    elif ending < 0.5:
        parts.append(f"UNTIL=20{choose.randint(26, 30)}0615")
    choose.shuffle(parts)
    return ";".join(parts)


def _some(choose: random.Random, values: list[str], at_most: int) -> str:
    return ",".join(choose.sample(values, choose.randint(1, min(at_most, len(values)))))


def hostile_rule(choose: random.Random) -> str:
    """Long lists, great intervals and rare days, of what the subset has."""
    frequency = choose.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = [f"FREQ={frequency}", f"INTERVAL={choose.choice([*INTERVALS, choose.randint(1, 366)])}"]
    if choose.random() < 0.5:
        parts.append(f"BYMONTH={_some(choose, [str(month) for month in range(1, 13)], 3)}")
    days = list(WEEKDAYS)
    if frequency in ("MONTHLY", "YEARLY"):
        if choose.random() < 0.5:
            days = [f"{number}{day}" for day in WEEKDAYS for number in (1, 2, 5, -1, -5)]
        if choose.random() < 0.5:
            numbers = [str(day) for day in (*range(1, 32), *range(-31, 0))]
            parts.append(f"BYMONTHDAY={_some(choose, numbers, choose.choice([1, 2, 25]))}")
    if choose.random() < 0.6:
        parts.append(f"BYDAY={_some(choose, days, choose.choice([1, 2, 7, 20]))}")
    if frequency in ("MONTHLY", "YEARLY") and len(parts) > 2 and choose.random() < 0.4:
        positions = [str(position) for position in (*range(1, 40), -1, -2, -31, 52, 53, 365, 366)]
        parts.append(f"BYSETPOS={_some(choose, positions, choose.choice([1, 12]))}")
    if choose.random() < 0.3:
        parts.append(f"WKST={choose.choice(WEEKDAYS)}")
    return ";".join(parts)
