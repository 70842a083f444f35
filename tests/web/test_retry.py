"""What is tried again: once after a lost connection, and only where nothing can be made twice; a few times after a
deadlock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg2
import pytest

from backend.app import problems
from backend.app.main import create_app
from backend.app.web.retry import PAUSES, retry
from tests.support import cluster
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tasks import KEY, create, path
from tests.support.wire import Wire, wire_to


@pytest.fixture
async def wired(database_url: str) -> AsyncIterator[tuple[Client, Wire]]:
    """A client of an application whose wire to the database can be cut, with a task."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = await stack.enter_async_context(running(create_app(settings_for(url, database_pool_size=2))))
        client = await stack.enter_async_context(client_for(app))
        await create(client)
        yield client, wire


REQUESTS: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("GET", "", {}, 1, 200),
    ("GET", "/1", {}, 1, 200),
    ("GET", "?sort=title", {}, 1, 200),
    # claim, write, keep, commit
    *(("POST", "", {"json": {"title": "new"}, "headers": KEY}, queries, 201) for queries in (1, 2, 3, 4)),
    *(("PATCH", "/1/complete", {"headers": KEY}, queries, 200) for queries in (1, 2, 3, 4)),
    *(("DELETE", "/1", {"headers": KEY}, queries, 204) for queries in (1, 2, 3, 4)),
    ("POST", "", {"json": {"title": "new"}}, 1, 503),
    ("PATCH", "/1/complete", {}, 1, 503),
    ("DELETE", "/1", {}, 1, 503),
]


@pytest.mark.parametrize(("method", "below", "options", "queries", "status"), REQUESTS, ids=range(len(REQUESTS)))
async def test_after_a_lost_answer(  # noqa: PLR0917 - a row of the table
    wired: tuple[Client, Wire], method: str, below: str, options: dict[str, Any], queries: int, status: int
) -> None:
    """Reads and keyed writes are answered all the same, at whatever query it was lost; a write without a key is 503;
    and nothing is made twice."""
    client, wire = wired
    wire.lose_after(queries, once=True)

    answer = await client.request(method, path(client) + below, **options)

    assert answer.status_code == status
    listed = (await client.get(path(client))).json()
    titles = [task["title"] for task in listed]
    assert titles.count("new") <= 1
    if status != 503:
        assert titles == {"POST": ["new", "Buy milk"], "DELETE": []}.get(method, ["Buy milk"])
        assert [task["completed"] for task in listed] == [method == "PATCH"] * len(listed)


async def test_a_connection_that_breaks_twice_is_503(wired: tuple[Client, Wire]) -> None:
    """One more try, and not another."""
    client, wire = wired
    wire.lose_after(1)

    answer = await client.get(path(client))

    assert answer.status_code == 503
    wire.mend()
    assert (await client.get(path(client))).status_code == 200


@pytest.mark.skipif(bool(cluster.URL), reason="the locks are on the node that has the rows, not on the coordinator")
async def test_a_deadlock_is_tried_again(client: Client, server: Server, database_url: str) -> None:
    """Two locks in another order than everybody takes them: the write is the victim, and is made all the same."""
    name = database_url.partition("@/")[2].partition("?")[0]
    await create(client)
    connection = psycopg2.connect(server.database_url(name))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '20s'")
        cursor.execute(f"SELECT FROM tasks WHERE user_id = '{client.user_id}' FOR UPDATE")
        write = asyncio.ensure_future(client.patch(path(client, 1), json={"title": "made"}))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(10):
            while server.execute(waiting, database=name) == [(0,)]:  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)
        lock = f"SELECT FROM task_lists WHERE user_id = '{client.user_id}' FOR UPDATE"
        await asyncio.to_thread(cursor.execute, lock)
        connection.rollback()

    answer = await write

    assert (answer.status_code, answer.json()["title"]) == (200, "made")
    assert (await client.get(path(client))).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("kind", "changes_nothing_twice", "tries"),
    [
        (problems.Retry.NEVER, True, 1),
        (problems.Retry.IF_IDEMPOTENT, False, 1),
        (problems.Retry.IF_IDEMPOTENT, True, 2),
        (problems.Retry.ALWAYS, False, len(PAUSES) + 1),
        (problems.Retry.ALWAYS, True, len(PAUSES) + 1),
    ],
)
async def test_tries_are_counted(kind: Any, changes_nothing_twice: bool, tries: int) -> None:
    """However often it fails."""
    made = 0

    async def make() -> None:
        nonlocal made
        made += 1
        away = problems.DatabaseUnavailable()
        away.retry = kind
        raise away

    with pytest.raises(problems.DatabaseUnavailable):
        await retry(make, idempotent=changes_nothing_twice)

    assert made == tries
