"""One connection to the API, as a frontend has one: nothing is ever sent twice by itself."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

# Longer than the API's own deadline (REQUEST_TIMEOUT): whoever waits this long was left hanging (seconds).
PATIENCE_SECONDS = 20.0
BODILESS = frozenset({204, 304})


class Target(Protocol):
    """Where requests go at the moment: a load balancer's knowledge."""

    port: int


class NoAnswer(Exception):
    """The connection ended without a whole answer, or nothing came in time.

    `refused`: nothing was sent. `torn`: some of an answer had come.
    """

    def __init__(self, reason: str, *, refused: bool = False, torn: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        self.torn = torn


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return orjson.loads(self.body)


class Http:
    """A connection that is made when it is needed, and anew where the target has moved."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._port = 0
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, *, token: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """The answer. Raises NoAnswer."""
        content = b"" if body is None else orjson.dumps(body)
        fields = {"host": "localhost", "authorization": f"Bearer {token}", **(headers or {})}
        if content:
            fields |= {"content-type": "application/json", "content-length": str(len(content))}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await self._connected()
                writer.write("\r\n".join(lines).encode() + content)
                status, found, answer = await _read(reader)
        except TimeoutError:
            self.close()
            raise NoAnswer(f"{method}: no answer in {PATIENCE_SECONDS:.0f} s") from None
        except OSError as error:
            self.close()
            raise NoAnswer(f"{method}: {error}") from None
        except NoAnswer:
            self.close()
            raise
        if found.get("connection") == "close":
            self.close()
        return Answer(status, found, answer, time.monotonic() - begun)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends is None or self._port != self._target.port:
            self.close()
            self._port = self._target.port
            try:
                self._ends = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                raise NoAnswer(str(error), refused=True) from None
        return self._ends

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


async def _read(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        raise NoAnswer("the connection ended", torn=bool(end.partial)) from None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    status = int(first.split(" ")[1])
    try:
        return status, headers, b"" if status in BODILESS else await _body(reader, headers)
    except (asyncio.IncompleteReadError, OSError):
        raise NoAnswer("the connection ended in the middle of an answer", torn=True) from None


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    with contextlib.suppress(asyncio.IncompleteReadError):
        await reader.readexactly(2)
    return b"".join(pieces)
