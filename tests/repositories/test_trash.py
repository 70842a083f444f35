"""What a user leaves behind is bounded: the trash, the tombstones, and numbers that never come twice."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from backend.app.main import create_app
from backend.app.models import Content, DeletedTask, purged_contents
from backend.app.repositories import trash
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server

MAX_TASKS = 4


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    with server.new_database() as name:
        yield name


@pytest.fixture
async def client(server: Server, name: str) -> AsyncIterator[Client]:
    app = create_app(settings_for(server.api_url(name), max_tasks_per_user=MAX_TASKS))
    async with running(app), client_for(app) as client:
        yield client


def path(client: Client, rest: str = "") -> str:
    return f"/api/{client.user_id}/tasks{rest}"


async def create(client: Client, **members: Any) -> int:
    made = await client.post(path(client), json={"title": "secret", "tags": ["secret"], **members})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


async def delete(client: Client, *ids: int) -> None:
    for task_id in ids:
        assert (await client.delete(path(client, f"/{task_id}"))).status_code == 204


async def in_trash(client: Client) -> list[int]:
    return sorted(task["id"] for task in (await client.get(path(client, "?status=deleted"))).json())


COUNTS = "SELECT trash_count, tombstone_count FROM task_lists"
REAL = "SELECT count(*) FILTER (WHERE NOT purged), count(*) FILTER (WHERE purged) FROM deleted_tasks"


async def test_the_oldest_of_the_trash_goes(client: Client, server: Server, name: str) -> None:
    """As many stay as may live; what goes is emptied and cannot be restored, and /changes still tells of it."""
    ids = []
    for _ in range(MAX_TASKS + 2):
        ids.append(await create(client))
        await delete(client, ids[-1])
    [[first]] = server.execute("SELECT d::text FROM deleted_tasks d WHERE id = 1", database=name)

    assert await in_trash(client) == ids[2:]
    assert "secret" not in first
    assert (await client.post(path(client, "/1/restore"))).status_code == 404
    assert (await client.post(path(client, f"/{ids[-1]}/restore"))).status_code == 200
    assert server.execute(COUNTS, database=name) == server.execute(REAL, database=name) == [(MAX_TASKS - 1, 2)]


async def test_a_parent_takes_more_than_one_place(client: Client, server: Server, name: str) -> None:
    """Subtasks count, deleted and restored with their parent."""
    await delete(client, await create(client), await create(client))
    parent = await create(client)
    for _ in range(MAX_TASKS - 1):
        await create(client, parent_id=parent)
    await delete(client, parent)

    assert len(await in_trash(client)) == MAX_TASKS
    assert (await client.post(path(client, f"/{parent}/restore"))).status_code == 200
    assert server.execute(COUNTS, database=name) == server.execute(REAL, database=name) == [(0, 2)]


async def test_traces_of_purged_tasks_are_bounded_too(client: Client, server: Server, name: str) -> None:
    """Whoever has not heard of what is forgotten starts again; whoever is in sync goes on."""
    await create(client, title="stays")
    begun = (await client.get(f"/api/{client.user_id}/changes?since=0")).json()["revision"]
    for _ in range(3 * MAX_TASKS):
        await delete(client, await create(client))
    behind = await client.get(f"/api/{client.user_id}/changes?since={begun}")
    known = (await client.get(f"/api/{client.user_id}/changes?since=0")).json()["revision"]
    at_once = await client.get(f"/api/{client.user_id}/changes?since={known}")

    assert server.execute(REAL, database=name) == server.execute(COUNTS, database=name) == [(MAX_TASKS, MAX_TASKS)]
    assert (behind.status_code, at_once.status_code) == (410, 200)


async def test_a_trash_that_nobody_has_counted_is_counted(client: Client, server: Server, name: str) -> None:
    """As it is in lists of releases before, and after an import; a lowered limit is reached step by step."""
    await delete(client, await create(client))
    server.execute(
        f"INSERT INTO deleted_tasks (user_id, id, title, revision, deleted_at) "
        f"SELECT '{client.user_id}', n, 't', n, now() "
        f"FROM generate_series(100, {100 + trash.TRIMMED_AT_ONCE + 10}) n; "
        "UPDATE task_lists SET trash_count = NULL, tombstone_count = NULL",
        database=name,
    )
    await delete(client, await create(client))
    halfway = server.execute(REAL, database=name)
    await delete(client, await create(client))

    assert halfway == [(1013 - trash.TRIMMED_AT_ONCE, MAX_TASKS)]
    assert len(await in_trash(client)) == MAX_TASKS
    assert server.execute(COUNTS, database=name) == server.execute(REAL, database=name)


def test_every_content_is_purged_without_being_listed() -> None:
    """A personal column of tomorrow does not survive a purge; what stays is said in one place."""
    assert set(purged_contents()) == set(Content.model_fields) - {
        "user_id",
        "id",
        "revision",
        "created_at",
        "updated_at",
    }
    assert set(purged_contents()) <= set(DeletedTask.model_fields)


async def test_someone_who_is_erased_and_comes_back_starts_above_every_number(
    client: Client, server: Server, name: str
) -> None:
    """Also right after writes that gave many numbers at once: nothing of the old list names anything of the new."""
    tasks = [
        {"id": n, "title": "first life", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
        for n in range(1, MAX_TASKS + 1)
    ]
    archive = {"format": "tasks-backend", "version": 1, "tasks": tasks}
    for round_ in range(3):
        for task in tasks:
            task["title"] = f"first life {round_}"
        assert (await client.post(f"/api/{client.user_id}/import?ids=keep", json=archive)).status_code == 200
    old = int((await client.get(path(client))).headers["etag"].strip('"'))

    assert (await client.delete(f"/api/{client.user_id}")).status_code == 200
    task_id = await create(client)
    new = int((await client.get(path(client))).headers["etag"].strip('"'))

    assert new > old
    assert new < 2**53
    changes = await client.get(f"/api/{client.user_id}/changes?since={old}")
    stale = await client.patch(path(client, f"/{task_id}"), json={"title": "x"}, headers={"If-Match": f'"{old}"'})
    again = await client.get(path(client), headers={"If-None-Match": f'"{old}"'})
    assert (changes.status_code, stale.status_code, again.status_code) == (410, 412, 200)
    [[left]] = server.execute("SELECT count(*) FROM task_lists", database=name)
    assert left == 1  # of the second life: the first has left nothing
