"""The middleware in its order: what is answered first, in which words, and what is logged."""

import asyncio
import contextlib
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from starlette.types import Message, Receive, Scope, Send

from backend.app import problems
from backend.app.main import DOCUMENTATION_PATHS, create_app
from backend.app.middleware.limits import LimitsMiddleware
from backend.app.middleware.path_guard import require_own
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tokens import new_user, token

ORIGIN = {"Origin": "http://localhost:3000"}
STRANGERS = (
    *("u2", "U1", "u1 ", "u1+", "u1;x=1", "u1%2F", "u1\x00", "..", ".", "u1\\..\\u2", "u1\r\n", "\ufffd"),
    *("u\u0131", "u1\u0301", "u"),
)
NOWHERE = ("", "/", "/api", "/api/", "/api//u1/tasks", "//api/u1", "/./api/u1", "/API/u1", "/apiu1", "/x/api/u1")


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

    assert found == {"staging": ({200, 307}, {200, 307}), "production": ({404}, {401})}


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


@pytest.mark.parametrize(("fields", "status"), [(900, 200), (1_000, 431)])
async def test_each_header_counts_for_32_bytes_besides(client: Client, fields: int, status: int) -> None:
    """As in HTTP/2 (RFC 9113, section 6.5.2): thousands of tiny ones are too large together."""
    answer = await client.get("/health", headers=[("x", "")] * fields)

    assert answer.status_code == status


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
