"""When a request's time is over: one timer for all requests, where asyncio.timeout sets one for each."""

import asyncio
from typing import Any

# Where an answer that is made while it is sent finds its deadline in the scope.
DEADLINES = "tasks.deadlines"


class Deadlines:
    """Cancels tasks that take longer than `seconds`; one timer looks after all, where asyncio.timeout sets one each.

    All have the same time, so the first to come is the first whose time is over.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._owners: dict[asyncio.Task[Any], str] = {}
        self._per_owner: dict[str, int] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many tasks have a time that passes; those that pause are not among them."""
        return len(self._ends)

    def enter(self, owner: str, most: int) -> bool:
        """Count the running task as this owner's until it pauses or ends; False if they have `most` already."""
        if self._per_owner.get(owner, 0) >= most:
            return False
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment] # as below
        self._owners[task] = owner
        self._per_owner[owner] = self._per_owner.get(owner, 0) + 1
        return True

    def start(self) -> asyncio.Task[Any]:
        """The running task, which has `seconds` from now on."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment] # a request always runs in one
        loop = task.get_loop()
        self._ends[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        return task

    def passed(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task was cancelled because its time is over, and for no other reason."""
        return task in self._cancelled and task.uncancel() == 0

    def restart(self) -> None:
        """The running task has all of its time again."""
        self._ends.pop(asyncio.current_task(), None)  # type: ignore[arg-type] # as below
        self.start()

    def pause(self) -> None:
        """No time passes for the running task until it restarts, and it is none of its owner's requests any more."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment] # as above
        self._ends.pop(task, None)
        self._leave(task)

    def end(self, task: asyncio.Task[Any]) -> None:
        self._ends.pop(task, None)
        self._leave(task)
        self._cancelled.discard(task)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        owner = self._owners.pop(task, None)
        if owner is None:
            return
        left = self._per_owner[owner] - 1
        if left:
            self._per_owner[owner] = left
        else:
            del self._per_owner[owner]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._timer = None
        for task, end in self._ends.items():
            if end > now:
                self._timer = loop.call_at(end, self._look, loop)
                return
            if task not in self._cancelled:
                self._cancelled.add(task)
                task.cancel()
