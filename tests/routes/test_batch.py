"""Several writes in one request: all of them, or none."""

import contextlib
from typing import Any

import httpx
import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tasks import create, path
from tests.support.ways import messages_ahead
from tests.support.wire import wire_to


async def batch(client: Client, *operations: dict[str, Any], **options: Any) -> httpx.Response:
    return await client.post(f"/api/{client.user_id}/batch", json={"operations": list(operations)}, **options)


async def state(client: Client) -> Any:
    return [(await client.get(path(client) + query)).json() for query in ("", "?status=deleted")]


async def test_operations_are_made_in_their_order(client: Client) -> None:
    """Each is answered as its own request would have been; later ones name what earlier ones created."""
    old = await create(client)
    await create(client)

    answer = await batch(
        client,
        {"op": "create", "ref": "list", "task": {"title": "Shopping", "tags": ["home"]}},
        {"op": "create", "ref": "milk", "parent_ref": "list", "task": {"title": "Milk"}},
        {"op": "create", "task": {"title": "Bread", "parent_id": old["id"]}},
        {"op": "update", "ref": "milk", "changes": {"priority": "high"}},
        {"op": "complete", "ref": "list"},
        {"op": "complete", "id": 3, "completed": False},
        {"op": "update", "id": old["id"], "changes": {"title": "old"}, "if_revision": old["revision"]},
        {"op": "delete", "id": 2},
        {"op": "restore", "id": 2},
        {"op": "delete", "ref": "milk"},
    )

    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 201, 201, 200, 200, 200, 200, 204, 200, 204]
    assert ["task" in result for result in results] == [status != 204 for status in (r["status"] for r in results)]
    assert [result["task"]["id"] for result in results[:3]] == [3, 4, 5]
    assert results[1]["task"]["parent_id"] == 3
    living, trash = await state(client)
    assert {task["id"]: task["completed"] for task in living} == {1: False, 2: False, 3: False, 5: False}
    assert [(task["id"], task["completed"], task["priority"]) for task in trash] == [(4, True, "high")]


GOOD = {"op": "create", "task": {"title": "good"}}
FAILING: list[tuple[dict[str, Any], int, str]] = [
    ({"op": "update", "id": 99, "changes": {}}, 404, "task-not-found"),
    ({"op": "complete", "id": 99}, 404, "task-not-found"),
    ({"op": "delete", "id": 99}, 404, "task-not-found"),
    ({"op": "restore", "id": 1}, 404, "task-not-found"),
    ({"op": "update", "id": 1, "changes": {"title": "x"}, "if_revision": 1}, 412, "precondition-failed"),
    ({"op": "delete", "id": 1, "if_revision": 1}, 412, "precondition-failed"),
    ({"op": "create", "task": {"title": "t", "parent_id": 99}}, 422, "validation-failed"),
    ({"op": "update", "id": 1, "changes": {"recurrence": "FREQ=DAILY"}}, 422, "validation-failed"),
    ({"op": "delete", "ref": "never"}, 422, "validation-failed"),
    ({"op": "create", "parent_ref": "never", "task": {"title": "t"}}, 422, "validation-failed"),
]


@pytest.mark.parametrize(("failing", "status", "slug"), FAILING, ids=range(len(FAILING)))
async def test_one_that_is_refused_undoes_all(client: Client, failing: dict[str, Any], status: int, slug: str) -> None:
    """Answered as its own request would have been, with its number; not even a revision is used up."""
    await create(client)
    before = await state(client)

    answer = await batch(client, GOOD, {"op": "complete", "id": 1}, failing, GOOD)

    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["operation"]) == (status, f"urn:tasks:problem:{slug}", 2)
    assert await state(client) == before
    assert (await create(client))["revision"] == before[0][0]["revision"] + 1


async def test_the_cap_holds_in_a_batch(database_url: str) -> None:
    """The one that would be too many undoes those before it."""
    app = create_app(settings_for(database_url, max_tasks_per_user=2))
    async with running(app), client_for(app) as client:
        answer = await batch(client, GOOD, GOOD, GOOD)
        listed = await client.get(path(client))

    assert (answer.status_code, answer.json()["operation"], listed.json()) == (422, 2, [])


MALFORMED: list[tuple[Any, str]] = [
    ([], "#/operations"),
    ([GOOD] * 101, "#/operations"),
    ([{"op": "explode"}], "#/operations/0"),
    ([{}], "#/operations/0"),
    ([GOOD, {"op": "delete"}], "#/operations/1"),
    ([{"op": "delete", "id": 1, "ref": "a"}], "#/operations/0"),
    ([{"op": "delete", "id": "1"}], "#/operations/0/id"),
    ([{"op": "create", "task": {}}], "#/operations/0/task/title"),
    ([{"op": "create", "task": {"title": "t", "user_id": "bob"}}], "#/operations/0/task/user_id"),
    ([{"op": "create", "ref": "", "task": {"title": "t"}}], "#/operations/0/ref"),
    ([{"op": "create", "parent_ref": "a", "task": {"title": "t", "parent_id": 1}}], "#/operations/0"),
    ([{"op": "update", "id": 1, "changes": {"title": None}}], "#/operations/0/changes/title"),
]


@pytest.mark.parametrize(("operations", "pointer"), MALFORMED, ids=range(len(MALFORMED)))
async def test_a_malformed_batch_is_422(client: Client, operations: Any, pointer: str) -> None:
    """Before the database, with where the fault is."""
    answer = await client.post(f"/api/{client.user_id}/batch", json={"operations": operations})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_batch_has_a_body_limit_of_its_own(client: Client) -> None:
    """A hundred long tasks are more than another body may be; past MAX_BATCH_BYTES it is 413."""
    long = {"op": "create", "task": {"title": "t", "description": "ä" * 1000}}

    assert (await batch(client, *[long] * 100)).status_code == 200
    assert (await client.post(path(client), json={"title": "t", "description": "x" * 70_000})).status_code == 413
    assert (await batch(client, {"op": "create", "task": {"title": "x" * 600_000}})).status_code == 413


async def test_a_batch_with_a_key_is_made_once(client: Client) -> None:
    """It is one write: its repetition gets the first answer."""
    key = {"Idempotency-Key": "one"}

    first = await batch(client, GOOD, GOOD, headers=key)
    again = await batch(client, GOOD, GOOD, headers=key)

    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await client.get(path(client))).json()) == 2


async def test_a_database_that_goes_away_is_nobodys_fault(database_url: str) -> None:
    """503, and not an operation that was refused; nothing of the batch is there."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = await stack.enter_async_context(running(create_app(settings_for(url, database_connect_timeout=0.5))))
        client = await stack.enter_async_context(client_for(app))
        await create(client)
        wire.lose_after(messages_ahead() + 2)

        answer = await batch(client, GOOD, GOOD, GOOD)
        wire.mend()

        assert (answer.status_code, "operation" in answer.json()) == (503, False)
        assert len((await client.get(path(client))).json()) == 1
