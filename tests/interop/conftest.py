"""A real Better Auth in Node, in every configuration, and people who have signed up there."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.node import packages
from tests.support.tokens import SECRET, new_user

HERE = Path(__file__).parent / "better_auth"
PASSWORD = "a long enough password"
OLD_SECRET = SECRET[::-1]

# The table that the run prints: what Better Auth handed out, how it is signed, what should come of it, what came.
_rows: list[tuple[str, str, str, str]] = []


def note(mode: str, algorithm: str, expected: str, got: str) -> None:
    _rows.append((mode, algorithm, expected, got))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _rows:
        terminalreporter.section("Better Auth")
        for mode, algorithm, expected, got in [("mode", "algorithm", "expected", "got"), *_rows]:
            terminalreporter.write_line(f"{mode:<42}{algorithm:<11}{expected:<44}{got}")


def node() -> str:
    """Node's path, where packages() has not skipped the test."""
    return str(shutil.which("node"))


@pytest.fixture(scope="session")
def better_auth() -> Iterator[dict[str, str]]:
    """The address of each instance by its mode; see better_auth/server.mjs."""
    packages(HERE)
    program = node()
    environment = {"SECRET": SECRET, "OLD_SECRET": OLD_SECRET, "PATH": str(Path(program).parent)}
    with subprocess.Popen(
        [program, "server.mjs"], cwd=HERE, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()


@dataclass
class Person:
    """Somebody who has just signed up, with the cookies that a browser would keep."""

    client: httpx.AsyncClient
    user_id: str
    answer: httpx.Response
    cookies: dict[str, str] = field(default_factory=dict)

    def keep(self, answer: httpx.Response) -> httpx.Response:
        """Secure cookies too, though it is http here."""
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def get(self, path: str) -> httpx.Response:
        return self.keep(await self.client.get(path, headers={"Cookie": self.cookie}))

    async def token(self) -> str:
        return str((await self.get("/api/auth/token")).json()["token"])


@contextlib.asynccontextmanager
async def signed_up(url: str, **more: Any) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=url, headers={"Origin": url}, trust_env=False) as client:
        body = {"email": f"{new_user()}@example.com", "password": PASSWORD, "name": "A", **more}
        answer = await client.post("/api/auth/sign-up/email", json=body)
        answer.raise_for_status()
        person = Person(client, answer.json()["user"]["id"], answer)
        person.keep(answer)
        client.cookies.clear()
        yield person


@contextlib.asynccontextmanager
async def anonymously(url: str) -> AsyncIterator[Person]:
    """Somebody who has not signed up, as Better Auth's anonymous plugin lets them in."""
    async with httpx.AsyncClient(base_url=url, headers={"Origin": url}, trust_env=False) as client:
        answer = await client.post("/api/auth/sign-in/anonymous")
        answer.raise_for_status()
        person = Person(client, answer.json()["user"]["id"], answer)
        person.keep(answer)
        client.cookies.clear()
        yield person
