"""A client's copy has what was completed, and hears of what was taken back."""

from typing import Any

import pytest

from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.completions import (
    WEEKLY,
    complete_task,
    completions_path,
    fill_completions,
    last_completion,
    listed_completions,
    undo_completion,
)
from tests.support.postgres import Server
from tests.support.sync_client import Copy, ask
from tests.support.tasks import create, path
from tests.support.tokens import token

DAILY = {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY"}


def database_name(database_url: str) -> str:
    return database_url.partition("@/")[2].partition("?")[0]


async def recorded(client: Client) -> dict[str, Any]:
    """What the server has recorded of tasks that repeat, by id."""
    return {one["id"]: one for one in await listed_completions(client, "?limit=500") if one["moved_on"]}


async def revision_of(client: Client) -> int:
    return int((await client.get(path(client))).headers["etag"].strip('"'))


async def test_a_completion_is_told_as_it_is_listed(client: Client) -> None:
    """Since the revision before it, and from the beginning on; that it was taken back is told once."""
    task = await create(client, **WEEKLY)
    await complete_task(client, task["id"])
    [made] = (await recorded(client)).values()

    told = (await ask(client, task["revision"])).json()
    copy = (await ask(client, 0)).json()
    await undo_completion(client, made["id"])
    undone = (await ask(client, told["revision"])).json()
    later = (await ask(client, undone["revision"])).json()
    anew = (await ask(client, 0)).json()

    assert (told["completions"], told["deleted_completions"]) == ([made], [])
    assert copy["completions"] == [made]
    assert (undone["completions"], undone["deleted_completions"]) == ([], [made["id"]])
    assert [one["id"] for one in undone["tasks"]] == [task["id"]]
    assert [answer[name] for answer in (later, anew) for name in ("completions", "deleted_completions")] == [[]] * 4
    assert undone["revision"] == await revision_of(client)


async def test_what_was_taken_back_is_not_listed(client: Client) -> None:
    """Nor counted, nor can it be taken back once more."""
    task = await create(client, **DAILY)
    for _ in range(2):
        await complete_task(client, task["id"])
    newest, oldest = await recorded(client)
    await undo_completion(client, newest)

    answer = await client.get(completions_path(client), headers={"Prefer": "count=exact"})

    assert ([one["id"] for one in answer.json()], answer.headers["x-total-count"]) == ([oldest], "1")
    assert (await undo_completion(client, newest))[0] == 404


async def test_a_plain_completion_is_told_as_the_task_alone(client: Client) -> None:
    """One revision, as ever; so it is when the task is opened again."""
    task = await create(client)
    done = await complete_task(client, task["id"])
    await undo_completion(client, await last_completion(client))

    told = (await ask(client, task["revision"])).json()

    assert done["revision"] == task["revision"] + 1
    assert (told["completions"], told["deleted_completions"], len(told["tasks"])) == ([], [], 1)
    assert told["revision"] == task["revision"] + 2


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_changes_have_completions_among_the_others(client: Client, limit: int) -> None:
    """Each has a revision of its own, so no page splits a write; a copy that follows is what the server has."""
    copy = Copy(client)
    await fill_completions(client)
    for _ in range(2):
        await copy.follow(limit, at_most=2)
        for task in (1, 1, 2):
            await client.patch(path(client, task, "/complete"))
        await undo_completion(client, await last_completion(client))
    newest = next(iter(await recorded(client)))
    await undo_completion(client, newest)

    await copy.follow(limit)

    assert len(copy.completions) > 3
    assert copy.completions == await recorded(client)
    assert await copy.is_whole()


async def test_what_is_purged_takes_completions_along_untold(client: Client, server: Server, database_url: str) -> None:
    """Also that some were taken back; the trash keeps them."""
    task = await create(client, **DAILY)
    for _ in range(2):
        await complete_task(client, task["id"])
    await undo_completion(client, await last_completion(client))
    await client.delete(path(client, task["id"]))
    in_trash = (await ask(client, 0)).json()["completions"]

    await client.delete(f"/api/{client.user_id}/trash")

    told = (await ask(client, task["revision"])).json()
    assert len(in_trash) == 1
    assert (told["deleted"], told["completions"], told["deleted_completions"]) == ([task["id"]], [], [])
    for table in ("completions", "deleted_completions"):
        rows = f"SELECT count(*) FROM {table} WHERE user_id = '{client.user_id}'"
        assert server.execute(rows, database=database_name(database_url)) == [(0,)]


async def test_only_so_many_stay_known_that_were_taken_back(database_url: str) -> None:
    """As many as are kept: who has not heard of the first ones starts again."""
    app = create_app(settings_for(database_url, max_completions=2))
    async with running(app), client_for(app) as client:
        task = await create(client, **DAILY)
        await complete_task(client, task["id"])
        places, undone = [(await ask(client, 0)).json()["revision"]], []
        for _ in range(3):
            undone.append(await last_completion(client))
            await undo_completion(client, undone[-1])
            places.append((await ask(client, 0)).json()["revision"])
            await complete_task(client, task["id"])

        answers = [await ask(client, place) for place in places[:2]]

    assert [answer.status_code for answer in answers] == [410, 200]
    assert answers[1].json()["deleted_completions"] == undone[1:]


async def test_a_claim_tells_the_callers_other_clients(make_client: MakeClient) -> None:
    """What has moved has revisions of theirs."""
    mine, theirs = make_client(), make_client()
    await create(mine)
    await fill_completions(theirs)
    copy = Copy(mine)
    await copy.follow()
    await undo_completion(theirs, next(iter(await recorded(theirs))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend.app.repositories.completion_claim.ROWS_AT_ONCE", 1)
        body = {"token": token(theirs.user_id, isAnonymous=True)}
        assert (await mine.post(f"/api/{mine.user_id}/claim", json=body)).status_code == 200
    await copy.follow(limit=1)

    assert len(copy.completions) == 2
    assert copy.completions == await recorded(mine)
    assert copy.since == await revision_of(mine)


@pytest.mark.parametrize("limit", [1, 3])
async def test_what_was_there_before_is_told_to_a_full_copy(
    client: Client, server: Server, database_url: str, limit: int
) -> None:
    """Migration 0015 numbers it below all revisions; what an older program has written since then is not told."""
    task = await create(client, **DAILY)
    for _ in range(4):
        await complete_task(client, task["id"])
    there = await recorded(client)
    name, mine = database_name(database_url), f"user_id = '{client.user_id}'"
    numbers = f"SELECT completed_at, row_number() OVER (ORDER BY completed_at) AS n FROM completions WHERE {mine}"
    server.execute(
        f"UPDATE completions c SET sync_revision = nullif(n, 4) FROM ({numbers}) m "
        f"WHERE {mine} AND c.completed_at = m.completed_at",
        database=name,
    )
    copy = Copy(client)

    await copy.follow(limit)

    assert copy.completions == dict(list(there.items())[1:])
    assert await copy.is_whole()
