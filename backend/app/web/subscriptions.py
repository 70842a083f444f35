"""Who is listening to their tasks at the moment: how many, how long, and when they hear of a change.

All streams of a user in this process share one look at the user's revision per interval. A stream holds no connection
to the database, and what it has to be told is never more than the newest revision.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from backend.app import problems

# The revision of a user's last change.
Look = Callable[[], Awaitable[int]]


class Watch:
    """One user's streams, and the newest revision that is known here."""

    def __init__(self, look: Look, interval: float, revision: int) -> None:
        self.revision = revision
        self.listeners: set[Subscription] = set()
        self._look = look
        self._interval = interval
        self._looking = asyncio.get_running_loop().create_task(self._follow())

    def tell(self, revision: int) -> None:
        """Only of a revision that is another: after an erasure it may be a smaller one."""
        if revision != self.revision:
            self.revision = revision
            for listener in self.listeners:
                listener.news.set()

    def end(self) -> None:
        self._looking.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            with contextlib.suppress(problems.Unavailable):
                self.tell(await self._look())


class Subscription:
    """One stream."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.news = asyncio.Event()
        self.is_ended = False

    def end(self) -> None:
        self.is_ended = True
        self.news.set()

    async def after(self, known: int | None, seconds: float) -> int | None:
        """A revision other than the known one, as soon as there is one; None after so many seconds, or at the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_ended and self._watch.revision == known:
                    self.news.clear()
                    await self.news.wait()
        return None if self.is_ended or self._watch.revision == known else self._watch.revision


class Subscriptions:
    """The streams of this process."""

    def __init__(self, *, interval: float, max_streams: int, max_streams_per_user: int) -> None:
        """`interval` in seconds between two looks at a user's revision."""
        self._interval = interval
        self._max_streams = max_streams
        self._max_streams_per_user = max_streams_per_user
        self._count = 0
        self._watches: dict[str, Watch] = {}
        self._closed = False

    @property
    def count(self) -> int:
        """How many are open."""
        return self._count

    @contextlib.contextmanager
    def listening(self, user_id: str, look: Look, revision: int) -> Iterator[Subscription]:
        """A place for one more stream of a user, whose revision has just been looked at.

        Raises TooManyEventStreams, or Unavailable where the process is ending.
        """
        if self._closed:
            raise problems.Unavailable
        watch = self._watches.get(user_id)
        of_user = 0 if watch is None else len(watch.listeners)
        if self._count >= self._max_streams or of_user >= self._max_streams_per_user:
            raise problems.TooManyEventStreams
        if watch is None:
            watch = self._watches[user_id] = Watch(look, self._interval, revision)
        watch.tell(revision)
        listener = Subscription(watch)
        watch.listeners.add(listener)
        self._count += 1
        try:
            yield listener
        finally:
            self._count -= 1
            watch.listeners.discard(listener)
            if not watch.listeners:
                watch.end()
                del self._watches[user_id]

    def close(self) -> None:
        """End every stream, and let no other begin."""
        self._closed = True
        for watch in self._watches.values():
            for listener in watch.listeners:
                listener.end()
