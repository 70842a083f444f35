"""What the example page shows of tasks, and what people do with them."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.example import Example
from tests.browser.tasks_page import (
    Visit,
    a_week,
    act,
    add,
    ask,
    button,
    complete,
    create,
    day,
    delete,
    expect_tasks,
    new_task,
    now,
    row,
    saved,
    search,
    sign_up,
    task,
    toast,
)
from tests.browser.watched import Watched


@pytest.fixture
async def week(page: Page, example: Example) -> Page:
    """The page of somebody with a lot to do."""
    await create(page, example, *a_week())
    return page


async def colour(page: Page, title: str, text: str) -> str:
    return str(await row(page, title).get_by_text(text).evaluate("(element) => getComputedStyle(element).color"))


async def test_what_to_do_now_comes_first(week: Page) -> None:
    """Groups by the due date, and in a group the soonest first; subtasks are below their task, in their order."""
    await expect_tasks(
        week,
        Overdue=["Return the library books", "Send the report to Grace"],
        Today=["Call the bank", "Water the plants"],
        Next=[
            *("Prepare the party", "- Invite everybody", "- Order the cake"),
            *("Book the dentist", "Pay the rent", "Plan the spring offsite"),
        ],
        No_date=["Find a present for Alan", "Read the paper on fractional indexing", "Tidy the workshop"],
    )
    await expect(week.get_by_role("status").first).to_have_text("11 to do")
    above, below = [await task(week, title).bounding_box() for title in ("Prepare the party", "Order the cake")]
    assert above is not None
    assert below is not None
    assert above["x"] + 20 < below["x"]


async def test_dates_are_said_as_people_say_them(week: Page) -> None:
    """Relative to today, with how a task repeats; what is overdue looks different from what matters much."""
    await expect(row(week, "Return the library books")).to_contain_text("4 days ago")
    await expect(row(week, "Send the report to Grace")).to_contain_text("Overdue: yesterday")
    await expect(row(week, "Call the bank")).to_contain_text("today, 11:59 PM")
    await expect(row(week, "Water the plants")).to_contain_text("every week")
    await expect(row(week, "Book the dentist")).to_contain_text(f"{now() + timedelta(5):%A}")
    await expect(row(week, "Pay the rent")).to_contain_text("Medium priority")

    plain = await colour(week, "Book the dentist", f"{now() + timedelta(5):%A}")
    overdue = await colour(week, "Return the library books", "4 days ago")
    high = await colour(week, "Prepare the party", "High")
    assert len({plain, overdue, high}) == 3


async def test_everything_can_be_entered(visit: Visit) -> None:
    """Date, time, reminder, repetition, priority and tags of a new task, in the person's time zone; then changed."""
    async with visit(timezone_id="Europe/Berlin") as visited:
        page = visited.page
        await sign_up(page)
        await page.get_by_text("Date, repetition, priority, tags").click()
        await new_task(page).fill("Send the report")
        await page.get_by_label("Due", exact=True).fill("2030-07-05")
        await page.get_by_label("Time", exact=True).fill("18:30")
        await page.get_by_label("Reminder").select_option("10 minutes before")
        await page.get_by_label("Not before").fill("2030-07-01")
        await expect(page.get_by_label("Counts from")).not_to_be_visible()
        await page.get_by_label("Repeats").select_option("Every 2 weeks")
        await page.get_by_label("Counts from").select_option("Completion")
        await page.get_by_label("Priority").select_option("High")
        await page.get_by_label("Tags").fill("Work, urgent, work")
        async with page.expect_response(lambda answer: answer.status == 201) as created:
            await button(page, "Add").click()
        sent = await (await created.value).json()
        assert (sent["recurrence_from"], sent["start_date"]) == ("completion", "2030-07-01")
        assert sent["reminders"] == ["-PT10M"]
        assert {name: sent[name] for name in ("due_date", "time_zone", "recurrence", "priority", "tags")} == {
            "due_date": "2030-07-05T18:30:00+02:00",
            "time_zone": "Europe/Berlin",
            "recurrence": "FREQ=WEEKLY;INTERVAL=2",
            "priority": "high",
            "tags": ["Work", "urgent"],
        }
        await expect(row(page, "Send the report")).to_contain_text("from Jul 1, 2030Due Jul 5, 2030, 6:30 PM")
        await expect(row(page, "Send the report")).to_contain_text("reminds Jul 5, 2030, 6:20 PM")

        await act(page, "Send the report", "Edit")
        form = page.get_by_role("form", name="Edit Send the report")
        await expect(form.get_by_label("Time", exact=True)).to_have_value("18:30")
        await form.get_by_label("Due", exact=True).fill("2030-12-06")
        await form.get_by_label("Repeats").select_option("Every month")
        await button(form, "Save").click()
        await saved(page)
        await page.reload()
        await expect(row(page, "Send the report")).to_contain_text("Dec 6, 2030, 6:30 PM")
        await expect(row(page, "Send the report")).to_contain_text("every month")


async def test_subtasks_are_entered_one_after_the_other(page: Page) -> None:
    """Below their task, until Escape; then the focus is on the task."""
    await add(page, "Prepare the party")
    await act(page, "Prepare the party", "Add a subtask to")
    for title in ("Invite everybody", "Order the cake"):
        await page.get_by_role("textbox", name="New subtask").fill(title)
        await page.keyboard.press("Enter")
        await expect(task(page, title)).to_be_enabled()

    await expect_tasks(page, No_date=["Prepare the party", "- Invite everybody", "- Order the cake"])
    await page.keyboard.press("Escape")
    await expect(task(page, "Prepare the party")).to_be_focused()
    await task(page, "Order the cake").click()
    await expect(row(page, "Prepare the party")).to_contain_text("1 of 2")


async def test_a_repeating_task_says_when_it_comes_again(page: Page, example: Example) -> None:
    """It moves on; Undo makes it what it was, with its dates, reminders and subtasks, and removes the completion."""
    due = now() + timedelta(2)
    plan = {"due_date": day(-5), "start_date": day(-6), "recurrence": "FREQ=WEEKLY;COUNT=3"}
    swim = {"ref": "swim", "title": "Swim", **plan, "reminders": ["-P1D", f"{day(1)}T09:00:00Z"]}
    await create(page, example, swim, {"parent_ref": "swim", "title": "Pack the towel"})
    await complete(page, "Pack the towel")
    before = await ask(page, example, "GET", "/tasks/1")

    await complete(page, "Swim")
    await expect(toast(page)).to_contain_text(f"Completed “Swim”. Next on {due:%A}.")
    await expect_tasks(page, Next=["Swim", "- Pack the towel"])
    await expect(task(page, "Pack the towel")).not_to_be_checked()
    await button(page, "Undo").click()
    await expect_tasks(page, Overdue=["Swim", "- Pack the towel"])
    await saved(page)
    await expect(task(page, "Pack the towel")).to_be_checked()
    await expect(row(page, "Swim")).to_contain_text("every week, 3 more times")
    again = {name: before[name] for name in ("revision", "updated_at")}
    assert {**await ask(page, example, "GET", "/tasks/1"), **again} == before
    assert await ask(page, example, "GET", "/completions?task_id=1") == []


async def test_what_has_changed_since_is_not_undone(visited: Watched, example: Example) -> None:
    """The person is told so and sees what it is now, whether it repeats or not."""
    page = visited.page
    visited.expected = ("412 (Precondition Failed)",)
    swim = {"title": "Swim", "due_date": day(2), "recurrence": "FREQ=WEEKLY"}
    await create(page, example, swim, {"title": "Buy milk"})

    for number, title in ((1, "Swim"), (2, "Buy milk")):
        await complete(page, title)
        await ask(page, example, "PATCH", f"/tasks/{number}", {"description": "Changed"})
        await button(toast(page), "Undo").click()
        await expect(page.get_by_role("alert")).to_contain_text("has changed since it was completed")
        assert (await ask(page, example, "GET", f"/tasks/{number}"))["description"] == "Changed"
    await expect_tasks(page, Next=["Swim"])
    await expect(button(page, "Done 1")).to_be_visible()


async def test_a_reminder_is_chosen_and_others_are_kept(page: Page, example: Example) -> None:
    """A choice of durations before the due date; what the form does not offer stays until something else is chosen."""
    other = ["-PT30M", f"{day(1)}T09:00:00Z"]
    await create(page, example, {"title": "Swim", "due_date": f"{day(2)}T18:00:00Z", "reminders": other})
    reminder = page.get_by_role("combobox", name="Reminder")
    await act(page, "Swim", "Edit")
    await expect(reminder).to_have_value("keep")
    await page.get_by_role("textbox", name="Title").fill("Swim far")
    await button(page, "Save").click()
    await saved(page)
    assert (await ask(page, example, "GET", "/tasks/1"))["reminders"] == other

    for choice, reminders in (("1 hour before", ["-PT1H"]), ("None", [])):
        await act(page, "Swim far", "Edit")
        await reminder.select_option(choice)
        await button(page, "Save").click()
        await saved(page)
        assert (await ask(page, example, "GET", "/tasks/1"))["reminders"] == reminders
    await expect(row(page, "Swim far")).not_to_contain_text("reminds")


async def test_what_was_missed_is_not_done_one_by_one(page: Page, example: Example) -> None:
    """A daily task that is three days late comes again today."""
    await create(page, example, {"title": "Stretch", "due_date": day(-3), "recurrence": "FREQ=DAILY"})

    await complete(page, "Stretch")
    await expect(toast(page)).to_contain_text("Next today; 2 missed before.")
    await expect_tasks(page, Today=["Stretch"])


async def test_what_is_done_can_be_undone(week: Page) -> None:
    """Completing takes the subtasks with it; Undo opens those that were open."""
    await complete(week, "Invite everybody")
    await complete(week, "Prepare the party")
    await expect(button(week, "Done 1")).to_be_visible()
    await expect(task(week, "Prepare the party")).to_have_count(0)

    await button(toast(week), "Undo").click()
    await expect(task(week, "Prepare the party")).to_be_focused()
    await expect(task(week, "Order the cake")).not_to_be_checked()
    await expect(task(week, "Invite everybody")).to_be_checked()
    await expect(toast(week)).to_be_empty()


async def test_a_deleted_task_comes_back(week: Page) -> None:
    """The one toast is in view wherever the page is; no focus, and no second click, meets another Delete."""
    await week.set_viewport_size({"width": 800, "height": 400})
    await row(week, "Call the bank").hover()
    box = await button(week, "Delete Call the bank").bounding_box()
    assert box is not None
    await week.mouse.dblclick(box["x"] + 5, box["y"] + 5)
    await expect(toast(week)).to_contain_text("Deleted “Call the bank”.")
    await expect(task(week, "Water the plants")).to_be_focused()

    await week.keyboard.press("Delete")
    await expect(toast(week)).to_contain_text("Deleted “Water the plants”.")
    await expect(task(week, "Prepare the party")).to_be_focused()
    await week.evaluate("scrollTo(0, document.body.scrollHeight)")
    await expect(toast(week)).to_be_in_viewport(ratio=1)
    await button(week, "Undo").click()
    await expect(task(week, "Water the plants")).to_be_focused()
    await expect_tasks(
        week,
        Overdue=["Return the library books", "Send the report to Grace"],
        Today=["Water the plants"],
        Next=[
            *("Prepare the party", "- Invite everybody", "- Order the cake"),
            *("Book the dentist", "Pay the rent", "Plan the spring offsite"),
        ],
        No_date=["Find a present for Alan", "Read the paper on fractional indexing", "Tidy the workshop"],
    )


async def test_a_deleted_task_takes_its_subtasks_along(page: Page, example: Example) -> None:
    """And they come back together; Ctrl+Z does what Undo does."""
    party: list[dict[str, Any]] = [{"ref": "p", "title": "Party"}, {"parent_ref": "p", "title": "Cake"}]
    await create(page, example, *party)
    await delete(page, "Party")
    await expect(page.get_by_role("heading", name="Nothing to do")).to_be_visible()

    await page.keyboard.press("Escape")  # from the field of a new task, whose own Ctrl+Z this would be
    await page.keyboard.press("Control+z")
    await expect_tasks(page, No_date=["Party", "- Cake"])
    await expect(task(page, "Party")).to_be_focused()


async def test_tasks_are_found_by_text_and_tag(week: Page) -> None:
    """A subtask that is found is shown below its task; where nothing is found, that is said, with the way back."""
    await search(week).fill("CAKE")
    await expect_tasks(week, Next=["Prepare the party", "- Invite everybody", "- Order the cake"])
    await search(week).fill("nothing like it")
    await expect(week.get_by_role("heading", name="Nothing found")).to_be_visible()
    await button(week, "Show all tasks").click()
    await expect(search(week)).to_have_value("")

    await button(row(week, "Tidy the workshop"), "Only tasks with the tag home").click()
    await expect_tasks(week, Today=["Water the plants"], No_date=["Tidy the workshop"])
    await button(week, "All tags").click()
    await expect(task(week, "Pay the rent")).to_be_visible()
