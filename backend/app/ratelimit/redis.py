"""Requests of several processes, counted together in Redis (`RATE_LIMIT_STORAGE`)."""

import logging
import math
import time
from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from backend.app.ratelimit.limit import Limit, RateLimitResult

# How long Redis may take to answer, and how long it is left alone after it did not (seconds).
TIMEOUT_SECONDS: Final = 0.25
PAUSE_SECONDS: Final = 5.0

log = logging.getLogger("tasks")


class SharedWindow:
    """The moments of each name's requests within one limit, in Redis."""

    def __init__(self, limit: Limit, url: str) -> None:
        self._limit = RateLimitItemPerSecond(limit.most, limit.seconds)
        self._storage = RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="tasks",
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._away_until = 0.0

    async def hit(self, name: str) -> RateLimitResult | None:
        """None where Redis does not answer."""
        if time.monotonic() < self._away_until:
            return None
        try:
            allowed = await self._limiter.hit(self._limit, name)
            window = await self._limiter.get_window_stats(self._limit, name)
        except (OSError, StorageError) as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            fields = {"error": type(error.__cause__ or error).__name__}
            log.warning("rate limits: Redis does not answer, each process counts for itself", extra={"fields": fields})
            return None
        return RateLimitResult(allowed, window.remaining, max(math.ceil(window.reset_time - time.time()), 1))

    async def close(self) -> None:
        client = self._storage.bridge.get_connection()  # type: ignore[attr-defined] # the library has no way to close
        await client.aclose()
