"""Writes that survive bad networks: a key makes one write, whatever becomes of its answer; and the list's ETag."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg2
import pytest

from backend.app import problems
from backend.app.main import create_app
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.task import TaskCreate
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, database_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tokens import new_user
from tests.support.ways import messages_ahead, more_steps_of_a_create
from tests.support.wire import wire_to

KEY = {"Idempotency-Key": "k-1"}


def tasks(client: Client, rest: str = "") -> str:
    return f"/api/{client.user_id}/tasks{rest}"


async def titles(client: Client) -> list[str]:
    return [task["title"] for task in (await client.get(tasks(client))).json()]


def kept(answer: httpx.Response) -> dict[str, str]:
    """What a repetition must bring again."""
    return {name: value for name, value in answer.headers.items() if name in ("etag", "location", "content-type")}


OPERATIONS: list[tuple[str, str, Any]] = [
    ("POST", "", {"title": "another"}),
    ("PUT", "/1", {"title": "changed"}),
    ("PATCH", "/1", {"description": "more"}),
    ("PATCH", "/1/complete", None),
    ("PATCH", "/1/complete", {"completed": True}),
    ("DELETE", "/1", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), OPERATIONS)
async def test_a_repeated_write_is_made_once(client: Client, method: str, rest: str, body: Any) -> None:
    """The second answer is the first one, byte for byte, and says so; nothing is counted twice."""
    await client.post(tasks(client), json={"title": "first"})

    first = await client.request(method, tasks(client, rest), json=body, headers=KEY)
    state = (await client.get(tasks(client))).text
    again = await client.request(method, tasks(client, rest), json=body, headers=KEY)

    assert first.status_code in (200, 201, 204)
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content, kept(again)) == (first.status_code, first.content, kept(first))
    assert again.headers["idempotency-replayed"] == "true"
    assert (await client.get(tasks(client))).text == state


async def test_a_key_may_be_bare_or_quoted(client: Client) -> None:
    await client.post(tasks(client), json={"title": "x"}, headers={"Idempotency-Key": '"a key"'})
    await client.post(tasks(client), json={"title": "x"}, headers={"Idempotency-Key": '"a key"'})
    await client.post(tasks(client), json={"title": "y"}, headers={"Idempotency-Key": "k"})
    await client.post(tasks(client), json={"title": "y"}, headers={"Idempotency-Key": '"k"'})

    assert await titles(client) == ["y", "x"]


@pytest.mark.parametrize(
    "key",
    ["", " ", '""', '"', "a b", 'a"b', '"a\\"b"', "k" * 256, '"' + "k" * 256 + '"', "k\x7f", "ключ".encode(), b"\xff"],
)
async def test_a_malformed_key_is_refused(client: Client, key: str | bytes) -> None:
    """Before anything is written."""
    answer = await client.post(tasks(client), json={"title": "x"}, headers={b"Idempotency-Key": _bytes(key)})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tasks:problem:malformed-request")
    assert await titles(client) == []


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


async def test_two_keys_are_refused(client: Client) -> None:
    answer = await client.post(
        tasks(client), json={"title": "x"}, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    assert answer.status_code == 400


async def test_a_read_takes_no_notice_of_a_key(client: Client) -> None:
    await client.post(tasks(client), json={"title": "x"}, headers=KEY)
    answers = [await client.get(tasks(client), headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "idempotency-replayed" not in answers[1].headers


@pytest.mark.parametrize(
    ("method", "rest", "body", "headers"),
    [
        ("POST", "", {"title": "other"}, {}),
        ("POST", "?", {"title": "x"}, {"If-Match": '"1"'}),
        ("PUT", "/1", {"title": "x"}, {}),
        ("PATCH", "/1", {"title": "x"}, {}),
        ("PATCH", "/1/complete", None, {}),
        ("DELETE", "/1", None, {}),
    ],
)
async def test_a_key_is_for_one_request(
    client: Client, method: str, rest: str, body: Any, headers: dict[str, str]
) -> None:
    """Whoever sends it with another is told, and nothing is changed."""
    await client.post(tasks(client), json={"title": "x"}, headers=KEY)
    state = (await client.get(tasks(client))).text

    answer = await client.request(method, tasks(client, rest), json=body, headers={**KEY, **headers})

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:tasks:problem:idempotency-key-reused")
    assert (await client.get(tasks(client))).text == state


async def test_the_same_tag_in_another_condition_is_another_request(client: Client) -> None:
    """If-None-Match asks for the contrary of If-Match."""
    await client.post(tasks(client), json={"title": "x"})
    first, second = {**KEY, "If-None-Match": '"1"'}, {**KEY, "If-Match": '"1"'}

    made = await client.put(tasks(client, "/1"), json={"title": "y"}, headers=first)
    again = await client.put(tasks(client, "/1"), json={"title": "y"}, headers=first)
    other = await client.put(tasks(client, "/1"), json={"title": "y"}, headers=second)

    assert (made.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert (other.status_code, other.json()["type"]) == (422, "urn:tasks:problem:idempotency-key-reused")


async def test_the_order_of_members_makes_no_other_request(client: Client) -> None:
    contents = [b'{"title":"x","completed":true}', b'{ "completed": true, "title": "x" }']
    answers = [
        await client.post(tasks(client), content=content, headers={**KEY, "Content-Type": "application/json"})
        for content in contents
    ]

    assert answers[1].headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("method", "rest", "body", "status"),
    [
        ("PATCH", "/1/complete", None, 404),
        ("DELETE", "/1", None, 404),
        ("POST", "", {"title": ""}, 422),
        ("POST", "", [], 422),
    ],
)
async def test_a_refusal_is_not_kept(client: Client, method: str, rest: str, body: Any, status: int) -> None:
    """It changed nothing, so the key may be tried again, and with something better."""
    refused = await client.request(method, tasks(client, rest), json=body, headers=KEY)
    made = await client.post(tasks(client), json={"title": "good"}, headers=KEY)

    assert (refused.status_code, made.status_code) == (status, 201)
    assert await titles(client) == ["good"]


async def test_a_condition_that_was_met_once_is_not_judged_again(client: Client) -> None:
    """The answer to a conditional write was lost: its repetition is answered, though the tag is old by now."""
    tag = (await client.post(tasks(client), json={"title": "x"})).headers["etag"]
    answers = [
        await client.put(tasks(client, "/1"), json={"title": "y"}, headers={**KEY, "If-Match": tag}) for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


async def test_keys_are_each_users_own(make_client: MakeClient) -> None:
    mine, theirs = make_client(new_user()), make_client(new_user())
    answers = [
        await client.post(tasks(client), json={"title": client.user_id}, headers=KEY) for client in (mine, theirs)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert await titles(theirs) == [theirs.user_id]
    assert "idempotency-replayed" not in answers[1].headers


async def test_of_many_at_once_one_writes(client: Client) -> None:
    """The others wait for it and are answered as it was."""
    answers = await asyncio.gather(*(client.post(tasks(client), json={"title": "x"}, headers=KEY) for _ in range(30)))

    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 29
    assert await titles(client) == ["x"]


async def test_of_many_processes_one_writes(database_url: str) -> None:
    """They know of one another through the database alone."""
    user = new_user()
    async with contextlib.AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(running(create_app(settings_for(database_url)))) for _ in range(3)]
        clients = [await stack.enter_async_context(client_for(app, user)) for app in apps]
        answers = await asyncio.gather(
            *(client.post(tasks(client), json={"title": "x"}, headers=KEY) for client in clients for _ in range(5))
        )

        assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
        assert await titles(clients[0]) == ["x"]


async def test_who_waits_too_long_is_told_to_come_back(server: Server, database_url: str) -> None:
    """409 at the deadline, whether the first is in this process or in another."""
    user = new_user()
    settings = settings_for(database_url, request_timeout=1.5, database_statement_timeout=0.3)
    holder = psycopg2.connect(server.database_url(database_url.partition("?")[0].rpartition("/")[2]))
    with contextlib.closing(holder), holder.cursor() as cursor:
        cursor.execute(
            "INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at) VALUES (%s, 'k-1', 'x', now())",
            (user,),
        )
        async with running(create_app(settings)) as app, client_for(app, user) as client:
            answers = await asyncio.gather(
                *(client.post(tasks(client), json={"title": "x"}, headers=KEY) for _ in range(3))
            )
            assert {answer.status_code for answer in answers} == {409}
            assert {answer.json()["type"] for answer in answers} == {"urn:tasks:problem:idempotency-key-in-use"}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}

            holder.rollback()
            assert (await client.post(tasks(client), json={"title": "x"}, headers=KEY)).status_code == 201


@pytest.mark.parametrize("statements", [1, 2, 3, 4], ids=["claim", "write", "keep", "commit"])
async def test_a_lost_answer_is_had_by_asking_again(statements: int, database_url: str) -> None:
    """Wherever the connection to the database breaks: written by then or not, the repetition makes it exactly once."""
    user = new_user()
    async with (
        wire_to(database_url) as (wire, url),
        # The second attempt does not even get a connection.
        running(create_app(settings_for(url, database_connect_timeout=0.5))) as app,
        client_for(app, user) as client,
    ):
        await client.post(tasks(client), json={"title": "before"})
        wire.lose_after(messages_ahead() + statements + (more_steps_of_a_create() if statements > 1 else 0))
        broken = await client.post(tasks(client), json={"title": "x"}, headers=KEY)
        wire.mend()
        again = await client.post(tasks(client), json={"title": "x"}, headers=KEY)

        assert (broken.status_code, again.status_code) == (503, 201)
        assert ("idempotency-replayed" in again.headers) == (statements == 4)
        assert await titles(client) == ["x", "before"]


async def test_an_old_key_is_as_none(client: Client, server: Server, database_url: str) -> None:
    """After its time the key makes a new write, and old ones are swept."""
    for key in ("k-1", "k-2", "k-3"):
        await client.post(tasks(client), json={"title": key}, headers={"Idempotency-Key": key})
    name = database_url.partition("?")[0].rpartition("/")[2]
    server.execute(
        f"UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE user_id = '{client.user_id}'",
        database=name,
    )

    answer = await client.post(tasks(client), json={"title": "k-1"}, headers=KEY)

    assert "idempotency-replayed" not in answer.headers
    assert await titles(client) == ["k-1", "k-3", "k-2", "k-1"]
    left = server.execute(f"SELECT key FROM idempotency_keys WHERE user_id = '{client.user_id}'", database=name)
    assert left == [("k-1",)]


async def test_old_keys_that_are_used_at_once_wait_for_nobody_in_a_circle(server: Server, database_url: str) -> None:
    """Each write claims one row and sweeps the others': in one order, in whatever process."""
    user, name = new_user(), database_url.partition("?")[0].rpartition("/")[2]
    keys = [{"Idempotency-Key": f"k-{n}"} for n in range(6)]
    async with contextlib.AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(running(create_app(settings_for(database_url)))) for _ in keys]
        clients = [await stack.enter_async_context(client_for(app, user)) for app in apps]
        for turn in range(5):
            answers = await asyncio.gather(
                *(
                    client.post(tasks(client), json={"title": f"{turn}"}, headers=key)
                    for client, key in zip(clients, keys, strict=True)
                )
            )
            assert {answer.status_code for answer in answers} == {201}
            server.execute(
                f"UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE user_id = '{user}'",
                database=name,
            )

        assert len(await titles(clients[0])) == 30


async def test_one_users_writes_leave_connections_for_the_others(server: Server, database_url: str) -> None:
    """Twenty keyed writes that wait for a row hold one connection of the pool."""
    user, name = new_user(), database_url.partition("?")[0].rpartition("/")[2]
    async with (
        running(create_app(settings_for(database_url, database_pool_size=2))) as app,
        client_for(app, user) as client,
        client_for(app) as other,
    ):
        await client.post(tasks(client), json={"title": "first"})
        holder = psycopg2.connect(server.database_url(name))
        with contextlib.closing(holder), holder.cursor() as cursor:
            cursor.execute("SELECT 1 FROM task_lists WHERE user_id = %s FOR UPDATE", (user,))
            waiting = [
                asyncio.create_task(
                    client.post(tasks(client), json={"title": "x"}, headers={"Idempotency-Key": f"k-{n}"})
                )
                for n in range(20)
            ]
            await asyncio.sleep(0)
            assert (await other.get(tasks(other))).status_code == 200
            holder.rollback()
            assert {(await task).status_code for task in waiting} == {201}


async def test_a_process_that_stops_in_the_middle_locks_nobody_out(database_url: str) -> None:
    """PostgreSQL ends a transaction that nobody goes on with."""
    user = new_user()
    async with (
        database_for(database_url, statement_timeout=0.3) as stopped,
        running(create_app(settings_for(database_url))) as app,
        client_for(app, user) as client,
    ):
        with contextlib.suppress(problems.DatabaseUnavailable):
            async with stopped.transaction(user) as session:
                await TaskRepository(session, max_tasks=10, max_subtasks=10, max_completions=100).create(
                    TaskCreate(title="never")
                )
                answer = await client.post(tasks(client), json={"title": "x"}, headers=KEY)
                assert answer.status_code == 201

        assert await titles(client) == ["x"]


async def test_a_cancelled_write_leaves_its_key_free(database_url: str) -> None:
    """The client hangs up in the middle: nothing is written, and the next one with the key is the first."""
    user = new_user()
    async with (
        wire_to(database_url) as (wire, url),
        running(create_app(settings_for(url))) as app,
        client_for(app, user) as client,
    ):
        await client.post(tasks(client), json={"title": "before"})
        wire.hold()
        hanging = asyncio.create_task(client.post(tasks(client), json={"title": "x"}, headers=KEY))
        queries = wire.queries
        while wire.queries == queries:  # noqa: ASYNC110 - the wire tells nobody
            await asyncio.sleep(0)
        hanging.cancel()
        await asyncio.wait([hanging])
        wire.flow()

        answer = await client.post(tasks(client), json={"title": "x"}, headers=KEY)
        assert answer.status_code == 201
        assert await titles(client) == ["x", "before"]


async def test_the_list_has_an_etag_of_its_own(client: Client) -> None:
    """It changes with every write, and whoever has it is answered 304 without a task being read."""
    tags = [(await client.get(tasks(client))).headers["etag"]]
    assert tags == ['"0"']
    for method, rest, body in [("POST", "", {"title": "x"}), *OPERATIONS]:
        await client.request(method, tasks(client, rest), json=body)
        tags.append((await client.get(tasks(client))).headers["etag"])
    assert len(set(tags)) == len(tags)

    for query in ("", "?limit=1", "?status=completed"):
        unchanged = await client.get(tasks(client, query), headers={"If-None-Match": tags[-1]})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tags[-1])
        changed = await client.get(tasks(client, query), headers={"If-None-Match": f"{tags[-2]}, W/{tags[0]}"})
        assert (changed.status_code, changed.headers["etag"]) == (200, tags[-1])


async def test_the_list_of_nobody_yet_is_known_too(client: Client) -> None:
    answer = await client.get(tasks(client), headers={"If-None-Match": '"0"'})
    assert answer.status_code == 304


async def test_a_browser_may_send_and_read_what_this_needs(client: Client) -> None:
    page = {"Origin": "http://localhost:3000"}
    asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
    preflight = await client.options(tasks(client), headers=asked)
    answer = await client.get(tasks(client), headers=page)

    assert preflight.status_code == 200
    assert "Idempotency-Replayed" in answer.headers["access-control-expose-headers"]


LIMITED = {"max_idempotency_keys_per_user": 3, "max_idempotency_bytes_per_user": 1024 * 1024}


@pytest.fixture
async def limited(server: Server) -> AsyncIterator[tuple[Client, str]]:
    """A client whose keys are few, and the name of its database."""
    with server.new_database() as name:
        app = create_app(settings_for(server.api_url(name), **LIMITED))
        async with running(app), client_for(app) as client:
            yield client, name


async def keyed(client: Client, key: str) -> httpx.Response:
    return await client.post(tasks(client), json={"title": key}, headers={"Idempotency-Key": key})


async def test_keys_over_the_limit_are_refused_and_nothing_is_made(limited: tuple[Client, str]) -> None:
    """What is known is still answered, other writes go on, and the refusal says when there will be room."""
    client, _ = limited
    made = [await keyed(client, key) for key in ("a", "b", "c")]
    refused = await keyed(client, "d")
    known = await keyed(client, "a")
    unkeyed = await client.post(tasks(client), json={"title": "without"})

    assert [answer.status_code for answer in made] == [201] * 3
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:tasks:problem:idempotency-limit-reached")
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert (known.status_code, known.headers["idempotency-replayed"]) == (201, "true")
    assert unkeyed.status_code == 201
    assert await titles(client) == ["without", "c", "b", "a"]


async def test_bytes_over_the_limit_are_refused(limited: tuple[Client, str], server: Server) -> None:
    """They are counted as they are stored."""
    client, name = limited
    await keyed(client, "a")
    server.execute(
        "UPDATE idempotency_keys SET body = repeat('x', 1048576); "
        "UPDATE task_lists SET key_bytes = NULL, key_count = NULL",
        database=name,
    )

    assert (await keyed(client, "b")).status_code == 429


async def test_a_count_that_is_too_high_refuses_nobody(limited: tuple[Client, str], server: Server) -> None:
    """A purge removes keys and counts nothing: before anybody is refused, they are counted."""
    client, name = limited
    for key in ("a", "b", "c"):
        await keyed(client, key)
    server.execute("DELETE FROM idempotency_keys WHERE key = 'a'", database=name)

    assert (await keyed(client, "d")).status_code == 201
    assert server.execute("SELECT key_count FROM task_lists", database=name) == [(3,)]


async def test_a_long_answer_is_kept_compressed(limited: tuple[Client, str], server: Server) -> None:
    """A small batch may have a long answer; it is replayed byte for byte."""
    client, name = limited
    made = await client.post(tasks(client), json={"title": "x", "description": "d" * 1000})
    operations = [{"op": "complete", "id": made.json()["id"]}] * 100
    answers = [
        await client.post(f"/api/{client.user_id}/batch", json={"operations": operations}, headers=KEY)
        for _ in range(2)
    ]
    [[stored, counted]] = server.execute(
        "SELECT octet_length(compressed_body), key_bytes FROM idempotency_keys JOIN task_lists USING (user_id)",
        database=name,
    )

    assert answers[0].content == answers[1].content
    assert len(answers[0].content) > 100_000
    assert stored < counted < 20_000
