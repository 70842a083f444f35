"""An answer of our routes as it goes out: bytes, or a stream of them, and headers as ASGI takes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.app.web.answer_room import SMALL_ANSWER_BYTES
from backend.app.web.deadlines import DEADLINE, Deadline
from backend.app.web.services import services_of


class ApiResponse(Response):
    """An answer whose body is ready: bytes, and headers as ASGI takes them."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        """`headers` by their names with underscores, such as `etag=...` or `location=...`."""
        self.status_code = status
        self.fields = headers
        self.body = body
        self.background = None
        self.raw_headers = [
            (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()
        ]
        if "cache_control" not in headers:
            # Never from a shared cache, which knows no users; from the browser's own only after asking (RFC 9111).
            self.raw_headers.append((b"cache-control", b"private, no-cache"))
        if body:
            self.raw_headers += [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send headers and body; HEAD gets GET's headers alone (RFC 9110, section 9.3.2)."""
        if len(self.body) > SMALL_ANSWER_BYTES and scope["method"] != "HEAD":
            await self._send_large(scope, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})

    async def _send_large(self, scope: Scope, send: Send) -> None:
        """Count the answer as the caller's until they have read it. Only SEND_TIMEOUT bounds how long that takes."""
        user_id, safe = scope["state"]["principal"].user_id, scope["method"] == "GET"
        with services_of(scope).answer_room.entered(user_id, len(self.body), refusable=safe):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            deadline: Deadline = scope[DEADLINE]
            deadline.stop()
            # The server takes this one when little of the body is left.
            await send({"type": "http.response.body", "body": b""})


class ApiStream(ApiResponse):
    """An answer that is made while it is sent. Its time starts anew with each piece, so only one that stalls is cut."""

    def __init__(
        self,
        status: int,
        pieces: AsyncIterator[bytes],
        *,
        held: AbstractContextManager[Any] | None = None,
        waits: bool = False,
        **headers: str,
    ) -> None:
        """`held` is given back when the answer ends, in whatever way.

        With `waits`, no time passes while the next piece is waited for.
        """
        if waits:
            # RFC 9111, section 5.2.2.6: a proxy that compresses would keep pieces back until it has enough of them.
            headers.setdefault("cache_control", "private, no-cache, no-transform")
        super().__init__(status, b"", **headers)
        self._pieces = pieces
        self._held = held or nullcontext()
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            with self._held:
                await self._pieces.aclose()  # type: ignore[attr-defined] # a generator's
                await super().__call__(scope, receive, send)
            return
        deadline: Deadline = scope[DEADLINE]
        gone = asyncio.ensure_future(_disconnected(receive))
        with self._held:
            try:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                while (piece := await self._next(gone, deadline)) is not None:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                gone.cancel()
                await self._pieces.aclose()  # type: ignore[attr-defined] # a generator's
        await send({"type": "http.response.body", "body": b""})

    async def _next(self, gone: asyncio.Future[None], deadline: Deadline) -> bytes | None:
        """The next piece; None after the last one, and when the client has gone."""
        if self._waits:
            deadline.stop()
        following = asyncio.ensure_future(anext(self._pieces, None))
        try:
            waiting: set[asyncio.Future[Any]] = {following, gone}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            deadline.restart()
            return following.result() if following.done() else None
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait({following})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
