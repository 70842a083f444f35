"""The wire between the API and PostgreSQL, where a test can count, hold up and cut what passes."""

import asyncio
import contextlib
import functools
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

from psycopg2.extensions import parse_dsn

HEADER_BYTES = 5

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Judge = Callable[[bytes], bool]


def _never(_: bytes) -> bool:
    return False


class Wire:
    """Forwards connections to a server, as `connect` makes them.

    `queries` counts what clients send to be executed, and `answered` the bytes that come back. `texts` are the last of
    the queries, each a message.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.sent: Counter[str] = Counter()
        self.texts: deque[str] = deque(maxlen=100)
        self.connections = self.answered = 0
        self.refusing = False
        self._losing = self._once = False
        self._last_query: int | None = None
        self.cuts_before: Judge = _never
        """Of a query: it never comes to the server, and its connection is cut."""
        self.loses_answer_to: Judge = _never
        """Of a query: the server gets it, and the answer, and the connection with it, is lost."""
        self.cuts = 0
        """How often either has happened."""

    @property
    def queries(self) -> int:
        return self.sent["Q"] + self.sent["P"]

    def lose_after(self, queries: int, *, once: bool = False) -> None:
        """The server gets so many more queries; the answer to the last one, and the connection with it, is lost.

        So are all after it until `mend`, unless it is lost only `once`.
        """
        self._last_query, self._once = self.queries + queries, once

    def mend(self) -> None:
        self._losing, self._last_query = False, None

    def hold(self) -> None:
        """Answers of the server stay on the way until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    async def cut(self) -> None:
        """End every connection, as a server that goes away does."""
        for writer in tuple(self._writers):
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in tuple(self._writers)), return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.close()
            return
        self.connections += 1
        server_reader, server_writer = await self._connect()
        ends = {writer, server_writer}
        self._writers |= ends
        lost = asyncio.Event()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._requests(reader, server_writer, lost))
                both_ways.create_task(self._answers(server_reader, writer, lost))
        for end in ends:
            end.close()
        self._writers -= ends

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        startup = await reader.readexactly(4)
        server.write(startup + await reader.readexactly(int.from_bytes(startup) - 4))
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                header = await reader.readexactly(HEADER_BYTES)
                self.sent[chr(header[0])] += 1
                last = self.queries == self._last_query
                self._losing |= last
                body = await reader.readexactly(int.from_bytes(header[1:]) - 4)
                if header[:1] == b"Q":
                    self.texts.append(body.rstrip(b"\0").decode())
                if self.cuts_before(body):
                    self.cuts += 1
                    break
                if self.loses_answer_to(body):
                    self.cuts += 1
                    lost.set()
                server.write(header + body)
                await server.drain()
                if last or lost.is_set():
                    break
        server.close()

    async def _answers(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while answer := await server.read(65536):
            self.answered += len(answer)
            if self._losing or lost.is_set():
                continue
            await self._flowing.wait()
            writer.write(answer)
            await writer.drain()
        if self._losing and self._once:
            self.mend()
        writer.close()


@contextlib.asynccontextmanager
async def wire_to(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the server behind this URL, on a socket in a folder or on a port; and the URL that leads through it."""
    target = parse_dsn(database_url)
    host, behind = target["host"], int(target.get("port", 5432))
    if host.startswith("/"):
        wire = Wire(functools.partial(asyncio.open_unix_connection, f"{host}/.s.PGSQL.{behind}"))
    else:
        wire = Wire(functools.partial(asyncio.open_connection, host, behind))
    listening = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    user = ":".join(quote(target[name], safe="") for name in ("user", "password") if name in target)
    async with listening:
        yield wire, f"postgresql://{user}@localhost:{port}/{target['dbname']}?sslmode=disable&gssencmode=disable"
        wire.flow()
        await wire.cut()
