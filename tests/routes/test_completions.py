"""What was completed, and taking it back: a repeating task is again what it was, and so are its subtasks."""

from datetime import UTC, datetime, timedelta
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
from tests.support.tasks import create, path, read_task

# What a completion changes of a repeating task.
MOVED = (*WEEKLY, "completed", "completed_at", "remind_at")
AHEAD = {"If-Match": '"1"'}


async def test_a_plain_completion_is_the_task_itself(client: Client) -> None:
    """It is listed for as long as the task is completed, also in the trash; nobody has to remember it."""
    task = await create(client, due_date="2026-12-24")
    done = await complete_task(client, task["id"])

    [one] = await listed_completions(client)
    moment = datetime.fromisoformat(done["completed_at"])
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert one == {
        "id": f"{task['id']}-{microseconds}",
        "task_id": task["id"],
        "title": task["title"],
        "completed_at": done["completed_at"],
        "due_date": "2026-12-24",
        "start_date": None,
        "recurrence": None,
        "reminders": [],
        "moved_on": False,
    }
    await client.delete(path(client, task["id"]))
    assert await listed_completions(client) == [one]
    await client.delete(f"/api/{client.user_id}/trash")
    assert await listed_completions(client) == []


async def by_toggle(client: Client, task_id: int) -> None:
    assert (await client.patch(path(client, task_id, "/complete"))).status_code == 200


async def by_setting(client: Client, task_id: int) -> None:
    await complete_task(client, task_id)


async def by_patch(client: Client, task_id: int) -> None:
    assert (await client.patch(path(client, task_id), json={"completed": True})).status_code == 200


async def by_put(client: Client, task_id: int) -> None:
    task = await read_task(client, task_id)
    assert (await client.put(path(client, task_id), json={**task, "completed": True})).status_code == 200


async def by_batch(client: Client, task_id: int) -> None:
    operations = [{"op": "complete", "id": task_id}]
    assert (await client.post(f"/api/{client.user_id}/batch", json={"operations": operations})).status_code == 200


async def by_apply(client: Client, task_id: int) -> None:
    body = {"where": {"status": "pending", "parent_id": "none"}, "op": "complete"}
    assert (await client.post(path(client) + "/apply", json=body)).status_code == 200, task_id


WAYS = [by_toggle, by_setting, by_patch, by_put, by_batch, by_apply]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_repetition_is_recorded_and_taken_back_however_it_was_completed(client: Client, way: Any) -> None:
    """The entry says what the task was; the undo makes it that again, with its subtasks."""
    task = await create(client, **WEEKLY)
    done, open_part = [await create(client, parent_id=task["id"]) for _ in range(2)]
    await complete_task(client, done["id"])
    before = await read_task(client, task["id"])

    await way(client, task["id"])

    newest, *_ = await listed_completions(client, f"?task_id={task['id']}")
    assert {name: newest[name] for name in WEEKLY} == WEEKLY
    assert (newest["task_id"], newest["title"], newest["moved_on"]) == (task["id"], task["title"], True)
    assert (await read_task(client, task["id"]))["due_date"] == "2026-12-31"
    assert (await read_task(client, done["id"]))["completed"] is False
    status, undone = await undo_completion(client, newest["id"])
    assert status == 200
    assert {name: undone[name] for name in MOVED} == {name: before[name] for name in MOVED}
    assert undone == await read_task(client, task["id"])
    assert [(await read_task(client, part["id"]))["completed"] for part in (done, open_part)] == [True, False]
    assert await listed_completions(client, f"?task_id={task['id']}") == []
    assert (await undo_completion(client, newest["id"]))[0] == 404


async def test_a_plain_task_is_open_again(client: Client) -> None:
    """With the subtasks that were completed along with it; one that was completed before stays so."""
    task = await create(client)
    before, along = [await create(client, parent_id=task["id"]) for _ in range(2)]
    await complete_task(client, before["id"])
    await complete_task(client, task["id"])
    newest = [one for one in await listed_completions(client) if one["task_id"] == task["id"]]

    answer = await client.delete(completions_path(client, f"/{newest[0]['id']}"))

    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{answer.json()["revision"]}"')
    assert (answer.json()["completed"], answer.json()["completed_at"]) == (False, None)
    assert [(await read_task(client, part["id"]))["completed"] for part in (before, along)] == [True, False]
    assert [one["task_id"] for one in await listed_completions(client)] == [before["id"]]


async def test_one_completion_after_the_other_is_taken_back(client: Client) -> None:
    """The newest first; the task is then as the one before has left it."""
    task = await create(client, **WEEKLY)
    dates = [(await complete_task(client, task["id"]))["due_date"] for _ in range(2)]
    newest, oldest = [one["id"] for one in await listed_completions(client)]

    too_early = await undo_completion(client, oldest)
    back = [await undo_completion(client, one) for one in (newest, oldest)]

    assert dates == ["2026-12-31", "2027-01-07"]
    assert too_early[0] == 412
    assert [(status, one["due_date"]) for status, one in back] == [(200, "2026-12-31"), (200, "2026-12-24")]
    assert back[1][1]["recurrence"] == WEEKLY["recurrence"]


async def test_the_last_occurrence_is_taken_back_as_a_plain_task(client: Client) -> None:
    """It has completed the task for good, which is open again with the rule that it had."""
    task = await create(client, due_date="2026-12-24", recurrence="FREQ=DAILY;COUNT=1")
    await complete_task(client, task["id"])
    [one] = await listed_completions(client)

    status, undone = await undo_completion(client, one["id"])

    assert (one["moved_on"], status) == (False, 200)
    assert [undone[name] for name in ("completed", "due_date", "recurrence")] == [
        False,
        "2026-12-24",
        "FREQ=DAILY;COUNT=1",
    ]


@pytest.mark.parametrize("last", [{}, {"skip_missed": True}], ids=["in its turn", "because nothing is left"])
async def test_after_the_last_occurrence_those_before_are_taken_back(client: Client, last: dict[str, Any]) -> None:
    """The newest first, too: none before the one that has completed the task for good."""
    rule = "FREQ=DAILY;COUNT=3"
    task = await create(client, due_date="2020-12-24" if last else "2026-12-24", recurrence=rule)
    for body in ({}, last) if last else ({}, {}, last):
        done = await complete_task(client, task["id"], **body)
    newest, *before = [one["id"] for one in await listed_completions(client)]

    too_early = [(await undo_completion(client, one))[0] for one in before]
    back = [await undo_completion(client, one) for one in (newest, *before)]

    assert done["completed"]
    assert too_early == [412] * len(before)
    assert [status for status, _ in back] == [200] * (1 + len(before))
    assert (back[-1][1]["due_date"], back[-1][1]["recurrence"]) == (task["due_date"], rule)


async def test_one_that_was_opened_again_is_not_taken_back_further(client: Client) -> None:
    """It was written since, though it is as it was."""
    task = await create(client, due_date="2026-12-24", recurrence="FREQ=DAILY;COUNT=2")
    for _ in range(2):
        await complete_task(client, task["id"])
    _, before = await listed_completions(client)
    await client.patch(path(client, task["id"]), json={"completed": False})

    assert (await undo_completion(client, before["id"]))[0] == 412


async def test_what_a_patch_changed_with_the_completion_stays(client: Client) -> None:
    """Only the completion is taken back; and who does not know the task before cannot go back further."""
    task = await create(client, **WEEKLY)
    await complete_task(client, task["id"])
    await client.patch(path(client, task["id"]), json={"completed": True, "title": "other", "due_date": "2027-02-01"})
    newest, oldest = await listed_completions(client)

    status, undone = await undo_completion(client, newest["id"])

    assert (newest["title"], newest["due_date"]) == ("other", "2027-02-01")
    assert (status, undone["title"], undone["due_date"], undone["completed"]) == (200, "other", "2027-02-01", False)
    assert (await undo_completion(client, oldest["id"]))[0] == 412


async def change(client: Client, task_id: int) -> None:
    await client.patch(path(client, task_id), json={"description": "changed"})


async def delete(client: Client, task_id: int) -> None:
    await client.delete(path(client, task_id))


async def delete_and_restore(client: Client, task_id: int) -> None:
    await client.delete(path(client, task_id))
    await client.post(path(client, task_id, "/restore"))


async def purge(client: Client, task_id: int) -> None:
    await client.delete(path(client, task_id))
    await client.delete(f"/api/{client.user_id}/trash/{task_id}")


async def empty(client: Client, task_id: int) -> None:
    await client.delete(path(client, task_id))
    await client.delete(f"/api/{client.user_id}/trash")


async def reopen(client: Client, task_id: int) -> None:
    await client.patch(path(client, task_id), json={"completed": False})


CHANGED = [(change, 412, 412), (delete, 412, 412), (delete_and_restore, 412, 412), (purge, 404, 404), (empty, 404, 404)]
CHANGED += [(reopen, 412, 404)]


@pytest.mark.parametrize(("meanwhile", "repeating", "plain"), CHANGED, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_has_changed_since_is_not_taken_back(
    client: Client, meanwhile: Any, repeating: int, plain: int
) -> None:
    """412 where the task is another one now, or in the trash; 404 where the completion is gone. Nothing is written."""
    for members, status in ((WEEKLY, repeating), ({}, plain)):
        task = await create(client, **members)
        await complete_task(client, task["id"])
        completion = (await listed_completions(client, f"?task_id={task['id']}"))[0]["id"]
        await meanwhile(client, task["id"])
        before = (await client.get(path(client))).json()

        assert (await undo_completion(client, completion))[0] == status
        assert (await client.get(path(client))).json() == before


@pytest.mark.parametrize("members", [WEEKLY, {}], ids=["repeating", "plain"])
async def test_a_condition_is_heeded(client: Client, members: dict[str, Any]) -> None:
    """If-Match names the task's revision, as on every write of a task."""
    task = await create(client, **members)
    done = await complete_task(client, task["id"])
    completion = await last_completion(client)

    refused = await undo_completion(client, completion, **AHEAD)
    made = await undo_completion(client, completion, **{"If-Match": f'"{done["revision"]}"'})

    assert (refused[0], refused[1]["type"], made[0]) == (412, "urn:tasks:problem:precondition-failed", 200)


NOT_THERE = [
    "1-1",
    "9-0",
    "1--5",
    f"{2**63}-1",
    "9999999999999999999-1",
    "1-999999999999999999",
    "1--999999999999999999",
]


@pytest.mark.parametrize("completion", NOT_THERE)
async def test_there_is_no_such_completion(client: Client, completion: str) -> None:
    """Also where there can be none: no such moment, no such task."""
    await create(client)
    status, problem = await undo_completion(client, completion)

    assert (status, problem["type"]) == (404, "urn:tasks:problem:completion-not-found")


NO_IDS = ["1", "x", "0-1", "01-1", "1-01", "1--0", "1-", "1-1-1", "1-+5", "1-1.5", "\u0661-1", "1-1 ", "1-" + "9" * 19]


@pytest.mark.parametrize("completion", NO_IDS)
async def test_what_is_no_id_is_refused(client: Client, completion: str) -> None:
    """With the place where it stands."""
    status, problem = await undo_completion(client, completion)

    assert (status, problem["errors"][0]["pointer"]) == (422, "{completion_id}")


async def test_a_keyed_undo_is_made_once(client: Client) -> None:
    """As every write with an Idempotency-Key."""
    task = await create(client, **WEEKLY)
    await complete_task(client, task["id"])
    completion = await last_completion(client)

    first, again = [await undo_completion(client, completion, **{"Idempotency-Key": "undo"}) for _ in range(2)]

    assert (first[0], again) == (200, first)


async def test_only_so_many_are_kept(database_url: str) -> None:
    """The oldest go first; plain completions are the tasks themselves, which have a bound of their own."""
    app = create_app(settings_for(database_url, max_completions=2))
    async with running(app), client_for(app) as client:
        task, plain = await create(client, **{**WEEKLY, "recurrence": "FREQ=DAILY"}), await create(client)
        await complete_task(client, plain["id"])
        seen: list[str] = []
        for _ in range(4):
            await complete_task(client, task["id"])
            seen.insert(0, await last_completion(client))

        kept = await listed_completions(client)
        assert [one["id"] for one in kept if one["moved_on"]] == seen[:2]
        assert len(kept) == 3
        assert (await undo_completion(client, seen[2]))[0] == 404


async def test_completions_go_with_the_oldest_of_the_trash(database_url: str) -> None:
    """A purge leaves nothing of a task's contents, and so no completion of it."""
    app = create_app(settings_for(database_url, max_tasks_per_user=1))
    async with running(app), client_for(app) as client:
        for _ in range(2):
            task = await create(client, **WEEKLY)
            await complete_task(client, task["id"])
            await client.delete(path(client, task["id"]))

        assert [one["task_id"] for one in await listed_completions(client)] == [2]


async def test_nobody_sees_or_undoes_those_of_another(make_client: MakeClient) -> None:
    """The same id is of the caller's own task, or of none."""
    alice, bob = make_client(), make_client()
    await fill_completions(alice)
    before = await listed_completions(alice)
    await create(bob, **WEEKLY)

    assert await listed_completions(bob) == []
    for one in before:
        assert (await undo_completion(bob, one["id"]))[0] == 404
        assert (await bob.delete(completions_path(alice, f"/{one['id']}"))).status_code == 403
    assert (await bob.get(completions_path(alice))).status_code == 403
    assert await listed_completions(alice) == before


async def test_an_erasure_takes_them_along(client: Client) -> None:
    """Nothing is left of a user who is erased."""
    await fill_completions(client)
    assert (await client.delete(f"/api/{client.user_id}")).status_code == 200
    assert await listed_completions(client) == []
