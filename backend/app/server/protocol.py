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

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from backend.app import problems
from backend.app.server import request_head
from backend.app.server.transport import ResponseTransport
from backend.app.server.until_close import send_until_close

# Where the protocol finds its limits in the state of the application's lifespan.
CONNECTION_LIMITS: Final = "tasks.connection_limits"
# A head that comes in pieces may have this many times MAX_HEADER_BYTES: there is a request line, too, and the exact
# limit is kept by middleware/limits.py, which has a better answer.
HEAD_BYTES_FACTOR: Final = 2
# How long a body that nobody reads any more may go on arriving: cut at once, its sender may miss the answer (seconds).
LINGER_SECONDS: Final = 5.0
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
        # The request that is being parsed offers another protocol, which is not taken up.
        self._declines = False
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
        self._feed(data)
        if self._pending > HEAD_BYTES_FACTOR * self._limits.max_header_bytes:
            self._refuse(problems.HeadersTooLarge(self._limits.max_header_bytes))
        elif self._pending:
            if self._timer is None:
                self._start_timer()
        else:
            self._stop_timer()

    def _feed(self, data: bytes) -> None:
        """Have the parser read on. In place of uvicorn's own, which loses the body of who offers another protocol."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as paused:
            if self._declines:
                self._read_as_if_nothing_were_offered(data[paused.args[0] :])
            else:
                self.handle_websocket_upgrade()
        except httptools.HttpParserInvalidMethodError:
            unknown = request_head.has_unknown_method(data)
            self._refuse_unreadable(problems.MethodNotImplemented() if unknown else problems.MalformedRequest())
        except httptools.HttpParserError:
            self._refuse_unreadable(problems.MalformedRequest())

    def _read_as_if_nothing_were_offered(self, rest: bytes) -> None:
        """A server may ignore Upgrade (RFC 9110, section 7.8); the parser takes no body for its request's then."""
        self._declines = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        # Another parser: after a request that was the last of its connection, this one drops what follows.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(request_head.without_offers(method, self.url, version, self.headers) + rest)

    def _should_upgrade(self) -> bool:
        """A WebSocket begins with a GET of HTTP/1.1 without a body; nobody would ever answer another request."""
        parser = self.parser
        begins = request_head.begins_websocket(parser.get_method(), parser.get_http_version(), self.headers)
        return begins and super()._should_upgrade()

    def _read_on(self) -> None:
        """All requests that waited have been answered, or are being answered."""
        if self._responses.is_closing():
            return
        data, self._unparsed = self._unparsed, b""
        self._parse_in_pieces(data)
        self._responses.hold_reading(bool(self.pipeline))

    def on_headers_complete(self) -> None:
        self._pending = 0
        version = self.parser.get_http_version()
        if tidy := request_head.without_trailing_blanks(self.headers):
            self.headers[:] = tidy
            self.expect_100_continue = request_head.expects_continue(tidy)
        if request_head.can_be_read_in_two_ways(version, self.url, self.headers):
            raise ValueError("the parser stops here, and says that it could not go on")
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT" and not self._should_upgrade():
            self._declines = True
            return
        if version == "1.0":  # RFC 9110, section 10.1.1: its clients know no 100
            self.expect_100_continue = False
        super().on_headers_complete()
        # Trailers go into another list: RFC 9110, section 6.5.1, forbids to merge them into the headers.
        self.headers = self.headers.copy()
        if version == "1.0":
            send_until_close(self.cycle, self._responses)
        if self._ending:
            self._answer_is_last()

    def on_message_complete(self) -> None:
        if not self._declines:
            super().on_message_complete()

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
                self.loop.call_later(LINGER_SECONDS, self._stop_reading, self.cycle)

    def handle_websocket_upgrade(self) -> None:
        self._responses.stop_watching()
        self.transport = self._responses.wrapped
        super().handle_websocket_upgrade()

    def _refuse_unreadable(self, problem: problems.Problem) -> None:
        """Refuse what is no HTTP; requests that came whole before it are answered first."""
        if self._is_answering() and not self.cycle.more_body:
            self._broken = True
            self._responses.hold_reading(True)
            self._answer_is_last()
        else:
            self._refuse(problem)

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
