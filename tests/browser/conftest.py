"""A real Chromium and the real program; neither reaches anything but this machine."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.postgres import Server
from tests.support.programs import clone, free_port, serving
from tests.support.tokens import SECRET

FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
TIMEOUT_MS = 10_000

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; one is never downloaded."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    # No sandbox: Chromium refuses to make one for root, who runs CI.
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False) as browser,
    ):
        yield browser


@pytest.fixture(scope="session")
def api_url(browser: Browser, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `uvicorn backend.app.main:app` serves a database of its own, for tokens of `tests.support.tokens`."""
    project, port = clone(tmp_path_factory.mktemp("project")), free_port()
    with (
        server.new_database() as name,
        serving(project, port, DATABASE_URL=server.database_url(name, "tasks_login"), BETTER_AUTH_SECRET=SECRET),
    ):
        yield f"http://127.0.0.1:{port}"


class Watched:
    """A page and what it did that it should not have: `wrongs` has a line for each.

    These are requests to origins that are not its own, what the console says from a warning on (there a violated
    Content-Security-Policy is told), and errors that nobody caught.
    """

    def __init__(self, page: Page, *origins: str) -> None:
        """`expected` is what the console may say: a test that provokes it sets it."""
        self.page = page
        self.wrongs: list[str] = []
        self.expected: tuple[str, ...] = ()
        self._allowed = (*(f"{origin}/" for origin in origins), "data:")
        page.on("request", lambda request: self._requested(request.url))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.wrongs.append(f"uncaught: {error}"))

    def _requested(self, url: str) -> None:
        if not url.startswith(self._allowed):
            self.wrongs.append(f"asked {url}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("warning", "error") and not any(expected in text for expected in self.expected):
            self.wrongs.append(f"{kind}: {text}")


@contextlib.asynccontextmanager
async def watched_page(browser: Browser, *origins: str) -> AsyncIterator[Watched]:
    """A page in a profile of its own; the test fails in the end if the page did anything wrong."""
    context = await browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    watched = Watched(await context.new_page(), *origins)
    try:
        yield watched
    finally:
        await context.close()
        assert watched.wrongs == []
