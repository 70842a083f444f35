"""Pages that tests serve to the browser."""

import asyncio

from tests.support.key_server import http


async def empty_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(http(b"<!doctype html><link rel=icon href=data:,>", **{"content-type": "text/html"}))
    await writer.drain()
    writer.close()
