"""A real Chromium and the real program; neither reaches anything but this machine."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.example import Example, running
from tests.browser.tasks_page import Visit, sign_up
from tests.browser.watched import TIMEOUT_MS, Watched, watched_page
from tests.examples.conftest import web  # noqa: F401 - a fixture
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
# Every state of the document, before it is painted, is in `seen`, from the first one on.
WATCH = """
window.seen = [];
new MutationObserver(() => seen.push(document.body?.innerHTML ?? "")).observe(document, {
  subtree: true, childList: true, characterData: true, attributes: true,
});
"""

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


@pytest.fixture(scope="session")
def example(
    browser: Browser,
    web: Path,  # noqa: F811 - the fixture
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Example]:
    with running(tmp_path_factory.mktemp("example"), web, server) as example:
        yield example


@pytest.fixture
def visit(browser: Browser, example: Example) -> Visit:
    """Opens the page in a new browser profile, with these options of Playwright's."""

    @contextlib.asynccontextmanager
    async def visit(**options: Any) -> AsyncIterator[Watched]:
        async with watched_page(browser, example.page, example.api, **options) as visited:
            await visited.page.context.add_init_script(WATCH)
            await visited.page.goto(example.page)
            yield visited

    return visit


@pytest.fixture
async def visited(visit: Visit) -> AsyncIterator[Watched]:
    """Somebody new has signed up."""
    async with visit() as visited:
        await sign_up(visited.page)
        yield visited


@pytest.fixture
def page(visited: Watched) -> Page:
    return visited.page
