"""PUT takes a task as GET answered it, which is what generated clients send."""

from typing import Any

import pytest

from tests.support.applications import Client
from tests.support.tasks import create, path, read_task

VARIETY: list[dict[str, Any]] = [
    {},
    {"completed": True},
    {"description": "Two litres", "priority": "high", "tags": ["Home", "b"]},
    {"due_date": "2026-12-24"},
    {"due_date": "2026-12-24T18:00:00.5+01:00", "time_zone": "Europe/Berlin"},
    {"due_date": "2026-12-24", "recurrence": "FREQ=WEEKLY;BYDAY=TH", "recurrence_from": "completion"},
    {"start_date": "2026-12-20"},
    {"start_date": "2026-12-20T18:00:00+01:00", "due_date": "2026-12-24", "recurrence": "FREQ=DAILY"},
    {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY"},
    {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY", "recurrence_from": "schedule"},
]


@pytest.mark.parametrize("members", VARIETY)
async def test_a_task_comes_back_as_it_was_answered(client: Client, members: dict[str, Any]) -> None:
    """Nothing changes but the revision and the time of the change."""
    await create(client, **members)
    answered = await read_task(client, 1)

    put = await client.put(path(client, 1), json=answered)

    assert put.status_code == 200, put.text
    moved = {"revision", "updated_at"}
    assert {**put.json(), **dict.fromkeys(moved)} == {**answered, **dict.fromkeys(moved)}
    assert put.json()["revision"] > answered["revision"]


async def test_a_subtask_comes_back_as_it_was_answered(client: Client) -> None:
    """With its parent."""
    await create(client)
    await create(client, parent_id=1)

    put = await client.put(path(client, 2), json=await read_task(client, 2))

    assert (put.status_code, put.json()["parent_id"]) == (200, 1)


@pytest.mark.parametrize(
    "ignored",
    [
        {"revision": 1},
        {"revision": None},
        {"created_at": "1999-01-01T00:00:00Z"},
        {"created_at": None},
        {"updated_at": "1999-01-01T00:00:00.123456789+05:00"},
        {"completed_at": "1999-01-01t00:00:00z"},
        {"completed_at": None},
        {"recurrence_from": None},
    ],
)
async def test_what_the_server_sets_is_ignored(client: Client, ignored: dict[str, Any]) -> None:
    """Whatever it says."""
    before = await create(client)

    put = await client.put(path(client, 1), json={"title": "t", **ignored})

    assert put.status_code == 200, put.text
    assert put.json()["created_at"] == before["created_at"]
    assert put.json()["completed_at"] is None
    assert put.json()["recurrence_from"] is None
    assert put.json()["revision"] == before["revision"] + 1


@pytest.mark.parametrize(
    ("other", "pointers"),
    [
        ({"id": 2}, ["#/id"]),
        ({"id": None}, ["#/id"]),
        ({"id": "1"}, ["#/id"]),
        ({"id": 0}, ["#/id"]),
        ({"id": True}, ["#/id"]),
        ({"user_id": "somebody-else"}, ["#/user_id"]),
        ({"user_id": ""}, ["#/user_id"]),
        ({"user_id": None}, ["#/user_id"]),
        ({"id": 2, "user_id": "somebody-else"}, ["#/id", "#/user_id"]),
        ({"created_at": "yesterday"}, ["#/created_at"]),
        ({"updated_at": 5}, ["#/updated_at"]),
        ({"completed_at": "2026-01-01"}, ["#/completed_at"]),
        ({"revision": "1"}, ["#/revision"]),
        ({"deleted_at": None}, ["#/deleted_at"]),
        ({"recurrence_from": "now"}, ["#/recurrence_from"]),
    ],
)
async def test_another_task_or_no_task_is_refused(client: Client, other: dict[str, Any], pointers: list[str]) -> None:
    """`id` and `user_id` must be the path's, and what is ignored must be what could have been answered."""
    before = await create(client)

    put = await client.put(path(client, 1), json={"title": "changed", **other})

    assert put.status_code == 422
    assert [error["pointer"] for error in put.json()["errors"]] == pointers
    assert await read_task(client, 1) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_what_a_task_repeats_from_is_taken_as_it_is_answered(client: Client, method: str) -> None:
    """Null is what a task has that does not repeat; of one that does it is the default."""
    repeating = {"title": "t", "due_date": "2026-12-24", "recurrence": "FREQ=DAILY"}
    await create(client, **repeating, recurrence_from="completion")
    url = path(client, None if method == "POST" else 1)

    plain = await client.request(method, url, json={"title": "t", "recurrence": None, "recurrence_from": None})
    again = await client.request(method, url, json={**repeating, "recurrence_from": None})

    assert plain.json()["recurrence_from"] is None
    assert again.json()["recurrence_from"] == "due_date"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("member", ["id", "user_id", "revision", "created_at", "updated_at", "completed_at"])
async def test_other_writes_do_not_take_what_the_server_sets(client: Client, method: str, member: str) -> None:
    """A member there would look like something that can be changed."""
    answered = await create(client)

    refused = await client.request(
        method, path(client, 1 if method == "PATCH" else None), json={"title": "t", member: answered[member]}
    )

    assert refused.status_code == 422
