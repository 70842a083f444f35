"""The tasks of one caller. Every statement on them is in this file, prepared at import (see owned.py).

Each write is one statement that begins by locking the caller's task_lists row, so that a user's revisions are given
in the order in which they become visible, and ends by counting the change there only if a task was really written.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Delete,
    Integer,
    Select,
    Text,
    Update,
    any_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal,
    not_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.selectable import CTE

from backend.app import problems
from backend.app.db import OWNER, OwnerSession, Row, Statement
from backend.app.models import metadata
from backend.app.repositories.owned import prepare
from backend.app.schemas.task import Changes, Status, TaskCreate

Task = dict[str, Any]

# Revisions from which an If-Match may be satisfied (empty: from none); None where the request has no such condition.
Expected = Sequence[int] | None

_tasks = metadata.tables["tasks"]
_lists = metadata.tables["task_lists"]

_owner: BindParameter[str] = bindparam(OWNER, type_=Text)
_id: BindParameter[int] = bindparam("task_id", type_=BigInteger)
_title: BindParameter[str | None] = bindparam("title", type_=Text)
_description: BindParameter[str | None] = bindparam("description", type_=Text)
_completed: BindParameter[bool | None] = bindparam("completed", type_=Boolean)
_expected: BindParameter[Sequence[int]] = bindparam("expected", type_=ARRAY(BigInteger))


def _in_utc(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Timestamps leave the database in UTC, whatever time zone the session is in."""
    return func.timezone("UTC", column).label(column.key) if column.key in ("created_at", "updated_at") else column


def _task(row: Row) -> Task:
    """A row of `_shown` as a task, or a task of nothing where the row is one of nulls."""
    user_id, number, title, description, completed, revision, created_at, updated_at = row
    return {
        "user_id": user_id,
        "id": number,
        "title": title,
        "description": description,
        "completed": completed,
        "revision": revision,
        # RFC 3339 wants a T and a Z; db.py hands timestamps on as PostgreSQL's text.
        "created_at": created_at and f"{created_at[:10]}T{created_at[11:]}Z",
        "updated_at": updated_at and f"{updated_at[:10]}T{updated_at[11:]}Z",
    }


_shown = [_in_utc(column) for column in _tasks.columns]
_mine = _tasks.c.user_id == _owner
_this_one = (_mine, _tasks.c.id == _id)


def _list(name: str, *conditions: ColumnElement[bool]) -> Statement:
    """The list's revision beside each task of a page of those that meet the conditions, newest first.

    An empty page is one row of nulls beside the revision; who has never written anything has no row at all.
    """
    page = (
        select(*_shown)
        .where(_mine, *conditions, _tasks.c.id < bindparam("before", type_=BigInteger))
        .order_by(_tasks.c.id.desc())
        .limit(bindparam("limit", type_=Integer))
        .subquery("page")
    )
    # A join on nothing can only be made row by row, so the page's order stays, and nothing is sorted again.
    listed = select(_lists.c.revision.label("list_revision"), *page.c)
    return prepare(name, listed.select_from(_lists.outerjoin(page, literal(True))).where(_lists.c.user_id == _owner))


# A statement for each status, for each has an index that ends where the page ends.
LIST = {
    Status.ALL: _list("list tasks"),
    Status.PENDING: _list("list pending tasks", _tasks.c.completed == false()),
    Status.COMPLETED: _list("list completed tasks", _tasks.c.completed == true()),
}

REVISION = prepare("get the list's revision", select(_lists.c.revision).where(_lists.c.user_id == _owner))
GET = prepare("get a task", select(*_shown).where(*_this_one), _task)


def _create() -> Select[Any]:
    """Number the new task from the caller's row, which is made on their first write; no row comes back at the cap."""
    numbered = (
        upsert(_lists)
        .values(
            user_id=_owner,
            last_task_id=1,
            task_count=1,
            revision=bindparam("first_revision", type_=BigInteger),
        )
        .on_conflict_do_update(
            index_elements=[_lists.c.user_id],
            set_={
                "last_task_id": _lists.c.last_task_id + 1,
                "task_count": _lists.c.task_count + 1,
                "revision": _lists.c.revision + 1,
            },
            where=_lists.c.task_count < bindparam("max_tasks", type_=BigInteger),
        )
        .returning(_lists.c.last_task_id, _lists.c.revision)
        .cte("numbered")
    )
    values = select(_owner, numbered.c.last_task_id, _title, _description, _completed, numbered.c.revision)
    created = (
        insert(_tasks)
        .from_select(["user_id", "id", "title", "description", "completed", "revision"], values)
        .returning(*_shown)
        .cte("created")
    )
    return select(*created.c)


def _locked() -> CTE:
    """The caller's row, locked, as it is once every earlier write of theirs has ended."""
    # PostgreSQL never inlines a CTE that locks, so this runs once. FOR NO KEY UPDATE lets foreign key checks pass.
    return select(_lists.c.revision).where(_lists.c.user_id == _owner).with_for_update(key_share=True).cte("locked")


def _counted(written: CTE, *, removed: int = 0) -> CTE:
    """The caller's row moves on by one revision for the task that was written, if one was."""
    values: dict[str, Any] = {"revision": _lists.c.revision + 1}
    if removed:
        values["task_count"] = _lists.c.task_count - removed
    return (
        update(_lists)
        .values(values)
        .where(_lists.c.user_id == _owner, select(literal(1)).select_from(written).exists())
        .returning(_lists.c.revision)
        .cte("counted")
    )


def _as_expected() -> ColumnElement[bool]:
    return _tasks.c.revision == any_(_expected)


@dataclass(frozen=True, slots=True)
class _Write:
    """A write in two forms: for a request without If-Match, and for one that names the revisions it may change."""

    plain: Statement
    conditional: Statement


def _changed(name: str, **values: Any) -> _Write:
    change = update(_tasks).values(**values, updated_at=func.now()).where(*_this_one)

    def plain() -> Update:
        # Counted first, and only for a task that is there. If it is deleted at this very moment, the number is lost.
        there = select(_tasks.c.id).where(*_this_one).exists()
        counted = (
            update(_lists)
            .values(revision=_lists.c.revision + 1)
            .where(_lists.c.user_id == _owner, there)
            .returning(_lists.c.revision)
            .cte("counted")
        )
        return change.values(revision=counted.c.revision).returning(*_shown)

    def conditional() -> Select[Any]:
        locked = _locked()
        written = change.values(revision=locked.c.revision + 1).where(_as_expected()).returning(*_shown).cte("written")
        return _answer(written, _counted(written), conditional=True)

    return _Write(prepare(name, plain(), _task), prepare(f"{name}, if it is as expected", conditional(), _task))


def _removed(name: str) -> _Write:
    def statement(*conditions: ColumnElement[bool]) -> Select[Any]:
        locked = _locked()
        removal: Delete = delete(_tasks).where(*_this_one, locked.c.revision > 0, *conditions)
        written = removal.returning(_tasks.c.id).cte("written")
        return _answer(written, _counted(written, removed=1), bool(conditions))

    return _Write(prepare(name, statement()), prepare(f"{name}, if it is as expected", statement(_as_expected())))


def _answer(written: CTE, counted: CTE, conditional: bool) -> Select[Any]:
    """The written task. With a condition there is also a row for a task that was there and was not as expected."""
    if not conditional:
        return select(*written.c).add_cte(counted)
    seen = select(_tasks.c.id).where(*_this_one).cte("seen")
    return select(*written.c).select_from(seen.outerjoin(written, literal(True))).add_cte(counted)


CREATE = prepare("create a task", _create(), _task)
UPDATE = _changed(
    "update a task",
    title=func.coalesce(_title, _tasks.c.title),
    description=case((bindparam("describe", type_=Boolean), _description), else_=_tasks.c.description),
    completed=func.coalesce(_completed, _tasks.c.completed),
)
COMPLETE = _changed("complete a task", completed=func.coalesce(_completed, not_(_tasks.c.completed)))
DELETE = _removed("delete a task")


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, whether there are more, and the list's revision at that moment."""

    tasks: list[Task]
    more: bool
    revision: int


class TaskRepository:
    """The caller's tasks. No method takes a user id: the session has it from the token.

    Tasks come as dicts with the members of `schemas.task.Task`. Any method may raise Unavailable.
    """

    __slots__ = ("_max_tasks", "_session")

    def __init__(self, session: OwnerSession, *, max_tasks: int) -> None:
        self._session = session
        self._max_tasks = max_tasks

    async def revision(self) -> int:
        """The revision of the last change; 0 if there never was one."""
        found = await self._session.rows(REVISION)
        return found[0][0] if found else 0

    async def page(self, *, status: Status, before: int, limit: int) -> Page:
        """At most `limit` tasks with ids below `before`, newest first."""
        found = await self._session.rows(LIST[status], before=before, limit=limit + 1)
        tasks = [_task(row[1:]) for row in found[:limit] if row[1] is not None]
        return Page(tasks, more=len(found) > limit, revision=found[0][0] if found else 0)

    async def get(self, task_id: int) -> Task:
        """Raises TaskNotFound."""
        return _only(await self._session.run(GET, task_id=task_id))

    async def create(self, new: TaskCreate) -> Task:
        """Raises TooManyTasks."""
        created = await self._session.run(
            CREATE,
            title=new.title,
            description=new.description,
            completed=new.completed,
            max_tasks=self._max_tasks,
            # Someone who was erased and comes back starts above every ETag they ever had.
            first_revision=time.time_ns() // 1_000_000,
        )
        if not created:
            raise problems.TooManyTasks(self._max_tasks)
        return created[0]

    async def update(self, task_id: int, changes: Changes, expected: Expected = None) -> Task:
        """Raises TaskNotFound, or PreconditionFailed where the task's revision is not an expected one."""
        return await self._write(
            UPDATE,
            expected,
            task_id=task_id,
            title=changes.get("title"),
            describe="description" in changes,
            description=changes.get("description"),
            completed=changes.get("completed"),
        )

    async def complete(self, task_id: int, completed: bool | None, expected: Expected = None) -> Task:
        """Set `completed`, or turn it over where it is None. Raises TaskNotFound or PreconditionFailed."""
        return await self._write(COMPLETE, expected, task_id=task_id, completed=completed)

    async def delete(self, task_id: int, expected: Expected = None) -> None:
        """Raises TaskNotFound or PreconditionFailed."""
        await self._write(DELETE, expected, task_id=task_id)

    async def _write(self, write: _Write, expected: Expected, **parameters: Any) -> Task:
        if expected is None:
            return _only(await self._session.run(write.plain, **parameters))
        task = _only(await self._session.run(write.conditional, **parameters, expected=list(expected)))
        if task["id"] is None:
            raise problems.PreconditionFailed
        return task


def _only(found: list[Task]) -> Task:
    if not found:
        raise problems.TaskNotFound
    return found[0]
