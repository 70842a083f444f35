"""Connections on the event loop, and the session in which the database itself sees one user only.

The only module that opens connections and touches psycopg2. A statement is one round trip and its own transaction.
"""

import asyncio
import contextlib
import hashlib
import logging
import re
import select
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, UNICODE, make_dsn, parse_dsn

from backend.app import problems, row_security
from backend.app.config import Prepare, RefusedToStart, names_pooler

if TYPE_CHECKING:
    from backend.app.metrics import Metrics

# The parameter that every statement on user-owned tables carries.
OWNER = "owner"
# How much longer than statement_timeout an abandoned statement may keep its place before its connection is cut
# (seconds).
ABANDONED_GRACE = 1.0

QUERY_CANCELED = "57014"
# SQLSTATE classes and codes that say "not now" (PostgreSQL's manual, appendix A): connection, resources, operator,
# system; read-only server, idle in a transaction for too long, serialization failure, deadlock, lock not available.
NOT_NOW_CLASSES = frozenset({"08", "53", "57", "58"})
NOT_NOW = frozenset({"25006", "25P03", "40001", "40P01", "55P03"})
# Of these, those after which nothing was done and the same may succeed: serialization failure, deadlock.
UNDONE = frozenset({"40001", "40P01"})
# The server ended the connection, so that nobody knows whether a commit was made: administrator, crash, not yet up.
CUT_OFF = frozenset({"57P01", "57P02", "57P03"})
# Undefined table, undefined column: the schema went away under us.
SCHEMA_GONE = frozenset({"42P01", "42703"})

# What a prepared statement can meet: it is not there, it is there already, it no longer fits the tables.
NO_SUCH_STATEMENT, STATEMENT_EXISTS, PLAN_OUTDATED = "26000", "42P05", "0A000"
PREPARED_IN_DOUBT = frozenset({NO_SUCH_STATEMENT, STATEMENT_EXISTS, PLAN_OUTDATED})
# So many of those in so many seconds: a transaction pooler, which the URL did not tell of, hands our connections on.
PREPARED_DOUBTS_MAX = 10
PREPARED_DOUBTS_SECONDS = 60.0

TIMESTAMP_OID = 1114

# Statements that give a list its next revision.
_MOVED_ON = re.compile(r"revision ?= ?\(task_lists\.revision \+|UPDATE task_lists SET .* revision=%\(revision\)s")
_PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s")

log = logging.getLogger("tasks")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Statement:
    """SQL text in the driver's format (`%(name)s`) and its columns' names; made by `repositories/owned.py`.

    `preparation` and `execution` are the text as PREPARE and EXECUTE. `types` has the SQL type of every parameter;
    without it the statement is always sent in full. `shape` makes of a row what the repository hands out; by default a
    dict by columns.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    shape: Callable[[Row], dict[str, Any]] | None = None
    preparation: str = field(init=False)
    execution: str = field(init=False)
    moves_on: bool = field(init=False)

    def __post_init__(self) -> None:
        # Named after its text: whoever has prepared this name before has prepared the same.
        name = f'"{hashlib.sha256(self.text.encode()).hexdigest()[:16]} {self.name}"'
        numbers = {parameter: f"${number}" for number, parameter in enumerate(self.types, 1)}
        body = _PLACEHOLDER.sub(lambda found: numbers.get(found["name"], found[0]), self.text)
        values = ", ".join(f"%({parameter})s" for parameter in self.types)
        object.__setattr__(self, "preparation", f"PREPARE {name} ({', '.join(self.types.values())}) AS {body}; ")
        object.__setattr__(self, "execution", f"EXECUTE {name} ({values})")
        object.__setattr__(self, "moves_on", bool(_MOVED_ON.search(self.text)))

    def has_moved_on(self, rows: list[Row]) -> bool:
        """Whether it gave the list a new revision: what was not written comes without a row, or as one of nulls."""
        return self.moves_on and bool(rows) and rows[0][0] is not None

    def shaped(self, rows: list[Row]) -> list[dict[str, Any]]:
        if self.shape is not None:
            return [self.shape(row) for row in rows]
        return [dict(zip(self.columns, row, strict=True)) for row in rows]


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

    def text_of(self, statement: Statement) -> str:
        """What to send for a statement: its execution, after its preparation where this connection first meets it."""
        known = statement.execution in self._prepared
        return statement.execution if known else statement.preparation + statement.execution

    def prepared(self, statement: Statement) -> None:
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
        await self._wait()
        return cursor.fetchall() if cursor.description else []

    async def answered(self) -> None:
        """Wait until nothing is under way."""
        if not self._raw.closed and self._raw.isexecuting():
            await self._wait()

    async def _wait(self) -> None:
        self._answer = answer = self._loop.create_future()
        self._advance()
        try:
            await answer
        finally:
            self._answer = None

    def close(self) -> None:
        self._unwatch()
        self._raw.close()

    def _arrived(self) -> None:
        """Take in all that has come, unless it was the answer.

        uvloop tells of a socket's error once and never again, and the server's last words may come with it.
        """
        self._advance()
        while (self._answer is None or not self._answer.done()) and not self._raw.closed and _has_more(self._fd):
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


def _has_more(fd: int) -> bool:
    look = select.poll()
    look.register(fd, select.POLLIN)
    return bool(look.poll(0))


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
        """Raises Overloaded when no place becomes free in time, and whatever connecting raises."""
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
        turn.set_exception(problems.Overloaded())


class Database:
    """The database behind the API. It may be away when the program starts; it must be walled before it is used."""

    _wall_parameters: Mapping[str, Any] = row_security.PARAMETERS

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        pool_timeout: float,
        connect_timeout: float,
        statement_timeout: float,
        on_missing_wall: Callable[[RefusedToStart], None],
        prepare: Prepare = "auto",
        metrics: "Metrics | None" = None,
    ) -> None:
        """Timeouts in seconds. `on_missing_wall` is called when a wall turns out to be missing while serving.

        `prepare` tells whether each connection prepares its statements once: "auto" unless the URL names a pooler.

        Raises RefusedToStart for a URL that libpq cannot read.
        """
        try:
            self._dsn = parse_dsn(url)
        except psycopg2.Error:
            # Its message quotes the URL, and with it the password.
            raise RefusedToStart("DATABASE_URL cannot be read. Paste it as your provider shows it.") from None
        self._connect_timeout = connect_timeout
        self._on_missing_wall = on_missing_wall
        self._metrics = metrics
        # app.user_id is what the policies compare with; SET LOCAL ends with the transaction, so a pooler hands on
        # nothing.
        self._prelude = (
            f"SET LOCAL ROLE {row_security.ROLE}; SET LOCAL {row_security.OWNER_SETTING} = %({OWNER})s; "
            f"SET LOCAL statement_timeout = {round(statement_timeout * 1000)}; "
        )
        # One at a time for each owner, or two that touch the same rows in another order would wait for each other; and
        # not for ever, where this process stops in the middle.
        self._begin = (
            f"BEGIN; {self._prelude}"
            f"SET LOCAL idle_in_transaction_session_timeout = {round(statement_timeout * 1000)}; "
            f"SELECT pg_advisory_xact_lock(hashtextextended(%({OWNER})s, 0)); "
        )
        self._pool = Pool(
            self._connect,
            size=pool_size,
            wait_timeout=pool_timeout,
            abandoned_timeout=statement_timeout + ABANDONED_GRACE,
        )
        pooled = names_pooler(self._dsn.get("host", ""), self._dsn.get("port", ""))
        self._preparing = prepare == "on" or (prepare == "auto" and not pooled)
        self._doubts: deque[float] = deque(maxlen=PREPARED_DOUBTS_MAX)
        self._walls_stand = False
        self._walls_check: asyncio.Task[None] | None = None

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run one prepared statement as the role that row-level security confines to `owner`.

        Raises Unavailable (or a kind of it) when the database cannot be used right now.
        """
        if not self._walls_stand:
            await self.check()
        values = {**parameters, OWNER: owner}
        if self._preparing and statement.types:
            rows = await self._execute(self._prelude, values, statement)
        else:
            rows = await self._execute(self._prelude + statement.text, values)
        if self._metrics is not None and statement.has_moved_on(rows):
            self._metrics.list_moved_on(statement.name)
        return rows

    def transaction(self, owner: str) -> contextlib.AbstractAsyncContextManager["OwnerSession"]:
        """Statements of one owner that are made together, or not at all if anything is raised inside.

        Holds a connection meanwhile, and the place of the owner's transactions, of which there is one at a time.
        Statements are sent in full: a prepared one in doubt would undo what was done.
        Raises Unavailable (or a kind of it); when that happens at the end, the transaction may have been committed.
        """
        return self._together(owner, self._begin)

    @contextlib.asynccontextmanager
    async def _together(self, owner: str, begin: str, *before: str) -> AsyncIterator["OwnerSession"]:
        """A transaction that `begin` opens, in front of its first statement; `before` goes ahead in messages alone."""
        if not self._walls_stand:
            await self.check()
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
            for name in transaction.moved_on:
                self._metrics.list_moved_on(name)

    @property
    def pool(self) -> Pool:
        return self._pool

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
        faults = await self._execute(row_security.FAULTS, self._wall_parameters)
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
            raise problems.TooSlow from None
        if code in SCHEMA_GONE:
            self._walls_stand = False
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


class Transaction:
    """One transaction on one connection, begun with its first statement."""

    def __init__(
        self,
        connection: Connection,
        begin: str,
        before: Sequence[str],
        raise_problem: Callable[[psycopg2.Error], None],
    ) -> None:
        self._connection = connection
        self._begin = begin
        self._before = before
        self._raise_problem = raise_problem
        self._begun = False
        self.moved_on: list[str] = []

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """As `Database.run`, in this transaction."""
        values = {**parameters, OWNER: owner}
        text = statement.text
        if not self._begun:
            self._begun = True
            for message in self._before:
                await self._execute(message, values)
            text = self._begin + text
        rows = await self._execute(text, values)
        if statement.has_moved_on(rows):
            self.moved_on.append(statement.name)
        return rows

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

    def __init__(self, database: Database | Transaction, owner: str) -> None:
        self._database = database
        self.owner = owner

    async def run(self, statement: Statement, **parameters: Any) -> list[dict[str, Any]]:
        """The rows as dicts, in the statement's order. Raises Unavailable."""
        return statement.shaped(await self.rows(statement, **parameters))

    def transaction(self) -> contextlib.AbstractAsyncContextManager["OwnerSession"]:
        """Several statements for the same caller, made together or not at all; see `Database.transaction`."""
        return self._database.transaction(self.owner)

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        """The rows as the driver hands them out. Raises Unavailable."""
        return await self._database.run(statement, self.owner, parameters)


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
