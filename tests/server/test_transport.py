"""What leaves for an answer, and in how many system calls: our protocol beside uvicorn's own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from backend.app.server.protocol import CONNECTION_LIMITS, ConnectionLimits, Protocol
from backend.app.server.transport import ResponseTransport


class Wire(asyncio.Transport):
    """Keeps what a server's protocol writes, one entry for each system call."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.reading = True
        self.unread = 0

    def write(self, data: Any) -> None:
        if data:  # nothing is no system call
            self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.writes.append(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unread


def start(status: int, **headers: str) -> Message:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def answering(*messages: Message, read: bool = False) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if read:
            await receive()
        for message in messages:
            await send(dict(message))

    return app


async def served(app: Any, protocol: Any, request: bytes) -> Wire:
    """What the protocol writes for the request."""
    state, wire = ServerState(), Wire()
    connection = protocol(Config(app, log_config=None, access_log=False), state, {})
    connection.connection_made(wire)
    connection.data_received(request)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    connection.connection_lost(None)
    return wire


GET = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"
EMPTY = {"type": "http.response.body"}
LATE = {"type": "http.response.body", "body": b"", "more_body": True}
PIECES = [
    {"type": "http.response.body", "body": body, "more_body": more} for body, more in ((b"one", True), (b"", False))
]
WHOLE = answering(start(200, content_length="2"), {"type": "http.response.body", "body": b"{}"})


async def test_an_answer_is_one_write() -> None:
    """The first assertion fails on the day on which uvicorn does it itself: then the transport can go."""
    assert len((await served(WHOLE, HttpToolsProtocol, GET)).writes) > 1

    together = await served(WHOLE, Protocol, GET)

    assert len(together.writes) == 1
    assert together.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert together.writes[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    ("app", "request_bytes"),
    [
        (WHOLE, GET),
        (WHOLE, GET + GET + GET),
        (WHOLE, b"GET / HTTP/1.0\r\nHost: api\r\n\r\n"),
        (answering(start(200), *PIECES), b"HEAD / HTTP/1.1\r\nHost: api\r\n\r\n"),
        (answering(start(200), *PIECES), b"HEAD / HTTP/1.1\r\nHost: api\r\n\r\n" + GET),
        (answering(start(200, content_length="0"), EMPTY), GET + GET),
        (answering(start(204), EMPTY), GET),
        (answering(start(304, etag='"1"'), EMPTY), GET),
        (answering(start(200), *PIECES), GET),
        (answering(start(200), LATE, *PIECES), GET),
        (
            answering(start(200), *PIECES, read=True),
            b"POST / HTTP/1.1\r\nHost: api\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (answering(start(200)), GET),
        (answering(), GET),
    ],
    ids=[
        *("get", "pipelined", "http 1.0", "head", "head and get", "empty", "204", "304", "pieces", "late piece"),
        *("100-continue", "ends after its head", "no answer"),
    ],
)  # fmt: skip
async def test_the_same_bytes_leave(app: Any, request_bytes: bytes) -> None:
    """Whatever the answer is, its bytes are those that uvicorn's own protocol writes."""
    theirs = await served(app, HttpToolsProtocol, request_bytes)
    ours = await served(app, Protocol, request_bytes)

    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert ours.closed == theirs.closed


async def test_a_stream_opens_before_its_first_piece() -> None:
    """With an empty piece the head leaves at once."""
    told = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200))
        await send(dict(LATE))
        await told.wait()
        await send({"type": "http.response.body", "body": b"late"})

    wire = Wire()
    connection = Protocol(Config(stream, log_config=None, access_log=False), state := ServerState(), {})
    connection.connection_made(wire)
    connection.data_received(GET)
    await asyncio.sleep(0)
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 200 OK\r\n")
    told.set()
    await asyncio.gather(*state.tasks)
    assert b"late" in b"".join(wire.writes)
    connection.connection_lost(None)


class Clock:
    """The loop's time and timers, moved on by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer: Any = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Any) -> "Clock":
        self.timer = (self.now + seconds, call)
        return self

    def cancel(self) -> None:
        self.timer = None

    def advance(self) -> None:
        """To the next timer."""
        self.now, call = self.timer
        self.timer = None
        call()


@pytest.mark.parametrize(
    ("unread", "aborted_at"),
    [
        ([0] * 8, None),
        ([100] * 8, 15.0),
        ([100, 90, 80, 70, 60, 50, 40, 30], None),
        ([100, 90, 90, 90, 90, 90], 20.0),
        ([100, 0, 0, 0, 100, 100, 100], 35.0),
    ],
    ids=["read at once", "never read", "read slowly", "read no longer", "the next answer is not read"],
)  # fmt: skip
def test_who_reads_nothing_loses_the_connection(unread: list[int], aborted_at: float | None) -> None:
    """After SEND_TIMEOUT (10 seconds here, looked at every 5) in which nothing has left, and not earlier."""
    clock, wire = Clock(), Wire()
    transport = ResponseTransport(wire, clock, 10.0)  # type: ignore[arg-type] # as much of a loop as it takes
    transport.write(b"x" * 100)
    seen: list[float] = []
    for wire.unread in unread:
        clock.advance()
        if wire.aborted:
            seen.append(clock.now)
            break

    assert seen == ([] if aborted_at is None else [aborted_at])
    assert (clock.timer is None) == wire.aborted


def test_a_stream_that_writes_on_is_no_reader() -> None:
    """What is written besides does not count as read."""
    clock, wire = Clock(), Wire()
    transport = ResponseTransport(wire, clock, 10.0)  # type: ignore[arg-type] # as above
    for _ in range(3):
        transport.write(b"x" * 100)
        wire.unread += 100
        clock.advance()

    assert wire.aborted


def test_who_resumes_reading_does_not_open_what_is_held() -> None:
    """uvicorn resumes reading for its own reasons; a queue that is full is one of ours."""
    clock, wire = Clock(), Wire()
    transport = ResponseTransport(wire, clock, 10.0)  # type: ignore[arg-type] # as above
    seen = []
    steps: tuple[Callable[[], None], ...] = (
        lambda: transport.hold_reading(True),
        transport.pause_reading,
        transport.resume_reading,
        lambda: transport.hold_reading(False),
        transport.pause_reading,
        lambda: transport.hold_reading(True),
        lambda: transport.hold_reading(False),
        transport.resume_reading,
    )
    for step in steps:
        step()
        seen.append(wire.reading)

    assert seen == [False, False, False, True, False, False, False, True]


async def test_a_burst_of_requests_is_a_short_queue() -> None:
    """Of 5,000 requests in one read a few dozen are made into requests; the rest follows when those are answered."""
    go, asked = asyncio.Event(), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        await go.wait()
        await WHOLE(scope, receive, send)

    wire, state = Wire(), ServerState()
    limits = {CONNECTION_LIMITS: ConnectionLimits(max_pipelined_requests=4)}
    connection = Protocol(Config(app, log_config=None, access_log=False), state, limits)
    connection.connection_made(wire)
    connection.data_received(GET * 5000)
    most, reading = len(connection.pipeline), wire.reading
    connection.data_received(GET)  # what was on its way
    queued = len(connection.pipeline)
    go.set()
    while state.tasks or connection.pipeline:
        await asyncio.sleep(0)
        most = max(most, len(connection.pipeline))
        reading |= wire.reading and bool(connection.pipeline)  # not even after each answer
    connection.connection_lost(None)

    assert (asked, queued <= most < 200, reading, wire.reading) == (5001, True, False, True)
    assert b"".join(wire.writes).count(b"HTTP/1.1 200 OK") == 5001
