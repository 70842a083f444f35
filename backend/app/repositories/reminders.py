"""When tasks remind of themselves: a row for each moment to come, which `scripts/deliver.py` waits for.

A task's `reminders` say what is planned; the rows follow them. They are written only for tasks that have reminders, in
a transaction that has locked the list. Completing a task leaves its rows: who delivers asks whether it is open.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Insert,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.app.db.session import OwnerSession
from backend.app.domain.reminders import moments, next_moment
from backend.app.models import metadata
from backend.app.repositories.arrays import rows_of_arrays
from backend.app.repositories.mapping import TASKS, Task, owner, task_id
from backend.app.repositories.scoping import compile_scoped

REMINDERS = metadata.tables["reminders"]
# What a task is before it is created.
NOTHING_PLANNED: Final[Mapping[str, Any]] = {"reminders": [], "due_date": None, "time_zone": None}

_mine = REMINDERS.c.user_id == owner
_ids = bindparam("ids", type_=ARRAY(BigInteger))
_moments = bindparam("moments", type_=ARRAY(DateTime(timezone=True)))
_my_tasks = TASKS.c.user_id == owner
_planned = [TASKS.c[name] for name in ("id", "reminders", "due_date", "time_zone")]


def _add() -> Insert:
    """Those that are to come; a moment that is waited for already stays as it is."""
    rows = func.unnest(_ids, _moments).table_valued("task_id", "remind_at").render_derived()
    values: list[ColumnElement[Any]] = [owner, rows.c.task_id, rows.c.remind_at, rows.c.remind_at]
    coming = select(*values).where(rows.c.remind_at > func.now())
    return upsert(REMINDERS).from_select(["user_id", "task_id", "remind_at", "try_at"], coming).on_conflict_do_nothing()


# A task with reminders counts as compound: the statements of plain tasks know nothing of reminders.
PLAN = compile_scoped(
    "write a task's reminders",
    update(TASKS)
    .values(reminders=bindparam("reminders", type_=ARRAY(Text)), compound=true())
    .where(_my_tasks, TASKS.c.id == task_id),
)
DROP_OTHERS = compile_scoped(
    "forget a task's other reminders",
    delete(REMINDERS).where(_mine, REMINDERS.c.task_id == task_id, not_(REMINDERS.c.remind_at == any_(_moments))),
)
DROP = compile_scoped(
    "forget the reminders of tasks", delete(REMINDERS).where(_mine, REMINDERS.c.task_id == any_(_ids))
)
ADD = compile_scoped("wait for reminders", _add())
CANCEL = compile_scoped(
    "cancel the reminders of a task and its subtasks",
    delete(REMINDERS).where(
        _mine,
        or_(
            REMINDERS.c.task_id == task_id,
            REMINDERS.c.task_id.in_(select(TASKS.c.id).where(_my_tasks, TASKS.c.parent_id == task_id)),
        ),
    ),
)
_in_list = (_my_tasks, TASKS.c.list_id == bindparam("list_id", type_=BigInteger))
CANCEL_OF_LIST = compile_scoped(
    "cancel the reminders of a list's tasks",
    delete(REMINDERS).where(_mine, REMINDERS.c.task_id.in_(select(TASKS.c.id).where(*_in_list))),
)
PLANNED_IN_LIST = compile_scoped(
    "find the reminders of a list's tasks", select(*_planned).where(*_in_list, TASKS.c.reminders.is_not(None))
)
PLANNED = compile_scoped(
    "find the reminders of tasks",
    select(*_planned).where(_my_tasks, TASKS.c.id == any_(_ids), TASKS.c.reminders.is_not(None)),
)
PLANNED_WITH_SUBTASKS = compile_scoped(
    "find the reminders of a task and its subtasks",
    select(*_planned).where(
        _my_tasks, or_(TASKS.c.id == task_id, TASKS.c.parent_id == task_id), TASKS.c.reminders.is_not(None)
    ),
)


_OVERDUE_NAMES: Final = ("task_id", "remind_at", "try_at", "tries")


def _overdue() -> Any:
    # Moments as PostgreSQL's text, which come back as the same ones.
    columns = [REMINDERS.c[name] for name in _OVERDUE_NAMES]
    told = [cast(one, Text).label(one.key) if isinstance(one.type, DateTime) else one for one in columns]
    return select(*told).where(_mine, REMINDERS.c.task_id == any_(_ids), REMINDERS.c.remind_at <= func.now())


def _take_over() -> Any:
    rows, columns = rows_of_arrays(REMINDERS, _OVERDUE_NAMES)
    chosen = select(owner, *columns.values()).select_from(rows)
    # A cluster makes a COPY of it where nothing is returned, which row security refuses.
    return insert(REMINDERS).from_select(["user_id", *columns], chosen).returning(REMINDERS.c.task_id)


OVERDUE = compile_scoped("find the reminders that are to be delivered", _overdue())
TAKE_OVER = compile_scoped("take over reminders that are to be delivered", _take_over())


async def write_reminders(
    session: OwnerSession, before: Mapping[str, Any], wanted: Mapping[str, Any], written: Task
) -> Task:
    """What was written of a task, with the reminders that it is wanted with; does nothing where none of it changes.

    `before` is the task as it was. May raise Unavailable.
    """
    if not (before["reminders"] or wanted["reminders"]) or all(
        before[name] == wanted[name] for name in NOTHING_PLANNED
    ):
        return written
    named, task = written["id"], {**written, "reminders": wanted["reminders"]}
    if before["reminders"] != wanted["reminders"]:
        await session.run(PLAN, task_id=named, reminders=wanted["reminders"] or None)
    coming = moments(wanted["reminders"], wanted["due_date"], wanted["time_zone"])
    await session.run(DROP_OTHERS, task_id=named, moments=coming)
    await session.run(ADD, ids=[named] * len(coming), moments=coming)
    return {**task, "remind_at": next_moment(task)}


async def cancel_reminders(session: OwnerSession, named: int) -> None:
    """Wait no more for those of a task that is about to be deleted with its subtasks. May raise Unavailable."""
    await session.run(CANCEL, task_id=named)


async def take_up_reminders(session: OwnerSession, named: int) -> None:
    """Wait again for those of a task that came back, and of its subtasks. May raise Unavailable."""
    await _wait_for(session, await session.run(PLANNED_WITH_SUBTASKS, task_id=named))


async def cancel_reminders_of_list(session: OwnerSession, list_id: int) -> None:
    """Wait no more for those of the tasks of a list that is about to be deleted with them. May raise Unavailable."""
    await session.run(CANCEL_OF_LIST, list_id=list_id)


async def take_up_reminders_of_list(session: OwnerSession, list_id: int) -> None:
    """Wait again for those of the tasks that came back with a list. May raise Unavailable."""
    await _wait_for(session, await session.run(PLANNED_IN_LIST, list_id=list_id))


async def renew_reminders(session: OwnerSession, ids: list[int]) -> None:
    """Wait for those that these tasks have now, and for no others, however they came to have them.

    May raise Unavailable.
    """
    if not ids:
        return
    await session.run(DROP, ids=ids)
    await _wait_for(session, await session.run(PLANNED, ids=ids))


async def take_over_reminders(mine: OwnerSession, theirs: OwnerSession, new_ids: Mapping[int, int]) -> None:
    """Wait for those of another user's tasks whose moment has come, but which were not delivered yet.

    `new_ids` has the ids of the caller's tasks by theirs. May raise Unavailable.
    """
    rows = await theirs.run(OVERDUE, ids=list(new_ids)) if new_ids else []
    if rows:
        told = [{**row, "task_id": new_ids[row["task_id"]]} for row in rows]
        await mine.run(TAKE_OVER, **{f"of_{name}": [row[name] for row in told] for name in _OVERDUE_NAMES})


async def _wait_for(session: OwnerSession, tasks: Iterable[Mapping[str, Any]]) -> None:
    coming = [
        (task["id"], moment)
        for task in tasks
        for moment in moments(task["reminders"], task["due_date"], task["time_zone"])
    ]
    if coming:
        ids, when = zip(*coming, strict=True)
        await session.run(ADD, ids=list(ids), moments=list(when))
