"""A new version takes over from the old one while people work: nothing is lost, and nothing made twice."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import httpx

from tests.deploy.proxy import Process, needs_nginx, processes, proxy
from tests.support.postgres import Server
from tests.support.programs import PATIENCE_SECONDS
from tests.support.tokens import new_user

USERS = 8


class Worker:
    """Somebody who creates, changes, reads and deletes all the time, and notes each answer."""

    def __init__(self, client: httpx.AsyncClient, user_id: str) -> None:
        self.client = client
        self.tasks = f"/api/{user_id}/tasks"
        self.answers: Counter[tuple[str, int | str]] = Counter()
        self.titles: list[str] = []
        self.deleted = 0

    async def ask(self, method: str, path: str, **options: object) -> httpx.Response | None:
        try:
            answer = await self.client.request(method, path, **options)  # type: ignore[arg-type] # as httpx takes them
        except httpx.HTTPError as error:
            self.answers[method, type(error).__name__] += 1
            return None
        self.answers[method, answer.status_code] += 1
        return answer

    async def work(self, stopped: asyncio.Event) -> None:
        for number in itertools.count():
            if stopped.is_set():
                return
            title = f"task-{number}"
            keyed = {"Idempotency-Key": title} if number % 2 else {}
            created = await self.ask("POST", self.tasks, json={"title": title}, headers=keyed)
            if created is None or created.status_code != 201:
                continue
            self.titles.append(title)
            mine = f"{self.tasks}/{created.json()['id']}"
            await self.ask("PATCH", mine, json={"description": "changed"})
            await self.ask("PUT", mine, json={"title": title})
            await self.ask("GET", self.tasks, params={"limit": 5})
            if number % 4 == 0:
                await self.ask("DELETE", mine)
                self.titles.pop()

    async def kept(self) -> list[str]:
        found: list[str] = []
        path: str | None = f"{self.tasks}?limit=500&sort=-created"
        while path:
            page = await self.client.get(path)
            found += [task["title"] for task in page.json()]
            path = page.links.get("next", {}).get("url")
        return found


async def restart(process: Process) -> None:
    await asyncio.to_thread(process.end)
    await asyncio.to_thread(process.start)


@needs_nginx
async def test_a_rolling_restart_loses_nothing(server: Server, tmp_path: Path) -> None:
    """Two processes are restarted one after the other under load: every request is answered with 2xx, and made
    once."""
    with server.new_database() as name:
        settings = {
            "DATABASE_URL": server.database_url(name, "tasks_login"),
            "RATE_LIMIT_PER_USER": "1000000/minute",
            "DATABASE_POOL_SIZE": "5",
        }
        with processes(2, **settings) as two, proxy(tmp_path, [process.port for process in two]) as nginx:
            users = [new_user() for _ in range(USERS)]
            clients = [nginx.client(user) for user in users]
            workers = [Worker(client, user) for client, user in zip(clients, users, strict=True)]
            stopped = asyncio.Event()
            working = [asyncio.create_task(worker.work(stopped)) for worker in workers]
            first = [process.running.pid for process in two]
            ended = []
            for process in two:
                before = process.running
                await restart(process)
                ended.append(before.returncode)
            stopped.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*working)
            answered = sum((worker.answers for worker in workers), Counter[tuple[str, int | str]]())
            kept = [await worker.kept() for worker in workers]
            for client in clients:
                await client.aclose()

    assert {status for _, status in answered} <= {200, 201, 204}, answered
    assert [sorted(titles) for titles in kept] == [sorted(worker.titles) for worker in workers]
    assert answered["POST", 201] > 100
    assert set(ended) <= {0, -15}
    assert not {process.running.pid for process in two} & set(first)
