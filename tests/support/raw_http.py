"""HTTP byte for byte: the application behind a real server, and requests that no client tidies up."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import uvicorn

from tests.support.tokens import token

HTTP = ("httptools", "h11")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@contextlib.asynccontextmanager
async def served(app: Any, *, http: Any = "httptools", root_path: str = "") -> AsyncIterator[int]:
    """The application behind uvicorn on a loopback port; it takes no signals, for those are the test runner's."""
    config = uvicorn.Config(app, http=http, root_path=root_path, lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await server.startup(sockets=[listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await server.shutdown(sockets=[listening])


def request(target: str, *fields: str, method: str = "GET", body: bytes = b"", last: bool = True) -> bytes:
    """A request byte for byte: no client tidies the target up."""
    lines = [f"{method} {target} HTTP/1.1", "Host: api.test", *fields, *(["Connection: close"] if last else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def bearer(user_id: str) -> str:
    return f"Authorization: Bearer {token(user_id)}"


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(status.split()[1]), headers, body)


async def exchange(port: int, *requests: bytes) -> list[Answer]:
    """All requests at once on one connection, and the answers in their order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(requests))
        return [await asyncio.wait_for(read_answer(reader), 10) for _ in requests]
    finally:
        writer.close()
        await writer.wait_closed()
