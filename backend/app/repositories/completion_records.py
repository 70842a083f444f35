"""The rows of the occurrences that were completed, written with the completion by writes that have locked the list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Delete,
    Select,
    Text,
    bindparam,
    delete,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import CTE

from backend.app.db.session import OwnerSession
from backend.app.models import metadata
from backend.app.repositories.mapping import COUNTERS, TASKS, Task, bump_revision, owner, task_id
from backend.app.repositories.scoping import compile_scoped

COMPLETIONS = metadata.tables["completions"]
# Those that were taken back: what clients that keep a copy have to hear of.
DELETED_COMPLETIONS = metadata.tables["deleted_completions"]

# What a completion changes of a task that repeats.
PLAN: Final = ("due_date", "start_date", "recurrence")

# The order in which they go; an index has it.
AGE: Final = (COMPLETIONS.c.completed_at, COMPLETIONS.c.task_id)

of_mine = COMPLETIONS.c.user_id == owner
deleted_of_mine = DELETED_COMPLETIONS.c.user_id == owner
_values: Final[dict[str, Any]] = {
    "task_id": task_id,
    "completed_at": bindparam("completed_at", type_=DateTime(timezone=True)),
    **{name: bindparam(name, type_=Text) for name in ("title", *PLAN)},
    "reminders": bindparam("reminders", type_=ARRAY(Text)),
    "reopened": bindparam("reopened", type_=ARRAY(BigInteger)),
    "revision": bindparam("revision", type_=BigInteger),
    "revision_before": bindparam("revision_before", type_=BigInteger),
}


def _remember() -> ReturningInsert[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    values = {"user_id": owner, **_values, "sync_revision": counted.c.revision}
    made = insert(COMPLETIONS).from_select(list(values), select(*values.values()).select_from(counted))
    return made.returning(COMPLETIONS.c.sync_revision)


def oldest_kept(*columns: ColumnElement[Any]) -> Select[Any]:
    """These columns of the oldest row that is kept; none where there are not more than are kept."""
    newest = select(*columns).where(of_mine).order_by(*(column.desc() for column in AGE))
    return newest.offset(bindparam("kept_before", type_=BigInteger)).limit(1)


def _trim() -> Delete:
    # Found once: where PostgreSQL takes a user for one with few rows, it would look for it anew for each row.
    oldest = oldest_kept(*AGE).cte("oldest").prefix_with("MATERIALIZED", dialect="postgresql")
    return delete(COMPLETIONS).where(of_mine, tuple_(*AGE) < tuple_(*oldest.c))


# The completion before this one can be undone next.
PASS_ON = compile_scoped(
    "give the completion before the revision that its task has now",
    update(COMPLETIONS)
    .values(revision=bindparam("revision", type_=BigInteger))
    .where(of_mine, COMPLETIONS.c.task_id == task_id, COMPLETIONS.c.revision == _values["revision_before"]),
)
REMEMBER = compile_scoped("record a completion", _remember(), bumps_revision=True)
TRIM = compile_scoped("forget the oldest completions", _trim())
COMPLETED_SUBTASKS = compile_scoped(
    "find the subtasks that a repetition opens again",
    select(TASKS.c.id).where(TASKS.c.user_id == owner, TASKS.c.parent_id == task_id, TASKS.c.completed == true()),
)


async def completed_subtasks(session: OwnerSession, named: int) -> list[int]:
    """The subtasks of a task that are completed. May raise Unavailable."""
    return [subtask for (subtask,) in await session.rows(COMPLETED_SUBTASKS, task_id=named)]


async def record_completion(
    session: OwnerSession, before: Task, wanted: Mapping[str, Any], written: Task, *, now: datetime, reopened: list[int]
) -> None:
    """Remember what a repeating task was when it was completed. May raise Unavailable.

    `before` is the task as it was stored, `wanted` as it was to be when it was completed, and `written` as it has moved
    on; `reopened` has the ids of the subtasks that were opened again.
    """
    values = {name: wanted[name] for name in ("title", *PLAN)} | {"reminders": wanted["reminders"] or None}
    await session.run(
        REMEMBER,
        task_id=before["id"],
        completed_at=now,
        **values,
        reopened=reopened or None,
        revision=written["revision"],
        revision_before=before["revision"] if _stays(before, wanted) else None,
    )


async def complete_for_good(session: OwnerSession, before: Task, wanted: Mapping[str, Any], written: Task) -> None:
    """Let the completions of a repeating task be undone after this one, which was its last. May raise Unavailable."""
    if wanted["recurrence"] is not None and _stays(before, wanted):
        await pass_on(session, written, before["revision"])


async def pass_on(session: OwnerSession, written: Task, revision_before: int | None) -> None:
    """Let the completion that left a task with a revision be undone, though the task has another one now."""
    values = {"task_id": written["id"], "revision": written["revision"], "revision_before": revision_before}
    await session.run(PASS_ON, **values)


def _stays(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a completion is all that is written of a task."""
    return all(before[name] == wanted[name] for name in ("title", "reminders", *PLAN))


async def trim_completions(session: OwnerSession, *, max_completions: int) -> None:
    """Forget the oldest rows beyond so many. May raise Unavailable."""
    await session.run(TRIM, kept_before=max_completions - 1)


def gone_with(purged: CTE) -> tuple[CTE, CTE]:
    """For a statement that purges tasks, whose ids these are: what was completed of a task goes with its contents.

    So does what was taken back. No client is told of either: that the task is gone tells it.
    """
    done = delete(COMPLETIONS).where(of_mine, COMPLETIONS.c.task_id.in_(select(purged.c.id)))
    undone = delete(DELETED_COMPLETIONS).where(deleted_of_mine, DELETED_COMPLETIONS.c.task_id.in_(select(purged.c.id)))
    return done.cte("gone_completions"), undone.cte("gone_deleted_completions")
