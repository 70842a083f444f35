"""At most so many connections; who waits for one is served in order, and not longer than a time limit."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg2

from backend.app import problems
from backend.app.db.connection import Connection


class Pool:
    """At most `size` connections; who waits is served in order, and not longer than `wait_timeout` (seconds)."""

    def __init__(self, connect: Callable[[], Any], *, size: int, wait_timeout: float, abandoned_timeout: float) -> None:
        self._connect = connect
        self._wait_timeout = wait_timeout
        self._abandoned_timeout = abandoned_timeout
        self.size = self._places = size
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle: list[Connection] = []
        self._draining: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """Connections that are at work or being made, also for requests that were given up."""
        return self.size - self._places

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    async def acquire(self) -> Connection:
        """Raises DatabaseOverloaded when no place becomes free in time, and whatever connecting raises."""
        if self._places:
            self._places -= 1
        else:
            await self._place()
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        try:
            return await self._connect()  # type: ignore[no-any-return] # an awaitable of Connection
        except BaseException:
            self._give_place()
            raise

    def release(self, connection: Connection) -> None:
        if connection.closed:
            connection.close()
        else:
            self._idle.append(connection)
        self._give_place()

    def abandon(self, connection: Connection) -> None:
        """Give up a connection in mid-statement.

        The statement goes on in the database and may commit, so it keeps its place until it ends, or until the server
        must have given it up. psycopg2's cancel() would block the loop.
        """
        task = asyncio.get_running_loop().create_task(self._drain(connection))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        for task in tuple(self._draining):
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        while self._idle:
            self._idle.pop().close()

    async def _drain(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._abandoned_timeout):
                await connection.answered()
        except (TimeoutError, psycopg2.Error):
            pass
        finally:
            connection.close()
            self._give_place()

    async def _place(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(self._wait_timeout, _give_up, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_place()  # it was given just as the wait was cancelled
            raise
        finally:
            timer.cancel()

    def _give_place(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._places += 1


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(problems.DatabaseOverloaded())
