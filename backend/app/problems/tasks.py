"""Errors about what a request asks of a user's tasks."""

from typing import Any

from backend.app.problems.base import Problem


class TaskNotFound(Problem):
    status, slug, title = 404, "task-not-found", "Task not found"
    detail = "You have no task with this id."


class SyncTokenExpired(Problem):
    """410: what was deleted since then is not all known any more (RFC 9110, section 15.5.11)."""

    status, slug, title = 410, "sync-token-expired", "Sync token expired"
    detail = "This revision is too old, or not one of yours. Forget your copy and start again from 0."


class BatchOperationFailed(Problem):
    """What an operation of a batch was refused with, and which one it was; nothing of the batch was made."""

    def __init__(self, operation: int, problem: Problem) -> None:
        self.operation = operation
        self.problem = problem
        # So that it is answered as the operation's own request would have been.
        self.status, self.slug = problem.status, problem.slug  # type: ignore[misc] # the instance's, not the class's
        self.title = problem.title  # type: ignore[misc] # as above
        super().__init__(f"{problem.detail} Nothing of the batch was made.")

    def members(self) -> dict[str, Any]:
        return {**self.problem.members(), "operation": self.operation}


class TaskLimitReached(Problem):
    status, slug, title = 422, "task-limit-reached", "Task limit reached"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A user may have {limit} tasks. Delete some first.")
