"""Reminders through the API: what a task says of them, and which moments are waited for."""

import json
from typing import Any

import pytest

from tests.conftest import MakeClient
from tests.support.applications import Client
from tests.support.postgres import Server
from tests.support.tasks import create, exported_task, path, read_task
from tests.support.tokens import token

DUE = "2099-12-24T18:00:00+01:00"
HALF_AN_HOUR_BEFORE = "2099-12-24T16:30:00.000000Z"
PLAN = {"due_date": DUE, "reminders": ["-PT30M"]}


@pytest.fixture
def name(database_url: str) -> str:
    return database_url.partition("@/")[2].partition("?")[0]


def waiting(server: Server, name: str, client: Client) -> list[tuple[int, str]]:
    """The caller's moments that are waited for, by task."""
    return server.execute(
        "SELECT task_id, to_char(remind_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM reminders "
        f"WHERE user_id = '{client.user_id}' ORDER BY 1, 2",
        database=name,
    )


async def patch(client: Client, task_id: int, **members: Any) -> dict[str, Any]:
    answer = await client.patch(path(client, task_id), json=members)
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def test_a_task_says_when_it_reminds_next(client: Client, server: Server, name: str) -> None:
    """Wherever it is answered: to the create, alone, in lists, in changes."""
    made = await create(client, due_date=DUE, reminders=["2099-12-20T09:00:00+01:00", "-PT30M"])
    listed = (await client.get(path(client))).json()
    changes = (await client.get(f"/api/{client.user_id}/changes?since=0")).json()

    assert made["reminders"] == ["2099-12-20T09:00:00+01:00", "-PT30M"]
    assert made["remind_at"] == "2099-12-20T08:00:00.000000Z"
    assert [made] == listed == changes["tasks"] == [await read_task(client, 1)]
    assert waiting(server, name, client) == [(1, "2099-12-20 08:00"), (1, "2099-12-24 16:30")]


async def test_a_task_without_reminders_says_so(client: Client, server: Server, name: str) -> None:
    """And writes nothing beside itself."""
    made = await create(client, due_date=DUE)

    assert (made["reminders"], made["remind_at"]) == ([], None)
    assert waiting(server, name, client) == []


async def test_a_write_with_reminders_gives_one_revision(client: Client) -> None:
    """As any other: they are part of the task."""
    first = await create(client)
    second = await create(client, **PLAN)
    changed = await patch(client, 2, reminders=["-PT1H"])

    assert (second["revision"], changed["revision"]) == (first["revision"] + 1, first["revision"] + 2)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"due_date": "2099-12-25T18:00:00+01:00"}, ["2099-12-20 08:00", "2099-12-25 16:30"]),
        ({"reminders": ["-PT30M", "-P1D"]}, ["2099-12-23 17:00", "2099-12-24 16:30"]),
        ({"reminders": []}, []),
        ({"due_date": None, "reminders": ["2099-12-20T08:00:00Z"]}, ["2099-12-20 08:00"]),
        ({"title": "another"}, ["2099-12-20 08:00", "2099-12-24 16:30"]),
    ],
)
async def test_a_changed_task_reminds_as_it_is_planned_then(
    client: Client, server: Server, name: str, members: dict[str, Any], expected: list[str]
) -> None:
    """A new due date moves the relative ones; what the change does not touch stays."""
    await create(client, due_date=DUE, reminders=["2099-12-20T09:00:00+01:00", "-PT30M"])

    changed = await patch(client, 1, **members)

    assert [moment for _, moment in waiting(server, name, client)] == expected
    assert changed["remind_at"] == (f"{expected[0].replace(' ', 'T')}:00.000000Z" if expected else None)
    assert await read_task(client, 1) == changed


async def test_a_plain_task_gets_reminders_later_and_loses_them(client: Client, server: Server, name: str) -> None:
    """By PATCH, by PUT, in a batch; PUT takes back what GET answered, and clears what is left out."""
    await create(client)
    await patch(client, 1, **PLAN)
    task = await read_task(client, 1)
    put_back = await client.put(path(client, 1), json=task)
    before = waiting(server, name, client)
    await client.put(path(client, 1), json={"title": "bare"})
    after = waiting(server, name, client)
    operation = {"op": "update", "id": 1, "changes": PLAN}
    batch = await client.post(f"/api/{client.user_id}/batch", json={"operations": [operation]})

    assert put_back.json() == {**task, "revision": task["revision"] + 1, "updated_at": put_back.json()["updated_at"]}
    assert before == [(1, "2099-12-24 16:30")]
    assert after == []
    assert batch.json()["results"][0]["task"]["remind_at"] == HALF_AN_HOUR_BEFORE
    assert waiting(server, name, client) == before


async def test_a_new_subtask_reminds(client: Client, server: Server, name: str) -> None:
    """Its parent's place and its reminders are written together."""
    await create(client)
    part = await create(client, parent_id=1, **PLAN)

    assert (part["parent_id"], part["remind_at"]) == (1, HALF_AN_HOUR_BEFORE)
    assert waiting(server, name, client) == [(2, "2099-12-24 16:30")]


async def test_a_completed_task_reminds_no_more_until_it_is_opened(client: Client) -> None:
    """`remind_at` is null meanwhile; its reminders stay as they are planned."""
    await create(client, **PLAN)
    done = (await client.patch(path(client, 1, "/complete"))).json()
    opened = (await client.patch(path(client, 1, "/complete"))).json()

    assert (done["remind_at"], done["reminders"]) == (None, ["-PT30M"])
    assert opened["remind_at"] == HALF_AN_HOUR_BEFORE


async def test_a_repeating_task_takes_its_reminders_along(client: Client, server: Server, name: str) -> None:
    """The relative ones follow the due date, a moment goes on by as many days."""
    plan = {"due_date": DUE, "recurrence": "FREQ=WEEKLY", "reminders": ["-PT30M", "2099-12-23T09:00:00Z"]}
    await create(client, **plan)

    done = (await client.patch(path(client, 1, "/complete"), json={"completed": True})).json()

    assert done["due_date"] == "2099-12-31T18:00:00+01:00"
    assert done["reminders"] == ["-PT30M", "2099-12-30T09:00:00Z"]
    assert done["remind_at"] == "2099-12-30T09:00:00.000000Z"
    assert waiting(server, name, client) == [(1, "2099-12-30 09:00"), (1, "2099-12-31 16:30")]


async def test_the_trash_does_not_remind(client: Client, server: Server, name: str) -> None:
    """With the subtasks; what comes back reminds again."""
    await create(client, **PLAN)
    await create(client, parent_id=1, reminders=["2099-12-01T00:00:00Z"])
    before = waiting(server, name, client)
    await client.delete(path(client, 1))
    meanwhile = waiting(server, name, client)
    trash = (await client.get(path(client) + "?status=deleted")).json()
    restored = (await client.post(path(client, 1, "/restore"))).json()

    assert before == [(1, "2099-12-24 16:30"), (2, "2099-12-01 00:00")]
    assert meanwhile == []
    assert [(task["remind_at"], len(task["reminders"])) for task in trash] == [(None, 1), (None, 1)]
    assert restored["remind_at"] == HALF_AN_HOUR_BEFORE
    assert waiting(server, name, client) == before


async def test_a_deleted_list_does_not_remind(client: Client, server: Server, name: str) -> None:
    """Nor do its tasks' rows stay; they come back with it."""
    await client.post(f"/api/{client.user_id}/lists", json={"name": "home"})
    await create(client, list_id=1, **PLAN)
    before = waiting(server, name, client)
    await client.delete(f"/api/{client.user_id}/lists/1")
    meanwhile = waiting(server, name, client)
    await client.post(f"/api/{client.user_id}/lists/1/restore")

    assert before == [(1, "2099-12-24 16:30")] == waiting(server, name, client)
    assert meanwhile == []


async def test_an_export_holds_them_and_an_import_takes_them(client: Client, server: Server, name: str) -> None:
    """The same file changes nothing; one with others replaces what is waited for; added tasks remind, too."""
    await create(client, **PLAN)
    await create(client)
    file = (await client.get(f"/api/{client.user_id}/export")).json()
    again = (await client.post(f"/api/{client.user_id}/import", json=file)).json()
    file["tasks"][0]["reminders"] = ["-PT1H"]
    kept = (await client.post(f"/api/{client.user_id}/import", json=file)).json()
    replaced = waiting(server, name, client)
    added = (await client.post(f"/api/{client.user_id}/import?ids=new", json=file)).json()

    assert (again["changed"], kept["changed"], added["created"]) == (0, 1, 2)
    assert replaced == [(1, "2099-12-24 16:00")]
    assert [moment for _, moment in waiting(server, name, client)] == ["2099-12-24 16:00"] * 2
    assert (await read_task(client, 1))["remind_at"] == "2099-12-24T16:00:00.000000Z"


async def test_claimed_tasks_remind_their_new_owner(make_client: MakeClient, server: Server, name: str) -> None:
    """Under their new ids; nobody waits for the other user's any more."""
    mine, theirs = make_client(), make_client()
    await create(mine)
    await create(theirs, **PLAN)
    body = {"token": token(theirs.user_id, isAnonymous=True)}
    answer = await mine.post(f"/api/{mine.user_id}/claim", json=body)

    assert answer.status_code == 200
    assert waiting(server, name, mine) == [(2, "2099-12-24 16:30")]
    assert waiting(server, name, theirs) == []


async def test_a_claim_takes_along_what_is_not_delivered_yet(
    make_client: MakeClient, server: Server, name: str
) -> None:
    """Its moment has come; how often it was tried, and when it is tried again, stays."""
    mine, theirs = make_client(), make_client()
    await create(mine)
    await create(theirs, reminders=["2099-12-24T09:00:00Z", "2099-12-25T09:00:00Z"])
    of_theirs = f"WHERE user_id = '{theirs.user_id}'"
    for change in (
        f"UPDATE reminders SET remind_at = '2026-01-01T09:00Z', tries = 2 {of_theirs} AND remind_at < '2099-12-25'",
        f"UPDATE tasks SET reminders = '{{2026-01-01T09:00:00Z,2099-12-25T09:00:00Z}}' {of_theirs}",
    ):
        server.execute(change, database=name)

    body = {"token": token(theirs.user_id, isAnonymous=True)}
    await mine.post(f"/api/{mine.user_id}/claim", json=body)

    assert waiting(server, name, mine) == [(2, "2026-01-01 09:00"), (2, "2099-12-25 09:00")]
    assert waiting(server, name, theirs) == []
    tries = f"SELECT tries, try_at = '2099-12-24T09:00:00Z' FROM reminders WHERE user_id = '{mine.user_id}' ORDER BY 1"
    assert server.execute(tries, database=name) == [(0, False), (2, True)]


async def test_erasing_leaves_no_reminder(client: Client, server: Server, name: str) -> None:
    """As nothing else of the user's."""
    await create(client, **PLAN)
    await client.delete(f"/api/{client.user_id}")

    assert waiting(server, name, client) == []


async def test_only_what_is_to_come_is_waited_for(client: Client, server: Server, name: str) -> None:
    """A moment that has passed when it is written is no reason to send anything."""
    made = await create(client, reminders=["2001-01-01T00:00:00Z"])

    assert (made["reminders"], made["remind_at"]) == (["2001-01-01T00:00:00Z"], None)
    assert waiting(server, name, client) == []


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"reminders": None}, "#/reminders"),
        ({"reminders": "-PT30M"}, "#/reminders"),
        ({"reminders": [30]}, "#/reminders/0"),
        ({"reminders": [None]}, "#/reminders/0"),
        ({"due_date": DUE, "reminders": ["-PT30M"] * 2}, "#/reminders"),
        ({"due_date": DUE, "reminders": [f"-PT{n}M" for n in range(6)]}, "#/reminders"),
        ({"due_date": DUE, "reminders": ["-PT30X"]}, "#/reminders/0"),
        ({"due_date": DUE, "reminders": ["-P" + "9" * 5000 + "D"]}, "#/reminders/0"),
        ({"due_date": DUE, "reminders": ["\ud800"]}, None),
        ({"due_date": DUE, "reminders": ["-PT30M\0"]}, "#/reminders/0"),
        ({"due_date": DUE, "reminders": ["-P367D"]}, "#/reminders/0"),
        ({"due_date": DUE, "reminders": ["PT1S"]}, "#"),
        ({"reminders": ["-PT30M"]}, "#"),
        ({"due_date": "0001-01-01", "reminders": ["-P1D"]}, "#"),
        ({"due_date": DUE, "reminders": ["2099-12-24"]}, "#/reminders/0"),
        ({"remind_at": "2099-12-24T09:00:00Z"}, "#/remind_at"),
    ],
)  # fmt: skip
async def test_what_is_no_reminder_is_refused(client: Client, members: dict[str, Any], pointer: str | None) -> None:
    """With a pointer to it, in a create and in a patch; nothing of what was sent comes back."""
    await create(client, due_date=None)
    body = {"title": "a title", **members}
    # The client's own encoder refuses a lone surrogate.
    created = await client.post(path(client), content=json.dumps(body), headers={"Content-Type": "application/json"})
    patched = await client.patch(
        path(client, 1), content=json.dumps(members), headers={"Content-Type": "application/json"}
    )

    for answer in (created, patched):
        assert answer.status_code == (400 if pointer is None else 422), answer.text
        if pointer is None:
            continue
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_due_date_that_reminders_count_from_stays(client: Client) -> None:
    """Whoever clears it clears them, too; and the first wins no race with the calendar."""
    await create(client, **PLAN)

    for members in ({"due_date": None}, {"due_date": "0001-01-01T00:00:00Z"}):
        answer = await client.patch(path(client, 1), json=members)
        assert answer.status_code == 422
    assert (await read_task(client, 1))["due_date"] == DUE


async def test_an_import_with_what_is_no_reminder_is_refused(client: Client) -> None:
    """As a create with it would be."""
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(1, reminders=["-PT30M"])]}

    answer = await client.post(f"/api/{client.user_id}/import", json=file)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/tasks/0"
