"""What a task can be planned by: priority, due date, tags, repeating, and parts of a task."""

from typing import Any

import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tasks import PLAN, create, path, read_task

NO_PLAN: dict[str, Any] = {
    "priority": None,
    "start_date": None,
    "due_date": None,
    "time_zone": None,
    "recurrence": None,
    "recurrence_from": None,
    "tags": [],
    "parent_id": None,
}


async def complete(client: Client, task_id: int, body: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    content: dict[str, Any] = {} if body is None else {"json": body}
    answer = await client.patch(path(client, task_id, "/complete"), **content, **options)
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def test_what_was_planned_comes_back_as_it_was_given(client: Client) -> None:
    """At once, when it is read again, and in the list."""
    made = await create(client, **PLAN)

    assert {name: made[name] for name in PLAN} == PLAN
    assert await read_task(client, made["id"]) == made
    assert (await client.get(path(client))).json() == [made]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"priority": "urgent"}, "#/priority"),
    ({"priority": 1}, "#/priority"),
    ({"due_date": "tomorrow"}, "#/due_date"),
    ({"due_date": "2026-12-24T18:00:00"}, "#/due_date"),
    ({"due_date": 20261224}, "#/due_date"),
    ({"due_date": "2026-12-24\0"}, "#/due_date"),
    ({"due_date": "9999-12-31", "time_zone": "America/New_York"}, "#"),
    ({"time_zone": "Mars"}, "#/time_zone"),
    ({"time_zone": "\0"}, "#/time_zone"),
    ({"recurrence": "FREQ=DAILY"}, "#"),
    ({"recurrence": "FREQ=HOURLY", "due_date": "2026-12-24"}, "#/recurrence"),
    ({"recurrence": "FREQ=DAILY;INTERVAL=7;BYDAY=MO", "due_date": "2026-01-06"}, "#"),
    ({"recurrence_from": "birth"}, "#/recurrence_from"),
    ({"recurrence_from": ""}, "#/recurrence_from"),
    ({"recurrence_from": ["schedule"]}, "#/recurrence_from"),
    ({"tags": None}, "#/tags"),
    ({"tags": "home"}, "#/tags"),
    ({"tags": [""]}, "#/tags/0"),
    ({"tags": ["a", "  \u2003"]}, "#/tags/1"),
    ({"tags": ["a" * 51]}, "#/tags/0"),
    ({"tags": ["a\0b"]}, "#/tags/0"),
    ({"tags": ["a\x1fb"]}, "#/tags/0"),
    ({"tags": ["a\nb"]}, "#/tags/0"),
    ({"tags": [1]}, "#/tags/0"),
    ({"tags": ["Home", "home"]}, "#/tags"),
    ({"tags": ["STRASSE", "straße"]}, "#/tags"),
    ({"tags": ["Cafe\u0301", "CAFÉ"]}, "#/tags"),
    ({"tags": [str(number) for number in range(21)]}, "#/tags"),
    ({"parent_id": 0}, "#/parent_id"),
    ({"parent_id": 2**63}, "#/parent_id"),
    ({"parent_id": "1"}, "#/parent_id"),
    ({"parent_id": 99}, "#/parent_id"),
    ({"completed_at": "2026-01-01T00:00:00Z"}, "#/completed_at"),
]


# What GET answers may be put back as it is: see test_put_back.py.
PUT_BACK = ({"completed_at": "2026-01-01T00:00:00Z"},)
REFUSALS = [
    (method, members, pointer)
    for method in ("POST", "PUT", "PATCH")
    for members, pointer in REFUSED
    if method != "PUT" or members not in PUT_BACK
]


@pytest.mark.parametrize(
    ("method", "members", "pointer"), REFUSALS, ids=[f"{method} {str(members)[:40]}" for method, members, _ in REFUSALS]
)
async def test_what_cannot_be_planned_is_refused(
    client: Client, method: str, members: dict[str, Any], pointer: str
) -> None:
    """422 with where the fault is, and nothing is changed."""
    task = await create(client)
    url = path(client) if method == "POST" else path(client, task["id"])

    answer = await client.request(method, url, json={"title": "t", **members} if method != "PATCH" else members)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await client.get(path(client))).json() == [task]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"tags": ["  Home\u2003", "x" * 50]}, {"tags": ["Home", "x" * 50]}),
        ({"tags": [str(number) for number in range(20)]}, {"tags": [str(number) for number in range(20)]}),
        (
            {"tags": ["b", "a", "{c}", 'd"', "e,f", "NULL", "\\"]},
            {"tags": ["b", "a", "{c}", 'd"', "e,f", "NULL", "\\"]},
        ),
        ({"due_date": "2026-12-24t18:00:00z"}, {"due_date": "2026-12-24t18:00:00z"}),
        ({"due_date": "0001-01-01"}, {"due_date": "0001-01-01"}),
        ({"recurrence_from": "completion"}, {"recurrence_from": None}),
        (
            {"recurrence": "freq=daily", "due_date": "2026-01-01"},
            {"recurrence": "freq=daily", "recurrence_from": "due_date"},
        ),
    ],
    ids=range(7),
)
async def test_what_can_be_planned(client: Client, given: dict[str, Any], kept: dict[str, Any]) -> None:
    """Trimmed tags in their order, and otherwise as it was given."""
    made = await create(client, **given)

    assert {name: made[name] for name in kept} == kept


@pytest.mark.parametrize("name", ["priority", "due_date", "time_zone", "tags", "recurrence"])
async def test_a_patch_changes_one_member_and_clears_it(client: Client, name: str) -> None:
    """Whatever is absent stays, null clears; a task that repeats keeps its due date."""
    made = await create(client, due_date="2026-01-01", description="d")
    url = path(client, made["id"])

    changed = (await client.patch(url, json={name: PLAN[name]})).json()
    cleared = (await client.patch(url, json={name: [] if name == "tags" else None})).json()

    assert changed[name] == PLAN[name]
    started = {"recurrence_from": "due_date"} if name == "recurrence" else {}
    same = {"revision": made["revision"] + 1, "updated_at": changed["updated_at"], **started}
    assert changed == {**made, name: PLAN[name], **same}
    assert cleared[name] == NO_PLAN[name]


async def test_a_put_clears_what_it_leaves_out(client: Client) -> None:
    """All but `completed`, also of a task that repeats."""
    for plan in (PLAN, {key: value for key, value in PLAN.items() if key != "recurrence"}):
        made = await create(client, **plan, completed=True)

        put = (await client.put(path(client, made["id"]), json={"title": "bare"})).json()

        assert {name: put[name] for name in NO_PLAN} == NO_PLAN
        assert (put["title"], put["completed"]) == ("bare", True)
        assert put["completed_at"] == made["completed_at"]
        full = (await client.put(path(client, made["id"]), json={"title": "full", **plan})).json()
        assert {name: full[name] for name in plan if name != "recurrence_from"} == {
            name: value for name, value in plan.items() if name != "recurrence_from"
        }


async def test_a_new_due_date_is_where_the_task_is(client: Client) -> None:
    """The day of a task in Auckland ends before it ends in UTC, also when only the day is changed."""
    made = await create(client, due_date="2026-12-24", time_zone="Pacific/Auckland")
    url = path(client, made["id"])

    await client.patch(url, json={"due_date": "2026-12-25"})

    early = await client.get(path(client) + "?due_before=2026-12-25T11:00:00Z")
    earlier = await client.get(path(client) + "?due_before=2026-12-25T10:59:59Z")
    assert [len(found.json()) for found in (early, earlier)] == [1, 0]
    await client.patch(url, json={"time_zone": None})
    assert (await client.get(path(client) + "?due_before=2026-12-25T11:00:00Z")).json() == []


@pytest.mark.parametrize("patch", [{"due_date": None}, {"recurrence": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}])
async def test_what_stays_must_go_with_what_is_changed(client: Client, patch: dict[str, Any]) -> None:
    """A task that repeats without a due date, or never again: 422, and nothing changes."""
    made = await create(client, due_date="2026-01-06", recurrence="FREQ=DAILY")

    answer = await client.patch(path(client, made["id"]), json=patch)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#")
    assert await read_task(client, made["id"]) == made


async def test_completed_at_is_when_it_was_completed(client: Client) -> None:
    """Set by completing in any way, kept while it stays so, cleared by opening it again."""
    made = await create(client)
    url = path(client, made["id"])

    done = await complete(client, made["id"])
    again = await complete(client, made["id"], {"completed": True})
    renamed = (await client.patch(url, json={"title": "x"})).json()
    opened = await complete(client, made["id"])
    patched = (await client.patch(url, json={"completed": True})).json()
    put = (await client.put(url, json={"title": "y", "completed": False})).json()

    assert made["completed_at"] is None
    assert done["completed_at"] == done["updated_at"] == again["completed_at"] == renamed["completed_at"]
    assert (opened["completed_at"], put["completed_at"]) == (None, None)
    assert patched["completed_at"] == patched["updated_at"]


async def test_tags_are_counted_regardless_of_case(client: Client) -> None:
    """In alphabetical order, in pages, with an ETag; somebody without tags has none."""
    assert (await client.get(f"/api/{client.user_id}/tags")).json() == []
    for tags, completed in ((["Home", "a"], False), (["home"], True), (["HOME", "z"], False), ([], False)):
        await create(client, tags=tags, completed=completed)

    answer = await client.get(f"/api/{client.user_id}/tags")
    known = await client.get(f"/api/{client.user_id}/tags", headers={"If-None-Match": answer.headers["etag"]})
    pages, url = [], f"/api/{client.user_id}/tags?limit=2"
    while url:
        page = await client.get(url)
        pages.append([count["tag"].lower() for count in page.json()])
        url = page.links["next"]["url"] if page.links else ""

    counts = [{**count, "tag": count["tag"].lower()} for count in answer.json()]
    assert counts == [
        {"tag": "a", "open": 1, "total": 1},
        {"tag": "home", "open": 2, "total": 3},
        {"tag": "z", "open": 1, "total": 1},
    ]
    assert known.status_code == 304
    assert pages == [["a", "home"], ["z"]]


@pytest.mark.parametrize(
    "cursor", ["", "x", "WyJ0YWdzIl0", "WyJ0YWdzIiwxXQ", "WyJ0YWdzIiwiYSIsMV0", "WyJ0YWdzIiwiXHUwMDAwIl0", "a" * 5000]
)
async def test_a_tag_cursor_that_is_not_ours_is_400(client: Client, cursor: str) -> None:
    """Broken, of another list, of another kind, or longer than any."""
    answer = await client.get(f"/api/{client.user_id}/tags?cursor={cursor}")

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tasks:problem:invalid-cursor")


async def test_a_task_has_parts_one_level_deep(client: Client) -> None:
    """A subtask's subtask, a task below itself, and a parent below another are refused; a part can be taken out."""
    parent, other = await create(client), await create(client)
    part = await create(client, parent_id=parent["id"])
    url = path(client, part["id"])

    refused = [
        await client.post(path(client), json={"title": "t", "parent_id": part["id"]}),
        await client.patch(path(client, parent["id"]), json={"parent_id": other["id"]}),
        await client.patch(path(client, other["id"]), json={"parent_id": other["id"]}),
        await client.patch(path(client, other["id"]), json={"parent_id": part["id"]}),
        await client.put(path(client, other["id"]), json={"title": "t", "parent_id": 99}),
    ]
    moved = (await client.patch(url, json={"parent_id": other["id"]})).json()
    same = await client.patch(url, json={"parent_id": other["id"], "title": "same"})
    out = (await client.put(url, json={"title": "out"})).json()

    assert [answer.status_code for answer in refused] == [422] * 5
    assert {answer.json()["errors"][0]["pointer"] for answer in refused} == {"#/parent_id"}
    assert (moved["parent_id"], same.json()["parent_id"], out["parent_id"]) == (other["id"], other["id"], None)


async def test_a_task_has_so_many_parts(database_url: str) -> None:
    """MAX_SUBTASKS, for new ones and for those that are moved there."""
    app = create_app(settings_for(database_url, max_subtasks=2))
    async with running(app), client_for(app) as client:
        parent, alone = await create(client), await create(client)
        for _ in range(2):
            await create(client, parent_id=parent["id"])

        one_more = await client.post(path(client), json={"title": "t", "parent_id": parent["id"]})
        moved = await client.patch(path(client, alone["id"]), json={"parent_id": parent["id"]})

    assert [answer.status_code for answer in (one_more, moved)] == [422, 422]


@pytest.mark.parametrize("by", ["toggle", "set", "patch", "put"])
async def test_a_parent_is_completed_with_its_parts(client: Client, by: str) -> None:
    """Each gets a revision of its own; what was done is left alone, and opening the parent again opens no part."""
    parent, other = await create(client), await create(client)
    parts = [await create(client, parent_id=parent["id"], completed=completed) for completed in (False, True, False)]
    before = [await read_task(client, part["id"]) for part in parts]

    url = path(client, parent["id"])
    await {
        "toggle": lambda: client.patch(url + "/complete"),
        "set": lambda: client.patch(url + "/complete", json={"completed": True}),
        "patch": lambda: client.patch(url, json={"completed": True, "title": "p"}),
        "put": lambda: client.put(url, json={"completed": True, "title": "p"}),
    }[by]()

    after = [await read_task(client, task["id"]) for task in (parent, *parts)]
    assert [task["completed"] for task in after] == [True] * 4
    assert after[2] == before[1]
    last = before[2]["revision"]
    assert sorted(task["revision"] for task in (after[0], after[1], after[3])) == [last + 1, last + 2, last + 3]
    assert (await client.get(path(client))).headers["etag"] == f'"{last + 3}"'
    assert await read_task(client, other["id"]) == other
    await client.patch(url + "/complete", json={"completed": False})
    assert [(await read_task(client, part["id"]))["completed"] for part in parts] == [True] * 3


async def test_a_parent_may_be_written_only_as_expected(client: Client) -> None:
    """If-Match holds for what takes more than a statement, too, and whether the task is missing is asked first."""
    parent = await create(client)
    await create(client, parent_id=parent["id"])
    url, stale, right = path(client, parent["id"]), {"If-Match": '"1"'}, {"If-Match": f'"{parent["revision"]}"'}
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", url + "/complete", {}),
        ("PATCH", url, {"json": {"title": "x"}}),
        ("PATCH", url, {"json": {"recurrence": None}}),
        ("PUT", url, {"json": {"title": "x"}}),
        ("DELETE", url, {}),
    ]

    refused = [await client.request(method, to, headers=stale, **options) for method, to, options in writes]
    missing = await client.patch(path(client, 99), json={"recurrence": None}, headers=stale)
    made = await client.patch(url + "/complete", headers=right)

    assert [answer.status_code for answer in refused] == [412] * 5
    assert (missing.status_code, made.status_code) == (404, 200)


async def test_a_task_that_repeats_moves_on(client: Client) -> None:
    """It stays open at its next due date, with the occurrence that was completed, until its rule ends."""
    made = await create(client, due_date="2026-01-31", recurrence="FREQ=MONTHLY;COUNT=2")

    first = await complete(client, made["id"])
    second = await complete(client, made["id"], {"completed": True})

    assert (first["completed"], first["due_date"], first["recurrence"]) == (False, "2026-03-31", "FREQ=MONTHLY;COUNT=1")
    assert first["completed_occurrence"]["due_date"] == "2026-01-31"
    assert first["completed_occurrence"]["completed_at"] >= made["created_at"]
    assert first["completed_at"] is None
    assert (second["completed"], second["due_date"]) == (True, "2026-03-31")
    assert "completed_occurrence" not in second
    assert (await complete(client, made["id"]))["completed"] is False


async def test_a_task_may_repeat_from_its_completion(client: Client) -> None:
    """The next one is after today, however long ago the due date was."""
    made = await create(client, due_date="2020-01-01", recurrence="FREQ=DAILY", recurrence_from="completion")

    done = await complete(client, made["id"])

    assert done["due_date"] > done["completed_occurrence"]["completed_at"][:10]


async def test_a_patch_may_complete_what_repeats(client: Client) -> None:
    """With what else it changes: a rule that it brings along is the one to go by."""
    made = await create(client, due_date="2026-01-01", recurrence="FREQ=DAILY")
    plain = await create(client)

    patched = (
        await client.patch(path(client, made["id"]), json={"completed": True, "recurrence": "FREQ=YEARLY"})
    ).json()
    at_once = (
        await client.patch(
            path(client, plain["id"]), json={"completed": True, "due_date": "2026-01-01", "recurrence": "FREQ=WEEKLY"}
        )
    ).json()

    assert (patched["due_date"], patched["completed"]) == ("2027-01-01", False)
    assert (at_once["due_date"], at_once["completed"]) == ("2026-01-08", False)


async def test_the_parts_of_what_repeats_are_to_do_again(client: Client) -> None:
    """A checklist is open for each time; with the last one it stays done."""
    made = await create(client, due_date="2026-01-01", recurrence="FREQ=DAILY;COUNT=2")
    parts = [await create(client, parent_id=made["id"], completed=completed) for completed in (True, False)]

    await complete(client, made["id"])
    between = [(await read_task(client, part["id"]))["completed"] for part in parts]
    await complete(client, made["id"])
    after = [(await read_task(client, part["id"]))["completed"] for part in parts]

    assert (between, after) == ([False, False], [True, True])
