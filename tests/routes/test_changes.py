"""Staying in sync: what is told since a revision, and when to start again."""

import asyncio
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.support.applications import Client
from tests.support.postgres import Server
from tests.support.sync_client import TOLD, Copy, ask
from tests.support.tasks import PLAN, create, path

NOTHING: dict[str, Any] = {**{name: [] for names in TOLD.items() for name in names}, "has_more": False}


async def test_everything_is_told_from_the_beginning_on(client: Client) -> None:
    """`since=0` is a full copy; afterwards only what has changed, each task once, as it is now."""
    nothing = (await ask(client, 0)).json()
    first, second, third = [await create(client, **PLAN) for _ in range(3)]
    copy = (await ask(client, 0)).json()
    for title in ("x", "y"):
        await client.patch(path(client, first["id"]), json={"title": title})
    await client.delete(path(client, second["id"]))

    since = (await ask(client, copy["revision"])).json()
    again = (await ask(client, since["revision"])).json()

    assert nothing == {**NOTHING, "revision": 0}
    assert copy == {**NOTHING, "tasks": [first, second, third], "revision": third["revision"]}
    assert [task["title"] for task in since["tasks"]] == ["y"]
    assert (since["deleted"], since["revision"]) == ([second["id"]], third["revision"] + 3)
    assert again == {**NOTHING, "revision": since["revision"]}


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_changes_are_in_the_order_of_revisions(client: Client, limit: int) -> None:
    """Changed and deleted tasks mixed; a parent's parts do not share a revision, so no page splits one."""
    parent = await create(client)
    for _ in range(6):
        await create(client, parent_id=parent["id"])
    await create(client)
    await client.delete(path(client, 3))
    await client.patch(path(client, parent["id"], "/complete"))
    await client.delete(path(client, 8))

    copy = Copy(client)
    for _ in range(3):
        await copy.follow(limit, at_most=2)
        await client.patch(path(client, 2), json={"title": "meanwhile"})
    await client.delete(path(client, parent["id"]))
    await copy.follow(limit)

    assert await copy.is_whole()


async def test_a_follower_ends_with_what_the_server_has(client: Client) -> None:
    """While others write all kinds of changes at once, and it is cut off in the middle of its pages."""
    copy = Copy(client)

    async def write(writer: int) -> None:
        for n in range(12):
            made = await create(client, title=f"{writer}.{n}", due_date="2026-01-01")
            url = path(client, made["id"])
            await client.patch(url + "/complete")
            if n % 3 == 0:
                await client.delete(url)
            if n % 6 == 0:
                await client.post(url + "/restore")

    async def follow() -> None:
        while not writing.done():
            await copy.follow(limit=3, at_most=4)

    writing = asyncio.ensure_future(asyncio.gather(*(write(writer) for writer in range(4))))
    await asyncio.gather(writing, follow())
    await copy.follow(limit=3)

    assert len(copy.tasks) > 20
    assert await copy.is_whole()


@pytest.mark.parametrize("since", ["above", "below", "before erasure"])
async def test_who_cannot_be_brought_up_to_date_starts_again(client: Client, since: str) -> None:
    """410 for a revision that is not of this list, or is from before its first."""
    made = await create(client)
    if since == "before erasure":
        await client.delete(f"/api/{client.user_id}")
        await create(client)
    revision = {"above": made["revision"] + 1, "below": made["revision"] - 1}.get(since, made["revision"])

    answer = await ask(client, revision)

    assert (answer.status_code, answer.json()["type"]) == (410, "urn:tasks:problem:sync-token-expired")
    assert (await ask(client, 0)).status_code == 200


@pytest.mark.parametrize("horizon", ["NULL", "revision", "revision - 1"])
async def test_a_copy_is_whole_where_deletions_were_forgotten(
    client: Client, server: Server, database_url: str, horizon: str
) -> None:
    """Lists from before deletions were kept, and purged ones: old clients start again, and get past the horizon."""
    made = [await create(client) for _ in range(5)]
    name = database_url.partition("@/")[2].partition("?")[0]
    server.execute(f"UPDATE task_lists SET horizon = {horizon} WHERE user_id = '{client.user_id}'", database=name)

    old = await ask(client, made[1]["revision"])
    copy = Copy(client)
    places: list[int] = []
    while not places or places[-1] < 0:
        await copy.follow(limit=2, at_most=1)
        places.append(copy.since)
    await client.delete(path(client, 2))
    await copy.follow(limit=2)

    assert old.status_code == 410
    assert places[0] == -made[1]["revision"]
    assert await copy.is_whole()


async def test_a_first_write_says_from_when_on_deletions_are_known(
    client: Client, server: Server, database_url: str
) -> None:
    """In a list from before they were kept: whoever is in sync before it stays so."""
    await create(client)
    name = database_url.partition("@/")[2].partition("?")[0]
    server.execute(f"UPDATE task_lists SET horizon = NULL WHERE user_id = '{client.user_id}'", database=name)
    copy = Copy(client)
    await copy.follow()
    revision = copy.since

    await client.patch(path(client, 1), json={"title": "written"})
    await client.delete(path(client, 1))

    assert (await ask(client, revision)).json()["deleted"] == [1]


async def test_a_place_in_a_copy_is_told_of_deletions(client: Client, server: Server, database_url: str) -> None:
    """What was copied and then deleted, in the middle of a full copy, is taken away again."""
    for _ in range(4):
        await create(client)
    name = database_url.partition("@/")[2].partition("?")[0]
    server.execute(f"UPDATE task_lists SET horizon = revision WHERE user_id = '{client.user_id}'", database=name)
    copy = Copy(client)
    await copy.follow(limit=2, at_most=1)
    await client.delete(path(client, 1))

    await copy.follow(limit=2)

    assert await copy.is_whole()


@pytest.mark.parametrize(
    "query", ["", "since=", "since=x", "since=1.0", "since=%2B1", "since=--1", "since=9223372036854775808",
              "since=-9223372036854775808", "since=0&limit=0", "since=0&limit=501", "since=0&x=1", "since=1&since=2"],
)  # fmt: skip
async def test_what_cannot_be_asked_is_422(client: Client, query: str) -> None:
    answer = await client.get(f"/api/{client.user_id}/changes?{query}")

    assert answer.status_code == 422


async def test_changes_are_ones_own(make_client: MakeClient) -> None:
    """Another user's revision means nothing here."""
    alice, bob = make_client(), make_client()
    made = await create(alice)
    await create(bob)

    assert [task["user_id"] for task in (await ask(bob, 0)).json()["tasks"]] == [bob.user_id]
    assert (await bob.get(f"/api/{alice.user_id}/changes?since=0")).status_code == 403
    assert (await ask(alice, made["revision"])).json()["tasks"] == []
