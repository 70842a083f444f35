"""A client that has not read its answer: the server takes no further piece until it does."""

import asyncio
from typing import Any

import orjson

from tests.support.tokens import token

PATIENCE_SECONDS = 10.0


class SlowReader:
    """One request of a user's, whose answer waits after its first piece until it is `read`."""

    def __init__(self, app: Any, user_id: str, path: str, body: bytes | None = None, *, more: bool = False) -> None:
        """With `more`, the body never ends."""
        fields = {"authorization": f"Bearer {token(user_id)}", "content-type": "application/json"}
        path, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
            "type": "http", "method": "GET" if body is None else "POST", "path": path,
            "query_string": query.encode(), "root_path": "", "raw_path": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }  # fmt: skip
        self.status = 0
        self._sent, self._more, self._asked = body or b"", more, False
        self._body = bytearray()
        self._answered, self._reads = asyncio.Event(), asyncio.Event()
        self._task = asyncio.ensure_future(app(self.scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._asked:  # and stays
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": self._sent, "more_body": self._more}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        if self._body:
            self._answered.set()
            await self._reads.wait()
        self._body += message["body"]

    async def answered(self) -> int:
        """The status, when the first piece has come and the server waits, or the answer is whole."""
        waiting = asyncio.ensure_future(self._answered.wait())
        await asyncio.wait({waiting, self._task}, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self.status

    async def read(self) -> Any:
        """All of the answer."""
        self._reads.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._task
        return orjson.loads(self._body)
