"""Somebody leaves: everything of theirs is gone, nothing of anybody else's."""

import asyncio
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.support.applications import Client
from tests.support.completions import last_completion, undo_completion
from tests.support.postgres import Server
from tests.support.tokens import new_user


def tasks(client: Client, rest: str = "") -> str:
    return f"/api/{client.user_id}/tasks{rest}"


def me(client: Client) -> str:
    return f"/api/{client.user_id}"


async def fill(client: Client) -> None:
    for n in range(3):
        await client.post(tasks(client), json={"title": f"task {n}"}, headers={"Idempotency-Key": f"k-{n}"})
    await client.delete(tasks(client, "/1"))
    await client.patch(tasks(client, "/2"), json={"reminders": ["2099-12-24T09:00:00Z"]})
    await client.patch(
        tasks(client, "/3"), json={"due_date": "2026-12-24", "recurrence": "FREQ=DAILY", "completed": True}
    )
    await client.patch(tasks(client, "/3/complete"))
    await undo_completion(client, await last_completion(client))
    for n in range(1, 4):
        await client.post(f"/api/{client.user_id}/lists", json={"name": f"list {n}"})
    await client.delete(f"/api/{client.user_id}/lists/1")


async def test_everything_of_the_caller_is_erased(make_client: MakeClient, server: Server, database_url: str) -> None:
    """In every table, and only theirs."""
    leaving, staying = make_client(new_user()), make_client(new_user())
    await fill(leaving)
    await fill(staying)
    name = database_url.partition("?")[0].rpartition("/")[2]

    def rows(client: Client) -> list[Any]:
        of_users = "SELECT DISTINCT relname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        of_users += "WHERE attname = 'user_id' AND relkind = 'r'"
        tables = [table for (table,) in server.execute(of_users, database=name)]
        assert len(tables) >= 4
        return [
            server.execute(f"SELECT count(*) FROM {table} WHERE user_id = '{client.user_id}'", database=name)[0][0]
            for table in sorted(tables)
        ]

    answer = await leaving.delete(me(leaving))

    assert (answer.status_code, answer.json()) == (200, {"tasks": 2})
    assert set(rows(leaving)) == {0}
    assert rows(staying) == [1, 1, 1, 1, 3, 2, 1, 1, 2]
    assert (await leaving.get(tasks(leaving))).json() == []


@pytest.mark.parametrize("prefer", ["return=minimal", "respond-async, return=minimal", "Return=Minimal; x=1"])
async def test_who_asks_for_nothing_gets_nothing(client: Client, prefer: str) -> None:
    await fill(client)
    answer = await client.delete(me(client), headers={"Prefer": prefer})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["preference-applied"] == "return=minimal"


async def test_another_preference_is_ignored(client: Client) -> None:
    answer = await client.delete(me(client), headers={"Prefer": "return=representation"})

    assert (answer.status_code, answer.json()) == (200, {"tasks": 0})
    assert "preference-applied" not in answer.headers


async def test_erasing_is_safe_to_repeat(client: Client) -> None:
    await fill(client)
    answers = [await client.delete(me(client)) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"tasks": 2}, {"tasks": 0}]


async def test_a_late_repetition_erases_nothing_new(client: Client) -> None:
    """The key of the erasing itself is kept: what was made since then is not what it was for."""
    await fill(client)
    key = {"Idempotency-Key": "k"}
    first = await client.delete(me(client), headers=key)
    await client.post(tasks(client), json={"title": "new life"})
    late = await client.delete(me(client), headers=key)

    assert (late.content, late.headers["idempotency-replayed"]) == (first.content, "true")
    assert [task["title"] for task in (await client.get(tasks(client))).json()] == ["new life"]


async def test_who_comes_back_meets_no_old_etag(client: Client) -> None:
    """Ids begin again, revisions do not."""
    await fill(client)
    old = (await client.get(tasks(client, "/2"))).headers["etag"]
    await client.delete(me(client))

    again = await client.post(tasks(client), json={"title": "back"})

    assert again.json()["id"] == 1
    assert int(again.headers["etag"].strip('"')) > int(old.strip('"'))
    assert (await client.get(tasks(client, "/1"), headers={"If-None-Match": old})).status_code == 200


@pytest.mark.parametrize("filled", [True, False], ids=["a user", "nobody yet"])
@pytest.mark.parametrize("erasures", [1, 2, 4])
async def test_writes_beside_it_end_before_or_after(client: Client, erasures: int, filled: bool) -> None:
    """Never in the middle: no task is left without its list, and nobody is answered 500 or told to wait."""
    for turn in range(8):
        if filled:
            await fill(client)
        keyed = [{"Idempotency-Key": f"{turn}-{n}"} for n in range(3)]
        answers = await asyncio.gather(
            *(client.post(tasks(client), json={"title": "beside"}) for _ in range(3)),
            *(client.delete(me(client)) for _ in range(erasures)),
            *(client.post(tasks(client), json={"title": "beside"}, headers=key) for key in keyed),
            *(client.patch(tasks(client, "/1/complete")) for _ in range(3)),
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 404}
        left = (await client.get(tasks(client))).json()
        assert (await client.delete(me(client))).json() == {"tasks": len(left)}
