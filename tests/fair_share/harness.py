"""An attack of one user beside a probe of another: what the probe waited, was answered, and what it cost the server."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from backend.app.config import PROJECT_ROOT
from tests.fair_share.documented import Request
from tests.fair_share.watching import Watch, watching
from tests.support.tokens import new_user, token

ATTACK_TIMEOUT_SECONDS: Final = 60.0
# How long a connection is kept for another request: shorter than the server does, which might close it meanwhile.
KEPT_SECONDS: Final = 2.0
# Requests that are under way so long after the end of an attack are cut off (seconds).
CUT_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Served:
    """A server under attack: where it listens, its process, and the secret that its tokens are signed with."""

    port: int
    pid: int
    secret: str
    # Where all connections of the server can be seen.
    database_url: str


@dataclass(frozen=True)
class Result:
    """Times in seconds, memory in MiB that was added; `answers` are the attacker's, `probed` the bystander's.

    `connections` were at work for the attacker at the same time.
    """

    slowest: float
    slowest_health: float
    probed: dict[str, int]
    answers: dict[str, int]
    memory: float
    connections: int


class Attacker:
    """One signed-in user who sends as much as they like."""

    def __init__(self, served: Served, seconds: float) -> None:
        self.user_id = new_user()
        self.port = served.port
        self.seconds = seconds
        self.bearer = f"Bearer {token(self.user_id, secret=served.secret)}"
        self.answers: Counter[str] = Counter()
        self.watch: Watch | None = None
        self._until = time.monotonic() + ATTACK_TIMEOUT_SECONDS
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{served.port}",
            headers={"Authorization": self.bearer},
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_SECONDS),
            timeout=ATTACK_TIMEOUT_SECONDS,
        )

    async def send(self, request: Request) -> None:
        """Send one request, to its answer or its end."""
        try:
            async with self._client.stream(
                request.method, request.path, content=request.body, headers=list(request.headers)
            ) as answer:
                self.answers[str(answer.status_code)] += 1
                async for _ in answer.aiter_raw():
                    if time.monotonic() >= self._until:
                        return
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1

    async def until_at_database(self) -> None:
        """Wait until a request of this user has come to a statement or transaction."""
        assert self.watch is not None
        assert await asyncio.to_thread(self.watch.at_database.wait, ATTACK_TIMEOUT_SECONDS)

    async def prepare(self) -> None:
        """Make a first task and a first list, which have the number 1."""
        headers = (("Content-Type", "application/json"),)
        await self.send(Request("POST", f"/api/{self.user_id}/lists", b'{"name": "x"}', headers))
        await self.send(Request("POST", f"/api/{self.user_id}/tasks", b'{"title": "x", "list_id": 1}', headers))

    async def send_plainly(self, request: Request) -> None:
        """Send one request on a connection of its own, for a twentieth of what it costs an HTTP client."""
        body = request.body or b""
        headers = (("Host", "x"), ("Connection", "close"), ("Authorization", self.bearer), *request.headers)
        lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.closing(writer):
                writer.write(head.encode() + body)
                answer = await reader.read()
            self.answers[answer[9:12].decode() or "ReadError"] += 1
        except OSError as error:
            self.answers[type(error).__name__] += 1

    async def flood(self, request: Request, *, at_once: int) -> None:
        """Send the same request again and again, so many at once, for as long as an attack is."""
        self._until = time.monotonic() + self.seconds

        async def one() -> None:
            while True:
                await self.send(request)
                if time.monotonic() >= self._until:
                    return

        with contextlib.suppress(TimeoutError):  # streams go on for ever
            async with asyncio.timeout(self.seconds + CUT_SECONDS):
                await asyncio.gather(*(one() for _ in range(at_once)))

    async def read_nothing(self, asked: bytes, *, connections: int) -> None:
        """Ask on so many connections, and read no answer for as long as an attack is."""
        opened = [await asyncio.open_connection("127.0.0.1", self.port, limit=1) for _ in range(connections)]
        for _, writer in opened:
            writer.write(asked)
        with contextlib.suppress(TimeoutError, OSError):  # the server cuts them off at last
            async with asyncio.timeout(self.seconds):
                await asyncio.gather(*(writer.wait_closed() for _, writer in opened))
        for _, writer in opened:
            writer.transport.abort()
        self.answers["unread"] += len(opened)

    async def close(self) -> None:
        await self._client.aclose()


Attack = Callable[[Attacker], Awaitable[None]]


async def beside_probe(served: Served, attack: Attack, *, seconds: float) -> Result:
    """Run one attack for about so many seconds."""
    bystander = new_user()
    arguments = [str(served.port), bystander, token(bystander, secret=served.secret)]
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, "-m", "tests.fair_share.probe", *arguments],
        cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    attacker = Attacker(served, seconds)
    with process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        try:
            with watching(served.pid, served.database_url, attacker.user_id) as watch:
                attacker.watch = watch
                async with asyncio.timeout(ATTACK_TIMEOUT_SECONDS):
                    await attack(attacker)
        finally:
            await attacker.close()
            told, _ = await asyncio.to_thread(process.communicate, "\n")
    probed = json.loads(told)
    times = probed["slowest"], probed["slowest_health"]
    return Result(*times, probed["answers"], dict(attacker.answers), watch.memory, watch.connections)
