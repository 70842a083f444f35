"""What is tried again by itself: only what cannot be made twice by that.

After a deadlock or a serialization failure nothing was done, whatever it was. When a connection breaks, nobody knows:
then a read may be repeated, and a write with an Idempotency-Key, which finds its answer if it was made.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from backend.app import problems
from backend.app.observability.observer import UNOBSERVED, Observer

# The longest pauses before another try (seconds); half of each is left to chance, so that two do not meet again.
PAUSES: Final = (0.02, 0.05, 0.1)

Answer = TypeVar("Answer")


async def again(
    make: Callable[[], Awaitable[Answer]], *, changes_nothing_twice: bool, observer: Observer = UNOBSERVED
) -> Answer:
    """What `make` answers, at the first try or at a later one; the request's deadline ends all of them."""
    lost = False
    for pause in PAUSES:
        try:
            return await make()
        except problems.DatabaseUnavailable as away:
            if away.trying_again == "useless":
                raise
            if away.trying_again != "safe":
                if lost or not changes_nothing_twice:
                    raise
                lost = True
            observer.request_retried("undone" if away.trying_again == "safe" else "lost")
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
    return await make()
