"""Clients that speak HTTP otherwise than browsers do: HTTP/1.0, offers of other protocols, blanks, unknown methods."""

import asyncio
import re
from typing import Any

import pytest

from backend.app.server.protocol import Protocol
from tests.support.raw_http import served

JAVA = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LENGTH = b"Content-Length: 3\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n3\r\n"
PATIENCE_SECONDS = 10


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it has read; /pieces in pieces of unknown length, and /broken only with the first of them."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [] if scope["path"] in ("/pieces", "/broken") else [(b"content-length", b"%d" % len(body))]
    status = 204 if scope["path"] == "/none" else 200
    await send({"type": "http.response.start", "status": status, "headers": [] if status == 204 else headers})
    if scope["path"] in ("/pieces", "/broken"):
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if scope["path"] == "/broken":
            raise ConnectionError
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
    await send({"type": "http.response.body", "body": body if status == 200 else b""})


async def ask(*pieces: bytes) -> bytes:
    """What comes for these bytes, each sent when the ones before were read, until the server ends the connection."""
    async with served(app, http=Protocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await reader.read()
        finally:
            writer.close()


def bodies(received: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 200 OK\r\n.*?\r\n\r\n([a-z]*)", received, re.DOTALL)


LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast"
OFFERS = [
    (b"POST / HTTP/1.1\r\nHost: x\r\n" + JAVA + LENGTH, b"abc", LAST),
    (b"POST / HTTP/1.1\r\nHost: x\r\n" + JAVA + LENGTH + b"abc", LAST),
    (b"POST / HTTP/1.1\r\nHost: x\r\n" + JAVA + LENGTH + b"abc" + LAST,),
    (b"POST / HTTP/1.1\r\nHost: x\r\n" + JAVA + CHUNKED, b"abc\r\n0\r\n\r\n" + LAST),
    (b"POST / HTTP/1.1\r\nHost: x\r\n" + WEBSOCKET + LENGTH, b"abc", LAST),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + WEBSOCKET + LENGTH, b"abc", LAST),
    (b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\n" + LENGTH + b"abc", LAST),
]
OFFER_NAMES = ["later", "at once", "pipelined", "chunked", "a websocket's POST", "a websocket's body", "TLS"]


@pytest.mark.parametrize("pieces", OFFERS, ids=OFFER_NAMES)
async def test_an_offer_of_another_protocol_is_passed_over(pieces: tuple[bytes, ...]) -> None:
    """RFC 9110, section 7.8: the request, its body and the next one are read (Java's client offers h2c each time)."""
    assert bodies(await ask(*pieces)) == [b"abc", b"last"]


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.0\r\n" + JAVA,
        b"POST / HTTP/1.0\r\n" + WEBSOCKET,
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n",
    ],
    ids=["HTTP/1.0", "HTTP/1.0 websocket", "the last request"],
)
async def test_an_offer_on_a_connection_that_ends(head: bytes) -> None:
    """The parser drops what follows the last request; this one is the last itself."""
    assert bodies(await ask(head + LENGTH + b"abc")) == [b"abc"]


async def test_an_offer_does_not_make_a_bad_request_good() -> None:
    """It is judged as every other one, and CONNECT is no offer."""
    twice = await ask(b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + JAVA + LENGTH + b"abc")
    connect = await ask(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert twice.startswith(b"HTTP/1.1 400 ")
    assert connect.startswith(b"HTTP/1.1 400 ")


async def test_a_websocket_is_still_handed_on() -> None:
    """A handshake has no body, and is answered by who knows the protocol."""
    assert (await ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + WEBSOCKET + b"\r\n")).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("request_line", "body", "length"),
    [
        (b"GET /pieces HTTP/1.0", b"onetwo", None),
        (b"HEAD /pieces HTTP/1.0", b"", None),
        (b"GET /none HTTP/1.0", b"", None),
        (b"GET / HTTP/1.0", b"", b"0"),
    ],
)
async def test_http_1_0_gets_no_chunks(request_line: bytes, body: bytes, length: bytes | None) -> None:
    """RFC 9112, section 6.1: an answer without a length ends with its connection."""
    head, _, rest = (await ask(request_line + b"\r\nConnection: keep-alive\r\n\r\n")).partition(b"\r\n\r\n")

    assert rest == body
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert length is None or b"content-length: " + length in head


async def test_http_1_1_gets_chunks() -> None:
    """As before."""
    received = await ask(b"GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert received.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    """For HTTP/1.0 the end of the connection would be the end of the answer: it is reset instead."""
    with pytest.raises(ConnectionResetError):
        await ask(b"GET /broken HTTP/1.0\r\n\r\n")


async def test_http_1_0_knows_no_100() -> None:
    """RFC 9110, section 10.1.1: its expectation is ignored, which in HTTP/1.1 is met."""
    fields = b"Expect: 100-continue \r\nConnection: close\r\n" + LENGTH + b"abc"
    old, new = await ask(b"POST / HTTP/1.0\r\n" + fields), await ask(b"POST / HTTP/1.1\r\nHost: x\r\n" + fields)

    assert old.startswith(b"HTTP/1.1 200 ")
    assert new.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status", "problem"),
    [
        (b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", b"501", b"method-not-implemented"),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", b"501", b"method-not-implemented"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400", b"malformed-request"),
    ],
    ids=["unknown", "lower case", "TLS"],
)
async def test_an_unknown_method_is_501(sent: bytes, status: bytes, problem: bytes) -> None:
    """RFC 9110, section 9.1; what is no request stays 400."""
    received = await ask(sent)

    assert received.startswith(b"HTTP/1.1 " + status)
    assert b"urn:tasks:problem:" + problem in received


async def test_blanks_behind_a_field_say_nothing() -> None:
    """Not even behind what says how a body ends."""
    head = b"POST / HTTP/1.1\r\nHost: x \r\nConnection: close\t\r\nTransfer-Encoding: chunked \r\n\r\n"

    assert bodies(await ask(head + b"3\r\nabc\r\n0\r\n\r\n")) == [b"abc"]
