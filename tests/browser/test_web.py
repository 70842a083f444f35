"""The example page as people use it: in a real browser, with a real Better Auth, and the real API on another origin.

What is on the page is found by what a screen reader would say of it.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from backend.app.config import PROJECT_ROOT
from tests.browser.conftest import Watched, watched_page
from tests.browser.example import Example, running
from tests.browser.pages import empty_page
from tests.examples.conftest import web  # noqa: F401 - a fixture
from tests.support.postgres import Server
from tests.support.tokens import new_user

PASSWORD = "correct horse battery"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NOTHING_TO_DO = "Nothing to do. Add your first task."
UNREACHABLE = "The server cannot be reached. Check your connection and try again."

# Every state of the document, before it is painted, is in `seen`, from the first one on.
WATCH = """
window.seen = [];
new MutationObserver(() => seen.push(document.body?.innerHTML ?? "")).observe(document, {
  subtree: true, childList: true, characterData: true, attributes: true,
});
"""


@pytest.fixture(scope="session")
def example(
    browser: Browser,
    web: Path,  # noqa: F811 - the fixture
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Example]:
    with running(tmp_path_factory.mktemp("example"), web, server) as example:
        yield example


Visit = Callable[[], AbstractAsyncContextManager[Watched]]


@pytest.fixture
def visit(browser: Browser, example: Example) -> Visit:
    """Opens the page in a new browser profile."""

    @contextlib.asynccontextmanager
    async def visit() -> AsyncIterator[Watched]:
        async with watched_page(browser, example.page, example.api) as visited:
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


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def task(page: Page, title: str) -> Locator:
    """Its checkbox."""
    return page.get_by_role("checkbox", name=title, exact=True)


def new_task(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New task")


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search")


async def sign_up(page: Page, name: str = "Ada Lovelace") -> str:
    """Their e-mail address."""
    email = f"{new_user()}@example.com"
    await button(page, "Create an account").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Email", exact=True).fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    async with page.expect_response("**/tasks?*"):
        await button(page, "Create account").click()
    await expect(page.get_by_role("status")).to_have_text(NOTHING_TO_DO)
    return email


async def sign_in(page: Page, email: str) -> None:
    await page.get_by_label("Email", exact=True).fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await button(page, "Sign in").click()
    await expect(new_task(page)).to_be_visible()


async def sign_out(page: Page) -> None:
    await button(page, "Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def add(page: Page, *titles: str) -> None:
    """They are on the server when this is over."""
    for title in titles:
        await new_task(page).fill(title)
        await button(page, "Add").click()
        await expect(task(page, title)).to_be_enabled()


async def edit(page: Page, old: str, title: str, description: str = "") -> None:
    await button(page, f"Edit {old}").click()
    await page.get_by_role("textbox", name="Title").fill(title)
    await page.get_by_role("textbox", name="Description").fill(description)
    await button(page, "Save").click()


async def delete(page: Page, title: str) -> None:
    async with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await button(page, f"Delete {title}").click()


async def saved(page: Page) -> None:
    """No task that is shown waits for an answer."""
    await expect(page.get_by_role("listitem").and_(page.locator("[aria-busy=true]"))).to_have_count(0)


async def expect_list(page: Page, *tasks: str) -> None:
    """These tasks and no others, in this order; what is done begins with a tick."""
    items = [
        f'  - listitem:\n    - checkbox "{text.removeprefix("✓ ")}" [checked={str(text.startswith("✓ ")).lower()}]\n'
        for text in tasks
    ]
    await expect(page.get_by_role("main")).to_match_aria_snapshot(
        '- list "Tasks":\n  - /children: equal\n' + "".join(items)
    )


async def seen(page: Page) -> list[str]:
    return list(await page.evaluate("seen"))


async def test_a_persons_tasks_are_there_again(visited: Watched) -> None:
    """Sign up, add three, change one, do one, delete one, reload."""
    page = visited.page
    await add(page, "Buy milk", "Call the bank", "Water the plants")
    await expect_list(page, "Water the plants", "Call the bank", "Buy milk")

    await edit(page, "Buy milk", "Buy oat milk", "Two litres")
    await task(page, "Call the bank").check()
    await delete(page, "Water the plants")  # changes are sent one after the other, so this is the last
    await page.reload()

    await expect_list(page, "✓ Call the bank", "Buy oat milk")
    await expect(page.get_by_role("listitem").last).to_contain_text("Two litres")
    await expect(page.get_by_role("status")).to_have_text("1 of 2 done")
    assert await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


async def test_a_week_can_be_planned(visited: Watched) -> None:
    """Due date, priority and tags; found by a word and by a tag; deleted and had back; and still so after a reload."""
    page = visited.page
    await add(page, "Water the plants")
    await page.get_by_text("Due date, priority, tags").click()
    await new_task(page).fill("Send the report")
    await page.get_by_label("Due", exact=True).fill("2020-01-02")
    await page.get_by_label("Priority").select_option("High")
    await page.get_by_label("Tags").fill("Work, urgent, work")
    await button(page, "Add").click()
    row = page.get_by_role("listitem").first
    await expect(row).to_contain_text("Overdue: Jan 2, 2020")
    await expect(row).to_contain_text("High priority")
    await expect(row.get_by_role("button", name="Only tasks with the tag")).to_have_text(["Work", "urgent"])

    await search(page).fill("REPORT")
    await expect_list(page, "Send the report")
    await search(page).fill("nothing like it")
    await expect(page.get_by_role("status")).to_have_text("Nothing found.")
    await search(page).fill("")
    await expect_list(page, "Send the report", "Water the plants")
    await button(page, "Only tasks with the tag Work").click()
    await expect_list(page, "Send the report")
    await button(page, "All tags instead of Work").click()
    await expect_list(page, "Send the report", "Water the plants")

    await delete(page, "Send the report")
    await expect_list(page, "Water the plants")
    await button(page, "Undo").click()
    await expect_list(page, "Send the report", "Water the plants")
    await button(page, "Edit Water the plants").click()
    await page.get_by_role("listitem").get_by_label("Tags").fill("home")
    await button(page, "Save").click()
    await saved(page)
    await page.reload()

    await expect_list(page, "Send the report", "Water the plants")
    await expect(page.get_by_role("listitem").last).to_contain_text("home")
    await expect(page.get_by_role("listitem").first).to_contain_text("Overdue: Jan 2, 2020")


async def seconds_until_shown(page: Page, title: str) -> float:
    started = time.monotonic()
    await expect(task(page, title)).to_be_visible()
    return time.monotonic() - started


async def test_a_second_tab_shows_what_is_done_in_the_first(visit: Visit, example: Example) -> None:
    """Within two seconds: what is added, done and deleted; also after the API was stopped and started."""
    async with visit() as visited:
        first = visited.page
        visited.expected = ("net::ERR", "Failed to load resource")
        await sign_up(first)
        second = await first.context.new_page()
        await second.goto(example.page)
        await expect(new_task(second)).to_be_visible()

        await add(first, "Buy milk")
        assert await seconds_until_shown(second, "Buy milk") < 2
        await task(second, "Buy milk").check()
        await expect(task(first, "Buy milk")).to_be_checked(timeout=2000)
        with example.without_api():
            await asyncio.sleep(1)
        await add(first, "Call the bank")
        assert await seconds_until_shown(second, "Call the bank") < 2
        await delete(second, "Buy milk")
        await expect(task(first, "Buy milk")).to_have_count(0, timeout=2000)

        await expect_list(first, "Call the bank")
        await expect_list(second, "Call the bank")


async def test_two_people_never_see_each_others_tasks(visit: Visit) -> None:
    """Both at once, each in a browser of their own."""
    async with visit() as ada, visit() as grace:
        await asyncio.gather(sign_up(ada.page, "Ada Lovelace"), sign_up(grace.page, "Grace Hopper"))
        await asyncio.gather(add(ada.page, "Ada's letter", "Ada's engine"), add(grace.page, "Grace's compiler"))
        await expect_list(ada.page, "Ada's engine", "Ada's letter")
        await expect_list(grace.page, "Grace's compiler")
        before = await seen(ada.page), await seen(grace.page)
        await asyncio.gather(ada.page.reload(), grace.page.reload())

        await expect_list(ada.page, "Ada's engine", "Ada's letter")
        await expect_list(grace.page, "Grace's compiler")
        assert not any("Grace" in state for state in [*before[0], *await seen(ada.page)])
        assert not any("Ada" in state for state in [*before[1], *await seen(grace.page)])


async def test_the_next_person_sees_nothing_of_the_one_before(visit: Visit) -> None:
    """In the same tab, whoever signs in after whom: from the sign-out on, not for a moment."""
    async with visit() as elsewhere:
        graces = await sign_up(elsewhere.page, "Grace Hopper")
        await add(elsewhere.page, "Grace's compiler")
    async with visit() as visited:
        page = visited.page
        adas = await sign_up(page, "Ada Lovelace")
        await add(page, "Ada's letter")

        for email, listing, other in [(graces, "Grace's compiler", "Ada"), (adas, "Ada's letter", "Grace")]:
            await page.evaluate("seen.length = 0")
            await sign_out(page)
            await sign_in(page, email)
            await expect_list(page, listing)
            states = list(itertools.dropwhile(lambda state: "Sign out" in state, await seen(page)))
            assert any(listing in state for state in states)
            assert not any(other in state for state in states)


# In the page: Playwright's routes would answer the preflights instead of the API.
FIRST_TOKEN = """
const fetchReally = window.fetch;
let given = false;
window.fetch = (resource, options) => {
  if (given || !String(resource.url ?? resource).endsWith("/api/auth/token")) return fetchReally(resource, options);
  given = true;
  return Promise.resolve(Response.json({ token: "EXPIRED" }));
};
"""


async def test_an_expired_token_is_renewed_unnoticed(visited: Watched, example: Example) -> None:
    """The page is given one that expired an hour ago, as if it had been left open; the API refuses it, once."""
    page = visited.page
    await add(page, "Buy milk")
    session = await (await page.request.get(f"{example.page}/api/auth/get-session")).json()
    hour_ago = int(time.time()) - 3600
    expired = example.sign({"sub": session["user"]["id"], "iat": hour_ago - 900, "exp": hour_ago})
    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((answer.url.partition("?")[0], answer.status)))
    await page.add_init_script(FIRST_TOKEN.replace("EXPIRED", expired))
    visited.expected = ("401 (Unauthorized)",)

    await page.reload()
    await expect_list(page, "Buy milk")
    async with page.expect_response(lambda answer: answer.status == 201):  # told of later than shown, at times
        await add(page, "Buy bread")

    token, tasks = f"{example.page}/api/auth/token", f"{example.api}/api/{session['user']['id']}/tasks"
    asked = [answer for answer in answers if answer[0] in (token, tasks)]
    assert asked == [(tasks, 401), (token, 200), (tasks, 200), (tasks, 201)]
    await expect(page.get_by_role("alert")).to_be_empty()
    assert not any("Dismiss" in state for state in await seen(page))


async def test_the_api_goes_away_and_comes_back(visited: Watched, example: Example) -> None:
    """What was shown at once is taken back, the person is told in words, and can go on without a reload."""
    page = visited.page
    visited.expected = ("net::ERR_CONNECTION_REFUSED",)
    alert = page.get_by_role("alert")
    await add(page, "Buy milk", "Call the bank")
    with example.without_api():
        await page.evaluate("seen.length = 0")
        await task(page, "Buy milk").click()
        await expect(alert).to_contain_text(UNREACHABLE)
        await expect_list(page, "Call the bank", "Buy milk")
        assert any("1 of 2 done" in state for state in await seen(page))

        await button(alert, "Dismiss").click()
        await new_task(page).fill("Written while it was away")
        await button(page, "Add").click()
        await expect(alert).to_contain_text(UNREACHABLE)
        await expect_list(page, "Call the bank", "Buy milk")
        assert any("0 of 3 done" in state for state in await seen(page))

    await expect(new_task(page)).to_have_value("Written while it was away")
    await button(page, "Add").click()
    await expect(task(page, "Written while it was away")).to_be_enabled()
    await task(page, "Buy milk").check()
    await saved(page)
    await expect(alert).to_be_empty()
    await expect_list(page, "Written while it was away", "Call the bank", "✓ Buy milk")


async def test_what_another_tab_did_is_said_and_not_overwritten(visited: Watched, example: Example) -> None:
    """A change that lost is 412, and can be tried again; a task that is gone is 404, and goes, with the API's words."""
    page = visited.page
    visited.expected = ("412 (Precondition Failed)", "404 (Not Found)")
    alert = page.get_by_role("alert")
    # Nobody tells this tab of changes, else it may know of them before it acts.
    await page.route("**/events", lambda _: None)
    await page.reload()
    await add(page, "Call the bank")
    other = await page.context.new_page()
    await other.goto(example.page)
    await edit(other, "Call the bank", "Call the bank today")
    await saved(other)

    await page.bring_to_front()
    await edit(page, "Call the bank", "Call the bank on Monday")
    await expect(alert).to_contain_text("This task was changed elsewhere in the meantime.")
    await expect(page.get_by_role("listitem")).to_contain_text("It is now: “Call the bank today”")
    await expect(page.get_by_role("textbox", name="Title")).to_have_value("Call the bank on Monday")
    await button(page, "Save").click()
    await saved(page)
    await expect(alert).to_be_empty()
    await other.bring_to_front()
    await other.reload()
    await expect_list(other, "Call the bank on Monday")

    await delete(other, "Call the bank on Monday")
    await page.bring_to_front()
    async with page.expect_response(lambda answer: answer.status == 404) as answered:
        await task(page, "Call the bank on Monday").click()
    await expect(alert).to_contain_text((await (await answered.value).json())["detail"])
    await expect_list(page)


# As the page writes, but it is not the page: the answer's status, or what the browser says instead.
WRITE = """async ([url, token]) => {
  const headers = { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" };
  try {
    return (await fetch(url, { method: "POST", headers, body: '{"title": "by a page"}' })).status;
  } catch (error) {
    return String(error);
  }
}"""


async def test_a_foreign_pages_preflight_is_refused(visited: Watched, browser: Browser, example: Example) -> None:
    """Whose token is good, for what a page of ours may do: it is a page's origin that decides."""
    session = await (await visited.page.request.get(f"{example.page}/api/auth/get-session")).json()
    token = (await (await visited.page.request.get(f"{example.page}/api/auth/token")).json())["token"]
    write = [f"{example.api}/api/{session['user']['id']}/tasks", token]

    async with await asyncio.start_server(empty_page, "127.0.0.1") as foreign:
        origin = f"http://127.0.0.1:{foreign.sockets[0].getsockname()[1]}"
        async with watched_page(browser, origin, example.api) as elsewhere:
            elsewhere.expected = ("blocked by CORS policy", "net::ERR_FAILED")
            await elsewhere.page.goto(origin)
            async with elsewhere.page.expect_console_message(lambda said: "CORS" in said.text) as said:
                answer = await elsewhere.page.evaluate(WRITE, write)

    assert answer == "TypeError: Failed to fetch"
    assert "Response to preflight request doesn't pass access control check" in (await said.value).text
    await visited.page.reload()
    await expect_list(visited.page)
    assert await visited.page.evaluate(WRITE, write) == 201


async def test_with_the_keyboard_alone(page: Page) -> None:
    """Add two tasks, do one, change one, delete one; the focus is never lost."""
    press, write = page.keyboard.press, page.keyboard.type
    await page.reload()
    await expect(page.get_by_role("heading", name="Tasks")).to_be_focused()

    await press("Tab")
    await write("Buy milk")
    await press("Enter")
    await write("Call the bank")
    await press("Enter")
    await expect(task(page, "Call the bank")).to_be_enabled()
    await expect(new_task(page)).to_be_focused()
    await expect_list(page, "Call the bank", "Buy milk")

    await press("Tab")
    await expect(button(page, "Add")).to_be_focused()
    await press("Tab")
    await expect(page.get_by_text("Due date, priority, tags")).to_be_focused()
    await press("Tab")
    await expect(search(page)).to_be_focused()
    await press("Tab")
    await press("Space")
    await saved(page)
    await expect(task(page, "Call the bank")).to_be_focused()
    await expect_list(page, "✓ Call the bank", "Buy milk")

    await press("Tab")
    await press("Enter")
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    await press("End")
    await write(" today")
    await press("Enter")
    await saved(page)
    await expect(button(page, "Edit Call the bank today")).to_be_focused()

    await press("Tab")
    await press("Enter")
    await saved(page)
    await expect(button(page, "Delete Buy milk")).to_be_focused()
    await expect_list(page, "Buy milk")


FAULTS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ids = all("[id]").map(({ id }) => id);
  return [
    document.documentElement.lang === "en" ? [] : "no language",
    document.title ? [] : "no title",
    all("h1").length === 1 ? [] : `${all("h1").length} first headings`,
    all("main").length === 1 ? [] : `${all("main").length} main parts`,
    all("input, textarea, select").filter(({ labels }) => !labels[0]?.textContent.trim())
      .map((field) => field.outerHTML),
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
    await button(page, "Edit Buy milk").click()
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


async def test_light_and_dark(page: Page, pytestconfig: pytest.Config) -> None:
    """Every text can be read in both. With `--screenshots` the README's pictures are taken anew."""
    await page.set_viewport_size({"width": 1280, "height": 800})
    await add(
        page, "Plan the spring offsite", "Buy oat milk and coffee", "Book the dentist", "Send the report", "Pay rent"
    )
    await edit(page, "Plan the spring offsite", "Plan the spring offsite", "Somewhere by a lake. Ask who eats what.")
    await button(page, "Edit Send the report").click()
    await page.get_by_role("textbox", name="Title").fill("Send the quarterly report")
    await page.get_by_role("textbox", name="Description").fill("To Grace, before the meeting on Friday.")
    await page.get_by_role("listitem").get_by_label("Due").fill("2030-05-17")
    await page.get_by_role("listitem").get_by_label("Priority").select_option("High")
    await page.get_by_role("listitem").get_by_label("Tags").fill("work, Grace")
    await button(page, "Save").click()
    await task(page, "Pay rent").check()
    await task(page, "Buy oat milk and coffee").check()
    await saved(page)
    await page.reload()
    await expect(page.get_by_role("listitem")).to_have_count(5)

    papers, faint = {}, {}
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        if pytestconfig.getoption("screenshots"):
            await page.screenshot(path=PROJECT_ROOT / f"docs/web-{scheme}.png")
        papers[scheme] = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        faint[scheme] = await page.evaluate(FAINT)

    assert papers["light"] != papers["dark"]
    assert faint == {"light": [], "dark": []}
