"""The server's own limits on what comes before a request, and how its connections end: uvicorn with our protocol,
and no proxy in front."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from backend.app.server.protocol import DEFAULT_LIMITS, HEAD_LIMITS, LINGER, Protocol
from tests.support.programs import PATIENCE_SECONDS, until

HEADER_BYTES, HEADER_SECONDS = 2000, 0.4


class App:
    """Answers /slow when `go` is set, /early without reading the body, and everything else with what it has read."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.reached = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"][HEAD_LIMITS] = (HEADER_BYTES, HEADER_SECONDS)
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.reached.set()
        body = b""
        if scope["path"] == "/slow":
            await asyncio.to_thread(self.go.wait, PATIENCE_SECONDS)
        elif scope["path"] != "/early":
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Server:
    """uvicorn in a thread; `stop` tells it to end, as a signal does."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(app, port=0, http=Protocol, log_level="critical", timeout_keep_alive=2)
        self.app = app
        self.uvicorn = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.uvicorn.run)

    @property
    def port(self) -> int:
        port: int = self.uvicorn.servers[0].sockets[0].getsockname()[1]
        return port

    def stop(self) -> None:
        self.uvicorn.should_exit = True

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)


@pytest.fixture
def served() -> Iterator[Server]:
    app = App()
    server = Server(app)
    server.thread.start()
    until(lambda: server.uvicorn.started)
    yield server
    app.go.set()
    server.stop()
    server.thread.join(PATIENCE_SECONDS)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def answer_of(connection: socket.socket) -> bytes:
    """One answer with a Content-Length of 0 (or what comes until the end)."""
    received = b""
    while not received.endswith(b"\r\n\r\n") and (piece := connection.recv(65536)):
        received += piece
    return received


def drip(connection: socket.socket, piece: bytes = b"x") -> threading.Thread:
    """Send a byte now and then until the server has had enough."""

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(piece)
                pause.wait(0.02)

    pause = threading.Event()
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "begun", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "line", "field"]
)
def test_a_head_that_does_not_come_is_not_waited_for(served: Server, begun: bytes) -> None:
    """Not even where a byte comes now and then: the connection is closed, and nobody was asked."""
    with served.connect() as slow:
        if begun:
            slow.sendall(begun)
            drip(slow)
        assert all_of(slow) == b""

    assert not served.app.reached.is_set()


def test_the_next_head_has_its_own_time(served: Server) -> None:
    """On a connection that was used: the time of the first head is not counted, and idleness is uvicorn's affair."""
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\n")
            threading.Event().wait(HEADER_SECONDS * 0.6)
            connection.sendall(b"Host: x\r\n\r\n")
            assert answer_of(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert all_of(connection) == b""


def test_a_head_without_an_end_is_not_kept(served: Server) -> None:
    """64 MB of headers: the connection is closed long before."""
    with served.connect() as greedy:
        greedy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            greedy.sendall(b"X-Field: " + b"x" * 64 * 1024 * 1024)

    assert not served.app.reached.is_set()


def test_a_head_that_is_too_large_is_refused_with_a_problem(served: Server) -> None:
    """As every other one: its id is in the answer's headers too."""
    with served.connect() as greedy:
        greedy.sendall(b"GET / HTTP/1.1\r\nX-Field: " + b"x" * 2 * HEADER_BYTES)
        head, _, body = all_of(greedy).partition(b"\r\n\r\n")

    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json")
    assert problem["type"] == "urn:tasks:problem:headers-too-large"
    assert f"x-request-id: {problem['request_id']}".encode() in head


@pytest.mark.parametrize("path", ["/", "/slow"], ids=["read", "answering"])
def test_trailers_without_an_end_are_cut(served: Server, path: str) -> None:
    """The parser keeps them as headers: what follows a body counts as what comes before it."""
    with served.connect() as greedy:
        greedy.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n".encode())
        assert served.app.reached.wait(PATIENCE_SECONDS)
        with contextlib.suppress(OSError):
            greedy.sendall(b"X-Trailer: " + b"x" * 3 * HEADER_BYTES)
        assert all_of(greedy) == b""


def test_an_answer_under_way_is_not_cut_short(served: Server) -> None:
    """Half of a next request beside it is no reason; it is waited for as long as the answer takes."""
    with served.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert served.app.reached.wait(PATIENCE_SECONDS)
        connection.sendall(b"GET /")
        threading.Event().wait(HEADER_SECONDS * 1.5)
        served.app.go.set()
        received = all_of(connection)

    assert received.startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_in_pieces_is_read(served: Server) -> None:
    """However slowly: the application has a deadline, which can tell a slow import from a stalled one."""
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            threading.Event().wait(HEADER_SECONDS / 3)
            connection.sendall(b"x")
        received = b""
        while not received.endswith(b"xxxx"):
            received += connection.recv(4096)

    assert received.startswith(b"HTTP/1.1 200")


def test_a_body_may_be_larger_than_a_head(served: Server) -> None:
    """What is read as a body is not counted as headers."""
    body = b"x" * 1000 * HEADER_BYTES
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.sendall(body)
        received = b""
        while not received.endswith(body) and (piece := connection.recv(65536)):
            received += piece

    assert received.startswith(b"HTTP/1.1 200")


def test_a_body_that_nobody_reads_any_more_ends_the_connection(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that came early can be read; then the sender is not listened to forever."""
    monkeypatch.setattr("backend.app.server.protocol.LINGER", 0.2)
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
        drip(connection)
        received = all_of(connection)

    assert received.startswith(b"HTTP/1.1 200")
    assert LINGER == 5.0


def test_a_body_that_arrives_after_its_answer_keeps_the_connection(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender was in the middle of it."""
    monkeypatch.setattr("backend.app.server.protocol.LINGER", 0.2)
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        first = answer_of(connection)
        connection.sendall(b"xGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        second = answer_of(connection)
        threading.Event().wait(0.4)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        third = answer_of(connection)

    assert [answer[:12] for answer in (first, second, third)] == [b"HTTP/1.1 200"] * 3


def test_a_server_that_ends_answers_what_is_on_the_way(served: Server) -> None:
    """On connections that are new, idle or busy: one answer more, which says that it is the last."""
    with served.connect() as new, served.connect() as idle, served.connect() as busy:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        before = answer_of(idle)
        served.app.reached.clear()
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert served.app.reached.wait(PATIENCE_SECONDS)
        listening = served.uvicorn.servers[0]
        served.stop()
        until(lambda: not listening.sockets)  # it accepts no more
        new.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        served.app.go.set()
        answers = [all_of(connection) for connection in (new, idle, busy)]
        served.thread.join(PATIENCE_SECONDS)

    assert b"connection: close" not in before
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 3
    assert all(b"connection: close" in answer for answer in answers)
    assert not served.thread.is_alive()


def test_a_server_that_ends_waits_for_no_idle_connection_for_long(served: Server) -> None:
    """The keep-alive timer goes on, and a connection without a request has the time of a head."""
    with served.connect() as new, served.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer_of(idle)
        served.stop()
        assert all_of(new) == all_of(idle) == b""
        served.thread.join(PATIENCE_SECONDS)

    assert not served.thread.is_alive()


def test_a_websocket_is_handed_on(served: Server) -> None:
    """While the server ends, too, where there is no answer to say that it is the last."""
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with served.connect() as new:
        listening = served.uvicorn.servers[0]
        served.stop()
        until(lambda: not listening.sockets)
        new.sendall(upgrade)
        assert all_of(new).startswith(b"HTTP/1.1 500")  # the test's application does not know them

    assert DEFAULT_LIMITS[1] > 0
