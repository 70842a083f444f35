"""Files of other apps become tasks, and what of them does not is told with its line."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import icalendar
import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.foreign_files import CALENDAR, GOOGLE, TODOIST
from tests.support.hostile_files import HEAVY
from tests.support.lists import create_list, lists_of
from tests.support.tasks import PLAN, create, path

TYPES = {"calendar": "text/calendar", "todoist": "text/csv; charset=utf-8", "google": "application/json"}


async def sent(
    client: Client, kind: str, content: str | bytes, query: str = "", **headers: str
) -> tuple[int, dict[str, Any]]:
    body = content.encode() if isinstance(content, str) else content
    answer = await client.post(
        f"/api/{client.user_id}/import{query}", content=body, headers={"Content-Type": TYPES[kind], **headers}
    )
    return answer.status_code, answer.json()


async def listed(client: Client) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = (await client.get(path(client))).json()
    return tasks[::-1]


def told(answer: dict[str, Any]) -> list[tuple[Any, str]]:
    return [(note["line"] or note["pointer"], note["detail"]) for note in answer["dropped"]]


def members(tasks: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(task[name] for name in names) for task in tasks]


async def test_a_calendar_becomes_tasks(client: Client) -> None:
    """Folded lines, zones, rules, families, states and categories."""
    await create(client)

    status, answer = await sent(client, "calendar", CALENDAR.replace("\n", "\r\n"))

    tasks = (await listed(client))[1:]
    assert (status, answer["created"]) == (200, 5)
    assert members(tasks, "id", "parent_id", "completed", "priority") == [
        (2, None, False, "high"),
        (3, 2, True, None),
        (4, 2, False, None),
        (5, None, False, "medium"),
        (6, None, False, "low"),
    ]
    assert members(tasks, "due_date", "time_zone", "recurrence") == [
        ("2026-12-24T18:00:00+01:00", "Europe/Berlin", None),
        (None, None, None),
        ("2026-12-25", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=FR"),
        ("2026-12-24T17:00:00Z", None, None),
        ("2026-07-24T17:00:00+02:00", "Europe/Berlin", None),
    ]
    assert tasks[0]["title"].endswith("that must be folded somewhere")
    assert tasks[0]["description"] == "Two litres\nof it; fresh"
    assert tasks[0]["reminders"] == ["-PT30M"]
    assert tasks[0]["tags"] == ["Home", "zwei, Wörter"]
    assert members(tasks[:2], "created_at", "completed_at")[0] == ("2026-01-01T00:00:00Z", None)
    assert (tasks[0]["updated_at"], tasks[1]["completed_at"]) == ("2026-01-02T00:00:00Z", "2026-01-03T12:00:00Z")
    assert told(answer) == [
        (4, "X-WR-CALNAME is not taken over"),
        (37, "LOCATION is not taken over"),
        (58, "VEVENT is not taken over"),
        (39, "subtasks are one level deep: this becomes one of the task at the top"),
    ]


async def test_our_own_calendar_comes_back(client: Client) -> None:
    """What an export in iCalendar holds is the same after an import of it, but for ids and parts of seconds."""
    parent = await create(client, **{**PLAN, "recurrence_from": "due_date"}, description="a;b,c\\\nd")
    await create(client, parent_id=parent["id"], tags=["a,b"], priority="low", completed=True)
    await create(client, due_date="2026-12-24", recurrence="FREQ=DAILY;INTERVAL=2")
    await create(client, due_date="2026-12-24")
    file = (await client.get(f"/api/{client.user_id}/export", headers={"Accept": "text/calendar"})).content
    assert len(list(icalendar.Calendar.from_ical(file).walk("VTODO"))) == 4

    status, answer = await sent(client, "calendar", file)

    tasks = await listed(client)
    names = ("title", "description", "completed", "priority", "time_zone", "recurrence", "tags")
    assert (status, answer["dropped"]) == (200, [])
    assert members(tasks[4:], *names) == members(tasks[:4], *names)
    assert tasks[4]["due_date"] == "2026-12-24T18:00:00+01:00"
    assert members(tasks[5:], "due_date") == members(tasks[1:4], "due_date")
    assert tasks[5]["parent_id"] == tasks[4]["id"]


async def test_todoists_file_becomes_tasks(client: Client) -> None:
    """Behind a byte order mark: sections, indents, priorities turned round, labels, comments, and how it repeats."""
    await create_list(client)
    status, answer = await sent(client, "todoist", TODOIST)

    tasks = await listed(client)
    assert (status, answer["created"]) == (200, 6)
    assert members(tasks, "title", "parent_id", "priority") == [
        ("Buy milk", None, "high"),
        ('The "good" bread, sliced', 1, "medium"),
        ("Deeper still", 1, "low"),
        ("Water the plants", None, None),
        ("Call", None, None),
        ("Someday", None, None),
    ]
    assert members(tasks, "due_date", "recurrence", "recurrence_from") == [
        ("2026-12-24", None, None),
        ("2026-12-24T18:00:00+01:00", None, None),
        (None, None, None),
        ("2026-12-01", "FREQ=WEEKLY;INTERVAL=2", "due_date"),
        ("2026-12-07T09:30:00+01:00", "FREQ=WEEKLY;BYDAY=MO", "completion"),
        (None, None, None),
    ]
    assert (tasks[0]["tags"], tasks[0]["description"], tasks[1]["description"]) == (
        ["home", "shop"], "Two litres", "with seeds"
    )  # fmt: skip
    assert members(await lists_of(client), "id", "name") == [(1, "Groceries"), (2, "Kitchen")]
    assert {task["list_id"] for task in tasks} == {2}
    assert told(answer) == [
        (4, "RESPONSIBLE is not taken over"),
        (8, "DURATION is not taken over"),
        (9, "DATE is not taken over: it is written in a way that is not known here"),
        (11, "a row that is no task, section or note is not taken over"),
        (6, "subtasks are one level deep: this becomes one of the task at the top"),
    ]


async def test_googles_file_becomes_tasks(client: Client) -> None:
    """With pointers in place of lines."""
    status, answer = await sent(client, "google", GOOGLE)

    tasks = await listed(client)
    assert (status, answer["created"]) == (200, 3)
    assert members(tasks, "title", "description", "due_date", "completed", "parent_id", "list_id") == [
        ("Buy milk", "Two litres", "2026-12-24", False, None, 1),
        ("Bread", None, None, True, 1, 1),
        ("Plant a tree", None, None, False, None, 2),
    ]
    assert members(await lists_of(client), "id", "name") == [(1, "My Tasks"), (2, "Garden")]
    assert members(tasks, "created_at", "updated_at", "completed_at")[0] == (
        "2026-01-01T00:00:00Z", "2026-01-02T00:00:00.123Z", None
    )  # fmt: skip
    assert tasks[1]["completed_at"] == "2026-01-03T00:00:00Z"
    assert told(answer) == [
        ("#/items/0/items/0", "links is not taken over"),
        ("#/items/0/items/2", "a task without a title is not taken over"),
        ("#/items/0/items/3", "a deleted task is not taken over"),
    ]


FILES = {"calendar": CALENDAR, "todoist": TODOIST, "google": GOOGLE}


@pytest.mark.parametrize("kind", FILES)
async def test_a_dry_run_shows_what_would_be_made(client: Client, kind: str) -> None:
    """The lists and the tasks, with the file's numbers as ids, and what is dropped; nothing is made."""
    status, tried = await sent(client, kind, FILES[kind], "?dry_run=true")
    before = [*await listed(client), *await lists_of(client)]
    made = (await sent(client, kind, FILES[kind]))[1]

    tasks = await listed(client)
    shown, lists = tried.pop("tasks"), tried.pop("lists")
    assert (status, before, tried) == (200, [], {"ids": "new", **made})
    names = ("id", "title", "due_date", "recurrence", "tags", "parent_id", "list_id", "completed")
    assert members(shown, *names) == members(tasks, *names)
    assert members(lists, "id", "name", "position") == members(await lists_of(client), "id", "name", "position")


@pytest.mark.parametrize("kind", FILES)
async def test_ids_are_always_new(client: Client, kind: str) -> None:
    """Those of another app are not the caller's."""
    refused = await sent(client, kind, FILES[kind], "?ids=keep")
    added = await sent(client, kind, FILES[kind], "?ids=new")

    assert (refused[0], refused[1]["errors"][0]["pointer"]) == (422, "?ids")
    assert added[0] == 200


@pytest.mark.parametrize("kind", FILES)
async def test_a_repeated_file_is_added_once_with_a_key(client: Client, kind: str) -> None:
    first, second = [await sent(client, kind, FILES[kind], **{"Idempotency-Key": "k"}) for _ in range(2)]
    other = await sent(client, kind, FILES[kind].replace("milk", "bread"), **{"Idempotency-Key": "k"})

    assert first == second
    assert (len(await listed(client)), other[0]) == (first[1]["created"], 422)


REFUSED: list[tuple[str, str | bytes]] = [
    ("calendar", ""),
    ("calendar", "hello"),
    ("calendar", "BEGIN:VTODO\nEND:VTODO"),
    ("calendar", b"BEGIN:VCALENDAR\n\xff"),
    ("calendar", "BEGIN:VCALENDAR\n" + "BEGIN:X\n" * 20),
    ("calendar", "{}"),
    ("todoist", ""),
    ("todoist", "id,title\n1,x\n"),
    ("todoist", b"TYPE,CONTENT\ntask,\xff"),
    ("todoist", 'TYPE,CONTENT\ntask,"x\ntask,y\n'),
    ("todoist", 'TYPE,CONTENT\ntask,"' + "x\n" * 15_000),
    ("google", '{"kind": "tasks#taskLists", "items": ['),
    ("google", '{"kind": "tasks#taskLists", "items": ' + "[" * 5000 + "]" * 5000 + "}"),
]


@pytest.mark.parametrize(("kind", "content"), REFUSED, ids=range(len(REFUSED)))
async def test_what_is_no_such_file_is_refused(client: Client, kind: str, content: str | bytes) -> None:
    """Never with 500; nothing is made."""
    status, problem = await sent(client, kind, content)

    assert status in (400, 422), problem
    assert await listed(client) == []


async def test_the_size_is_bounded(database_url: str) -> None:
    """By a setting of its own, and by the number of tasks that a user may have."""
    app = create_app(settings_for(database_url, max_foreign_import_bytes=2000, max_tasks_per_user=3))
    async with running(app), client_for(app) as client:
        long = [await sent(client, kind, FILES[kind] + " " * 2000) for kind in FILES]
        many = await sent(client, "todoist", "TYPE,CONTENT\n" + "task,x\n" * 4)
        fits = await sent(client, "todoist", "TYPE,CONTENT\n" + "task,x\n" * 3)

    assert [status for status, _ in long] == [413] * 3
    assert (many[0], many[1]["type"]) == (422, "urn:tasks:problem:task-limit-reached")
    assert (fits[0], fits[1]["created"]) == (200, 3)


def sections(count: int) -> str:
    return "TYPE,CONTENT\n" + "section,x\n" * count


def task_lists(count: int) -> str:
    return json.dumps({"kind": "tasks#taskLists", "items": [{"title": "a list with a name"}] * count})


@pytest.mark.parametrize(("kind", "file"), [("todoist", sections), ("google", task_lists)])
async def test_lists_are_bounded(database_url: str, kind: str, file: Callable[[int], str]) -> None:
    """As those of an export of ours: by what the user may have, and by what a file may have."""
    async with running(create_app(settings_for(database_url, max_lists=3))) as app, client_for(app) as client:
        await create_list(client)
        too_many, file_too_long, fits = [await sent(client, kind, file(count)) for count in (3, 1001, 2)]

        assert (too_many[0], too_many[1]["type"]) == (422, "urn:tasks:problem:list-limit-reached")
        assert (file_too_long[0], file_too_long[1]["errors"][0]["detail"]) == (422, "must have at most 1000 lists")
        assert (fits[0], len(await lists_of(client))) == (200, 3)


@pytest.mark.parametrize("what", HEAVY)
async def test_hostile_files_hold_up_nobody(client: Client, what: str) -> None:
    """No step of the event loop takes long meanwhile, however little a file costs who sends it; and never 500."""
    kind, content = HEAVY[what]
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    status, answer = await sent(client, kind, content[: 1024 * 1024], "?dry_run=true")
    watcher.cancel()

    assert status in (200, 400, 422), answer
    assert max(gaps, default=0) < STEP_MAX_SECONDS


# Of the processor: what a step may take, with some room for a garbage collection.
STEP_MAX_SECONDS = 0.04
