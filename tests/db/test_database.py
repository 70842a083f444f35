"""Connections, the pool and the owner's session against a real server, with the wire in the test's hands."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
import uvloop

from backend.app import problems
from backend.app.db.database import Database
from backend.app.db.pool import Pool
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from backend.app.main import create_app
from backend.app.problems import StartupError
from backend.app.repositories.queries import TaskQueries
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate
from tests.support.applications import client_for, database_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tokens import new_user
from tests.support.wire import Wire, wire_to

SLEEP = Statement("sleep", f"SELECT pg_sleep(%(seconds)s), %({OWNER})s", ("slept", "owner"))
WHO = Statement("who", f"SELECT current_user, current_setting('app.user_id'), %({OWNER})s", ("role", "seen", "owner"))


@contextlib.asynccontextmanager
async def wired(database_url: str, **options: Any) -> AsyncIterator[tuple[Wire, Database]]:
    async with wire_to(database_url) as (wire, url), database_for(url, **options) as database:
        yield wire, database


def tasks_of(database: Database, user_id: str) -> TaskRepository:
    return TaskRepository(OwnerSession(database, user_id), max_tasks=1000, max_subtasks=10, max_completions=100)


async def until(condition: Any) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def test_each_operation_is_one_round_trip(database_url: str) -> None:
    """Once the walls were looked at, every operation of the API sends one query."""
    user_id = new_user()
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = await stack.enter_async_context(running(create_app(settings_for(url))))
        client = await stack.enter_async_context(client_for(app, user_id))
        tasks = f"/api/{user_id}/tasks"
        operations: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", tasks, {"json": {"title": "one"}}),
            ("GET", tasks, {}),
            ("GET", f"{tasks}/1", {}),
            ("PUT", f"{tasks}/1", {"json": {"title": "two"}}),
            ("PATCH", f"{tasks}/1", {"json": {"title": "three"}}),
            ("PATCH", f"{tasks}/1/complete", {}),
            ("PUT", f"{tasks}/1", {"json": {"title": "no"}, "headers": {"If-Match": '"1"'}}),
            ("DELETE", f"{tasks}/1", {}),
            ("DELETE", f"{tasks}/1", {}),
        ]
        round_trips = []
        for method, path, options in operations:
            before = wire.queries
            await client.request(method, path, **options)
            round_trips.append(wire.queries - before)

    # Whether a task is missing, or one that takes more than a statement, is looked up once more.
    assert round_trips == [1] * (len(operations) - 1) + [2]
    assert wire.connections == 1


async def test_a_transaction_is_one_owners_and_looks_at_the_walls_first(server: Server, database_url: str) -> None:
    """As a single statement is; and on its connection nothing is left of it."""
    async with database_for(database_url, pool_size=1) as database:
        async with database.transaction("u1") as session:
            seen = [(await session.run(WHO))[0] for _ in range(2)]
        [row] = await OwnerSession(database, "u2").run(WHO)

    assert seen == [{"role": server.role(), "seen": "u1", "owner": "u1"}] * 2
    assert row == {"role": server.role(), "seen": "u2", "owner": "u2"}


async def test_a_transaction_without_statements_asks_nothing(database_url: str) -> None:
    async with wired(database_url) as (wire, database):
        await database.check()
        before = wire.queries
        async with database.transaction("u1"):
            pass

    assert wire.queries == before


async def test_a_fault_of_ours_undoes_the_transaction(database_url: str) -> None:
    """It is raised as it is, and the connection goes on serving."""
    user = new_user()
    async with database_for(database_url, pool_size=1) as database:

        async def create_and_fail() -> None:
            async with database.transaction(user) as session:
                await TaskRepository(session, max_tasks=10, max_subtasks=10, max_completions=100).create(
                    TaskCreate(title="undone")
                )
                await session.run(Statement("broken", "SELEKT %(owner)s", ()))

        with pytest.raises(psycopg2.errors.SyntaxError):
            await create_and_fail()
        page = await TaskQueries(OwnerSession(database, user)).page(TaskPageQuery(), None)

    assert page.found == []


async def test_nothing_of_a_session_outlives_its_statement(server: Server, database_url: str) -> None:
    """On one connection each statement runs as the API's role for its own owner, and afterwards neither is left."""
    async with database_for(database_url, pool_size=1) as database:
        seen = [await OwnerSession(database, owner).run(WHO) for owner in ("u1", "u2")]
        after = await database._execute("SELECT current_user, current_setting('app.user_id', true)", {})  # noqa: SLF001 - what a pooler's next client would see

    assert [rows[0] for rows in seen] == [
        {"role": server.role(), "seen": owner, "owner": owner} for owner in ("u1", "u2")
    ]
    assert after == [("tasks_login", "")]


@pytest.mark.parametrize("owner", ["o'neil", "back\\slash", "%(x)s", "a;b--", 'quo"te', "ünïcödé", "🦊", "$1"])
async def test_an_owner_is_only_ever_a_value(database_url: str, owner: str) -> None:
    """Whatever characters a user id has, it reaches the database as it is."""
    async with database_for(database_url) as database:
        [row] = await OwnerSession(database, owner).run(WHO)

    assert row["seen"] == row["owner"] == owner


@pytest.mark.parametrize("size", [1, 2])
async def test_the_pool_is_bounded_and_served_in_order(size: int, database_url: str) -> None:
    """Ten statements over one or two connections all succeed, and no further connection is opened."""
    async with wired(database_url, pool_size=size) as (wire, database):
        session = OwnerSession(database, new_user())
        finished: list[int] = []

        async def one(number: int) -> None:
            await session.run(SLEEP, seconds=0.01)
            finished.append(number)

        await session.run(SLEEP, seconds=0)
        await asyncio.gather(*(one(n) for n in range(10)))

        assert wire.connections == size
        assert sorted(finished) == list(range(10))
        if size == 1:
            assert finished == sorted(finished)


async def test_who_waits_too_long_for_a_connection_is_told_so(database_url: str) -> None:
    """With every connection busy a request gets 503 after the pool's time limit; the busy one is not disturbed."""
    async with database_for(database_url, pool_size=1, pool_timeout=0.05) as database:
        session = OwnerSession(database, new_user())
        await session.run(SLEEP, seconds=0)
        busy = asyncio.create_task(session.run(SLEEP, seconds=0.3))
        await asyncio.sleep(0)

        with pytest.raises(problems.DatabaseOverloaded):
            await session.run(SLEEP, seconds=0)

        assert (await busy)[0]["slept"] == ""


async def test_a_statement_over_its_time_is_ended_by_the_server(database_url: str) -> None:
    """statement_timeout ends a statement, the caller gets 503, and the connection goes on serving."""
    async with wired(database_url, pool_size=1, statement_timeout=0.05) as (wire, database):
        session = OwnerSession(database, new_user())

        with pytest.raises(problems.RequestTimeout):
            await session.run(SLEEP, seconds=5)

        assert await session.run(WHO)
        assert wire.connections == 1


async def test_cancelling_many_requests_leaves_a_working_pool(database_url: str) -> None:
    """Two hundred writes cancelled in mid-query cost no connection for good, and no other user's data is touched."""
    async with wired(database_url, pool_size=5) as (wire, database):
        mine, theirs = tasks_of(database, new_user()), tasks_of(database, new_user())
        kept = await theirs.create(TaskCreate(title="kept"))
        task = await mine.create(TaskCreate(title="written"))
        for _ in range(40):
            batch = [asyncio.create_task(mine.update(task["id"], {"title": f"title {n}"})) for n in range(5)]
            before = wire.queries
            await until(lambda before=before: wire.queries > before)
            for write in batch:
                write.cancel()
            await asyncio.gather(*batch, return_exceptions=True)

        after = await asyncio.gather(*(TaskQueries(mine.session).get(task["id"]) for _ in range(20)))

        assert {row["id"] for row in after} == {task["id"]}
        assert await TaskQueries(theirs.session).get(kept["id"]) == kept
        assert len(database._pool._idle) <= 5  # noqa: SLF001 - the bound itself
        assert database._pool._places == 5  # noqa: SLF001 - every place was given back


async def test_an_abandoned_statement_keeps_its_place_until_it_ends(database_url: str) -> None:
    """A cancelled request's statement goes on in the database, so its place in the pool is not given away before."""
    async with wired(database_url, pool_size=1, pool_timeout=0.05) as (wire, database):
        session = OwnerSession(database, new_user())
        await session.run(SLEEP, seconds=0)
        sent = wire.queries
        abandoned = asyncio.create_task(session.run(SLEEP, seconds=0.3))
        await until(lambda: wire.queries > sent)
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)

        with pytest.raises(problems.DatabaseOverloaded):
            await session.run(WHO)
        await until(lambda: not database._pool._draining)  # noqa: SLF001 - when the place is given back

        assert await session.run(WHO)
        assert wire.connections == 2


async def test_an_exception_beside_a_statement_of_its_transaction_is_raised_as_it_is(database_url: str) -> None:
    """The connection can take no ROLLBACK then: it is given up, and nothing of the transaction is kept."""
    async with wired(database_url, pool_size=1) as (wire, database):
        owner = new_user()

        async def write(session: OwnerSession) -> None:
            await TaskRepository(session, max_tasks=1000, max_subtasks=10, max_completions=100).create(
                TaskCreate(title="undone")
            )
            await session.run(SLEEP, seconds=0.3)

        async def fails() -> None:
            await until(lambda: any("pg_sleep" in text for text in wire.texts))
            raise ValueError

        async def together() -> None:
            async with database.transaction(owner) as session, asyncio.TaskGroup() as group:
                group.create_task(write(session))
                group.create_task(fails())

        with pytest.raises(ExceptionGroup) as caught:
            await together()
        await until(lambda: not database._pool._draining)  # noqa: SLF001 - when the place is given back

        assert [type(error) for error in caught.value.exceptions] == [ValueError]
        assert await TaskQueries(OwnerSession(database, owner)).revision() == 0
        assert wire.connections == 2


async def test_an_abandoned_statement_that_never_ends_is_cut(database_url: str) -> None:
    """A server that stopped answering keeps a place no longer than statement_timeout and a grace."""
    async with wired(database_url, pool_size=1, statement_timeout=0.05) as (wire, database):
        session = OwnerSession(database, new_user())
        await session.run(WHO)
        database._pool._abandoned_timeout = 0.1  # noqa: SLF001 - not to wait for the grace of a second
        wire.hold()
        stuck = asyncio.create_task(session.run(WHO))
        sent = wire.queries
        await until(lambda: wire.queries > sent)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        await until(lambda: not database._pool._draining)  # noqa: SLF001 - when the place is given back
        wire.flow()

        assert await session.run(WHO)
        assert wire.connections == 2


async def test_a_connection_that_died_idle_is_noticed_before_it_is_used(database_url: str) -> None:
    """A server that hangs up on idle connections, as Neon does, costs no request its answer."""
    async with wired(database_url) as (wire, database):
        session = OwnerSession(database, new_user())
        await session.run(WHO)
        await wire.cut()
        await until(lambda: database._pool._idle[0].closed)  # noqa: SLF001 - what the reader noticed

        assert await session.run(WHO)
        assert wire.connections == 2


async def test_a_connection_that_dies_in_mid_statement_is_a_503(database_url: str) -> None:
    """The caller is told to come back, and the next statement has a new connection."""
    async with wired(database_url, pool_size=1) as (wire, database):
        session = OwnerSession(database, new_user())
        await session.run(WHO)
        sent = wire.queries
        dying = asyncio.create_task(session.run(SLEEP, seconds=5))
        await until(lambda: wire.queries > sent)
        await wire.cut()

        with pytest.raises(problems.DatabaseUnavailable):
            await dying
        assert await session.run(WHO)


async def test_a_backend_ended_by_its_administrator_is_a_503(database_url: str, server: Server) -> None:
    """An administrator's words come with an SQLSTATE, and the pool replaces the connection."""
    owner = new_user()
    end = f"""
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%{owner}%' AND pid <> pg_backend_pid()
    """
    async with wired(database_url, pool_size=1) as (wire, database):
        session = OwnerSession(database, owner)
        await session.run(WHO)
        sent = wire.queries
        ended = asyncio.create_task(session.run(SLEEP, seconds=5))
        await until(lambda: wire.queries > sent)
        await until(lambda: server.execute(end))

        with pytest.raises(problems.DatabaseUnavailable):
            await ended
        assert await session.run(WHO)


def test_an_end_that_uvloop_tells_of_once_is_noticed(database_url: str, server: Server) -> None:
    """A backend that ends with a query unread: its last words and the socket's error come together, and nothing after
    them. Whoever waits is told at once, and not by their deadline."""

    async def ended() -> str:
        async with (
            database_for(database_url, pool_size=1) as database,
            database.transaction(new_user()) as session,
        ):
            [pid] = await session.rows(Statement("pid", "SELECT pg_backend_pid()", ("pid",)))
            os.kill(pid[0], signal.SIGSTOP)
            waiting = asyncio.ensure_future(session.rows(Statement("one", "SELECT 1", ("one",))))
            await asyncio.sleep(0)  # sent
            server.execute(f"SELECT pg_terminate_backend({pid[0]})")
            os.kill(pid[0], signal.SIGCONT)
            server.execute(
                f"SELECT pg_terminate_backend({pid[0]}, 5000)"
            )  # waits until it is gone, and the loop with it
            async with asyncio.timeout(5):
                await waiting
        return "not ended"

    # In a thread, for this one has another event loop.
    with ThreadPoolExecutor(1) as thread, pytest.raises(problems.DatabaseUnavailable):
        thread.submit(uvloop.run, ended()).result()


async def test_a_database_that_is_away_is_a_503_and_comes_back(database_url: str) -> None:
    """The program serves without a database, says 503, and works again as soon as the database does."""
    async with wire_to(database_url) as (wire, url):
        wire.refusing = True
        async with running(create_app(settings_for(url, database_connect_timeout=1))) as app, client_for(app) as client:
            tasks = f"/api/{client.user_id}/tasks"
            away = [await client.get(path) for path in ("/health/ready", tasks)]
            alive = await client.get("/health")
            wire.refusing = False
            back = [await client.get(path) for path in ("/health/ready", tasks)]

    assert [(answer.status_code, answer.headers.get("retry-after")) for answer in away] == [(503, "2")] * 2
    assert alive.status_code == 200
    assert [answer.status_code for answer in back] == [200, 200]


async def test_connecting_has_a_deadline(database_url: str) -> None:
    """A host that accepts and then says nothing is given up after the connect timeout."""
    async with wired(database_url, connect_timeout=0.1) as (wire, database):
        wire.hold()

        with pytest.raises(problems.DatabaseUnavailable):
            await OwnerSession(database, new_user()).run(WHO)


async def test_a_request_that_is_cancelled_while_connecting_gives_its_place_back(database_url: str) -> None:
    """A half-open connection is closed and counts no longer."""
    async with wired(database_url, pool_size=1) as (wire, database):
        wire.hold()
        connecting = asyncio.create_task(database._execute("SELECT 1", {}))  # noqa: SLF001 - before the walls are looked at
        await until(lambda: wire.connections == 1)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        wire.flow()

        assert await OwnerSession(database, new_user()).run(WHO)


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody@localhost:1/none", "postgresql://nobody@no-such-host.invalid/none"],
    ids=["nothing listens", "no such host"],
)
async def test_a_host_that_cannot_be_reached_is_a_503(url: str) -> None:
    """Neither a refused connection nor a name without an address is an error of ours."""
    async with database_for(url) as database:
        with pytest.raises(problems.DatabaseUnavailable):
            await database.check()


async def test_the_second_of_two_hosts_is_tried(database_url: str) -> None:
    """A URL may name several hosts; the first that answers is used."""
    async with wire_to(database_url) as (_, url):
        port = url.partition("localhost:")[2].partition("/")[0]
        two = url.replace(f"localhost:{port}", f"localhost:1,localhost:{port}")
        async with database_for(two) as database:
            assert await OwnerSession(database, new_user()).run(WHO)


async def test_a_large_statement_is_sent_in_pieces(database_url: str) -> None:
    """A statement larger than the socket's buffer arrives whole."""
    size = Statement("size", f"SELECT length(%(text)s), %({OWNER})s", ("length", "owner"))
    async with database_for(database_url) as database:
        [row] = await OwnerSession(database, new_user()).run(size, text="x" * 8_000_000)

    assert row["length"] == 8_000_000


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("SELECT 1/0", None),
        ("SELECT no_such_column", problems.DatabaseUnavailable),
        ("SELECT * FROM no_such_table", problems.DatabaseUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", problems.DatabaseUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '53300'; END $$", problems.DatabaseUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '25006'; END $$", problems.DatabaseUnavailable),
        ("DO $$ BEGIN RAISE SQLSTATE '57014'; END $$", problems.RequestTimeout),
        ("SELECT %(missing)s", None),
    ],
)
async def test_a_database_error_is_a_503_or_ours(
    database_url: str, statement: str, problem: type[problems.Problem] | None
) -> None:
    """What may pass with time is 503, a fault of this program stays one, and the connection survives both."""
    async with database_for(database_url, pool_size=1) as database:
        session = OwnerSession(database, new_user())

        with pytest.raises(problem or Exception) as caught:
            await session.run(Statement("faulty", statement, ()))

        assert isinstance(caught.value, problems.Problem) is (problem is not None)
        assert await session.run(WHO)


def test_a_url_that_cannot_be_read_is_refused_without_quoting_it() -> None:
    """libpq's message would hold the password."""
    with pytest.raises(StartupError) as refusal:
        Database(
            "postgresql://user:pass%zzword@host/db",
            pool_size=1,
            pool_timeout=1,
            connect_timeout=1,
            statement_timeout=1,
            on_missing_wall=print,
        )

    assert "zzword" not in str(refusal.value)


async def test_looks_at_the_walls_are_shared(database_url: str) -> None:
    """However many ask for readiness at once, the database is asked once."""
    async with wired(database_url) as (wire, database):
        await asyncio.gather(*(database.check() for _ in range(50)))

        assert wire.queries == 1


async def test_the_pool_closes_with_the_program(database_url: str) -> None:
    """At the end nothing is left open, not even a statement that was abandoned."""
    async with wired(database_url, pool_size=2) as (wire, database):
        session = OwnerSession(database, new_user())
        await session.run(WHO)
        sent = wire.queries
        abandoned = asyncio.create_task(session.run(SLEEP, seconds=30))
        await until(lambda: wire.queries > sent)
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)

        await database.close()

        await until(lambda: not wire._writers)  # noqa: SLF001 - every connection is gone


async def test_a_look_at_the_walls_ends_with_the_program(database_url: str) -> None:
    """A program that is ended while the database keeps it waiting does not wait for it."""
    async with wired(database_url) as (wire, database):
        wire.hold()
        looking = asyncio.create_task(database.check())
        await until(lambda: wire.connections == 1)

        await database.close()

        with pytest.raises(asyncio.CancelledError):
            await looking


async def test_a_value_that_the_driver_cannot_write_is_a_fault_of_ours(database_url: str) -> None:
    """It is no reason to tell the caller to come back, and the connection survives it."""
    async with database_for(database_url, pool_size=1) as database:
        session = OwnerSession(database, new_user())
        await session.run(WHO)

        with pytest.raises(psycopg2.ProgrammingError):
            await session.run(SLEEP, seconds=object())

        assert await session.run(WHO)


async def test_blocked_requests_do_not_delay_liveness(database_url: str) -> None:
    """Sixty requests that wait for a silent database leave /health answering, and are answered once it speaks."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        settings = settings_for(url, database_pool_size=2, database_pool_timeout=30, request_timeout=30)
        app = await stack.enter_async_context(running(create_app(settings)))
        client = await stack.enter_async_context(client_for(app))
        wire.hold()
        blocked = [asyncio.create_task(client.get(f"/api/{client.user_id}/tasks")) for _ in range(60)]
        sent = wire.queries
        await until(lambda: wire.queries > sent)
        async with asyncio.timeout(1):
            alive = [await client.get("/health") for _ in range(10)]
        waiting = [task for task in blocked if not task.done()]
        wire.flow()
        answers = await asyncio.gather(*blocked)

    assert {answer.status_code for answer in alive} == {200}
    assert len(waiting) == 60
    assert {answer.status_code for answer in answers} == {200}


TITLES = Statement("titles", f"SELECT title FROM public.tasks WHERE user_id = %({OWNER})s", ("title",), {OWNER: "TEXT"})
PREPARED = "SELECT count(*) FROM pg_prepared_statements"


async def prepared_on(database: Database) -> int:
    [[count]] = await database._execute(PREPARED, {}) or []  # noqa: SLF001 - nothing of the API tells
    return int(count)


@pytest.mark.parametrize(
    ("prepare", "host", "expected"),
    [
        ("on", "ep-cool-name-pooler.neon.tech", True),
        ("auto", "ep-cool-name.neon.tech", True),
        ("auto", "localhost:5432", True),
        ("auto", "localhost", True),
        ("auto", "ep-cool-name-pooler.neon.tech", False),
        ("auto", "aws-0-eu-central-1.pooler.supabase.com:6543", False),
        ("auto", "pgbouncer", False),
        ("auto", "localhost:6432", False),
        ("off", "localhost", False),
    ],
)
async def test_statements_are_prepared_unless_a_pooler_is_named(prepare: Any, host: str, expected: bool) -> None:
    """A transaction pooler hands connections on, so what is prepared on one is not there on the next."""
    async with database_for(f"postgresql://u@{host}/tasks", prepare=prepare) as database:
        assert database._preparing is expected  # noqa: SLF001 - as above


async def test_a_statement_is_prepared_once_per_connection(database_url: str) -> None:
    """Two users, four runs, one prepared statement; and each sees their own rows."""
    users = [new_user(), new_user()]
    async with wired(database_url, pool_size=1, prepare="on") as (wire, database):
        for user in users:
            await tasks_of(database, user).create(TaskCreate(title=f"of {user}"))
        before = wire.queries, await prepared_on(database)
        seen = [await OwnerSession(database, user).run(TITLES) for user in users * 2]
        after = wire.queries, await prepared_on(database)

    assert seen == [[{"title": f"of {user}"}] for user in users] * 2
    assert after[0] - before[0] == 5
    assert after[1] - before[1] == 1


async def test_a_prepared_statement_without_its_filter_meets_row_level_security(database_url: str) -> None:
    """Wall 4 on prepared statements: on one connection, in turns, each user meets their own rows alone."""
    without_filter = f"SELECT title FROM public.tasks WHERE %({OWNER})s IS NOT NULL"
    everything = Statement("without its filter", without_filter, ("title",), {OWNER: "TEXT"})
    users = [new_user(), new_user()]
    async with database_for(database_url, pool_size=1, prepare="on") as database:
        for user in users:
            await tasks_of(database, user).create(TaskCreate(title=f"of {user}"))
        seen = [await OwnerSession(database, user).run(everything) for user in users * 8]

    assert seen == [[{"title": f"of {user}"}] for user in users] * 8


async def forgotten(database: Database, server: Server, name: str) -> None:
    await database._execute("DEALLOCATE ALL", {})  # noqa: SLF001 - what a pooler's other client, or an administrator, does


async def there_already(database: Database, server: Server, name: str) -> None:
    [connection] = database._pool._idle  # noqa: SLF001 - what a pooler's other client has prepared
    connection._prepared.clear()  # noqa: SLF001 - as above


async def outdated(database: Database, server: Server, name: str) -> None:
    server.execute("ALTER TABLE tasks ALTER title TYPE varchar(300)", database=name)


@pytest.mark.parametrize("happens", [forgotten, there_already, outdated])
async def test_a_prepared_statement_that_is_not_as_it_was_left(server: Server, happens: Any) -> None:
    """The request is answered all the same, and from the next one on the statement is prepared again."""
    user_id = new_user()
    with server.new_database() as name:
        async with database_for(server.database_url(name), pool_size=1, prepare="on") as database:
            await tasks_of(database, user_id).create(TaskCreate(title="kept"))
            session = OwnerSession(database, user_id)
            await session.run(TITLES)
            await happens(database, server, name)

            answers = [await session.run(TITLES) for _ in range(3)]

            assert answers == [[{"title": "kept"}]] * 3
            assert await prepared_on(database) >= 1


async def test_behind_an_unnamed_pooler_statements_are_soon_sent_in_full(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten prepared statements gone in a minute are one warning, and then nothing is prepared any more."""
    async with database_for(database_url, pool_size=1, prepare="on") as database:
        session = OwnerSession(database, new_user())
        await session.run(TITLES)
        for _ in range(30):
            await database._execute("DEALLOCATE ALL", {})  # noqa: SLF001 - as above
            assert await session.run(TITLES) == []

        assert await prepared_on(database) == 0
    assert [record.getMessage() for record in caplog.records if "pooler" in record.getMessage()] == [
        "database: a pooler hands connections on; statements are sent in full from now on"
    ]


@pytest.mark.parametrize("given", [False, True])
async def test_a_wait_that_is_cancelled_gives_its_turn_on(database_url: str, given: bool) -> None:
    """Whoever gives up while waiting for a connection, even just as it comes, takes none with them."""
    async with database_for(database_url, pool_size=1) as database:
        session, pool = OwnerSession(database, new_user()), database._pool  # noqa: SLF001 - the very moment is the test's
        await session.run(WHO)
        connection = await pool.acquire()
        waiting = asyncio.create_task(session.run(WHO))
        await until(lambda: pool.waiting)

        if given:
            pool.release(connection)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not given:
            pool.release(connection)

        assert await session.run(WHO)
        assert (pool.in_use, pool.waiting) == (0, 0)


class NoConnection:
    """What the pool asks of a connection; its answer never comes."""

    closed = False

    def close(self) -> None: ...

    async def wait_until_idle(self) -> None:
        await asyncio.get_running_loop().create_future()


def pool_of(size: int, size_per_owner: int | None = None, wait_timeout: float = 5.0) -> Pool:
    async def connect() -> Any:
        return NoConnection()

    return Pool(connect, size=size, size_per_owner=size_per_owner, wait_timeout=wait_timeout, abandoned_timeout=1.0)


async def started(*waits: Any) -> list[asyncio.Task[Any]]:
    """Tasks that have come as far as they can."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_a_user_leaves_connections_to_the_others() -> None:
    """However many requests one user has, another's gets a connection at once."""
    pool = pool_of(6, size_per_owner=2)
    mine = await started(*(pool.acquire("a") for _ in range(50)))

    other = await asyncio.wait_for(pool.acquire("b"), 1)

    assert sum(task.done() for task in mine) == 2
    assert (pool.in_use, pool.waiting) == (3, 48)
    pool.release(other, "b")
    for task in mine:
        pool.release(await task, "a")
    assert (pool.in_use, pool.waiting) == (0, 0)


async def test_users_take_turns_for_connections() -> None:
    """Who has many requests waiting does not come before who has one."""
    pool = pool_of(1)
    order: list[str] = []
    first = await pool.acquire("z")

    async def one(owner: str) -> None:
        connection = await pool.acquire(owner)
        order.append(owner)
        pool.release(connection, owner)

    tasks = await started(one("a"), one("a"), one("a"), one("b"), one("c"))
    pool.release(first, "z")
    await asyncio.gather(*tasks)

    assert order == ["a", "b", "c", "a", "a"]


async def test_a_users_writes_are_made_one_at_a_time_and_reads_go_on() -> None:
    """A second write would wait in PostgreSQL for the first one's row, and keep a connection."""
    pool = pool_of(6, size_per_owner=3)
    writing = await pool.acquire("a", writes=True)
    [second] = await started(pool.acquire("a", writes=True))
    reading = await asyncio.wait_for(pool.acquire("a"), 1)
    others = await asyncio.wait_for(pool.acquire("b", writes=True), 1)

    assert not second.done()
    pool.release(reading, "a")
    pool.release(others, "b", writes=True)
    assert not second.done()
    pool.release(writing, "a", writes=True)
    pool.release(await asyncio.wait_for(second, 1), "a", writes=True)
    assert pool.in_use == 0


@pytest.mark.parametrize("size", [1, 6])
async def test_a_write_that_was_given_up_is_not_in_the_way_of_the_next(size: int) -> None:
    """Its answer may be lost for good. It keeps its connection until then, so a user has no more of them for it."""
    pool = pool_of(size, size_per_owner=2)
    given_up = await pool.acquire("a", writes=True)
    waiting = await started(*(pool.acquire("a", writes=True) for _ in range(3)))

    pool.abandon(given_up, "a", writes=True)
    await asyncio.sleep(0)

    assert [task.done() for task in waiting] == [size > 1, False, False]
    assert pool.in_use == min(size, 2)
    await pool.close()
    for task in waiting:
        pool.release(await asyncio.wait_for(task, 1), "a", writes=True)
    assert (pool.in_use, pool.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("holder", "problem"), [("a", problems.TooManyRequestsOfUser), ("b", problems.DatabaseOverloaded)]
)
async def test_who_waits_in_vain_is_told_whose_fault_it_is(holder: str, problem: type[Exception]) -> None:
    """429 where the user's own requests are in the way, 503 where others' are."""
    pool = pool_of(2, size_per_owner=1, wait_timeout=0.01)
    held = [(await pool.acquire(owner), owner) for owner in (holder, "c")]

    with pytest.raises(problem):
        await pool.acquire("a")

    for connection, owner in held:
        pool.release(connection, owner)
    assert (pool.in_use, pool.waiting) == (0, 0)


@pytest.mark.parametrize("is_given", [False, True])
async def test_a_wait_that_is_cancelled_costs_no_place(is_given: bool) -> None:
    """Also where the place was given in the same moment, and the timer of the wait goes off besides."""
    pool = pool_of(1)
    held = await pool.acquire("a")
    [waiting] = await started(pool.acquire("b"))

    if is_given:
        share = pool._shares["b"]  # noqa: SLF001 - the timer cannot be told when to go off
        turn = share.waiting[0]
        pool.release(held, "a")
        pool._give_up(share, turn)  # noqa: SLF001 - as above
    waiting.cancel()
    await asyncio.wait([waiting])
    if not is_given:
        pool.release(held, "a")

    assert waiting.cancelled()
    assert (pool.in_use, pool.waiting) == (0, 0)


async def test_a_look_that_got_no_answer_takes_nothing_back(database_url: str) -> None:
    """Where no connection is free, what was known of the walls still holds; and one lost answer is not for ever."""
    async with wired(database_url, pool_size=1, pool_timeout=0.05) as (wire, database):
        await database.check()
        busy = asyncio.create_task(OwnerSession(database, new_user()).run(SLEEP, seconds=0.3))
        await asyncio.sleep(0)

        with pytest.raises(problems.DatabaseOverloaded):
            await database.check()
        await busy
        before = wire.queries
        await OwnerSession(database, new_user()).run(WHO)

    assert wire.queries == before + 1


async def test_a_look_whose_answer_is_lost_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness is 503 in bounded time, and good again with the next answer."""
    monkeypatch.setattr("backend.app.db.row_security.FAULTS", "SELECT pg_sleep(30), ''")
    async with database_for(database_url, pool_timeout=0.05, connect_timeout=0.3, statement_timeout=60) as database:
        database._look_timeout = 0.1  # noqa: SLF001 - shorter than the server's own
        with pytest.raises(problems.DatabaseUnavailable):
            await database.check()
        monkeypatch.undo()
        await database.check()


async def test_readiness_is_looked_at_once_a_second(database_url: str) -> None:
    """Strangers who ask again and again cost the database nothing."""
    async with wired(database_url) as (wire, database):
        await database.check()
        before = wire.queries
        await asyncio.gather(*(database.check_recently() for _ in range(100)))
        assert wire.queries == before

        database._looked_at -= 1  # noqa: SLF001 - the alternative is to wait
        await asyncio.gather(*(database.check_recently() for _ in range(100)))
        assert wire.queries == before + 1


def test_statements_of_other_parameter_types_are_prepared_under_other_names() -> None:
    """Two releases behind one pooler may differ in nothing else."""
    names = [
        Statement("same", "SELECT %(n)s", ("n",), {"n": kind}).execution.split()[1] for kind in ("INT", "BIGINT", "INT")
    ]

    assert names[0] == names[2] != names[1]
