"""Tasks that come from an export: all of them, or none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    any_,
    bindparam,
    delete,
    func,
    not_,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.errors import InvalidField
from backend.app.domain.first_revision import first_revision
from backend.app.models import NO_COUNTS
from backend.app.repositories.mapping import DELETED, LISTS, TASKS, owner, plain, task_to_columns
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.transfer import ArchivedTask

# How many tasks a statement writes.
BATCH = 500
# How many ids a statement names that looks at tasks or changes a column of them.
IDS_AT_ONCE = 5_000
Item = TypeVar("Item")
# Between tags that travel in one text: none contains it.
SEPARATOR = "\x1f"

_mine = TASKS.c.user_id == owner
_ids = bindparam("ids", type_=ARRAY(BigInteger))
_first_revision = bindparam("first_revision", type_=BigInteger)
_NAMES = [column.name for column in TASKS.c if column.name != "user_id"]
_TEXTS = ("tags", "tag_keys")
# What an import compares: a revision is given to what differs, and what has once been compound stays so.
_COMPARED = [name for name in _NAMES if name not in ("id", "revision", "compound")]


def _write() -> Any:
    arrays = [bindparam(f"of_{name}", type_=ARRAY(_element(name))) for name in _NAMES]
    rows = func.unnest(*arrays).table_valued(*_NAMES).render_derived()
    values: list[ColumnElement[Any]] = [owner]
    values += [func.string_to_array(rows.c[name], SEPARATOR) if name in _TEXTS else rows.c[name] for name in _NAMES]
    new = upsert(TASKS).from_select(["user_id", *_NAMES], select(*values))
    put: dict[str, ColumnElement[Any]] = {name: new.excluded[name] for name in (*_COMPARED, "revision")}
    put["compound"] = or_(TASKS.c.compound, new.excluded.compound)
    ours, theirs = (tuple_(*(columns[name] for name in _COMPARED)) for columns in (TASKS.c, new.excluded))
    return new.on_conflict_do_update(
        index_elements=[TASKS.c.user_id, TASKS.c.id], set_=put, where=ours.is_distinct_from(theirs)
    ).returning(TASKS.c.id, TASKS.c.revision)


def _element(name: str) -> Any:
    return TASKS.c.title.type if name in _TEXTS else plain(TASKS.c[name].type)


def _misplaced() -> Select[Any]:
    """Parts of what is no task, or is a part itself; and parts that have parts."""
    parent, part = TASKS.alias("parent"), TASKS.alias("part")
    is_parent = (parent.c.user_id == owner, parent.c.id == TASKS.c.parent_id, parent.c.parent_id.is_(None))
    has_part = (part.c.user_id == owner, part.c.parent_id == TASKS.c.id)
    wrong = or_(not_(select(parent.c.id).where(*is_parent).exists()), select(part.c.id).where(*has_part).exists())
    return select(TASKS.c.id).where(_mine, TASKS.c.id == any_(_ids), TASKS.c.parent_id.is_not(None), wrong)


START = compile_scoped(
    "begin an import",
    upsert(LISTS)
    .values(user_id=owner, last_task_id=0, task_count=0, revision=_first_revision, horizon=_first_revision, **NO_COUNTS)
    .on_conflict_do_update(index_elements=[LISTS.c.user_id], set_={"task_count": LISTS.c.task_count})
    .returning(LISTS.c.revision, LISTS.c.task_count),
)
KNOWN = compile_scoped("find the tasks that are known", select(TASKS.c.id).where(_mine, TASKS.c.id == any_(_ids)))
WRITE = compile_scoped("import tasks", _write())
UNTRASH = compile_scoped(
    "take over deleted ids", delete(DELETED).where(DELETED.c.user_id == owner, DELETED.c.id == any_(_ids))
)
MARK = compile_scoped(
    "mark tasks as parents",
    update(TASKS).values(compound=true()).where(_mine, TASKS.c.id == any_(_ids), not_(TASKS.c.compound)),
)
MISPLACED = compile_scoped("find parts at the wrong place", _misplaced())
CROWDED = compile_scoped(
    "find tasks with too many parts",
    select(TASKS.c.parent_id)
    .where(_mine, TASKS.c.parent_id == any_(_ids))
    .group_by(TASKS.c.parent_id)
    .having(func.count() > bindparam("max_subtasks", type_=BigInteger)),
)
FINISH = compile_scoped(
    "end an import",
    update(LISTS)
    .values(
        revision=bindparam("revision", type_=BigInteger),
        horizon=func.coalesce(LISTS.c.horizon, LISTS.c.revision),
        task_count=LISTS.c.task_count + bindparam("created", type_=BigInteger),
        last_task_id=func.greatest(LISTS.c.last_task_id, bindparam("last_task_id", type_=BigInteger)),
        # An import takes ids over from the trash: the next delete counts anew.
        trash_count=null(),
        tombstone_count=null(),
    )
    .where(LISTS.c.user_id == owner)
    .returning(LISTS.c.revision),
    bumps_revision=True,
)


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the tasks of a file."""

    created: int
    changed: int
    unchanged: int


class ImportRepository:
    """Brings tasks in, with their ids. May raise Unavailable."""

    __slots__ = ("_max_subtasks", "_max_tasks", "_session")

    def __init__(self, session: OwnerSession, *, max_tasks: int, max_subtasks: int) -> None:
        self._session = session
        self._max_tasks = max_tasks
        self._max_subtasks = max_subtasks

    async def import_tasks(self, tasks: list[ArchivedTask]) -> Count:
        """Make the caller's tasks with these ids as they are here; others stay.

        Raises TaskLimitReached, or InvalidField for a part that is at the wrong place.
        """
        created: set[int] = set()
        written: dict[int, int] = {}
        async with self._session.transaction() as session:
            [known] = await session.run(START, first_revision=first_revision())
            revision = known["revision"]
            parents = {task.parent_id for task in tasks} - {None}
            for batch in _slices(tasks, BATCH):
                ids = [task.id for task in batch]
                there = {row["id"] for row in await session.run(KNOWN, ids=ids)}
                made = await session.run(WRITE, **_arrays(batch, revision, parents))
                revision += len(batch)
                written |= {row["id"]: row["revision"] for row in made}
                created |= written.keys() & set(ids) - there
            if written:
                if known["task_count"] + len(created) > self._max_tasks:
                    raise problems.TaskLimitReached(self._max_tasks)
                for ids in _slices(list(created), IDS_AT_ONCE):
                    await session.run(UNTRASH, ids=ids)
                await self._check_families(session, tasks, parents)
                numbers = {
                    "revision": max(written.values()),
                    "created": len(created),
                    "last_task_id": max(created or [0]),
                }
                await session.run(FINISH, **numbers)
        return Count(len(created), len(written) - len(created), len(tasks) - len(written))

    async def _check_families(self, session: OwnerSession, tasks: list[ArchivedTask], parents: set[Any]) -> None:
        wrong: set[int] = set()
        full: set[int] = set()
        for some in _slices(tasks, IDS_AT_ONCE):
            wrong |= {row["id"] for row in await session.run(MISPLACED, ids=[task.id for task in some])}
        for ids in _slices(list(parents), IDS_AT_ONCE):
            crowded = await session.run(CROWDED, ids=ids, max_subtasks=self._max_subtasks)
            full |= {row["parent_id"] for row in crowded}
        for number, task in enumerate(tasks if wrong or full else ()):
            if task.id in wrong:
                raise _invalid(number, "must be another task, which is no subtask itself")
            if task.parent_id in full:
                raise _invalid(number, f"must be a task with at most {self._max_subtasks} subtasks")
        for ids in _slices(list(parents), IDS_AT_ONCE):
            await session.run(MARK, ids=ids)


def _slices(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _arrays(tasks: list[ArchivedTask], revision: int, parents: set[Any]) -> dict[str, list[Any]]:
    """The tasks by columns. Each may get a revision of its own, the next after the list's."""
    rows = []
    for number, task in enumerate(tasks, 1):
        members = task.model_dump()
        columns = task_to_columns(members)
        columns |= {name: SEPARATOR.join(columns[name]) for name in _TEXTS}
        columns |= {name: members[name] for name in ("id", "completed_at", "created_at", "updated_at")}
        columns["due_at"] = str(columns["due_at"])
        columns["revision"] = revision + number
        columns["compound"] = task.recurrence is not None or task.id in parents
        rows.append(columns)
    return {f"of_{name}": [row[name] for row in rows] for name in _NAMES}


def _invalid(number: int, detail: str) -> InvalidField:
    return InvalidField(("tasks", number, "parent_id"), detail)
