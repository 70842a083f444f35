"""The server's end of a connection: what a client may take before there is a request, and how a connection ends.

`uvicorn --http backend.app.server.protocol:Protocol`. uvicorn's own protocol waits for a request's head without an
end, keeps all of it, and when it is told to end cuts connections on which a request may be on its way. Knows no users
and no database.
"""

import asyncio
import logging
import secrets
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.app import problems

# Where the protocol finds MAX_HEADER_BYTES and HEADER_TIMEOUT in the state of the application's lifespan.
HEAD_LIMITS: Final = "tasks.head_limits"
DEFAULT_LIMITS: Final = (32 * 1024, 10.0)
# A head that comes in pieces may have this many times MAX_HEADER_BYTES: there is a request line, too, and the exact
# limit is kept by middleware/limits.py, which has a better answer.
ROOM: Final = 2
# How long a body that nobody reads any more may go on arriving: cut at once, its sender may miss the answer (seconds).
LINGER: Final = 5.0

_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: %s\r\ncontent-length: %d\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"x-request-id: %s\r\nconnection: close\r\n\r\n%s"
)

log = logging.getLogger("tasks")


class Protocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers (or trailers) come too slowly, or are too many.

    When the server ends, a connection without a request is not closed: an answer on it says that it was the last, and
    one that stays idle is closed by the client, or by its timer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._header_bytes, self._seconds = self.app_state.get(HEAD_LIMITS, DEFAULT_LIMITS)
        # Bytes that have made neither a head nor a piece of a body yet.
        self._pending = 0
        self._ending = False
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self._seconds, self._give_up)

    def data_received(self, data: bytes) -> None:
        self._pending += len(data)
        super().data_received(data)
        if self._pending > ROOM * self._header_bytes:
            self._refuse()
        elif self._pending:
            if self._timer is None:
                self._timer = self.loop.call_later(self._seconds, self._give_up)
        elif self._timer is not None:
            self._stop_timer()

    def on_headers_complete(self) -> None:
        self._pending = 0
        super().on_headers_complete()
        if self._ending:
            self._answer_is_last()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body:
            self.loop.call_later(LINGER, self._stop_reading, self.cycle)

    def shutdown(self) -> None:
        self._ending = True
        self._answer_is_last()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _answer_is_last(self) -> None:
        cycle: Any = self.cycle  # None before the first request, and where it becomes a WebSocket
        if cycle is not None:
            cycle.keep_alive = False

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_answering():  # which has a deadline of its own
            self._timer = self.loop.call_later(self._seconds, self._give_up)
        else:
            self.transport.close()

    def _refuse(self) -> None:
        if not self._is_answering():
            request_id = secrets.token_hex(8)
            problem = problems.HeadersTooLarge(self._header_bytes)
            body = problem.body(request_id)
            self.transport.write(_REFUSAL % (problems.MEDIA_TYPE.encode(), len(body), request_id.encode(), body))
            log.info("refused", extra={"fields": {"request_id": request_id, "reason": problem.detail}})
        self.transport.close()

    def _stop_reading(self, cycle: Any) -> None:
        if self.cycle is cycle and cycle.more_body:
            self.transport.close()
