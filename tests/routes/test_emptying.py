"""The trash as its user empties it: gone for good, except for the fact, which synchronised copies have to hear of."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from backend.app.main import create_app
from backend.app.repositories import trash
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.lists import create_list, list_path, lists_of
from tests.support.postgres import Server
from tests.support.tasks import create, path
from tests.support.tokens import token

COUNTS = "SELECT trash_count, tombstone_count FROM task_lists"
REAL = "SELECT count(*) FILTER (WHERE NOT purged), count(*) FILTER (WHERE purged) FROM deleted_tasks"
MAX_TASKS = 4


def trash_path(client: Client, task_id: object = None) -> str:
    return f"/api/{client.user_id}/trash" + ("" if task_id is None else f"/{task_id}")


async def deleted(client: Client, **members: Any) -> int:
    task_id = int((await create(client, **members))["id"])
    assert (await client.delete(path(client, task_id))).status_code == 204
    return task_id


async def in_trash(client: Client) -> list[int]:
    return [task["id"] for task in (await client.get(f"{path(client)}?status=deleted")).json()]


async def told_as_deleted(client: Client, since: int = 1) -> Any:
    return (await client.get(f"/api/{client.user_id}/changes?since={since}")).json()["deleted"]


async def test_the_trash_is_emptied(client: Client) -> None:
    """All that is in it is gone and cannot be restored; living tasks stay, and the list keeps its revision."""
    kept = await create(client)
    first, second = [await deleted(client) for _ in range(2)]
    before = (await client.get(path(client))).headers["etag"]

    emptied = await client.delete(trash_path(client))
    again = await client.delete(trash_path(client))

    assert (emptied.status_code, emptied.json()) == (200, {"tasks": 2})
    assert (again.status_code, again.json()) == (200, {"tasks": 0})
    assert await in_trash(client) == []
    assert (await client.post(path(client, first, "/restore"))).status_code == 404
    assert (await client.get(path(client))).headers["etag"] == before
    assert [task["id"] for task in (await client.get(path(client))).json()] == [kept["id"]]
    assert await told_as_deleted(client, kept["revision"]) == [first, second]


async def test_deleted_lists_go_with_the_trash(client: Client) -> None:
    """They cannot be restored, and those that are there stay; copies hear that they are gone."""
    lists = f"/api/{client.user_id}/lists"
    first, second, third = [(await client.post(lists, json={"name": name})).json() for name in ("a", "b", "c")]
    for one in (first, second):
        await client.delete(f"{lists}/{one['id']}")

    await client.delete(trash_path(client))

    changes = (await client.get(f"/api/{client.user_id}/changes?since={third['revision']}")).json()
    assert (await client.get(f"{lists}?status=deleted")).json() == []
    assert (await client.post(f"{lists}/{first['id']}/restore")).status_code == 404
    assert [one["name"] for one in (await client.get(lists)).json()] == ["c"]
    assert sorted(changes["deleted_lists"]) == [first["id"], second["id"]]


async def by_creating(client: Client, _: Client) -> int:
    return (await client.post(list_path(client), json={"name": "new"})).status_code


async def by_importing(client: Client, other: Client) -> int:
    file = (await other.get(f"/api/{other.user_id}/export")).json()
    return (await client.post(f"/api/{client.user_id}/import", json=file)).status_code


async def by_claiming(client: Client, other: Client) -> int:
    body = {"token": token(other.user_id, isAnonymous=True)}
    return (await client.post(f"/api/{client.user_id}/claim", json=body)).status_code


@pytest.mark.parametrize("way", [by_creating, by_importing, by_claiming], ids=lambda way: way.__name__)
async def test_lists_are_made_after_all_were_removed(make_client: MakeClient, way: Any) -> None:
    """What is left of those that are gone has no place, behind which the next one would come."""
    client, other = make_client(), make_client()
    await create_list(other, "new")
    await client.delete(list_path(client, (await create_list(client))["id"]))
    await client.delete(trash_path(client))

    status = await way(client, other)

    assert status in (200, 201)
    assert [(one["name"], one["position"]) for one in await lists_of(client)] == [("new", "a0")]


async def test_the_trash_is_emptied_without_an_answer(client: Client) -> None:
    """As with the erasure: 204 where `Prefer` asks for it; who has never written anything has nothing in it."""
    nothing = await client.delete(trash_path(client))
    await deleted(client)
    quiet = await client.delete(trash_path(client), headers={"Prefer": "return=minimal"})

    assert nothing.json() == {"tasks": 0}
    assert (quiet.status_code, quiet.content, quiet.headers["preference-applied"]) == (204, b"", "return=minimal")
    assert await in_trash(client) == []


async def test_one_task_is_removed_for_good(client: Client) -> None:
    """With the subtasks that were deleted with it; what was deleted before stays in the trash."""
    parent = await create(client)
    before, along = [await create(client, parent_id=parent["id"]) for _ in range(2)]
    other = await deleted(client)
    await client.delete(path(client, before["id"]))
    await client.delete(path(client, parent["id"]))

    removed = await client.delete(trash_path(client, parent["id"]))

    assert (removed.status_code, removed.content) == (204, b"")
    assert sorted(await in_trash(client)) == [before["id"], other]
    for gone in (parent["id"], along["id"]):
        assert (await client.delete(trash_path(client, gone))).status_code == 404
        assert (await client.post(path(client, gone, "/restore"))).status_code == 404
    assert {parent["id"], along["id"]} <= set(await told_as_deleted(client, parent["revision"]))


async def test_a_condition_is_of_the_deleted_task(client: Client) -> None:
    """If-Match compares with the revision that the trash shows."""
    task_id = await deleted(client)
    [listed] = (await client.get(f"{path(client)}?status=deleted")).json()

    stale = await client.delete(trash_path(client, task_id), headers={"If-Match": '"1"'})
    right = await client.delete(trash_path(client, task_id), headers={"If-Match": f'"{listed["revision"]}"'})

    assert (stale.status_code, right.status_code) == (412, 204)


@pytest.mark.parametrize(
    ("task_id", "status"),
    [
        (99, 404), ("1", 404), (0, 422), (-1, 422), ("01", 422), ("x", 422), (2**63, 422), ("1%00", 422), ("1/2", 404),
        ("", 404), ("%F0%9F%A6%8A", 422), ("1?x=1", 422),
    ],
)  # fmt: skip
async def test_what_is_not_in_the_trash_is_refused(client: Client, task_id: object, status: int) -> None:
    """A living task is not in it; ids are plain decimals."""
    living = await create(client)

    answer = await client.delete(trash_path(client, task_id))

    assert answer.status_code == status, answer.text
    assert (await client.get(path(client, living["id"]))).status_code == 200


@pytest.mark.parametrize("query", ["?status=deleted", "?id=1", "?older_than=3d"])
async def test_the_trash_is_emptied_as_a_whole(client: Client, query: str) -> None:
    """A parameter that seems to choose some of it is refused."""
    task_id = await deleted(client)

    assert (await client.delete(trash_path(client) + query)).status_code == 422
    assert await in_trash(client) == [task_id]


async def test_a_keyed_removal_is_answered_again(client: Client) -> None:
    """Its answer got lost: the second one is the first."""
    task_id = await deleted(client)
    key = {"Idempotency-Key": "once"}

    answers = [await client.delete(trash_path(client, task_id), headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert answers[1].headers["idempotency-replayed"] == "true"


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    with server.new_database() as name:
        yield name


@pytest.fixture
async def bounded(server: Server, name: str) -> AsyncIterator[Client]:
    """A client whose users may have four tasks, and leave as many tombstones."""
    app = create_app(settings_for(server.api_url(name), max_tasks_per_user=MAX_TASKS))
    async with running(app), client_for(app) as client:
        yield client


@pytest.mark.parametrize("counted", [True, False])
async def test_what_is_left_of_removed_tasks_is_bounded(
    bounded: Client, server: Server, name: str, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    """As many tombstones stay as a user may have tasks, the newest; contents are gone, and the counts are right."""
    monkeypatch.setattr(trash, "TRIMMED_AT_ONCE", 2)
    monkeypatch.setattr("backend.app.repositories.emptying.TRIMMED_AT_ONCE", 2)
    for _ in range(2):
        for _ in range(3):
            await deleted(bounded, title="secret", description="secret", tags=["secret"])
        if not counted:
            server.execute("UPDATE task_lists SET trash_count = NULL, tombstone_count = NULL", database=name)
        await bounded.delete(trash_path(bounded))

    rows = server.execute("SELECT d::text FROM deleted_tasks d ORDER BY id", database=name)
    assert len(rows) == MAX_TASKS
    assert not any("secret" in row for [row] in rows)
    assert server.execute(COUNTS, database=name) == server.execute(REAL, database=name) == [(0, MAX_TASKS)]
    assert (await bounded.get(f"/api/{bounded.user_id}/changes?since=1")).status_code == 410
