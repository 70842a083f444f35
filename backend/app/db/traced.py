"""The database as `telemetry.py` wants to see it: each statement a span, under the statement's name."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from backend.app.db.citus import ClusterDatabase
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Row, Statement
from backend.app.observability.tracing import Tracing


class TracedDatabase(Database):
    """A database whose statements and transactions are spans."""

    def __init__(self, url: str, *, tracing: Tracing, **options: Any) -> None:
        super().__init__(url, **options)
        self._tracing = tracing

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        with self._tracing.asking_database(statement.name):
            return await super().run(statement, owner, parameters)

    @contextlib.asynccontextmanager
    async def transaction(self, owner: str) -> AsyncIterator[OwnerSession]:
        with self._tracing.asking_database("transaction"):
            async with super().transaction(owner) as session:
                yield TracedSession(session, self._tracing)


class TracedClusterDatabase(TracedDatabase, ClusterDatabase):
    """The same of a cluster."""


class TracedSession(OwnerSession):
    """A session in a transaction."""

    __slots__ = ("_inner", "_tracing")

    def __init__(self, inner: OwnerSession, tracing: Tracing) -> None:
        self._inner = inner
        self._tracing = tracing
        self.owner = inner.owner

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        with self._tracing.asking_database(statement.name):
            return await self._inner.rows(statement, **parameters)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[OwnerSession]:
        yield self
