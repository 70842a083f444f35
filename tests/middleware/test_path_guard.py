"""The guard: every spelling of a path, as it comes over the wire, leads to the caller's own rows or nowhere."""

from typing import Any, NoReturn
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from starlette.types import Scope
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from backend.app import problems
from backend.app.auth.principal import Principal
from backend.app.middleware.path_guard import PathGuardMiddleware
from tests.support.applications import client_for
from tests.support.raw_http import HTTP, bearer, exchange, request, served
from tests.support.tokens import new_user, token

# {me}, {bob}: percent-encoded ids.
PATHS: dict[str, tuple[str, Any]] = {
    "own": ("/api/{me}/tasks", 200),
    "own id, every byte encoded": ("/api/{encoded}/tasks", 200),
    "own, encoded prefix": ("/%61pi/{me}/tasks", 200),
    "own, encoded slashes": ("/api%2F{me}%2Ftasks", 200),
    "other": ("/api/{bob}/tasks", 403),
    "other, encoded slashes": ("/api%2F{bob}%2Ftasks", 403),
    "other, encoded prefix": ("/%61pi/{bob}/tasks", 403),
    "other, task": ("/api/{bob}/tasks/1", 403),
    "other, no such route": ("/api/{bob}/nothing", 403),
    "double-encoded slash": ("/api/{me}%252F/tasks", 403),
    "NUL": ("/api/{me}%00/tasks", 403),
    "NUL before": ("/api/%00{me}/tasks", 403),
    "dots": ("/api/../{me}/tasks", 403),
    "encoded dots": ("/api/%2e%2e/tasks", 403),
    "dot": ("/api/./{me}/tasks", 403),
    "other, dots to own": ("/api/{bob}/../{me}/tasks", 403),
    "own, dots to other": ("/api/{me}/../{bob}/tasks", 404),
    "own, encoded dots to other": ("/api/{me}/%2e%2e/{bob}/tasks", 404),
    "own, encoded slash and dots to other": ("/api/{me}%2F..%2F{bob}%2Ftasks", 404),
    "matrix parameter": ("/api/{me};x=1/tasks", 403),
    "backslashes": ("/api/{me}\\..\\{bob}/tasks", 403),
    "encoded backslashes": ("/api/{me}%5C..%5C{bob}/tasks", 403),
    "CRLF": ("/api/{me}%0D%0A/tasks", 403),
    "blank after": ("/api/{me}%20/tasks", 403),
    "blank before": ("/api/%20{me}/tasks", 403),
    "plus": ("/api/{me}+/tasks", 403),
    "not UTF-8": ("/api/{me}%FF/tasks", 403),
    "overlong slash": ("/api/{me}%C0%AF/tasks", 403),
    "percent alone": ("/api/{me}%/tasks", 403),
    "NFD": ("/api/{nfd}/tasks", 403),
    "homoglyph": ("/api/{homoglyph}/tasks", 403),
    "upper case": ("/api/{upper}/tasks", 403),
    "zero-width blank": ("/api/{me}%E2%80%8B/tasks", 403),
    "longer": ("/api/{me}x/tasks", 403),
    "pattern": ("/api/*/tasks", 403),
    "own in braces": ("/api/%7Buser_id%7D/tasks", 403),
    "two slashes before": ("//api/{me}/tasks", 404),
    "two slashes before the id": ("/api//{me}/tasks", 404),
    "two slashes before the other's": ("/api//{bob}/tasks", 404),
    "two slashes after the id": ("/api/{me}//tasks", 404),
    "dot before": ("/./api/{me}/tasks", 404),
    "public path, dots": ("/health/../api/{bob}/tasks", 404),
    "public path, more": ("/health/ready/x", 404),
    "trailing slash": ("/api/{me}/tasks/", 404),
    "upper-case prefix": ("/API/{me}/tasks", 404),
    "only the id": ("/api/{me}", 405),
    "no id": ("/api", 404),
    "root": ("/", 307),
    "asterisk": ("*", 404),
    "other, absolute form": ("http://evil.example/api/{bob}/tasks", {"httptools": 403, "h11": 404}),
    "prefix of a proxy": ("/svc/api/{me}/tasks", 404),
    "own, other in the query": ("/api/{me}/tasks?user_id={bob}", 422),
    "own, question mark encoded": ("/api/{me}%3Fx/tasks", 403),
    "not ASCII": ("/api/{raw}/tasks", 400),
}


@pytest.mark.parametrize("root_path", ["", "/svc"], ids=["no root_path", "root_path"])
@pytest.mark.parametrize("http", HTTP)
async def test_no_spelling_of_a_path_reaches_anothers_tasks(app: FastAPI, http: str, root_path: str) -> None:
    """Over a real socket, whichever parser reads it: one's own tasks, or 403, or 404; never Bob's."""
    alice, bob = new_user().replace("e", "é"), new_user()
    spellings = {
        "me": quote(alice),
        "bob": bob,
        "encoded": "".join(f"%{byte:02x}" for byte in alice.encode()),
        "nfd": quote(alice.replace("é", "e\u0301")),
        "homoglyph": quote(alice.replace("s", "\u0455")),
        "upper": quote(alice.upper()),
        "raw": alice,
    }
    for user in (alice, bob):
        async with client_for(app, user) as client:
            await client.post(f"/api/{quote(user)}/tasks", json={"title": f"of {user}"})

    async with served(app, http=http, root_path=root_path) as port:
        answers = {
            name: (await exchange(port, request(path.format(**spellings), bearer(alice))))[0]
            for name, (path, _) in PATHS.items()
        }

    expected = {name: by if isinstance(by, int) else by[http] for name, (_, by) in PATHS.items()}
    assert {name: answer.status for name, answer in answers.items()} == expected
    assert [name for name, answer in answers.items() if bob.encode() in answer.body] == []
    own = {name for name, answer in answers.items() if f"of {alice}".encode() in answer.body}
    assert own == {name for name, status in expected.items() if status == 200}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
async def test_no_method_passes_the_guard(app: FastAPI, method: str) -> None:
    """Another user's path is 403 whatever is to be done there, also where no route knows the method."""
    async with client_for(app) as client:
        answer = await client.request(method, f"/api/{new_user()}/tasks")

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-User-ID", "Forwarded"]
)
async def test_no_header_moves_the_path(app: FastAPI, name: str) -> None:
    """The path is what the request line says; a header neither opens another user's nor closes one's own."""
    async with client_for(app) as client, client_for(app) as bob:
        headers = {name: f"/api/{client.user_id}/tasks"}
        foreign = await client.get(f"/api/{bob.user_id}/tasks", headers=headers)
        own = await client.get(f"/api/{client.user_id}/tasks", headers={name: f"/api/{bob.user_id}/tasks"})

    assert (foreign.status_code, own.status_code, own.json()) == (403, 200, [])


async def test_a_403_names_nobody(app: FastAPI) -> None:
    """Neither id is in the answer, and it is the same for a user who exists and one who does not."""
    async with client_for(app) as client, client_for(app) as bob:
        await bob.post(f"/api/{bob.user_id}/tasks", json={"title": "t"})
        headers = {"X-Request-ID": "same"}
        answers = [await client.get(f"/api/{user}/tasks", headers=headers) for user in (bob.user_id, new_user())]

    assert answers[0].content == answers[1].content
    assert answers[0].json() == {
        "type": "urn:tasks:problem:user-mismatch",
        "title": "The path belongs to another user",
        "status": 403,
        "detail": "The user id in the path must be the one in the token.",
        "instance": "urn:tasks:request:same",
        "request_id": "same",
    }
    assert client.user_id not in answers[0].text


class Inner:
    """Notes what reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Scope, *_: Any) -> None:
        self.reached.append(scope.get("path", scope["type"]))


async def nothing(*_: Any) -> NoReturn:
    raise AssertionError("the guard neither reads a body nor answers")


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_guard_lets_through_what_is_public_or_ones_own(kind: str) -> None:
    """A public path needs no user; nothing else gets in, and no byte of a body is read for it."""
    inner = Inner()
    guard = PathGuardMiddleware(inner, public_paths=frozenset({"/health"}))
    await guard({"type": kind, "path": "/health"}, nothing, nothing)
    await guard({"type": kind, "path": "/api/u1/x", "state": {"principal": Principal("u1")}}, nothing, nothing)

    with pytest.raises(problems.UserMismatch):
        await guard({"type": kind, "path": "/api/u2/x", "state": {"principal": Principal("u1")}}, nothing, nothing)
    with pytest.raises(problems.RouteNotFound):
        await guard({"type": kind, "path": "/health/", "state": {"principal": Principal("u1")}}, nothing, nothing)

    assert inner.reached == ["/health", "/api/u1/x"]


async def test_the_guard_fails_closed_without_a_user() -> None:
    """If nobody settled who is calling, the request ends in an error and does not go on."""
    inner = Inner()

    with pytest.raises(KeyError):
        await PathGuardMiddleware(inner, public_paths=frozenset())(
            {"type": "http", "path": "/api/u1"}, nothing, nothing
        )

    assert inner.reached == []


async def test_the_guard_leaves_the_lifespan_alone() -> None:
    """What has no path is not guarded."""
    inner = Inner()

    await PathGuardMiddleware(inner, public_paths=frozenset())({"type": "lifespan"}, nothing, nothing)

    assert inner.reached == ["lifespan"]


@pytest.mark.parametrize("path", ["/api/{me}/tasks", "/api/bob/tasks", "/nowhere", "/health"])
@pytest.mark.parametrize("authenticated", [True, False], ids=["token", "no token"])
async def test_a_websocket_is_refused_before_it_opens(app: FastAPI, path: str, authenticated: bool) -> None:
    """A real client gets 403 for its handshake, wherever it knocks and whoever it is."""
    user = new_user()
    headers = {"Authorization": f"Bearer {token(user)}"} if authenticated else {}

    async with served(app) as port:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(
                f"ws://127.0.0.1:{port}{path.format(me=user)}", additional_headers=headers, proxy=None
            ).__aenter__()

    assert refusal.value.response.status_code == 403
