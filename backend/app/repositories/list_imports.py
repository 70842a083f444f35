"""The lists of an export, with their ids, and the places in the order that its tasks may have.

For an import that has locked the counter (imports.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any

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
from backend.app.repositories.lists import LAST_POSITION
from backend.app.repositories.mapping import DELETED, DELETED_LISTS, LISTS, NAMED_LISTS, TASKS, numbered, owner
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.transfer import ArchivedList

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
    parent = TASKS.alias("parent")
    theirs = select(TASKS.c.id, parent.c.list_id).where(
        TASKS.c.user_id == owner,
        TASKS.c.parent_id == parent.c.id,
        parent.c.user_id == owner,
        parent.c.id == any_(_ids),
        TASKS.c.list_id.is_distinct_from(parent.c.list_id),
    )
    moving = numbered(theirs.cte("moving"))
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
    update(LISTS)
    .values(last_list_id=func.greatest(LISTS.c.last_list_id, bindparam("last_list_id", type_=BigInteger)))
    .where(LISTS.c.user_id == owner),
)
FOLLOW_PARENTS = compile_scoped("put subtasks into the lists of imported parents", _follow())


async def import_lists(
    session: OwnerSession, lists: Sequence[ArchivedList], revision: int, *, max_lists: int
) -> list[int]:
    """Make the caller's lists with these ids as they are here; others stay. The revisions that were given.

    A place that another list has already is not taken. Raises ListLimitReached.
    """
    if not lists:
        return []
    known = {row["id"]: row["position"] for row in await session.run(KNOWN_LISTS)}
    ids = [one.id for one in lists]
    if len(known.keys() | set(ids)) > max_lists:
        raise problems.ListLimitReached(max_lists)
    taken = {row["position"] for row in await session.run(LIST_PLACES) if row["id"] not in set(ids)}
    [last] = await session.run(LAST_POSITION)
    rows = []
    for number, one in enumerate(lists, 1):
        row = {**one.model_dump(include=set(_TYPES)), "revision": revision + number}
        if one.position in taken:
            row["position"] = known.get(one.id) or positions.behind(last["position"])
            last["position"] = max(last["position"], row["position"])
        rows.append(row)
    written = await session.run(WRITE_LISTS, **{f"of_{name}": [row[name] for row in rows] for name in _TYPES})
    await session.run(TAKE_OVER, ids=ids)
    await session.run(NUMBER_LISTS, last_list_id=max(ids))
    return [row["revision"] for row in written]


async def known_list_ids(session: OwnerSession) -> set[int]:
    """The lists that tasks may be in."""
    return {row["id"] for row in await session.run(KNOWN_LISTS)}


async def taken_places(session: OwnerSession, sought: Iterable[str], ids: frozenset[int]) -> set[str]:
    """Which of these positions tasks have that are not of the file: no two may have the same."""
    wanted = [position for position in sought if position]
    if not wanted:
        return set()
    return {row["position"] for row in await session.run(TASK_PLACES, positions=wanted) if row["id"] not in ids}
