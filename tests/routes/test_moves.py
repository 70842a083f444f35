"""The order that a user gives to tasks and lists."""

import random
from typing import Any

import httpx
import pytest

from backend.app.domain import positions
from backend.app.domain.positions import NEIGHBOURS_MAX, POSITION_CHARACTERS
from tests.support.applications import Client
from tests.support.lists import create_list, list_path, lists_of
from tests.support.postgres import Server
from tests.support.tasks import create, exported_task, path, read_task


async def move(client: Client, task_id: int, **body: Any) -> httpx.Response:
    return await client.patch(path(client, task_id, "/move"), json=body)


async def order(client: Client, query: str = "") -> list[int]:
    """The ids in the user's order, page by page."""
    found: list[int] = []
    following: str | None = f"?sort=position&limit=7{query}"
    while following:
        answer = await client.get(path(client) + following)
        found += [task["id"] for task in answer.json()]
        following = "?" + answer.links["next"]["url"].partition("?")[2] if answer.links else None
    return found


async def import_tasks(client: Client, tasks: list[dict[str, Any]], query: str = "?ids=keep") -> httpx.Response:
    file = {"format": "tasks-backend", "version": 2, "lists": [], "tasks": tasks}
    return await client.post(f"/api/{client.user_id}/import{query}", json=file)


async def positions_of(client: Client) -> dict[int, str]:
    tasks = (await client.get(path(client) + "?limit=500")).json()
    return {task["id"]: task["position"] for task in tasks}


async def test_tasks_are_in_the_order_that_they_are_moved_to(client: Client) -> None:
    """Newest first until then; also backwards, and by the positions themselves."""
    for _ in range(5):
        await create(client)
    first = await order(client)
    moved = [await move(client, 1, after=4), await move(client, 5, after=2), await move(client, 3, after=None)]
    newest = await create(client)

    assert first == [5, 4, 3, 2, 1]
    assert [answer.status_code for answer in moved] == [200, 200, 200]
    assert moved[0].headers["etag"] == f'"{moved[0].json()["revision"]}"'
    assert await order(client) == [3, newest["id"], 4, 1, 2, 5]
    assert [t["id"] for t in (await client.get(path(client) + "?sort=-position")).json()] == [5, 2, 1, 4, 6, 3]
    assert sorted(await positions_of(client), key=(await positions_of(client)).__getitem__) == [3, 6, 4, 1, 2, 5]


async def test_1000_tasks_are_moved_at_random(client: Client) -> None:
    """The order is the model's, and each move writes one task and takes one revision."""
    await import_tasks(client, [exported_task(number) for number in range(1, 1001)])
    chance = random.Random(2)  # noqa: S311 - the same moves in every run
    model = list(range(1000, 0, -1))
    revision = int((await client.get(path(client))).headers["etag"].strip('"'))
    longest = ""

    for number in range(1000):
        task_id = model.pop(chance.randrange(1000))
        place = chance.randrange(1000)
        model.insert(place, task_id)
        answer = await move(client, task_id, after=model[place - 1] if place else None)
        assert answer.status_code == 200
        longest = max(longest, answer.json()["position"], key=len)
        if number % 100 == 0:
            changes = (await client.get(f"/api/{client.user_id}/changes?since={answer.json()['revision'] - 1}")).json()
            assert [task["id"] for task in changes["tasks"]] == [task_id]
    written = int((await client.get(path(client))).headers["etag"].strip('"')) - revision

    assert written <= 1000  # a task that is where it shall be is not written
    assert await order(client) == model
    assert len(longest) < POSITION_CHARACTERS // 4, longest


async def test_a_move_that_is_repeated_changes_nothing(client: Client) -> None:
    """An answer that got lost does no harm, nor does a task that stands there already."""
    for _ in range(3):
        await create(client)

    first, again = await move(client, 1, after=3), await move(client, 1, after=3)
    top, again_top = await move(client, 2, after=None), await move(client, 2, after=None)

    assert first.json() == again.json()
    assert top.json() == again_top.json()


async def test_a_task_is_moved_into_another_list(client: Client) -> None:
    """After one that is there, or to its front, and its subtasks with it."""
    await create_list(client)
    for list_id in (1, 1, None):
        await create(client, list_id=list_id)
    await create(client, parent_id=3)

    moved = await move(client, 3, after=1, list_id=1)
    within = await order(client, "&list_id=1&parent_id=none")
    back = await move(client, 1, after=None, list_id=None)

    assert (moved.json()["list_id"], (await read_task(client, 4))["list_id"]) == (1, 1)
    assert within == [2, 1, 3]
    assert back.json()["list_id"] is None
    assert await order(client, "&list_id=none") == [1]


async def test_subtasks_have_an_order_of_their_own(client: Client) -> None:
    """Among those of the same parent."""
    await create(client)
    for _ in range(3):
        await create(client, parent_id=1)

    await move(client, 4, after=2)

    assert await order(client, "&parent_id=1") == [3, 2, 4]


UNFIT: list[tuple[int, dict[str, Any], str]] = [
    (1, {}, "#/after"),
    (1, {"after": 0}, "#/after"),
    (1, {"after": "2"}, "#/after"),
    (1, {"after": 2.0}, "#/after"),
    (1, {"after": True}, "#/after"),
    (1, {"after": 2**63}, "#/after"),
    (1, {"after": 1}, "#/after"),
    (1, {"after": 99}, "#/after"),
    (1, {"after": 3}, "#/after"),
    (1, {"after": 4}, "#/after"),
    (1, {"after": 5}, "#/after"),
    (3, {"after": 1}, "#/after"),
    (4, {"after": 1}, "#/after"),
    (1, {"after": 2, "list_id": 1}, "#/after"),
    (1, {"after": None, "list_id": 9}, "#/list_id"),
    (1, {"after": None, "list_id": 0}, "#/list_id"),
    (3, {"after": None, "list_id": 1}, "#/list_id"),
    (1, {"after": None, "position": "a0"}, "#/position"),
    (1, {"after": None, "before": 1}, "#/before"),
]


@pytest.mark.parametrize(("task_id", "body", "pointer"), UNFIT)
async def test_a_move_to_nowhere_is_refused(client: Client, task_id: int, body: dict[str, Any], pointer: str) -> None:
    """After itself, a task of another list or parent, one in the trash, or none: 422, and nothing is written."""
    await create_list(client)
    for parent_id, list_id in ((None, None), (None, None), (1, None), (None, 1), (None, None)):
        await create(client, parent_id=parent_id, list_id=list_id)
    await client.delete(path(client, 5))
    before = (await client.get(path(client))).json()

    answer = await move(client, task_id, **body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.get(path(client))).json() == before


async def test_a_move_needs_its_task_and_its_condition(client: Client) -> None:
    """404 for one that is not there, 412 for one that has changed."""
    await create(client)

    missing = await move(client, 9, after=None)
    headers = {"If-Match": '"1"'}
    changed = await client.patch(path(client, 1, "/move"), json={"after": None}, headers=headers)

    assert (missing.status_code, changed.status_code) == (404, 412)


async def test_moves_are_operations_of_a_batch(client: Client) -> None:
    """Also of tasks that it creates; the first that is refused undoes all."""
    await create_list(client)
    for _ in range(2):
        await create(client)
    operations = [
        {"op": "create", "ref": "new", "task": {"title": "x"}},
        {"op": "move", "ref": "new", "after": 1},
        {"op": "move", "id": 2, "after": None, "list_id": 1},
    ]

    made = await client.post(f"/api/{client.user_id}/batch", json={"operations": operations})
    refused = await client.post(
        f"/api/{client.user_id}/batch", json={"operations": [*operations, {"op": "move", "id": 1, "after": 2}]}
    )

    assert [result["status"] for result in made.json()["results"]] == [201, 200, 200]
    assert await order(client) == [2, 1, 3]
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/operations/3/after")
    assert refused.json()["operation"] == 3


async def test_positions_are_kept_by_the_trash_and_by_files(client: Client) -> None:
    """A place in the trash is not given to another one; an export brings all back in its order."""
    for _ in range(4):
        await create(client)
    taken = (await move(client, 1, after=3)).json()["position"]
    await client.delete(path(client, 1))
    other = (await move(client, 2, after=3)).json()["position"]
    await client.post(path(client, 1, "/restore"))
    before = await order(client)
    file = (await client.get(f"/api/{client.user_id}/export")).json()

    await client.delete(f"/api/{client.user_id}")
    await client.post(f"/api/{client.user_id}/import", json=file)

    assert other != taken
    assert before == [4, 3, 2, 1]
    assert await order(client) == before
    assert (await client.post(f"/api/{client.user_id}/import", json=file)).json()["unchanged"] == 4


async def test_the_order_of_another_users_file_stays(client: Client) -> None:
    """Under new ids, in front of what the caller has in front; with unmoved ones and such behind all."""
    await create(client)
    await move(client, 1, after=None)
    behind_50 = positions.unmoved(45)  # which there is not: what comes after it stands between 50 and 40
    places = {10: "NV0", 20: "NV0V", 30: f"{behind_50}V", 40: "", 50: "", 60: "a0", 70: f"{behind_50}X"}

    await import_tasks(client, [exported_task(number, position=place) for number, place in places.items()], "?ids=new")

    # In the file: 10, 20, 50, 30, 70, 40, 60.
    assert await order(client) == [2, 3, 1, 6, 4, 8, 5, 7]


async def test_a_file_without_an_unmoved_task_keeps_its_order(client: Client) -> None:
    """All of them are in front then."""
    tasks = [exported_task(1, position="a0"), exported_task(2, position="NV0"), exported_task(3, position="ZzV")]

    await import_tasks(client, tasks, "?ids=new")

    assert await order(client) == [2, 3, 1]


HOSTILE = ["Zz", "NV0V0", "A" + "0" * 15, "z" + "0" * 26, "a0" + "V" * 100, "a0\0", "é0", "0", "a", "a0~", "NV", " a0"]


@pytest.mark.parametrize("position", HOSTILE)
async def test_a_hostile_position_is_refused(client: Client, position: str) -> None:
    """Whatever no move makes: 422, and nothing is written."""
    answer = await import_tasks(client, [exported_task(7, position=position)])

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("#/tasks/0")
    assert await order(client) == []


async def test_no_two_tasks_get_one_position_from_a_file(client: Client) -> None:
    """Neither two of the file nor one of the file and another one; and the same file twice changes nothing."""
    await create(client)
    own = (await move(client, 1, after=None)).json()["position"]
    tasks = [exported_task(number, position=place) for number, place in ((2, own), (3, "a0"), (4, "a0"), (5, "a1"))]

    await import_tasks(client, tasks)
    known = await positions_of(client)
    again = await import_tasks(client, tasks)

    assert len(set(known.values())) == 5
    assert (known[3], known[5]) == ("a0", "a1")
    assert again.json()["unchanged"] == 4


async def dense(client: Client, server: Server, url: str, count: int, *, digits: int) -> None:
    """So many tasks whose positions are as near to each other as they can be, after task 1."""
    await import_tasks(client, [exported_task(number) for number in range(1, count + 1)])
    name = url.partition("@/")[2].partition("?")[0]
    for number in range(2, count + 1):
        place = positions.unmoved(1) + "0" * digits + positions.unmoved(10**9 - number)[1:].rstrip("0") + "1"
        server.execute(
            f"UPDATE tasks SET position = '{place}' WHERE user_id = '{client.user_id}' AND id = {number}", database=name
        )


async def test_a_long_position_makes_room_for_200_neighbours(client: Client, server: Server, database_url: str) -> None:
    """They get shorter ones in the same order, with a revision each; nothing else is written."""
    await dense(client, server, database_url, 300, digits=POSITION_CHARACTERS)
    before = await order(client)
    known = await positions_of(client)

    answer = await move(client, 1, after=before[150])

    model = [one for one in before if one != 1]
    model.insert(model.index(before[150]) + 1, 1)
    now = await positions_of(client)
    changed = [one for one in now if now[one] != known[one]]
    assert answer.status_code == 200
    assert await order(client) == model
    assert 100 < len(changed) <= NEIGHBOURS_MAX + 1
    assert len({now[one] for one in now}) == 300


async def test_the_same_place_again_and_again_stays_short(client: Client) -> None:
    """Each to the place right behind the first: after some hundred moves the neighbours make room."""
    await import_tasks(client, [exported_task(number) for number in range(1, 301)])
    model = list(range(300, 0, -1))
    longest = 0

    for number in range(700):
        last = model.pop()
        model.insert(1, last)
        answer = await move(client, last, after=300)
        longest = max(longest, len(answer.json()["position"]))
        assert answer.status_code == 200, number

    assert await order(client) == model
    assert longest <= POSITION_CHARACTERS


async def test_neighbours_in_the_trash_make_room_too(client: Client, server: Server, database_url: str) -> None:
    """They come back to where they stood."""
    await dense(client, server, database_url, 6, digits=POSITION_CHARACTERS)
    before = await order(client)
    await client.delete(path(client, before[2]))

    await move(client, 1, after=before[1])
    await client.post(path(client, before[2], "/restore"))

    assert before[0] == 1
    assert await order(client) == [before[1], 1, *before[2:]]


async def test_where_there_is_no_room_a_move_is_refused(client: Client, server: Server, database_url: str) -> None:
    """Between positions that are as long as they may be, and equal: 422, never 500."""
    await import_tasks(client, [exported_task(number) for number in range(1, 451)])
    name = database_url.partition("@/")[2].partition("?")[0]
    place = "a0" + "V" * 94
    server.execute(
        f"UPDATE tasks SET position = '{place}' WHERE user_id = '{client.user_id}' AND id > 1", database=name
    )

    answer = await move(client, 1, after=225)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/after")


async def test_lists_are_moved(client: Client) -> None:
    """After another one, or to the front; one revision each, and none where a list stands there already."""
    for name in "abcd":
        await create_list(client, name)

    moved = [
        await client.patch(list_path(client, number, "/move"), json={"after": after})
        for number, after in ((4, 1), (3, None), (3, None), (1, 2))
    ]

    assert [answer.status_code for answer in moved] == [200] * 4
    assert "".join(found["name"] for found in await lists_of(client)) == "cdba"
    assert moved[1].json() == moved[2].json()
    assert moved[3].json()["revision"] == moved[1].json()["revision"] + 1


@pytest.mark.parametrize(
    ("list_id", "after", "status"), [(1, 1, 422), (1, 9, 422), (1, 2, 422), (9, None, 404), (1, "x", 422), (1, 0, 422)]
)
async def test_a_list_is_moved_to_no_place_that_is_none(client: Client, list_id: int, after: Any, status: int) -> None:
    """After itself, or one that is not there, or is in the trash."""
    for name in "ab":
        await create_list(client, name)
    await client.delete(list_path(client, 2))

    answer = await client.patch(list_path(client, list_id, "/move"), json={"after": after})

    assert answer.status_code == status
