"""The six routes as a client sees them."""

import asyncio
from typing import Any

import pytest

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tasks import create, path

MERGE_PATCH = {"content-type": "application/merge-patch+json"}


async def test_a_created_task_can_be_read_at_its_location(client: Client) -> None:
    """POST answers 201 with Location and ETag, and GET at that location answers the same task."""
    created = await client.post(path(client), json={"title": " Buy milk ", "description": "2 l"})

    read = await client.get(created.headers["location"])
    assert created.status_code == 201
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"] == f'"{created.json()["revision"]}"'


async def test_a_task_has_just_these_members(client: Client) -> None:
    """The task on the wire: title trimmed, timestamps RFC 3339 in UTC with Z."""
    task = await create(client, title="\u2003 Buy milk\t", completed=True)

    assert list(task) == [
        "user_id",
        "id",
        "title",
        "description",
        "completed",
        "completed_at",
        "priority",
        "start_date",
        "due_date",
        "time_zone",
        "recurrence",
        "recurrence_from",
        "tags",
        "reminders",
        "remind_at",
        "parent_id",
        "list_id",
        "position",
        "revision",
        "created_at",
        "updated_at",
    ]
    assert (task["user_id"], task["id"], task["title"]) == (client.user_id, 1, "Buy milk")
    assert (task["description"], task["completed"]) == (None, True)
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")


async def test_the_session_time_zone_does_not_show(server: Server) -> None:
    """Timestamps are in UTC also on a server whose sessions are not."""
    with server.new_database() as name:
        settings = settings_for(server.api_url(name))
        async with running(create_app(settings)) as app, client_for(app) as client:
            task = await create(client)
        server.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
        server.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
        server.end_sessions(name)
        async with running(create_app(settings)) as app, client_for(app, client.user_id) as client:
            in_tokyo = (await client.get(path(client, 1))).json()
            made_there = await create(client)

    assert task == in_tokyo
    assert made_there["created_at"][10] == "T"
    assert made_there["created_at"] > task["created_at"]


async def test_location_names_the_path_as_the_client_sees_it(app: Any) -> None:
    """The user id is percent-encoded, and a root_path stands before it."""
    async with client_for(app, "ö/".strip("/") + " x") as client:
        client._transport.root_path = "/svc"  # type: ignore[attr-defined] # noqa: SLF001 - as `uvicorn --root-path` sets it
        created = await client.post("/svc/api/%C3%B6%20x/tasks", json={"title": "t"})
        listed = await client.get("/svc/api/%C3%B6%20x/tasks?limit=1")
        await client.post("/svc/api/%C3%B6%20x/tasks", json={"title": "t"})
        paged = await client.get("/svc/api/%C3%B6%20x/tasks?limit=1")

    assert created.headers["location"] == f"/svc/api/%C3%B6%20x/tasks/{created.json()['id']}"
    assert "link" not in listed.headers
    assert paged.headers["link"].startswith("</svc/api/%C3%B6%20x/tasks?status=all&limit=1&cursor=")


async def test_a_list_is_empty_before_the_first_task(client: Client) -> None:
    """A user who never wrote has no tasks, and that is no error."""
    answer = await client.get(path(client))

    assert (answer.status_code, answer.json()) == (200, [])


async def test_pages_lead_to_each_task_once(client: Client) -> None:
    """Following `Link: rel="next"` meets every task once, newest first, also while the status filter is on."""
    for number in range(7):
        await create(client, title=f"task {number}", completed=number % 2 == 0)

    walks = {}
    for query in ("limit=3", "limit=2&status=completed", "limit=1&status=pending", "limit=7"):
        following: str | None = f"{path(client)}?{query}"
        pages = []
        while following:
            answer = await client.get(following)
            pages.append([task["id"] for task in answer.json()])
            following = answer.links.get("next", {}).get("url")
        walks[query] = pages

    assert walks == {
        "limit=3": [[7, 6, 5], [4, 3, 2], [1]],
        "limit=2&status=completed": [[7, 5], [3, 1]],
        "limit=1&status=pending": [[6], [4], [2]],
        "limit=7": [[7, 6, 5, 4, 3, 2, 1]],
    }


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "YWxs",
        "YWxsOjA",
        "YWxsOjk5OTk5OTk5OTk5OTk5OTk5OTk",
        "YWxsOjU=",
        "cGVuZGluZzo1",
        "YWxsOjV",
        "%00",
        "é",
        "YWxsOjU-",
    ],
)
async def test_a_cursor_that_is_not_ours_is_400(client: Client, cursor: str) -> None:
    """A cursor made up, damaged, or taken from another status is refused and never guessed at."""
    answer = await client.get(path(client), params={"cursor": cursor})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tasks:problem:invalid-cursor")


async def test_put_replaces(client: Client) -> None:
    """PUT sets the title, clears an omitted description and leaves an omitted `completed` as it is."""
    task = await create(client, description="2 l", completed=True)

    replaced = await client.put(path(client, 1), json={"title": " Buy bread "})
    reopened = await client.put(path(client, 1), json={"title": "Buy bread", "completed": False})

    after = replaced.json()
    assert (after["title"], after["description"], after["completed"]) == ("Buy bread", None, True)
    assert after["revision"] == task["revision"] + 1
    assert after["created_at"] == task["created_at"] < after["updated_at"]
    assert reopened.json()["completed"] is False


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, ("Buy milk", "2 l", False)),
        ({"title": "Buy bread"}, ("Buy bread", "2 l", False)),
        ({"description": None}, ("Buy milk", None, False)),
        ({"description": ""}, ("Buy milk", "", False)),
        ({"completed": True}, ("Buy milk", "2 l", True)),
        ({"title": "a", "description": "b", "completed": True}, ("a", "b", True)),
    ],
)
@pytest.mark.parametrize("headers", [{}, MERGE_PATCH], ids=["json", "merge-patch"])
async def test_patch_merges(
    client: Client, patch: dict[str, Any], expected: tuple[Any, ...], headers: dict[str, str]
) -> None:
    """RFC 7396: what is absent stays, and null clears."""
    await create(client, description="2 l")

    after = (await client.patch(path(client, 1), json=patch, headers=headers)).json()

    assert (after["title"], after["description"], after["completed"]) == expected


@pytest.mark.parametrize(
    ("method", "rest", "body", "pointer"),
    [
        ("PATCH", "", {"title": None}, "#/title"),
        ("PATCH", "", {"completed": None}, "#/completed"),
        ("PUT", "", {"title": "t", "completed": None}, "#/completed"),
        ("PUT", "", {}, "#/title"),
        ("PATCH", "/complete", {}, "#/completed"),
        ("PATCH", "/complete", None, "#"),
        ("PATCH", "/complete", {"completed": "yes"}, "#/completed"),
    ],
)
async def test_null_is_not_absence(client: Client, method: str, rest: str, body: Any, pointer: str) -> None:
    """Only the description may be null; a toggle's body says what it sets or is not there at all."""
    await create(client)

    answer = (
        await client.request(method, path(client, 1, rest), json=body)
        if body is not None
        else await client.request(
            method, path(client, 1, rest), content=b"null", headers={"content-type": "application/json"}
        )
    )

    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer])


async def test_delete_removes_for_good(client: Client) -> None:
    """204 once, 404 ever after, and the id is never given again."""
    await create(client)

    answers = [await client.delete(path(client, 1)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert answers[0].content == b""
    assert (await client.get(path(client, 1))).status_code == 404
    assert (await create(client))["id"] == 2


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
async def test_an_empty_body_toggles(client: Client, content_type: str | None) -> None:
    """Without a body `completed` is turned over, whatever the Content-Type says."""
    await create(client)
    headers = {} if content_type is None else {"content-type": content_type}

    states = [(await client.patch(path(client, 1, "/complete"), headers=headers)).json()["completed"] for _ in range(2)]

    assert states == [True, False]


async def test_a_body_sets_and_is_safe_to_repeat(client: Client) -> None:
    """Setting `completed` twice leaves it set."""
    await create(client)

    states = [
        (await client.patch(path(client, 1, "/complete"), json={"completed": True})).json()["completed"]
        for _ in range(2)
    ]

    assert states == [True, True]


MATCHES = ["{tag}", '"1", {tag}', "*", ' "x",{tag} ']
DOES_NOT_MATCH = ['"1"', "W/{tag}", "{bare}", '"0{bare}"', "", "{tag", '"99999999999999999999"', "null"]


def header_value(template: str, task: dict[str, Any]) -> str:
    return template.replace("{tag}", f'"{task["revision"]}"').replace("{bare}", str(task["revision"]))


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("PUT", "", {"title": "changed"}),
        ("PATCH", "", {"title": "changed"}),
        ("PATCH", "/complete", {"completed": True}),
        ("DELETE", "", None),
    ],
    ids=["put", "patch", "complete", "delete"],
)
async def test_if_match_guards_every_write(client: Client, method: str, rest: str, body: Any) -> None:
    """A write goes ahead when If-Match names the current ETag; else it is 412, or 404 where nothing is there."""
    task = await create(client)

    async def write(task_id: int, if_match: str) -> int:
        options = {} if body is None else {"json": body}
        headers = {"If-Match": header_value(if_match, task)}
        return (await client.request(method, path(client, task_id, rest), headers=headers, **options)).status_code

    refused = {tag: await write(1, tag) for tag in DOES_NOT_MATCH}
    missing = {tag: await write(99, tag) for tag in (*MATCHES, *DOES_NOT_MATCH)}
    unchanged = (await client.get(path(client, 1))).json()
    accepted = await write(1, MATCHES[1])

    assert refused == dict.fromkeys(DOES_NOT_MATCH, 412)
    assert set(missing.values()) == {404}
    assert unchanged == task
    assert accepted in (200, 204)


@pytest.mark.parametrize("if_match", MATCHES)
async def test_if_match_accepts(client: Client, if_match: str) -> None:
    """A list that names the ETag matches, and so does `*`."""
    task = await create(client)

    answer = await client.patch(path(client, 1), json={}, headers={"If-Match": header_value(if_match, task)})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [("{tag}", 304), ("W/{tag}", 304), ("*", 304), ('"1", {tag}', 304), ('"1"', 200), ("{bare}", 200), ("", 200)],
)
async def test_if_none_match_saves_the_body(client: Client, if_none_match: str, status: int) -> None:
    """GET answers 304 with the ETag and no body to a client that has the task already; the comparison is weak."""
    task = await create(client)

    answer = await client.get(path(client, 1), headers={"If-None-Match": header_value(if_none_match, task)})

    assert answer.status_code == status
    assert answer.headers["etag"] == f'"{task["revision"]}"'
    assert (answer.content == b"") is (status == 304)


async def test_a_user_at_the_cap_is_told_so(database_url: str) -> None:
    """The cap on tasks is a setting, and reaching it is a problem of its own."""
    async with running(create_app(settings_for(database_url, max_tasks_per_user=2))) as app, client_for(app) as client:
        answers = [await client.post(path(client), json={"title": "t"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert answers[2].json()["type"] == "urn:tasks:problem:task-limit-reached"


async def test_users_count_their_own_tasks(make_client: Any) -> None:
    """Two users who write at once both have tasks 1 to 5."""
    users = [make_client(), make_client()]

    made = await asyncio.gather(*(create(user) for user in users for _ in range(5)))

    for user in users:
        assert sorted(task["id"] for task in made if task["user_id"] == user.user_id) == [1, 2, 3, 4, 5]


async def test_liveness_and_readiness_are_public(app: Any) -> None:
    """Neither needs a token, and a bad one does no harm."""
    async with client_for(app) as client:
        client.headers["Authorization"] = "Bearer rubbish"
        answers = [await client.get(path) for path in ("/health", "/health/ready")]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"status": "ok"}),
        (200, {"status": "ready"}),
    ]


# If-None-Match of a write (RFC 9110, section 13.1.2): what it names, and whether the write is made.
NONE_MATCH = [
    ("*", 412),
    ("its own", 412),
    ("its own, weak", 412),
    ('"1", its own', 412),
    ('"1"', 200),
    ('"1", W/"2"', 200),
    ("no tag at all", 200),
    ('"abc"', 200),
    (f'"{2**64}"', 200),
]
WRITES: dict[str, tuple[str, str, Any]] = {
    "PUT": ("PUT", "", {"title": "changed"}),
    "PATCH": ("PATCH", "", {"title": "changed"}),
    "toggle": ("PATCH", "/complete", None),
    "set": ("PATCH", "/complete", {"completed": True}),
    "DELETE": ("DELETE", "", None),
}


@pytest.mark.parametrize("repeats", [False, True], ids=["plain", "repeating"])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(("field", "expected"), NONE_MATCH)
async def test_if_none_match_keeps_a_write_from_being_made(
    client: Client, write: str, field: str, expected: int, repeats: bool
) -> None:
    """412 where the task's tag is named, weakly compared, and nothing has changed; otherwise the write is made."""
    plan = {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY"} if repeats else {}
    task = await create(client, title="before", **plan)
    tag = f'"{task["revision"]}"'
    value = field.replace("its own, weak", f"W/{tag}").replace("its own", tag)
    method, suffix, body = WRITES[write]

    answer = await client.request(
        method, f"{path(client, task['id'])}{suffix}", json=body, headers={"If-None-Match": value}
    )

    assert answer.status_code == (204 if (expected, method) == (200, "DELETE") else expected)
    if expected == 412:
        assert (await client.get(path(client, task["id"]))).json() == task


async def test_if_none_match_of_a_write_on_nothing_is_404(client: Client) -> None:
    """A task that is not there is 404 before any condition."""
    for headers in ({"If-None-Match": "*"}, {"If-None-Match": '"1"'}, {"If-Match": "*", "If-None-Match": "*"}):
        for method, suffix, body in WRITES.values():
            answer = await client.request(method, f"{path(client, 9)}{suffix}", json=body, headers=headers)

            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "expected"),
    [("its own", '"1"', 200), ("*", '"1"', 200), ('"1"', '"2"', 412), ("its own", "its own", 412), ("*", "*", 412)],
)
async def test_both_conditions_must_hold(client: Client, if_match: str, if_none_match: str, expected: int) -> None:
    """RFC 9110, section 13.2.2."""
    task = await create(client)
    headers = {
        name: value.replace("its own", f'"{task["revision"]}"')
        for name, value in (("If-Match", if_match), ("If-None-Match", if_none_match))
    }

    answer = await client.patch(path(client, task["id"]), json={"title": "changed"}, headers=headers)

    assert answer.status_code == expected


@pytest.mark.parametrize("resource", ["/tasks/1", "/tasks", "/tasks?status=pending", "/tags"])
async def test_if_match_is_heeded_on_reads(client: Client, resource: str) -> None:
    """RFC 9110, section 13.1.1: 412 where it names another tag, also from an answer that is remembered."""
    await create(client)
    url = f"/api/{client.user_id}{resource}"
    tag = (await client.get(url)).headers["etag"]

    for value, expected in ((tag, 200), ("*", 200), (f'"x", {tag}', 200), ('"1"', 412), (f"W/{tag}", 412)):
        assert (await client.get(url, headers={"If-Match": value})).status_code == expected, value


async def test_if_match_on_a_list_without_a_tag_is_412(client: Client) -> None:
    """The trash changes by a purge, too, so it has no tag that could match."""
    url = f"{path(client)}?status=deleted"

    assert (await client.get(url, headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.get(url, headers={"If-Match": "*"})).status_code == 200


@pytest.mark.parametrize(
    "resource", ["/tasks", "/tasks?limit=1", "/tasks/1", "/tasks/9", "/tasks/x", "/tags", "/changes?since=0", "/export"]
)
async def test_head_answers_wherever_get_does(client: Client, resource: str) -> None:
    """GET's status and headers without a body (RFC 9110, section 9.3.2), also for refusals."""
    await create(client)
    await create(client)
    url = f"/api/{client.user_id}{resource}"

    head, get = await client.head(url), await client.get(url)

    volatile = {"x-request-id", "ratelimit"}
    assert head.status_code == get.status_code
    assert {name: value for name, value in head.headers.items() if name not in volatile | {"content-length"}} == {
        name: value for name, value in get.headers.items() if name not in volatile | {"content-length"}
    }
    assert head.content == b""


async def test_head_of_the_event_stream_ends_at_once(client: Client) -> None:
    """Nothing is streamed, and no place is kept."""
    head = await client.head(f"/api/{client.user_id}/events")

    assert (head.status_code, head.headers["content-type"], head.content) == (200, "text/event-stream", b"")


async def test_head_is_among_the_allowed_methods(client: Client) -> None:
    """Of every path that has GET, and of no other."""
    allowed = (await client.post(path(client, 1))).headers["allow"]
    without = (await client.get(f"/api/{client.user_id}/batch")).headers["allow"]

    assert "HEAD" in allowed.split(", ")
    assert "HEAD" not in without.split(", ")


@pytest.mark.parametrize(
    ("method", "suffix", "body", "pointer", "meant"),
    [
        ("GET", "?completed=true", None, "?completed", "`status=completed`"),
        ("GET", "?dueBefore=2026-01-01", None, "?dueBefore", "`due_before`"),
        ("GET", "?zzzzzzzzzz=1", None, "?zzzzzzzzzz", None),
        ("POST", "", {"title": "t", "dueDate": "2026-01-01"}, "#/dueDate", "`due_date`"),
        ("POST", "", {"title": "t", "qqqqqqqq": 1}, "#/qqqqqqqq", None),
        ("PUT", "/1", {"title": "t", "desciption": "x"}, "#/desciption", "`description`"),
    ],
)
async def test_an_unknown_name_is_told_the_nearest_known_one(  # noqa: PLR0917 - a row of the table
    client: Client, method: str, suffix: str, body: Any, pointer: str, meant: str | None
) -> None:
    """422 with the name that was meant, where one is near."""
    await create(client)

    answer = await client.request(method, path(client) + suffix, json=body)

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, pointer)
    assert meant is None or meant in error["detail"]
    assert ("did you mean" in error["detail"]) is (meant is not None)
