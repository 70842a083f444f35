"""The rows of the occurrences that were completed, written with the completion by writes that have locked the list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, DateTime, Delete, Text, bindparam, delete, insert, select, true
from sqlalchemy.sql.selectable import CTE

from backend.app.db.session import OwnerSession
from backend.app.models import metadata
from backend.app.repositories.mapping import TASKS, Task, owner, task_id
from backend.app.repositories.scoping import compile_scoped

COMPLETIONS = metadata.tables["completions"]

# What a completion changes of a task that repeats.
PLAN: Final = ("due_date", "start_date", "recurrence")

of_mine = COMPLETIONS.c.user_id == owner
_values: Final[dict[str, Any]] = {
    "task_id": task_id,
    "completed_at": bindparam("completed_at", type_=DateTime(timezone=True)),
    **{name: bindparam(name, type_=Text) for name in ("title", *PLAN)},
    "reminders": bindparam("reminders", type_=ARRAY(Text)),
    "reopened": bindparam("reopened", type_=ARRAY(BigInteger)),
    "revision": bindparam("revision", type_=BigInteger),
    "revision_before": bindparam("revision_before", type_=BigInteger),
}


def _trim() -> Delete:
    newest = select(COMPLETIONS.c.completed_at).where(of_mine).order_by(COMPLETIONS.c.completed_at.desc())
    oldest_kept = newest.offset(bindparam("kept_before", type_=BigInteger)).limit(1).scalar_subquery()
    return delete(COMPLETIONS).where(of_mine, COMPLETIONS.c.completed_at < oldest_kept)


REMEMBER = compile_scoped("record a completion", insert(COMPLETIONS).values(user_id=owner, **_values))
TRIM = compile_scoped("forget the oldest completions", _trim())
DONE_PARTS = compile_scoped(
    "find the subtasks that a repetition opens again",
    select(TASKS.c.id).where(TASKS.c.user_id == owner, TASKS.c.parent_id == task_id, TASKS.c.completed == true()),
)


async def done_parts(session: OwnerSession, named: int) -> list[int]:
    """The subtasks of a task that are completed. May raise Unavailable."""
    return [part for (part,) in await session.rows(DONE_PARTS, task_id=named)]


async def record_completion(
    session: OwnerSession, before: Task, wanted: Mapping[str, Any], written: Task, *, now: datetime, parts: list[int]
) -> None:
    """Remember what a repeating task was when it was completed. May raise Unavailable.

    `before` is the task as it was stored, `wanted` as it was to be when it was completed, and `written` as it has moved
    on; `parts` are the subtasks that were opened again.
    """
    alone = all(before[name] == wanted[name] for name in ("title", "reminders", *PLAN))
    values = {name: wanted[name] for name in ("title", *PLAN)} | {"reminders": wanted["reminders"] or None}
    await session.run(
        REMEMBER,
        task_id=before["id"],
        completed_at=now,
        **values,
        reopened=parts or None,
        revision=written["revision"],
        revision_before=before["revision"] if alone else None,
    )


async def trim_completions(session: OwnerSession, *, most: int) -> None:
    """Forget the oldest rows beyond so many. May raise Unavailable."""
    await session.run(TRIM, kept_before=most - 1)


def gone_with(purged: CTE) -> CTE:
    """For a statement that purges tasks, whose ids these are: the completions of a task go with its contents."""
    return delete(COMPLETIONS).where(of_mine, COMPLETIONS.c.task_id.in_(select(purged.c.id))).cte("forgotten")
