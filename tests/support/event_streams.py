"""A client of the event stream that reads piece by piece."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from tests.support.tokens import token

PATIENCE = 30.0


class Listening:
    """A client on one stream, piece by piece, which may stop reading."""

    def __init__(self, app: Any, user_id: str, headers: dict[str, str], expires: float, query: str) -> None:
        bearer = token(user_id, exp=int(time.time() + expires))
        fields = {"authorization": f"Bearer {bearer}", **{name.lower(): value for name, value in headers.items()}}
        self.scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": f"/api/{user_id}/events",
            "query_string": query.removeprefix("?").encode(), "root_path": "", "raw_path": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }  # fmt: skip
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone, self.reads = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.asked = False
        self.task = asyncio.ensure_future(app(self.scope, self.receive, self.send))

    async def receive(self) -> dict[str, Any]:
        if self.asked:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self.asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif self.gone.is_set() or message["body"]:
            await self.reads.wait()
            self.pieces.put_nowait(message["body"])

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return (await self.pieces.get()).decode()

    async def revision(self) -> int:
        """Of the next event; signs of life are passed over."""
        while not (piece := await self.next()).startswith("event: changed"):
            pass
        fields = dict(line.split(": ", 1) for line in piece.strip().splitlines())
        assert json.loads(fields["data"]) == {"revision": int(fields["id"])}
        return int(fields["id"])

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.task


@contextlib.asynccontextmanager
async def listening(
    app: Any, user_id: str, expires: float = 900, query: str = "", **headers: str
) -> AsyncIterator[Listening]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = Listening(app, user_id, fields, expires, query)
    try:
        yield stream
    finally:
        stream.gone.set()
        stream.reads.set()
        await stream.ended()
