"""How many requests in how much time: moving windows, kept in this process or, for several processes, in Redis.

Knows no HTTP and no users: what is counted has a name that the middleware gives it.
"""

import ipaddress
import logging
import math
import time
from collections import OrderedDict, deque
from functools import lru_cache
from typing import Final, NamedTuple

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

# How long Redis may take to answer, and how long it is left alone after it did not (seconds).
REDIS_TIMEOUT: Final = 0.25
REDIS_PAUSE: Final = 5.0
# Whoever has one IPv6 address has all of its network (RFC 6177).
IPV6_NETWORK_BITS: Final = 64
# Addresses whose network is remembered: to read one costs more than to count it.
KNOWN_ADDRESSES: Final = 4096

log = logging.getLogger("tasks")


class Standing(NamedTuple):
    """How a request was counted, and how many more there may be; `resets_in`: seconds until the next place is free."""

    allowed: bool
    remaining: int
    resets_in: int


class Window:
    """The moments of each name's requests within one limit, in this process.

    The limits library's own storage walks over all names in a task (34 us a request) or a thread, a hundred times a
    second; here a request costs the same however many names there are.
    """

    def __init__(self, limit: RateLimitItem) -> None:
        self._most = limit.amount
        self._seconds = limit.get_expiry()
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def hit(self, name: str) -> Standing:
        now = time.monotonic()
        since = now - self._seconds
        moments = self._moments.setdefault(name, deque())
        while moments and moments[0] <= since:
            moments.popleft()
        if allowed := len(moments) < self._most:
            moments.append(now)
            self._moments.move_to_end(name)
            self._forget_quiet(since)
        return Standing(allowed, self._most - len(moments), math.ceil(moments[0] - since))

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._moments)

    def _forget_quiet(self, since: float) -> None:
        """Whose last request is the oldest stands first: this looks at one name, and at those that it removes."""
        while next(iter(self._moments.values()))[-1] <= since:
            self._moments.popitem(last=False)


class RateLimit:
    """One limit, as text such as `1200/minute`; counted in Redis where `storage` is its URL.

    While Redis is away each process counts for itself: rather a limit that is less exact than a service that is away.
    """

    def __init__(self, text: str, storage: str | None) -> None:
        limit = parse(text)
        self.most, self.seconds = limit.amount, limit.get_expiry()
        self._here = Window(limit)
        self._redis = None if storage is None else _Redis(limit, storage)

    async def hit(self, name: str) -> Standing:
        """Count a request of this name."""
        there = None if self._redis is None else await self._redis.hit(name)
        return self._here.hit(name) if there is None else there

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()


class _Redis:
    def __init__(self, limit: RateLimitItem, url: str) -> None:
        self._limit = limit
        self._storage = RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="tasks",
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
        )
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._away_until = 0.0

    async def hit(self, name: str) -> Standing | None:
        """None where Redis does not answer."""
        if time.monotonic() < self._away_until:
            return None
        try:
            allowed = await self._limiter.hit(self._limit, name)
            window = await self._limiter.get_window_stats(self._limit, name)
        except (OSError, StorageError) as error:
            self._away_until = time.monotonic() + REDIS_PAUSE
            fields = {"error": type(error.__cause__ or error).__name__}
            log.warning("rate limits: Redis does not answer, each process counts for itself", extra={"fields": fields})
            return None
        return Standing(allowed, window.remaining, max(math.ceil(window.reset_time - time.time()), 1))

    async def close(self) -> None:
        client = self._storage.bridge.get_connection()  # type: ignore[attr-defined] # the library has no way to close
        await client.aclose()


@lru_cache(KNOWN_ADDRESSES)
def network_of(address: str) -> str:
    """What an address is counted as: itself, or its network, of which one person has all addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the version's name
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
