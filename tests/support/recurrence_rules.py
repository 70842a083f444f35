"""Recurrence rules of every kind, made at random."""

import random


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
