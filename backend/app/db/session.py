"""What a repository gets: statements that run for one owner, alone or together in a transaction."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import psycopg2

from backend.app.db.connection import Connection
from backend.app.db.preamble import LOCK_LIST, Opening, Preamble
from backend.app.db.statement import OWNER, Row, Statement
from backend.app.domain.first_revision import first_revision
from backend.app.observability.observer import Observer

SET_SAVEPOINT = "SAVEPOINT trial"
TO_SAVEPOINT = "ROLLBACK TO SAVEPOINT trial"


class StatementRunner(Protocol):
    """What runs statements for an owner: the database itself, or a transaction on one of its connections."""

    @property
    def in_steps(self) -> bool: ...

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]: ...

    def transaction(self, owner: str) -> contextlib.AbstractAsyncContextManager["OwnerSession"]: ...

    def transaction_undone(self, owner: str) -> contextlib.AbstractAsyncContextManager["OwnerSession"]: ...

    def transaction_with(
        self, owner: str, other: str
    ) -> contextlib.AbstractAsyncContextManager[tuple["OwnerSession", "OwnerSession"]]: ...


class Transaction:
    """One transaction on one connection, begun with its first statement."""

    def __init__(
        self,
        connection: Connection,
        opening: Opening,
        preamble: Preamble,
        observer: Observer,
        raise_problem: Callable[[psycopg2.Error], None],
    ) -> None:
        self._connection = connection
        self._opening = opening
        self._owner_change = preamble.owner_change
        # Whose rows the database shows, and the two owners of a transaction that has two.
        self._owner: str | None = None
        self._both: frozenset[str] = frozenset()
        self._observer = observer
        self._raise_problem = raise_problem
        self._begun = False
        self.in_steps = preamble.in_steps
        # The names of the statements that gave the list a new revision.
        self.revisions_bumped: list[str] = []

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """As `Database.run`, in this transaction."""
        # What a transaction begins a list with that is not there yet.
        values = {"first_revision": first_revision(), **parameters, OWNER: owner}
        rows = await (self._run_steps if self.in_steps and statement.steps else self._run_one)(statement, values)
        if statement.has_bumped_revision(rows):
            self.revisions_bumped.append(statement.name)
        return rows

    async def _run_one(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        with self._observer.statement(statement.name):
            return await self._execute(await self._introduction(values) + statement.text, values)

    async def _run_steps(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The row that the statement as a whole would answer, made of what its steps answered."""
        found = dict(values)
        for step in statement.steps:
            rows = await self._run_one(step, found)
            if step.columns and not rows:
                return []
            found.update(zip(step.columns, rows[0] if rows else (), strict=True))
        return [tuple(found[column] for column in statement.columns)]

    async def _introduction(self, values: Mapping[str, Any]) -> str:
        """Send what goes ahead of the statement in messages of its own; the text that precedes it in its message."""
        if not self._begun:
            opening = self._opening
        elif values[OWNER] != self._owner and values[OWNER] in self._both:
            opening = self._owner_change
        else:
            return ""
        self._begun, self._owner = True, values[OWNER]
        for message in opening.messages:
            await self._execute(message, values)
        return opening.prefix

    @contextlib.asynccontextmanager
    async def transaction(self, owner: str) -> AsyncIterator["OwnerSession"]:
        """This very one: what is made inside is made or undone with all the rest."""
        yield OwnerSession(self, owner)

    @contextlib.asynccontextmanager
    async def transaction_undone(self, owner: str) -> AsyncIterator["OwnerSession"]:
        """See `OwnerSession.transaction_undone`."""
        values, bumped = {"first_revision": first_revision(), OWNER: owner}, list(self.revisions_bumped)
        await self._execute(await self._introduction(values) + SET_SAVEPOINT, values)
        yield OwnerSession(self, owner)
        await self._execute(TO_SAVEPOINT, {})
        self.revisions_bumped = bumped

    @contextlib.asynccontextmanager
    async def transaction_with(self, owner: str, other: str) -> AsyncIterator[tuple["OwnerSession", "OwnerSession"]]:
        """See `OwnerSession.transaction_with`."""
        self._both = frozenset({owner, other})
        for locked in sorted(self._both):
            values = {"first_revision": first_revision(), OWNER: locked}
            await self._execute(await self._introduction(values) + LOCK_LIST, values)
        yield OwnerSession(self, owner), OwnerSession(self, other)
        if change := await self._introduction({OWNER: owner}):
            await self._execute(change, {OWNER: owner})
        self._both = frozenset()

    async def end(self, how: str) -> None:
        """COMMIT or ROLLBACK. A connection that is gone has rolled back, or nobody knows."""
        if self._begun and not (self._connection.closed and how == "ROLLBACK"):
            await self._execute(how, {})

    async def _execute(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        try:
            return await self._connection.execute(text, values)
        except psycopg2.Error as error:
            self._raise_problem(error)
            raise


class OwnerSession:
    """What a repository gets: statements run for one caller, who is settled before any statement is chosen."""

    __slots__ = ("_database", "owner")

    def __init__(self, database: StatementRunner, owner: str) -> None:
        self._database = database
        self.owner = owner

    @property
    def in_steps(self) -> bool:
        """Whether a write of several tables runs as several statements: on a cluster."""
        return self._database.in_steps

    async def run(self, statement: Statement, **parameters: Any) -> list[dict[str, Any]]:
        """The rows as dicts, in the statement's order. Raises Unavailable."""
        return statement.shaped(await self.rows(statement, **parameters))

    def transaction(self) -> contextlib.AbstractAsyncContextManager["OwnerSession"]:
        """Several statements for the same caller, made together or not at all; see `Database.transaction`."""
        return self._database.transaction(self.owner)

    def transaction_undone(self) -> contextlib.AbstractAsyncContextManager["OwnerSession"]:
        """As `transaction`, but what is made inside is undone at its end: it shows what would be."""
        return self._database.transaction_undone(self.owner)

    def transaction_with(
        self, other: str
    ) -> contextlib.AbstractAsyncContextManager[tuple["OwnerSession", "OwnerSession"]]:
        """A session of the caller's and one of another user's, in one transaction that has locked both lists.

        Each statement has one owner, and the database sees only their rows while it runs. The lists are locked in the
        order of the user ids, so that two who do this to each other do not wait for each other; where the caller's is
        locked already, by a write with an Idempotency-Key, PostgreSQL ends such a deadlock, and the write is repeated.

        Who calls this must have verified that the caller speaks for the other user, too: `repositories/claim.py` alone.
        """
        return self._database.transaction_with(self.owner, other)

    def rows(self, statement: Statement, **parameters: Any) -> Awaitable[list[Row]]:
        """The rows as the driver hands them out. Raises Unavailable."""
        return self._database.run(statement, self.owner, parameters)
