"""The lean path against the framework's own: the same answers, header for header."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from backend.app.main import create_app
from backend.app.middleware.cors import KnownOriginsCORS
from backend.app.web.app import OneWrite, _HeadKept
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


class Wire(asyncio.Transport):
    """Keeps what a server's protocol writes, one entry for each system call."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        if data:  # nothing is no system call
            self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.writes.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


PIECES = [
    {"type": "http.response.body", "body": body, "more_body": more} for body, more in ((b"one", True), (b"", False))
]


async def served(app: Any, protocol: Any, request: bytes) -> Wire:
    """What uvicorn's protocol writes for the request."""
    state, wire = ServerState(), Wire()
    connection = protocol(Config(app, log_config=None, access_log=False), state, {})
    connection.connection_made(wire)
    connection.data_received(request)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    connection.connection_lost(None)
    return wire


def answering(*messages: Message, read: bool = False) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if read:
            await receive()
        for message in messages:
            await send(dict(message))

    return app


def start(status: int, **headers: str) -> Message:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


GET = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"
WHOLE = answering(start(200, content_length="2"), {"type": "http.response.body", "body": b"{}"})


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])
class TestOneWrite:
    async def test_an_answer_is_one_write(self, protocol: Any) -> None:
        """The first assertion fails on the day on which uvicorn does it itself: then OneWrite can go."""
        assert len((await served(WHOLE, protocol, GET)).writes) > 1

        together = await served(OneWrite(WHOLE), protocol, GET)

        assert len(together.writes) == 1
        assert together.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
        assert together.writes[0].endswith(b"\r\n\r\n{}")

    @pytest.mark.parametrize(
        ("app", "request_bytes"),
        [
            (WHOLE, GET),
            (WHOLE, b"HEAD / HTTP/1.1\r\nHost: api\r\n\r\n"),
            (WHOLE, GET + GET),
            (WHOLE, b"GET / HTTP/1.0\r\nHost: api\r\n\r\n"),
            (answering(start(204), {"type": "http.response.body"}), GET),
            (answering(start(304, etag='"1"'), {"type": "http.response.body"}), GET),
            (answering(start(200), *PIECES), GET),
            (answering(start(200), {"type": "http.response.body", "body": b"", "more_body": True}, *PIECES), GET),
            (
                answering(start(200), *PIECES, read=True),
                b"POST / HTTP/1.1\r\nHost: api\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
            ),
        ],
        ids=["get", "head", "pipelined", "http 1.0", "204", "304", "pieces", "late piece", "100-continue"],
    )
    async def test_the_same_bytes_leave(self, app: Any, request_bytes: bytes, protocol: Any) -> None:
        theirs = await served(app, protocol, request_bytes)
        ours = await served(OneWrite(app), protocol, request_bytes)

        assert b"".join(ours.writes) == b"".join(theirs.writes)
        assert ours.closed == theirs.closed

    async def test_a_stream_opens_before_its_first_piece(self, protocol: Any) -> None:
        told = asyncio.Event()

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(200))
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await told.wait()
            await send({"type": "http.response.body", "body": b"late"})

        wire = Wire()
        connection = protocol(Config(OneWrite(stream), log_config=None, access_log=False), state := ServerState(), {})
        connection.connection_made(wire)
        connection.data_received(GET)
        await asyncio.sleep(0)
        assert b"".join(wire.writes).startswith(b"HTTP/1.1 200 OK\r\n")
        told.set()
        await asyncio.gather(*state.tasks)
        assert b"late" in b"".join(wire.writes)
        connection.connection_lost(None)

    async def test_an_answer_that_ends_after_its_head_closes_the_connection(self, protocol: Any) -> None:
        wire = await served(OneWrite(answering(start(200))), protocol, GET)
        assert wire.closed


async def test_what_stands_in_for_the_transport_tells_whether_it_is_open() -> None:
    """uvicorn asks before it writes."""
    wire = Wire()
    kept = _HeadKept(SimpleNamespace(transport=wire))
    assert not kept.is_closing()
    kept.close()
    assert kept.is_closing()


async def test_one_write_leaves_other_servers_alone() -> None:
    sent = await sent_by(OneWrite(answers), {"type": "http", "method": "GET", "path": "/", "headers": []})
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
