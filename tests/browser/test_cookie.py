"""Which pages may write with the session cookie that a browser sends for all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browser.pages import empty_page
from tests.support.postgres import Server
from tests.support.programs import clone, free_port, serving
from tests.support.session_cookies import claims_now, cookie_token, signed_data
from tests.support.tokens import SECRET, new_user

WRITE = """async ([url, options]) => {
  try {
    const answer = await fetch(url, { method: "POST", credentials: "include", ...options });
    return answer.type === "opaque" ? "opaque" : answer.status;
  } catch (error) {
    return "unreadable";
  }
}"""
AS_JSON = {"headers": {"Content-Type": "application/json"}, "body": '{"title": "by a page"}'}
TITLES = """async (url) => {
  const tasks = await (await fetch(url, { credentials: "include" })).json();
  return tasks.map((task) => task.title);
}"""
# What a page may send without asking first: this is what the check is for.
AS_A_FORM = {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}, "body": '{"title": "by a form"}'}


@pytest.fixture
async def origins() -> AsyncIterator[list[str]]:
    """Our page's and a foreign one's. Ports make no other site, so SameSite keeps the cookie from neither."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(await asyncio.start_server(empty_page, "127.0.0.1")) for _ in range(2)
        ]
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]


@pytest.fixture
async def api(browser: Browser, server: Server, origins: list[str], tmp_path: Path) -> AsyncIterator[str]:
    """The program with cookies switched on, for our page."""
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "AUTH_COOKIE": "true", "CORS_ORIGINS": origins[0]}
    with server.new_database() as name:
        settings["DATABASE_URL"] = server.database_url(name, "tasks_login")
        with serving(clone(tmp_path / "project"), port, **settings):
            yield f"http://127.0.0.1:{port}"


async def sign_in(context: BrowserContext, user_id: str) -> None:
    """What Better Auth's own answer would set."""
    for name, value in (("session_token", cookie_token()), ("session_data", signed_data(claims_now(user_id)))):
        await context.add_cookies(
            [
                {
                    "name": f"better-auth.{name}",
                    "value": value,
                    "domain": "127.0.0.1",
                    "path": "/",
                    "httpOnly": True,
                    "sameSite": "Lax",
                }
            ]
        )


async def test_only_a_page_of_ours_writes(browser: Browser, api: str, origins: list[str]) -> None:
    """What a foreign page tries is refused whether it may ask first or not, and nothing is written."""
    user, (ours, foreign) = new_user(), origins
    tasks = f"{api}/api/{user}/tasks"
    answered: list[tuple[str, int]] = []
    context = await browser.new_context()
    await sign_in(context, user)
    visited = await context.new_page()
    visited.on("response", lambda answer: answered.append((answer.request.method, answer.status)))

    async def write(origin: str, options: dict[str, Any]) -> Any:
        answered.clear()
        await visited.goto(origin)
        return await visited.evaluate(WRITE, [tasks, options])

    assert await write(foreign, AS_JSON) == "unreadable"  # its preflight is refused
    assert await write(foreign, AS_A_FORM) == "opaque"
    assert answered[-1] == ("POST", 403)
    assert await write(ours, AS_JSON) == 201
    assert await visited.evaluate(TITLES, tasks) == ["by a page"]
    await context.close()
