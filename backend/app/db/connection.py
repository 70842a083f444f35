"""One psycopg2 connection in asynchronous mode on the event loop."""

import asyncio
import select
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, UNICODE

from backend.app.db.sqlstate import NO_SUCH_STATEMENT, STATEMENT_EXISTS
from backend.app.db.statement import Row, Statement

TIMESTAMP_OID = 1114


class Connection:
    """One psycopg2 connection in asynchronous mode, watched by the event loop for as long as it lives.

    The permanent reader costs less than one per statement, and notices a server that hangs up while nothing is asked.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._fd: int = raw.fileno()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._arrived)
        self._watched = True
        self._cursor = raw.cursor()
        # Timestamps stay PostgreSQL's text: making datetimes of them and text again took a third of a list's time.
        raw.string_types[TIMESTAMP_OID] = UNICODE
        self._prepared: set[str] = set()

    @property
    def closed(self) -> bool:
        return bool(self._raw.closed)

    @property
    def is_executing(self) -> bool:
        """Whether an answer is still to come."""
        return not self._raw.closed and bool(self._raw.isexecuting())

    def text_of(self, statement: Statement) -> str:
        """What to send for a statement: its execution, after its preparation where this connection first meets it."""
        known = statement.execution in self._prepared
        return statement.execution if known else statement.preparation + statement.execution

    def remember_prepared(self, statement: Statement) -> None:
        self._prepared.add(statement.execution)

    def doubt(self, statement: Statement, code: str | None) -> None:
        """Remember what the server said of a prepared statement."""
        if code == NO_SUCH_STATEMENT:
            self._prepared.discard(statement.execution)
        elif code == STATEMENT_EXISTS:
            self._prepared.add(statement.execution)
        else:
            self.close()

    async def execute(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Send the text as it is and return the rows of its last statement. Raises psycopg2.Error."""
        cursor = self._cursor
        cursor.execute(text, parameters)
        await self._next_answer()
        return cursor.fetchall() if cursor.description else []

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        if self.is_executing:
            await self._next_answer()

    def _next_answer(self) -> asyncio.Future[None]:
        """Done when the server has answered what is under way."""
        self._answer = answer = self._loop.create_future()
        self._advance()
        return answer

    def close(self) -> None:
        self._unwatch()
        self._raw.close()

    def _arrived(self) -> None:
        """Take in all that has come, unless it was the answer.

        uvloop tells of a socket's error once and never again, and the server's last words may come with it.
        """
        answer = self._answer
        self._advance()
        while (answer is None or not answer.done()) and not self._raw.closed and _has_more(self._fd):
            self._advance()

    def _advance(self) -> None:
        try:
            state = self._raw.poll()
        except psycopg2.Error as error:
            if self._raw.closed:
                self.close()
            self._settle(error)
            return
        if state == POLL_WRITE:
            self._loop.add_writer(self._fd, self._written)
        elif state == POLL_OK:
            self._settle(None)

    def _written(self) -> None:
        self._loop.remove_writer(self._fd)
        self._advance()

    def _settle(self, error: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    def _unwatch(self) -> None:
        # Once, and before anything else can run: the number of a closed descriptor may be another connection's a
        # moment later.
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)


def _has_more(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))


def close_raw(raw: Any) -> None:
    """Close a connection of psycopg2 that may be none."""
    if raw is not None:
        raw.close()


async def wait_until_connected(raw: Any) -> None:
    """Wait until a connection of psycopg2 may be used. Raises psycopg2.Error."""
    loop = asyncio.get_running_loop()
    watch: dict[int, tuple[Callable[..., Any], Callable[[int], Any]]] = {
        POLL_READ: (loop.add_reader, loop.remove_reader),
        POLL_WRITE: (loop.add_writer, loop.remove_writer),
    }
    while (state := raw.poll()) != POLL_OK:
        add, remove = watch[state]
        ready: asyncio.Future[None] = loop.create_future()
        fd = raw.fileno()
        add(fd, wake, ready)
        try:
            await ready
        finally:
            remove(fd)


def wake(ready: asyncio.Future[None]) -> None:
    """Go on with whoever waits, unless they were cancelled."""
    if not ready.done():
        ready.set_result(None)
