"""Lists on their way to the trash and back, and what keeps the trash of lists bounded.

`list_tasks.py` takes their tasks along.
"""

from typing import Any, Literal

from sqlalchemy import BigInteger, Update, any_, bindparam, delete, func, insert, literal, not_, select, update
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.preconditions import Expected
from backend.app.repositories.arrays import array_of
from backend.app.repositories.list_tasks import BUMP, bring_tasks, keep_tasks, trash_tasks
from backend.app.repositories.lists import (
    COUNT_LISTS,
    SHOWN,
    NamedList,
    expected_list,
    get_list,
    row_to_list,
    shown_list,
    this_list,
)
from backend.app.repositories.mapping import COUNTERS, DELETED_LISTS, NAMED_LISTS, owner
from backend.app.repositories.reminders import cancel_reminders_of_list, take_up_reminders_of_list
from backend.app.repositories.scoping import compile_scoped

_list_id = bindparam("list_id", type_=BigInteger)
_revision = bindparam("revision", type_=BigInteger)
_surplus = bindparam("surplus", type_=BigInteger)
_kept = (DELETED_LISTS.c.user_id == owner, not_(DELETED_LISTS.c.purged))
_this_kept = (*_kept, DELETED_LISTS.c.id == _list_id)


_trash_values: dict[str, Any] = {
    **{name: NAMED_LISTS.c[name] for name in SHOWN},
    "user_id": owner,
    "revision": _revision,
    "deleted_at": func.now(),
}
_list_values: dict[str, Any] = {
    **{name: DELETED_LISTS.c[name] for name in SHOWN},
    "user_id": owner,
    "revision": _revision,
    "updated_at": func.now(),
}
TRASH_LIST = compile_scoped(
    "write a list to the trash",
    insert(DELETED_LISTS)
    .from_select(list(_trash_values), select(*_trash_values.values()).where(*this_list))
    .returning(DELETED_LISTS.c.id),
)
REMOVE_LIST = compile_scoped("remove a list", delete(NAMED_LISTS).where(*this_list))
TRASHED_LIST = compile_scoped("get a deleted list", select(*shown_list(DELETED_LISTS)).where(*_this_kept), row_to_list)
BRING_LIST = compile_scoped(
    "bring a list back",
    insert(NAMED_LISTS)
    .from_select(list(_list_values), select(*_list_values.values()).where(*_this_kept))
    .returning(*shown_list(NAMED_LISTS)),
    row_to_list,
)
UNTRASH_LIST = compile_scoped("remove a list from the trash", delete(DELETED_LISTS).where(*_this_kept))

_trash: Any = select(
    func.count().filter(not_(DELETED_LISTS.c.purged)).label("kept"),
    func.count().filter(DELETED_LISTS.c.purged).label("purged"),
)
COUNT_TRASH = compile_scoped("count the lists of the trash", _trash.where(DELETED_LISTS.c.user_id == owner))


def _oldest(*conditions: ColumnElement[bool]) -> ColumnElement[Any]:
    mine = select(DELETED_LISTS.c.id).where(DELETED_LISTS.c.user_id == owner, *conditions)
    return array_of(mine.order_by(DELETED_LISTS.c.revision).limit(_surplus))


PURGE_LISTS = compile_scoped(
    "purge the oldest lists of the trash",
    update(DELETED_LISTS)
    .values(name="", position="", archived=literal(False), purged=literal(True))
    .where(DELETED_LISTS.c.user_id == owner, DELETED_LISTS.c.id == any_(_oldest(not_(DELETED_LISTS.c.purged)))),
)


def _forget() -> Update:
    these = DELETED_LISTS.c.id == any_(_oldest(DELETED_LISTS.c.purged))
    gone = delete(DELETED_LISTS).where(DELETED_LISTS.c.user_id == owner, these)
    forgotten = gone.returning(DELETED_LISTS.c.revision).cte("forgotten")
    last = select(func.max(forgotten.c.revision)).scalar_subquery()
    horizon = func.greatest(func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision), last)
    return update(COUNTERS).values(horizon=horizon).where(COUNTERS.c.user_id == owner)


FORGET_LISTS = compile_scoped("forget the oldest purged lists", _forget())


async def purge_lists(session: OwnerSession, *, keep: int, max_tombstones: int) -> None:
    """Purge the oldest lists of the trash down to so many, and forget the oldest tombstones beyond `max_tombstones`."""
    [trash] = await session.run(COUNT_TRASH)
    purged = max(trash["kept"] - keep, 0)
    if purged:
        await session.run(PURGE_LISTS, surplus=purged)
    forgotten = trash["purged"] + purged - max_tombstones
    if forgotten > 0:
        await session.run(FORGET_LISTS, surplus=forgotten)


class ListTrash:
    """The caller's lists, deleted and restored. Any method may raise Unavailable."""

    __slots__ = ("_max_lists", "_max_tasks", "_session")

    def __init__(self, session: OwnerSession, *, max_lists: int, max_tasks: int) -> None:
        self._session = session
        self._max_lists = max_lists
        self._max_tasks = max_tasks

    async def delete(self, list_id: int, tasks: Literal["delete", "keep"], expected: Expected = None) -> None:
        """Move a list to the trash, with its tasks, or without them: then they are in the inbox.

        The oldest of the trash is purged where there is more in it than a user may have. Raises ListNotFound or
        PreconditionFailed.
        """
        async with self._session.transaction() as session:
            await get_list(session, list_id, expected)
            if tasks == "keep":
                await keep_tasks(session, list_id)
            else:
                await cancel_reminders_of_list(session, list_id)
                await trash_tasks(session, list_id, max_tasks=self._max_tasks)
            [counter] = await session.run(BUMP, count=1)
            await session.run(TRASH_LIST, list_id=list_id, revision=counter["revision"])
            await session.run(REMOVE_LIST, list_id=list_id)
            await purge_lists(session, keep=self._max_lists, max_tombstones=self._max_lists)

    async def restore(self, list_id: int, expected: Expected = None) -> NamedList:
        """Take a list back from the trash, with the tasks that were deleted with it.

        Raises ListNotFound where it is not in the trash, PreconditionFailed, ListLimitReached or TaskLimitReached.
        """
        async with self._session.transaction() as session:
            await self._check_restorable(session, list_id, expected)
            [counter] = await session.run(BUMP, count=1)
            [restored] = await session.run(BRING_LIST, list_id=list_id, revision=counter["revision"])
            await session.run(UNTRASH_LIST, list_id=list_id)
            await bring_tasks(session, list_id, max_tasks=self._max_tasks)
            await take_up_reminders_of_list(session, list_id)
        return restored

    async def _check_restorable(self, session: OwnerSession, list_id: int, expected: Expected) -> None:
        expected_list(await session.run(TRASHED_LIST, list_id=list_id), expected)
        [count] = await session.run(COUNT_LISTS)
        if count["lists"] >= self._max_lists:
            raise problems.ListLimitReached(self._max_lists)
