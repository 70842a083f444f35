"""The database behind the API: each statement runs as the role that row-level security confines to one owner.

A statement is one round trip and a transaction of its own. Knows no tables.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from backend.app import problems
from backend.app.config import Prepare
from backend.app.db import row_security
from backend.app.db.dsn import names_pooler
from backend.app.problems import StartupError

if TYPE_CHECKING:
    from backend.app.observability.metrics import Metrics
from backend.app.db.connection import Connection, _close, _established
from backend.app.db.dsn import _resolved
from backend.app.db.pool import Pool
from backend.app.db.session import OwnerSession, Transaction
from backend.app.db.sqlstate import (
    CUT_OFF,
    NOT_NOW,
    NOT_NOW_CLASSES,
    PREPARED_IN_DOUBT,
    QUERY_CANCELED,
    SCHEMA_GONE,
    UNDONE,
)
from backend.app.db.statement import OWNER, Row, Statement

# How much longer than statement_timeout an abandoned statement may keep its place before its connection is cut
# (seconds).
ABANDONED_GRACE = 1.0
# So many of those in so many seconds: a transaction pooler, which the URL did not tell of, hands our connections on.
PREPARED_DOUBTS_MAX = 10
PREPARED_DOUBTS_SECONDS = 60.0

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
        on_isolation_failure: Callable[[StartupError], None],
        prepare: Prepare = "auto",
        metrics: "Metrics | None" = None,
        expectations: row_security.Expectations | None = None,
    ) -> None:
        """Timeouts in seconds. `on_isolation_failure` is called when a wall turns out to be missing while serving.

        `prepare` tells whether each connection prepares its statements once: "auto" unless the URL names a pooler.

        `expectations` is what the database must be beyond the walls.

        Raises StartupError for a URL that libpq cannot read.
        """
        self._expectations = expectations or row_security.Expectations()
        try:
            self._dsn = parse_dsn(url)
        except psycopg2.Error:
            # Its message quotes the URL, and with it the password.
            raise StartupError("DATABASE_URL cannot be read. Paste it as your provider shows it.") from None
        self._connect_timeout = connect_timeout
        self._on_missing_wall = on_isolation_failure
        self._metrics = metrics
        self._statement_timeout = statement_timeout
        self._prelude = self._begin = ""
        self._pool = Pool(
            self._connect,
            size=pool_size,
            wait_timeout=pool_timeout,
            abandoned_timeout=statement_timeout + ABANDONED_GRACE,
        )
        pooled = names_pooler(self._dsn.get("host", ""), self._dsn.get("port", ""))
        self._preparing = prepare == "on" or (prepare == "auto" and not pooled)
        self._doubts: deque[float] = deque(maxlen=PREPARED_DOUBTS_MAX)
        self._isolation_verified = False
        self._isolation_check: asyncio.Task[None] | None = None

    def _become(self, role: str) -> None:
        """Send what follows as the role that the database confines."""
        milliseconds = round(self._statement_timeout * 1000)
        # app.user_id is what the policies compare with; SET LOCAL ends with the transaction, so a pooler hands on
        # nothing.
        self._prelude = (
            f"SET LOCAL ROLE {row_security.quoted(role)}; SET LOCAL {row_security.OWNER_SETTING} = %({OWNER})s; "
            f"{row_security.SEARCH_PATH}SET LOCAL statement_timeout = {milliseconds}; "
        )
        # One at a time for each owner, or two that touch the same rows in another order would wait for each other; and
        # not for ever, where this process stops in the middle.
        self._begin = (
            f"BEGIN; {self._prelude}SET LOCAL idle_in_transaction_session_timeout = {milliseconds}; "
            f"{row_security.LOCK_LIST}; "
        )

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one prepared statement as the role that row-level security confines to `owner`.

        Raises Unavailable (or a kind of it) when the database cannot be used right now.
        """
        if not self._isolation_verified:
            await self.check()
        values = {**parameters, OWNER: owner}
        if self._preparing and statement.types:
            rows = await self._execute(self._prelude, values, statement)
        else:
            rows = await self._execute(self._prelude + statement.text, values)
        if self._metrics is not None and statement.has_bumped_revision(rows):
            self._metrics.revision_bumped(statement.name)
        return rows

    def transaction(self, owner: str) -> contextlib.AbstractAsyncContextManager["OwnerSession"]:
        """Statements of one owner that are made together, or not at all if anything is raised inside.

        Holds a connection meanwhile, and the place of the owner's transactions, of which there is one at a time.
        Statements are sent in full: a prepared one in doubt would undo what was done.
        Raises Unavailable (or a kind of it); when that happens at the end, the transaction may have been committed.
        """
        return self._together(owner)

    @contextlib.asynccontextmanager
    async def _together(self, owner: str, begin: str | None = None, *before: str) -> AsyncIterator["OwnerSession"]:
        """A transaction that `begin` opens, in front of its first statement; `before` goes ahead in messages alone."""
        if not self._isolation_verified:
            await self.check()
        if begin is None:
            begin = self._begin
        connection = await self._pool.acquire()
        transaction = Transaction(connection, begin, before, self._raise_problem)
        try:
            try:
                yield OwnerSession(transaction, owner)
            except Exception:
                await transaction.end("ROLLBACK")
                raise
            await transaction.end("COMMIT")
        except Exception:
            self._pool.release(connection)
            raise
        except BaseException:
            self._pool.abandon(connection)
            raise
        self._pool.release(connection)
        if self._metrics is not None:
            for name in transaction.bump_revision:
                self._metrics.revision_bumped(name)

    @property
    def pool(self) -> Pool:
        return self._pool

    async def check(self) -> None:
        """Look whether the database is there, migrated and walled; callers at the same time share one look.

        Raises DatabaseUnavailable, and after telling `on_isolation_failure` also when a wall is missing.
        """
        try:
            await self.verify_isolation()
        except StartupError as refusal:
            self._on_missing_wall(refusal)
            raise problems.DatabaseUnavailable from None

    async def verify_isolation(self) -> None:
        """As `check`, but raises StartupError for a missing wall."""
        if self._isolation_check is None:
            self._isolation_check = asyncio.get_running_loop().create_task(self._verify_isolation())
            self._isolation_check.add_done_callback(self._looked)
        await asyncio.shield(self._isolation_check)

    async def close(self) -> None:
        if self._isolation_check is not None:
            self._isolation_check.cancel()
        await self._pool.close()

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._isolation_check = None
        self._isolation_verified = not look.cancelled() and look.exception() is None

    async def _verify_isolation(self) -> None:
        found = await self._execute(row_security.FAULTS, self._expectations.parameters())
        role, not_migrated = row_security.verdict(found)
        if role is None:
            fields = {"reason": not_migrated}
            log.warning("database is not migrated: run `alembic upgrade head`", extra={"fields": fields})
            raise problems.DatabaseUnavailable("The database is not migrated to this version yet.")
        self._become(role)

    async def _execute(self, text: str, parameters: Mapping[str, Any], prepared: Statement | None = None) -> list[Row]:
        """The rows of the text, or of the prepared statement after it: in full, if that is not as we left it."""
        connection = await self._pool.acquire()
        try:
            whole = text if prepared is None else text + connection.text_of(prepared)
            rows = await connection.execute(whole, parameters)
        except psycopg2.Error as error:
            if prepared is not None and error.pgcode in PREPARED_IN_DOUBT:
                connection.doubt(prepared, error.pgcode)
                self._pool.release(connection)
                self._doubt()
                return await self._execute(text + prepared.text, parameters)
            self._pool.release(connection)
            self._raise_problem(error)
            raise
        except BaseException:
            self._pool.abandon(connection)
            raise
        if prepared is not None:
            connection.prepared(prepared)
        self._pool.release(connection)
        return rows

    def _doubt(self) -> None:
        """A prepared statement was not as we left it: once is a matter of chance, often is a pooler in between."""
        self._doubts.append(time.monotonic())
        if len(self._doubts) == PREPARED_DOUBTS_MAX and self._doubts[-1] - self._doubts[0] < PREPARED_DOUBTS_SECONDS:
            self._preparing = False
            log.warning("database: a pooler hands connections on; statements are sent in full from now on")

    def _raise_problem(self, error: psycopg2.Error) -> None:
        """Raise the problem that a database error means to the caller; return if it means a fault of ours."""
        code = error.pgcode
        if self._metrics is not None:
            self._metrics.database_failed(code)
        if code == QUERY_CANCELED:
            raise problems.RequestTimeout from None
        if code in SCHEMA_GONE:
            self._isolation_verified = False
        elif code is None:
            if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
                return
        elif code[:2] not in NOT_NOW_CLASSES and code not in NOT_NOW:
            return
        log.warning("database: not now", extra={"fields": {"error": type(error).__name__, "sqlstate": code}})
        away = problems.DatabaseUnavailable()
        if code in UNDONE:
            away.trying_again = "safe"
        elif code is None or code in CUT_OFF:
            away.trying_again = "safe for what changes nothing twice"
        raise away from None

    async def _connect(self) -> Connection:
        raw = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                target = await _resolved(self._dsn)
                raw = psycopg2.connect(make_dsn(**target), async_=True)
                await _established(raw)
            return Connection(raw)
        except (TimeoutError, OSError, psycopg2.Error) as error:
            fields = {"error": type(error).__name__, "reason": str(error).partition("\n")[0]}
            log.warning("database: cannot connect", extra={"fields": fields})
            if self._metrics is not None:
                self._metrics.database_failed(None)
            _close(raw)
            raise problems.DatabaseUnavailable from None
        except BaseException:
            _close(raw)
            raise
