"""Sixty users at work on an API, and what each was answered; afterwards each one's tasks are counted."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey

from scripts.citus.nodes import Cluster

USERS: Final = 60
PAUSE_SECONDS: Final = 0.05
TOKEN_SECONDS: Final = 3600
ANSWER_SECONDS: Final = 30.0
# In place of a status, where the connection broke.
NO_ANSWER: Final = 0


@dataclass
class User:
    """One user; `port` is that of the node that has their rows."""

    name: str
    port: int
    # Status, when it was asked (time.monotonic()), seconds it took.
    answers: list[tuple[int, float, float]] = field(default_factory=list)
    created: set[str] = field(default_factory=set)
    # Titles that may be gone: their deletion was asked for.
    uncertain: set[str] = field(default_factory=set)

    def statuses(self, since: float, until: float) -> Counter[int]:
        return Counter(status for status, asked, _ in self.answers if since <= asked < until)


def users(cluster: Cluster, database: str) -> list[User]:
    """Users of new names, as many as USERS, with the place of their rows."""
    made = []
    for number in range(USERS):
        name = f"user{number}-{time.time_ns()}"
        [[port]] = cluster.coordinator.execute(
            "SELECT nodeport FROM citus_shards WHERE shardid = "  # noqa: S608 - a name of our own
            f"get_shard_id_for_distribution_column('task_lists', '{name}')",
            database,
        )
        made.append(User(name, port))
    return made


class Load:
    """Each user creates, lists, completes and deletes, one request after the other."""

    def __init__(self, url: str, secret: str, users: list[User]) -> None:
        self.users = users
        self._url = url
        self._key = OctKey.import_key(secret)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=self._url, timeout=ANSWER_SECONDS, trust_env=False) as client:
            tasks = [asyncio.create_task(self._work(client, user)) for user in self.users]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def faults(self) -> tuple[int, int]:
        """How many acknowledged tasks are not there, and how many are there twice."""
        lost = twice = 0
        async with httpx.AsyncClient(base_url=self._url, timeout=ANSWER_SECONDS, trust_env=False) as client:
            for user in self.users:
                exported = await client.get(f"/api/{user.name}/export", headers=self._headers(user))
                exported.raise_for_status()
                titles = Counter(task["title"] for task in exported.json()["tasks"])
                lost += len(user.created - user.uncertain - titles.keys())
                twice += sum(number > 1 for number in titles.values())
        return lost, twice

    async def _work(self, client: httpx.AsyncClient, user: User) -> None:
        path = f"/api/{user.name}/tasks"
        for number in itertools.count():
            title = f"task {number}"
            created = await self._ask(client, user, "POST", path, {"title": title})
            await self._ask(client, user, "GET", path)
            if created is not None and created.status_code == httpx.codes.CREATED:
                user.created.add(title)
                task = created.headers["location"]
                await self._ask(client, user, "PATCH", f"{task}/complete")
                if number % 2:
                    user.uncertain.add(title)
                    await self._ask(client, user, "DELETE", task)

    async def _ask(
        self, client: httpx.AsyncClient, user: User, method: str, path: str, body: Any = None
    ) -> httpx.Response | None:
        """The answer, or None where the connection broke."""
        asked = time.monotonic()
        answer = None
        with contextlib.suppress(httpx.TransportError):
            answer = await client.request(method, path, json=body, headers=self._headers(user))
        status = NO_ANSWER if answer is None else answer.status_code
        user.answers.append((status, asked, time.monotonic() - asked))
        await asyncio.sleep(PAUSE_SECONDS)
        return answer

    def _headers(self, user: User) -> dict[str, str]:
        claims = {"sub": user.name, "exp": int(time.time()) + TOKEN_SECONDS}
        return {"Authorization": f"Bearer {jwt.encode({'alg': 'HS256'}, claims, self._key)}"}
