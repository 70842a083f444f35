"""Turns on the event loop for long work: one step of some milliseconds at a time, and users one after the other.

A task that only yields between its steps is no help where a hundred of them are ready at once: the event loop runs all
of them before it looks at anything else.
"""

import asyncio
import time
from collections import deque
from typing import Final

# How long a step may take before others get their turn (seconds). The last item of a step may take some more.
STEP_SECONDS: Final = 0.005


class WaitingTasks:
    """Tasks that wait, in the order in which their users take turns; a user without a waiting task has no queue."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, user_id: str) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user_id, deque()).append(turn)
        return turn

    def wake_one(self) -> bool:
        """Whether there was one to wake."""
        while self._queues:
            user_id, queue = next(iter(self._queues.items()))
            turn = queue.popleft()
            del self._queues[user_id]
            if queue:
                self._queues[user_id] = queue
            if not turn.done():  # its request may have been given up
                turn.set_result(None)
                return True
        return False


class Turns:
    """The steps of this process."""

    def __init__(self) -> None:
        self._waiting = WaitingTasks()
        self._taken = False

    def of(self, user_id: str) -> "Steps":
        """The steps of one request of this user."""
        return Steps(self, user_id)

    async def take(self, user_id: str) -> None:
        """Wait until this task is the one that may take a step in this round of the event loop."""
        if not self._taken:
            self._taken = True
            asyncio.get_running_loop().call_soon(self._next)
            return
        await self._waiting.add(user_id)

    def _next(self) -> None:
        """Wake one task, and come back in the round after its step."""
        self._taken = self._waiting.wake_one()
        if self._taken:
            asyncio.get_running_loop().call_soon(self._next)


class Steps:
    """The steps of one request: `next_step` begins one, and the next whenever one `is_over`."""

    __slots__ = ("_turns", "_until", "_user_id")

    def __init__(self, turns: Turns, user_id: str) -> None:
        self._turns = turns
        self._user_id = user_id
        self._until = 0.0

    @property
    def is_over(self) -> bool:
        return time.perf_counter() >= self._until

    async def next_step(self) -> None:
        """Let others have their turn, then begin a step."""
        await self._turns.take(self._user_id)
        self._until = time.perf_counter() + STEP_SECONDS
