"""Lists of a user's own: made, renamed, deleted with their tasks or without, and restored."""

from typing import Any

import orjson
import pytest

from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.lists import create_list, list_path, lists_of
from tests.support.postgres import Server
from tests.support.tasks import create, exported_task, path, read_task
from tests.support.tokens import token


async def ids(client: Client, query: str = "") -> list[int]:
    return [task["id"] for task in (await client.get(path(client) + query)).json()]


async def test_a_list_is_made_read_and_renamed(client: Client) -> None:
    """Each with an ETag; the Location of a new one leads to it."""
    made = await client.post(list_path(client), json={"name": "  Groceries "})
    found = await client.get(made.headers["location"])
    renamed = await client.patch(
        list_path(client, 1), json={"name": "Food"}, headers={"If-Match": found.headers["etag"]}
    )
    again = await client.get(list_path(client, 1), headers={"If-None-Match": renamed.headers["etag"]})

    assert made.status_code == 201
    assert made.headers["etag"] == f'"{made.json()["revision"]}"'
    assert found.json() == made.json()
    assert {name: made.json()[name] for name in ("id", "user_id", "name", "archived")} == {
        "id": 1,
        "user_id": client.user_id,
        "name": "Groceries",
        "archived": False,
    }
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Food")
    assert renamed.json()["revision"] == made.json()["revision"] + 1
    assert again.status_code == 304


async def test_lists_are_listed_in_their_order_and_by_state(client: Client) -> None:
    """New ones come last; archived ones and those of the trash can be asked for."""
    for name in ("a", "b", "c"):
        await create_list(client, name)
    await client.patch(list_path(client, 2), json={"archived": True})
    await client.delete(list_path(client, 3))
    await client.delete(list_path(client, 1))
    await create_list(client, "d")

    assert [found["name"] for found in await lists_of(client)] == ["b", "d"]
    assert [found["name"] for found in await lists_of(client, "active")] == ["d"]
    assert [found["name"] for found in await lists_of(client, "archived")] == ["b"]
    deleted = await lists_of(client, "deleted")
    assert [(found["name"], found["deleted_at"] is not None) for found in deleted] == [("a", True), ("c", True)]
    assert [found["id"] for found in await lists_of(client)] == [2, 4]


async def test_the_lists_are_known_by_their_revision(client: Client) -> None:
    """304 until something of the user's changes; who has never written anything has none at revision 0."""
    nothing = await client.get(list_path(client))
    await create_list(client)
    first = await client.get(list_path(client))
    same = await client.get(list_path(client), headers={"If-None-Match": first.headers["etag"]})
    wrong = await client.get(list_path(client) + "?status=deleted", headers={"If-Match": '"1"'})

    assert (nothing.json(), nothing.headers["etag"]) == ([], '"0"')
    assert same.status_code == 304
    assert wrong.status_code == 412


async def test_tasks_are_in_a_list_or_in_the_inbox(client: Client) -> None:
    """From the beginning, or put there later; each list shows its own."""
    await create_list(client)
    inbox = await create(client)
    listed = await create(client, list_id=1)
    changed = await client.patch(path(client, inbox["id"]), json={"list_id": 1})
    back = await client.patch(path(client, listed["id"]), json={"list_id": None, "title": "back"})

    assert (inbox["list_id"], listed["list_id"]) == (None, 1)
    assert changed.json()["list_id"] == 1
    assert (back.json()["list_id"], back.json()["title"]) == (None, "back")
    assert await read_task(client, 2) == back.json()
    assert await ids(client, "?list_id=1") == [1]
    assert await ids(client, "?list_id=none") == [2]
    assert await ids(client, "?list_id=none&status=completed") == []


async def test_put_keeps_the_list_unless_it_is_named(client: Client) -> None:
    """Who knows nothing of lists moves nothing; a task can be sent as it was answered."""
    await create_list(client)
    task = await create(client, list_id=1)

    kept = await client.put(path(client, 1), json={"title": "kept"})
    same = await client.put(path(client, 1), json={**task, "position": "anything"})
    moved = await client.put(path(client, 1), json={"title": "moved", "list_id": None})

    assert [answer.json()["list_id"] for answer in (kept, same, moved)] == [1, 1, None]
    assert same.json()["position"] == task["position"]


async def test_a_subtask_is_in_its_parents_list(client: Client) -> None:
    """From the beginning, when it is attached, and when the parent goes to another one; each with a revision."""
    await create_list(client)
    await create_list(client)
    parent = await create(client, list_id=1)
    part = await create(client, parent_id=1)
    other = await create(client)
    attached = await client.patch(path(client, other["id"]), json={"parent_id": 1})
    moved = await client.patch(path(client, 1), json={"list_id": 2})
    parts = [await read_task(client, number) for number in (2, 3)]
    freed = await client.patch(path(client, 3), json={"parent_id": None})

    assert (parent["list_id"], part["list_id"], attached.json()["list_id"]) == (1, 1, 1)
    assert [task["list_id"] for task in (moved.json(), *parts, freed.json())] == [2, 2, 2, 2]
    assert len({task["revision"] for task in (moved.json(), *parts)}) == 3


MISPLACED = [
    ("POST", None, {"title": "x", "list_id": 9}),
    ("POST", None, {"title": "x", "parent_id": 1, "list_id": 2}),
    ("POST", None, {"title": "x", "parent_id": 1, "list_id": None}),
    ("PATCH", 1, {"list_id": 9}),
    ("PATCH", 2, {"list_id": 2}),
    ("PATCH", 2, {"list_id": None}),
    ("PATCH", 3, {"parent_id": 1, "list_id": 2}),
    ("PUT", 3, {"title": "x", "list_id": 9}),
]


@pytest.mark.parametrize(("method", "task_id", "body"), MISPLACED)
async def test_a_task_goes_into_no_list_that_is_not_its_own(
    client: Client, method: str, task_id: int | None, body: dict[str, Any]
) -> None:
    """A list that is not there, and another one than the parent's: 422 at list_id, and nothing is written."""
    await create_list(client)
    await create_list(client)
    await create(client, list_id=1)
    await create(client, parent_id=1)
    await create(client)
    before = (await client.get(path(client))).json()

    answer = await client.request(method, path(client, task_id), json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/list_id"
    assert (await client.get(path(client))).json() == before


async def test_a_deleted_list_takes_its_tasks_along_and_brings_them_back(client: Client) -> None:
    """What was in the trash before stays there, and a subtask is one again."""
    await create_list(client)
    await create(client, list_id=1)
    await create(client, parent_id=1)
    await create(client)
    await create(client, list_id=1)
    await client.delete(path(client, 4))

    deleted = await client.delete(list_path(client, 1))
    gone, trash = await ids(client), await ids(client, "?status=deleted")
    restored = await client.post(list_path(client, 1, "/restore"))

    assert deleted.status_code == 204
    assert (gone, sorted(trash)) == ([3], [1, 2, 4])
    assert (restored.status_code, restored.json()["name"]) == (200, "Groceries")
    assert await ids(client) == [3, 2, 1]
    assert [(await read_task(client, number))["list_id"] for number in (1, 2)] == [1, 1]
    assert (await read_task(client, 2))["parent_id"] == 1
    assert await ids(client, "?status=deleted&list_id=1") == [4]


async def test_a_deleted_list_can_leave_its_tasks_in_the_inbox(client: Client) -> None:
    """Each with a revision of its own; the list comes back empty."""
    await create_list(client)
    for _ in range(3):
        await create(client, list_id=1)

    await client.delete(list_path(client, 1) + "?tasks=keep")
    kept = (await client.get(path(client) + "?list_id=none")).json()
    await client.post(list_path(client, 1, "/restore"))

    assert [task["id"] for task in kept] == [3, 2, 1]
    assert len({task["revision"] for task in kept}) == 3
    assert await ids(client, "?list_id=1") == []


async def test_a_task_whose_list_is_gone_comes_back_to_the_inbox(client: Client) -> None:
    """And stays there when the list is restored; its subtasks come with it."""
    await create_list(client)
    await create(client, list_id=1)
    await create(client, parent_id=1)
    await create(client, list_id=1)
    await client.delete(list_path(client, 1))

    restored = await client.post(path(client, 1, "/restore"))
    await client.post(list_path(client, 1, "/restore"))

    assert restored.json()["list_id"] is None
    assert [(await read_task(client, number))["list_id"] for number in (1, 2, 3)] == [None, None, 1]


async def test_a_restored_task_is_in_its_list_or_its_parents(client: Client) -> None:
    """Also where the parent went to another list meanwhile."""
    await create_list(client)
    await create_list(client)
    await create(client, list_id=1)
    await create(client, parent_id=1)
    await create(client, list_id=1)
    for number in (2, 3):
        await client.delete(path(client, number))
    await client.patch(path(client, 1), json={"list_id": 2})

    restored = [await client.post(path(client, number, "/restore")) for number in (2, 3)]

    assert [(task.json()["parent_id"], task.json()["list_id"]) for task in restored] == [(1, 2), (None, 1)]


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/restore", None)],
)
async def test_a_list_that_is_not_there_is_404(client: Client, method: str, rest: str, body: Any) -> None:
    """Before any condition; one in the trash is found only there."""
    await create_list(client)
    content = {} if body is None else {"json": body}

    answers = [
        await client.request(method, list_path(client, 7, rest), headers={"If-Match": '"1"'}, **content),
        await client.request(method, list_path(client, 7, rest), **content),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert {answer.json()["type"] for answer in answers} == {"urn:tasks:problem:list-not-found"}


@pytest.mark.parametrize(("method", "rest"), [("PATCH", ""), ("DELETE", ""), ("POST", "/restore")])
async def test_a_condition_that_does_not_hold_is_412(client: Client, method: str, rest: str) -> None:
    """And nothing is written."""
    made = await create_list(client)
    if rest:
        await client.delete(list_path(client, 1))
    content: dict[str, Any] = {"json": {"name": "x"}} if method == "PATCH" else {}

    refused = await client.request(
        method, list_path(client, 1, rest), headers={"If-Match": f'"{made["revision"] - 1}"'}, **content
    )
    written = await client.request(method, list_path(client, 1, rest), headers={"If-Match": "*"}, **content)

    assert (refused.status_code, written.status_code // 100) == (412, 2)


BAD = [
    ("POST", "", {}, "#/name"),
    ("POST", "", {"name": ""}, "#/name"),
    ("POST", "", {"name": "  "}, "#/name"),
    ("POST", "", {"name": "x" * 101}, "#/name"),
    ("POST", "", {"name": "a\0b"}, "#/name"),
    ("POST", "", {"name": None}, "#/name"),
    ("POST", "", {"name": 1}, "#/name"),
    ("POST", "", {"name": "x", "archived": 1}, "#/archived"),
    ("POST", "", {"name": "x", "id": 1}, "#/id"),
    ("POST", "", {"name": "x", "position": "a0"}, "#/position"),
    ("POST", "", {"name": "x", "user_id": "other"}, "#/user_id"),
    ("POST", "", [], "#"),
    ("PATCH", "/1", {"name": None}, "#/name"),
    ("PATCH", "/1", {"archived": None}, "#/archived"),
    ("PATCH", "/1", {"title": "x"}, "#/title"),
    ("GET", "?status=open", None, "?status"),
    ("GET", "?limit=1", None, "?limit"),
    ("DELETE", "/1?tasks=trash", None, "?tasks"),
    ("DELETE", "/1?tasks=keep&tasks=keep", None, "?tasks"),
    ("DELETE", "/01", None, "{list_id}"),
    ("GET", "/0", None, "{list_id}"),
    ("GET", "/9223372036854775808", None, "{list_id}"),
    ("GET", "/one", None, "{list_id}"),
]


@pytest.mark.parametrize(("method", "below", "body", "pointer"), BAD)
async def test_what_is_no_list_is_refused(client: Client, method: str, below: str, body: Any, pointer: str) -> None:
    """422 where it stands, and nothing is written."""
    await create_list(client)
    content = {} if body is None else {"json": body}

    answer = await client.request(method, list_path(client) + below, **content)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert [found["name"] for found in await lists_of(client)] == ["Groceries"]


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.0", "+1", "9223372036854775808", "null"])
async def test_a_filter_names_a_list_or_none(client: Client, value: str) -> None:
    """Anything else is 422."""
    answer = await client.get(f"{path(client)}?list_id={value}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "?list_id")


async def test_lists_and_their_trash_are_bounded(database_url: str) -> None:
    """Over MAX_LISTS is 422, also for a restore; of the trash the oldest go, and who is behind starts again."""
    async with running(create_app(settings_for(database_url, max_lists=2))) as app, client_for(app) as client:
        first = await create_list(client)
        await create_list(client)
        refused = await client.post(list_path(client), json={"name": "one more"})
        await client.delete(list_path(client, 1))
        await create_list(client)
        full = await client.post(list_path(client, 1, "/restore"))
        for number in range(4, 9):
            await client.delete(list_path(client, number - 2))
            await create_list(client)
        kept = [found["id"] for found in await lists_of(client, "deleted")]
        behind = await client.get(f"/api/{client.user_id}/changes?since={first['revision']}")

    assert [(answer.status_code, answer.json()["type"]) for answer in (refused, full)] == [
        (422, "urn:tasks:problem:list-limit-reached")
    ] * 2
    assert kept == [6, 5]
    assert behind.status_code == 410


async def fill(client: Client, server: Server, name: str, list_id: int, *, first: int, count: int) -> None:
    """Put so many tasks into a list."""
    tasks = [exported_task(number) for number in range(first, first + count)]
    file = {"format": "tasks-backend", "version": 1, "tasks": tasks}
    assert (await client.post(f"/api/{client.user_id}/import?ids=keep", json=file)).status_code == 200
    these = f"user_id = '{client.user_id}' AND id >= {first}"
    server.execute(f"UPDATE tasks SET list_id = {list_id} WHERE {these}", database=name)


async def test_a_large_list_goes_in_steps_and_within_bounds(server: Server, database_url: str) -> None:
    """More tasks than a statement moves; of the trash the oldest go, and over the cap nothing comes back."""
    name = database_url.partition("@/")[2].partition("?")[0]
    app = create_app(settings_for(database_url, max_tasks_per_user=1200))
    async with running(app), client_for(app) as client:
        for number, first in ((1, 1), (2, 2000)):
            await create_list(client)
            await fill(client, server, name, number, first=first, count=1100)
            await client.delete(list_path(client, number))
        left = [await total(client, f"status=deleted&list_id={number}") for number in (1, 2)]
        for _ in range(2):
            await create(client)
        restored = await client.post(list_path(client, 2, "/restore"))
        kept = await total(client, "list_id=2")
        await client.delete(list_path(client, 2) + "?tasks=keep")
        inbox = await total(client, "list_id=none")
        refused = await client.post(list_path(client, 1, "/restore"))
        trash = await total(client, "status=deleted&list_id=1")

    assert left == [100, 1100]
    assert (restored.status_code, kept, inbox) == (200, 1100, 1102)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:tasks:problem:task-limit-reached")
    assert trash == 100


async def total(client: Client, query: str) -> int:
    answer = await client.get(f"{path(client)}?limit=1&{query}", headers={"Prefer": "count=exact"})
    return int(answer.headers["x-total-count"])


async def claim(mine: Client, theirs: Client) -> int:
    body = {"token": token(theirs.user_id, isAnonymous=True)}
    return (await mine.post(f"/api/{mine.user_id}/claim", json=body)).status_code


async def test_lists_move_with_a_claim(make_client: MakeClient) -> None:
    """Behind the caller's own, with their tasks, and also those of the trash."""
    mine, theirs = make_client(), make_client()
    await create_list(mine, "mine")
    for name in ("a", "b", "c"):
        await create_list(theirs, name)
    await create(theirs, list_id=2)
    await create(theirs, list_id=3)
    await theirs.delete(list_path(theirs, 3))

    status = await claim(mine, theirs)
    lists = [(found["id"], found["name"]) for found in await lists_of(mine)]
    trashed = [(found["id"], found["name"]) for found in await lists_of(mine, "deleted")]
    await mine.post(list_path(mine, 4, "/restore"))

    assert (status, lists, trashed) == (200, [(1, "mine"), (2, "a"), (3, "b")], [(4, "c")])
    assert [(await read_task(mine, number))["list_id"] for number in (1, 2)] == [3, 4]
    assert await lists_of(theirs) == []
    assert (await create_list(mine))["id"] == 5


async def test_a_trash_of_lists_that_moves_stays_bounded(database_url: str) -> None:
    """As after a delete: the oldest is purged beyond what a user may have, however many users are claimed."""
    app = create_app(settings_for(database_url, max_lists=2))
    async with running(app), client_for(app) as mine:
        for name in ("a", "b", "c"):
            async with client_for(app) as theirs:
                for number in range(2):
                    made = await create_list(theirs, f"{name}{number}")
                    await theirs.delete(list_path(theirs, made["id"]))
                assert await claim(mine, theirs) == 200
        kept = [one["name"] for one in await lists_of(mine, "deleted")]

    assert kept == ["c1", "c0"]


async def test_a_claim_keeps_the_cap_on_lists(database_url: str) -> None:
    """Over it is 422, and nothing moves."""
    app = create_app(settings_for(database_url, max_lists=1))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        for client in (mine, theirs):
            await create_list(client)

        status = await claim(mine, theirs)

        assert (status, len(await lists_of(mine)), len(await lists_of(theirs))) == (422, 1, 1)


async def exported(client: Client) -> dict[str, Any]:
    file: dict[str, Any] = (await client.get(f"/api/{client.user_id}/export")).json()
    return file


async def imported(client: Client, file: dict[str, Any], query: str = "") -> Any:
    return await client.post(f"/api/{client.user_id}/import{query}", json=file)


async def test_lists_are_exported_and_imported(client: Client) -> None:
    """The same file twice changes nothing; what was erased comes back as it was, also lists without a task."""
    await create_list(client, "a")
    await create_list(client, "b", archived=True)
    await create(client, list_id=1)
    await create(client)
    lists, tasks = await lists_of(client), (await client.get(path(client))).json()
    file = await exported(client)

    same = await imported(client, file)
    untouched = await lists_of(client)
    await client.delete(f"/api/{client.user_id}")
    back = await imported(client, file)
    only_lists = await imported(client, {**file, "tasks": [], "lists": [{**file["lists"][0], "name": "renamed"}]})

    assert file["version"] == 2
    assert same.json()["unchanged"] == 2
    assert untouched == lists
    assert back.json()["created"] == 2
    assert [{**task, "revision": 0} for task in (await client.get(path(client))).json()] == [
        {**task, "revision": 0} for task in tasks
    ]
    assert only_lists.status_code == 200
    assert [found["name"] for found in await lists_of(client)] == ["renamed", "b"]
    assert (await create_list(client))["id"] == 3


async def test_another_users_lists_are_added(make_client: MakeClient) -> None:
    """Under the next ids, behind the caller's, with their tasks."""
    mine, theirs = make_client(), make_client()
    await create_list(mine, "mine")
    for name in ("a", "b"):
        await create_list(theirs, name)
    await create(theirs, list_id=2)

    answer = await imported(mine, await exported(theirs))

    assert answer.json() == {"created": 1, "changed": 0, "unchanged": 0}
    assert [(found["id"], found["name"]) for found in await lists_of(mine)] == [(1, "mine"), (2, "a"), (3, "b")]
    assert (await read_task(mine, 1))["list_id"] == 3


async def test_a_file_of_version_1_puts_its_tasks_into_the_inbox(client: Client) -> None:
    """It knows no lists; subtasks that are not in it follow their parents."""
    await create_list(client)
    await create(client, list_id=1)
    await create(client, parent_id=1)

    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(1)]}
    answer = await imported(client, file, "?ids=keep")

    assert answer.status_code == 200
    assert [(await read_task(client, number))["list_id"] for number in (1, 2)] == [None, None]


LISTED = {"id": 1, "name": "a", "position": "a0", "created_at": "2026-01-01T00:00:00Z"}
LISTED["updated_at"] = LISTED["created_at"]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"lists": [{**LISTED, "id": 0}]}, "#/lists/0/id"),
    ({"lists": [{**LISTED, "name": ""}]}, "#/lists/0/name"),
    ({"lists": [{**LISTED, "position": ""}]}, "#/lists/0/position"),
    ({"lists": [LISTED, LISTED]}, "#"),
    ({"lists": [LISTED, {**LISTED, "id": 2}]}, "#"),
    ({"lists": [LISTED] * 1001}, "#/lists"),
    ({"lists": {}}, "#/lists"),
    ({"lists": [], "tasks": [exported_task(1, list_id=1)]}, "#/tasks/0/list_id"),
    ({"lists": [LISTED], "tasks": [exported_task(1, list_id=2)]}, "#/tasks/0/list_id"),
    ({"lists": [LISTED], "tasks": [exported_task(1, list_id=1), exported_task(2, parent_id=1)]}, "#/tasks/1/parent_id"),
]


@pytest.mark.parametrize("query", ["?ids=new", "?ids=keep"])
@pytest.mark.parametrize(("members", "pointer"), REFUSED)
async def test_a_file_whose_lists_do_not_fit_is_refused(
    client: Client, members: dict[str, Any], pointer: str, query: str
) -> None:
    """422 where it stands, and nothing is written."""
    answer = await imported(client, {"format": "tasks-backend", "version": 2, "tasks": [], **members}, query)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await lists_of(client), await ids(client)) == ([], [])


@pytest.mark.parametrize("query", ["?ids=new", "?ids=keep"])
async def test_an_import_keeps_the_cap_on_lists(database_url: str, query: str) -> None:
    """422, and nothing is written."""
    async with running(create_app(settings_for(database_url, max_lists=1))) as app, client_for(app) as client:
        await create_list(client)
        file = {"format": "tasks-backend", "version": 2, "tasks": [], "lists": [{**LISTED, "id": 2}]}

        answer = await imported(client, file, query)

        assert (answer.status_code, answer.json()["type"]) == (422, "urn:tasks:problem:list-limit-reached")


async def test_an_imported_list_takes_no_place_of_another(client: Client) -> None:
    """It comes behind the others instead, and the same file changes nothing any more."""
    own = await create_list(client, "own")
    file = {"format": "tasks-backend", "version": 2, "tasks": []}
    file["lists"] = [{**LISTED, "id": 7, "position": own["position"]}]

    first = await imported(client, file, "?ids=keep")
    lists = await lists_of(client)
    await imported(client, file, "?ids=keep")

    assert first.status_code == 200
    assert [found["id"] for found in lists] == [1, 7]
    assert lists[0]["position"] < lists[1]["position"]
    assert await lists_of(client) == lists


async def test_lists_of_a_large_file_are_imported(client: Client) -> None:
    """One that is parsed in pieces, with the lists before the tasks or behind them; of two the last one counts."""
    lists = [{**LISTED, "id": number, "position": f"b{number}"} for number in range(10, 40)]
    tasks = [exported_task(number, list_id=10, description="x" * 900) for number in range(1, 100)]
    before = {"format": "tasks-backend", "version": 2, "lists": lists, "tasks": tasks}
    behind = {"format": "tasks-backend", "version": 2, "tasks": tasks, "lists": lists}
    twice = orjson.dumps(before).replace(b'"lists":', b'"lists":[{"id":1},{"id":2}],"lists":')

    answers = [await imported(client, file, "?ids=keep") for file in (before, behind)]
    answers += [
        await client.post(
            f"/api/{client.user_id}/import?ids=keep", content=twice, headers={"Content-Type": "application/json"}
        )
    ]

    assert [answer.json()["unchanged"] for answer in answers] == [0, 99, 99]
    assert [found["id"] for found in await lists_of(client)] == list(range(10, 40))
