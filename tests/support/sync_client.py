"""A client that keeps a copy of a user's tasks by asking for changes."""

from typing import Any

import httpx

from tests.support.applications import Client
from tests.support.tasks import path


async def ask(client: Client, since: Any, limit: int = 100) -> httpx.Response:
    return await client.get(f"/api/{client.user_id}/changes?since={since}&limit={limit}")


# What an answer tells of, and where it says which of those are gone.
TOLD = {"tasks": "deleted", "lists": "deleted_lists", "completions": "deleted_completions"}


def told_count(answer: dict[str, Any]) -> int:
    """How many changes an answer holds."""
    return sum(len(answer[name]) for names in TOLD.items() for name in names)


class Copy:
    """What a client does: apply an answer, and ask again with its revision."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.since = 0
        self.tasks: dict[int, Any] = {}
        self.completions: dict[str, Any] = {}

    async def follow(self, limit: int = 100, at_most: int = 1000) -> None:
        """Until nothing is left, or for so many answers."""
        for _ in range(at_most):
            answer = await ask(self.client, self.since, limit)
            if answer.status_code == 410:
                self.since, self.tasks, self.completions = 0, {}, {}
                continue
            told = answer.json()
            assert told_count(told) <= limit
            for name, kept in (("tasks", self.tasks), ("completions", self.completions)):
                kept.update({one["id"]: one for one in told[name]})
                for gone in told[TOLD[name]]:
                    kept.pop(gone, None)
            self.since = told["revision"]
            if not told["has_more"]:
                return

    async def is_whole(self) -> bool:
        listed = (await self.client.get(path(self.client) + "?limit=500")).json()
        return bool(listed == sorted(self.tasks.values(), key=lambda task: -task["id"]))
