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
    """Each names the new task, and can still be undone, the newest first; the rows of more than one batch."""
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
    assert [answer.status_code for answer in undo] == [200, 412, 200, 412, 200, 412]  # one task is in the trash
    assert [answer.json()["due_date"] for answer in undo[::2]] == ["2026-12-26", "2026-12-25", "2026-12-24"]


async def test_what_has_changed_before_a_claim_is_not_undone_after_it(make_client: MakeClient) -> None:
    """Nor what was completed before that; also where it is claimed twice."""
    mine, between, theirs = make_client(), make_client(), make_client()
    task = await create(theirs, due_date="2026-12-24", recurrence="FREQ=DAILY")
    for change in (None, {"title": "changed"}, None):
        below, body = ("/complete", None) if change is None else ("", change)
        assert (await theirs.patch(path(theirs, task["id"], below), json=body)).status_code == 200

    await claim(between, theirs)
    await claim(mine, between)

    found = (await mine.get(f"/api/{mine.user_id}/completions")).json()
    undo = [await mine.delete(f"/api/{mine.user_id}/completions/{one['id']}") for one in found]
    assert [answer.status_code for answer in undo] == [200, 412]


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
