"""Where a list's revisions begin."""

import time

NANOSECONDS_PER_MICROSECOND = 1000


def first_revision() -> int:
    """The revision that a new list begins with: the time in microseconds since 1970.

    A list gets one revision for each task that is written, and PostgreSQL writes far fewer than one in a microsecond.
    So the revisions of a list never run ahead of the clock, and a list that was erased and is begun again starts above
    every revision that it ever had. Below 2^53 until the year 2255.
    """
    return time.time_ns() // NANOSECONDS_PER_MICROSECOND
