"""One write on all tasks that filters find: the same tasks as the list's, each as its own request would write it."""

from typing import Any

import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.lists import create_list
from tests.support.tasks import create, path, read_task


async def apply(client: Client, where: dict[str, Any], op: str, **members: Any) -> Any:
    answer = await client.post(f"{path(client)}/apply", json={"where": where, "op": op, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()["ids"]


async def living(client: Client) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = (await client.get(f"{path(client)}?limit=500")).json()
    return tasks


async def some_tasks(client: Client) -> None:
    """1 is a parent of 2 and 3; 4 is overdue, 5 is done, 6 repeats."""
    await create(client, title="parent", tags=["Home"])
    await create(client, title="part", parent_id=1, completed=True)
    await create(client, title="part", parent_id=1, priority="high")
    await create(client, title="late", due_date="2020-01-01", priority="low")
    await create(client, title="done", completed=True, tags=["home", "b"])
    await create(client, title="daily", due_date="2020-01-01", recurrence="FREQ=DAILY;COUNT=10000")


FOUND: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6]),
    ({"status": "all"}, [1, 2, 3, 4, 5, 6]),
    ({"status": "pending"}, [1, 3, 4, 6]),
    ({"status": "completed"}, [2, 5]),
    ({"priority": ["low", "high"]}, [3, 4]),
    ({"priority": "none"}, [1, 2, 5, 6]),
    ({"priority": []}, [1, 2, 3, 4, 5, 6]),
    ({"tag": ["HOME"]}, [1, 5]),
    ({"tag": "b"}, [5]),
    ({"tag": ["home", "b"]}, [5]),
    ({"due_before": "2021-01-01"}, [4, 6]),
    ({"due_after": "2021-01-01T00:00:00Z"}, []),
    ({"overdue": True}, [4, 6]),
    ({"overdue": "true"}, [4, 6]),
    ({"overdue": False}, [1, 2, 3, 5]),
    ({"available": True}, [1, 3, 4, 6]),
    ({"available": "false"}, [2, 5]),
    ({"parent_id": 1}, [2, 3]),
    ({"parent_id": "none"}, [1, 4, 5, 6]),
    ({"q": None, "overdue": None}, [1, 2, 3, 4, 5, 6]),
    ({"q": "LAT"}, [4]),
    ({"status": "pending", "q": "part"}, [3]),
]


@pytest.mark.parametrize(("where", "ids"), FOUND, ids=[str(where) for where, _ in FOUND])
async def test_the_filters_are_the_lists(client: Client, where: dict[str, Any], ids: list[int]) -> None:
    """The tasks that the list with the same parameters has are written, and no others."""
    await some_tasks(client)
    query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in where.items()}
    listed = await client.get(path(client), params={name: value for name, value in query.items() if value is not None})

    found = await apply(client, where, "update", changes={"description": "written"}, expect=len(ids))

    assert found == ids == sorted(task["id"] for task in listed.json())
    assert sorted(task["id"] for task in await living(client) if task["description"] == "written") == ids


async def test_completing_takes_parts_along_and_moves_on(client: Client) -> None:
    """A parent with its subtasks, a repeating task to its next due date; each with a revision of its own."""
    await some_tasks(client)

    await apply(client, {"status": "pending"}, "complete")

    tasks = {task["id"]: task for task in await living(client)}
    assert {number for number, task in tasks.items() if task["completed"]} == {1, 2, 3, 4, 5}
    assert (tasks[6]["due_date"], tasks[6]["recurrence"]) == ("2020-01-02", "FREQ=DAILY;COUNT=9999")
    assert len({task["revision"] for task in tasks.values()}) == 6


async def test_completing_may_skip_what_was_missed_and_open_again(client: Client) -> None:
    """As the task's own request does."""
    await some_tasks(client)

    await apply(client, {"q": "daily"}, "complete", skip_missed=True)
    opened = await apply(client, {"status": "completed"}, "complete", completed=False)

    assert (await read_task(client, 6))["due_date"] > "2026-01-01"
    assert opened == [2, 5]
    assert not any(task["completed"] for task in await living(client))


async def test_a_part_goes_with_its_parent(client: Client) -> None:
    """Found together they are deleted and restored together; a repeating parent's parts are open for the next time."""
    await some_tasks(client)
    await create(client, title="step", parent_id=6)

    await apply(client, {}, "complete")
    step = await read_task(client, 7)
    await apply(client, {}, "delete", expect=7)

    assert step["completed"] is False
    assert await living(client) == []
    await client.post(path(client, 1, "/restore"))
    assert [task["id"] for task in await living(client)] == [3, 2, 1]


async def test_each_takes_the_same_changes(client: Client) -> None:
    """A null clears; what depends on a task's other members is judged for each."""
    await some_tasks(client)

    await apply(client, {"priority": ["low", "high"]}, "update", changes={"priority": None, "tags": ["x"]})
    await apply(client, {"q": "late"}, "update", changes={"time_zone": "Europe/Berlin", "recurrence": "FREQ=WEEKLY"})

    tasks = {task["id"]: task for task in await living(client)}
    assert [(tasks[number]["priority"], tasks[number]["tags"]) for number in (3, 4)] == [(None, ["x"])] * 2
    assert (tasks[4]["time_zone"], tasks[4]["recurrence"]) == ("Europe/Berlin", "FREQ=WEEKLY")


async def test_all_are_put_into_a_list_and_back(client: Client) -> None:
    """Subtasks go with their parent, whether they were found or not; the inbox is a list, too."""
    await some_tasks(client)
    await create_list(client)

    into = await apply(client, {"parent_id": "none"}, "move", list_id=1, expect=4)
    there = {task["id"]: task["list_id"] for task in await living(client)}
    # A subtask alone: it is in its parent's list.
    part = {"where": {"list_id": 1, "status": "completed"}, "op": "move", "list_id": None}
    back = await client.post(f"{path(client)}/apply", json=part)

    assert into == [1, 4, 5, 6]
    assert there == dict.fromkeys(range(1, 7), 1)
    assert back.status_code == 422
    assert back.json()["errors"][0]["pointer"] == "#/list_id"
    assert {task["list_id"] for task in await living(client)} == {1}
    await apply(client, {"list_id": 1}, "move", list_id=None)
    assert {task["list_id"] for task in await living(client)} == {None}


async def test_all_or_none(client: Client) -> None:
    """What one task cannot take is refused for all, and the answer names the task."""
    await some_tasks(client)
    before = await living(client)

    answer = await client.post(
        f"{path(client)}/apply", json={"where": {}, "op": "update", "changes": {"due_date": None}}
    )

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "#/changes"
    assert error["detail"].endswith("(the task with the id 6)")
    assert await living(client) == before


@pytest.mark.parametrize("expect", [0, 5, 7, 10**15])
async def test_another_number_than_expected_is_a_conflict(client: Client, expect: int) -> None:
    """409 with the number that is found, and nothing is written."""
    await some_tasks(client)
    before = await living(client)

    answer = await client.post(f"{path(client)}/apply", json={"where": {}, "op": "delete", "expect": expect})

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tasks:problem:count-differs")
    assert answer.json()["found"] == 6
    assert await living(client) == before


async def test_nothing_found_is_nothing_written(client: Client) -> None:
    """Also for who has never written anything."""
    for op in ("complete", "delete"):
        assert await apply(client, {}, op, expect=0) == []
    await create(client)
    before = (await client.get(path(client))).headers["etag"]

    assert await apply(client, {"q": "nothing"}, "delete") == []
    assert (await client.get(path(client))).headers["etag"] == before


REFUSED: list[tuple[Any, str]] = [
    ({}, "#"),
    ([], "#"),
    ({"where": {}}, "#"),
    ({"op": "delete"}, "#/where"),
    ({"op": "destroy", "where": {}}, "#"),
    ({"op": ["delete"], "where": {}}, "#"),
    ({"op": "delete", "where": None}, "#/where"),
    ({"op": "delete", "where": "status=pending"}, "#/where"),
    ({"op": "delete", "where": {"status": "deleted"}}, "#/where/status"),
    ({"op": "delete", "where": {"status": None}}, "#/where/status"),
    ({"op": "delete", "where": {"completed": True}}, "#/where/completed"),
    ({"op": "delete", "where": {"sort": "title"}}, "#/where/sort"),
    ({"op": "delete", "where": {"limit": 5}}, "#/where/limit"),
    ({"op": "delete", "where": {"cursor": "x"}}, "#/where/cursor"),
    ({"op": "delete", "where": {"user_id": "somebody"}}, "#/where/user_id"),
    ({"op": "delete", "where": {"priority": "urgent"}}, "#/where/priority"),
    ({"op": "delete", "where": {"priority": ["low"] * 5}}, "#/where/priority"),
    ({"op": "delete", "where": {"tag": ["x"] * 21}}, "#/where/tag"),
    ({"op": "delete", "where": {"tag": [""]}}, "#/where/tag/0"),
    ({"op": "delete", "where": {"tag": [1]}}, "#/where/tag/0"),
    ({"op": "delete", "where": {"due_before": "soon"}}, "#/where/due_before"),
    ({"op": "delete", "where": {"due_before": 5}}, "#/where/due_before"),
    ({"op": "delete", "where": {"overdue": "yes"}}, "#/where/overdue"),
    ({"op": "delete", "where": {"available": "now"}}, "#/where/available"),
    ({"op": "delete", "where": {"overdue": 1}}, "#/where/overdue"),
    # Null is the inbox in a task, and no parent: neither may come to mean all tasks.
    ({"op": "delete", "where": {"list_id": None}}, "#/where/list_id"),
    ({"op": "delete", "where": {"parent_id": None}}, "#/where/parent_id"),
    ({"op": "delete", "where": {"parent_id": 0}}, "#/where/parent_id"),
    ({"op": "delete", "where": {"parent_id": True}}, "#/where/parent_id"),
    ({"op": "delete", "where": {"parent_id": 1.0}}, "#/where/parent_id"),
    ({"op": "delete", "where": {"parent_id": 2**63}}, "#/where/parent_id"),
    ({"op": "delete", "where": {"list_id": [[], 0.01]}}, "#/where/list_id"),
    ({"op": "delete", "where": {"list_id": {"none": 1}}}, "#/where/list_id"),
    ({"op": "delete", "where": {"q": ""}}, "#/where/q"),
    ({"op": "delete", "where": {"q": "\0"}}, "#/where/q"),
    ({"op": "delete", "where": {"q": "x" * 201}}, "#/where/q"),
    ({"op": "delete", "where": {}, "expect": -1}, "#/expect"),
    ({"op": "delete", "where": {}, "expect": "6"}, "#/expect"),
    ({"op": "delete", "where": {}, "expect": 6.0}, "#/expect"),
    ({"op": "delete", "where": {}, "expect": True}, "#/expect"),
    ({"op": "delete", "where": {}, "changes": {}}, "#/changes"),
    ({"op": "delete", "where": {}, "completed": True}, "#/completed"),
    ({"op": "complete", "where": {}, "completed": None}, "#/completed"),
    ({"op": "complete", "where": {}, "completed": False, "skip_missed": True}, "#"),
    ({"op": "update", "where": {}}, "#/changes"),
    ({"op": "update", "where": {}, "changes": None}, "#/changes"),
    ({"op": "update", "where": {}, "changes": {"completed": True}}, "#/changes/completed"),
    ({"op": "update", "where": {}, "changes": {"parent_id": 1}}, "#/changes/parent_id"),
    ({"op": "update", "where": {}, "changes": {"title": ""}}, "#/changes/title"),
    ({"op": "update", "where": {}, "changes": {"id": 7}}, "#/changes/id"),
    ({"op": "update", "where": {}, "changes": {"recurrence": "FREQ=HOURLY"}}, "#/changes/recurrence"),
    ({"op": "move", "where": {}}, "#/list_id"),
    ({"op": "move", "where": {}, "list_id": 99}, "#/list_id"),
    ({"op": "move", "where": {}, "list_id": "1"}, "#/list_id"),
    ({"op": "move", "where": {}, "list_id": 0}, "#/list_id"),
    ({"op": "move", "where": {}, "list_id": None, "after": 1}, "#/after"),
    ({"op": "delete", "where": {str(number): 1 for number in range(5_000)}}, "#/where/0"),
]


@pytest.mark.parametrize(("body", "pointer"), REFUSED, ids=[str(body)[:70] for body, _ in REFUSED])
async def test_what_cannot_be_applied_is_refused(client: Client, body: Any, pointer: str) -> None:
    """422 with where the fault is, at most 20 of them, and nothing is written."""
    await some_tasks(client)
    before = await living(client)

    answer = await client.post(f"{path(client)}/apply", json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert len(answer.json()["errors"]) <= 20
    assert await living(client) == before


@pytest.mark.parametrize("member", ["list_id", "parent_id"])
async def test_a_null_is_told_what_it_may_mean(client: Client, member: str) -> None:
    """The tasks without one, or all of them."""
    answer = await client.post(f"{path(client)}/apply", json={"where": {member: None}, "op": "delete"})

    assert '"none"' in answer.json()["errors"][0]["detail"]


MEANT: list[tuple[dict[str, Any], str, str | None]] = [
    ({"where": {"tags": ["x"]}, "op": "delete"}, "#/where/tags", "tag"),
    ({"where": {"completed": True}, "op": "delete"}, "#/where/completed", "status=completed"),
    ({"where": {"dueBefore": "2026-01-01"}, "op": "delete"}, "#/where/dueBefore", "due_before"),
    ({"where": {"title": "x"}, "op": "delete"}, "#/where/title", None),
    ({"where": {}, "op": "update", "changes": {"dueDate": None}}, "#/changes/dueDate", "due_date"),
    ({"where": {}, "op": "update", "changes": {"tag": "x"}}, "#/changes/tag", "tags"),
    ({"where": {}, "op": "delete", "expected": 3}, "#/expected", "expect"),
    ({"where": {}, "op": "delete", "changes": {}}, "#/changes", None),
    ({"where": {}, "op": "complete", "skipMissed": True}, "#/skipMissed", "skip_missed"),
]


@pytest.mark.parametrize(("body", "pointer", "meant"), MEANT, ids=[pointer for _, pointer, _ in MEANT])
async def test_an_unknown_name_is_told_the_nearest_of_its_place(
    client: Client, body: dict[str, Any], pointer: str, meant: str | None
) -> None:
    """The nearest that may stand there, and none that belongs to another operation or to another object."""
    answer = await client.post(f"{path(client)}/apply", json=body)

    detail = "is not known here" + ("" if meant is None else f"; did you mean `{meant}`?")
    assert answer.json()["errors"] == [{"pointer": pointer, "detail": detail}]


async def test_a_write_is_applied_to_a_bounded_number(database_url: str) -> None:
    """The subtasks that go with what is found count, too; a change takes nothing along."""
    app = create_app(settings_for(database_url, max_apply_tasks=3))
    async with running(app), client_for(app) as client:
        for parent in (None, 1, 1, None):
            await create(client, parent_id=parent)

        too_many = await client.post(f"{path(client)}/apply", json={"where": {}, "op": "delete", "expect": 4})
        with_parts = await client.post(f"{path(client)}/apply", json={"where": {"parent_id": "none"}, "op": "complete"})
        found = await apply(client, {"parent_id": "none"}, "update", changes={"priority": "low"})
        opened = await apply(client, {"parent_id": "none"}, "complete", completed=False)

    for refused in (too_many, with_parts):
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/where")
        assert "at most 3 tasks" in refused.json()["errors"][0]["detail"]
    assert found == opened == [1, 4]


async def test_the_trash_stays_bounded(database_url: str) -> None:
    """A delete of many purges the oldest of the trash, as deletes one by one do."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as client:
        for _ in range(2):
            for _ in range(3):
                await create(client)
            await apply(client, {}, "delete", expect=3)
        trash = (await client.get(f"{path(client)}?status=deleted")).json()

    assert [task["id"] for task in trash] == [6, 5, 4]


async def test_a_keyed_write_is_applied_once(client: Client) -> None:
    """Its answer got lost: the repetition is answered as the first, and nothing moves on a second time."""
    await some_tasks(client)
    body, key = {"where": {"q": "daily"}, "op": "complete"}, {"Idempotency-Key": "once"}

    answers = [await client.post(f"{path(client)}/apply", json=body, headers=key) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"count": 1, "ids": [6]}] * 2
    assert (await read_task(client, 6))["due_date"] == "2020-01-02"
