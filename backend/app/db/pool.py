"""At most so many connections, and of them at most so many for one owner; owners take turns, within a time limit.

Knows no SQL. An owner's writes are made one at a time: a second one would wait for the first one's row locks, and keep
a connection from the others meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg2

from backend.app import problems
from backend.app.db.connection import Connection


class _Turn:
    """A request that waits for a connection."""

    __slots__ = ("future", "writes")

    def __init__(self, future: asyncio.Future[None], *, writes: bool) -> None:
        self.future = future
        self.writes = writes


class _Share:
    """What one owner has of the pool at the moment, and who of theirs waits."""

    __slots__ = ("held", "waiting", "writing")

    def __init__(self) -> None:
        self.held = 0
        self.writing = False
        self.waiting: deque[_Turn] = deque()


class Pool:
    """At most `size` connections, `size_per_owner` of them one owner's; nobody waits longer than `wait_timeout`."""

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        size: int,
        wait_timeout: float,
        abandoned_timeout: float,
        size_per_owner: int | None = None,
    ) -> None:
        """Timeouts in seconds. Without `size_per_owner` one owner may have all connections."""
        self._connect = connect
        self._wait_timeout = wait_timeout
        self._abandoned_timeout = abandoned_timeout
        self.size = self._places = size
        self._size_per_owner = size if size_per_owner is None else min(size_per_owner, size)
        # In the order in which owners take turns. An owner without a connection and without a waiting request has none.
        self._shares: dict[str | None, _Share] = {}
        self._waiting = 0
        self._idle: list[Connection] = []
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """Connections that are at work or being made, also for requests that were given up."""
        return self.size - self._places

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return self._waiting

    async def acquire(self, owner: str | None = None, *, writes: bool = False) -> Connection:
        """A connection for this owner; `release` or `abandon` takes the same owner and `writes`.

        Raises DatabaseOverloaded when no place becomes free in time, TooManyRequestsOfUser when the owner's own
        requests had all of their share, and whatever connecting raises.
        """
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = _Share()
        if self._places and self._has_room(share, writes):
            self._places -= 1
            share.held += 1
            share.writing = share.writing or writes
        else:
            await self._turn_of(owner, share, writes)
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        try:
            return await self._connect()  # type: ignore[no-any-return] # an awaitable of Connection
        except BaseException:
            self._give_place(owner, writes)
            raise

    def release(self, connection: Connection, owner: str | None = None, *, writes: bool = False) -> None:
        if connection.closed:
            connection.close()
        else:
            self._idle.append(connection)
        self._give_place(owner, writes)

    def abandon(self, connection: Connection, owner: str | None = None, *, writes: bool = False) -> None:
        """Give up a connection in mid-statement.

        The statement goes on in the database and may commit, so it keeps its place until it ends, or until the server
        must have given it up. psycopg2's cancel() would block the loop. The owner's next write does not wait for that
        here: the row lock of one that goes on orders them, and one whose answer was lost may have ended long ago.
        """
        task = asyncio.get_running_loop().create_task(self._drain(connection, owner))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
        if writes:
            self._shares[owner].writing = False
            if self._waiting and self._places:
                self._serve_next()

    async def close(self) -> None:
        for task in tuple(self._draining):
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        while self._idle:
            self._idle.pop().close()

    async def _drain(self, connection: Connection, owner: str | None) -> None:
        try:
            async with asyncio.timeout(self._abandoned_timeout):
                await connection.wait_until_idle()
        except (TimeoutError, psycopg2.Error):
            pass
        finally:
            connection.close()
            self._give_place(owner, writes=False)

    def _has_room(self, share: _Share, writes: bool) -> bool:
        return share.held < self._size_per_owner and not (writes and share.writing)

    async def _turn_of(self, owner: str | None, share: _Share, writes: bool) -> None:
        loop = asyncio.get_running_loop()
        turn = _Turn(loop.create_future(), writes=writes)
        share.waiting.append(turn)
        self._waiting += 1
        timer = loop.call_later(self._wait_timeout, self._give_up, share, turn)
        try:
            await turn.future
        except BaseException:
            if turn.future.done() and not turn.future.cancelled() and turn.future.exception() is None:
                self._give_place(owner, writes)  # it was given just as the wait was cancelled
            else:
                self._leave_queue(share, turn)
                self._forget(owner, share)
            raise
        finally:
            timer.cancel()

    def _give_up(self, share: _Share, turn: _Turn) -> None:
        if not turn.future.done():
            is_alone = not self._places and self._size_per_owner == self.size
            is_own_fault = not self._has_room(share, turn.writes) and not is_alone
            turn.future.set_exception(
                problems.TooManyRequestsOfUser("connections_of_user") if is_own_fault else problems.DatabaseOverloaded()
            )

    def _give_place(self, owner: str | None, writes: bool) -> None:
        self._places += 1
        share = self._shares[owner]
        share.held -= 1
        if writes:
            share.writing = False
        self._forget(owner, share)
        if self._waiting:
            self._serve_next()

    def _forget(self, owner: str | None, share: _Share) -> None:
        if not share.held and not share.waiting:
            del self._shares[owner]

    def _serve_next(self) -> None:
        """Give free places to the owners in turn: who was served goes to the end."""
        for owner, share in self._shares.items():
            if turn := self._next_of(share):
                self._serve(owner, share, turn)
                return

    def _serve(self, owner: str | None, share: _Share, turn: _Turn) -> None:
        self._leave_queue(share, turn)
        self._places -= 1
        share.held += 1
        share.writing = share.writing or turn.writes
        self._shares[owner] = self._shares.pop(owner)
        turn.future.set_result(None)

    def _leave_queue(self, share: _Share, turn: _Turn) -> None:
        share.waiting.remove(turn)
        self._waiting -= 1

    def _next_of(self, share: _Share) -> _Turn | None:
        """The first of an owner's waiting requests that may have a connection now."""
        if share.held >= self._size_per_owner:
            return None
        return next((turn for turn in share.waiting if self._can_start(share, turn)), None)

    def _can_start(self, share: _Share, turn: _Turn) -> bool:
        return not turn.future.done() and not (turn.writes and share.writing)
