"""The middleware in its order: what is answered first, in which words, and what is logged."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from starlette.types import Message, Receive, Scope, Send

from backend.app import problems
from backend.app.main import DOCUMENTATION_PATHS, create_app
from backend.app.middleware.errors import ErrorsMiddleware
from backend.app.middleware.limits import LimitsMiddleware
from backend.app.middleware.path_guard import require_own
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tokens import new_user, token

ORIGIN = {"Origin": "http://localhost:3000"}
NO_TOKEN = 'Bearer realm="tasks"'
NOT_A_JWT = (
    'Bearer realm="tasks", error="invalid_token", '
    'error_description="The token is not a signed JWT: it must have three parts."'
)
STRANGERS = (
    *("u2", "U1", "u1 ", "u1+", "u1;x=1", "u1%2F", "u1\x00", "..", ".", "u1\\..\\u2", "u1\r\n", "\ufffd"),
    *("u\u0131", "u1\u0301", "u"),
)
NOWHERE = ("", "/", "/api", "/api/", "/api//u1/tasks", "//api/u1", "/./api/u1", "/API/u1", "/apiu1", "/x/api/u1")


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, NO_TOKEN),
        ({"Authorization": "Basic YTpi"}, NO_TOKEN),
        ({"Authorization": "Bearer"}, NOT_A_JWT),
        ({"Authorization": "Bearer x"}, NOT_A_JWT),
        ({"Cookie": f"token={token('u1')}"}, NO_TOKEN),
    ],
)
async def test_a_request_without_a_good_token_is_challenged(
    app: FastAPI, headers: dict[str, str], challenge: str
) -> None:
    """RFC 6750: an error code only where a token was sent; the same on unknown paths."""
    async with client_for(app, "u1") as client:
        del client.headers["Authorization"]
        answers = [
            await client.get(path, headers=headers)
            for path in ("/api/u1/tasks", "/nowhere", f"/api/u1/tasks?token={token('u1')}")
        ]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {answer.headers["www-authenticate"] for answer in answers} == {challenge}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


async def test_two_authorization_headers_are_one_too_many(app: FastAPI) -> None:
    """Which of them a proxy checked cannot be known."""
    async with client_for(app, "u1") as client:
        good = client.headers.pop("Authorization")
        answer = await client.get("/api/u1/tasks", headers=[("Authorization", good), ("Authorization", good)])

    assert answer.status_code == 401


async def test_the_scheme_may_be_in_any_case(client: Client) -> None:
    """RFC 9110, section 11.1."""
    client.headers["Authorization"] = client.headers["Authorization"].replace("Bearer", "bEARER")

    assert (await client.get(f"/api/{client.user_id}/tasks")).status_code == 200


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/api/u1", None),
        ("/api/u1/", None),
        ("/api/u1/tasks/1", None),
        *[(f"/api/{stranger}/tasks", problems.UserMismatch) for stranger in STRANGERS],
        *[(path, problems.RouteNotFound) for path in NOWHERE],
    ],
)
def test_the_guard_denies_by_default(path: str, refusal: type[problems.Problem] | None) -> None:
    """Only `/api/u1` and what is below it is u1's; another user's path is 403, anything else 404."""
    if refusal is None:
        require_own(path, "u1")
    else:
        with pytest.raises(refusal):
            require_own(path, "u1")


async def test_an_encoded_spelling_of_ones_own_id_is_ones_own(app: FastAPI) -> None:
    """Paths are compared decoded, as the router reads them."""
    async with client_for(app, "u1") as client:
        statuses = [
            (await client.get(path)).status_code
            for path in (
                "/api/%75%31/tasks",
                "/%61pi/u2/tasks",
                "/api%2Fu2%2Ftasks",
                "/api/u1/tasks/",
                "/api/u1%2Ftasks",
            )
        ]

    assert statuses == [200, 403, 403, 404, 200]


async def test_root_path_is_treated_as_the_router_treats_it(app: FastAPI) -> None:
    """Behind a prefix another user's path is still another user's."""
    async with client_for(app, "u1") as client:
        client._transport.root_path = "/svc"  # type: ignore[attr-defined] # noqa: SLF001 - as `uvicorn --root-path` sets it
        statuses = [
            (await client.get(path)).status_code for path in ("/svc/api/u1/tasks", "/svc/api/u2/tasks", "/svc/health")
        ]

    assert statuses == [200, 403, 200]


async def test_answers_come_in_the_documented_order(app: FastAPI) -> None:
    """401, then 403, then 404 and 405, then 413, 415 and 400, then 422: the first that applies."""
    bad_body: dict[str, Any] = {"content": b"{" * 70_000, "headers": {"Content-Type": "text/plain"}}
    async with client_for(app) as client, client_for(app) as other:
        mine = f"/api/{client.user_id}/tasks"
        del other.headers["Authorization"]
        statuses = [
            (await other.post(mine, **bad_body)).status_code,
            (await client.post(f"/api/{other.user_id}/tasks", **bad_body)).status_code,
            (await client.post(f"{mine}/1", **bad_body)).status_code,
            (await client.post(f"{mine}?x=1", **bad_body)).status_code,
            (await client.post(f"{mine}?x=1", **{**bad_body, "content": b"{"})).status_code,
            (await client.post(f"{mine}?x=1", content=b"{", headers={"Content-Type": "application/json"})).status_code,
            (await client.post(f"{mine}?x=1", json={"title": "t"})).status_code,
        ]

    assert statuses == [401, 403, 405, 413, 415, 400, 422]


async def test_production_hides_the_documentation(database_url: str) -> None:
    """/docs, what it loads and /openapi.json are public elsewhere; in production they are like any unknown path."""
    found = {}
    for environment in ("staging", "production"):
        async with (
            running(create_app(settings_for(database_url, environment=environment))) as app,
            client_for(app) as client,
        ):
            with_token = {(await client.get(path)).status_code for path in DOCUMENTATION_PATHS}
            del client.headers["Authorization"]
            without = {(await client.get(path)).status_code for path in DOCUMENTATION_PATHS}
            found[environment] = (with_token, without)

    assert found == {"staging": ({200}, {200}), "production": ({404}, {401})}


async def test_an_unexpected_exception_is_a_500_that_leaks_nothing(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer carries CORS headers and a request id, the log says where, and neither quotes the exception."""
    application = create_app(settings_for(database_url))

    async def broken(request: Request) -> Response:
        raise ValueError("se3ret of " + request.url.path)

    application.router.add_route("/api/{user_id}/broken", broken)
    async with running(application) as app, client_for(app, "u1") as client:
        answer = await client.get("/api/u1/broken", headers=ORIGIN)

    logged = capsys.readouterr().out
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:tasks:problem:internal-error")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert answer.json()["request_id"] in logged
    assert '"error":"ValueError"' in logged
    assert "se3ret" not in answer.text + logged


async def test_each_request_is_one_line(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object per request with just these members; no token, body or path is in it."""
    async with running(create_app(settings_for(database_url))) as app, client_for(app, "u\u2028x") as client:
        capsys.readouterr()
        await client.post("/api/u\u2028x/tasks", json={"title": "se3ret"}, headers={"X-Request-ID": "mine-1.2_3"})
        await client.get("/api/other/tasks", headers={"X-Request-ID": 'bad"\tid'})
        await asyncio.sleep(0)  # lines are written at the end of the loop's turn
        lines = [json.loads(line) for line in capsys.readouterr().out.strip().split("\n")]

    assert list(lines[0]) == ["time", "level", "event", "method", "route", "status", "ms", "request_id", "user_id"]
    assert [(line["route"], line["status"], line["user_id"]) for line in lines] == [
        ("/api/{user_id}/tasks", 201, "u\u2028x"),
        (None, 403, "u\u2028x"),
    ]
    assert lines[0]["request_id"] == "mine-1.2_3"
    assert lines[1]["request_id"] != 'bad"\tid'


async def test_the_request_id_is_answered(client: Client) -> None:
    """A good one comes back; a bad one is replaced."""
    answers = [await client.get("/health", headers={"X-Request-ID": sent}) for sent in ("abc-1", "a b", "x" * 65, "")]

    assert answers[0].headers["x-request-id"] == "abc-1"
    assert all(len(answer.headers["x-request-id"]) == 16 for answer in answers[1:])


async def test_a_slow_request_is_given_up(database_url: str) -> None:
    """A body that never ends costs the request its deadline and the server nothing."""

    async def forever() -> Any:
        yield b'{"title":'
        await asyncio.Event().wait()

    async with running(create_app(settings_for(database_url, request_timeout=0.05))) as app, client_for(app) as client:
        answer = await client.post(
            f"/api/{client.user_id}/tasks", content=forever(), headers={"Content-Type": "application/json", **ORIGIN}
        )

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_ambiguous_and_oversized_headers_are_refused(client: Client) -> None:
    """431 over the limit; 400 where two headers say where the body ends."""
    large = await client.get("/health", headers={"X-Large": "x" * 33_000})
    ambiguous = await client.post(
        "/health", headers={"Content-Length": "1", "Transfer-Encoding": "chunked"}, content=b"x"
    )

    assert [large.status_code, ambiguous.status_code] == [431, 400]


async def _run(app: Any, scope: Scope, received: list[Message] | None = None) -> list[Message]:
    sent: list[Message] = []
    queue = list(received or [])

    async def receive() -> Message:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/api/u2/tasks", "/nowhere"])
async def test_a_websocket_is_closed_as_a_violation(app: FastAPI, path: str) -> None:
    """1008 (RFC 6455), with a token and without."""
    headers = [(b"authorization", f"Bearer {token('u1')}".encode())]
    scopes: list[Scope] = [{"type": "websocket", "path": path, "headers": sent} for sent in ([], headers)]

    closed = [await _run(app, scope, [{"type": "websocket.connect"}]) for scope in scopes]

    assert closed == [[{"type": "websocket.close", "code": 1008}]] * 2


async def test_what_fails_inside_is_not_taken_for_a_timeout_of_ours() -> None:
    """A TimeoutError of the application's own stays one."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await _run(LimitsMiddleware(fails, max_header_bytes=100, request_timeout=5), {"type": "http", "headers": []})


async def test_an_answer_under_way_is_not_answered_twice() -> None:
    """After the status is out an error can only end the connection, which the server does."""

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise ValueError

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    sent = await _run(ErrorsMiddleware(fails_late), scope)

    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_identity_does_not_leak_between_requests_of_one_client(app: FastAPI) -> None:
    """Interleaved requests of two users each see their own tasks only."""
    async with contextlib.AsyncExitStack() as stack:
        users = [await stack.enter_async_context(client_for(app, new_user())) for _ in range(2)]
        for user in users:
            await user.post(f"/api/{user.user_id}/tasks", json={"title": user.user_id})
        answers = await asyncio.gather(*(users[n % 2].get(f"/api/{users[n % 2].user_id}/tasks") for n in range(40)))

    assert all([task["title"] for task in answer.json()] == [users[n % 2].user_id] for n, answer in enumerate(answers))


async def test_each_request_has_its_own_time() -> None:
    """Of three requests on one timer the two that hang are given up, each in its turn, and the third is not."""
    given_up: list[str] = []
    limits = LimitsMiddleware(_waits, max_header_bytes=100, request_timeout=0.05)

    async def ask(name: str, seconds: float) -> None:
        try:
            await _run(limits, {"type": "http", "headers": [], "seconds": seconds})
        except problems.RequestTimeout:
            given_up.append(name)

    async with asyncio.TaskGroup() as requests:
        requests.create_task(ask("first", 60))
        requests.create_task(ask("quick", 0))
        await asyncio.sleep(0.02)
        requests.create_task(ask("second", 60))

    assert given_up == ["first", "second"]


async def test_a_request_cancelled_from_outside_is_not_too_slow() -> None:
    """A server that ends cancels its requests; that is no answer of ours."""
    limits = LimitsMiddleware(_waits, max_header_bytes=100, request_timeout=5)
    request = asyncio.create_task(_run(limits, {"type": "http", "headers": [], "seconds": 60}))
    await asyncio.sleep(0)
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_request_that_takes_long_to_end_is_cancelled_once() -> None:
    """What it does to clean up is not disturbed when the next one's time is over."""
    cleaned: list[str] = []

    async def cleans_up(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(scope["name"])

    limits = LimitsMiddleware(cleans_up, max_header_bytes=100, request_timeout=0.05)
    requests = []
    for name in ("first", "second"):
        requests.append(asyncio.create_task(_run(limits, {"type": "http", "headers": [], "name": name})))
        await asyncio.sleep(0.02)
    answers = await asyncio.gather(*requests, return_exceptions=True)

    assert [type(answer) for answer in answers] == [problems.RequestTimeout] * 2
    assert cleaned == ["first", "second"]


async def _waits(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(scope["seconds"])
