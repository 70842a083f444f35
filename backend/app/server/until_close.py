"""Answers of unknown length for HTTP/1.0, which knows no chunks: they end with the connection.

uvicorn sends chunks to every client, and one of HTTP/1.0 takes their lengths for contents (RFC 9112, section 6.1).
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from backend.app.server.transport import ResponseTransport

NO_CONTENT = (204, 304)


class UntilClose:
    """Stands in for a cycle's `send`. A connection that ends before the answer does is reset, and not closed."""

    def __init__(self, cycle: RequestResponseCycle, transport: ResponseTransport) -> None:
        self._cycle = cycle
        self._send = cycle.send
        self._transport = transport
        self._has_no_length = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._has_no_length = message["status"] not in NO_CONTENT and self._cycle.scope["method"] != "HEAD"
            self._has_no_length &= all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if self._has_no_length:
                self._cycle.chunked_encoding = False
                self._transport.reset_on_close = True
        elif self._has_no_length:
            self._cycle.expected_content_length = len(message.get("body", b""))
            if not message.get("more_body", False):
                self._transport.reset_on_close = False
        await self._send(message)


def send_until_close(cycle: Any, transport: ResponseTransport) -> None:
    """Have this cycle, of a request of HTTP/1.0, send what has no length without chunks."""
    cycle.send = UntilClose(cycle, transport).send
