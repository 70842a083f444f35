"""The database behind the API: each statement runs as the role that row-level security confines to one owner.

A statement is one round trip and a transaction of its own. Knows no tables.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from backend.app import problems
from backend.app.config import Prepare
from backend.app.db import row_security
from backend.app.db.connection import Connection, close_raw, wait_until_connected
from backend.app.db.dsn import names_pooler, parsed, resolved
from backend.app.db.pool import Pool
from backend.app.db.preamble import POSTGRESQL, Opening, Preamble
from backend.app.db.session import OwnerSession, Transaction
from backend.app.db.sqlstate import PREPARED_IN_DOUBT, PRIVILEGE_MISSING, SCHEMA_GONE, problem_of
from backend.app.db.statement import OWNER, Row, Statement
from backend.app.observability.observer import UNOBSERVED, Observer
from backend.app.problems import StartupError

# How much longer than statement_timeout an abandoned statement may keep its place before its connection is cut
# (seconds).
ABANDONED_GRACE = 1.0
# So many of those in so many seconds: a transaction pooler, which the URL did not tell of, hands our connections on.
PREPARED_DOUBTS_MAX = 10
PREPARED_DOUBTS_SECONDS = 60.0
NO_EXPECTATIONS = row_security.Expectations()

# How long the answer of one look at the walls serves whoever asks for readiness (seconds).
READY_SECONDS = 1.0

log = logging.getLogger("tasks")


class Database:
    """The database behind the API. It may be away when the program starts; it must be walled before it is used."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        pool_timeout: float,
        connect_timeout: float,
        statement_timeout: float,
        on_missing_wall: Callable[[StartupError], None],
        prepare: Prepare = "auto",
        connections_per_owner: int | None = None,
        preamble: Preamble = POSTGRESQL,
        expectations: row_security.Expectations = NO_EXPECTATIONS,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Timeouts in seconds. `on_missing_wall` is called when a wall turns out to be missing while serving.

        `prepare` tells whether each connection prepares its statements once: "auto" unless the URL names a pooler.
        `preamble` says how an owner's session is opened: `POSTGRESQL`, or `citus.CITUS`. `expectations` is what the
        database must be beyond the walls.

        Raises StartupError for a URL that libpq cannot read.
        """
        self._dsn = parsed(url)
        self._connect_timeout = connect_timeout
        self._on_missing_wall = on_missing_wall
        self._observer = observer
        self._expectations = expectations
        self._unnamed_preamble = self._preamble = preamble.with_timeout(statement_timeout)
        self._pool = Pool(
            self._connect,
            size=pool_size,
            wait_timeout=pool_timeout,
            abandoned_timeout=statement_timeout + ABANDONED_GRACE,
            size_per_owner=connections_per_owner,
        )
        pooled = names_pooler(self._dsn.get("host", ""), self._dsn.get("port", ""))
        self._preparing = prepare == "on" or (prepare == "auto" and not pooled)
        self._doubts: deque[float] = deque(maxlen=PREPARED_DOUBTS_MAX)
        self._isolation_verified = False
        self._looked_at = 0.0
        # The look is bounded twice: by the server as any statement, and here, where its answer is lost on the way.
        self._look_prelude = f"SET LOCAL statement_timeout = {round(statement_timeout * 1000)}; "
        self._look_timeout = connect_timeout + pool_timeout + statement_timeout
        self._isolation_check: asyncio.Task[None] | None = None

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one prepared statement as the role that row-level security confines to `owner`.

        Raises Unavailable (or a kind of it) when the database cannot be used right now.
        """
        if not self._isolation_verified:
            await self.check()
        opening = self._preamble.statement
        if opening.messages:
            async with self._opened(owner, opening, writes=statement.bumps_revision) as session:
                return await session.rows(statement, **parameters)
        values = {**parameters, OWNER: owner}
        with self._observer.statement(statement.name):
            if self._preparing and statement.types:
                rows = await self._execute(opening.prefix, values, statement, writes=statement.bumps_revision)
            else:
                rows = await self._execute(opening.prefix + statement.text, values, writes=statement.bumps_revision)
        if statement.has_bumped_revision(rows):
            self._observer.revision_bumped(statement.name)
        return rows

    @contextlib.asynccontextmanager
    async def transaction(self, owner: str) -> AsyncIterator["OwnerSession"]:
        """Statements of one owner that are made together, or not at all if anything is raised inside.

        Holds a connection meanwhile, and the place of the owner's transactions, of which there is one at a time.
        Statements are sent in full: a prepared one in doubt would undo what was done.
        Raises Unavailable (or a kind of it); when that happens at the end, the transaction may have been committed.
        """
        with self._observer.statement("transaction"):
            if not self._isolation_verified:
                await self.check()
            async with self._opened(owner, self._preamble.transaction) as session:
                yield session

    @contextlib.asynccontextmanager
    async def transaction_undone(self, owner: str) -> AsyncIterator["OwnerSession"]:
        """As `transaction`; see `OwnerSession.transaction_undone`."""
        async with self.transaction(owner) as session, session.transaction_undone() as undone:
            yield undone

    @contextlib.asynccontextmanager
    async def transaction_with(self, owner: str, other: str) -> AsyncIterator[tuple["OwnerSession", "OwnerSession"]]:
        """As `transaction`, for two owners; see `OwnerSession.transaction_with`."""
        async with self.transaction(owner) as session, session.transaction_with(other) as both:
            yield both

    @contextlib.asynccontextmanager
    async def _opened(self, owner: str, opening: Opening, *, writes: bool = True) -> AsyncIterator["OwnerSession"]:
        """An explicit transaction, which `opening` begins when its first statement is sent."""
        connection = await self._pool.acquire(owner, writes=writes)
        transaction = Transaction(connection, opening, self._preamble, self._observer, self._raise_problem)
        try:
            yield OwnerSession(transaction, owner)
        except Exception:
            await self._roll_back(transaction, connection, owner, writes)
            raise
        except BaseException:
            self._pool.abandon(connection, owner, writes=writes)
            raise
        await self._end(transaction, connection, "COMMIT", owner, writes)
        for name in transaction.revisions_bumped:
            self._observer.revision_bumped(name)

    async def _roll_back(self, transaction: Transaction, connection: Connection, owner: str, writes: bool) -> None:
        """Undo the transaction; a connection whose statement is still under way is abandoned."""
        if connection.is_executing:
            # The connection takes no ROLLBACK before it has answered; closing it rolls back.
            self._pool.abandon(connection, owner, writes=writes)
        else:
            await self._end(transaction, connection, "ROLLBACK", owner, writes)

    async def _end(self, transaction: Transaction, connection: Connection, how: str, owner: str, writes: bool) -> None:
        try:
            await transaction.end(how)
        except BaseException as error:
            # One that was cancelled may still be committed.
            give_back = self._pool.release if isinstance(error, Exception) else self._pool.abandon
            give_back(connection, owner, writes=writes)
            raise
        self._pool.release(connection, owner, writes=writes)

    @property
    def in_steps(self) -> bool:
        return self._preamble.in_steps

    @property
    def pool(self) -> Pool:
        return self._pool

    async def check(self) -> None:
        """Verify that the database is there, migrated and isolates users; calls at the same time share one query.

        Raises DatabaseUnavailable, and after telling `on_missing_wall` also when a wall is missing.
        """
        try:
            await self.verify_isolation()
        except StartupError as refusal:
            self._on_missing_wall(refusal)
            raise problems.DatabaseUnavailable from None

    async def check_recently(self) -> None:
        """As `check`, but a good look of the last READY_SECONDS is enough: strangers may ask as often as they like."""
        if not self._isolation_verified or time.monotonic() - self._looked_at >= READY_SECONDS:
            await self.check()

    async def verify_isolation(self) -> None:
        """As `check`, but raises StartupError for a missing wall."""
        if self._isolation_check is None:
            self._isolation_check = asyncio.get_running_loop().create_task(self._verify_isolation())
            self._isolation_check.add_done_callback(self._isolation_checked)
        await asyncio.shield(self._isolation_check)

    async def close(self) -> None:
        if self._isolation_check is not None:
            self._isolation_check.cancel()
        await self._pool.close()

    def _isolation_checked(self, check: asyncio.Task[None]) -> None:
        self._isolation_check = None
        if not check.cancelled():
            check.exception()  # who waits for it is told; asyncio warns where nobody asks

    async def _verify_isolation(self) -> None:
        parameters = {**self._preamble.isolation_parameters, **self._expectations.parameters()}
        try:
            async with asyncio.timeout(self._look_timeout):
                found = await self._execute(self._look_prelude + row_security.FAULTS, parameters)
        except TimeoutError:
            raise problems.DatabaseUnavailable from None
        # Only an answer settles anything: a look without one says nothing about the walls, and what was known holds.
        self._isolation_verified = False
        role, not_migrated = row_security.verdict(found)
        if role is None:
            fields = {"reason": not_migrated}
            log.warning("database is not migrated: run `alembic upgrade head`", extra={"fields": fields})
            raise problems.DatabaseUnavailable("The database is not migrated to this version yet.")
        self._preamble = self._unnamed_preamble.with_role(role)
        self._isolation_verified, self._looked_at = True, time.monotonic()

    async def _execute(
        self, text: str, parameters: Mapping[str, Any], prepared: Statement | None = None, *, writes: bool = False
    ) -> list[Row]:
        """The rows of the text, or of the prepared statement after it: in full, if that is not as we left it."""
        owner = parameters.get(OWNER)
        connection = await self._pool.acquire(owner, writes=writes)
        try:
            whole = text if prepared is None else text + connection.text_of(prepared)
            rows = await connection.execute(whole, parameters)
        except psycopg2.Error as error:
            if prepared is not None and error.pgcode in PREPARED_IN_DOUBT:
                connection.doubt(prepared, error.pgcode)
                self._pool.release(connection, owner, writes=writes)
                self._doubt()
                return await self._execute(text + prepared.text, parameters, writes=writes)
            self._pool.release(connection, owner, writes=writes)
            self._raise_problem(error)
            raise
        except BaseException:
            self._pool.abandon(connection, owner, writes=writes)
            raise
        if prepared is not None:
            connection.remember_prepared(prepared)
        self._pool.release(connection, owner, writes=writes)
        return rows

    def _doubt(self) -> None:
        """Count a prepared statement that was not as we left it: one is chance, many in a row are a pooler."""
        self._doubts.append(time.monotonic())
        if len(self._doubts) == PREPARED_DOUBTS_MAX and self._doubts[-1] - self._doubts[0] < PREPARED_DOUBTS_SECONDS:
            self._preparing = False
            log.warning("database: a pooler hands connections on; statements are sent in full from now on")

    def _raise_problem(self, error: psycopg2.Error) -> None:
        """Raise the problem that a database error means to the caller; return if it means a fault of ours."""
        self._observer.database_failed(error.pgcode)
        problem = problem_of(error)
        if error.pgcode in SCHEMA_GONE or error.pgcode == PRIVILEGE_MISSING:
            self._isolation_verified = False
        if problem is None:
            return
        if isinstance(problem, problems.DatabaseUnavailable):
            fields = {"error": type(error).__name__, "sqlstate": error.pgcode}
            log.warning("database: unavailable", extra={"fields": fields})
        raise problem from None

    async def _connect(self) -> Connection:
        raw = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                target = await resolved(self._dsn)
                raw = psycopg2.connect(make_dsn(**target), async_=True)
                await wait_until_connected(raw)
            return Connection(raw)
        except (TimeoutError, OSError, psycopg2.Error) as error:
            fields = {"error": type(error).__name__, "reason": str(error).partition("\n")[0]}
            log.warning("database: cannot connect", extra={"fields": fields})
            self._observer.database_failed(None)
            close_raw(raw)
            raise problems.DatabaseUnavailable from None
        except BaseException:
            close_raw(raw)
            raise
