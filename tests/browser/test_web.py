"""The example page as people use it: in a real browser, with a real Better Auth, and the real API on another origin."""

import asyncio
import itertools
import time

from playwright.async_api import Browser, expect

from tests.browser.example import Example
from tests.browser.pages import empty_page
from tests.browser.tasks_page import (
    UNREACHABLE,
    Visit,
    add,
    button,
    delete,
    edit,
    expect_tasks,
    new_task,
    row,
    saved,
    seen,
    sign_in,
    sign_out,
    sign_up,
    task,
    toast,
)
from tests.browser.watched import Watched, watched_page


async def test_a_persons_tasks_are_there_again(visited: Watched) -> None:
    """Sign up, add three, change one, do one, delete one, reload."""
    page = visited.page
    await add(page, "Buy milk", "Call the bank", "Water the plants")
    await expect_tasks(page, No_date=["Water the plants", "Call the bank", "Buy milk"])

    await edit(page, "Buy milk", "Buy oat milk", "Two litres")
    await task(page, "Call the bank").click()
    await delete(page, "Water the plants")  # changes are sent one after the other, so this is the last
    await page.reload()

    await expect_tasks(page, No_date=["Buy oat milk"], Done=[])
    await expect(row(page, "Buy oat milk")).to_contain_text("Two litres")
    await expect(page.get_by_role("status").first).to_have_text("1 to do, 1 done")
    await button(page, "Done 1").click()
    await expect_tasks(page, No_date=["Buy oat milk"], Done=["Call the bank"])
    await expect(task(page, "Call the bank")).to_be_checked()
    assert await page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


async def test_a_second_tab_shows_what_is_done_in_the_first(visit: Visit, example: Example) -> None:
    """Unasked: what is added, done and deleted; also after the API was stopped and started."""
    async with visit() as visited:
        first = visited.page
        visited.expected = ("net::ERR", "Failed to load resource")
        await sign_up(first)
        second = await first.context.new_page()
        await second.goto(example.page)
        await expect(new_task(second)).to_be_visible()

        await add(first, "Buy milk")
        await expect(task(second, "Buy milk")).to_be_visible()
        await task(second, "Buy milk").click()
        await expect(task(first, "Buy milk")).to_have_count(0)
        await button(first, "Done 1").click()
        with example.without_api():
            await asyncio.sleep(1)
        await add(first, "Call the bank")
        await expect(task(second, "Call the bank")).to_be_visible()
        await button(second, "Done 1").click()
        await delete(second, "Buy milk")
        await expect(task(first, "Buy milk")).to_have_count(0)

        await expect_tasks(first, No_date=["Call the bank"])
        await expect_tasks(second, No_date=["Call the bank"])


async def test_two_people_never_see_each_others_tasks(visit: Visit) -> None:
    """Both at once, each in a browser of their own."""
    async with visit() as ada, visit() as grace:
        await asyncio.gather(sign_up(ada.page, "Ada Lovelace"), sign_up(grace.page, "Grace Hopper"))
        await asyncio.gather(add(ada.page, "Ada's letter", "Ada's engine"), add(grace.page, "Grace's compiler"))
        await expect_tasks(ada.page, No_date=["Ada's engine", "Ada's letter"])
        await expect_tasks(grace.page, No_date=["Grace's compiler"])
        before = await seen(ada.page), await seen(grace.page)
        await asyncio.gather(ada.page.reload(), grace.page.reload())

        await expect_tasks(ada.page, No_date=["Ada's engine", "Ada's letter"])
        await expect_tasks(grace.page, No_date=["Grace's compiler"])
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
            await expect_tasks(page, No_date=[listing])
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
    await expect_tasks(page, No_date=["Buy milk"])
    async with page.expect_response(lambda answer: answer.status == 201):  # told of later than shown, at times
        await add(page, "Buy bread")

    token, user = f"{example.page}/api/auth/token", f"{example.api}/api/{session['user']['id']}"
    asked = [answer for answer in answers if answer[0] in (token, f"{user}/changes", f"{user}/tasks")]
    assert asked[:4] == [(f"{user}/changes", 401), (token, 200), (f"{user}/changes", 200), (f"{user}/tasks", 201)]
    await expect(page.get_by_role("alert")).to_be_empty()
    assert not any("Dismiss" in state for state in await seen(page))


async def test_the_api_goes_away_and_comes_back(visited: Watched, example: Example) -> None:
    """What was shown at once is taken back, the person is told in words, and can go on without a reload."""
    page = visited.page
    visited.expected = ("net::ERR_CONNECTION_REFUSED", "503 (Service Unavailable)")  # it starts before its database
    alert = page.get_by_role("alert")
    await add(page, "Buy milk", "Call the bank")
    with example.without_api():
        await page.evaluate("seen.length = 0")
        await task(page, "Buy milk").click()
        await expect(alert).to_contain_text(UNREACHABLE)
        await expect_tasks(page, No_date=["Call the bank", "Buy milk"])
        assert any("1 to do, 1 done" in state for state in await seen(page))

        await button(alert, "Dismiss").click()
        await new_task(page).fill("Written while it was away")
        await button(page, "Add").click()
        await expect(alert).to_contain_text(UNREACHABLE)
        await expect_tasks(page, No_date=["Call the bank", "Buy milk"])
        assert any("3 to do" in state for state in await seen(page))

    await expect(new_task(page)).to_have_value("Written while it was away")
    await button(page, "Add").click()
    await expect(task(page, "Written while it was away")).to_be_enabled()
    await task(page, "Buy milk").click()
    await expect(toast(page)).to_contain_text("Completed “Buy milk”.")
    await expect(alert).to_be_empty()
    await expect_tasks(page, No_date=["Written while it was away", "Call the bank"])


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
    await expect(page.get_by_role("form", name="Edit")).to_contain_text("It is now: “Call the bank today”")
    await expect(page.get_by_role("textbox", name="Title")).to_have_value("Call the bank on Monday")
    await button(page, "Save").click()
    await saved(page)
    await expect(alert).to_be_empty()
    await other.bring_to_front()
    await other.reload()
    await expect_tasks(other, No_date=["Call the bank on Monday"])

    await delete(other, "Call the bank on Monday")
    await page.bring_to_front()
    async with page.expect_response(lambda answer: answer.status == 404) as answered:
        await task(page, "Call the bank on Monday").click()
    await expect(alert).to_contain_text((await (await answered.value).json())["detail"])
    await expect_tasks(page)


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
    await expect_tasks(visited.page)
    assert await visited.page.evaluate(WRITE, write) == 201
