"""The lean path against the framework's own: the same answers, header for header."""

from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from backend.app.main import create_app
from backend.app.middleware.cors import KnownOriginsCORS
from tests.conftest import MakeClient
from tests.support.applications import client_for, running, settings_for
from tests.support.tokens import new_user

OPTIONS: dict[str, Any] = {
    "allow_origins": ("http://localhost:3000", "https://app.example.com"),
    "allow_methods": ("GET", "PATCH"),
    "allow_headers": ("Authorization",),
    "allow_credentials": True,
    "expose_headers": ("ETag", "Link"),
}


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"1"')]})
    await send({"type": "http.response.body", "body": b"{}"})


async def sent_by(app: Any, scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("method", ["GET", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"origin", b"http://localhost:3000")],
        [(b"origin", b"https://app.example.com")],
        [(b"origin", b"https://app.example.com.evil.example")],
        [(b"origin", b"HTTPS://APP.EXAMPLE.COM")],
        [(b"origin", b"null")],
        [(b"origin", b"")],
        [(b"origin", b"\xff")],
        [(b"origin", b"https://evil.example"), (b"origin", b"https://app.example.com")],
        [(b"origin", b"https://app.example.com"), (b"access-control-request-method", b"PATCH")],
        [(b"origin", b"https://evil.example"), (b"access-control-request-method", b"DELETE")],
    ],
)
async def test_known_origins_is_starlettes_cors(method: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever Origin a request has, what is added to its answer is what Starlette adds."""
    scope = {"type": "http", "method": method, "path": "/", "headers": headers}

    lean = await sent_by(KnownOriginsCORS(answers, **OPTIONS), dict(scope))
    theirs = await sent_by(CORSMiddleware(answers, **OPTIONS), dict(scope))

    assert [(m["type"], m.get("status"), sorted(m.get("headers", ())), m.get("body")) for m in lean] == [
        (m["type"], m.get("status"), sorted(m.get("headers", ())), m.get("body")) for m in theirs
    ]


async def test_both_ways_answer_alike(make_client: MakeClient, database_url: str) -> None:
    """Each kind of answer: routes of ours, wrong methods, paths, bodies and parameters, documentation, no token."""
    async with running(create_app(settings_for(database_url, fast_path="off"))) as plain:
        told = []
        for client in (make_client(new_user()), client_for(plain, new_user())):
            tasks = f"/api/{client.user_id}/tasks"
            requests: list[tuple[str, str, dict[str, Any]]] = [
                ("POST", tasks, {"json": {"title": "one"}}),
                ("GET", tasks, {"params": {"limit": 1}}),
                ("GET", f"{tasks}/1", {}),
                ("HEAD", f"{tasks}/1", {}),
                ("PUT", tasks, {}),
                ("GET", f"{tasks}/1/complete", {}),
                ("GET", f"{tasks}/", {}),
                ("GET", f"{tasks}/1/", {}),
                ("GET", f"{tasks}/x", {}),
                ("POST", tasks, {"content": b"{"}),
                ("PATCH", f"{tasks}/1/complete", {}),
                ("DELETE", f"{tasks}/1", {}),
                ("GET", "/docs", {}),
                ("GET", "/health", {}),
                ("GET", "/api/other/tasks", {}),
                ("GET", tasks, {"headers": {"Authorization": ""}}),
            ]
            seen = []
            for method, path, options in requests:
                answer = await client.request(method, path, **options)
                names = sorted(set(answer.headers) - {"content-length"})
                seen.append((method, path.replace(client.user_id, "me"), answer.status_code, names))
            told.append(seen)

    assert told[0] == told[1]
