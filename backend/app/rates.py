"""How many requests in how much time: moving windows, kept in this process or, for several processes, in Redis.

Knows no HTTP and no users: what is counted has a name that the middleware gives it.
"""

import ipaddress
import math
import re
import time
from collections import OrderedDict, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from backend.app.shared_rates import SharedWindow

UNITS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
# Whoever has one IPv6 address has all of its network (RFC 6177).
IPV6_NETWORK_BITS: Final = 64
# Addresses whose network is remembered: to read one costs more than to count it.
KNOWN_ADDRESSES: Final = 4096

_LIMIT = re.compile(rf"([1-9]\d{{0,8}}) ?(?:/|per) ?(?:([1-9]\d{{0,4}}) ?)?({'|'.join(UNITS)})s?")


class Limit(NamedTuple):
    """At most so many requests in any so many seconds."""

    most: int
    seconds: int


def limit_of(text: str) -> Limit:
    """Read a limit such as `1200/minute` or `100 per 10 seconds`. Raises ValueError."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise ValueError("must be a number of requests and a time, such as 1200/minute or 100/10 seconds")
    most, times, unit = found.groups()
    return Limit(int(most), int(times or 1) * UNITS[unit])


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

    def __init__(self, limit: Limit) -> None:
        self._most, self._seconds = limit
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def hit(self, name: str) -> Standing:
        now = time.monotonic()
        since = now - self._seconds
        moments = self._moments.get(name)
        if moments is None:
            moments = self._moments[name] = deque()
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
        limit = limit_of(text)
        self.most, self.seconds = limit
        self._here = Window(limit)
        self._redis = None if storage is None else _shared(limit, storage)

    async def hit(self, name: str) -> Standing:
        """Count a request of this name."""
        there = None if self._redis is None else await self._redis.hit(name)
        return self._here.hit(name) if there is None else there

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()


def _shared(limit: Limit, url: str) -> "SharedWindow":
    from backend.app.shared_rates import SharedWindow  # noqa: PLC0415 - Redis' client is loaded only where one is named

    return SharedWindow(limit, url)


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
