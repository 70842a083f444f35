"""What another user has completed moves with their tasks."""

import pytest

from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tasks import create, path
from tests.support.tokens import token


async def claim(mine: Client, theirs: Client) -> None:
    body = {"token": token(theirs.user_id, isAnonymous=True)}
    assert (await mine.post(f"/api/{mine.user_id}/claim", json=body)).status_code == 200


async def test_completions_move_with_their_tasks(make_client: MakeClient) -> None:
    """Each names the new task, and the last one of a task can still be undone; the rows of more than one batch."""
    mine, theirs = make_client(), make_client()
    await create(mine)
    task = await create(theirs, due_date="2026-12-24", recurrence="FREQ=DAILY")
    gone = await create(theirs, due_date="2026-12-24", recurrence="FREQ=DAILY", reminders=["-P1D", "-PT1H"])
    part = await create(theirs, parent_id=task["id"])
    await theirs.patch(path(theirs, part["id"], "/complete"))
    for _ in range(3):
        for number in (gone["id"], task["id"]):
            assert (await theirs.patch(path(theirs, number, "/complete"))).status_code == 200
    await theirs.delete(path(theirs, gone["id"]))
    before = (await theirs.get(f"/api/{theirs.user_id}/completions")).json()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend.app.repositories.completion_claim.ROWS_AT_ONCE", 2)
        await claim(mine, theirs)

    after = (await mine.get(f"/api/{mine.user_id}/completions")).json()
    assert [one | {"id": "", "task_id": one["task_id"] + 1} for one in before] == [one | {"id": ""} for one in after]
    assert (await theirs.get(f"/api/{theirs.user_id}/completions")).json() == []
    undo = [await mine.delete(f"/api/{mine.user_id}/completions/{one['id']}") for one in after]
    assert [answer.status_code for answer in undo] == [200, 412, 412, 412, 412, 412]
    assert undo[0].json()["due_date"] == "2026-12-26"


async def test_only_the_newest_completions_move(database_url: str) -> None:
    """The bound holds for what a claim brings, too."""
    app = create_app(settings_for(database_url, max_completions=3))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        for client in (mine, theirs):
            task = await create(client, due_date="2026-12-24", recurrence="FREQ=DAILY")
            for _ in range(2):
                await client.patch(path(client, task["id"], "/complete"))

        await claim(mine, theirs)

        found = (await mine.get(f"/api/{mine.user_id}/completions")).json()
        assert [one["task_id"] for one in found] == [2, 2, 1]
