"""Behind a real PgBouncer in transaction mode: many clients, few connections, and nothing of one is left for another.

What asks the database through the API is run this way as a whole: see test_both_ways.py.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from backend.app.config import PROJECT_ROOT, DatabaseSettings
from backend.app.db.dsn import parsed
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from backend.app.main import create_app
from tests.support.applications import Client, client_for, database_for, running, settings_for
from tests.support.postgres import Server
from tests.support.servers import Pooler, pgbouncer
from tests.support.tokens import new_user

CLIENTS, SERVER_CONNECTIONS = 100, 5
WHO = Statement("who", f"SELECT current_user, current_setting('app.user_id'), %({OWNER})s", ("role", "seen", "owner"))


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[Pooler]:
    with pgbouncer(server.url, server_connections=SERVER_CONNECTIONS) as pooler:
        yield pooler


@pytest.fixture
def name(server: Server, pooler: Pooler) -> Iterator[str]:
    """A database of the test's own: PgBouncer has connections for each."""
    with server.new_database() as name:
        yield name


@pytest.fixture
def url(server: Server, pooler: Pooler, name: str) -> str:
    return pooler.url(server.database_url(name, "tasks_login"))


SetSettings = Callable[..., None]


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> SetSettings:
    """Sets these in the environment, in which none of ours are beside them, nor in a .env."""
    monkeypatch.setitem(DatabaseSettings.model_config, "env_file", None)
    for name in DatabaseSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def set_these(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return set_these


async def pool_of(pooler: Pooler, name: str) -> dict[str, Any]:
    """What PgBouncer tells of its connections for the API in this database."""
    pools = await asyncio.to_thread(pooler.admin, "SHOW POOLS")
    return next(pool for pool in pools if (pool["database"], pool["user"]) == (name, "tasks_login"))


async def somebody_waits(pooler: Pooler, name: str) -> None:
    async with asyncio.timeout(5):
        while not (await pool_of(pooler, name))["cl_waiting"]:  # noqa: ASYNC110 - PgBouncer tells who asks
            await asyncio.sleep(0.01)


async def at_work(client: Client) -> list[str]:
    """What a user does, in single statements and in transactions; the titles they have in the end."""
    tasks = f"/api/{client.user_id}/tasks"
    operations = [{"op": "create", "task": {"title": f"{client.user_id} {number}"}} for number in range(2)]
    answers = [
        await client.post(tasks, json={"title": f"{client.user_id} 2"}, headers={"Idempotency-Key": "once"}),
        await client.post(f"/api/{client.user_id}/batch", json={"operations": operations}),
        await client.patch(f"{tasks}/1/complete"),
        await client.get(tasks),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200], [answer.text for answer in answers]
    return sorted(task["title"] for task in answers[-1].json())


async def all_at_work(url: str) -> None:
    """As many users at the same time as there are clients, over as many connections; each has what is theirs."""
    settings = settings_for(url, database_pool_size=CLIENTS, database_pool_timeout=30, request_timeout=60)
    async with running(create_app(settings)) as app, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_for(app)) for _ in range(CLIENTS)]
        titles = await asyncio.gather(*map(at_work, clients))
        assert len(app.state.services.database._pool._idle) > CLIENTS // 2  # noqa: SLF001 - so many were needed at once

    assert titles == [[f"{client.user_id} {number}" for number in range(3)] for client in clients]


async def test_a_hundred_clients_share_five_connections(server: Server, pooler: Pooler, url: str, name: str) -> None:
    """Everybody is answered, with their own, and the server never has more than its few connections."""
    await all_at_work(url)

    pool = await pool_of(pooler, name)
    [[backends]] = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    assert sum(pool[state] for state in ("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")) == backends
    assert backends == SERVER_CONNECTIONS


async def test_each_sees_their_own_name_however_connections_are_handed_on(server: Server, url: str) -> None:
    """Wall 4's settings belong to a transaction: with a hundred users in turns on five connections each is the one."""
    async with database_for(url, pool_size=CLIENTS) as database:
        users = [new_user() for _ in range(CLIENTS)] * 5
        seen = await asyncio.gather(*(OwnerSession(database, user).run(WHO) for user in users))

    assert seen == [[{"role": server.role(), "seen": user, "owner": user}] for user in users]


async def test_nothing_is_left_on_the_connections(server: Server, url: str, name: str) -> None:
    """Whoever has a connection next finds no role, no user, no time limit, no prepared statement and no lock on it."""
    await all_at_work(url)

    with contextlib.ExitStack() as stack:
        left = []
        for _ in range(SERVER_CONNECTIONS):
            connection = stack.enter_context(contextlib.closing(psycopg2.connect(url)))
            cursor = connection.cursor()  # begins a transaction, which keeps the server's connection to it
            cursor.execute(
                "SELECT pg_backend_pid(), current_user, coalesce(current_setting('app.user_id', true), ''), "
                "current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'), "
                "(SELECT count(*) FROM pg_prepared_statements), "
                "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            )
            left += cursor.fetchall()

    assert len({pid for pid, *_ in left}) == SERVER_CONNECTIONS
    assert {tuple(rest) for _, *rest in left} == {("tasks_login", "", "0", "0", 0, 0)}


async def test_a_pooler_that_the_url_does_not_name_is_found_out(
    server: Server, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Statements that were prepared on connections of others cost nobody an answer, and soon none is prepared."""
    with pgbouncer(server.url, server_connections=SERVER_CONNECTIONS, name="between") as between:
        url = between.url(server.database_url(name, "tasks_login"))
        assert "bouncer" not in url

        await all_at_work(url)

    assert "a pooler hands connections on" in capsys.readouterr().out


async def test_a_request_waits_for_a_database_that_wakes_up(pooler: Pooler, url: str, name: str) -> None:
    """As Neon does after a pause: what is asked meanwhile is answered as soon as the database is there."""
    async with running(create_app(settings_for(url))) as app, client_for(app) as client:
        tasks = f"/api/{client.user_id}/tasks"
        await asyncio.to_thread(pooler.admin, f"PAUSE {name}")
        asked = [asyncio.create_task(client.get(tasks)), asyncio.create_task(client.post(tasks, json={"title": "x"}))]
        await somebody_waits(pooler, name)
        alive = await client.get("/health")
        answered = [task.done() for task in asked]
        await asyncio.to_thread(pooler.admin, f"RESUME {name}")
        answers = await asyncio.gather(*asked)

    assert alive.status_code == 200
    assert answered == [False, False]
    assert [answer.status_code for answer in answers] == [200, 201]


async def test_a_database_that_does_not_wake_up_in_time_is_a_503(pooler: Pooler, url: str, name: str) -> None:
    """Nobody hangs longer than a request may take; and then all is as before."""
    settings = settings_for(url, database_pool_size=2, request_timeout=0.3, database_statement_timeout=0.2)
    async with running(create_app(settings)) as app, client_for(app) as client:
        tasks = f"/api/{client.user_id}/tasks"
        await asyncio.to_thread(pooler.admin, f"PAUSE {name}")
        async with asyncio.timeout(5):
            asleep = await asyncio.gather(*(client.get(tasks) for _ in range(4)))
        await asyncio.to_thread(pooler.admin, f"RESUME {name}")
        async with asyncio.timeout(5):
            while (awake := await client.get(tasks)).status_code == 503:  # noqa: ASYNC110 - the answer tells
                await asyncio.sleep(0.01)

    assert {answer.status_code for answer in asleep} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in asleep)
    assert awake.status_code == 200


async def test_connections_that_the_pooler_closes_are_replaced(pooler: Pooler, url: str, name: str) -> None:
    """Idle ones that are gone cost no request its answer."""
    async with database_for(url, pool_size=1) as database:
        session = OwnerSession(database, new_user())
        await session.run(WHO)
        await asyncio.to_thread(pooler.admin, f"KILL {name}")
        await asyncio.to_thread(pooler.admin, f"RESUME {name}")
        async with asyncio.timeout(5):
            while not database._pool._idle[0].closed:  # noqa: ASYNC110, SLF001 - what its reader has noticed
                await asyncio.sleep(0)

        assert await session.run(WHO)


def test_a_migration_takes_the_direct_way(server: Server, pooler: Pooler, settings_of: SetSettings) -> None:
    """Through a pooler it is refused with a sentence, and nothing is done; with DATABASE_DIRECT_URL it is made."""
    with server.new_database(migrated=False) as name:
        direct = server.database_url(name)
        there = "SELECT to_regclass('tasks') IS NOT NULL"
        as_set = Config(toml_file=PROJECT_ROOT / "pyproject.toml")

        settings_of(DATABASE_URL=pooler.url(direct))
        with pytest.raises(CommandError, match="DATABASE_URL leads through a pooler"):
            command.upgrade(as_set, "head")
        before = server.execute(there, database=name)
        settings_of(DATABASE_DIRECT_URL=direct)
        command.upgrade(as_set, "head")
        after = server.execute(there, database=name)

    assert (before, after) == ([(False,)], [(True,)])


def test_a_migration_by_neons_pooler_is_told_the_way(settings_of: SetSettings) -> None:
    """Before anything is sent there."""
    settings_of(DATABASE_URL="postgres://u:pa55word@ep-x-pooler.eu.aws.neon.tech/d?sslmode=require")

    with pytest.raises(CommandError, match="without `-pooler` in the host") as refusal:
        command.upgrade(Config(toml_file=PROJECT_ROOT / "pyproject.toml"), "head")

    assert "pa55word" not in str(refusal.value)


def test_settings_that_are_refused_are_a_sentence(settings_of: SetSettings) -> None:
    """Alembic prints it without a traceback."""
    settings_of(DATABASE_URL="mysql://u:pa55word@host/d")

    with pytest.raises(CommandError, match="DATABASE_URL must start with postgresql://") as refusal:
        command.upgrade(Config(toml_file=PROJECT_ROOT / "pyproject.toml"), "head")

    assert "pa55word" not in str(refusal.value)


def test_a_url_that_a_migration_cannot_read_is_named(settings_of: SetSettings) -> None:
    """By the setting that has it, before the driver quotes it."""
    settings_of(DATABASE_URL="postgresql://u:p@h/d", DATABASE_DIRECT_URL="postgresql://u:pa55word@h/d?schema=public")

    with pytest.raises(CommandError, match="DATABASE_DIRECT_URL: the parameter `schema`") as refusal:
        command.upgrade(Config(toml_file=PROJECT_ROOT / "pyproject.toml"), "head")

    assert "pa55word" not in str(refusal.value)


def test_a_migration_tries_every_host(server: Server, settings_of: SetSettings) -> None:
    """As the program does: libpq reads the URL of both, and goes on where nobody listens."""
    with server.new_database(migrated=False) as name:
        at = parsed(server.database_url(name))
        place = f"{quote(at['host'], safe='')}:{at.get('port', '5432')}/{quote(name)}"
        settings_of(DATABASE_URL=f"postgresql://{at['user']}:{at.get('password', '')}@127.0.0.1:1,{place}")
        command.upgrade(Config(toml_file=PROJECT_ROOT / "pyproject.toml"), "head")

        assert server.execute("SELECT to_regclass('tasks') IS NOT NULL", database=name) == [(True,)]
