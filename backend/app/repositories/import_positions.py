"""Which places tasks have in the user's own order when they come from a file, or from another user (claim.py)."""

import asyncio
import heapq
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import ARRAY, Subquery, Table, Text, any_, bindparam, func, select, union_all
from sqlalchemy.sql.elements import BindParameter

from backend.app.db.session import OwnerSession
from backend.app.domain import positions
from backend.app.repositories.arrays import looked_at
from backend.app.repositories.import_rows import Arrays
from backend.app.repositories.mapping import DELETED, TASKS, owner
from backend.app.repositories.scoping import compile_scoped

# How many tasks are looked at before other requests get their turn.
AT_ONCE: Final = 1000


def places(living: Table, deleted: Table, *sought: BindParameter[Any]) -> Subquery:
    """Ids and positions of what was moved, also in the trash; of these positions alone where they are given."""
    pages = [
        select(table.c.id, table.c.position).where(
            table.c.user_id == owner, table.c.position != "", *(table.c.position == any_(some) for some in sought)
        )
        for table in (living, deleted)
    ]
    return union_all(*pages).subquery("places")


_ALL = places(TASKS, DELETED)
_SOUGHT = places(TASKS, DELETED, bindparam("positions", type_=ARRAY(Text)))
ALL_PLACES = compile_scoped("find the places of tasks", select(_ALL.c.id, _ALL.c.position))
FIRST_PLACE = compile_scoped("find the first place", select(func.min(_ALL.c.position).label("position")))
TASK_PLACES = compile_scoped("find who has these places", select(_SOUGHT.c.id, _SOUGHT.c.position))


class Places:
    """The positions of a file's tasks that keep their ids: no two of the caller's tasks may have the same."""

    def __init__(self, session: OwnerSession, file: Collection[int]) -> None:
        """`file` has the ids of all its tasks."""
        self.file = file
        self._session = session
        self._seen: set[str] = set()

    async def freed(self, arrays: Arrays) -> Arrays:
        """These tasks without the positions that others have: they stand where they would if they were never moved."""
        wanted = [position for position in arrays["of_position"] if position]
        if not wanted:
            return arrays
        rows = await self._session.run(TASK_PLACES, positions=wanted)
        taken = self._seen | {row["position"] for row in rows if row["id"] not in self.file}
        kept = []
        for position in arrays["of_position"]:
            kept.append("" if position in taken else position)
            taken.add(position)
        self._seen.update(wanted)
        return {**arrays, "of_position": kept}


async def new_positions(
    session: OwnerSession, moved: Sequence[tuple[int, str]], unmoved: Sequence[int], new_id: Callable[[int], int]
) -> dict[int, str]:
    """The positions that tasks which were moved get under new ids, by their old ids.

    They stay in the order that they had, among each other and those that were not moved, and come before the caller's.
    `moved` has old ids and positions, `unmoved` the old ids of the others in their order.
    """
    front: list[int] = []
    behind: dict[int, list[int]] = {}
    async for task_id, position in _in_order(moved):
        own = positions.id_of_cell(position)
        # The task that it comes after: the oldest that is no older than the one that its position was made for.
        place = bisect_left(unmoved, own) if own is not None else len(unmoved) * positions.is_in_front(position)
        (behind.setdefault(unmoved[place], []) if place < len(unmoved) else front).append(task_id)
    [first] = await session.run(FIRST_PLACE)
    found: dict[int, str] = {}
    async for some in looked_at(front[::-1]):
        for task_id in some:
            first["position"] = found[task_id] = positions.before(first["position"])
    for task_id, following in behind.items():
        keys = positions.spread(positions.unmoved(new_id(task_id)), None, len(following), 0)
        for number, key in enumerate(keys):
            found[following[number]] = key
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
    return found


async def _in_order(moved: Sequence[tuple[int, str]]) -> AsyncIterator[tuple[int, str]]:
    """Sorted by position, in steps."""
    sorted_parts = []
    for start in range(0, len(moved), AT_ONCE):
        sorted_parts.append(sorted((position, task_id) for task_id, position in moved[start : start + AT_ONCE]))
        await asyncio.sleep(0)
    for number, (position, task_id) in enumerate(heapq.merge(*sorted_parts)):
        yield task_id, position
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
