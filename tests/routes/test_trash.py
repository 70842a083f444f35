"""Deleting moves to the trash, and can be undone."""

from typing import Any

import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tasks import PLAN, create, path, read_task

TRASH = "?status=deleted"


async def trash(client: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(path(client) + TRASH + query)).json()
    return found


async def test_a_deleted_task_is_in_the_trash_and_nowhere_else(client: Client) -> None:
    """404 on every route, absent from the list, and whole in the trash."""
    made = await create(client, **PLAN)
    url = path(client, made["id"])

    assert (await client.delete(url)).status_code == 204

    answers = [
        await client.get(url),
        await client.put(url, json={"title": "x"}),
        await client.patch(url, json={"title": "x"}),
        await client.patch(url, json={"recurrence": None}),
        await client.patch(url + "/complete"),
        await client.delete(url),
        await client.delete(url, headers={"If-Match": f'"{made["revision"] + 1}"'}),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert (await client.get(path(client))).json() == []
    [deleted] = await trash(client)
    assert deleted == {**made, "revision": made["revision"] + 1, "deleted_at": deleted["deleted_at"]}
    assert (await client.get(f"/api/{client.user_id}/tags")).json() == []


async def test_a_restored_task_is_as_it_was(client: Client) -> None:
    """But for its revision and when it was changed; the trash is empty again."""
    made = await create(client, **PLAN)
    await client.delete(path(client, made["id"]))

    restored = await client.post(path(client, made["id"], "/restore"))

    told = restored.json()
    assert told == {**made, "revision": made["revision"] + 2, "updated_at": told["updated_at"]}
    assert restored.headers["etag"] == f'"{made["revision"] + 2}"'
    assert await read_task(client, made["id"]) == told
    assert await trash(client) == []
    assert (await client.post(path(client, made["id"], "/restore"))).status_code == 404


async def test_a_task_may_go_and_come_back_many_times(client: Client) -> None:
    """Ids are not used again: a new task has the next one."""
    made = await create(client)
    for _ in range(3):
        assert (await client.delete(path(client, made["id"]))).status_code == 204
        assert (await client.post(path(client, made["id"], "/restore"))).status_code == 200

    assert (await create(client))["id"] == made["id"] + 1


async def test_parts_go_and_come_back_with_their_parent(client: Client) -> None:
    """Those that were deleted with it: one that was deleted before stays where it is."""
    parent = await create(client)
    parts = [await create(client, parent_id=parent["id"]) for _ in range(3)]
    await client.delete(path(client, parts[0]["id"]))

    deleted = await client.delete(path(client, parent["id"]))
    gone = sorted(task["id"] for task in await trash(client))
    restored = await client.post(path(client, parent["id"], "/restore"))

    assert (deleted.status_code, restored.status_code) == (204, 200)
    assert gone == [1, 2, 3, 4]
    assert [task["id"] for task in await trash(client)] == [parts[0]["id"]]
    back = [await read_task(client, part["id"]) for part in parts[1:]]
    assert [task["parent_id"] for task in back] == [parent["id"]] * 2
    revisions = {task["revision"] for task in (restored.json(), *back)}
    assert len(revisions) == 3


async def test_a_part_whose_parent_is_none_any_more_comes_back_alone(client: Client) -> None:
    """Where the parent is deleted, or has become a part itself; where it is there, the part is its part again."""
    parent, other = await create(client), await create(client)
    first, second, third = [await create(client, parent_id=parent["id"]) for _ in range(3)]
    for part in (first, second, third):
        await client.delete(path(client, part["id"]))

    with_parent = (await client.post(path(client, first["id"], "/restore"))).json()
    await client.delete(path(client, first["id"]))
    await client.patch(path(client, parent["id"]), json={"parent_id": other["id"]})
    parent_is_a_part = (await client.post(path(client, second["id"], "/restore"))).json()
    await client.delete(path(client, parent["id"]))
    parent_is_gone = (await client.post(path(client, third["id"], "/restore"))).json()

    assert with_parent["parent_id"] == parent["id"]
    assert (parent_is_a_part["parent_id"], parent_is_gone["parent_id"]) == (None, None)


async def test_a_restore_is_conditional(client: Client) -> None:
    """If-Match names the revision that the trash shows."""
    made = await create(client)
    await client.delete(path(client, made["id"]))
    url = path(client, made["id"], "/restore")

    stale = await client.post(url, headers={"If-Match": f'"{made["revision"]}"'})
    right = await client.post(url, headers={"If-Match": f'"{made["revision"] + 1}"'})

    assert (stale.status_code, right.status_code) == (412, 200)


async def test_a_restore_keeps_the_cap(database_url: str) -> None:
    """With the parts that come along; the trash itself does not count."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as client:
        parent = await create(client)
        await create(client, parent_id=parent["id"])
        await client.delete(path(client, parent["id"]))
        for _ in range(2):
            await create(client)

        refused = await client.post(path(client, parent["id"], "/restore"))
        await client.delete(path(client, 3))
        made = await client.post(path(client, parent["id"], "/restore"))
        full = await client.post(path(client), json={"title": "t"})

    assert (refused.status_code, made.status_code, full.status_code) == (422, 200, 422)
    assert refused.json()["type"] == full.json()["type"] == "urn:tasks:problem:task-limit-reached"


async def test_the_trash_is_found_like_the_list(client: Client) -> None:
    """Filters, pages and its two orders; it has no tag, for a purge changes it without a revision."""
    for n in range(5):
        await create(client, title=f"task {n}", tags=["even"] if n % 2 == 0 else [])
    for number in (3, 1, 5, 2):
        await client.delete(path(client, number))

    newest = await client.get(path(client) + TRASH + "&limit=3", headers={"Prefer": "count=exact"})
    following = await client.get(newest.links["next"]["url"])

    assert [task["id"] for task in newest.json() + following.json()] == [5, 3, 2, 1]
    assert (newest.headers["x-total-count"], "etag" in newest.headers) == ("4", False)
    assert [task["id"] for task in await trash(client, "&sort=updated")] == [2, 5, 1, 3]
    assert [task["id"] for task in await trash(client, "&sort=-updated&tag=EVEN")] == [3, 1, 5]
    assert [task["id"] for task in await trash(client, "&q=TASK 1")] == [2]


@pytest.mark.parametrize("sort", ["title", "-title", "due_date", "priority", "-priority"])
async def test_the_trash_has_two_orders(client: Client, sort: str) -> None:
    """The others have no index there: 422 instead of a long sort."""
    answer = await client.get(path(client) + TRASH + f"&sort={sort}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?")


async def test_nobody_restores_anothers_task(make_client: Any) -> None:
    """Ids count per user: on one's own path there is no such task."""
    alice, bob = make_client(), make_client()
    made = await create(alice)
    await alice.delete(path(alice, made["id"]))

    foreign = await bob.post(path(alice, made["id"], "/restore"))
    own = await bob.post(path(bob, made["id"], "/restore"))

    assert (foreign.status_code, own.status_code) == (403, 404)
    assert len(await trash(alice)) == 1
    assert await trash(bob) == []
