"""The tasks of a list that goes to the trash, or comes back: all of them go along, or to the inbox.

A list may hold very many tasks: they go some at a time, so that no statement runs long, in one transaction that has
locked the counter.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Table,
    Update,
    any_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    null,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.repositories.mapping import COUNTERS, DELETED, TASKS, bump_revision, numbered, owner
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.trash import trim_trash

# How many tasks a statement moves.
TASKS_AT_ONCE: Final = 1000

_list_id = bindparam("list_id", type_=BigInteger)
_revision = bindparam("revision", type_=BigInteger)
_count = bindparam("count", type_=BigInteger)
_ids = bindparam("ids", type_=ARRAY(BigInteger))
_CONTENT = [column.name for column in TASKS.c]

_living = (TASKS.c.user_id == owner, TASKS.c.id == any_(_ids))
_trashed = (DELETED.c.user_id == owner, DELETED.c.id == any_(_ids))


def _some(name: str, table: Table, *conditions: ColumnElement[bool]) -> Statement:
    some = select(table.c.id).where(table.c.user_id == owner, *conditions).order_by(table.c.id).limit(TASKS_AT_ONCE)
    return compile_scoped(name, some)


def _each(source: Any, **values: Any) -> dict[str, Any]:
    """A task's columns, with the owner and a revision of its own."""
    columns = {name: source.c[name] for name in _CONTENT}
    return {**columns, "user_id": owner, "revision": _revision - source.c.place + 1, **values}


def _to_trash() -> ReturningInsert[Any]:
    going = numbered(select(*TASKS.c).where(*_living).cte("going"))
    values = _each(going, deleted_at=func.now(), deleted_with=going.c.parent_id, deleted_with_list=going.c.list_id)
    return insert(DELETED).from_select(list(values), select(*values.values())).returning(DELETED.c.id)


def _to_tasks() -> ReturningInsert[Any]:
    coming = numbered(select(*(DELETED.c[name] for name in _CONTENT)).where(*_trashed).cte("coming"))
    values = _each(coming, list_id=_list_id, updated_at=func.now())
    return insert(TASKS).from_select(list(values), select(*values.values())).returning(TASKS.c.id)


def _to_inbox() -> Update:
    going = numbered(select(TASKS.c.id).where(*_living).cte("going"))
    change = update(TASKS).values(list_id=null(), revision=_revision - going.c.place + 1, updated_at=func.now())
    return change.where(TASKS.c.user_id == owner, TASKS.c.id == going.c.id)


def _orphans() -> Update:
    parent = TASKS.alias("parent")
    there = select(parent.c.id).where(
        parent.c.user_id == owner,
        parent.c.id == TASKS.c.parent_id,
        parent.c.list_id == TASKS.c.list_id,
        parent.c.parent_id.is_(None),
    )
    return (
        update(TASKS)
        .values(parent_id=null())
        .where(
            TASKS.c.user_id == owner, TASKS.c.list_id == _list_id, TASKS.c.parent_id.is_not(None), not_(there.exists())
        )
    )


SOME_OF_LIST = _some("find some tasks of a list", TASKS, TASKS.c.list_id == _list_id)
SOME_DELETED = _some(
    "find some tasks that were deleted with a list", DELETED, DELETED.c.deleted_with_list == _list_id,
    not_(DELETED.c.purged),
)  # fmt: skip
_counts = (COUNTERS.c.revision, COUNTERS.c.task_count, COUNTERS.c.trash_count)


def _counted(name: str, **values: Any) -> Statement:
    return compile_scoped(name, bump_revision(_count, **values).returning(*_counts), bumps_revision=True)


FEWER = _counted(
    "count the tasks that a list takes to the trash",
    task_count=COUNTERS.c.task_count - _count,
    trash_count=COUNTERS.c.trash_count + _count,
)
MORE = _counted(
    "count the tasks that a list brings back",
    task_count=COUNTERS.c.task_count + _count,
    trash_count=COUNTERS.c.trash_count - _count,
)
BUMP = _counted("count a change of lists")
TRASH_TASKS = compile_scoped("write tasks of a list to the trash", _to_trash())
REMOVE_TASKS = compile_scoped("remove tasks of a list", delete(TASKS).where(*_living))
BRING_TASKS = compile_scoped("write tasks of the trash to their list", _to_tasks())
UNTRASH_TASKS = compile_scoped("remove tasks of a list from the trash", delete(DELETED).where(*_trashed))
FREE_ORPHANS = compile_scoped("free subtasks whose parent did not come back", _orphans())
TO_INBOX = compile_scoped("move tasks of a list to the inbox", _to_inbox())


async def trash_tasks(session: OwnerSession, list_id: int, *, max_tasks: int) -> None:
    """Move them to the trash, of which the oldest is purged beyond so many."""
    taken, trash_count = 0, None
    async for ids in _in_steps(session, SOME_OF_LIST, list_id):
        [counter] = await session.run(FEWER, count=len(ids))
        await session.run(TRASH_TASKS, ids=ids, revision=counter["revision"])
        await session.run(REMOVE_TASKS, ids=ids)
        taken, trash_count = taken + len(ids), counter["trash_count"]
    if taken:
        await trim_trash(session, trash_count, max_trash=max_tasks, most=taken)


async def bring_tasks(session: OwnerSession, list_id: int, *, max_tasks: int) -> None:
    """Take those back that were deleted with the list. Raises TaskLimitReached."""
    async for ids in _in_steps(session, SOME_DELETED, list_id):
        [counter] = await session.run(MORE, count=len(ids))
        if counter["task_count"] > max_tasks:
            raise problems.TaskLimitReached(max_tasks)
        await session.run(BRING_TASKS, ids=ids, list_id=list_id, revision=counter["revision"])
        await session.run(UNTRASH_TASKS, ids=ids)
    await session.run(FREE_ORPHANS, list_id=list_id)


async def keep_tasks(session: OwnerSession, list_id: int) -> None:
    """Move them to the inbox."""
    async for ids in _in_steps(session, SOME_OF_LIST, list_id):
        [counter] = await session.run(BUMP, count=len(ids))
        await session.run(TO_INBOX, ids=ids, revision=counter["revision"])


async def _in_steps(session: OwnerSession, some: Statement, list_id: int) -> AsyncIterator[list[int]]:
    """The ids of the next tasks, until there are no more; whoever asks takes them away."""
    while ids := [row[0] for row in await session.rows(some, list_id=list_id)]:
        yield ids
