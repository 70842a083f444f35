"""The server's own limits on what comes before a request, and how its connections end: uvicorn with our protocol,
and no proxy in front."""

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from backend.app.server.protocol import CONNECTION_LIMITS, LINGER_SECONDS, ConnectionLimits, Protocol, UnchosenProtocol
from tests.support.programs import PATIENCE_SECONDS, until

HEADER_BYTES, HEADER_SECONDS, SEND_SECONDS, MOST_WAITING = 2000, 0.4, 1.0, 3
LIMITS = ConnectionLimits(HEADER_BYTES, HEADER_SECONDS, SEND_SECONDS, MOST_WAITING)


class App:
    """Answers /slow when `go` is set, /early without reading the body, and everything else with what it has read."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.reached = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"][CONNECTION_LIMITS] = LIMITS
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.reached.set()
        body = b""
        if scope["path"] == "/large":
            body = b"x" * 32 * 1024 * 1024
        elif scope["path"] == "/headers":
            while (await receive())["more_body"]:
                pass
            body = b", ".join(name for name, _ in scope["headers"])
        elif scope["path"] == "/slow":
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

    def __init__(self, app: App, http: type[Protocol] = Protocol, keep_alive: int = 2) -> None:
        config = uvicorn.Config(app, port=0, http=http, log_level="critical", timeout_keep_alive=keep_alive)
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


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    server.thread.start()
    until(lambda: server.uvicorn.started)
    yield server
    server.app.go.set()
    server.stop()
    server.thread.join(PATIENCE_SECONDS)


@pytest.fixture
def served() -> Iterator[Server]:
    with running(Server(App())) as server:
        yield server


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
        greedy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Field: " + b"x" * 2 * HEADER_BYTES)
        head, _, body = all_of(greedy).partition(b"\r\n\r\n")

    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json")
    assert problem["type"] == "urn:tasks:problem:headers-too-large"
    assert f"x-request-id: {problem['request_id']}".encode() in head


@pytest.mark.parametrize("path", ["/", "/slow"], ids=["read", "answering"])
def test_trailers_without_an_end_are_cut(served: Server, path: str) -> None:
    """What follows a body counts as what comes before it."""
    with served.connect() as greedy:
        greedy.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n".encode())
        assert served.app.reached.wait(PATIENCE_SECONDS)
        with contextlib.suppress(OSError):
            greedy.sendall(b"X-Trailer: " + b"x" * 3 * HEADER_BYTES)
        assert all_of(greedy).startswith(b"HTTP/1.1 431 ")


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
    monkeypatch.setattr("backend.app.server.protocol.LINGER_SECONDS", 0.2)
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
        drip(connection)
        received = all_of(connection)

    assert received.startswith(b"HTTP/1.1 200")
    assert LINGER_SECONDS == 5.0


def test_a_body_that_arrives_after_its_answer_keeps_the_connection(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender was in the middle of it."""
    monkeypatch.setattr("backend.app.server.protocol.LINGER_SECONDS", 0.2)
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        first = answer_of(connection)
        connection.sendall(b"xGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        second = answer_of(connection)
        threading.Event().wait(0.4)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        third = answer_of(connection)

    assert [answer[:12] for answer in (first, second, third)] == [b"HTTP/1.1 200"] * 3


@pytest.mark.parametrize("announced", [50_000, 100_000], ids=["whole", "begun"])
def test_a_body_that_nobody_reads_is_not_kept(served: Server, announced: int) -> None:
    """A connection lives on after a refusal, and somebody may have thousands of them."""
    with served.connect() as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % announced + b"x" * 50_000)
        answer_of(connection)
        [protocol] = served.uvicorn.server_state.connections
        kept = len(protocol.cycle.body)  # type: ignore[union-attr] # an HTTP/1.1 connection

    assert kept == 0


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


def test_a_server_started_without_our_protocol_waits_for_none() -> None:
    """However long it would keep them open: an idle connection is closed at once."""
    server = Server(App(), UnchosenProtocol, keep_alive=10 * int(PATIENCE_SECONDS))
    with running(server), server.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer_of(idle)
        server.stop()
        assert all_of(idle) == b""


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


def test_trailers_are_no_headers(served: Server) -> None:
    """RFC 9110, section 6.5.1: what comes after a body says nothing that must be known before it."""
    with served.connect() as connection:
        connection.sendall(b"POST /headers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        connection.sendall(b"0\r\nIdempotency-Key: late\r\nIf-Match: *\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        received = all_of(connection)

    assert b"host, transfer-encodingHTTP/1.1 200" in received


BAD_CHUNK = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"\x00\x01\r\n\r\n", [400]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nnot HTTP\r\n\r\n", [200]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"not HTTP\r\n\r\n", [200, 200]),
        (BAD_CHUNK, [400]),
        (
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + BAD_CHUNK,
            [],
        ),
    ],
    ids=["at once", "after a request", "after two", "in a body", "in a body that waits"],
)
def test_what_is_no_http_is_refused_with_a_problem(served: Server, sent: bytes, statuses: list[int]) -> None:
    """Requests that came whole before it have their answers; then the connection ends, and no answer is mixed up."""
    with served.connect() as connection:
        connection.sendall(sent)
        received = all_of(connection)

    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)] == statuses
    if 400 in statuses:
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"content-type: application/problem+json" in head
        assert json.loads(body)["type"] == "urn:tasks:problem:malformed-request"


def test_a_client_that_reads_nothing_loses_its_connection(served: Server) -> None:
    """An answer of 32 MB is kept for SEND_TIMEOUT, also on a connection that was to be closed after it."""
    with served.connect() as idle:
        idle.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert served.app.reached.wait(PATIENCE_SECONDS)
        until(lambda: not served.uvicorn.server_state.connections)
        received = all_of(idle)

    assert len(received) < 32 * 1024 * 1024


def test_a_client_that_reads_has_all_the_time_that_it_needs(served: Server) -> None:
    """Longer than SEND_TIMEOUT in all, piece after piece."""
    with served.connect() as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        for _ in range(8):
            threading.Event().wait(SEND_SECONDS / 3)
            received += len(slow.recv(4 * 1024 * 1024, socket.MSG_WAITALL))
        received += len(all_of(slow))

    assert received > 32 * 1024 * 1024


def test_a_body_behind_a_full_queue_is_read_in_its_turn(served: Server) -> None:
    """More requests than may wait, the last with a body that is larger than what is read at once."""
    body = b"x" * 600_000
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with served.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + get * 300)
        assert served.app.reached.wait(PATIENCE_SECONDS)
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:1000])
        served.app.go.set()
        connection.sendall(body[1000:])
        received = all_of(connection)

    assert received.count(b"HTTP/1.1 200") == 302
    assert received.endswith(body)


CHUNKED = b"\r\n\r\n1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked" + CHUNKED, 200),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /#fragment HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity, chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked" + CHUNKED, 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked" + CHUNKED, 400),
    ],
    ids=[
        *("plain", "empty Host", "HTTP/1.0 without Host", "chunked in another case", "no Host", "two Hosts"),
        *("the same Host twice", "a fragment", "HTTP/2.0", "HTTP/1.9", "HTTP/0.9", "HTTP/1.0 and chunked"),
        *("identity, chunked", "gzip, chunked", "chunked twice", "length and chunked", "two lengths", "a sign"),
        *("a blank before the colon", "a folded line"),
    ],
)  # fmt: skip
def test_a_request_that_can_be_read_in_two_ways_is_refused(served: Server, sent: bytes, status: int) -> None:
    """What a proxy before us may have taken for another request; nothing behind it is read either."""
    behind = b"GET /behind HTTP/1.0\r\n\r\n"
    with served.connect() as connection:
        connection.sendall(sent + behind)
        received = all_of(connection)

    found = [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", received)]
    assert found == ([400] if status == 400 else [200, 200] if b"HTTP/1.1" in sent else [200])
