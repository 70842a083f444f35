"""A page of the browser that is held to what it should do."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page

TIMEOUT_MS = 30_000


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
async def watched_page(browser: Browser, *origins: str, **options: Any) -> AsyncIterator[Watched]:
    """A page in a profile of its own, with these options of Playwright's.

    The test fails in the end if the page did anything wrong.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    watched = Watched(await context.new_page(), *origins)
    try:
        yield watched
    finally:
        await context.close()
        assert not watched.wrongs, watched.wrongs
