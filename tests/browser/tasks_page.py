"""What a person does on the example page, and what they see there; found by what a screen reader would say of it."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.browser.example import Example
from tests.browser.watched import Watched
from tests.support.tokens import new_user

PASSWORD = "correct horse battery"
UNREACHABLE = "The server cannot be reached. Check your connection and try again."
GROUPS = ("Overdue", "Today", "Next", "No date", "Done")

Visit = Callable[..., AbstractAsyncContextManager[Watched]]


def now() -> datetime:
    return datetime.now().astimezone()


def day(days: int) -> str:
    """So many days from today."""
    return (now() + timedelta(days)).date().isoformat()


def a_week(work: int | None = None, family: int | None = None) -> list[dict[str, Any]]:
    """What somebody has to do: of every group, with all that a task may have, perhaps in these lists."""
    in_work, in_family = {"list_id": work}, {"list_id": family}
    return [
        {"title": "Tidy the workshop", "tags": ["home"], **in_family},
        {"title": "Read the paper on fractional indexing", "priority": "low", **in_work},
        {"title": "Find a present for Alan", "description": "Something that he can take apart."},
        {"title": "Book the dentist", "due_date": day(5), "tags": ["health"]},
        {"title": "Plan the spring offsite", "due_date": day(40), "description": "Somewhere by a lake.", **in_work},
        {"title": "Pay the rent", "due_date": day(9), "recurrence": "FREQ=MONTHLY", "priority": "medium"},
        {"ref": "party", "title": "Prepare the party", "due_date": day(2), "priority": "high", **in_family},
        {"parent_ref": "party", "title": "Order the cake"},
        {"parent_ref": "party", "title": "Invite everybody"},
        {"title": "Water the plants", "due_date": day(0), "recurrence": "FREQ=WEEKLY", "tags": ["home"]},
        {"title": "Call the bank", "due_date": now().replace(hour=23, minute=59).isoformat(timespec="seconds")},
        {"title": "Send the report to Grace", "due_date": day(-1), "priority": "high", "tags": ["numbers"], **in_work},
        {"title": "Return the library books", "due_date": day(-4)},
    ]


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def task(page: Page, title: str) -> Locator:
    """Its checkbox."""
    return page.get_by_role("checkbox", name=title, exact=True)


def row(page: Page, title: str) -> Locator:
    """The task with what is known of it, and what can be done with it; without its subtasks."""
    return page.locator(".line", has=task(page, title))


def new_task(page: Page) -> Locator:
    return page.get_by_role("textbox", name="New task")


def search(page: Page) -> Locator:
    return page.get_by_role("searchbox", name="Search")


def toast(page: Page) -> Locator:
    return page.get_by_role("status", name="Last change")


async def sign_up(page: Page, name: str = "Ada Lovelace") -> str:
    """Their e-mail address."""
    email = f"{new_user()}@example.com"
    await button(page, "Create an account").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Email", exact=True).fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await button(page, "Create account").click()
    await expect(page.get_by_role("heading", name="Nothing to do")).to_be_visible()
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


async def act(page: Page, title: str, action: str, direction: str = "") -> None:
    """Point at the task, then at one of its actions."""
    await row(page, title).hover()
    await button(row(page, title), f"{action} {title} {direction}".strip()).click()


async def edit(page: Page, old: str, title: str, description: str = "") -> None:
    await act(page, old, "Edit")
    await page.get_by_role("textbox", name="Title").fill(title)
    await page.get_by_role("textbox", name="Description").fill(description)
    await button(page, "Save").click()


async def complete(page: Page, title: str) -> None:
    """What is done is folded away, so its checkbox goes; else this is undone."""
    async with page.expect_response("**/complete"):
        await task(page, title).click()


async def delete(page: Page, title: str) -> None:
    async with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await act(page, title, "Delete")


async def saved(page: Page) -> None:
    """No task that is shown waits for an answer."""
    await expect(page.get_by_role("listitem").and_(page.locator("[aria-busy=true]"))).to_have_count(0)


async def expect_tasks(page: Page, **groups: Sequence[str]) -> None:
    """These groups (`No_date`) with these tasks, in this order, and no others; a subtask begins with `- `."""
    for name in GROUPS:
        shown = page.get_by_role("main").get_by_role("list", name=name, exact=True)
        if titles := groups.get(name.replace(" ", "_")):
            await expect(shown).to_match_aria_snapshot(_snapshot(name, titles))
        else:
            await expect(shown).to_have_count(0)


def _snapshot(group: str, titles: Sequence[str]) -> str:
    lines = [f"- list {json.dumps(group)}:", "  - /children: equal"]
    for above, title in zip(["", *titles], titles, strict=False):
        if not title.startswith("- "):
            lines += ["  - listitem:", f"    - checkbox {json.dumps(title)}"]
            continue
        if not above.startswith("- "):
            lines += [f"    - list {json.dumps(f'Subtasks of {above}')}:", "      - /children: equal"]
        lines += ["      - listitem:", f"        - checkbox {json.dumps(title.removeprefix('- '))}"]
    return "\n".join(lines)


async def seen(page: Page) -> list[str]:
    """Every state of the document, before it was painted."""
    return list(await page.evaluate("seen"))


async def ask(page: Page, example: Example, method: str, path: str, body: object = None) -> Any:
    """The API's answer to another client of the same user."""
    session = await (await page.request.get(f"{example.page}/api/auth/get-session")).json()
    token = (await (await page.request.get(f"{example.page}/api/auth/token")).json())["token"]
    answer = await page.request.fetch(
        f"{example.api}/api/{session['user']['id']}{path}",
        method=method,
        headers={"Authorization": f"Bearer {token}"},
        data=body,
    )
    assert answer.ok, await answer.text()
    return await answer.json()


async def create(page: Page, example: Example, *tasks: dict[str, Any]) -> None:
    """Tasks as another client makes them; the page hears of them. A `ref` is for a `parent_ref`, as in a batch."""
    operations = [
        {"op": "create", "task": {name: value for name, value in task.items() if name not in ("ref", "parent_ref")}}
        | {name: task[name] for name in ("ref", "parent_ref") if name in task}
        for task in tasks
    ]
    await ask(page, example, "POST", "/batch", {"operations": operations})
    await expect(task(page, tasks[-1]["title"])).to_have_count(1)
