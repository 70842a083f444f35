"""Completions through the API: how tests make, read and undo them."""

from typing import Any

from tests.support.applications import Client
from tests.support.tasks import create, path

WEEKLY: dict[str, Any] = {
    "due_date": "2026-12-24",
    "start_date": "2026-12-20",
    "recurrence": "FREQ=WEEKLY;COUNT=3",
    "reminders": ["-P1D", "2099-12-24T09:00:00Z"],
}


def completions_path(client: Client, rest: str = "") -> str:
    return f"/api/{client.user_id}/completions{rest}"


async def listed_completions(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(completions_path(client, query))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def complete_task(client: Client, task_id: int, **body: Any) -> dict[str, Any]:
    answer = await client.patch(path(client, task_id, "/complete"), json={"completed": True, **body})
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def undo_completion(client: Client, completion: str, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await client.delete(completions_path(client, f"/{completion}"), headers=headers)
    return answer.status_code, answer.json()


async def last_completion(client: Client) -> str:
    return str((await listed_completions(client))[0]["id"])


async def fill_completions(client: Client) -> list[str]:
    """Completions of all kinds, in the trash too; their ids, the newest first."""
    weekly = await create(client, **{**WEEKLY, "recurrence": "FREQ=WEEKLY"})
    plain, deleted = [await create(client) for _ in range(2)]
    for task in (weekly, plain, weekly, deleted, weekly):
        await complete_task(client, task["id"])
    await client.delete(path(client, deleted["id"]))
    return [one["id"] for one in await listed_completions(client)]
