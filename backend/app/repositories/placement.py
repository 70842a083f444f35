"""Which list a task is in: its own, or its parent's. For writes that have locked the counter.

A subtask is always in its parent's list, and goes to another one with it.
"""

from typing import Any

from sqlalchemy import BigInteger, bindparam, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from backend.app.db.session import OwnerSession
from backend.app.domain.enums import ANY_LIST, AnyList
from backend.app.domain.errors import InvalidField
from backend.app.repositories.lists import GET_LIST
from backend.app.repositories.mapping import COUNTERS, TASKS, Task, bump_revision, how_many, numbered, owner, task_id
from backend.app.repositories.scoping import compile_scoped

_list_id = bindparam("list_id", type_=BigInteger)


def _with_subtasks() -> ReturningUpdate[Any]:
    subtasks = (TASKS.c.user_id == owner, TASKS.c.parent_id == task_id, TASKS.c.list_id.is_distinct_from(_list_id))
    moving = numbered(select(TASKS.c.id).where(*subtasks).cte("moving"))
    counted = bump_revision(how_many(moving)).returning(COUNTERS.c.revision).cte("counted")
    return (
        update(TASKS)
        .values(list_id=_list_id, revision=counted.c.revision - moving.c.place + 1, updated_at=func.now())
        .where(TASKS.c.user_id == owner, TASKS.c.id == moving.c.id)
        .returning(TASKS.c.revision)
    )


PUT_INTO_LIST = compile_scoped(
    "put a task into a list",
    update(TASKS).values(list_id=_list_id).where(TASKS.c.user_id == owner, TASKS.c.id == task_id),
)
PUT_SUBTASKS_INTO_LIST = compile_scoped("put subtasks into a list", _with_subtasks(), bumps_revision=True)


async def known_list(session: OwnerSession, list_id: int | None) -> int | None:
    """The list that a task was in, or the inbox where that is gone."""
    return list_id if list_id is not None and await session.rows(GET_LIST, list_id=list_id) else None


async def list_of(
    session: OwnerSession, asked: int | AnyList | None, parent: Task | None, *, otherwise: int | None
) -> int | None:
    """The list that a task is to be in: its parent's, the one that is asked for, or otherwise another one.

    Raises InvalidField for a list that is not there, or not the parent's.
    """
    if parent is not None:
        of_parent: int | None = parent["list_id"]
        if asked is not ANY_LIST and asked != of_parent:
            raise InvalidField(("list_id",), "must be the list of the parent, or be left out")
        return of_parent
    if asked is ANY_LIST:
        return otherwise
    if asked is not None and asked != otherwise and not await session.rows(GET_LIST, list_id=asked):
        raise InvalidField(("list_id",), "must be a list of yours, or null for the inbox")
    return asked


async def put_into_list(session: OwnerSession, task_id: int, list_id: int | None) -> None:
    """Put a task that has just been written into a list, and its subtasks, each with a revision of its own."""
    await session.run(PUT_INTO_LIST, task_id=task_id, list_id=list_id)
    await session.run(PUT_SUBTASKS_INTO_LIST, task_id=task_id, list_id=list_id)
