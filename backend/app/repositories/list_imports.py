"""The lists of an export, with their ids, and the places in the order that its tasks may have.

For an import that has locked the counter (imports.py).
"""

import asyncio
import heapq
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Text,
    any_,
    bindparam,
    delete,
    func,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain import positions
from backend.app.domain.errors import InvalidField
from backend.app.repositories.lists import LAST_POSITION
from backend.app.repositories.mapping import COUNTERS, DELETED, DELETED_LISTS, NAMED_LISTS, TASKS, numbered, owner
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.transfer import ArchivedList, ArchivedTask

# The tasks of a file by columns (import_rows.py).
Arrays = dict[str, list[Any]]
# How many tasks are looked at before other requests get their turn.
AT_ONCE: Final = 1000

_ids = bindparam("ids", type_=ARRAY(BigInteger))
_revision = bindparam("revision", type_=BigInteger)
_TYPES: dict[str, Any] = {
    "id": BigInteger,
    "name": Text,
    "position": Text,
    "archived": Boolean,
    "revision": BigInteger,
    "created_at": DateTime(timezone=True),
    "updated_at": DateTime(timezone=True),
}
_COMPARED = ("name", "position", "archived", "created_at", "updated_at")


def _write() -> Any:
    arrays = [bindparam(f"of_{name}", type_=ARRAY(type_)) for name, type_ in _TYPES.items()]
    rows = func.unnest(*arrays).table_valued(*_TYPES).render_derived()
    new = upsert(NAMED_LISTS).from_select(["user_id", *_TYPES], select(owner, *(rows.c[name] for name in _TYPES)))
    ours, theirs = (tuple_(*(columns[name] for name in _COMPARED)) for columns in (NAMED_LISTS.c, new.excluded))
    return new.on_conflict_do_update(
        index_elements=[NAMED_LISTS.c.user_id, NAMED_LISTS.c.id],
        set_={name: new.excluded[name] for name in (*_COMPARED, "revision")},
        where=ours.is_distinct_from(theirs),
    ).returning(NAMED_LISTS.c.id, NAMED_LISTS.c.revision)


def _follow() -> Any:
    # Subtasks first, by their index: joined the other way round, each pair of tasks would be compared with all ids.
    parent = TASKS.alias("parent")
    wanted = select(parent.c.list_id).where(parent.c.user_id == owner, parent.c.id == TASKS.c.parent_id)
    theirs = select(TASKS.c.id, TASKS.c.list_id.label("own"), wanted.scalar_subquery().label("list_id"))
    parts = theirs.where(TASKS.c.user_id == owner, TASKS.c.parent_id == any_(_ids)).cte("parts")
    strayed = select(parts.c.id, parts.c.list_id).where(parts.c.own.is_distinct_from(parts.c.list_id))
    moving = numbered(strayed.cte("moving"))
    return (
        update(TASKS)
        .values(list_id=moving.c.list_id, revision=_revision + moving.c.place)
        .where(TASKS.c.user_id == owner, TASKS.c.id == moving.c.id)
        .returning(TASKS.c.revision)
    )


def _places(living: Any, deleted: Any, *conditions: Any) -> Any:
    return union_all(
        *(
            select(table.c.id, table.c.position).where(table.c.user_id == owner, table.c.position != "", *only(table))
            for table in (living, deleted)
            for only in conditions
        )
    ).subquery("places")


_SOUGHT = bindparam("positions", type_=ARRAY(Text))
_TASK_PLACES = _places(TASKS, DELETED, lambda table: [table.c.position == any_(_SOUGHT)])
_LIST_PLACES = _places(NAMED_LISTS, DELETED_LISTS, lambda _: [])

KNOWN_LISTS = compile_scoped(
    "find the lists that are known",
    select(NAMED_LISTS.c.id, NAMED_LISTS.c.position).where(NAMED_LISTS.c.user_id == owner),
)
LIST_PLACES = compile_scoped("find the places of lists", select(_LIST_PLACES.c.id, _LIST_PLACES.c.position))
TASK_PLACES = compile_scoped("find who has these places", select(_TASK_PLACES.c.id, _TASK_PLACES.c.position))
WRITE_LISTS = compile_scoped("import lists", _write())
TAKE_OVER = compile_scoped(
    "take over deleted lists",
    delete(DELETED_LISTS).where(DELETED_LISTS.c.user_id == owner, DELETED_LISTS.c.id == any_(_ids)),
)
NUMBER_LISTS = compile_scoped(
    "number imported lists",
    update(COUNTERS)
    .values(last_list_id=func.greatest(COUNTERS.c.last_list_id, bindparam("last_list_id", type_=BigInteger)))
    .where(COUNTERS.c.user_id == owner),
)
FINISH_LISTS = compile_scoped(
    "end an import of lists",
    update(COUNTERS)
    .values(revision=_revision, horizon=func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision))
    .where(COUNTERS.c.user_id == owner, COUNTERS.c.revision < _revision)
    .returning(COUNTERS.c.revision),
    bumps_revision=True,
)
_ALL = _places(TASKS, DELETED, lambda _: [])
ALL_PLACES = compile_scoped("find the places of tasks", select(_ALL.c.id, _ALL.c.position))
_FIRST = _places(TASKS, DELETED, lambda _: [])
FIRST_PLACE = compile_scoped("find the first place", select(func.min(_FIRST.c.position).label("position")))
FOLLOW_PARENTS = compile_scoped("put subtasks into the lists of imported parents", _follow())


class ListImport:
    """The lists of a file on their way in, in a transaction that has locked the counter."""

    def __init__(self, session: OwnerSession, lists: Sequence[ArchivedList], *, max_lists: int) -> None:
        # What the ids of the file have become.
        self.new_ids: dict[int, int] = {}
        # The last one that was given.
        self.revision = 0
        self._session = session
        self._lists = lists
        self._max_lists = max_lists

    async def write(self, counter: Mapping[str, int], *, new: bool) -> None:
        """Add them under the next ids, behind the caller's, or put them in place of those with their ids.

        Raises ListLimitReached.
        """
        self.revision = counter["revision"]
        if not self._lists:
            return
        known = {row["id"]: row["position"] for row in await self._session.run(KNOWN_LISTS)}
        in_order = sorted(self._lists, key=lambda one: one.position)
        last_id = counter["last_list_id"]
        self.new_ids = {one.id: last_id + number if new else one.id for number, one in enumerate(in_order, 1)}
        if len(known.keys() | set(self.new_ids.values())) > self._max_lists:
            raise problems.ListLimitReached(self._max_lists)
        rows = [{**one.model_dump(include=set(_TYPES)), "id": self.new_ids[one.id]} for one in in_order]
        await self._place(rows, known, new=new)
        for number, row in enumerate(rows, 1):
            row["revision"] = self.revision + number
        written = await self._session.run(WRITE_LISTS, **{f"of_{name}": [row[name] for row in rows] for name in _TYPES})
        await self._session.run(TAKE_OVER, ids=[row["id"] for row in rows])
        await self._session.run(NUMBER_LISTS, last_list_id=max(row["id"] for row in rows))
        self.revision = max((row["revision"] for row in written), default=self.revision)

    async def _place(self, rows: list[dict[str, Any]], known: Mapping[int, str], *, new: bool) -> None:
        """No two lists have the same position: one that another list has is not taken."""
        ids = {row["id"] for row in rows}
        taken = {row["position"] for row in await self._session.run(LIST_PLACES) if row["id"] not in ids}
        [last] = await self._session.run(LAST_POSITION)
        end = last["position"]
        for row in rows:
            if new or row["position"] in taken:
                row["position"] = known.get(row["id"]) or positions.behind(end)
                end = max(end or "", row["position"])

    async def check_tasks(self, tasks: Sequence[ArchivedTask], *, new: bool) -> None:
        """Raises InvalidField for a task of a list that is not there."""
        if all(task.list_id is None for task in tasks):
            return
        there = set(self.new_ids)
        if not new:
            there |= {row["id"] for row in await self._session.run(KNOWN_LISTS)}
        for number, task in enumerate(tasks):
            if task.list_id is not None and task.list_id not in there:
                raise InvalidField(("tasks", number, "list_id"), "must be a list of the file")

    async def finish(self) -> None:
        """Where no task is written: count what was."""
        await self._session.run(FINISH_LISTS, revision=self.revision)


class Places:
    """The positions of a file's tasks that keep their ids: no two of the caller's tasks may have the same."""

    def __init__(self, session: OwnerSession, file: frozenset[int]) -> None:
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
    for task_id in reversed(front):
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
