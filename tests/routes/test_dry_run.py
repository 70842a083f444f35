"""What an import would do, without doing it."""

from typing import Any

import pytest

from tests.support.applications import Client
from tests.support.lists import lists_of
from tests.support.tasks import create, exported_task, path


def file_of(*tasks: Any) -> dict[str, Any]:
    return {"format": "tasks-backend", "version": 1, "tasks": list(tasks)}


async def sent(client: Client, file: Any, query: str, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/api/{client.user_id}/import{query}", json=file, headers=headers)
    return answer.status_code, answer.json()


async def state(client: Client) -> list[Any]:
    answers = [await client.get(path(client) + query) for query in ("", "?status=deleted")]
    return [(answer.json(), answer.headers.get("etag")) for answer in answers]


# What is sent, and how many would be created and changed; 1 and 2 are the caller's.
RUNS: list[tuple[str, list[int], tuple[int, int]]] = [
    ("?ids=new", [1, 2], (2, 0)),
    ("?ids=keep", [2, 3], (1, 1)),
    ("", [1], (1, 0)),
]


@pytest.mark.parametrize(("query", "ids", "expected"), RUNS)
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_dry_run_answers_and_changes_nothing(
    client: Client, query: str, ids: list[int], expected: tuple[int, int], keyed: bool
) -> None:
    """Not a revision, nor the next id; what is sent afterwards does what was answered."""
    for _ in range(2):
        await create(client)
    before, file = await state(client), file_of(*(exported_task(number) for number in ids))
    headers = {"Idempotency-Key": "once"} if keyed else {}

    tried = [await sent(client, file, f"{query or '?'}&dry_run=true", **headers) for _ in range(2)]
    after = await state(client)
    made = await sent(client, file, f"{query or '?'}&dry_run=false")

    beside = {"ids": None, "lists": None, "tasks": None}
    assert {**tried[0][1], **beside} == {**tried[1][1], **beside} == {**made[1], **beside}
    assert (made[0], (made[1]["created"], made[1]["changed"])) == (200, expected)
    assert after == before
    assert len((await client.get(path(client))).json()) == 2 + expected[0]


@pytest.mark.parametrize("ids", ["new", "keep"])
async def test_a_dry_run_shows_the_lists(client: Client, ids: str) -> None:
    """With the file's ids, as its tasks have them; none is made."""
    moments = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}
    work = {"id": 7, "name": "Work", "position": "a0", "archived": True, **moments}
    file = {**file_of(exported_task(5, list_id=7)), "version": 2, "lists": [{**work, "user_id": "u", "revision": 3}]}

    status, tried = await sent(client, file, f"?ids={ids}&dry_run=true")

    assert (status, tried["lists"], tried["tasks"][0]["list_id"]) == (200, [work], 7)
    assert await lists_of(client) == []


async def test_a_dry_run_is_refused_as_the_import_would_be(client: Client) -> None:
    """With the same pointers."""
    await create(client)
    before = await state(client)
    answers = [
        await sent(client, file_of(exported_task(5, parent_id=9)), "?ids=new&dry_run=true"),
        await sent(client, file_of(exported_task(5, parent_id=9)), "?ids=keep&dry_run=true"),
        await sent(client, file_of(exported_task(1, user_id=client.user_id)), "?dry_run=true"),
        await sent(client, file_of(exported_task(1, title="")), "?dry_run=true"),
    ]

    assert [(status, body["errors"][0]["pointer"]) for status, body in answers] == [
        (422, "#/tasks/0/parent_id"),
        (422, "#/tasks/0/parent_id"),
        (409, "#/tasks/0/id"),
        (422, "#/tasks/0/title"),
    ]
    assert await state(client) == before


@pytest.mark.parametrize("value", ["", "1", "TRUE", "yes", "true&dry_run=true"])
async def test_a_dry_run_is_true_or_false(client: Client, value: str) -> None:
    """Anything else is refused rather than taken for an import."""
    assert (await sent(client, file_of(exported_task(1)), f"?dry_run={value}"))[0] == 422
    assert (await client.get(path(client))).json() == []


async def test_what_was_tried_in_a_larger_transaction_is_undone_alone(client: Client) -> None:
    """With a key, the answer is kept and the trial is not: the same key with another query is another request."""
    file, key = file_of(exported_task(1)), {"Idempotency-Key": "once"}

    tried = await sent(client, file, "?ids=new&dry_run=true", **key)
    made = await sent(client, file, "?ids=new", **key)

    assert (tried[0], made[0]) == (200, 422)
    assert (await client.get(path(client))).json() == []
