"""How quick a Python is, by a small loop: `bench.sh` runs this file with every Python that it finds.

Flags do not tell: Debian's Python names no `--enable-optimizations` and has them, and a version manager's looks the
same and has none. So the loop's time is compared with SQLite's for a query, which no flag of Python's touches. Knows
nothing but the standard library.
"""

import contextlib
import sqlite3
import sys
import timeit

# The quickest of so many runs counts, the loop and the query in turn: other work on the machine slows both.
REPEATS = 40
# The loop's time over the query's: Debian's 3.11 has 1.1, a 3.13 without optimisations 1.4, and a 3.11 without 1.8.
UNOPTIMISED_FROM = 1.25
OLDEST = (3, 11)
ITEMS = 30_000
QUERY = """
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 30000) SELECT sum(x * x % 7) FROM n
"""


class Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    def next(self) -> int:
        return self.value + 1


def loop() -> None:
    for number in range(ITEMS):
        _ = {"a": Counter(number).next(), "b": [item for item in (1, 2)]}  # noqa: C416 - work, not a copy


def slowness() -> float:
    """The loop's time over the query's: about the same for one Python on any machine."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        pairs = [
            (timeit.timeit(loop, number=1), timeit.timeit(lambda: database.execute(QUERY).fetchall(), number=1))
            for _ in range(REPEATS)
        ]
    return min(own for own, _ in pairs) / min(reference for _, reference in pairs)


def warning(slowness: float) -> str:
    """What is said on top of every table that a Python without optimisations is in; empty for one with them."""
    if slowness < UNOPTIMISED_FROM:
        return ""
    return (
        f"**This Python was built without optimisations** (a loop took {slowness:.2f} times SQLite's time for a query, "
        f"less than {UNOPTIMISED_FROM:g} with them): the Python contestants are 1.3 to 2 times slower than they "
        "should be. Do not quote these numbers; install the distribution's Python."
    )


if __name__ == "__main__" and sys.version_info >= OLDEST:
    import ensurepip  # noqa: F401 - a virtual environment cannot be made without
    import venv  # noqa: F401 - as above

    print(slowness(), sys.executable)
