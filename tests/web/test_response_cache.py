"""What was answered before is sent again only as long as the database says that it still holds, to whom it belongs."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from backend.app.main import create_app
from backend.app.web.response_cache import KEY_MAX_BYTES, OVERHEAD_BYTES, USER_SHARE, ResponseCache
from backend.app.web.responses import ApiResponse
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tokens import new_user
from tests.support.ways import messages
from tests.support.wire import Wire, wire_to

LONG = "A task with a description that would be seen on the wire. " * 15
# What a client may ask for again, and whose answers hold as long as nothing is written.
PATHS = (
    "tasks",
    "tasks?limit=2",
    "tasks?status=pending",
    "tasks?status=completed&limit=1",
    "tasks?sort=title&q=task",
    "tasks?tag=home",
    "tags",
    "tasks/1",
)

# What an empty answer to the key "key" takes.
ONE = OVERHEAD_BYTES + len("key")


@pytest.fixture
async def wired(database_url: str) -> AsyncIterator[tuple[Client, Wire]]:
    """A client with four tasks, and the wire behind their application, which remembers answers."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = await stack.enter_async_context(running(create_app(remembering(url))))
        client = await stack.enter_async_context(client_for(app))
        for number in range(4):
            await post(client, "tasks", title=f"Task {number}", description=LONG, tags=["home"])
        yield client, wire


def remembering(url: str, **changes: Any) -> Any:
    return settings_for(url, **{"response_cache_bytes": 16 * 1024 * 1024, **changes})


async def get(client: Client, below: str, **headers: str) -> httpx.Response:
    return await client.get(f"/api/{client.user_id}/{below}", headers=headers)


async def post(client: Client, below: str, **body: Any) -> httpx.Response:
    answer = await client.post(f"/api/{client.user_id}/{below}", json=body)
    assert answer.status_code < 300, answer.text
    return answer


def told(answer: httpx.Response) -> tuple[int, bytes, str | None, str | None, str | None]:
    fields = answer.headers
    return answer.status_code, answer.content, fields.get("etag"), fields.get("link"), fields.get("x-total-count")


@pytest.mark.parametrize("below", PATHS)
async def test_the_same_request_reads_a_revision_and_no_task(wired: tuple[Client, Wire], below: str) -> None:
    """The answer is the same to the byte, and what the database is asked for is one number."""
    client, wire = wired
    first = await get(client, below)
    await get(client, below)  # its statement is prepared now
    queries, answered = wire.queries, wire.answered

    again = await get(client, below)

    assert (first.status_code, told(again)) == (200, told(first))
    assert wire.queries == queries + messages(1)
    assert wire.answered - answered < 300 * messages(1)


@pytest.mark.parametrize("prefer", ["count=exact", "return=minimal"])
async def test_what_a_client_prefers_is_another_answer(wired: tuple[Client, Wire], prefer: str) -> None:
    """A list with its count is not given to who did not ask for one, nor the other way round."""
    client, _ = wired

    answers = [await get(client, "tasks", **fields) for fields in ({}, {"prefer": prefer}, {}, {"prefer": prefer})]

    counted = "4" if prefer == "count=exact" else None
    assert [answer.headers.get("x-total-count") for answer in answers] == [None, counted, None, counted]


@pytest.mark.parametrize("below", ["tasks?status=deleted", "tasks?overdue=true"])
async def test_what_changes_without_a_revision_is_never_remembered(wired: tuple[Client, Wire], below: str) -> None:
    """The trash is purged and hours pass without a write."""
    client, wire = wired
    await get(client, below)
    await get(client, below)
    answered = wire.queries

    await get(client, below)
    await get(client, below)

    assert wire.queries == answered + messages(2)
    assert "etag" not in (await get(client, below)).headers


async def test_another_task_is_another_answer(wired: tuple[Client, Wire]) -> None:
    """Each path and each query is remembered for itself."""
    client, _ = wired
    for _ in range(2):
        for number in (1, 2, 3):
            assert (await get(client, f"tasks/{number}")).json()["id"] == number
            assert len((await get(client, f"tasks?limit={number}")).json()) == number


Write = Callable[[Client], Awaitable[httpx.Response]]


def write(method: str, below: str, **options: Any) -> Write:
    return lambda client: client.request(method, f"/api/{client.user_id}{below}", **options)


WRITES = {
    "create": write("POST", "/tasks", json={"title": "Task 5", "tags": ["home"]}),
    "keyed": write("POST", "/tasks", json={"title": "Task 5"}, headers={"idempotency-key": "k"}),
    "replace": write("PUT", "/tasks/1", json={"title": "Task one"}),
    "patch": write("PATCH", "/tasks/1", json={"tags": ["work"]}),
    "toggle": write("PATCH", "/tasks/1/complete"),
    "delete": write("DELETE", "/tasks/1"),
    "batch": write("POST", "/batch", json={"operations": [{"op": "delete", "id": 1}, {"op": "complete", "id": 2}]}),
    "repeat": write("PATCH", "/tasks/1", json={"due_date": "2026-12-24", "recurrence": "FREQ=DAILY"}),
    "part": write("POST", "/tasks", json={"title": "Part of a task", "parent_id": 1}),
    "erase": write("DELETE", ""),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("elsewhere", [True, False], ids=["in another process", "in this process"])
async def test_no_write_is_missed(wired: tuple[Client, Wire], database_url: str, name: str, *, elsewhere: bool) -> None:
    """Whatever is written, and wherever: the next answer is the one of a server that remembers nothing."""
    client, _ = wired
    for below in PATHS:
        await get(client, below)
    async with running(create_app(remembering(database_url, response_cache_bytes=0))) as other:
        forgetful = client_for(other, client.user_id)

        written = await WRITES[name](forgetful if elsewhere else client)
        answers = [(told(await get(client, below)), told(await get(forgetful, below))) for below in PATHS]

    assert written.status_code < 300, written.text
    for remembered, fresh in answers:
        if fresh[0] == 404:  # its problem names the request
            assert remembered[0] == 404
        else:
            assert remembered == fresh


async def test_who_comes_back_after_erasing_meets_nothing_old(wired: tuple[Client, Wire], database_url: str) -> None:
    """Ids begin anew, revisions do not."""
    client, _ = wired
    old = await get(client, "tasks/1")
    async with running(create_app(settings_for(database_url))) as other:
        elsewhere = client_for(other, client.user_id)
        await WRITES["erase"](elsewhere)
        await post(elsewhere, "tasks", title="A new beginning")

    assert (old.json()["title"], (await get(client, "tasks/1")).json()["title"]) == ("Task 0", "A new beginning")


async def test_a_client_that_has_it_is_told_so(wired: tuple[Client, Wire]) -> None:
    """304 comes before what is remembered, and a stale tag gets the answer."""
    client, _ = wired
    tag = (await get(client, "tasks")).headers["etag"]

    known = await get(client, "tasks", **{"if-none-match": tag})
    stale = await get(client, "tasks", **{"if-none-match": '"1"'})

    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert (stale.status_code, len(stale.json())) == (200, 4)


async def test_nothing_is_answered_while_the_database_is_away(wired: tuple[Client, Wire]) -> None:
    """What nobody can confirm is not sent: 503."""
    client, wire = wired
    await get(client, "tasks")
    wire.refusing = True
    await wire.cut()

    away = await get(client, "tasks")

    wire.refusing = False
    assert (away.status_code, (await get(client, "tasks")).status_code) == (503, 200)


async def test_nothing_is_answered_that_row_level_security_hides(database_url: str) -> None:
    """Wall 4 stands before what is remembered: one user's answer under another's name, a planted bug, is not sent."""
    async with running(create_app(remembering(database_url))) as app, client_for(app) as client:
        await post(client, "tasks", title="Only for who wrote it")
        stranger = client_for(app, new_user())
        theirs = await get(client, "tasks")
        planted = ApiResponse(200, theirs.content, etag=theirs.headers["etag"])
        app.state.services.response_cache.keep(stranger.user_id, ("", f"/api/{stranger.user_id}/tasks", b""), planted)

        answer = await get(stranger, "tasks")

        key = ("", f"/api/{stranger.user_id}/tasks", b"")
        assert app.state.services.response_cache.find(stranger.user_id, key) is not planted
        assert (answer.status_code, answer.json()) == (200, [])


def reply(size: int, tag: str = '"1"') -> ApiResponse:
    return ApiResponse(200, b"x" * size, etag=tag)


def test_answers_stand_under_their_users_name() -> None:
    """The same key of another user finds nothing."""
    answers = ResponseCache(max_bytes=10**6, max_age=60)
    answers.keep("alice", ("key",), reply(1))

    assert answers.find("alice", ("key",)) is not None
    assert answers.find("bob", ("key",)) is None
    assert answers.find("alice", ("other key",)) is None


def test_memory_is_bounded() -> None:
    """Ten thousand users, and one who asks for ten thousand lists, take what they may; the last stay."""
    answers = ResponseCache(max_bytes=USER_SHARE * 10 * ONE, max_age=60)
    for number in range(10_000):
        answers.keep(f"user {number}", ("key",), reply(OVERHEAD_BYTES))
        answers.find("greedy", (str(number),))
        answers.keep("greedy", (str(number),), reply(0))

        assert answers.size <= USER_SHARE * 10 * ONE

    kept = [number for number in range(10_000) if answers.find("greedy", (str(number),))]
    assert 0 < len(kept) <= 10
    assert answers.find("user 9999", ("key",)) is not None
    assert answers.find("user 0", ("key",)) is None


def test_who_asks_stays() -> None:
    """Room is made by whoever asked longest ago."""
    answers = ResponseCache(max_bytes=USER_SHARE * 2 * ONE, max_age=60)
    for number in range(2 * USER_SHARE):
        answers.keep(f"user {number}", ("key",), reply(0))
    answers.find("user 0", ("key",))

    answers.keep("new", ("key",), reply(0))

    assert answers.find("user 0", ("key",)) is not None
    assert answers.find("user 1", ("key",)) is None


def test_what_is_too_large_is_not_kept() -> None:
    """An answer that would take more than one user's share; and with no memory, every answer."""
    for max_bytes, size in ((USER_SHARE * 2 * OVERHEAD_BYTES, OVERHEAD_BYTES + 1), (0, 0)):
        answers = ResponseCache(max_bytes=max_bytes, max_age=60)

        answers.keep("alice", ("key",), reply(size))

        assert (answers.find("alice", ("key",)), answers.size) == (None, 0)


def test_a_newer_answer_takes_the_place_of_the_one_before() -> None:
    """And its size is counted in place of the other's."""
    answers = ResponseCache(max_bytes=10**6, max_age=60)
    answers.keep("alice", ("key",), reply(500, '"1"'))

    answers.keep("alice", ("key",), reply(100, '"2"'))

    found = answers.find("alice", ("key",))
    assert found is not None
    assert (found.fields["etag"], answers.size) == ('"2"', 100 + ONE)


def test_keys_are_counted_and_long_ones_are_not_remembered() -> None:
    """What one sends with a request is no way to take memory that only answers are counted in."""
    answers = ResponseCache(max_bytes=10**6, max_age=60)

    answers.keep("alice", ("/tasks", b"q=" + b"x" * 500), reply(0))
    counted = answers.size
    answers.keep("alice", ("/tasks", b"q=" + b"x" * KEY_MAX_BYTES), reply(0))

    assert counted == OVERHEAD_BYTES + len("/tasks") + 502
    assert answers.size == counted


def test_answers_have_an_age() -> None:
    """After it they are read anew, whatever the revision says: a database may have been restored to an earlier one."""
    now = 0.0
    answers = ResponseCache(max_bytes=10**6, max_age=60, clock=lambda: now)
    answers.keep("alice", ("key",), reply(1))

    now = 60.0
    young = answers.find("alice", ("key",))
    now = 60.1
    old = answers.find("alice", ("key",))

    assert young is not None
    assert (old, answers.size) == (None, 0)
