"""Turns for requests that are ready at once, and would hold the event loop up together.

A user may have a hundred requests under way. Where each takes some milliseconds before it waits for anything, another
user's request would stand behind all of them, in each round of the event loop that it needs.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Final

from starlette.requests import Request

from backend.app.web.services import services_of
from backend.app.web.turns import STEP_SECONDS, WaitingTasks

# How long the requests of one round of the event loop may take before those that come after them wait (seconds).
ROUND_SECONDS: Final = 0.02
# How many of those that wait go on in one round at most, where the rounds before were short.
ENTERING_MAX: Final = 16


def turn_of(request: Request) -> Awaitable[None] | None:
    """What a signed-in user's request waits for before it is judged; None where it may go on at once.

    Raises TooManyRequestsOfUser where the user does not read what they are answered.
    """
    principal = request.scope.get("state", {}).get("principal")
    if principal is None:
        return None
    services = services_of(request.scope)
    services.answer_room.check(principal.user_id)
    turns = services.request_turns
    return turns.wait(principal.user_id) if turns.must_wait() else None


class RequestTurns:
    """The requests of this process: as many go on as a round of the event loop has time for, the others wait."""

    def __init__(self) -> None:
        self._waiting = WaitingTasks()
        # By the clock; None where no request has begun in this round.
        self._round_began: float | None = None
        self._entering = 1

    def must_wait(self) -> bool:
        """Whether a request that is ready has to wait for its turn, because this round is long already."""
        now = time.perf_counter()
        if self._round_began is None:
            self._begin_round(now)
            return False
        return bool(self._waiting) or now - self._round_began >= ROUND_SECONDS

    async def wait(self, user_id: str) -> None:
        """Wait for the turn of this user's request."""
        await self._waiting.add(user_id)

    def _begin_round(self, now: float) -> None:
        self._round_began = now
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        """Let some go on of those that wait: one more than the last time, or half as many where it was long."""
        began, self._round_began = self._round_began, None
        if not self._waiting:
            self._entering = 1
            return
        now = time.perf_counter()
        is_long = began is None or now - began >= STEP_SECONDS
        self._entering = max(self._entering // 2, 1) if is_long else min(self._entering + 1, ENTERING_MAX)
        self._begin_round(now)
        for _ in range(self._entering):
            self._waiting.wake_one()
