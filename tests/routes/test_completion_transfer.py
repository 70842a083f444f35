"""What was completed goes out with an export, and comes in with an import."""

import asyncio
from typing import Any

import orjson
import pytest

from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.completions import (
    WEEKLY,
    complete_task,
    fill_completions,
    last_completion,
    listed_completions,
    undo_completion,
)
from tests.support.sync_client import Copy
from tests.support.tasks import create, exported_task, path

MOMENT = "2026-01-01T00:00:00Z"
EXPORTED = ("task_id", "completed_at", "title", "due_date", "start_date", "recurrence", "reminders")
# What a completion keeps wherever it is imported.
KEPT = EXPORTED[1:]


async def export_of(client: Client) -> dict[str, Any]:
    file: dict[str, Any] = (await client.get(f"/api/{client.user_id}/export")).json()
    return file


async def sent(client: Client, file: Any, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/api/{client.user_id}/import{query}", json=file)
    return answer.status_code, answer.json()


async def recorded(client: Client) -> list[dict[str, Any]]:
    return [one for one in await listed_completions(client, "?limit=500") if one["moved_on"]]


async def revision(client: Client) -> str:
    return (await client.get(path(client))).headers["etag"]


def file_of(completions: list[Any], *tasks: Any) -> dict[str, Any]:
    return {"format": "tasks-backend", "version": 2, "tasks": list(tasks), "completions": completions}


def completed(task_id: Any = 1, second: int = 0, **members: Any) -> dict[str, Any]:
    moment = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
    return {"task_id": task_id, "completed_at": moment, "title": "done", **members}


NOTHING_PLANNED: dict[str, Any] = {"due_date": None, "start_date": None, "recurrence": None, "reminders": []}


def kept(completions: list[dict[str, Any]]) -> list[Any]:
    return [[one[name] for name in KEPT] for one in completions]


async def test_an_export_has_what_was_completed(client: Client) -> None:
    """The oldest first, as it is listed; a plain completion is the task itself, and the trash stays out."""
    await fill_completions(client)
    gone = await create(client, **WEEKLY)
    await complete_task(client, gone["id"])
    await client.delete(path(client, gone["id"]))
    listed = [one for one in await recorded(client) if one["task_id"] != gone["id"]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend.app.repositories.completion_export.ROWS_AT_ONCE", 2)
        file = await export_of(client)

    assert len(listed) == 3
    assert file["completions"] == [{name: one[name] for name in EXPORTED} for one in reversed(listed)]
    assert file["version"] == 2
    for accept, mark in (("text/csv", "\r\n"), ("text/calendar", "END:VTODO")):
        text = (await client.get(f"/api/{client.user_id}/export", headers={"Accept": accept})).text
        assert text.count(mark) - (accept == "text/csv") == len(file["tasks"]) == 2


async def test_a_task_that_comes_while_the_file_is_written_brings_no_completion(database_url: str) -> None:
    """The file would be refused otherwise: only completions of tasks that were written are in it."""
    pieces: list[bytes] = []
    begun, written = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        pieces.append(message.get("body", b""))
        if b'"tasks":[' in pieces[-1]:
            begun.set()
            await written.wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    app = create_app(settings_for(database_url))
    async with running(app), client_for(app) as client:
        for _ in range(3):
            await create(client, **WEEKLY)
        headers = [(b"authorization", client.headers["Authorization"].encode())]
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": f"/api/{client.user_id}/export"}
        scope |= {"headers": headers, "query_string": b"", "root_path": "", "raw_path": b""}
        download = asyncio.ensure_future(app(scope, receive, send))
        await begun.wait()
        new = await create(client, **WEEKLY)
        for task_id in (new["id"], 1):
            await complete_task(client, task_id)
        written.set()
        await download

        file = orjson.loads(b"".join(pieces))
        assert [one["id"] for one in file["tasks"]] == [1, 2, 3]
        assert [one["task_id"] for one in file["completions"]] == [1]
        assert (await sent(client, file, "?ids=new"))[0] == 200


async def test_another_account_keeps_the_history(make_client: MakeClient) -> None:
    """Under new ids; the caller's own stays, twice means twice, and a client that follows hears of all."""
    alice, bob = make_client(), make_client()
    await fill_completions(alice)
    await fill_completions(bob)
    hers, mine, file = await recorded(alice), await recorded(bob), await export_of(alice)
    copy = Copy(bob)
    await copy.follow()

    answers = [await sent(bob, file) for _ in range(2)]
    await copy.follow(limit=2)

    found = await recorded(bob)
    assert [answer for _, answer in answers] == [{"created": 2, "changed": 0, "unchanged": 0}] * 2
    assert kept([one for one in found if one["task_id"] == 4]) == kept(hers)
    assert kept([one for one in found if one["task_id"] == 6]) == kept(hers)
    assert [one for one in found if one["task_id"] <= 3] == mine
    assert await recorded(alice) == hers
    assert copy.completions == {one["id"]: one for one in found}


async def test_the_same_file_twice_changes_nothing(client: Client) -> None:
    """Not even a revision; what was taken back since comes back, and a follower hears of it."""
    await fill_completions(client)
    file, before, tag = await export_of(client), await recorded(client), await revision(client)
    copy = Copy(client)
    await copy.follow()

    again = await sent(client, file)
    same = (await recorded(client), await revision(client))
    await undo_completion(client, before[0]["id"])
    await copy.follow()
    back = await sent(client, file)
    await copy.follow()

    assert again == (200, {"created": 0, "changed": 0, "unchanged": 2})
    assert same == (before, tag)
    assert back == (200, {"created": 0, "changed": 1, "unchanged": 1})
    assert await recorded(client) == before
    assert copy.completions == {one["id"]: one for one in before}
    assert await copy.is_whole()


async def test_completions_alone_are_an_import_too(client: Client) -> None:
    """Of tasks that are there as they are in the file."""
    task = await create(client, **WEEKLY)
    file, copy = await export_of(client), Copy(client)
    await copy.follow()
    file["completions"] = [completed(task["id"], 1, **{name: WEEKLY[name] for name in WEEKLY}), completed(task["id"])]

    answer = await sent(client, file)
    await copy.follow()

    assert answer == (200, {"created": 0, "changed": 0, "unchanged": 1})
    assert [one["completed_at"] for one in await recorded(client)] == [
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:00Z",
    ]
    assert copy.completions == {one["id"]: one for one in await recorded(client)}
    assert f'"{copy.since}"' == await revision(client)


async def test_what_was_imported_cannot_be_taken_back(client: Client) -> None:
    """412, as where the task has changed since; what is completed afterwards can be."""
    task = await create(client, **WEEKLY)
    await complete_task(client, task["id"])
    file = await export_of(client)
    await client.delete(f"/api/{client.user_id}")
    await sent(client, file)
    imported = await last_completion(client)

    refused = await undo_completion(client, imported)
    await complete_task(client, task["id"])
    made = await undo_completion(client, await last_completion(client))
    again = await undo_completion(client, imported)

    assert (refused[0], made[0], again[0]) == (412, 200, 412)
    assert made[1]["due_date"] == "2026-12-31"


async def test_a_dry_run_writes_none(client: Client) -> None:
    """It shows them, with the file's ids."""
    await create(client, **WEEKLY)
    file, tag = await export_of(client), await revision(client)
    file["completions"] = [completed()]

    for query in ("?dry_run=true&ids=new", "?dry_run=true&ids=keep"):
        status, answer = await sent(client, file, query)
        assert (status, answer["completions"]) == (200, [completed(**NOTHING_PLANNED)])

    assert (await recorded(client), await revision(client)) == ([], tag)


async def test_the_newest_are_kept(database_url: str) -> None:
    """Of the file's and the caller's together; and still the same file twice changes nothing."""
    app = create_app(settings_for(database_url, max_completions=3))
    async with running(app), client_for(app) as client:
        task = await create(client, **WEEKLY)
        await complete_task(client, task["id"])
        own = await last_completion(client)
        file = await export_of(client)
        # Not in their order, and more than are kept.
        file["completions"] += [completed(1, second) for second in (4, 1, 3, 2, 5)]

        first = await sent(client, file)
        found, tag = await recorded(client), await revision(client)
        again = await sent(client, file)

        assert first == again == (200, {"created": 0, "changed": 0, "unchanged": 1})
        assert [one["completed_at"][17:19] for one in found[1:]] == ["05", "04"]
        assert found[0]["id"] == own
        assert (await recorded(client), await revision(client)) == (found, tag)


async def test_no_more_are_kept_where_all_are_of_one_moment(database_url: str) -> None:
    """Then the order of the tasks decides, and the same file twice changes nothing."""
    app = create_app(settings_for(database_url, max_completions=3))
    async with running(app), client_for(app) as client:
        numbers = [4, 1, 5, 3, 2]
        file = file_of([completed(number) for number in numbers], *(exported_task(number) for number in numbers))

        found, tags = [], []
        for query in ("?ids=keep", "?ids=keep", "?ids=new"):
            assert (await sent(client, file, query))[0] == 200
            found.append([one["task_id"] for one in await recorded(client)])
            tags.append(await revision(client))

    assert found == [[5, 4, 3], [5, 4, 3], [10, 9, 8]]
    assert tags[0] == tags[1] != tags[2]


async def test_many_come_in_steps(client: Client) -> None:
    """More than a statement writes, each with a revision of its own; the pages of a copy split none."""
    file = file_of([completed(1 + n % 2, n) for n in range(1100)], exported_task(1), exported_task(2))

    assert (await sent(client, file))[0] == 200

    copy = Copy(client)
    await copy.follow(limit=500)
    back = await export_of(client)
    assert len(copy.completions) == len(back["completions"]) == 1100
    assert [one["task_id"] for one in back["completions"][:4]] == [1, 2, 1, 2]
    assert (await sent(client, back))[1] == {"created": 0, "changed": 0, "unchanged": 2}


async def test_a_file_without_them_is_taken(client: Client) -> None:
    """Of both versions."""
    for version in (1, 2):
        file = {"format": "tasks-backend", "version": version, "tasks": [exported_task(1)]}
        assert (await sent(client, file, "?ids=new"))[0] == 200


LONG = "x" * 201
REFUSED: list[tuple[str, Any, str]] = [
    ("no list", {}, "#/completions"),
    ("null", None, "#/completions"),
    ("no object", [1], "#/completions/0"),
    ("no task", [completed(9)], "#/completions/0/task_id"),
    ("no task later", [completed(1), completed(2, 1), completed(9)], "#/completions/2/task_id"),
    ("a task of nobody", [completed(0)], "#/completions/0/task_id"),
    ("too large an id", [completed(2**53)], "#/completions/0/task_id"),
    ("an id as a text", [completed("1")], "#/completions/0/task_id"),
    ("an id as true", [completed(True)], "#/completions/0/task_id"),
    ("without a task", [{"completed_at": MOMENT, "title": "x"}], "#/completions/0/task_id"),
    ("without a moment", [{"task_id": 1, "title": "x"}], "#/completions/0/completed_at"),
    ("a day", [completed(completed_at="2026-01-01")], "#/completions/0/completed_at"),
    ("no offset", [completed(completed_at="2026-01-01T00:00:00")], "#/completions/0/completed_at"),
    ("no such day", [completed(completed_at="2026-02-30T00:00:00Z")], "#/completions/0/completed_at"),
    ("before the calendar", [completed(completed_at="0001-01-01T00:00:00+01:00")], "#/completions/0/completed_at"),
    ("a number as moment", [completed(completed_at=1)], "#/completions/0/completed_at"),
    ("infinity", [completed(completed_at="infinity")], "#/completions/0/completed_at"),
    ("no title", [completed(title=" ")], "#/completions/0/title"),
    ("too long a title", [completed(title=LONG)], "#/completions/0/title"),
    ("NUL", [completed(title="a\0")], "#/completions/0/title"),
    ("a lone surrogate", '[{"task_id":1,"completed_at":"2026-01-01T00:00:00Z","title":"\\ud800"}]', "400"),
    ("no due date", [completed(due_date="soon")], "#/completions/0/due_date"),
    ("no start date", [completed(start_date="soon")], "#/completions/0/start_date"),
    ("no rule", [completed(due_date="2026-12-24", recurrence="FREQ=HOURLY")], "#/completions/0/recurrence"),
    ("a rule without a due date", [completed(recurrence="FREQ=DAILY")], "#/completions/0"),
    ("no reminder", [completed(reminders=["soon"])], "#/completions/0/reminders/0"),
    ("a reminder twice", [completed(due_date="2026-12-24", reminders=["-P1D"] * 2)], "#/completions/0/reminders"),
    ("too many reminders", [completed(reminders=[f"-PT{n}M" for n in range(6)])], "#/completions/0/reminders"),
    ("a duration without a due date", [completed(reminders=["-PT30M"])], "#/completions/0"),
    ("an unknown member", [completed(moved_on=True)], "#/completions/0/moved_on"),
    ("an id of its own", [completed(id="1-1")], "#/completions/0/id"),
    ("the same twice", [completed(), completed(2), completed()], "#"),
    ("the same moment", [completed(), completed(completed_at="2026-01-01T01:00:00+01:00")], "#"),
    ("too many", [{"title": "xxxxxxxxx"}] * 100_001, "#/completions"),
]


@pytest.mark.parametrize(("completions", "pointer"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_file_with_bad_completions_changes_nothing(client: Client, completions: Any, pointer: str) -> None:
    """With where the fault is, under both kinds of ids."""
    await create(client)
    tag, tasks = await revision(client), [exported_task(1), exported_task(2)]
    text = completions if isinstance(completions, str) else orjson.dumps(completions).decode()
    body = orjson.dumps({"format": "tasks-backend", "version": 2, "tasks": tasks})[:-1]
    body += f',"completions":{text}}}'.encode()

    for ids in ("new", "keep"):
        headers = {"Content-Type": "application/json"}
        answer = await client.post(f"/api/{client.user_id}/import?ids={ids}", content=body, headers=headers)
        if pointer == "400":
            assert answer.status_code == 400
        else:
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await revision(client), await recorded(client)) == (tag, [])


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("the least", {}),
    ("every member", {**WEEKLY}),
    ("a start after the due date, as another zone has it", {"due_date": "2026-12-24", "start_date": "2026-12-25"}),
    ("a rule that never comes", {"due_date": "2026-01-01", "recurrence": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}),
    ("the last day", {"due_date": "9999-12-31", "completed_at": "9999-12-31T23:59:59.999999Z"}),
    ("the first day", {"due_date": "0001-01-01", "reminders": ["-P1D"], "completed_at": "0001-01-01T00:00:00Z"}),
    ("another offset", {"completed_at": "2026-01-01T01:00:00.1234567+01:00"}),
]


@pytest.mark.parametrize("members", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
async def test_what_is_taken_comes_out_again(client: Client, members: dict[str, Any]) -> None:
    """As it is listed; the same file changes nothing, and the list has it under an id."""
    file = file_of([completed(**members)], exported_task(1))

    assert (await sent(client, file, "?ids=keep"))[0] == 200
    [listed], tag = await recorded(client), await revision(client)
    back = await export_of(client)

    assert back["completions"] == [{name: listed[name] for name in EXPORTED}]
    assert {name: listed[name] for name in members if name != "completed_at"} == {
        name: value for name, value in members.items() if name != "completed_at"
    }
    assert [(await sent(client, one, "?ids=keep"))[0] for one in (file, back)] == [200, 200]
    assert await revision(client) == tag
    assert (await undo_completion(client, listed["id"]))[0] == 412
