"""Two users and every operation of the OpenAPI document: a new route is covered the day it is added."""

import contextlib
from typing import Any

import pytest

from backend.app.main import create_app
from backend.app.models import metadata
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.wire import wire_to

# A stream that ends by itself: the client here waits for whole answers.
SOON_OVER = {"events_lifetime": 0.01}
METHODS = ("get", "post", "put", "patch", "delete")


TITLE = {"title": "Bob was here", "completed": True}
MOMENT = "2026-01-01T00:00:00Z"
# What is sent to a route: what it takes, about the task that Alice has.
BODIES: dict[str, Any] = {
    "POST batch": {"operations": [{"op": "create", "task": TITLE}, {"op": "update", "id": 1, "changes": TITLE}]},
    "POST import": {
        "format": "tasks-backend",
        "version": 1,
        "tasks": [{**TITLE, "id": 1, "created_at": MOMENT, "updated_at": MOMENT}],
        "completions": [{"task_id": 1, "completed_at": MOMENT, "title": "Bob was here"}],
    },
    "POST apply": {"where": {}, "op": "update", "changes": {"title": "Bob was here"}},
    "POST claim": {"token": "not a token"},
    "POST tasks": TITLE,
    "POST lists": {"name": "Bob was here"},
    "PATCH {list_id}": {"name": "Bob was here"},
    "PATCH move": {"after": None},
    "PUT {task_id}": TITLE,
    "PATCH {task_id}": TITLE,
}


def operations() -> list[tuple[str, str]]:
    """Method and path of every operation that is not public."""
    paths = create_app(settings_for("postgresql://nobody@localhost/none")).openapi()["paths"]
    return [
        (method.upper(), path)
        for path, item in paths.items()
        for method in METHODS
        if method in item and item[method]["security"]
    ]


def address(path: str, user_id: str) -> str:
    filled = path.replace("{user_id}", user_id).replace("{task_id}", "1").replace("{list_id}", "1")
    filled = filled.replace("{completion_id}", "1-1767225600000000")
    assert "{" not in filled, f"say here what stands for the parameters of {path}"
    return filled


async def rows_of(server: Server, name: str, user_id: str) -> list[Any]:
    return [
        server.execute(f"SELECT * FROM {table} WHERE user_id = '{user_id}' ORDER BY 1, 2", database=name)
        for table in metadata.tables
    ]


async def with_a_task(client: Client) -> None:
    made = await client.post(f"/api/{client.user_id}/tasks", json={"title": f"of {client.user_id}"})
    assert made.status_code == 201
    path = f"/api/{client.user_id}/tasks/1"
    await client.patch(path, json={"due_date": "2026-12-24", "recurrence": "FREQ=DAILY", "completed": True})
    await client.patch(f"{path}/complete")
    [newest, _] = (await client.get(f"/api/{client.user_id}/completions")).json()
    await client.delete(f"/api/{client.user_id}/completions/{newest['id']}")
    made = await client.post(f"/api/{client.user_id}/lists", json={"name": f"of {client.user_id}"})
    assert made.status_code == 201


@pytest.mark.parametrize(("method", "path"), operations())
async def test_no_operation_reaches_another_users_rows(
    server: Server, database_url: str, method: str, path: str
) -> None:
    """Bob on Alice's path is 403, nobody 401, before the database; on his own path Bob meets nothing of hers."""
    name = database_url.partition("@/")[2].partition("?")[0]
    known = BODIES.get(f"{method} {path.rpartition('/')[2]}")
    body: dict[str, Any] = {} if known is None else {"json": known}
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = await stack.enter_async_context(running(create_app(settings_for(url, **SOON_OVER))))
        alice, bob = [await stack.enter_async_context(client_for(app)) for _ in range(2)]
        await with_a_task(alice)
        before, queries = await rows_of(server, name, alice.user_id), wire.queries

        foreign = await bob.request(method, address(path, alice.user_id), **body)
        nobody = await bob.request(method, address(path, alice.user_id), headers={"Authorization": ""}, **body)
        asked = wire.queries - queries
        own = await bob.request(method, address(path, bob.user_id), **body)
        after = await rows_of(server, name, alice.user_id)

    assert (foreign.status_code, nobody.status_code, asked) == (403, 401, 0)
    assert alice.user_id not in foreign.text + own.text
    assert before == after


def test_every_operation_is_public_or_under_a_user_id() -> None:
    """A route that forgot `{user_id}` would be unreachable; none is in the document."""
    assert [path for _, path in operations() if not path.startswith("/api/{user_id}")] == []
    assert len(operations()) == 29
