"""Requests that are ready at once: a round of the event loop has so many of them as it has time for."""

import asyncio
import time

import pytest

from backend.app.web import request_turns
from backend.app.web.request_turns import ENTERING_MAX, RequestTurns


async def served(turns: RequestTurns, order: list[str], user_id: str, seconds: float = 0.0) -> None:
    """A request that computes for so long."""
    if turns.must_wait():
        await turns.wait(user_id)
    order.append(user_id)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def longest_round(tasks: list[asyncio.Task[None]], order: list[str]) -> int:
    """How many requests were served in a round of the event loop at most."""
    longest = 0
    while not all(task.done() for task in tasks):
        before = len(order)
        await asyncio.sleep(0)
        longest = max(longest, len(order) - before)
    return longest


async def test_short_requests_go_on_at_once() -> None:
    """All of them in the same round, as if there were no turns."""
    turns, order = RequestTurns(), list[str]()
    tasks = [asyncio.create_task(served(turns, order, "a")) for _ in range(50)]

    await asyncio.sleep(0)

    assert len(order) == 50
    await asyncio.gather(*tasks)


async def test_another_users_request_is_served_between_long_ones() -> None:
    """It stands behind those of one round, and not behind all."""
    turns, order = RequestTurns(), list[str]()
    tasks = [asyncio.create_task(served(turns, order, "a", 0.006)) for _ in range(40)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(served(turns, order, "b")))

    await asyncio.gather(*tasks)

    assert order.index("b") < 10


async def test_long_requests_that_wait_go_on_one_by_one() -> None:
    """After the first round has taken its time."""
    turns, order = RequestTurns(), list[str]()
    tasks = [asyncio.create_task(served(turns, order, "a", 0.006)) for _ in range(30)]
    await asyncio.sleep(0)
    assert len(order) < 10

    assert await longest_round(tasks, order) <= 3


async def test_short_requests_that_wait_go_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """More and more of them, so that a round for each does not slow them down."""
    monkeypatch.setattr(request_turns, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(request_turns, "STEP_SECONDS", 60.0)
    turns, order = RequestTurns(), list[str]()
    tasks = [asyncio.create_task(served(turns, order, "a")) for _ in range(500)]

    assert await longest_round(tasks, order) == ENTERING_MAX


async def test_a_request_that_was_given_up_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when nobody waits any more, the next one goes on at once."""
    monkeypatch.setattr(request_turns, "ROUND_SECONDS", 0.0)
    turns, order = RequestTurns(), list[str]()
    tasks = [asyncio.create_task(served(turns, order, name)) for name in "abcde"]
    await asyncio.sleep(0)
    for task in tasks[1:4]:
        task.cancel()

    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.01)

    assert order == ["a", "e"]
    assert not turns.must_wait()
