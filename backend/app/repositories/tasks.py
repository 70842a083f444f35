"""Writes of one task, each a single statement, compiled at import (see scoping.py).

subtasks.py has the writes that change more than one task.

Each write begins by locking the caller's task_lists row, so that a user's revisions are given in the order in which
they become visible, and ends by counting the change there only if a task was really written.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Delete,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.selectable import CTE

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.domain.first_revision import first_revision
from backend.app.models import NO_COUNTS
from backend.app.repositories.mapping import (
    DELETED,
    LISTS,
    RARE_VALUES,
    TASKS,
    VALUES,
    Task,
    bump_revision,
    completion,
    owner,
    row_to_task,
    shown,
    task_id,
    task_to_columns,
)
from backend.app.repositories.queries import GET
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.subtasks import Expected, TaskTree
from backend.app.repositories.trash import trim_trash
from backend.app.schemas.task import Changes, TaskCreate

_expected: BindParameter[Sequence[int]] = bindparam("expected", type_=ARRAY(BigInteger))
_this_one = (TASKS.c.user_id == owner, TASKS.c.id == task_id)
_alone = not_(TASKS.c.compound)

# Telling a column that is cleared from one that stays: whether the description is written, the due date, all of it.
_describe = bindparam("describe", type_=Boolean)
_reschedule = bindparam("reschedule", type_=Boolean)
_replace = bindparam("replace", type_=Boolean)
# A day ends where the task's time zone says, which a new due date alone does not bring along, and begins there, too.
_fits = or_(not_(_reschedule), and_(TASKS.c.start_date.is_(None), or_(_replace, TASKS.c.time_zone.is_(None))))


def _number() -> ReturningInsert[Any]:
    """Number a new task from the caller's row, which is made on their first write; no row comes back at the cap."""
    begins = bindparam("first_revision", type_=BigInteger)
    return (
        upsert(LISTS)
        .values(user_id=owner, last_task_id=1, task_count=1, revision=begins, horizon=begins, **NO_COUNTS)
        .on_conflict_do_update(
            index_elements=[LISTS.c.user_id],
            set_={
                "last_task_id": LISTS.c.last_task_id + 1,
                "task_count": LISTS.c.task_count + 1,
                "revision": LISTS.c.revision + 1,
                "horizon": func.coalesce(LISTS.c.horizon, LISTS.c.revision),
            },
            where=LISTS.c.task_count < bindparam("max_tasks", type_=BigInteger),
        )
        .returning(LISTS.c.last_task_id, LISTS.c.revision)
    )


def _numbered_as(
    last_task_id: ColumnElement[int], revision: ColumnElement[int], brought: Mapping[str, ColumnElement[Any]]
) -> dict[str, ColumnElement[Any]]:
    return {
        "user_id": owner,
        "id": last_task_id,
        "revision": revision,
        "completed_at": case((VALUES["completed"], func.now())),
        "compound": VALUES["recurrence"].is_not(None),
        **brought,
    }


def _create(brought: Mapping[str, ColumnElement[Any]]) -> Select[Any]:
    numbered = _number().cte("numbered")
    values = _numbered_as(numbered.c.last_task_id, numbered.c.revision, brought)
    created = insert(TASKS).from_select(list(values), select(*values.values())).returning(*shown(TASKS))
    return select(*created.cte("created").c)


def _create_in_steps(name: str, brought: Mapping[str, ColumnElement[Any]]) -> tuple[Statement, ...]:
    last_task_id, revision = (bindparam(column, type_=BigInteger) for column in ("last_task_id", "revision"))
    created = insert(TASKS).values(_numbered_as(last_task_id, revision, brought)).returning(*shown(TASKS))
    return (
        compile_scoped(f"{name}: number it", _number(), bumps_revision=True),
        compile_scoped(f"{name}: write it", created),
    )


def _locked() -> CTE:
    """The caller's row, locked, as it is once every earlier write of theirs has ended."""
    # PostgreSQL never inlines a CTE that locks, so this runs once. FOR NO KEY UPDATE lets foreign key checks pass.
    return select(LISTS.c.revision).where(LISTS.c.user_id == owner).with_for_update(key_share=True).cte("locked")


def _if_written(written: CTE, change: Update) -> CTE:
    counted = change.where(select(literal(1)).select_from(written).exists())
    return counted.returning(LISTS.c.revision, LISTS.c.trash_count).cte("counted")


def _as_expected() -> ColumnElement[bool]:
    return TASKS.c.revision == any_(_expected)


@dataclass(frozen=True, slots=True)
class _Write:
    """A write in two forms: for a request without If-Match, and for one that names the revisions it may change.

    The first answers a row if it was made. The second answers one if the task is there, which ends with whether this
    write may be made by a statement alone, and begins with nulls if it was not made.
    """

    plain: Statement
    conditional: Statement


def _changed(name: str, *only: ColumnElement[bool], **values: Any) -> _Write:
    change = update(TASKS).values(**values, updated_at=func.now()).where(*_this_one, *only)

    def plain() -> Update:
        # Counted first, and only for a task that is there. If it is deleted at this very moment, the number is lost.
        there = select(TASKS.c.id).where(*_this_one, *only).exists()
        counted = bump_revision().where(there).returning(LISTS.c.revision).cte("counted")
        return change.values(revision=counted.c.revision).returning(*shown(TASKS))

    def conditional() -> Select[Any]:
        locked = _locked()
        revised = change.values(revision=locked.c.revision + 1).where(_as_expected())
        written = revised.returning(*shown(TASKS)).cte("written")
        return _beside_what_is_there(written, *only).add_cte(_if_written(written, bump_revision()))

    return _Write(
        compile_scoped(name, plain(), row_to_task, bumps_revision=True),
        compile_scoped(f"{name}, if it is as expected", conditional(), bumps_revision=True),
    )


def _beside_what_is_there(written: CTE, *only: ColumnElement[bool]) -> Select[Any]:
    there = select(and_(*only).label("alone")).where(*_this_one).cte("there")
    return select(*written.c, there.c.alone).select_from(there.outerjoin(written, literal(True)))


def _deleted(name: str) -> _Write:
    def statement(*conditions: ColumnElement[bool]) -> tuple[Select[Any], CTE]:
        locked = _locked()
        removal: Delete = delete(TASKS).where(*_this_one, _alone, locked.c.revision > 0, *conditions)
        gone = removal.returning(*TASKS.c).cte("gone")
        kept: dict[str, ColumnElement[Any]] = {column.name: gone.c[column.name] for column in TASKS.c}
        kept |= {"user_id": owner, "revision": locked.c.revision + 1, "deleted_at": func.now()}
        trashed = insert(DELETED).from_select(list(kept), select(*kept.values())).cte("trashed")
        fewer = bump_revision(task_count=LISTS.c.task_count - 1, trash_count=LISTS.c.trash_count + 1)
        counted = _if_written(gone, fewer)
        return select(gone.c.id, counted.c.trash_count).select_from(gone.join(counted, literal(True))), trashed

    gone, trashed = statement()
    plain = gone.add_cte(trashed)
    gone, trashed = statement(_as_expected())
    conditional = _beside_what_is_there(gone.cte("written"), _alone).add_cte(trashed)
    return _Write(
        compile_scoped(name, plain, bumps_revision=True),
        compile_scoped(f"{name}, if it is as expected", conditional, bumps_revision=True),
    )


_done = func.coalesce(VALUES["completed"], not_(TASKS.c.completed))


def _created(name: str, brought: Mapping[str, ColumnElement[Any]]) -> Statement:
    steps = _create_in_steps(name, brought)
    return compile_scoped(name, _create(brought), row_to_task, bumps_revision=True, steps=steps)


CREATE = _created("create a task", VALUES)
CREATE_RARE = _created("create a task with what few have", VALUES | RARE_VALUES)
UPDATE = _changed(
    "update a task",
    _alone,
    _fits,
    title=func.coalesce(VALUES["title"], TASKS.c.title),
    title_key=func.coalesce(VALUES["title_key"], TASKS.c.title_key),
    description=case((_describe, VALUES["description"]), else_=TASKS.c.description),
    description_key=case((_describe, VALUES["description_key"]), else_=TASKS.c.description_key),
    completed=func.coalesce(VALUES["completed"], TASKS.c.completed),
    completed_at=completion(func.coalesce(VALUES["completed"], TASKS.c.completed)),
    priority=func.coalesce(VALUES["priority"], TASKS.c.priority),
    due_date=case((_reschedule, VALUES["due_date"]), else_=TASKS.c.due_date),
    due_at=case((_reschedule, VALUES["due_at"]), else_=TASKS.c.due_at),
    time_zone=case((_replace, VALUES["time_zone"]), else_=TASKS.c.time_zone),
    parent_id=case((_replace, null()), else_=TASKS.c.parent_id),
    tags=func.coalesce(VALUES["tags"], TASKS.c.tags),
    tag_keys=func.coalesce(VALUES["tag_keys"], TASKS.c.tag_keys),
)
COMPLETE = _changed("complete a task", _alone, completed=_done, completed_at=completion(_done))
DELETE = _deleted("delete a task")

# What an update writes by itself; a null of these is one that leaves the column as it is.
_UPDATED = (
    *(
        "title",
        "title_key",
        "description",
        "description_key",
        "completed",
        "priority",
        "due_date",
        "due_at",
        "time_zone",
    ),
    *("tags", "tag_keys"),
)
# What a task repeats by, or belongs to, has to be looked at together with the rest of it.
_TOGETHER = frozenset({"recurrence", "recurrence_from", "time_zone", "parent_id", "start_date"})


class TaskRepository:
    """The caller's tasks, one by one. No method takes a user id: the session has it from the token.

    Tasks come as dicts with the members of `schemas.task.Task`. Any method may raise Unavailable.
    """

    __slots__ = ("_max_subtasks", "_max_tasks", "session")

    def __init__(self, session: OwnerSession, *, max_tasks: int, max_subtasks: int) -> None:
        self.session = session
        self._max_tasks = max_tasks
        self._max_subtasks = max_subtasks

    async def create(self, new: TaskCreate) -> Task:
        """Raises TaskLimitReached, or InvalidField for a parent that cannot be one."""
        if new.parent_id is None:
            return await self._create(self.session, new)
        async with self._locked_tree() as tree:
            await tree.attach_child(new.parent_id)
            return await self._create(tree.session, new)

    async def _create(self, session: OwnerSession, new: TaskCreate) -> Task:
        columns = task_to_columns(new.model_dump())
        created = await session.run(
            CREATE_RARE if any(columns[name] for name in RARE_VALUES) else CREATE,
            **columns,
            max_tasks=self._max_tasks,
            first_revision=first_revision(),
        )
        if not created:
            raise problems.TaskLimitReached(self._max_tasks)
        return created[0]

    async def update(self, task_id: int, changes: Changes, expected: Expected = None, *, whole: bool = False) -> Task:
        """Change what is in `changes`; with `whole`, these are all members of a task but `completed`.

        Raises TaskNotFound, PreconditionFailed where the task's revision is not an expected one, or InvalidField
        where the changes do not go together with what stays.
        """
        if whole:
            alone = all(changes[name] is None for name in ("recurrence", "parent_id", "start_date"))
        else:
            alone = _TOGETHER.isdisjoint(changes)
        if alone:
            columns = task_to_columns(changes)
            written = await self._written(
                UPDATE,
                expected,
                task_id=task_id,
                **{name: columns.get(name) for name in _UPDATED},
                describe="description" in changes,
                reschedule="due_date" in changes,
                replace=whole,
            )
            if written is not None:
                return written
        async with self._locked_tree() as tree:
            return await tree.update(task_id, changes, expected)

    async def complete(
        self, task_id: int, completed: bool | None, expected: Expected = None, *, skip_missed: bool = False
    ) -> Task:
        """Set `completed`, or turn it over where it is None; raises TaskNotFound or PreconditionFailed.

        Completes the subtasks too. A task that repeats moves on to its next due date, with `skip_missed` to the next
        one that is not past, stays open, and comes with a `completed_occurrence`.
        """
        written = await self._written(COMPLETE, expected, task_id=task_id, completed=completed)
        if written is not None:
            return written
        async with self._locked_tree() as tree:
            return await tree.complete(task_id, completed, expected, skip_missed=skip_missed)

    async def delete(self, task_id: int, expected: Expected = None) -> None:
        """Move the task to the trash, and its subtasks with it. Raises TaskNotFound or PreconditionFailed.

        The oldest of the trash is purged where there is more in it than a user may have tasks.
        """
        # On a cluster in steps, as a task with subtasks.
        deleted = None if self.session.in_steps else await self._written(DELETE, expected, task_id=task_id)
        if deleted is None:
            async with self._locked_tree() as tree:
                deleted = await tree.delete(task_id, expected)
        await trim_trash(self.session, deleted["trash_count"], max_trash=self._max_tasks)

    async def restore(self, task_id: int, expected: Expected = None) -> Task:
        """Take the task back from the trash, and what was deleted with it.

        Comes back as a task of its own where its parent is none any more. Raises TaskNotFound where it is not in the
        trash, PreconditionFailed, or TaskLimitReached.
        """
        async with self._locked_tree() as tree:
            return await tree.restore(task_id, expected, max_tasks=self._max_tasks)

    def _locked_tree(self) -> AbstractAsyncContextManager[TaskTree]:
        return TaskTree.locked(self.session, max_subtasks=self._max_subtasks)

    async def _written(self, write: _Write, expected: Expected, **parameters: Any) -> Task | None:
        """What was written, or None where it takes more than a statement; raises as the methods above."""
        if expected is None:
            if found := await self.session.rows(write.plain, **parameters):
                return write.plain.shaped(found)[0]
            if not await self.session.rows(GET, task_id=parameters["task_id"]):
                raise problems.TaskNotFound
            return None
        if expected.any_of is None or expected.none_of:  # seldom: it is compared under the list's lock
            return None
        found = await self.session.rows(write.conditional, **parameters, expected=list(expected.any_of))
        if not found:
            raise problems.TaskNotFound
        *written, alone = found[0]
        if not alone:
            return None
        if written[0] is None:
            raise problems.PreconditionFailed
        return write.plain.shaped([tuple(written)])[0]
