"""Errors about what a request asks of a user's tasks."""

from typing import Any

from backend.app.problems.base import Problem


class TaskNotFound(Problem):
    status, slug, title = 404, "task-not-found", "Task not found"
    cause = "The user has no task with this id: it never existed, was deleted, or belongs to somebody else."
    remedy = "List the tasks to see their ids. A deleted task is in the trash (`status=deleted`) and can be restored."
    detail = "You have no task with this id."


class SyncTokenExpired(Problem):
    """410: what was deleted since then is not all known any more (RFC 9110, section 15.5.11)."""

    status, slug, title = 410, "sync-token-expired", "Sync token expired"
    cause = "The server no longer knows all deletions since this revision, or the revision is not one of this user."
    remedy = "Delete the local copy and synchronise again with `since=0`."
    detail = "This revision is too old, or not one of yours. Forget your copy and start again from 0."


class BatchOperationFailed(Problem):
    """What an operation of a batch was refused with, and which one it was; nothing of the batch was made."""

    cause = (
        "An operation of a batch was refused. The answer has the type of the problem that the operation's own request"
        " would get, and `operation` has its number, counted from 0."
    )
    remedy = "Correct the operation and send the whole batch again: nothing of it was made."

    def __init__(self, operation: int, problem: Problem) -> None:
        self.operation = operation
        self.problem = problem
        self.bound = problem.bound
        # So that it is answered as the operation's own request would have been.
        self.status, self.slug = problem.status, problem.slug  # type: ignore[misc] # the instance's, not the class's
        self.title = problem.title  # type: ignore[misc] # as above
        super().__init__(f"{problem.detail} Nothing of the batch was made.")

    def members(self) -> dict[str, Any]:
        return {**self.problem.members(), "operation": self.operation}


class ListNotFound(Problem):
    status, slug, title = 404, "list-not-found", "List not found"
    cause = "The user has no list with this id: it never existed, was deleted, or belongs to somebody else."
    remedy = "List the lists to see their ids. A deleted list is in the trash (`status=deleted`) and can be restored."
    detail = "You have no list with this id."


class CompletionNotFound(Problem):
    status, slug, title = 404, "completion-not-found", "Completion not found"
    cause = (
        "The user has no completion with this id: it never existed, was undone, is older than those that are kept, or "
        "belongs to somebody else."
    )
    remedy = "List the completions to see their ids. A task that is open again has no completion."
    detail = "You have no completion with this id."


class ListLimitReached(Problem):
    status, slug, title = 422, "list-limit-reached", "List limit reached"
    cause = "The user already has as many lists as the server allows."
    remedy = "Delete lists first. An operator can raise `MAX_LISTS`."
    bound = "stored_lists"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A user may have {limit} lists. Delete some first.")


class IdsTaken(Problem):
    """409: RFC 9110, section 15.5.10; `errors` has a pointer to each id of the file that is another task's."""

    status, slug, title = 409, "ids-taken", "Ids taken by other tasks"
    cause = (
        "The file names the user, so its tasks and lists would keep their ids; but some of these ids belong to tasks "
        "or lists of the user that are not the ones in the file, for example because the account was erased and used "
        "again."
    )
    remedy = (
        "Send the file with `?ids=new`, which adds its tasks beside what is there, or with `?ids=keep`, which puts "
        "them in place of what has their ids; the tasks that are replaced go to the trash."
    )
    detail = "Others of yours have ids of this file. Send it with ?ids=new to add its tasks, or with ?ids=keep."

    def __init__(self, pointers: list[str]) -> None:
        """JSON pointers into the body (RFC 6901)."""
        self.pointers = pointers
        super().__init__()

    def members(self) -> dict[str, Any]:
        return {
            "errors": [
                {"pointer": pointer, "detail": f"is the id of another {_named(pointer)} of yours"}
                for pointer in self.pointers
            ]
        }


def _named(pointer: str) -> str:
    return "list" if pointer.startswith("#/lists/") else "task"


class CountDiffers(Problem):
    """409: RFC 9110, section 15.5.10; `found` says how many tasks there are."""

    status, slug, title = 409, "count-differs", "Another number of tasks"
    cause = "The filters of `where` find more or fewer tasks than `expect` says: something was written meanwhile."
    remedy = "List the tasks again, and send the request with the number that is found now, or without `expect`."

    def __init__(self, found: int) -> None:
        self.found = found
        super().__init__(f"The filters find {found} tasks, which is not the number that was expected.")

    def members(self) -> dict[str, Any]:
        return {"found": self.found}


class TaskLimitReached(Problem):
    status, slug, title = 422, "task-limit-reached", "Task limit reached"
    cause = "The user already has as many tasks as the server allows."
    remedy = "Delete tasks first. An operator can raise `MAX_TASKS_PER_USER`."
    bound = "stored_tasks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A user may have {limit} tasks. Delete some first.")
