"""The server's end of a connection: what a client may take before there is a request, and how a connection ends.

`uvicorn --http backend.app.server.protocol:Protocol`. uvicorn's own protocol waits for a request's head without an
end, keeps all of it, queues as many requests as a client sends, takes trailers for headers, and when it is told to end
cuts connections on which a request may be on its way. Knows no users and no database.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from backend.app import problems
from backend.app.server.transport import ResponseTransport

# Where the protocol finds its limits in the state of the application's lifespan.
CONNECTION_LIMITS: Final = "tasks.connection_limits"
# A head that comes in pieces may have this many times MAX_HEADER_BYTES: there is a request line, too, and the exact
# limit is kept by middleware/limits.py, which has a better answer.
ROOM: Final = 2
# How long a body that nobody reads any more may go on arriving: cut at once, its sender may miss the answer (seconds).
LINGER: Final = 5.0
# The parser is given so many bytes at once. It cannot be stopped within them, and the shortest request has 18.
PIECE_BYTES: Final = 2048

_REFUSAL = (
    b"content-type: %s\r\ncontent-length: %d\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"x-request-id: %s\r\nconnection: close\r\n\r\n%s"
)

log = logging.getLogger("tasks")


@dataclass(frozen=True)
class ConnectionLimits:
    """What one connection may take: bytes of a head, seconds for it, seconds without a reader, requests that wait."""

    max_header_bytes: int = 32 * 1024
    header_timeout: float = 10.0
    send_timeout: float = 30.0
    max_pipelined_requests: int = 8


class Protocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers (or trailers) come too slowly, or are too many.

    Requests that were sent before the answers to earlier ones (pipelining, RFC 9112, section 9.3.2) wait in a short
    queue. Nothing more is read until all of them have been answered but the last.

    When the server ends, a connection without a request is not closed: an answer on it says that it was the last, and
    one that stays idle is closed by the client, or by its timer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        self._limits: ConnectionLimits = self.app_state.get(CONNECTION_LIMITS) or ConnectionLimits()
        self._responses = ResponseTransport(transport, self.loop, self._limits.send_timeout)
        super().connection_made(self._responses)
        # Bytes that have made neither a head nor a piece of a body yet.
        self._pending = 0
        # Bytes that were read and not parsed, because too many requests wait.
        self._unparsed = b""
        self._ending = False
        self._broken = False
        self._timer: asyncio.TimerHandle | None = None
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self._unparsed:
            self._unparsed += data
        elif len(data) <= PIECE_BYTES:
            self._parse(data)
        else:
            self._parse_in_pieces(data)
        if self.pipeline:
            self._responses.hold_reading(True)

    def _parse_in_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if len(self.pipeline) >= self._limits.max_pipelined_requests:
                self._unparsed = data[start:]
                return
            self._parse(data[start : start + PIECE_BYTES])

    def _parse(self, data: bytes) -> None:
        if self._broken or self._responses.is_closing():
            return
        self._pending += len(data)
        super().data_received(data)
        if self._pending > ROOM * self._limits.max_header_bytes:
            self._refuse(problems.HeadersTooLarge(self._limits.max_header_bytes))
        elif self._pending:
            if self._timer is None:
                self._start_timer()
        else:
            self._stop_timer()

    def _read_on(self) -> None:
        """All requests that waited have been answered, or are being answered."""
        if self._responses.is_closing():
            return
        data, self._unparsed = self._unparsed, b""
        self._parse_in_pieces(data)
        self._responses.hold_reading(bool(self.pipeline))

    def on_headers_complete(self) -> None:
        self._pending = 0
        if _can_be_read_in_two_ways(self.parser.get_http_version(), self.url, self.headers):
            raise ValueError("the parser stops here, and uvicorn calls send_400_response")
        super().on_headers_complete()
        # Trailers go into another list: RFC 9110, section 6.5.1, forbids to merge them into the headers.
        self.headers = self.headers.copy()
        if self._ending:
            self._answer_is_last()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._responses.complete_response()
        waited = bool(self.pipeline)
        super().on_response_complete()
        if waited and not self.pipeline:
            self.loop.call_soon(self._read_on)
        elif self.cycle.response_complete:
            # What has come of a body that was not read: the connection may be kept for a while.
            self.cycle.body = bytearray()
            if self.cycle.more_body:
                self.loop.call_later(LINGER, self._stop_reading, self.cycle)

    def handle_websocket_upgrade(self) -> None:
        self._responses.stop_watching()
        self.transport = self._responses.wrapped
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence is no problem document
        """Refuse what is no HTTP; requests that came whole before it are answered first."""
        if self._is_answering() and not self.cycle.more_body:
            self._broken = True
            self._responses.hold_reading(True)
            self._answer_is_last()
        else:
            self._refuse(problems.MalformedRequest("The request could not be read."))

    def shutdown(self) -> None:
        self._ending = True
        self._answer_is_last()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._responses.stop_watching()
        super().connection_lost(exc)

    def _answer_is_last(self) -> None:
        cycle: Any = self.cycle  # None before the first request, and where it becomes a WebSocket
        if cycle is not None:
            cycle.keep_alive = False

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._limits.header_timeout, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_answering():  # which has a deadline of its own
            self._start_timer()
        else:
            self.transport.close()

    def _refuse(self, problem: problems.Problem) -> None:
        """Answer with the problem, unless an answer is under way, and end the connection."""
        if not self._is_answering() or self._is_first_unanswered():
            request_id = secrets.token_hex(8)
            body = problem.body(request_id)
            fields = (problems.MEDIA_TYPE.encode(), len(body), request_id.encode(), body)
            self.transport.write(STATUS_LINE[problem.status] + _REFUSAL % fields)
            log.info("refused", extra={"fields": {"request_id": request_id, "reason": problem.detail}})
        self.transport.close()

    def _is_first_unanswered(self) -> bool:
        """Whether the request that is being parsed is the one whose answer comes next, and has not begun."""
        return self.cycle.more_body and not self.cycle.response_started and not self.pipeline

    def _stop_reading(self, cycle: Any) -> None:
        if self.cycle is cycle and cycle.more_body:
            self.transport.close()


class UnchosenProtocol(Protocol):
    """For a server that was started without `--http`: it ends as uvicorn does, and closes what is idle at once."""

    def shutdown(self) -> None:
        HttpToolsProtocol.shutdown(self)


def _can_be_read_in_two_ways(version: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a proxy may take the request for another one than we do (RFC 9112, sections 2.3, 3.2 and 6.1)."""
    if version not in ("1.0", "1.1") or b"#" in target:
        return True
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return True
    if b"transfer-encoding" not in names:
        return False
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    return version == "1.0" or b"content-length" in names or codings != [b"chunked"]
