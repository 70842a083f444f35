"""Moving windows in this process."""

import math
import time
from collections import OrderedDict, deque

from backend.app.ratelimit.limit import Limit, RateLimitResult


class Window:
    """The moments of each name's requests within one limit, in this process.

    The limits library's own storage walks over all names in a task (34 us a request) or a thread, a hundred times a
    second; here a request costs the same however many names there are.
    """

    def __init__(self, limit: Limit, max_names: int) -> None:
        """Of more than `max_names` names the one whose last request is the oldest is forgotten."""
        self._max_names = max_names
        self._most, self._seconds = limit
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def hit(self, name: str) -> RateLimitResult:
        """Count one request of this name, unless it is over the limit."""
        now = time.monotonic()
        since = now - self._seconds
        moments = self._moments.get(name)
        if moments is None and len(self._moments) >= self._max_names:
            self._moments.popitem(last=False)
        if moments is None:
            moments = self._moments[name] = deque()
        while moments and moments[0] <= since:
            moments.popleft()
        if allowed := len(moments) < self._most:
            moments.append(now)
            self._moments.move_to_end(name)
            self._forget_quiet(since)
        return RateLimitResult(allowed, self._most - len(moments), math.ceil(moments[0] - since))

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._moments)

    def _forget_quiet(self, since: float) -> None:
        """Whose last request is the oldest stands first: this looks at one name, and at those that it removes."""
        while next(iter(self._moments.values()))[-1] <= since:
            self._moments.popitem(last=False)
