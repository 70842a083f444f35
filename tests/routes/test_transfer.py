"""Moving out and in: what a file holds in each format, and what comes of it."""

import asyncio
import csv
import io
import itertools
import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import icalendar
import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.calendars import BEYOND
from tests.support.tasks import PLAN, create, exported_task, path
from tests.support.tokens import new_user
from tests.support.wire import wire_to


def me(client: Client, rest: str) -> str:
    return f"/api/{client.user_id}/{rest}"


async def exported(client: Client, accept: str = "application/json") -> httpx.Response:
    answer = await client.get(me(client, "export"), headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


async def imported(client: Client, file: Any, query: str = "") -> dict[str, Any]:
    answer = await client.post(me(client, f"import{query}"), json=file)
    assert answer.status_code == 200, answer.text
    counts: dict[str, Any] = answer.json()
    return counts


def counted(created: int, changed: int = 0, unchanged: int = 0) -> dict[str, Any]:
    return {"created": created, "changed": changed, "unchanged": unchanged}


async def state(client: Client) -> list[Any]:
    """All there is, but for revisions and whose it is."""
    found = [(await client.get(path(client) + query)).json() for query in ("?limit=500", "?status=deleted")]
    return [[{k: v for k, v in task.items() if k not in ("revision", "user_id")} for task in tasks] for tasks in found]


async def revision(client: Client) -> str:
    return (await client.get(path(client))).headers["etag"]


async def fill(client: Client) -> None:
    parent = await create(client, **PLAN, description='Zwei "Liter",\nbitte; 50 %')
    await create(client, parent_id=parent["id"], tags=["Home", "a,b", "é"], priority="low")
    await create(client, due_date="2026-12-24", completed=True, title="=1+1")
    await create(client, due_date="2026-12-24T18:00:00Z", recurrence="FREQ=MONTHLY;BYMONTHDAY=-1;UNTIL=20300101")
    gone = await create(client, title="gone")
    await client.delete(path(client, gone["id"]))


async def test_what_was_exported_and_erased_comes_back(client: Client) -> None:
    """The same tasks with the same ids and times; only revisions are new, and the next id is after the last one."""
    await fill(client)
    before, old = (await state(client))[0], await revision(client)
    file = (await exported(client)).json()
    await client.delete(f"/api/{client.user_id}")

    counts = await imported(client, file)

    assert counts == counted(4)
    assert (await state(client))[0] == before
    assert await revision(client) > old
    assert (await create(client))["id"] == 5
    done = await client.patch(path(client, 1, "/complete"))
    assert done.json()["completed_occurrence"]["due_date"] == PLAN["due_date"]
    assert (await client.delete(path(client, 1))).status_code == 204
    assert (await client.get(path(client, 2))).status_code == 404


async def test_the_same_file_twice_changes_nothing(client: Client) -> None:
    """Not even a revision; a task that was changed since is as in the file again, and only that.

    What it was is in the trash, under an id of its own.
    """
    await fill(client)
    file = (await exported(client)).json()
    before, tag = await state(client), await revision(client)

    again = await imported(client, file)
    same = (await state(client), await revision(client))
    await client.patch(path(client, 2), json={"title": "changed", "tags": []})
    one = await imported(client, file)

    living, trash = await state(client)
    assert again == counted(0, 0, 4)
    assert same == (before, tag)
    assert one == counted(0, 1, 3)
    assert (living, trash[1:]) == (before[0], before[1])
    assert (trash[0]["id"], trash[0]["title"], trash[0]["tags"], trash[0]["parent_id"]) == (6, "changed", [], 1)


async def test_a_deleted_id_is_taken_over(client: Client) -> None:
    """It leaves the trash; a follower hears of the task, and the count is right."""
    await fill(client)
    file = (await exported(client)).json()
    await client.delete(path(client, 3))
    since = int((await revision(client)).strip('"'))

    counts = await imported(client, file)

    living, trash = await state(client)
    assert counts == counted(1, 0, 3)
    assert ([task["id"] for task in living], [task["id"] for task in trash]) == ([4, 3, 2, 1], [5])
    changes = (await client.get(me(client, f"changes?since={since}"))).json()
    assert ([task["id"] for task in changes["tasks"]], changes["deleted"]) == ([3], [])


async def test_many_tasks_travel_in_pages(client: Client) -> None:
    """More than a page and a batch hold, each with a revision of its own; memory is a page's."""
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(number) for number in range(1, 1202)]}

    counts = await imported(client, file)
    back = (await exported(client)).json()

    assert counts["created"] == 1201
    assert [one["id"] for one in back["tasks"]] == list(range(1, 1202))
    assert len({one["revision"] for one in back["tasks"]}) == 1201
    assert (await imported(client, back))["unchanged"] == 1201


TIMES = [
    ("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00:00.123456Z"),
    ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456Z"),
    ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z"),
    ("2026-01-01T00:00:00.5-00:00", "2026-01-01T00:00:00.5Z"),
    ("2026-01-01t00:00:00z", "2026-01-01T00:00:00Z"),
    ("2026-01-01 00:00:00+00:00", "2026-01-01T00:00:00Z"),
    ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("given", "kept"), TIMES)
async def test_times_come_in_as_libraries_write_them(client: Client, given: str, kept: str) -> None:
    """A client that has read an export into its own types writes the same moments otherwise: those count."""
    times = {"created_at": given, "updated_at": given, "completed_at": given, "completed": True}
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(1) | times]}

    await imported(client, file, "?ids=keep")

    [back] = (await exported(client)).json()["tasks"]
    assert {name: back[name] for name in times} == dict.fromkeys(times, kept) | {"completed": True}
    assert (await imported(client, file, "?ids=keep"))["unchanged"] == 1


DUE_DATES = [
    ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00+00:00", "unchanged"),
    ("2026-12-24T18:00:00.5+01:00", "2026-12-24T18:00:00.500000+01:00", "unchanged"),
    ("2026-12-24t18:00:00z", "2026-12-24 18:00:00.0000000-00:00", "unchanged"),
    ("2026-12-24T18:00:00Z", "2026-12-24T19:00:00+01:00", "changed"),
    ("2026-12-24T18:00:00Z", "2026-12-24", "changed"),
    (None, "2026-12-24", "changed"),
    ("2026-12-24", None, "changed"),
]


@pytest.mark.parametrize(("stored", "given", "expected"), DUE_DATES)
async def test_a_due_date_may_be_spelled_in_another_way(
    client: Client, stored: str | None, given: str | None, expected: str
) -> None:
    """What says the same is no change: it stays as it was written first, with its revision."""
    await create(client, due_date=stored)
    file, before = (await exported(client)).json(), await revision(client)
    file["tasks"][0]["due_date"] = given

    counts = await imported(client, file)

    assert counts == counted(0) | {expected: 1}
    kept = (await exported(client)).json()["tasks"][0]["due_date"]
    assert kept == (stored if expected == "unchanged" else given)
    assert (await revision(client) == before) is (expected == "unchanged")


REFUSED: list[tuple[Any, str]] = [
    ({"format": "other", "version": 1, "tasks": []}, "#/format"),
    ({"format": "tasks-backend", "version": 3, "tasks": []}, "#/version"),
    ({"format": "tasks-backend", "version": 1}, "#/tasks"),
    ({"format": "tasks-backend", "version": 1, "tasks": [], "more": 1}, "#/more"),
    ([exported_task(0)], "#/tasks/0/id"),
    ([exported_task(2**53)], "#/tasks/0/id"),
    ([exported_task(7), exported_task(True)], "#/tasks/1/id"),
    ([exported_task(7), exported_task(7)], "#"),
    ([exported_task(7, title="")], "#/tasks/0/title"),
    ([exported_task(7, title="a\0")], "#/tasks/0/title"),
    ([exported_task(7, extra=1)], "#/tasks/0/extra"),
    ([exported_task(7, created_at="2026-01-01T00:00:00")], "#/tasks/0/created_at"),
    ([exported_task(7, updated_at="2026-01-01")], "#/tasks/0/updated_at"),
    ([exported_task(7, updated_at="0001-01-01T00:00:00+01:00")], "#/tasks/0/updated_at"),
    ([exported_task(7, created_at="2026-01-01T00:00:00.1234567890Z")], "#/tasks/0/created_at"),
    ([exported_task(7, updated_at="2026-02-30T00:00:00Z")], "#/tasks/0/updated_at"),
    ([exported_task(7, created_at=1)], "#/tasks/0/created_at"),
    ([exported_task(7, completed_at="2026-01-01T00:00:00Z")], "#/tasks/0"),
    ([exported_task(7, due_date="soon")], "#/tasks/0/due_date"),
    ([exported_task(7, recurrence="FREQ=DAILY")], "#/tasks/0"),
    ([exported_task(7, tags=["a", "A"])], "#/tasks/0/tags"),
    ([exported_task(7, tags=["a\x1fb"])], "#/tasks/0/tags/0"),
    ([exported_task(7, parent_id=7)], "#/tasks/0"),
    ([exported_task(7, parent_id=99)], "#/tasks/0/parent_id"),
    ([exported_task(7), exported_task(8, parent_id=7), exported_task(9, parent_id=8)], "#/tasks/1/parent_id"),
    ([exported_task(7, parent_id=8), exported_task(8, parent_id=7)], "#/tasks/0/parent_id"),
    ([exported_task(7), exported_task(1, parent_id=7)], "#/tasks/1/parent_id"),
    ([exported_task(7, parent_id=2)], "#/tasks/0/parent_id"),
    ([exported_task(7, parent_id=5)], "#/tasks/0/parent_id"),
]


@pytest.mark.parametrize(("file", "pointer"), REFUSED, ids=range(len(REFUSED)))
async def test_a_file_that_is_refused_changes_nothing(client: Client, file: Any, pointer: str) -> None:
    """422 with where the fault is; 1 is a parent, 2 its part, 5 is deleted."""
    await fill(client)
    before, tag = await state(client), await revision(client)
    if isinstance(file, list):
        file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(100), *file]}
        pointer = (
            pointer.replace("/tasks/2", "/tasks/3").replace("/tasks/1", "/tasks/2").replace("/tasks/0", "/tasks/1")
        )

    answer = await client.post(me(client, "import?ids=keep"), json=file)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await state(client), await revision(client)) == (before, tag)


async def test_an_import_keeps_the_limits(database_url: str) -> None:
    """Tasks of a user, parts of a task, bytes of a file."""
    app = create_app(settings_for(database_url, max_tasks_per_user=4, max_subtasks=2, max_import_bytes=2000))

    def file(*tasks: Any) -> dict[str, Any]:
        return {"format": "tasks-backend", "version": 1, "tasks": list(tasks)}

    async with running(app), client_for(app) as client:
        await create(client)
        full = await client.post(me(client, "import?ids=keep"), json=file(*(exported_task(n) for n in range(1, 6))))
        crowded = await client.post(
            me(client, "import?ids=keep"), json=file(*(exported_task(n, parent_id=1) for n in range(2, 5)))
        )
        long = await client.post(me(client, "import"), json=file(*(exported_task(n) for n in range(1, 30))))
        fits = await client.post(me(client, "import?ids=keep"), json=file(*(exported_task(n) for n in range(1, 5))))

    assert [answer.status_code for answer in (full, crowded, long, fits)] == [422, 422, 413, 200]
    assert full.json()["type"] == "urn:tasks:problem:task-limit-reached"
    assert crowded.json()["errors"][0]["pointer"] == "#/tasks/0/parent_id"
    assert fits.json() == counted(3, 1)


async def test_an_import_beside_other_writes_loses_nothing(client: Client) -> None:
    """They are made one after the other: ids, counts and revisions are right."""
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(n) for n in range(1000, 1600)]}

    created, counts = await asyncio.gather(asyncio.gather(*(create(client) for _ in range(20))), imported(client, file))

    listed = (await client.get(path(client) + "?limit=500", headers={"Prefer": "count=exact"})).headers
    assert counts["created"] == 600
    assert len({one["id"] for one in created}) == 20
    assert listed["x-total-count"] == "620"


async def test_hostile_rules_take_no_time(client: Client) -> None:
    """An import does not look whether rules come again; one that does not ends when its task is completed."""
    never = {"due_date": "2026-01-06", "recurrence": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(n, **never) for n in range(1, 2001)]}
    started = time.process_time()

    assert (await imported(client, file))["created"] == 2000
    assert time.process_time() - started < 10  # looking would take more than 40 s

    done = await client.patch(path(client, 1, "/complete"))
    assert (done.json()["completed"], done.json()["due_date"]) == (True, "2026-01-06")


async def test_an_import_with_a_key_is_made_once(client: Client) -> None:
    file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(1)]}
    answers = [await client.post(me(client, "import"), json=file, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [answer.json() for answer in answers] == [counted(1)] * 2
    assert answers[1].headers["idempotency-replayed"] == "true"


ACCEPT = [
    (None, "application/json"),
    ("*/*", "application/json"),
    ("text/*", "text/csv"),
    ("text/csv", "text/csv"),
    ("TEXT/Calendar", "text/calendar"),
    ("text/html, */*;q=0.1", "application/json"),
    ("text/csv;q=0.5, text/calendar", "text/calendar"),
    ("text/calendar;q=0.5,text/*;q=0.7", "text/csv"),
    ("application/json;q=0, */*", "text/csv"),
    ("*/*, text/csv;q=0, application/json;q=0", "text/calendar"),
    ("text/csv; header=present", "text/csv"),
    ("text/csv;q=0.9;x=y , text/calendar ; q=0.8", "text/csv"),
    ("application/json;q=1.000", "application/json"),
    ("text/html", None),
    ("application/xml;q=1, text/html", None),
    ("*/*;q=0", None),
    ("text/csv;q=2", None),
    ("text", None),
]


@pytest.mark.parametrize(("accept", "expected"), ACCEPT, ids=range(len(ACCEPT)))
async def test_the_format_is_what_is_accepted(client: Client, accept: str | None, expected: str | None) -> None:
    """RFC 9110, section 12.5.1; 406 where there is nothing of that."""
    client.headers.pop("Accept")
    answer = await client.get(me(client, "export"), headers={} if accept is None else {"Accept": accept})

    if expected is None:
        assert (answer.status_code, answer.json()["type"]) == (406, "urn:tasks:problem:not-acceptable")
    else:
        assert answer.headers["content-type"].partition(";")[0] == expected
        assert answer.headers["content-disposition"].startswith('attachment; filename="tasks.')
        assert answer.headers["vary"].startswith("Accept")


async def test_csv_is_read_by_a_spreadsheet(client: Client) -> None:
    """RFC 4180; a title that begins like a formula is text."""
    await fill(client)
    listed = (await client.get(path(client))).json()[::-1]

    text = (await exported(client, "text/csv")).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert text.count("\r\n") == 5
    assert [int(row["id"]) for row in rows] == [task["id"] for task in listed]
    assert [json.loads(row["tags"]) for row in rows] == [task["tags"] for task in listed]
    assert rows[0]["description"] == listed[0]["description"]
    assert (rows[2]["title"], rows[2]["completed"], rows[2]["parent_id"]) == ("'=1+1", "true", "")


FORMULAS = [
    *("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\n", "\tx", "\r\n=1", "\n\n=1"),
    *("\uff1d1+1", "\uff0bA1", "\uff0d1", "\uff20SUM(A1)", "\ufe661", "\ufe621", "\ufe631", "\ufe6bx", "\u22121"),
    *(
        " =1",
        "\u3000=1",
        "\xa0=1",
        "\u2003@x",
        "\ufeff=1",
        "\u200b=1",
        "\u200e+1",
        "\u2060-1",
        "\x0b=1",
        "\x1b=1",
        "\x85=1",
    ),
    *("\u0301=1", "\xad=1", " \u200b \ufeff\uff1d1", "\u2028=1"),
]
TEXTS = ["a=1", "1-1", "'=1", "(=1)", "\u200b", "x", " x", "…", "é", "#1", '"=1"', "\u200bx=1", "$1"]


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
async def test_no_cell_is_a_formula(client: Client, text: str) -> None:
    """Signs in all their forms, also behind what is not seen; titles lose blanks around them."""
    made = await create(client, title=text + "x", description=text, tags=["=1"])

    [row] = csv.DictReader(io.StringIO((await exported(client, "text/csv")).text, newline=""))

    assert row["description"] == f"'{text}"
    assert row["title"].removeprefix("'") == made["title"]


@pytest.mark.parametrize("separator", [";", "\t"])
async def test_a_cell_ends_where_it_ends_for_other_programs(client: Client, separator: str) -> None:
    """LibreOffice parts cells at commas, semicolons and tabs alike, but not within quotation marks."""
    title = f"a{separator}=1+1{separator}b"
    await create(client, title=title, tags=["x"])
    await create(client, title="plain")

    head, *rows = (await exported(client, "text/csv")).content.decode("utf-8-sig").splitlines()

    # Two marks for each cell, and two of the tag's own, doubled.
    assert rows[0].startswith(f'"1","{title}",""')
    assert rows[0].count('"') == 2 * len(head.split(",")) + 4
    assert rows[1].startswith("2,plain,,")


async def test_other_cells_are_as_they_are(client: Client) -> None:
    for text in TEXTS:
        await create(client, description=text)

    rows = csv.DictReader(io.StringIO((await exported(client, "text/csv")).text, newline=""))

    assert [row["description"] for row in rows] == TEXTS


MARK = "\ufeff".encode()


@pytest.mark.parametrize(
    ("query", "accept", "marked"),
    [
        ("", "text/csv", True),
        ("", "text/csv; header=present; charset=utf-8-bom", True),
        ("?bom=true", "text/csv", True),
        ("?bom=false", "text/csv", False),
        ("?bom=false", "text/csv; charset=utf-8-bom", False),
        ("?bom=true", "application/json", False),
        ("?bom=true", "text/calendar", False),
    ],
)
async def test_a_spreadsheet_is_told_that_it_is_utf_8(client: Client, query: str, accept: str, marked: bool) -> None:
    """Excel reads the local code page otherwise; a program that is not told to skip a mark leaves it out."""
    file = await client.get(me(client, f"export{query}"), headers={"Accept": accept})

    assert (file.status_code, file.content.startswith(MARK), file.content.count(MARK)) == (200, marked, int(marked))


@pytest.mark.parametrize("query", ["bom=1", "bom=", "bom=true&bom=true", "utf8=true"])
async def test_what_is_no_way_to_write_a_file_is_refused(client: Client, query: str) -> None:
    answer = await client.get(me(client, f"export?{query}"))

    assert answer.status_code == 422


EDGES = [
    *("0001-01-01", "0001-01-01T00:00:00{}", "0001-01-01T23:59:59{}", "0001-01-02T00:00:00{}"),
    *("9999-12-30T23:59:59{}", "9999-12-31", "9999-12-31T00:00:00{}", "9999-12-31T23:59:59.999999{}"),
]
EDGE_OFFSETS = ["Z", "+14:00", "-12:00", "+23:59", "-23:59", "+01:00"]
EDGE_ZONES = [None, "UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Europe/Berlin"]


@pytest.mark.parametrize("edge", EDGES)
async def test_the_edges_of_the_calendar_break_nothing(client: Client, edge: str) -> None:
    """288 pairs of a date and a zone: each is refused, or can be exported in every format and completed."""
    statuses, made = set(), 0
    for offset, time_zone in itertools.product(EDGE_OFFSETS, EDGE_ZONES):
        plan = {"due_date": edge.format(offset), "time_zone": time_zone}
        for more in ({}, {"recurrence": "FREQ=DAILY"}, {"recurrence": "FREQ=YEARLY;BYMONTH=1,12;UNTIL=99991231"}):
            answer = await client.post(path(client), json={"title": "someday", **plan, **more})
            statuses.add(answer.status_code)
            if answer.status_code == 201:
                made += 1
                statuses.add((await client.patch(path(client, made, "/complete"))).status_code)

    files = [await exported(client, accept) for accept in ("application/json", "text/csv", "text/calendar")]
    todos = icalendar.Calendar.from_ical(files[2].content).walk("VTODO")
    filtered = [await client.get(path(client) + f"?due_before={edge.format('Z')}&due_after={edge.format('Z')}")]

    assert statuses <= {200, 201, 422}
    assert made > 0
    assert len(files[0].json()["tasks"]) == len(todos) == made
    assert {answer.status_code for answer in filtered} == {200}


@pytest.mark.parametrize(("due_date", "time_zone"), BEYOND)
async def test_a_date_beyond_its_zones_calendar_is_refused_by_every_write(
    client: Client, due_date: str, time_zone: str
) -> None:
    """Created, replaced, or changed in either half; alone, in a batch or in a file."""
    plan = {"title": "someday", "due_date": due_date, "time_zone": time_zone}
    await create(client, due_date=due_date)
    await create(client, time_zone=time_zone)

    answers = [
        await client.post(path(client), json=plan),
        await client.put(path(client, 1), json=plan),
        await client.patch(path(client, 1), json={"time_zone": time_zone}),
        await client.patch(path(client, 2), json={"due_date": due_date}),
        await client.post(me(client, "batch"), json={"operations": [{"op": "create", "task": plan}]}),
        await client.post(
            me(client, "import"), json={"format": "tasks-backend", "version": 1, "tasks": [exported_task(7, **plan)]}
        ),
    ]

    assert [answer.status_code for answer in answers] == [422] * 6


async def test_a_file_that_fails_in_the_middle_is_cut(database_url: str) -> None:
    """The database goes away between two pages: the answer has no end, so that nobody takes it for a whole file."""
    async with wire_to(database_url) as (wire, url):
        app = create_app(settings_for(url, database_connect_timeout=0.5, request_timeout=2))
        async with running(app), client_for(app) as client:
            file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(n) for n in range(1, 1201)]}
            await imported(client, file)
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)
                if len(sent) == 2:
                    wire.refusing = True
                    await wire.cut()

            async def receive() -> Any:
                await asyncio.Event().wait()

            headers = [
                (b"authorization", client.headers["Authorization"].encode()),
                (b"accept", b"text/calendar"),
            ]
            scope: dict[str, Any] = {"type": "http", "method": "GET", "path": me(client, "export"), "headers": headers}
            await app(scope | {"query_string": b"", "root_path": "", "raw_path": b""}, receive, send)

    assert sent[0]["status"] == 200
    assert all(message.get("more_body") for message in sent[1:])
    assert not b"".join(message["body"] for message in sent[1:]).endswith(b"END:VCALENDAR\r\n")


async def test_a_calendar_shows_the_same(client: Client) -> None:
    """Parsed by the icalendar package: due dates, rules, states, tags and families."""
    await fill(client)
    made = (await client.get(path(client))).json()[::-1]

    file = await exported(client, "text/calendar")
    calendar = icalendar.Calendar.from_ical(file.content)
    todos = list(calendar.walk("VTODO"))

    assert file.content.count(b"BEGIN:VTIMEZONE") == 1
    assert all(len(line) <= 75 for line in file.content.split(b"\r\n"))
    assert [str(todo["SUMMARY"]) for todo in todos] == [task["title"] for task in made]
    assert [str(todo.get("DESCRIPTION", "")) or None for todo in todos] == [task["description"] for task in made]
    due = datetime.fromisoformat(str(PLAN["due_date"])).replace(microsecond=0)
    assert (todos[0].decoded("DTSTART"), todos[0].decoded("DUE")) == (due, due + timedelta(seconds=1))
    assert todos[0].decoded("DTSTART").utcoffset() == datetime.fromisoformat(str(PLAN["due_date"])).utcoffset()
    assert "DUE" not in todos[1]
    assert todos[2].decoded("DUE") == date(2026, 12, 24)
    assert todos[3].decoded("DTSTART") == datetime(2026, 12, 24, 18, tzinfo=UTC)
    assert todos[0]["RRULE"].to_ical() == b"FREQ=WEEKLY;COUNT=3"
    assert todos[3]["RRULE"].to_ical() == b"FREQ=MONTHLY;UNTIL=20300101T235959Z;BYMONTHDAY=-1"
    assert [str(todo["STATUS"]) for todo in todos] == ["NEEDS-ACTION", "NEEDS-ACTION", "COMPLETED", "NEEDS-ACTION"]
    assert [todo.get("PRIORITY") for todo in todos] == [1, 9, None, None]
    assert "CATEGORIES:Home,a\\,b,é" in file.text
    assert todos[1]["RELATED-TO"] == todos[0]["UID"]
    assert len({str(todo["UID"]) for todo in todos}) == 4
    assert client.user_id not in file.text
    again = icalendar.Calendar.from_ical((await exported(client, "text/calendar")).content)
    assert [todo["UID"] for todo in again.walk("VTODO")] == [todo["UID"] for todo in todos]


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "text/calendar"])
async def test_who_has_nothing_gets_an_empty_file(client: Client, accept: str) -> None:
    """Whole in its format, and an empty one may be imported."""
    file = await exported(client, accept)

    if accept == "application/json":
        assert await imported(client, file.json()) == counted(0)
    else:
        assert file.content.count(b"\r\n") >= 1


async def test_a_slow_download_holds_no_connection(database_url: str) -> None:
    """With the pool's only connection free between pages, others are served while somebody reads slowly."""
    async with wire_to(database_url) as (_, url):
        app = create_app(settings_for(url, database_pool_size=1, database_pool_timeout=0.5, request_timeout=5))
        async with running(app), client_for(app) as client:
            file = {"format": "tasks-backend", "version": 1, "tasks": [exported_task(n) for n in range(1, 1201)]}
            await imported(client, file)
            sent: list[bytes] = []
            begun, reads = asyncio.Event(), asyncio.Event()

            async def send(message: Any) -> None:
                if message["type"] == "http.response.body":
                    sent.append(message["body"])
                    begun.set()
                    await reads.wait()

            async def receive() -> Any:
                await asyncio.Event().wait()

            headers = [(b"authorization", client.headers["Authorization"].encode())]
            scope: dict[str, Any] = {"type": "http", "method": "GET", "path": me(client, "export"), "headers": headers}
            scope |= {"query_string": b"", "root_path": "", "raw_path": b""}
            download = asyncio.ensure_future(app(scope, receive, send))
            await begun.wait()
            served = await client.get(path(client))
            pages_so_far = len(sent)
            reads.set()
            await download

    assert (served.status_code, pages_so_far) == (200, 1)
    assert len(json.loads(b"".join(sent))["tasks"]) == 1200
    assert len(sent) > 3


async def test_a_database_that_is_away_is_told_before_the_file_begins(database_url: str) -> None:
    async with wire_to(database_url) as (wire, url):
        app = create_app(settings_for(url, database_connect_timeout=0.5))
        async with running(app), client_for(app, new_user()) as client:
            await exported(client)
            wire.refusing = True
            await wire.cut()

            answer = await client.get(me(client, "export"))

    assert answer.status_code == 503
