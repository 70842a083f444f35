"""Takes a completion back, as long as its task is as the completion has left it."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.completion_ids import named_completion
from backend.app.domain.preconditions import Expected
from backend.app.repositories.completion_records import (
    COMPLETIONS,
    DELETED_COMPLETIONS,
    PLAN,
    deleted_of_mine,
    of_mine,
    pass_on,
)
from backend.app.repositories.deletion import TRASHED
from backend.app.repositories.mapping import COUNTERS, TASKS, Task, bump_revision, owner, task_id
from backend.app.repositories.query_statements import GET
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.subtasks import TaskTree, expected_task, update_together
from backend.app.schemas.task import Changes

_at = bindparam("completed_at", type_=DateTime(timezone=True))
_this: Final = (of_mine, COMPLETIONS.c.task_id == task_id, COMPLETIONS.c.completed_at == _at)
_RECORDED: Final = (*PLAN, "reminders", "reopened", "revision", "revision_before")


def _written_again(*conditions: ColumnElement[bool], completed: bool) -> Select[Any]:
    """Set `completed` of some tasks, each with a revision of its own."""
    values = {"completed": literal(completed), "completed_at": _at if completed else None}
    written = update_together(*conditions, values=values).returning(TASKS.c.id).cte("written")
    return select(written.c.id)


def _leave_tombstone() -> ReturningInsert[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    values: dict[str, Any] = {"user_id": owner, "task_id": task_id, "completed_at": _at}
    values |= {"revision": counted.c.revision, "deleted_at": func.now()}
    made = insert(DELETED_COMPLETIONS).from_select(list(values), select(*values.values()).select_from(counted))
    return made.returning(DELETED_COMPLETIONS.c.revision)


def _forget_tombstones() -> Update:
    """Who has not heard of what is forgotten starts again, as with purged tasks (trash.py)."""
    revision = DELETED_COMPLETIONS.c.revision
    newest = select(revision).where(deleted_of_mine).order_by(revision.desc())
    surplus = newest.offset(bindparam("kept", type_=BigInteger)).limit(1).scalar_subquery()
    gone = delete(DELETED_COMPLETIONS).where(deleted_of_mine, revision <= surplus).returning(revision).cte("gone")
    last = select(func.max(gone.c.revision)).scalar_subquery()
    horizon = func.greatest(func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision), last)
    return update(COUNTERS).values(horizon=horizon).where(COUNTERS.c.user_id == owner, last.is_not(None))


RECORD = compile_scoped("get the record of a completion", select(*(COMPLETIONS.c[n] for n in _RECORDED)).where(*_this))
FORGET = compile_scoped("forget a completion", delete(COMPLETIONS).where(*_this))
LEAVE_TOMBSTONE = compile_scoped("remember that a completion was taken back", _leave_tombstone(), bumps_revision=True)
FORGET_TOMBSTONES = compile_scoped("forget which completions were taken back first", _forget_tombstones())
REOPEN = compile_scoped(
    "open again what was completed",
    _written_again(
        and_(TASKS.c.completed_at == _at, TASKS.c.updated_at == _at),
        or_(TASKS.c.id == task_id, TASKS.c.parent_id == task_id),
        completed=False,
    ),
    bumps_revision=True,
)
COMPLETE_SUBTASKS = compile_scoped(
    "complete the subtasks again that a repetition had opened",
    _written_again(
        TASKS.c.parent_id == task_id,
        TASKS.c.id == any_(bindparam("reopened", type_=ARRAY(BigInteger))),
        TASKS.c.completed == false(),
        completed=True,
    ),
    bumps_revision=True,
)


class CompletionUndo:
    """Takes completions back. May raise Unavailable.

    As many that were taken back stay known as are kept, so that clients hear of them.
    """

    __slots__ = ("_max_completions", "_max_subtasks", "_session")

    def __init__(self, session: OwnerSession, *, max_subtasks: int, max_completions: int) -> None:
        self._session = session
        self._max_subtasks = max_subtasks
        self._max_completions = max_completions

    async def undo(self, completion: str, expected: Expected) -> Task:
        """The task as it was before it was completed; the subtasks that went along are as they were, too.

        Raises CompletionNotFound, or PreconditionFailed where the task has changed since, is in the trash, or has not
        an expected revision.
        """
        named = named_completion(completion)
        if named is None:
            raise problems.CompletionNotFound
        this: dict[str, Any] = dict(zip(("task_id", "completed_at"), named, strict=True))
        limits = {"max_subtasks": self._max_subtasks, "max_completions": self._max_completions}
        async with TaskTree.locked(self._session, **limits) as tree:
            records = await tree.session.run(RECORD, **this)
            if records:
                undone = await _undo_occurrence(tree, records[0], this, expected)
                await tree.session.run(LEAVE_TOMBSTONE, **this)
                await tree.session.run(FORGET_TOMBSTONES, kept=self._max_completions)
                return undone
            return await _reopen(tree.session, this, expected)


async def _undo_occurrence(tree: TaskTree, record: dict[str, Any], this: dict[str, Any], expected: Expected) -> Task:
    task = await _unchanged(tree.session, this["task_id"], expected)
    # One that is completed for good was completed once more since.
    if task is None or task["completed"] or task["revision"] != record["revision"]:
        raise problems.PreconditionFailed
    was = Changes(
        due_date=record["due_date"],
        start_date=record["start_date"],
        recurrence=record["recurrence"],
        reminders=record["reminders"] or [],
    )
    written = await tree.change(task, was)
    if record["reopened"]:
        await tree.session.run(COMPLETE_SUBTASKS, **this, reopened=record["reopened"])
    await tree.session.run(FORGET, **this)
    await pass_on(tree.session, written, record["revision_before"])
    return written


async def _reopen(session: OwnerSession, this: dict[str, Any], expected: Expected) -> Task:
    named, moment = this["task_id"], this["completed_at"]
    living = await _unchanged(session, named, expected)
    found = [living] if living is not None else await session.run(TRASHED, task_id=named)
    if not found or _moment(found[0]["completed_at"]) != moment:
        raise problems.CompletionNotFound
    if living is None or living["updated_at"] != living["completed_at"]:
        raise problems.PreconditionFailed
    await session.run(REOPEN, **this)
    [opened] = await session.run(GET, task_id=named)
    if opened["recurrence"] is not None:
        await pass_on(session, opened, living["revision"])
    return opened


async def _unchanged(session: OwnerSession, named: int, expected: Expected) -> Task | None:
    """The task as it is, None where it is in the trash or gone. Raises PreconditionFailed."""
    found = await session.run(GET, task_id=named)
    return expected_task(found, expected) if found else None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
