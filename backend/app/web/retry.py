"""Tries again what failed for a moment in the database, where nothing can be made twice by that.

After a deadlock or a serialization failure nothing was done, whatever it was. When a connection breaks, nobody knows:
then a read may be repeated, and a write with an Idempotency-Key, which finds its answer if it was made.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from backend.app import problems
from backend.app.observability.observer import UNOBSERVED, Observer
from backend.app.problems import Retry

# The longest pauses before another try (seconds); half of each is random, so that two requests do not meet again.
PAUSES: Final = (0.02, 0.05, 0.1)

Answer = TypeVar("Answer")


async def retry(make: Callable[[], Awaitable[Answer]], *, idempotent: bool, observer: Observer = UNOBSERVED) -> Answer:
    """What `make` answers, at the first try or at a later one; the request's deadline ends all of them.

    A lost connection is tried again once, and only where the request is `idempotent`.
    """
    lost = False
    for pause in PAUSES:
        try:
            return await make()
        except problems.DatabaseUnavailable as failure:
            if failure.retry is Retry.NEVER:
                raise
            if failure.retry is Retry.IF_IDEMPOTENT:
                if lost or not idempotent:
                    raise
                lost = True
            observer.request_retried("lost" if failure.retry is Retry.IF_IDEMPOTENT else "undone")
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
    return await make()
