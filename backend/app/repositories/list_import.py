"""The lists of an export, with their ids, for an import that has locked the list (imports.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    any_,
    bindparam,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain import positions
from backend.app.domain.errors import InvalidField
from backend.app.repositories.arrays import looked_at, rows_of_arrays
from backend.app.repositories.import_positions import places
from backend.app.repositories.import_rows import TAKEN_MAX, is_another
from backend.app.repositories.lists import LAST_POSITION
from backend.app.repositories.mapping import COUNTERS, DELETED_LISTS, NAMED_LISTS, TASKS, in_utc, numbered, owner
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.transfer import ArchivedList, ArchivedTask

_ids = bindparam("ids", type_=ARRAY(BigInteger))
_revision = bindparam("revision", type_=BigInteger)
_NAMES = ("id", "name", "position", "archived", "revision", "created_at", "updated_at")
_COMPARED = ("name", "position", "archived", "created_at", "updated_at")


def _write() -> ReturningInsert[Any]:
    """Those that are there already as the file has them stay as they are."""
    rows, columns = rows_of_arrays(NAMED_LISTS, _NAMES)
    new = upsert(NAMED_LISTS).from_select(["user_id", *columns], select(owner, *columns.values()).select_from(rows))
    ours, theirs = (tuple_(*(table[name] for name in _COMPARED)) for table in (NAMED_LISTS.c, new.excluded))
    return new.on_conflict_do_update(
        index_elements=[NAMED_LISTS.c.user_id, NAMED_LISTS.c.id],
        set_={name: new.excluded[name] for name in (*_COMPARED, "revision")},
        where=ours.is_distinct_from(theirs),
    ).returning(NAMED_LISTS.c.id, NAMED_LISTS.c.revision)


def _follow() -> ReturningUpdate[Any]:
    # Subtasks first, by their index: joined the other way round, each pair of tasks would be compared with all ids.
    parent = TASKS.alias("parent")
    wanted = select(parent.c.list_id).where(parent.c.user_id == owner, parent.c.id == TASKS.c.parent_id)
    theirs = select(TASKS.c.id, TASKS.c.list_id.label("own"), wanted.scalar_subquery().label("list_id"))
    subtasks = theirs.where(TASKS.c.user_id == owner, TASKS.c.parent_id == any_(_ids)).cte("subtasks")
    strayed = select(subtasks.c.id, subtasks.c.list_id).where(subtasks.c.own.is_distinct_from(subtasks.c.list_id))
    moving = numbered(strayed.cte("moving"))
    return (
        update(TASKS)
        .values(list_id=moving.c.list_id, revision=_revision + moving.c.place)
        .where(TASKS.c.user_id == owner, TASKS.c.id == moving.c.id)
        .returning(TASKS.c.revision)
    )


_PLACES = places(NAMED_LISTS, DELETED_LISTS)
KNOWN_LISTS = compile_scoped(
    "find the lists that are known",
    select(NAMED_LISTS.c.id, NAMED_LISTS.c.position, in_utc(NAMED_LISTS.c.created_at)).where(
        NAMED_LISTS.c.user_id == owner
    ),
)
LIST_PLACES = compile_scoped("find the places of lists", select(_PLACES.c.id, _PLACES.c.position))
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
FOLLOW_PARENTS = compile_scoped("put subtasks into the lists of imported parents", _follow())


class ListImport:
    """The lists of a file on their way in, in a transaction."""

    def __init__(self, session: OwnerSession, lists: Sequence[ArchivedList], *, max_lists: int) -> None:
        # The new ids of lists by their ids in the file.
        self.new_ids: dict[int, int] = {}
        # The last revision that was given.
        self.revision = 0
        self._session = session
        self._lists = lists
        self._max_lists = max_lists

    async def write(self, counter: Mapping[str, int], *, new: bool, check: bool) -> None:
        """Add them under the next ids, behind the caller's, or put them in place of those with their ids.

        Raises ListLimitReached, and with `check` IdsTaken where one of these is another list.
        """
        self.revision = counter["revision"]
        if not self._lists:
            return
        rows_known = await self._session.run(KNOWN_LISTS)
        known = {row["id"]: row["position"] for row in rows_known}
        if check and not new:
            self._refuse_taken({row["id"]: row["created_at"] for row in rows_known})
        in_order = sorted(self._lists, key=lambda one: one.position)
        last_id = counter["last_list_id"]
        self.new_ids = {one.id: last_id + number if new else one.id for number, one in enumerate(in_order, 1)}
        if len(known.keys() | set(self.new_ids.values())) > self._max_lists:
            raise problems.ListLimitReached(self._max_lists)
        rows = [{**one.model_dump(include=set(_NAMES)), "id": self.new_ids[one.id]} for one in in_order]
        await self._place(rows, known, new=new)
        for number, row in enumerate(rows, 1):
            row["revision"] = self.revision + number
        written = await self._session.run(WRITE_LISTS, **{f"of_{name}": [row[name] for row in rows] for name in _NAMES})
        await self._session.run(TAKE_OVER, ids=[row["id"] for row in rows])
        await self._session.run(NUMBER_LISTS, last_list_id=max(row["id"] for row in rows))
        self.revision = max((row["revision"] for row in written), default=self.revision)

    def _refuse_taken(self, made: Mapping[int, str]) -> None:
        """Raises IdsTaken where a list of the caller's is not the file's of the same id."""
        taken = [
            f"#/lists/{number}/id"
            for number, one in enumerate(self._lists)
            if one.id in made and is_another(one.created_at, made[one.id])
        ]
        if taken:
            raise problems.IdsTaken(taken[:TAKEN_MAX])

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
        named: dict[int, int] = {}  # with the number of the first task that is in each
        begin = 0
        async for some in looked_at(tasks):
            for number, task in enumerate(some, begin):
                if task.list_id is not None:
                    named.setdefault(task.list_id, number)
            begin += len(some)
        there = set(self.new_ids)
        if named and not new:
            there |= {row["id"] for row in await self._session.run(KNOWN_LISTS)}
        for list_id, first in named.items():
            if list_id not in there:
                raise InvalidField(("tasks", first, "list_id"), "must be a list of the file")

    async def finish(self) -> None:
        """Where no task is written: count what was."""
        await self._session.run(FINISH_LISTS, revision=self.revision)
