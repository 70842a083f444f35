"""Repeating tasks that are late: what was missed is skipped, once or always."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.applications import Client
from tests.support.tasks import create, path, read_task

DAYS_LATE = 20


async def late(client: Client, **members: Any) -> dict[str, Any]:
    """A daily task that was due 20 days ago, an hour later than now: so it is due again in an hour."""
    due = (datetime.now(UTC) - timedelta(days=DAYS_LATE) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return await create(client, due_date=due, **{"recurrence": "FREQ=DAILY", **members})


async def done(client: Client, task_id: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {} if body is None else {"json": body}
    answer = await client.patch(path(client, task_id, "/complete"), **content)
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


def days_between(task: dict[str, Any]) -> int:
    dates = [datetime.fromisoformat(text) for text in (task["completed_occurrence"]["due_date"], task["due_date"])]
    return (dates[1] - dates[0]).days


SKIP = {"completed": True, "skip_missed": True}


@pytest.mark.parametrize(
    ("recurrence_from", "body", "days"),
    [
        ("schedule", None, DAYS_LATE),
        ("schedule", {"completed": True}, DAYS_LATE),
        ("schedule", SKIP, DAYS_LATE),
        ("schedule", {"completed": True, "skip_missed": False}, DAYS_LATE),
        ("due_date", None, 1),
        ("due_date", {"completed": True}, 1),
        ("due_date", {"completed": True, "skip_missed": False}, 1),
        ("due_date", SKIP, DAYS_LATE),
    ],
)
async def test_what_was_missed_is_skipped(
    client: Client, recurrence_from: str, body: dict[str, Any] | None, days: int
) -> None:
    """One completion comes to the next occurrence that is not past, and says how many it has skipped."""
    task = await late(client, recurrence_from=recurrence_from)

    moved = await done(client, task["id"], body)

    assert (moved["completed"], days_between(moved)) == (False, days)
    assert moved["completed_occurrence"]["skipped"] == days - 1
    assert (moved["recurrence"], moved["recurrence_from"]) == ("FREQ=DAILY", recurrence_from)
    assert datetime.fromisoformat(moved["due_date"]) > datetime.now(UTC) or days == 1


async def test_from_completion_nothing_is_missed(client: Client) -> None:
    """It goes on from the day of the completion, with and without `skip_missed`, and skips none of a COUNT."""
    task = await late(client, recurrence_from="completion", recurrence="FREQ=DAILY;COUNT=3")

    moved = await done(client, task["id"], SKIP)

    assert (moved["recurrence"], moved["completed_occurrence"]["skipped"]) == ("FREQ=DAILY;COUNT=2", 0)


@pytest.mark.parametrize(("count", "left"), [(DAYS_LATE + 5, 5), (DAYS_LATE + 1, 1), (DAYS_LATE, None), (1, None)])
async def test_a_count_falls_by_what_is_skipped(client: Client, count: int, left: int | None) -> None:
    """Where none is left the task is completed for good, with its subtasks."""
    task = await late(client, recurrence=f"FREQ=DAILY;COUNT={count}", recurrence_from="schedule")
    part = await create(client, parent_id=task["id"])

    moved = await done(client, task["id"])

    assert moved["completed"] == (left is None)
    assert (await read_task(client, part["id"]))["completed"] == (left is None)
    if left is None:
        assert "completed_occurrence" not in moved
        assert moved["due_date"] == task["due_date"]
    else:
        assert moved["recurrence"] == f"FREQ=DAILY;COUNT={left}"


async def test_a_patch_that_completes_keeps_the_schedule(client: Client) -> None:
    """As the toggle does; and a batch may skip once."""
    patched, in_batch = [await late(client, recurrence_from=start) for start in ("schedule", "due_date")]

    moved = (await client.patch(path(client, patched["id"]), json={"completed": True})).json()
    operation = {"op": "complete", "id": in_batch["id"], "skip_missed": True}
    batch = await client.post(f"/api/{client.user_id}/batch", json={"operations": [operation]})

    assert datetime.fromisoformat(moved["due_date"]) > datetime.now(UTC)
    assert batch.json()["results"][0]["task"]["completed_occurrence"]["skipped"] == DAYS_LATE - 1


@pytest.mark.parametrize("body", [SKIP, {"completed": False}])
async def test_what_does_not_repeat_has_nothing_to_skip(client: Client, body: dict[str, Any]) -> None:
    """It is completed, or opened, as ever."""
    task = await create(client)

    assert (await done(client, task["id"], body))["completed"] is body["completed"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"skip_missed": True}, "#/completed"),
        ({"completed": False, "skip_missed": True}, "#"),
        ({"completed": True, "skip_missed": None}, "#/skip_missed"),
        ({"completed": True, "skip_missed": "true"}, "#/skip_missed"),
        ({"completed": True, "skip_missed": 1}, "#/skip_missed"),
        ({"completed": True, "skipMissed": True}, "#/skipMissed"),
        ({"completed": True, "skipped": 3}, "#/skipped"),
    ],
)
@pytest.mark.parametrize("in_batch", [False, True])
async def test_what_cannot_be_skipped_is_refused(
    client: Client, body: dict[str, Any], pointer: str, in_batch: bool
) -> None:
    """422 with where the fault is, and nothing is changed; in a batch `completed` is true unless it is given."""
    task = await late(client)
    if in_batch and "completed" not in body:
        return

    if in_batch:
        operation = {"op": "complete", "id": task["id"], **body}
        answer = await client.post(f"/api/{client.user_id}/batch", json={"operations": [operation]})
        pointer = pointer.replace("#", "#/operations/0")
    else:
        answer = await client.patch(path(client, task["id"], "/complete"), json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await read_task(client, task["id"]) == task


async def test_the_schedule_is_kept_over_the_trash_and_a_file(client: Client) -> None:
    """Deleted and restored, exported and imported: it repeats as before."""
    task = await late(client, recurrence_from="schedule")
    await client.delete(path(client, task["id"]))
    restored = (await client.post(path(client, task["id"], "/restore"))).json()
    file = (await client.get(f"/api/{client.user_id}/export")).json()
    await client.delete(f"/api/{client.user_id}")

    imported = await client.post(f"/api/{client.user_id}/import", json=file)

    assert restored["recurrence_from"] == file["tasks"][0]["recurrence_from"] == "schedule"
    assert imported.status_code == 200, imported.text
    assert (await read_task(client, task["id"]))["recurrence_from"] == "schedule"
    assert (await done(client, task["id"]))["completed_occurrence"]["skipped"] == DAYS_LATE - 1


async def test_two_thousand_years_late(client: Client) -> None:
    """Answered as soon as any other."""
    task = await create(client, due_date="0001-01-01", recurrence="FREQ=DAILY", recurrence_from="schedule")

    moved = await done(client, task["id"])

    assert moved["completed_occurrence"]["skipped"] > 700_000
    assert moved["due_date"] >= datetime.now(UTC).date().isoformat()
