"""Long work in steps: one step in each round of the event loop, and users one after the other."""

import asyncio

import pytest

from backend.app.web import turns as turns_module
from backend.app.web.turns import Turns


async def rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_steps_are_taken_one_in_a_round() -> None:
    """Whoever does other things gets their turn after each, however many tasks have steps to take."""
    turns, taken, longest = Turns(), 0, 0

    async def work(user_id: str) -> None:
        nonlocal taken
        steps = turns.of(user_id)
        for _ in range(10):
            await steps.next_step()
            taken += 1

    tasks = [asyncio.create_task(work("a")) for _ in range(20)]
    while not all(task.done() for task in tasks):
        before = taken
        await asyncio.sleep(0)
        longest = max(longest, taken - before)

    assert (taken, longest) == (200, 1)


async def test_users_take_turns() -> None:
    """Who has one task is not behind all the tasks of another."""
    turns, order = Turns(), list[str]()

    async def work(user_id: str) -> None:
        await turns.of(user_id).next_step()
        order.append(user_id)

    await asyncio.gather(*(work("a") for _ in range(10)), work("b"))

    assert order.index("b") == 2


async def test_a_task_that_was_given_up_takes_no_turn() -> None:
    """The next one is woken in its place, and a later one need not wait."""
    turns, order = Turns(), list[int]()

    async def work(number: int) -> None:
        await turns.of("a").next_step()
        order.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    for task in tasks[1:3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await rounds(3)
    await asyncio.wait_for(work(4), 1)

    assert order == [0, 3, 4]


async def test_a_step_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over after STEP_SECONDS."""
    steps = Turns().of("a")
    monkeypatch.setattr(turns_module, "STEP_SECONDS", 60.0)
    await steps.next_step()
    assert not steps.is_over

    monkeypatch.setattr(turns_module, "STEP_SECONDS", 0.0)
    await steps.next_step()
    assert steps.is_over
