"""The requests that are under way: when the time of each is over, and how many each user has.

One timer serves all of them, where asyncio.timeout sets one for each. A user's request counts while its time passes.
"""

import asyncio
from typing import Any

# Where a request finds its deadline in the scope.
DEADLINE = "tasks.deadline"


class Deadlines:
    """Cancels requests that take longer than `seconds`, and counts those of each user (`owner`).

    All have the same time, so the first to come is the first whose time is over.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # In the order in which their times are over.
        self._running: dict[Deadline, None] = {}
        self._per_owner: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many requests have a time that passes; those that are stopped are not among them."""
        return len(self._running)

    def start(self) -> "Deadline":
        """The deadline of the running task, which has `seconds` from now on."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment] # a request always runs in one
        deadline = Deadline(self, task)
        self.add(deadline)
        return deadline

    def add(self, deadline: "Deadline") -> None:
        loop = deadline.task.get_loop()
        deadline.ends_at = loop.time() + self.seconds
        self._running[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.ends_at, self._look, loop)

    def remove(self, deadline: "Deadline") -> None:
        self._running.pop(deadline, None)

    def take_place(self, owner: str, most: int) -> bool:
        """Count one more request of this owner; False if they have `most` already."""
        taken = self._per_owner.get(owner, 0)
        if taken >= most:
            return False
        self._per_owner[owner] = taken + 1
        return True

    def give_place(self, owner: str) -> None:
        """Count one request less of this owner."""
        left = self._per_owner[owner] - 1
        if left:
            self._per_owner[owner] = left
        else:
            del self._per_owner[owner]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._timer = None
        for deadline in self._running:
            if deadline.ends_at > now:
                self._timer = loop.call_at(deadline.ends_at, self._look, loop)
                return
            deadline.cancel()


class Deadline:
    """The time of one request, and the place that it takes of its owner's."""

    __slots__ = ("_cancelled", "_deadlines", "_owner", "ends_at", "task")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[Any]) -> None:
        self._deadlines = deadlines
        self._owner: str | None = None
        self._cancelled = False
        self.task = task
        # By the event loop's clock.
        self.ends_at = 0.0

    def enter(self, owner: str, most: int) -> bool:
        """Count the request as this owner's until it stops; False if they have `most` already."""
        if not self._deadlines.take_place(owner, most):
            return False
        self._owner = owner
        return True

    def stop(self) -> None:
        """No time passes until it restarts, and it is none of its owner's requests any more."""
        self._deadlines.remove(self)
        if self._owner is not None:
            owner, self._owner = self._owner, None
            self._deadlines.give_place(owner)

    def restart(self) -> None:
        """The request has all of its time again."""
        self._deadlines.remove(self)
        self._deadlines.add(self)

    def cancel(self) -> None:
        """Its time is over."""
        if not self._cancelled:
            self._cancelled = True
            self.task.cancel()

    @property
    def has_passed(self) -> bool:
        """Whether the task was cancelled because its time is over, and for no other reason."""
        return self._cancelled and self.task.uncancel() == 0
