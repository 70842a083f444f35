"""Room for large bodies: how many bytes of them a process holds at once, how many it works on, and whose they are.

A request waits for room before its body is read, and is refused with 503 where none becomes free in time. Who holds
their own share already is refused with 429.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from backend.app import problems

# A body up to this size is not counted (bytes).
SMALL_BODY_BYTES: Final = 64 * 1024


class BodyRoom:
    """The large bodies of this process."""

    def __init__(self, *, max_bytes: int, max_bytes_per_user: int, max_at_once: int, wait_timeout: float) -> None:
        """`max_bytes` of all bodies together, `max_at_once` that are parsed and written at a time, one of a user.

        `wait_timeout`: how long a request waits for room, and then for its turn to be worked on (seconds).
        """
        self._wait_timeout = wait_timeout
        self._max_bytes = max_bytes
        self._max_bytes_per_user = max_bytes_per_user
        self._max_at_once = max_at_once
        self._bytes: Counter[str] = Counter()
        self._working: set[str] = set()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def held_bytes(self) -> int:
        """Bytes that are reserved."""
        return self._bytes.total()

    @asynccontextmanager
    async def entered(self, user_id: str, size: int) -> AsyncIterator["BodyPlace | None"]:
        """Room for a body of `size` bytes until the request is answered; None for a small one, which needs none.

        Raises TooManyRequestsOfUser or TooManyConcurrentRequests.
        """
        if size <= SMALL_BODY_BYTES:
            yield None
            return
        async with AsyncExitStack() as held:
            await self._reserve(user_id, size)
            held.callback(self._release, user_id, size)
            yield BodyPlace(self, user_id, held)

    async def _reserve(self, user_id: str, size: int) -> None:
        def fits_own_share() -> bool:
            return self._bytes[user_id] + size <= self._max_bytes_per_user

        if not fits_own_share():  # at once: a client that is kept waiting goes on sending
            raise problems.TooManyRequestsOfUser("bodies_of_user")
        await self._until(lambda: fits_own_share() and self.held_bytes + size <= self._max_bytes, fits_own_share)
        self._bytes[user_id] += size

    def _release(self, user_id: str, size: int) -> None:
        self._bytes[user_id] -= size
        if not self._bytes[user_id]:
            del self._bytes[user_id]
        self._wake_waiters()

    async def start(self, user_id: str) -> None:
        """Wait for a turn to parse and write a body that was read."""

        def fits_own_share() -> bool:
            return user_id not in self._working

        await self._until(lambda: fits_own_share() and len(self._working) < self._max_at_once, fits_own_share)
        self._working.add(user_id)

    def end(self, user_id: str) -> None:
        """The turn is over."""
        self._working.discard(user_id)
        self._wake_waiters()

    async def _until(self, fits: Callable[[], bool], fits_own_share: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self._wait_timeout):
                while not fits():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            if fits_own_share():
                raise problems.TooManyConcurrentRequests("bodies") from None
            raise problems.TooManyRequestsOfUser("bodies_of_user") from None

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class BodyPlace:
    """The room of one request."""

    def __init__(self, room: BodyRoom, user_id: str, held: AsyncExitStack) -> None:
        self._room = room
        self._user_id = user_id
        self._held = held

    async def start(self) -> None:
        """Wait for this request's turn to be worked on, which lasts until it is answered."""
        await self._room.start(self._user_id)
        self._held.callback(self._room.end, self._user_id)

    def on_exit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Do this when the request is answered, before its room is given to another one."""
        self._held.push_async_callback(callback)
