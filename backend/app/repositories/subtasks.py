"""Writes that change more than a row, or that depend on what the task is: a parent's, a repeating task's, the trash's.

Each is a transaction, which locks the caller's list first, so that nothing of theirs changes between its statements.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Select,
    Update,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain import recurrence
from backend.app.domain.enums import ANY_LIST, RecurrenceFrom
from backend.app.domain.errors import InvalidField
from backend.app.domain.plan import check_plan
from backend.app.domain.preconditions import Expected
from backend.app.domain.reminders import moved
from backend.app.repositories.completion_records import (
    complete_for_good,
    completed_subtasks,
    record_completion,
    trim_completions,
)
from backend.app.repositories.deletion import BRING_BACK, COUNT_TRASHED_SUBTASKS, REMOVE, TRASHED
from backend.app.repositories.mapping import (
    COUNTERS,
    RARE_VALUES,
    TASKS,
    VALUES,
    Task,
    bump_revision,
    completion,
    how_many,
    numbered,
    owner,
    row_to_task,
    shown,
    task_id,
    task_to_columns,
)
from backend.app.repositories.placement import known_list, list_of, put_into_list
from backend.app.repositories.query_statements import GET, GET_COUNTERS
from backend.app.repositories.reminders import cancel_reminders, take_up_reminders, write_reminders
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.task import Changes, TaskCreate

_mine = TASKS.c.user_id == owner
_completed = VALUES["completed"]

COUNT_SUBTASKS = compile_scoped(
    "count a task's subtasks",
    select(func.count().label("count")).select_from(TASKS).where(_mine, TASKS.c.parent_id == task_id),
)
MARK = compile_scoped(
    "mark a task as a parent",
    update(TASKS).values(compound=true()).where(_mine, TASKS.c.id == task_id, not_(TASKS.c.compound)),
)


def _write() -> ReturningUpdate[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    values = {
        **VALUES,
        **RARE_VALUES,
        "completed_at": completion(_completed),
        "compound": or_(TASKS.c.compound, VALUES["recurrence"].is_not(None)),
        "revision": counted.c.revision,
        "updated_at": func.now(),
    }
    return update(TASKS).values(values).where(_mine, TASKS.c.id == task_id).returning(*shown(TASKS))


def update_together(*conditions: ColumnElement[bool], values: dict[str, Any]) -> Update:
    """Change some of the caller's tasks in one statement, each with a revision of its own."""
    changing = numbered(select(TASKS.c.id).where(_mine, *conditions).cte("changing"))
    counted = bump_revision(how_many(changing)).returning(COUNTERS.c.revision).cte("counted")
    told = {**values, "revision": counted.c.revision - changing.c.place + 1, "updated_at": func.now()}
    return update(TASKS).values(told).where(_mine, TASKS.c.id == changing.c.id)


def _settle() -> Select[Any]:
    """Complete a task and its subtasks, or open them again; only what is not so yet among the subtasks."""
    itself = and_(bindparam("with_itself", type_=Boolean), TASKS.c.id == task_id)
    subtasks = and_(
        bindparam("with_subtasks", type_=Boolean), TASKS.c.parent_id == task_id, TASKS.c.completed != _completed
    )
    completed = {"completed": _completed, "completed_at": completion(_completed)}
    written = update_together(or_(itself, subtasks), values=completed).returning(*shown(TASKS)).cte("written")
    return select(*written.c).where(written.c.id == task_id)


WRITE = compile_scoped("write a task", _write(), row_to_task, bumps_revision=True)
SETTLE = compile_scoped("complete a task with its subtasks", _settle(), row_to_task, bumps_revision=True)


class TaskTree:
    """Tasks of one caller that are written together, while the list is locked. Any method may raise Unavailable."""

    def __init__(self, session: OwnerSession, *, max_subtasks: int, max_completions: int) -> None:
        """`session` is that of a transaction."""
        self.session = session
        self._max_completions = max_completions
        self._max_subtasks = max_subtasks

    @classmethod
    @asynccontextmanager
    async def locked(
        cls, session: OwnerSession, *, max_subtasks: int, max_completions: int
    ) -> AsyncIterator["TaskTree"]:
        """What is made inside is made together, or not at all if anything is raised."""
        async with session.transaction() as together:
            yield cls(together, max_subtasks=max_subtasks, max_completions=max_completions)

    async def attach_child(self, parent_id: int, child: Task | None = None) -> Task:
        """Make a task a parent, of this child or of one to come. Raises InvalidField where it cannot be."""
        parent = await self.session.run(GET, task_id=parent_id)
        if not parent or parent[0]["parent_id"] is not None or (child is not None and child["id"] == parent_id):
            raise InvalidField(("parent_id",), "must be another task of yours that is no subtask itself")
        if child is not None and await self._count_subtasks(child["id"]):
            raise InvalidField(("parent_id",), "must be null where the task has subtasks itself")
        if await self._count_subtasks(parent_id) >= self._max_subtasks:
            raise InvalidField(("parent_id",), f"must be a task with fewer than {self._max_subtasks} subtasks")
        await self.session.run(MARK, task_id=parent_id)
        return parent[0]

    async def create(self, new: TaskCreate, create: Callable[[OwnerSession], Awaitable[Task]]) -> Task:
        """Create a subtask, or a task of a list. Raises InvalidField where parent or list cannot be its own."""
        parent = None if new.parent_id is None else await self.attach_child(new.parent_id)
        asked = new.list_id if "list_id" in new.model_fields_set else ANY_LIST
        list_id = await list_of(self.session, asked, parent, otherwise=None)
        created = await create(self.session)
        if list_id is None:
            return created
        await put_into_list(self.session, created["id"], list_id)
        return {**created, "list_id": list_id}

    async def update(self, task_id: int, changes: Changes, expected: Expected) -> Task:
        return await self.change(await self._get(task_id, expected), changes)

    async def change(self, task: Task, changes: Changes) -> Task:
        """As `update`, of a task as it is now."""
        wanted = {**task, "recurrence_from": task["recurrence_from"] or RecurrenceFrom.DUE_DATE, **changes}
        try:
            plan = (wanted["due_date"], wanted["time_zone"], wanted["recurrence"])
            check_plan(*plan, start_date=wanted["start_date"], reminders=wanted["reminders"])
        except ValueError as error:
            raise InvalidField((), str(error)) from None
        parent = None
        if wanted["parent_id"] not in (None, task["parent_id"]):
            parent = await self.attach_child(wanted["parent_id"], task)
        elif wanted["parent_id"] is not None:
            parent = task  # which is in its parent's list
        list_id = await list_of(self.session, changes.get("list_id", ANY_LIST), parent, otherwise=task["list_id"])
        written = await self._write(task, wanted)
        if list_id != task["list_id"]:
            await put_into_list(self.session, task["id"], list_id)
        return {**written, "list_id": list_id}

    async def complete(self, task_id: int, completed: bool | None, expected: Expected, *, skip_missed: bool) -> Task:
        task = await self._get(task_id, expected)
        done = not task["completed"] if completed is None else completed
        return await self.settle(task, done, skip_missed=skip_missed)

    async def settle(self, task: Task, done: bool, *, skip_missed: bool) -> Task:
        """As `complete`, of a task as it is now."""
        if done and task["recurrence"] is not None:
            return await self._write(task, {**task, "completed": True}, skip_missed=skip_missed)
        values = {"completed": done, "with_itself": True, "with_subtasks": done}
        [written] = await self.session.run(SETTLE, task_id=task["id"], **values)
        return written

    async def delete(self, task_id: int, expected: Expected) -> dict[str, Any]:
        """How many tasks are in the trash then (`trash_count`); None where nobody has counted yet."""
        return await self.remove(await self._get(task_id, expected))

    async def remove(self, task: Task) -> dict[str, Any]:
        """As `delete`, of a task as it is now."""
        if task["reminders"] or task["parent_id"] is None:
            await cancel_reminders(self.session, task["id"])
        [removed] = await self.session.run(REMOVE, task_id=task["id"])
        return removed

    async def restore(self, task_id: int, expected: Expected, *, max_tasks: int) -> Task:
        found = await self.session.run(TRASHED, task_id=task_id)
        task = expected_task(found, expected)
        [subtasks] = await self.session.run(COUNT_TRASHED_SUBTASKS, task_id=task_id)
        [counters] = await self.session.run(GET_COUNTERS)
        if counters["task_count"] + 1 + subtasks["count"] > max_tasks:
            raise problems.TaskLimitReached(max_tasks)
        parent = None
        if task["parent_id"] is not None:
            with suppress(InvalidField):
                parent = await self.attach_child(task["parent_id"])
        list_id = await known_list(self.session, task["list_id"]) if parent is None else parent["list_id"]
        places = {"parent_id": parent and parent["id"], "list_id": list_id}
        [restored] = await self.session.run(BRING_BACK, task_id=task_id, **places)
        await take_up_reminders(self.session, task_id)
        return restored

    async def _write(self, task: Task, wanted: Mapping[str, Any], *, skip_missed: bool = False) -> Task:
        """Write all of a task. One that is completed is completed with its subtasks, or moves on where it repeats."""
        if task["completed"] or not wanted["completed"]:
            return await self._write_row(task, wanted)
        now = datetime.now(UTC)
        following = _following(wanted, now, skip_missed=skip_missed)
        reopened = [] if following is None else await completed_subtasks(self.session, task["id"])
        values = {"completed": following is None, "with_itself": False, "with_subtasks": True}
        await self.session.run(SETTLE, task_id=task["id"], **values)
        if following is None:
            written = await self._write_row(task, wanted)
            await complete_for_good(self.session, task, wanted, written)
            return written
        written = await self._write_row(task, {**wanted, **_moved_on(wanted, following)})
        await record_completion(self.session, task, wanted, written, now=now, reopened=reopened)
        await trim_completions(self.session, max_completions=self._max_completions)
        occurrence = {"due_date": wanted["due_date"], "completed_at": _rfc3339(now), "skipped": following.skipped}
        return {**written, "completed_occurrence": occurrence}

    async def _write_row(self, task: Task, wanted: Mapping[str, Any]) -> Task:
        [written] = await self.session.run(WRITE, task_id=task["id"], **task_to_columns(wanted))
        return await write_reminders(self.session, task, wanted, written)

    async def _get(self, task_id: int, expected: Expected) -> Task:
        return expected_task(await self.session.run(GET, task_id=task_id), expected)

    async def _count_subtasks(self, task_id: int) -> int:
        [counted] = await self.session.run(COUNT_SUBTASKS, task_id=task_id)
        return int(counted["count"])


def expected_task(found: list[Task], expected: Expected) -> Task:
    """The task that was found. Raises TaskNotFound, or PreconditionFailed where its revision is not an expected one."""
    if not found:
        raise problems.TaskNotFound
    if expected is not None and not expected.holds(found[0]["revision"]):
        raise problems.PreconditionFailed
    return found[0]


def _following(task: Mapping[str, Any], now: datetime, *, skip_missed: bool) -> recurrence.Next | None:
    """When a task comes again that is completed now; None where it does not, or no more."""
    if task["recurrence"] is None:
        return None
    due, rule, time_zone = task["due_date"], task["recurrence"], task["time_zone"]
    if task["recurrence_from"] == RecurrenceFrom.COMPLETION:
        return recurrence.advance(due, rule, time_zone=time_zone, completed_at=now)
    if skip_missed or task["recurrence_from"] == RecurrenceFrom.SCHEDULE:
        return recurrence.advance_past(due, rule, time_zone=time_zone, now=now)
    return recurrence.advance(due, rule, time_zone=time_zone, completed_at=None)


def _moved_on(task: Mapping[str, Any], following: recurrence.Next) -> dict[str, Any]:
    start = recurrence.moved_start(task["start_date"], task["due_date"], following.due, task["time_zone"])
    reminders = moved(task["reminders"], task["due_date"], following.due, task["time_zone"])
    dates = {"due_date": following.due, "start_date": start, "reminders": reminders}
    return {"completed": False, "recurrence": following.rule, **dates}


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
