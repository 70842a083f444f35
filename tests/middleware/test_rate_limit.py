"""Who may ask how often: each user for themselves, strangers by their address, and everybody within what one process
can do at once."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.app import problems
from backend.app.main import create_app
from backend.app.middleware.limits import LimitsMiddleware
from backend.app.middleware.rate_limit import RATE_FIELDS, AnonymousRateLimit, UserRateLimit
from backend.app.ratelimit.limiter import RateLimit
from backend.app.web.deadlines import DEADLINE
from tests.support import programs
from tests.support.applications import client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tokens import new_user, token
from tests.support.wire import wire_to

LIMITED = {"rate_limit_per_user": "3/minute", "rate_limit_per_address": "2/minute"}


async def test_a_user_is_told_what_is_left_and_when(database_url: str) -> None:
    """On every answer, refusals too; the request over the limit is 429 and reaches nothing."""
    async with running(create_app(settings_for(database_url, **LIMITED))) as app, client_for(app) as client:
        tasks = f"/api/{client.user_id}/tasks"

        answers = [
            await client.post(tasks, json={"title": "first"}),
            await client.get(f"{tasks}/999"),
            await client.get("/api/someone-else/tasks"),
            await client.post(tasks, json={"title": "too many"}),
        ]
        async with client_for(app) as other:
            others = await other.get(f"/api/{other.user_id}/tasks")

    assert [answer.status_code for answer in answers] == [201, 404, 403, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"user";r=2;t=60',
        *(f'"user";r={left};t={answers[number].headers["ratelimit"].rpartition("=")[2]}' for number, left in
          ((1, 1), (2, 0), (3, 0))),
    ]  # fmt: skip
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"user";q=3;w=60'}
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert answers[3].json()["type"] == "urn:tasks:problem:too-many-requests"
    assert (others.status_code, others.headers["ratelimit"]) == (200, '"user";r=2;t=60')


async def test_strangers_are_counted_by_address(database_url: str) -> None:
    """An address that was refused too often is 429; somebody with a good token there is not, nor is another address."""
    async with running(create_app(settings_for(database_url, **LIMITED))) as app:
        async with client_for(app) as client:
            bad = {"Authorization": "Bearer x"}
            refused = [await client.get("/api/u1/tasks", headers=bad) for _ in range(3)]
            good = await client.get(f"/api/{client.user_id}/tasks")
        transport = httpx.ASGITransport(app, client=("192.0.2.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as elsewhere:
            other = await elsewhere.get("/api/u1/tasks")
            health = [(await elsewhere.get("/health")).status_code for _ in range(5)]

    assert [answer.status_code for answer in refused] == [401, 401, 429]
    assert "www-authenticate" not in refused[2].headers
    assert int(refused[2].headers["retry-after"]) >= 1
    assert "ratelimit" not in refused[2].headers
    assert (good.status_code, other.status_code) == (200, 401)
    assert health == [200] * 5


async def test_so_many_users_are_remembered_as_the_setting_says(database_url: str) -> None:
    """With a place for one, the second user takes the first one's."""
    settings = settings_for(database_url, rate_limit_per_user="3/minute", rate_limit_max_names=1)
    async with running(create_app(settings)) as app, client_for(app) as client, client_for(app) as other:
        asked = [await each.get(f"/api/{each.user_id}/tasks") for each in (client, client, other, client)]

    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in asked] == [
        f'"user";r={left}' for left in (2, 1, 2, 2)
    ]


@pytest.mark.parametrize(
    ("client", "name"), [(("192.0.2.1", 5), "address:192.0.2.1"), (None, "address:"), (("", 0), "address:")]
)
async def test_whoever_has_no_address_is_counted_too(client: Any, name: str) -> None:
    """A server on a unix socket may know none."""
    limit = RateLimit("1/minute", None, max_names=100)

    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        raise problems.AuthenticationRequired

    strangers = AnonymousRateLimit(refuses, limit=limit)
    for expected in (problems.AuthenticationRequired, problems.TooManyRequests):
        with pytest.raises(expected):
            await strangers({"type": "http", "client": client}, None, None)  # type: ignore[arg-type] # not used

    assert not (await limit.hit(name)).allowed


async def test_public_paths_have_no_user_to_count() -> None:
    """Nothing is counted and nothing added."""
    reached: list[Any] = []

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    users = UserRateLimit(answers, limit=RateLimit("1/minute", None, max_names=100))
    for _ in range(3):
        await users({"type": "http", "state": {}}, None, None)  # type: ignore[arg-type] # not used
    await users({"type": "lifespan"}, None, None)  # type: ignore[arg-type] # not used

    assert len(reached) == 4
    assert RATE_FIELDS not in reached[0]["state"]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        # A proxy that is not trusted is a client like others, whatever it says.
        ("192.0.2.1", [401, 401, 429, 429]),
        # One that is: each address that it tells of is counted for itself.
        ("127.0.0.1", [401, 401, 401, 401]),
    ],
)
def test_only_a_trusted_proxy_tells_addresses(
    allowed: str, expected: list[int], server: Server, tmp_path: Path
) -> None:
    """uvicorn's --forwarded-allow-ips decides whose X-Forwarded-For is believed."""
    project, port = programs.clone(tmp_path), programs.free_port()
    with (
        server.new_database() as name,
        programs.serving(
            *(project, port, "--forwarded-allow-ips", allowed),
            DATABASE_URL=server.database_url(name, "tasks_login"),
            RATE_LIMIT_PER_ADDRESS="2/minute",
        ),
    ):
        url = f"http://127.0.0.1:{port}/api/u1/tasks"
        statuses = [
            httpx.get(url, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code for number in range(4)
        ]

    assert statuses == expected


async def test_so_many_requests_are_under_way_and_no_more() -> None:
    """One more is 503 at once, but liveness is answered; a stream that waits takes no place."""
    gate = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            scope[DEADLINE].stop()
        if scope["path"] != "/health":
            await gate.wait()

    limits = LimitsMiddleware(
        waits, max_header_bytes=100, request_timeout=5, max_requests=2, always_answered=frozenset({"/health"})
    )

    async def ask(path: str) -> None:
        await limits({"type": "http", "headers": [], "path": path}, None, None)  # type: ignore[arg-type] # not used

    under_way = [asyncio.create_task(ask(path)) for path in ("/a", "/stream", "/stream", "/b")]
    await asyncio.sleep(0)

    with pytest.raises(problems.TooManyConcurrentRequests):
        await ask("/c")
    await ask("/health")
    gate.set()
    await asyncio.gather(*under_way)
    await ask("/c")


async def test_a_flood_is_answered_with_503_and_health_with_200(database_url: str) -> None:
    """On the whole stack: those over the limit are turned away before their token is read."""
    async with (
        wire_to(database_url) as (wire, url),
        running(create_app(settings_for(url, max_requests=1, database_pool_size=1))) as app,
        client_for(app) as client,
    ):
        user = new_user()
        wire.hold()
        under_way = asyncio.ensure_future(client.get(f"/api/{client.user_id}/tasks"))
        await asyncio.sleep(0)
        answers = await asyncio.gather(
            *(client.get(f"/api/{client.user_id}/tasks") for _ in range(4)),
            client.get("/health"),
            client.get(f"/api/{user}/tasks", headers={"Authorization": f"Bearer {token(user)}"}),
        )
        wire.flow()
        answers.insert(0, await under_way)

    assert [answer.status_code for answer in answers] == [200, 503, 503, 503, 503, 200, 503]
    assert answers[1].json()["type"] == "urn:tasks:problem:too-many-concurrent-requests"
    assert answers[1].headers["retry-after"] == "1"
