"""The caller's tasks, one by one: which of the statements of task_writes.py a write takes."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.domain.first_revision import first_revision
from backend.app.domain.preconditions import Expected
from backend.app.repositories.mapping import RARE_VALUES, Task, task_to_columns
from backend.app.repositories.query_statements import GET
from backend.app.repositories.reminders import NOTHING_PLANNED, write_reminders
from backend.app.repositories.subtasks import TaskTree
from backend.app.repositories.task_writes import (
    COMPLETE,
    CREATE,
    CREATE_RARE,
    CREATE_TEXT,
    DELETE,
    REPLACE_BY_TEXT,
    TEXT,
    UPDATE,
    UPDATE_TEXT,
    Write,
)
from backend.app.repositories.trash import trim_trash
from backend.app.schemas.task import Changes, TaskCreate, TaskReplace

# What an update writes by itself; a null of these is one that leaves the column as it is.
_UPDATED = (
    *(
        "title",
        "title_key",
        "description",
        "description_key",
        "completed",
        "priority",
        "due_date",
        "due_at",
        "time_zone",
    ),
    *("tags", "tag_keys"),
)
# What a task repeats by, or belongs to, has to be looked at together with the rest of it.
_TOGETHER = frozenset({"recurrence", "recurrence_from", "time_zone", "parent_id", "start_date", "list_id", "reminders"})


def _beyond_text(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if name not in TEXT}


# The columns of a new task, and the members of one that is replaced, where there is nothing but a text.
_NO_PLAN: Final = _beyond_text(task_to_columns(TaskCreate(title="-").model_dump()))
_NOTHING_ELSE: Final = _beyond_text(dict(TaskReplace(title="-").changes(0, "")))
_LENGTH_OF_TEXT: Final = len(_NOTHING_ELSE) + len(("title", "description"))


def _creation(columns: dict[str, Any]) -> Statement:
    """The statement with the fewest parameters that writes these columns."""
    if _NO_PLAN.items() <= columns.items():
        return CREATE_TEXT
    return CREATE_RARE if any(columns[name] for name in RARE_VALUES) else CREATE


def _update(changes: Changes, *, whole: bool) -> tuple[Write, dict[str, Any]]:
    """The write with the fewest parameters that makes these changes, and its parameters."""
    columns = task_to_columns(changes)
    if whole and len(changes) == _LENGTH_OF_TEXT and _NOTHING_ELSE.items() <= changes.items():
        return REPLACE_BY_TEXT, {name: columns[name] for name in TEXT}
    if not whole and (of_text := UPDATE_TEXT.get(frozenset(changes))) is not None:
        return of_text, columns
    planned = {name: columns.get(name) for name in _UPDATED}
    return UPDATE, {
        **planned,
        "describe": "description" in changes,
        "reschedule": "due_date" in changes,
        "replace": whole,
    }


class TaskRepository:
    """The caller's tasks, one by one. No method takes a user id: the session has it from the token.

    Tasks come as dicts with the members of `schemas.task.Task`. Any method may raise Unavailable.
    """

    __slots__ = ("_max_completions", "_max_subtasks", "_max_tasks", "session")

    def __init__(self, session: OwnerSession, *, max_tasks: int, max_subtasks: int, max_completions: int) -> None:
        self.session = session
        self._max_tasks = max_tasks
        self._max_subtasks = max_subtasks
        self._max_completions = max_completions

    async def create(self, new: TaskCreate) -> Task:
        """Raises TaskLimitReached, or InvalidField for a parent that cannot be one, and a list that is not there."""
        if new.parent_id is None and new.list_id is None and not new.reminders:
            return await self._create(self.session, new)
        async with self._locked_tree() as tree:
            created = await tree.create(new, lambda session: self._create(session, new))
            return await write_reminders(tree.session, NOTHING_PLANNED, new.model_dump(), created)

    async def _create(self, session: OwnerSession, new: TaskCreate) -> Task:
        columns = task_to_columns(new.model_dump())
        created = await session.run(
            _creation(columns), **columns, max_tasks=self._max_tasks, first_revision=first_revision()
        )
        if not created:
            raise problems.TaskLimitReached(self._max_tasks)
        return created[0]

    async def update(self, task_id: int, changes: Changes, expected: Expected = None, *, whole: bool = False) -> Task:
        """Change what is in `changes`; with `whole`, these are all members of a task but `completed`.

        Raises TaskNotFound, PreconditionFailed where the task's revision is not an expected one, or InvalidField
        where the changes do not go together with what stays.
        """
        if whole:
            together = any(changes[name] for name in ("recurrence", "parent_id", "start_date", "reminders"))
            alone = not together and "list_id" not in changes
        else:
            alone = _TOGETHER.isdisjoint(changes)
        if alone:
            write, parameters = _update(changes, whole=whole)
            written = await self._written(write, expected, task_id=task_id, **parameters)
            if written is not None:
                return written
        async with self._locked_tree() as tree:
            return await tree.update(task_id, changes, expected)

    async def complete(
        self, task_id: int, completed: bool | None, expected: Expected = None, *, skip_missed: bool = False
    ) -> Task:
        """Set `completed`, or turn it over where it is None; raises TaskNotFound or PreconditionFailed.

        Completes the subtasks too. A task that repeats moves on to its next due date, with `skip_missed` to the next
        one that is not past, stays open, and comes with a `completed_occurrence`.
        """
        written = await self._written(COMPLETE, expected, task_id=task_id, completed=completed)
        if written is not None:
            return written
        async with self._locked_tree() as tree:
            return await tree.complete(task_id, completed, expected, skip_missed=skip_missed)

    async def delete(self, task_id: int, expected: Expected = None) -> None:
        """Move the task to the trash, and its subtasks with it. Raises TaskNotFound or PreconditionFailed.

        The oldest of the trash is purged where there is more in it than a user may have tasks.
        """
        # On a cluster in steps, as a task with subtasks.
        deleted = None if self.session.in_steps else await self._written(DELETE, expected, task_id=task_id)
        if deleted is None:
            async with self._locked_tree() as tree:
                deleted = await tree.delete(task_id, expected)
        await trim_trash(self.session, deleted["trash_count"], max_trash=self._max_tasks)

    async def restore(self, task_id: int, expected: Expected = None) -> Task:
        """Take the task back from the trash, and what was deleted with it.

        Comes back as a task of its own where its parent is none any more. Raises TaskNotFound where it is not in the
        trash, PreconditionFailed, or TaskLimitReached.
        """
        async with self._locked_tree() as tree:
            return await tree.restore(task_id, expected, max_tasks=self._max_tasks)

    def _locked_tree(self) -> AbstractAsyncContextManager[TaskTree]:
        return TaskTree.locked(self.session, max_subtasks=self._max_subtasks, max_completions=self._max_completions)

    async def _written(self, write: Write, expected: Expected, **parameters: Any) -> Task | None:
        """What was written, or None where it takes more than a statement; raises as the methods above."""
        if expected is None:
            if found := await self.session.rows(write.plain, **parameters):
                return write.plain.shaped(found)[0]
            if not await self.session.rows(GET, task_id=parameters["task_id"]):
                raise problems.TaskNotFound
            return None
        if expected.any_of is None or expected.none_of:  # seldom: it is compared under the list's lock
            return None
        found = await self.session.rows(write.conditional, **parameters, expected=list(expected.any_of))
        if not found:
            raise problems.TaskNotFound
        *written, alone = found[0]
        if not alone:
            return None
        if written[0] is None:
            raise problems.PreconditionFailed
        return write.plain.shaped([tuple(written)])[0]
