"""An import adds to what is there, or keeps the file's ids; what is replaced is in the trash."""

from typing import Any

import pytest

from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.lists import create_list, lists_of
from tests.support.tasks import PLAN, create, exported_task, path

# What a task keeps wherever it is imported.
KEPT = ("title", "description", "completed", "completed_at", "due_date", "tags", "created_at", "updated_at")


def file_of(*tasks: Any) -> dict[str, Any]:
    return {"format": "tasks-backend", "version": 1, "tasks": list(tasks)}


async def sent(client: Client, file: Any, query: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/api/{client.user_id}/import{query}", json=file, headers=headers)
    return answer.status_code, answer.json()


async def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = (await client.get(path(client) + query)).json()
    return tasks


async def export_of(client: Client) -> dict[str, Any]:
    file: dict[str, Any] = (await client.get(f"/api/{client.user_id}/export")).json()
    return file


def kept(tasks: list[dict[str, Any]]) -> list[Any]:
    return [[task[name] for name in KEPT] for task in tasks]


async def fill(client: Client) -> None:
    parent = await create(client, **PLAN, description="two litres")
    gone = await create(client)
    await create(client, parent_id=parent["id"], title="part")
    await create(client, completed=True, title="done")
    await client.delete(path(client, gone["id"]))


async def test_a_file_of_somebody_else_is_added(make_client: MakeClient) -> None:
    """Under the next ids, with their families and times; nothing of either's changes. Twice means twice."""
    alice, bob = make_client(), make_client()
    await fill(alice)
    for _ in range(3):
        await create(bob, title="mine")
    mine, hers = await listed(bob), await listed(alice)
    file = await export_of(alice)

    answers = [await sent(bob, file) for _ in range(2)]

    tasks = await listed(bob)
    assert answers == [(200, {"created": 3, "changed": 0, "unchanged": 0})] * 2
    assert [task["id"] for task in tasks] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert [task["parent_id"] for task in tasks[:6]] == [None, 7, None, None, 4, None]
    assert kept(tasks[:3]) == kept(tasks[3:6]) == kept(hers)
    assert tasks[6:] == mine
    assert await listed(alice) == hers
    assert {task["user_id"] for task in tasks} == {bob.user_id}
    assert len({task["revision"] for task in tasks}) == 9
    assert (await create(bob))["id"] == 10
    assert (await bob.delete(path(bob, 7))).status_code == 204
    assert (await bob.get(path(bob, 8))).status_code == 404


async def test_what_is_added_is_heard_of(make_client: MakeClient) -> None:
    """By who follows the changes, and in the order of the file's ids."""
    alice, bob = make_client(), make_client()
    await create(bob)
    since = (await listed(bob))[0]["revision"]

    await sent(bob, file_of(exported_task(9, title="second"), exported_task(4, title="first")))

    changes = (await bob.get(f"/api/{bob.user_id}/changes?since={since}")).json()
    assert [(task["id"], task["title"]) for task in changes["tasks"]] == [(2, "first"), (3, "second")]
    assert await listed(alice) == []


# Whose tasks a file has, what is asked for, and what is done.
CHOICES = [
    (["me", "me"], "", "keep"),
    (["me", "me"], "?ids=keep", "keep"),
    (["me", "me"], "?ids=new", "new"),
    (["me", "other"], "", "new"),
    (["me", None], "", "new"),
    (["other", "other"], "", "new"),
    ([None, None], "", "new"),
    ([None, None], "?ids=keep", "keep"),
    (["other", "other"], "?ids=keep", "keep"),
    ([], "", "keep"),
    ([], "?ids=new", "new"),
]


@pytest.mark.parametrize(("owners", "query", "expected"), CHOICES)
async def test_the_file_says_whose_ids_it_has(
    client: Client, owners: list[str | None], query: str, expected: str
) -> None:
    """Only a file whose every task names the caller keeps its ids without being told so."""
    names = {"me": client.user_id, "other": f"{client.user_id}2", None: None}
    file = file_of(*(exported_task(10 + n, user_id=names[owner]) for n, owner in enumerate(owners)))

    tried = await sent(client, file, f"{query}{'&' if query else '?'}dry_run=true")
    status, counts = await sent(client, file, query)

    first = {"keep": 10, "new": 1}[expected]
    assert (status, tried) == (200, (200, {**counts, "ids": expected, "lists": [], "tasks": tried[1]["tasks"]}))
    assert "ids" not in counts
    assert [task["id"] for task in await listed(client)] == [first + n for n in range(len(owners))][::-1]


@pytest.mark.parametrize(
    "query", ["?ids=", "?ids=old", "?ids=NEW", "?ids=new&ids=new", "?id=new", "?ids=new,keep", "?ids=%00"]
)
async def test_no_other_ids_can_be_asked_for(client: Client, query: str) -> None:
    status, problem = await sent(client, file_of(exported_task(1)), query)

    assert (status, problem["type"]) == (422, "urn:tasks:problem:validation-failed")
    assert await listed(client) == []


# Parents that cannot be one where a file is added; 1 is a task of the caller's.
REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([exported_task(5, parent_id=1)], "#/tasks/0/parent_id"),
    ([exported_task(5), exported_task(6, parent_id=7)], "#/tasks/1/parent_id"),
    ([exported_task(5), exported_task(6, parent_id=5), exported_task(7, parent_id=6)], "#/tasks/2/parent_id"),
    ([exported_task(5, parent_id=6), exported_task(6, parent_id=5)], "#/tasks/0/parent_id"),
    ([exported_task(n, parent_id=4 if n < 4 else None) for n in range(1, 5)], "#/tasks/0/parent_id"),
]


@pytest.mark.parametrize(("tasks", "pointer"), REFUSED, ids=range(len(REFUSED)))
async def test_a_file_whose_families_cannot_be_added_is_refused(
    database_url: str, tasks: list[dict[str, Any]], pointer: str
) -> None:
    """All or none; a parent is in the file, for nothing of the caller's is touched."""
    app = create_app(settings_for(database_url, max_subtasks=2))
    async with running(app), client_for(app) as client:
        await create(client)
        before = await listed(client)

        status, problem = await sent(client, file_of(*tasks), "?ids=new")

        assert (status, problem["errors"][0]["pointer"]) == (422, pointer)
        assert await listed(client) == before
        assert (await create(client))["id"] == 2


async def test_the_cap_counts_both(database_url: str) -> None:
    """What is there and what is added; one too many adds nothing."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as client:
        await create(client)
        too_many = await sent(client, file_of(*(exported_task(n) for n in range(1, 4))))
        none_of_them = await listed(client)
        fits = await sent(client, file_of(*(exported_task(n) for n in range(1, 3))))

    assert (too_many[0], too_many[1]["type"]) == (422, "urn:tasks:problem:task-limit-reached")
    assert [task["id"] for task in none_of_them] == [1]
    assert fits == (200, {"created": 2, "changed": 0, "unchanged": 0})


async def test_an_old_file_does_not_replace_other_tasks_unasked(client: Client) -> None:
    """After the account was erased and used again, the same ids are other tasks: 409 with at most 20 of them."""
    for number in range(25):
        await create(client, title=f"old {number}")
    file = await export_of(client)
    await client.delete(f"/api/{client.user_id}")
    for number in range(22):
        await create(client, title=f"new {number}")
    before = await listed(client)

    status, problem = await sent(client, file)
    unchanged = await listed(client)
    added = await sent(client, file, "?ids=new")
    replaced = await sent(client, file, "?ids=keep")

    assert (status, problem["type"]) == (409, "urn:tasks:problem:ids-taken")
    assert [error["pointer"] for error in problem["errors"]] == [f"#/tasks/{n}/id" for n in range(20)]
    assert unchanged == before
    assert added == (200, {"created": 25, "changed": 0, "unchanged": 0})
    assert replaced == (200, {"created": 0, "changed": 25, "unchanged": 0})


async def test_a_few_that_are_taken_are_named(client: Client) -> None:
    """Also in a later part of a long file, whose parts are written one after the other; nothing of it is."""
    await create(client)
    await create(client)
    mine = [exported_task(n, user_id=client.user_id) for n in range(3, 800)]
    taken = exported_task(2, user_id=client.user_id)

    status, problem = await sent(client, file_of(*mine, taken))

    assert (status, [error["pointer"] for error in problem["errors"]]) == (409, [f"#/tasks/{len(mine)}/id"])
    assert [task["id"] for task in await listed(client)] == [2, 1]


async def test_an_old_file_does_not_replace_other_lists_unasked(client: Client) -> None:
    """Nor do their tasks find themselves in the list of another name; the same lists are no others."""
    await create_list(client, "Home")
    await create(client, list_id=1)
    file = await export_of(client)
    same = await sent(client, file)
    await client.delete(f"/api/{client.user_id}")
    await create_list(client, "Work")
    await create_list(client, "Other")
    file["tasks"] = []

    status, problem = await sent(client, file)
    names = [one["name"] for one in await lists_of(client)]
    replaced = await sent(client, file, "?ids=keep")

    assert same == (200, {"created": 0, "changed": 0, "unchanged": 1})
    assert (status, [error["pointer"] for error in problem["errors"]]) == (409, ["#/lists/0/id"])
    assert problem["errors"][0]["detail"] == "is the id of another list of yours"
    assert names == ["Work", "Other"]
    assert replaced[0] == 200
    assert {one["name"] for one in await lists_of(client)} == {"Home", "Other"}


async def test_a_client_that_keeps_milliseconds_only_has_the_same_tasks(client: Client) -> None:
    """JavaScript cuts off what is below one; such a file is not taken for another task's."""
    await create(client)
    file = await export_of(client)
    file["tasks"][0]["created_at"] = file["tasks"][0]["created_at"][:23] + "Z"

    assert (await sent(client, file))[0] == 200


async def test_what_is_replaced_can_be_taken_back(client: Client) -> None:
    """A task, a subtask, and one in the trash, each under an id of its own; who follows has what the server has."""
    await fill(client)
    file = await export_of(client)
    deleted = file_of(exported_task(2, title="instead of what is in the trash", user_id=client.user_id))
    changed = [{**task, "title": f"file's {task['id']}"} for task in file["tasks"]]
    since = (await listed(client))[0]["revision"]

    first = await sent(client, file_of(*changed))
    second = await sent(client, deleted)

    trash = {task["id"]: task for task in await listed(client, "?status=deleted")}
    assert (first[1]["changed"], second[1]["created"]) == (3, 1)
    assert {number: task["title"] for number, task in trash.items()} == {
        5: file["tasks"][0]["title"],
        6: "part",
        7: "done",
        8: file["tasks"][0]["title"],
    }
    changes = (await client.get(f"/api/{client.user_id}/changes?since={since}")).json()
    assert sorted(task["id"] for task in changes["tasks"]) == [1, 2, 3, 4]
    assert sorted(changes["deleted"]) == [5, 6, 7, 8]
    restored = [await client.post(path(client, number, "/restore")) for number in trash]
    assert [answer.status_code for answer in restored] == [200] * 4
    assert restored[list(trash).index(6)].json()["parent_id"] == 1
    assert (await create(client))["id"] == 9


async def test_the_same_task_in_the_trash_is_brought_back(client: Client) -> None:
    """One that is as in the file leaves the trash, and nothing of it stays there."""
    await create(client)
    file = await export_of(client)
    await client.delete(path(client, 1))

    assert (await sent(client, file))[1]["created"] == 1
    assert await listed(client, "?status=deleted") == []


async def test_a_file_that_replaces_much_does_not_overfill_the_trash(database_url: str) -> None:
    """Only as many are kept there as a user may have tasks: the newest."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as client:
        for round_ in range(3):
            file = file_of(*(exported_task(n, title=f"{round_}") for n in range(1, 4)))
            assert (await sent(client, file, "?ids=keep"))[0] == 200

        trash = await listed(client, "?status=deleted")

    assert [task["title"] for task in trash] == ["1"] * 3


async def test_a_repeated_import_adds_once(client: Client) -> None:
    """With an Idempotency-Key; the query belongs to what the key stands for."""
    file, key = file_of(exported_task(1)), {"idempotency_key": "k"}
    headers = {name.replace("_", "-"): value for name, value in key.items()}

    first, second = [await sent(client, file, "?ids=new", **headers) for _ in range(2)]
    other = await sent(client, file, "?ids=keep", **headers)

    assert first == second
    assert (len(await listed(client)), other[0]) == (1, 422)
