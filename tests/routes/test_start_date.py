"""When a task can be begun: kept as it is given, compared with the due date, moved along, and listed by."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.app.domain.recurrence import moved_start
from tests.support.applications import Client
from tests.support.tasks import create, path, read_task

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def url_of(client: Client, method: str) -> str:
    return path(client) if method == "POST" else path(client, 1)


TAKEN: list[dict[str, Any]] = [
    {"start_date": "2026-12-20"},
    {"start_date": "2026-12-20T08:00:00.50+01:00", "time_zone": BERLIN},
    {"start_date": "0001-01-01"},
    {"start_date": "9999-12-31"},
    {"start_date": "2026-12-24", "due_date": "2026-12-24"},
    {"start_date": "2026-12-24T23:59:59Z", "due_date": "2026-12-24"},
    {"start_date": "2026-12-24T23:30:00Z", "due_date": "2026-12-24", "time_zone": NEW_YORK},
    {"start_date": "2026-12-24", "due_date": "2026-12-24T00:00:00Z"},
    {"start_date": "2026-12-24T18:00:00Z", "due_date": "2026-12-24T18:00:00Z"},
    {"start_date": None, "due_date": "2026-12-24"},
]


@pytest.mark.parametrize("members", TAKEN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_start_date_comes_back_as_it_was_given(client: Client, method: str, members: dict[str, Any]) -> None:
    """However it is written; and the list and the export have it, too."""
    await create(client)

    answer = await client.request(method, url_of(client, method), json={"title": "t", **members})

    assert answer.status_code in (200, 201), answer.text
    task = answer.json()
    assert {name: task[name] for name in members} == members
    assert await read_task(client, task["id"]) == task
    assert (await client.get(path(client))).json()[0] == task
    assert (await client.get(f"/api/{client.user_id}/export")).json()["tasks"][-1] == task


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"start_date": "tomorrow"}, "#/start_date"),
    ({"start_date": ""}, "#/start_date"),
    ({"start_date": "2026-12-24T18:00:00"}, "#/start_date"),
    ({"start_date": "2026-12-24\0"}, "#/start_date"),
    ({"start_date": "2026-02-30"}, "#/start_date"),
    ({"start_date": "2026-12-24T23:59:60Z"}, "#/start_date"),
    ({"start_date": 20261224}, "#/start_date"),
    ({"start_date": True}, "#/start_date"),
    ({"start_date": ["2026-12-24"]}, "#/start_date"),
    ({"start_date": "x" * 10_000}, "#/start_date"),
    ({"startDate": "2026-12-24"}, "#/startDate"),
    ({"start_at": "2026-12-24"}, "#/start_at"),
    ({"start_date": "0001-01-01", "time_zone": BERLIN}, "#"),
    ({"start_date": "2026-12-25", "due_date": "2026-12-24"}, "#"),
    ({"start_date": "2026-12-25T00:00:00Z", "due_date": "2026-12-24"}, "#"),
    ({"start_date": "2026-12-24T18:00:01Z", "due_date": "2026-12-24T18:00:00Z"}, "#"),
    ({"start_date": "2026-12-24", "due_date": "2026-12-24T00:00:00+01:00"}, "#"),
]


@pytest.mark.parametrize(("members", "pointer"), REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_what_is_no_start_date_is_refused(
    client: Client, method: str, members: dict[str, Any], pointer: str
) -> None:
    """422 with where the fault is; it must not be after the due date, which may last a day."""
    task = await create(client)

    answer = await client.request(method, url_of(client, method), json={"title": "t", **members})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.get(path(client))).json() == [task]


@pytest.mark.parametrize(
    ("method", "body", "status", "start"),
    [
        ("PATCH", {"due_date": "2026-12-19"}, 422, "2026-12-20"),
        ("PATCH", {"due_date": "2026-12-20"}, 200, "2026-12-20"),
        ("PATCH", {"due_date": None}, 200, "2026-12-20"),
        ("PATCH", {"title": "t"}, 200, "2026-12-20"),
        ("PATCH", {"time_zone": BERLIN}, 200, "2026-12-20"),
        ("PATCH", {"start_date": None}, 200, None),
        ("PATCH", {"start_date": "2026-12-21", "due_date": "2026-12-21"}, 200, "2026-12-21"),
        ("PUT", {"title": "t"}, 200, None),
        ("PUT", {"title": "t", "due_date": "2026-12-19"}, 200, None),
        ("PUT", {"title": "t", "start_date": "2026-12-25"}, 200, "2026-12-25"),
    ],
)
async def test_a_start_date_is_judged_with_what_stays(
    client: Client, method: str, body: dict[str, Any], status: int, start: str | None
) -> None:
    """A new due date must not be before it; PUT clears what is left out."""
    made = await create(client, start_date="2026-12-20", due_date="2026-12-24")

    answer = await client.request(method, path(client, 1), json=body, headers={"If-Match": f'"{made["revision"]}"'})

    assert answer.status_code == status, answer.text
    assert (await read_task(client, 1))["start_date"] == start


MOVED = [
    ("2026-01-01", "2026-01-05", "2026-01-12", None, "2026-01-08"),
    ("2026-01-05T08:00:00Z", "2026-01-05", "2026-01-12", None, "2026-01-12T08:00:00Z"),
    ("2026-03-27T09:00:00+01:00", "2026-03-28T18:00:00+01:00", "2026-03-29T18:00:00+02:00", BERLIN,
     "2026-03-28T09:00:00+01:00"),
    ("2026-03-28T09:00:00+01:00", "2026-03-28T18:00:00+01:00", "2026-03-29T18:00:00+02:00", BERLIN,
     "2026-03-29T09:00:00+02:00"),
    ("0001-01-01", "2026-01-05", "2025-01-05", None, None),
    ("2026-01-01", "2026-01-05", "2026-01-12", "Gone/Zone", None),
    (None, "2026-01-05", "2026-01-12", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("start", "due", "then", "time_zone", "moved"), MOVED)
def test_a_start_date_moves_by_local_time(
    start: str | None, due: str, then: str, time_zone: str | None, moved: str | None
) -> None:
    """As long before the due date as it was, over changes of the clocks; none beyond the calendar."""
    assert moved_start(start, due, then, time_zone) == moved


async def test_what_repeats_starts_later_the_next_time(client: Client) -> None:
    """Moved along with the due date; when none is left it stays where it was."""
    plan = {"due_date": "2026-01-05", "start_date": "2026-01-01", "recurrence": "FREQ=WEEKLY;COUNT=2"}
    await create(client, **plan)

    first = (await client.patch(path(client, 1, "/complete"))).json()
    last = (await client.patch(path(client, 1, "/complete"))).json()

    assert (first["start_date"], first["due_date"]) == ("2026-01-08", "2026-01-12")
    assert (last["start_date"], last["completed"]) == ("2026-01-08", True)


async def test_the_start_date_is_kept_over_the_trash_and_a_file(client: Client) -> None:
    """Deleted and restored, exported and imported under new ids."""
    task = await create(client, start_date="2026-12-20T08:00:00+01:00", time_zone=BERLIN)
    await client.delete(path(client, 1))
    restored = (await client.post(path(client, 1, "/restore"))).json()
    file = (await client.get(f"/api/{client.user_id}/export")).json()

    imported = await client.post(f"/api/{client.user_id}/import?ids=new", json=file)

    assert restored["start_date"] == task["start_date"]
    assert imported.status_code == 200, imported.text
    assert (await read_task(client, 2))["start_date"] == task["start_date"]


async def test_what_has_begun_is_listed(client: Client) -> None:
    """Open tasks whose start has come, or that have none; the others are what is not available. No ETag holds."""
    now = datetime.now(UTC)
    starts = [None, now - timedelta(hours=1), now + timedelta(hours=1)]
    for start in starts:
        await create(client, start_date=start and start.isoformat(timespec="seconds"))
    await create(client, start_date="2020-01-01", completed=True)
    await create(client, start_date=(now + timedelta(days=2)).date().isoformat(), due_date="2999-01-01")

    listed = {value: await client.get(f"{path(client)}?available={value}") for value in ("true", "false")}
    counted = await client.get(f"{path(client)}?available=true&sort=title", headers={"Prefer": "count=exact"})

    assert [task["id"] for task in listed["true"].json()] == [2, 1]
    assert [task["id"] for task in listed["false"].json()] == [5, 4, 3]
    assert "etag" not in listed["true"].headers
    assert counted.headers["x-total-count"] == "2"
    assert (await client.get(f"{path(client)}?available=now")).status_code == 422


@pytest.mark.parametrize(("zone", "available"), [("Pacific/Kiritimati", True), ("Etc/GMT+12", False)])
async def test_a_day_begins_where_the_task_is(client: Client, zone: str, available: bool) -> None:
    """A day that has begun on Kiritimati is available there; UTC's next day is not yet where days begin last."""
    now = datetime.now(UTC)
    day = (now + timedelta(hours=14)).date() if available else now.date() + timedelta(days=1)
    await create(client, start_date=day.isoformat(), time_zone=zone)

    listed = (await client.get(f"{path(client)}?available=true")).json()

    assert bool(listed) is available


CALENDAR: list[tuple[dict[str, Any], list[str]]] = [
    ({"start_date": "2026-12-20"}, ["DTSTART;VALUE=DATE:20261220"]),
    (
        {"start_date": "2026-12-20", "due_date": "2026-12-24"},
        ["DTSTART;VALUE=DATE:20261220", "DUE;VALUE=DATE:20261224"],
    ),
    ({"start_date": "2026-12-24", "due_date": "2026-12-24"}, ["DUE;VALUE=DATE:20261224"]),
    ({"start_date": "2026-12-20T08:00:00Z", "due_date": "2026-12-24"}, ["DUE;VALUE=DATE:20261224"]),
    ({"start_date": "2026-12-20", "due_date": "2026-12-24T18:00:00Z"}, ["DUE:20261224T180000Z"]),
    (
        {"start_date": "2026-12-20T08:00:00+01:00", "due_date": "2026-12-24T18:00:00Z"},
        ["DTSTART:20261220T070000Z", "DUE:20261224T180000Z"],
    ),
    (
        {"start_date": "2026-12-20T08:00:00Z", "due_date": "2026-12-24T18:00:00Z", "time_zone": BERLIN},
        [f"DTSTART;TZID={BERLIN}:20261220T090000", f"DUE;TZID={BERLIN}:20261224T190000"],
    ),
    ({"start_date": "2026-12-24T18:00:00Z", "due_date": "2026-12-24T18:00:00Z"}, ["DUE:20261224T180000Z"]),
    (
        {"start_date": "2026-12-20", "due_date": "2026-12-24", "recurrence": "FREQ=DAILY"},
        ["DTSTART;VALUE=DATE:20261224", "DURATION:P1D"],
    ),
]


@pytest.mark.parametrize(("members", "lines"), CALENDAR)
async def test_a_calendar_has_it_where_it_may(client: Client, members: dict[str, Any], lines: list[str]) -> None:
    """DTSTART and DUE have one type, and DUE is later (RFC 5545, section 3.8.2.3); what repeats counts from DTSTART."""
    await create(client, **members)

    calendar = (await client.get(f"/api/{client.user_id}/export", headers={"Accept": "text/calendar"})).text

    todo = calendar[calendar.index("BEGIN:VTODO") :]
    assert re.findall(r"^(?:DTSTART|DUE|DURATION)[;:].*$", todo.replace("\r", ""), re.MULTILINE) == lines
