"""The benchmark's peer with the project's walls answers as the project does, or there would be nothing to compare."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.bench import contestants
from tests.support import node
from tests.support.applications import Client
from tests.support.postgres import Server
from tests.support.tokens import SECRET, new_user, token

TASK = {
    "title": "Buy milk",
    "description": "Two liters",
    "priority": "high",
    "due_date": "2030-01-31",
    "tags": ["shop"],
}
CHANGED = {"title": "Buy bread", "description": None}
WRITES = [("POST", "", TASK, 201), ("PUT", "/1", CHANGED, 200), ("PATCH", "/1/complete", None, 200)]


@pytest.fixture(scope="module")
def walled(server: Server, database_url: str) -> Iterator[str]:
    """Its address, on the database that the API under test has."""
    node.packages(contestants.HERE / "fastify")
    name = database_url.partition("?")[0].rpartition("/")[2]
    contestant = contestants.fastify_walled(server.database_url(name), BETTER_AUTH_SECRET=SECRET)
    someone = new_user()
    with contestant.start() as running:
        running.wait(f"/api/{someone}/tasks", token(someone))
        yield running.url


def known(task: dict[str, Any]) -> dict[str, Any]:
    """What the peer knows of a task: it computes no place for one that was never moved."""
    return {name: value for name, value in task.items() if name != "position"}


def ask(url: str, user_id: str, method: str, path: str, body: object = None, *, owner: str = "") -> httpx.Response:
    """What the peer at `url` answers a user below their own tasks, or below an owner's."""
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    content = {} if body is None else {"json": body}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        return client.request(method, f"/api/{owner or user_id}/tasks{path}", **content)  # type: ignore[arg-type] # a JSON value


async def test_each_operation_answers_as_the_api(walled: str, client: Client) -> None:
    """What it wrote and answered is what the API reads, to the byte of a moment and the number of a revision."""
    me = client.user_id
    for method, path, body, status in WRITES:
        written = ask(walled, me, method, path, body)
        read = await client.get(f"/api/{me}/tasks/1")
        got = ask(walled, me, "GET", "/1")

        assert (written.status_code, known(written.json())) == (status, known(read.json()))
        assert (got.status_code, known(got.json())) == (200, known(read.json()))
        assert written.headers["ETag"] == read.headers["ETag"] == got.headers["ETag"]
    await client.post(f"/api/{me}/tasks", json=TASK)
    listed = await client.get(f"/api/{me}/tasks")

    assert [task["id"] for task in listed.json()] == [2, 1]
    assert list(map(known, ask(walled, me, "GET", "").json())) == list(map(known, listed.json()))


async def test_another_users_task_is_not_there(walled: str, client: Client) -> None:
    """A stranger's own path has no such task, and the owner's path is refused."""
    await client.post(f"/api/{client.user_id}/tasks", json=TASK)
    stranger = new_user()

    for method, path, body in (("GET", "/1", None), ("PUT", "/1", CHANGED), ("PATCH", "/1/complete", None)):
        assert ask(walled, stranger, method, path, body).status_code == 404
    assert ask(walled, stranger, "GET", "").json() == []
    assert ask(walled, stranger, "GET", "/1", owner=client.user_id).status_code == 403
