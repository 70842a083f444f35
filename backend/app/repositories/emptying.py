"""Removing what is in the trash for good, as its user asks for it. What stays of each is that it is gone."""

from typing import Any

from sqlalchemy import BigInteger, any_, bindparam, not_, select, update
from sqlalchemy.sql.elements import ColumnElement

from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.domain.preconditions import Expected
from backend.app.repositories.arrays import array_of
from backend.app.repositories.completion_records import gone_with
from backend.app.repositories.deletion import TRASHED
from backend.app.repositories.list_trash import purge_lists
from backend.app.repositories.mapping import COUNTERS, DELETED, owner, task_id
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.subtasks import expected_task
from backend.app.repositories.trash import COUNT, FORGET, TRIMMED_AT_ONCE, emptied_contents

_mine = DELETED.c.user_id == owner
_kept = not_(DELETED.c.purged)
_limit = bindparam("limit", type_=BigInteger)


def _purge(name: str, *these: ColumnElement[bool]) -> Statement:
    these_gone = update(DELETED).values(emptied_contents()).where(_mine, _kept, *these)
    purged = these_gone.returning(DELETED.c.id).cte("purged")
    return compile_scoped(name, select(purged.c.id).add_cte(*gone_with(purged)))


PURGE_SOME = _purge(
    "purge some of the trash",
    DELETED.c.id == any_(array_of(select(DELETED.c.id).where(_mine, _kept).order_by(DELETED.c.revision).limit(_limit))),
)
PURGE_SUBTASKS = _purge("purge what was deleted with a task", DELETED.c.deleted_with == task_id)
PURGE_TASK = _purge("purge a task of the trash", DELETED.c.id == task_id)
COUNT_PURGED = compile_scoped(
    "count what was purged",
    update(COUNTERS)
    .values(
        trash_count=COUNTERS.c.trash_count - bindparam("gone", type_=BigInteger),
        tombstone_count=COUNTERS.c.tombstone_count + bindparam("gone", type_=BigInteger),
    )
    .where(COUNTERS.c.user_id == owner)
    .returning(COUNTERS.c.trash_count, COUNTERS.c.tombstone_count),
)


class EmptyingRepository:
    """The caller's trash. Any method may raise Unavailable."""

    __slots__ = ("_max_lists", "_max_tombstones", "_session")

    def __init__(self, session: OwnerSession, *, max_lists: int, max_tombstones: int) -> None:
        self._session = session
        self._max_lists = max_lists
        self._max_tombstones = max_tombstones

    async def empty(self) -> int:
        """Remove all tasks and lists of the trash for good; how many tasks there were.

        `/changes` still tells that they are gone.
        """
        gone = 0
        async with self._session.transaction() as session:
            while purged := len(await session.run(PURGE_SOME, limit=TRIMMED_AT_ONCE)):
                gone += purged
            await self._count(session, gone)
            await purge_lists(session, keep=0, max_tombstones=self._max_lists)
        return gone

    async def purge(self, task_id: int, expected: Expected) -> None:
        """Remove a task from the trash for good, and the subtasks that were deleted with it.

        Raises TaskNotFound where it is not in the trash, or PreconditionFailed.
        """
        async with self._session.transaction() as session:
            expected_task(await session.run(TRASHED, task_id=task_id), expected)
            purged = [await session.run(statement, task_id=task_id) for statement in (PURGE_SUBTASKS, PURGE_TASK)]
            await self._count(session, sum(map(len, purged)))

    async def _count(self, session: OwnerSession, gone: int) -> None:
        """Count what was purged, and forget the oldest tombstones beyond as many as a user may leave."""
        counts: list[dict[str, Any]] = await session.run(COUNT_PURGED, gone=gone)
        if counts and counts[0]["tombstone_count"] is None:
            counts = await session.run(COUNT)
        while counts and (surplus := counts[0]["tombstone_count"] - self._max_tombstones) > 0:
            counts = await session.run(FORGET, surplus=min(surplus, TRIMMED_AT_ONCE))
