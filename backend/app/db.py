"""Connections on the event loop, and the session in which the database itself sees one user only.

The only module that opens connections and touches psycopg2. A statement is one round trip and its own transaction.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, make_dsn, new_type, parse_dsn, register_type

from backend.app import problems, row_security
from backend.app.config import RefusedToStart

# The parameter that every statement on user-owned tables carries.
OWNER = "owner"
# How much longer than statement_timeout an abandoned statement may keep its place before its connection is cut
# (seconds).
ABANDONED_GRACE = 1.0

QUERY_CANCELED = "57014"
# SQLSTATE classes and codes that say "not now" (PostgreSQL's manual, appendix A): connection, resources, operator,
# system; read-only server, serialization failure, deadlock, lock not available.
NOT_NOW_CLASSES = frozenset({"08", "53", "57", "58"})
NOT_NOW = frozenset({"25006", "40001", "40P01", "55P03"})
# Undefined table, undefined column: the schema went away under us.
SCHEMA_GONE = frozenset({"42P01", "42703"})

TIMESTAMP_OID = 1114

log = logging.getLogger("tasks")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text in the driver's format (`%(name)s`) and its columns' names; made by `repositories/owned.py`."""

    name: str
    text: str
    columns: tuple[str, ...]


def _utc_text(text: str | bytes | None, _: Any) -> str | None:
    """A timestamp that the statement has put into UTC, in the API's own form (RFC 3339)."""
    return f"{text[:10]}T{text[11:]}Z" if isinstance(text, str) else None


UTC_TEXT = new_type((TIMESTAMP_OID,), "UTC_TEXT", _utc_text)


class Connection:
    """One psycopg2 connection in asynchronous mode, watched by the event loop for as long as it lives.

    The permanent reader costs less than one per statement, and notices a server that hangs up while nothing is asked.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._fd: int = raw.fileno()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._advance)
        self._watched = True
        register_type(UTC_TEXT, raw)

    @property
    def closed(self) -> bool:
        return bool(self._raw.closed)

    async def execute(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Send the text as it is and return the rows of its last statement. Raises psycopg2.Error."""
        cursor = self._raw.cursor()
        cursor.execute(text, parameters)
        await self.answered()
        return cursor.fetchall() if cursor.description else []

    async def answered(self) -> None:
        """Wait until nothing is under way."""
        if self._raw.closed or not self._raw.isexecuting():
            return
        self._answer = answer = self._loop.create_future()
        self._advance()
        try:
            await answer
        finally:
            self._answer = None

    def close(self) -> None:
        self._unwatch()
        self._raw.close()

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
        if self._answer is None or self._answer.done():
            return
        if error is None:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(error)

    def _unwatch(self) -> None:
        # Once, and before anything else can run: the number of a closed descriptor may be another connection's a
        # moment later.
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)


class Pool:
    """At most `size` connections; who waits is served in order, and not longer than `wait_timeout` (seconds)."""

    def __init__(self, connect: Callable[[], Any], *, size: int, wait_timeout: float, abandoned_timeout: float) -> None:
        self._connect = connect
        self._wait_timeout = wait_timeout
        self._abandoned_timeout = abandoned_timeout
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._draining: set[asyncio.Task[None]] = set()

    async def acquire(self) -> Connection:
        """Raises Overloaded when no place becomes free in time, and whatever connecting raises."""
        if self._places.locked():
            try:
                async with asyncio.timeout(self._wait_timeout):
                    await self._places.acquire()
            except TimeoutError:
                raise problems.Overloaded from None
        else:
            await self._places.acquire()
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        try:
            return await self._connect()  # type: ignore[no-any-return] # an awaitable of Connection
        except BaseException:
            self._places.release()
            raise

    def release(self, connection: Connection) -> None:
        if connection.closed:
            connection.close()
        else:
            self._idle.append(connection)
        self._places.release()

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
            self._places.release()


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
        on_missing_wall: Callable[[RefusedToStart], None],
    ) -> None:
        """Timeouts in seconds. `on_missing_wall` is called when a wall turns out to be missing while serving.

        Raises RefusedToStart for a URL that libpq cannot read.
        """
        try:
            self._dsn = parse_dsn(url)
        except psycopg2.Error:
            # Its message quotes the URL, and with it the password.
            raise RefusedToStart("DATABASE_URL cannot be read. Paste it as your provider shows it.") from None
        self._connect_timeout = connect_timeout
        self._on_missing_wall = on_missing_wall
        # app.user_id is what the policies compare with; SET LOCAL ends with the transaction, so a pooler hands on
        # nothing.
        self._prelude = (
            f"SET LOCAL ROLE {row_security.ROLE}; SET LOCAL {row_security.OWNER_SETTING} = %({OWNER})s; "
            f"SET LOCAL statement_timeout = {round(statement_timeout * 1000)}; "
        )
        self._pool = Pool(
            self._connect,
            size=pool_size,
            wait_timeout=pool_timeout,
            abandoned_timeout=statement_timeout + ABANDONED_GRACE,
        )
        self._walls_stand = False
        self._walls_check: asyncio.Task[None] | None = None

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one prepared statement as the role that row-level security confines to `owner`.

        Raises Unavailable (or a kind of it) when the database cannot be used right now.
        """
        if not self._walls_stand:
            await self.check()
        return await self._execute(self._prelude + statement.text, {**parameters, OWNER: owner})

    async def check(self) -> None:
        """Look whether the database is there, migrated and walled; callers at the same time share one look.

        Raises DatabaseUnavailable, and after telling `on_missing_wall` also when a wall is missing.
        """
        try:
            await self.require_walls()
        except RefusedToStart as refusal:
            self._on_missing_wall(refusal)
            raise problems.DatabaseUnavailable from None

    async def require_walls(self) -> None:
        """As `check`, but raises RefusedToStart for a missing wall."""
        if self._walls_check is None:
            self._walls_check = asyncio.get_running_loop().create_task(self._look_at_walls())
            self._walls_check.add_done_callback(self._looked)
        await asyncio.shield(self._walls_check)

    async def close(self) -> None:
        if self._walls_check is not None:
            self._walls_check.cancel()
        await self._pool.close()

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._walls_check = None
        self._walls_stand = not look.cancelled() and look.exception() is None

    async def _look_at_walls(self) -> None:
        faults = await self._execute(row_security.FAULTS, row_security.PARAMETERS)
        sentences = {kind: "; ".join(s for k, s in faults if k == kind) for kind, _ in faults}
        if row_security.NOT_MIGRATED in sentences:
            reason = sentences[row_security.NOT_MIGRATED]
            log.warning("database is not migrated: run `alembic upgrade head`", extra={"fields": {"reason": reason}})
            raise problems.DatabaseUnavailable("The database is not migrated to this version yet.")
        if row_security.WALL_MISSING in sentences:
            reason = sentences[row_security.WALL_MISSING]
            raise RefusedToStart(
                f"Refusing to serve: the database would not confine a user to their own rows: {reason}. "
                "Run `alembic upgrade head` as the owner of the tables, or undo what was changed by hand."
            )

    async def _execute(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        connection = await self._pool.acquire()
        try:
            rows = await connection.execute(text, parameters)
        except psycopg2.Error as error:
            self._pool.release(connection)
            self._raise_problem(error)
            raise
        except BaseException:
            self._pool.abandon(connection)
            raise
        self._pool.release(connection)
        return rows

    def _raise_problem(self, error: psycopg2.Error) -> None:
        """Raise the problem that a database error means to the caller; return if it means a fault of ours."""
        code = error.pgcode
        if code == QUERY_CANCELED:
            raise problems.TooSlow from None
        if code in SCHEMA_GONE:
            self._walls_stand = False
        elif code is None:
            if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
                return
        elif code[:2] not in NOT_NOW_CLASSES and code not in NOT_NOW:
            return
        log.warning("database: not now", extra={"fields": {"error": type(error).__name__, "sqlstate": code}})
        raise problems.DatabaseUnavailable from None

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
            _close(raw)
            raise problems.DatabaseUnavailable from None
        except BaseException:
            _close(raw)
            raise


class OwnerSession:
    """What a repository gets: statements run for one caller, who is settled before any statement is chosen."""

    __slots__ = ("_database", "owner")

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self.owner = owner

    async def run(self, statement: Statement, **parameters: Any) -> list[dict[str, Any]]:
        """The rows as dicts, in the statement's order. Raises Unavailable."""
        rows = await self._database.run(statement, self.owner, parameters)
        return [dict(zip(statement.columns, row, strict=True)) for row in rows]


def _close(raw: Any) -> None:
    if raw is not None:
        raw.close()


async def _resolved(dsn: Mapping[str, str]) -> dict[str, str]:
    """The parameters with every host's addresses looked up on the loop: libpq's own look-up would block it."""
    host = dsn.get("host", "")
    if not host or host.startswith(("/", "@")) or "hostaddr" in dsn:
        return {**dsn, "client_encoding": "UTF8"}
    names = host.split(",")
    ports = dsn.get("port", "5432").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    triples: list[tuple[str, str, str]] = []
    for name, port in zip(names, ports, strict=True):
        found = await asyncio.get_running_loop().getaddrinfo(name, int(port or 5432), type=socket.SOCK_STREAM)
        triples += [(name, str(address[0]), port) for *_, address in found]
    hosts, addresses, all_ports = (",".join(column) for column in zip(*triples, strict=True))
    return {**dsn, "host": hosts, "hostaddr": addresses, "port": all_ports, "client_encoding": "UTF8"}


async def _established(raw: Any) -> None:
    loop = asyncio.get_running_loop()
    watch: dict[int, tuple[Callable[..., Any], Callable[[int], Any]]] = {
        POLL_READ: (loop.add_reader, loop.remove_reader),
        POLL_WRITE: (loop.add_writer, loop.remove_writer),
    }
    while (state := raw.poll()) != POLL_OK:
        add, remove = watch[state]
        ready: asyncio.Future[None] = loop.create_future()
        fd = raw.fileno()
        add(fd, _wake, ready)
        try:
            await ready
        finally:
            remove(fd)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
