"""Tasks through the API: how tests make, read and address them."""

from typing import Any

from tests.support import leaks
from tests.support.applications import Client

KEY = {"Idempotency-Key": "once"}
# Every member by which a task is planned.
PLAN = {
    "priority": "high",
    "due_date": "2026-12-24T18:00:00.50+01:00",
    "time_zone": "Europe/Berlin",
    "recurrence": "FREQ=WEEKLY;COUNT=3",
    "recurrence_from": "completion",
    "tags": ["Home", "zwei Wörter"],
}


async def create(client: Client, **members: Any) -> dict[str, Any]:
    """A new task with these members; a title is there when none is given."""
    answer = await client.post(f"/api/{client.user_id}/tasks", json={"title": leaks.TITLE, **members})
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    return task


def path(client: Client, task_id: int | None = None, rest: str = "") -> str:
    """The path of the user's list, or of a task, or of what is below it (`rest`)."""
    return f"/api/{client.user_id}/tasks" + ("" if task_id is None else f"/{task_id}{rest}")


async def read_task(client: Client, task_id: int) -> dict[str, Any]:
    """The task as GET answers it."""
    task: dict[str, Any] = (await client.get(path(client, task_id))).json()
    return task


def exported_task(number: int, **members: Any) -> dict[str, Any]:
    """A task as it stands in an export file."""
    moment = "2026-01-01T00:00:00Z"
    return {"id": number, "title": f"task {number}", "created_at": moment, "updated_at": moment, **members}
