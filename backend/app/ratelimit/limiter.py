"""Counts requests by name, in this process or in Redis, and names the network of an address.

Knows no HTTP and no users: the middleware chooses the names.
"""

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from backend.app.ratelimit.redis import SharedWindow
from backend.app.ratelimit.limit import Limit, RateLimitResult, parse_limit
from backend.app.ratelimit.window import Window

# Whoever has one IPv6 address has all of its network (RFC 6177).
IPV6_NETWORK_BITS: Final = 64
# Addresses whose network is remembered: to read one costs more than to count it.
KNOWN_ADDRESSES: Final = 4096


class RateLimit:
    """One limit, as text such as `1200/minute`; counted in Redis where `storage` is its URL.

    While Redis is away each process counts for itself: rather a limit that is less exact than a service that is away.
    """

    def __init__(self, text: str, storage: str | None, *, max_names: int) -> None:
        """`max_names` are remembered in this process; beyond them the one that was quiet for longest is forgotten."""
        limit = parse_limit(text)
        self.most, self.seconds = limit
        self._here = Window(limit, max_names)
        self._redis = None if storage is None else _shared(limit, storage)

    async def hit(self, name: str) -> RateLimitResult:
        """Count a request of this name."""
        there = None if self._redis is None else await self._redis.hit(name)
        return self._here.hit(name) if there is None else there

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()


def _shared(limit: Limit, url: str) -> "SharedWindow":
    from backend.app.ratelimit.redis import SharedWindow  # noqa: PLC0415 - Redis' client is loaded only where one is named

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
