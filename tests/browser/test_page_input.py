"""The example page with the keyboard alone, on a phone, and on a narrow one."""

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.example import Example
from tests.browser.tasks_page import (
    Visit,
    a_week,
    act,
    add,
    button,
    create,
    expect_tasks,
    new_task,
    row,
    saved,
    search,
    sign_up,
    task,
    toast,
)

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


async def test_with_the_keyboard_alone(page: Page) -> None:
    """Add two tasks, change one, do one, delete one, have it back; the focus is never lost."""
    press, write = page.keyboard.press, page.keyboard.type
    await page.reload()
    await expect(page.get_by_role("heading", name="Tasks")).to_be_focused()

    await press("n")
    await write("Buy milk")
    await press("Enter")
    await write("Call the bank")
    await press("Enter")
    await expect(task(page, "Call the bank")).to_be_enabled()
    await expect(new_task(page)).to_be_focused()
    await expect(new_task(page)).to_have_value("")
    await expect_tasks(page, No_date=["Call the bank", "Buy milk"])

    await press("Escape")
    await press("ArrowDown")
    await expect(task(page, "Call the bank")).to_be_focused()
    await press("ArrowDown")
    await expect(task(page, "Buy milk")).to_be_focused()
    await press("ArrowUp")
    await press("Enter")
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    await press("End")
    await write(" today")
    await press("Enter")
    await saved(page)
    await expect(task(page, "Call the bank today")).to_be_focused()
    await press("Tab")
    await expect(button(page, "Edit Call the bank today")).to_be_focused()
    for _ in ("Add a subtask", "Move up", "Move down", "Delete"):
        await press("Tab")
    await expect(button(page, "Delete Call the bank today")).to_be_focused()
    await press("Tab")
    await expect(task(page, "Buy milk")).to_be_focused()
    await press("Shift+Tab")
    await expect(task(page, "Call the bank today")).to_be_focused()

    await press("Space")
    await expect(task(page, "Buy milk")).to_be_focused()
    await expect(toast(page)).to_contain_text("Completed “Call the bank today”.")
    await press("Delete")
    await expect(new_task(page)).to_be_focused()
    await expect(toast(page)).to_contain_text("Deleted “Buy milk”.")
    await press("Escape")
    await press("Control+z")
    await expect(task(page, "Buy milk")).to_be_focused()

    await press("/")
    await expect(search(page)).to_be_focused()
    await write("n/")
    await expect(search(page)).to_have_value("n/")


async def test_a_long_press_shows_what_can_be_done(visit: Visit, example: Example) -> None:
    """On a phone, where nothing hovers; a tap on the title is an edit, and one beside it completes."""
    async with visit(**PHONE) as visited:
        page = visited.page
        await sign_up(page)
        await create(page, example, {"title": "Buy milk"})
        remove = button(page, "Delete Buy milk")
        assert (await remove.evaluate("(element) => element.parentElement.clientHeight")) <= 1

        box = await page.get_by_text("Buy milk").bounding_box()
        assert box is not None
        touch = await page.context.new_cdp_session(page)
        point = {"x": box["x"] + 5, "y": box["y"] + 5}
        await touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        await expect(row(page, "Buy milk")).to_have_class("line pressed")
        await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        await remove.tap()
        await expect(toast(page)).to_contain_text("Deleted “Buy milk”.")
        await button(page, "Undo").tap()

        await page.get_by_text("Buy milk", exact=True).tap()
        await expect(page.get_by_role("form", name="Edit Buy milk")).to_be_visible()
        await button(page, "Cancel").tap()
        await task(page, "Buy milk").tap()
        await expect(toast(page)).to_contain_text("Completed “Buy milk”.")


# Fields that are cut off, or lie upon each other.
MISPLACED = """() => {
  const boxes = [...document.querySelectorAll("form :is(input, select, textarea, button)")].map((element) =>
    [element.name || element.innerText, element.getBoundingClientRect()]);
  const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
  return [
    ...boxes.filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([name]) => name),
    ...boxes.flatMap(([name, box], n) => boxes.slice(n + 1).filter(([, other]) => !apart(box, other))
      .map(([other]) => `${name} on ${other}`)),
    ...(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : []),
  ];
}"""


async def resize(page: Page, width: int, height: int) -> None:
    """The lists are beside the tasks on a wide page alone."""
    await page.set_viewport_size({"width": width, "height": height})
    await expect(page.get_by_role("navigation", name="Lists")).to_have_count(1 if width > 900 else 0)


async def test_the_form_fits(page: Page) -> None:
    """No field of a new task or a change runs under another, nor out of the page, however narrow that is."""
    await add(page, "Buy milk")
    await page.get_by_text("Date, repetition, priority, tags").click()
    await act(page, "Buy milk", "Edit")

    for width in (320, 360, 390, 768, 1280):
        await resize(page, width, 700)
        assert await page.evaluate(MISPLACED) == [], width


ROWS_IN_VIEW = """() => [...document.querySelectorAll("main .line")]
  .filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"""


async def test_a_day_is_in_view(page: Page, example: Example) -> None:
    """Without scrolling, with all that a task may have: on a wide page, a phone, and a small phone."""
    await create(page, example, *a_week())

    for width, height, rows in ((1280, 900, 12), (390, 844, 7), (360, 740, 7)):
        await resize(page, width, height)
        assert await page.evaluate(ROWS_IN_VIEW) >= rows, width
