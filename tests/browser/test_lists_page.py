"""The lists of the example page: beside the tasks on a wide page, in a sheet on a phone; and the order in them."""

from playwright.async_api import Locator, Page, expect

from tests.browser.example import Example
from tests.browser.tasks_page import (
    act,
    add,
    ask,
    button,
    create,
    day,
    expect_tasks,
    new_task,
    row,
    saved,
    task,
    toast,
)


def lists(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Lists")


def link(page: Page, name: str) -> Locator:
    """Its text has the number of open tasks behind the name."""
    return lists(page).get_by_role("link", name=name)


async def add_list(page: Page, name: str) -> None:
    await page.get_by_role("textbox", name="New list").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()


async def test_a_task_stays_in_a_list_that_is_archived(page: Page, example: Example) -> None:
    """The form offers no such list, and does not take the task out of it."""
    made = await ask(page, example, "POST", "/lists", {"name": "Last year"})
    await create(page, example, {"title": "Look at the photos", "list_id": made["id"]})
    await ask(page, example, "PATCH", f"/lists/{made['id']}", {"archived": True})
    await page.reload()

    await act(page, "Look at the photos", "Edit")
    await page.get_by_role("textbox", name="Title").fill("Sort the photos")
    await button(page, "Save").click()
    await saved(page)

    [kept] = await ask(page, example, "GET", "/tasks")
    assert (kept["title"], kept["list_id"]) == ("Sort the photos", made["id"])


async def test_tasks_are_kept_in_lists(page: Page) -> None:
    """A new task goes to the list that is open; the inbox has the others; an edit takes a task elsewhere."""
    await add(page, "Call the bank")
    await add_list(page, "Work")
    await expect(page.get_by_role("heading", name="Nothing to do")).to_be_visible()
    await add(page, "Send the report", "Book a room")
    await expect_tasks(page, No_date=["Book a room", "Send the report"])
    await expect(link(page, "Work")).to_have_text("Work 2")

    await link(page, "Inbox").click()
    await expect_tasks(page, No_date=["Call the bank"])
    await link(page, "All tasks").click()
    await expect_tasks(page, No_date=["Book a room", "Send the report", "Call the bank"])
    await expect(row(page, "Book a room")).to_contain_text("In the list Work")

    await act(page, "Call the bank", "Edit")
    await page.get_by_role("combobox", name="List").select_option("Work")
    await button(page, "Save").click()
    await saved(page)
    await expect(link(page, "Work")).to_have_text("Work 3")
    await page.go_back()
    await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    await page.go_back()
    await page.reload()
    await expect(page.get_by_role("heading", name="Work")).to_be_visible()
    await expect_tasks(page, No_date=["Book a room", "Send the report", "Call the bank"])


async def test_a_list_is_renamed_and_deleted(page: Page, example: Example) -> None:
    """With its tasks; Undo brings back both. Another tab shows it, too."""
    await add_list(page, "Wrok")
    await add(page, "Send the report")
    other = await page.context.new_page()
    await other.goto(example.page)
    await expect(link(other, "Wrok")).to_have_text("Wrok 1")

    await button(page, "Rename").click()
    await page.get_by_role("textbox", name="Name of the list").fill("Work")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Work")).to_be_visible()
    await expect(link(other, "Work")).to_have_text("Work 1")
    await button(page, "Delete list").click()
    await expect(toast(page)).to_contain_text("Deleted the list “Work” with its tasks.")
    await expect(page.get_by_role("heading", name="Nothing to do")).to_be_visible()
    await expect(link(other, "Work")).to_have_count(0)

    await button(page, "Undo").click()
    await expect(page.get_by_role("heading", name="Work")).to_be_visible()
    await expect_tasks(page, No_date=["Send the report"])
    await expect(link(other, "Work")).to_have_text("Work 1")


async def test_lists_are_in_a_sheet_on_a_phone(page: Page) -> None:
    """It takes the focus, and goes with Escape or when a list is chosen."""
    await page.set_viewport_size({"width": 390, "height": 844})
    sheet = page.get_by_role("dialog", name="Lists")
    await expect(sheet).to_have_count(0)

    await button(page, "Lists").click()
    await expect(button(sheet, "Close")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(sheet).to_have_count(0)
    await expect(button(page, "Lists")).to_be_focused()
    await button(page, "Lists").click()
    await add_list(page, "Work")
    await expect(sheet).to_have_count(0)
    await add(page, "Send the report")
    await button(page, "Lists").click()
    await link(page, "Inbox").click()
    await expect(sheet).to_have_count(0)
    await expect(page.get_by_role("heading", name="Nothing to do")).to_be_visible()
    await expect(new_task(page)).to_be_visible()


async def order(page: Page, example: Example) -> list[str]:
    """Of the tasks that have no parent, as the API has it."""
    tasks = await ask(page, example, "GET", "/tasks?sort=position&parent_id=none")
    return [task["title"] for task in tasks]


async def test_the_keyboard_puts_tasks_in_order(page: Page, example: Example) -> None:
    """Alt and an arrow move a task among those that are due at the same time; Undo moves it back."""
    await add(page, "Third", "Second", "First")
    await task(page, "First").focus()
    for expected in (["Second", "First", "Third"], ["Second", "Third", "First"], ["Second", "Third", "First"]):
        await page.keyboard.press("Alt+ArrowDown")
        await expect_tasks(page, No_date=expected)
        await expect(task(page, "First")).to_be_focused()
    await saved(page)
    await expect(toast(page)).to_contain_text("Moved “First” to 3 of 3.")
    await page.reload()
    await expect_tasks(page, No_date=["Second", "Third", "First"])

    await act(page, "Third", "Move", "up")
    await expect_tasks(page, No_date=["Third", "Second", "First"])
    await button(toast(page), "Undo").click()
    await expect_tasks(page, No_date=["Second", "Third", "First"])
    await saved(page)
    assert await order(page, example) == ["Second", "Third", "First"]


async def drag(page: Page, title: str, onto: Locator, part: float) -> None:
    """By the grip of the task, onto this part of the height of something else."""
    await row(page, title).hover()
    await row(page, title).locator(".grip").hover()
    await page.mouse.down()
    box = await onto.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 60, box["y"] + box["height"] * part, steps=5)
    await page.mouse.up()


async def test_a_task_is_dragged_to_its_place(page: Page, example: Example) -> None:
    """Among those that are due at the same time; subtasks among themselves; Escape leaves it where it was."""
    party = {"ref": "p", "title": "Party", "due_date": day(0)}
    await create(page, example, party, {"parent_ref": "p", "title": "Cake"}, {"parent_ref": "p", "title": "Guests"})
    await add(page, "Third", "Second", "First")

    await drag(page, "First", row(page, "Third"), 0.2)
    await expect_tasks(page, Today=["Party", "- Guests", "- Cake"], No_date=["Second", "First", "Third"])
    await drag(page, "Third", row(page, "Second"), 0.2)
    await expect_tasks(page, Today=["Party", "- Guests", "- Cake"], No_date=["Third", "Second", "First"])
    await drag(page, "Guests", row(page, "Cake"), 0.8)
    await expect_tasks(page, Today=["Party", "- Cake", "- Guests"], No_date=["Third", "Second", "First"])
    await drag(page, "Second", row(page, "Party"), 0.2)  # which is due today
    await expect_tasks(page, Today=["Party", "- Cake", "- Guests"], No_date=["Third", "Second", "First"])
    await saved(page)
    assert await order(page, example) == ["Third", "Second", "First", "Party"]


async def test_a_task_is_dragged_onto_a_list(page: Page) -> None:
    """It goes there with its subtasks, and Undo brings it back."""
    await add_list(page, "Work")
    await link(page, "Inbox").click()
    await add(page, "Send the report")
    await act(page, "Send the report", "Add a subtask to")
    await page.get_by_role("textbox", name="New subtask").fill("Print it")
    await page.keyboard.press("Enter")
    await expect(task(page, "Print it")).to_be_enabled()

    await drag(page, "Send the report", link(page, "Work"), 0.5)
    await expect(toast(page)).to_contain_text("Moved “Send the report” to Work.")
    await expect_tasks(page)
    await link(page, "Work").click()
    await expect_tasks(page, No_date=["Send the report", "- Print it"])
    await button(page, "Undo").click()
    await expect_tasks(page)
    await expect(link(page, "Inbox")).to_have_text("Inbox 1")
