"""What a repository gets: statements that run for one owner, alone or together in a transaction."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import psycopg2

from backend.app.db.connection import Connection
from backend.app.db.preamble import Opening
from backend.app.db.statement import OWNER, Row, Statement
from backend.app.domain.first_revision import first_revision
from backend.app.observability.observer import Observer


class StatementRunner(Protocol):
    """What runs statements for an owner: the database itself, or a transaction on one of its connections."""

    @property
    def in_steps(self) -> bool: ...

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]: ...

    def transaction(self, owner: str) -> contextlib.AbstractAsyncContextManager["OwnerSession"]: ...


class Transaction:
    """One transaction on one connection, begun with its first statement."""

    def __init__(
        self,
        connection: Connection,
        opening: Opening,
        observer: Observer,
        raise_problem: Callable[[psycopg2.Error], None],
        *,
        in_steps: bool,
    ) -> None:
        self._connection = connection
        self._opening = opening
        self._observer = observer
        self._raise_problem = raise_problem
        self._begun = False
        self.in_steps = in_steps
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
            text = statement.text if self._begun else await self._begin(values) + statement.text
            return await self._execute(text, values)

    async def _run_steps(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """The row that the statement as a whole would answer, made of what its steps answered."""
        found = dict(values)
        for step in statement.steps:
            rows = await self._run_one(step, found)
            if step.columns and not rows:
                return []
            found.update(zip(step.columns, rows[0] if rows else (), strict=True))
        return [tuple(found[column] for column in statement.columns)]

    async def _begin(self, values: Mapping[str, Any]) -> str:
        """Send what goes ahead in messages of its own; the text that precedes the first statement."""
        self._begun = True
        for message in self._opening.messages:
            await self._execute(message, values)
        return self._opening.prefix

    @contextlib.asynccontextmanager
    async def transaction(self, owner: str) -> AsyncIterator["OwnerSession"]:
        """This very one: what is made inside is made or undone with all the rest."""
        yield OwnerSession(self, owner)

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

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        """The rows as the driver hands them out. Raises Unavailable."""
        return await self._database.run(statement, self.owner, parameters)
