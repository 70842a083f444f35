"""What a rate limit is: so many requests in so many seconds, and how a request was counted."""

import re
from typing import Final, NamedTuple

UNITS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}

_LIMIT = re.compile(rf"([1-9]\d{{0,8}}) ?(?:/|per) ?(?:([1-9]\d{{0,4}}) ?)?({'|'.join(UNITS)})s?")


class Limit(NamedTuple):
    """At most so many requests in any so many seconds."""

    most: int
    seconds: int


def parse_limit(text: str) -> Limit:
    """Read a limit such as `1200/minute` or `100 per 10 seconds`. Raises ValueError."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise ValueError("must be a number of requests and a time, such as 1200/minute or 100/10 seconds")
    most, times, unit = found.groups()
    return Limit(int(most), int(times or 1) * UNITS[unit])


class RateLimitResult(NamedTuple):
    """How a request was counted, and how many more there may be; `resets_in`: seconds until the next place is free."""

    allowed: bool
    remaining: int
    resets_in: int
