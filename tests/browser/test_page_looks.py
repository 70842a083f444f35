"""What the example page looks like, and what it says to those who do not see it."""

from typing import Literal

import pytest
from playwright.async_api import expect

from backend.app.config import PROJECT_ROOT
from tests.browser.example import Example
from tests.browser.tasks_page import PASSWORD, a_week, act, add, ask, button, create, sign_out, task, toast
from tests.browser.watched import Watched

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FAULTS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (field) => document.getElementById(field.getAttribute("aria-labelledby"));
  const ids = all("[id]").map(({ id }) => id);
  return [
    document.documentElement.lang === "en" ? [] : "no language",
    document.title ? [] : "no title",
    all("h1").length === 1 ? [] : `${all("h1").length} first headings`,
    all("main").length === 1 ? [] : `${all("main").length} main parts`,
    all("input, textarea, select").filter((field) => !(field.labels[0] ?? named(field))?.textContent.trim())
      .filter(({ ariaLabel }) => !ariaLabel).map((field) => field.outerHTML),
    all("button").filter((button) => !(button.ariaLabel ?? button.innerText).trim()).map((button) => button.outerHTML),
    all("[aria-describedby]").filter((field) => !ids.includes(field.getAttribute("aria-describedby")))
      .map((field) => field.outerHTML),
    ids.length === new Set(ids).size ? [] : "an id twice",
  ].flat();
}"""


async def test_everything_has_a_name(visited: Watched) -> None:
    """In every state of the page: fields have labels, buttons texts, and there is one first heading."""
    page = visited.page
    visited.expected = ("401 (Unauthorized)",)
    faults = {}
    await add(page, "Buy milk")
    faults["the list"] = await page.evaluate(FAULTS)
    await act(page, "Buy milk", "Edit")
    faults["a task that is edited"] = await page.evaluate(FAULTS)
    await sign_out(page)
    await page.get_by_label("Email", exact=True).fill("nobody@example.com")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await button(page, "Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Invalid email or password")
    faults["a sign-in that failed"] = await page.evaluate(FAULTS)
    await button(page, "Create an account").click()
    faults["signing up"] = await page.evaluate(FAULTS)

    assert not any(faults.values()), faults


# Texts whose contrast is less than 4.5 (WCAG 2.2, 1.4.3).
FAINT = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => channels(colour).slice(0, 3).map((channel) => channel / 255)
    .map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4))
    .reduce((sum, channel, i) => sum + channel * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return channels(colour)[3] === 0 ? paper(element.parentElement) : colour;
  };
  const contrast = (element) => {
    const [dark, light] = [getComputedStyle(element).color, paper(element)].map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  return [...document.body.querySelectorAll("*")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .map((element) => [element.innerText, contrast(element)])
    .filter(([, contrast]) => contrast < 4.5);
}"""


PICTURES = {"web": (1280, 900), "web-phone": (390, 844)}


async def test_light_and_dark(visited: Watched, example: Example, pytestconfig: pytest.Config) -> None:
    """Every text can be read, on a wide page and on a phone. `--screenshots` takes the README's pictures anew."""
    page = visited.page
    lists = [await ask(page, example, "POST", "/lists", {"name": name}) for name in ("Work", "Family", "Books to read")]
    await create(page, example, *a_week(lists[0]["id"], lists[1]["id"]))
    await task(page, "Order the cake").click()
    await expect(toast(page)).to_contain_text("Completed")
    await button(toast(page), "Dismiss").click()
    await page.get_by_role("heading", name="Tasks").focus()

    papers, faint = {}, {}
    for picture, (width, height) in PICTURES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            if pytestconfig.getoption("screenshots"):
                await page.screenshot(path=PROJECT_ROOT / f"docs/{picture}-{scheme}.png")
            papers[scheme] = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            faint[picture, scheme] = await page.evaluate(FAINT)

    assert papers["light"] != papers["dark"]
    assert not any(faint.values()), faint
