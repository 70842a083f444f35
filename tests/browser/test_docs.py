"""The API explorer as a person uses it, in a browser that reaches nothing but the API."""

from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser.watched import Watched, watched_page
from tests.support.tokens import new_user, token


@pytest.fixture
async def docs(browser: Browser, api_url: str) -> AsyncIterator[Watched]:
    """`/docs`, opened; in the end it has done nothing wrong."""
    async with watched_page(browser, api_url) as docs:
        await docs.page.goto(f"{api_url}/docs")
        yield docs


async def authorize(docs: Watched, text: str) -> None:
    """Paste a token."""
    await docs.page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = docs.page.locator(".dialog-ux")
    await expect(dialog).to_contain_text("bearer (http, Bearer)")
    await dialog.get_by_role("textbox").fill(text)
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close", exact=True).click()


async def list_tasks_of(docs: Watched, user_id: str) -> Locator:
    """Try the list route out; the answer."""
    operation = docs.page.locator(".opblock", has=docs.page.locator('[data-path="/api/{user_id}/tasks"]')).first
    await operation.locator(".opblock-summary-control").click()
    await operation.locator('[data-param-name="user_id"] input').fill(user_id)
    await operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


async def test_a_pasted_token_lists_ones_own_tasks(docs: Watched, api_url: str) -> None:
    """With nothing from elsewhere, under the Content-Security-Policy; the token is kept in the page's memory alone."""
    user_id = new_user()
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers) as client:
        await client.post(f"/api/{user_id}/tasks", json={"title": "Made before"})

    await authorize(docs, token(user_id))
    answer = await list_tasks_of(docs, user_id)

    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer).to_contain_text("Made before")
    assert await docs.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


async def test_another_users_tasks_are_refused(docs: Watched, api_url: str) -> None:
    """403 is shown as any answer is."""
    docs.expected = ("403 (Forbidden)",)
    await authorize(docs, token(new_user()))
    answer = await list_tasks_of(docs, new_user())

    await expect(answer.locator(".response-col_status")).to_contain_text("403")
    await expect(answer).to_contain_text("urn:tasks:problem:")
