"""Statements that move a task with its subtasks to the trash, and back; each as one, and in steps for a cluster.

They run in a transaction that has locked the list, so that nothing changes between the steps.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import CTE

from backend.app.db.statement import Statement
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED,
    TASKS,
    VALUES,
    bump_revision,
    how_many,
    in_trash,
    numbered,
    owner,
    row_to_task,
    shown,
    task_id,
)
from backend.app.repositories.query_statements import GET
from backend.app.repositories.scoping import compile_scoped

_CONTENT = [column.name for column in TASKS.c]
# What the step that counts has answered.
_revision = bindparam("revision", type_=BigInteger)

_living = (TASKS.c.user_id == owner, or_(TASKS.c.id == task_id, TASKS.c.parent_id == task_id))
_subtasks = DELETED.c.deleted_with == task_id


def _fewer(by: ColumnElement[int]) -> Update:
    return bump_revision(by, task_count=COUNTERS.c.task_count - by, trash_count=COUNTERS.c.trash_count + by)


def _to_trash(rows: CTE, revision: ColumnElement[int]) -> ReturningInsert[Any]:
    values: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in _CONTENT}
    values |= {
        "user_id": owner,
        "revision": revision - rows.c.place + 1,
        "deleted_at": func.now(),
        "deleted_with": case((rows.c.id != task_id, task_id)),
    }
    return insert(DELETED).from_select(list(values), select(*values.values())).returning(DELETED.c.id)


def _remove() -> Select[Any]:
    gone = numbered(delete(TASKS).where(*_living).returning(*TASKS.c).cte("gone"))
    counted = _fewer(how_many(gone)).returning(COUNTERS.c.revision, COUNTERS.c.trash_count).cte("counted")
    trashed = _to_trash(gone, counted.c.revision).cte("trashed")
    return select(counted.c.revision, counted.c.trash_count).add_cte(trashed)


def _remove_in_steps(name: str) -> tuple[Statement, ...]:
    going = select(*TASKS.c).where(*_living).cte("going")
    counted = _fewer(how_many(going)).returning(COUNTERS.c.revision, COUNTERS.c.trash_count)
    return (
        compile_scoped(f"{name}: count them", counted, bumps_revision=True),
        compile_scoped(f"{name}: write them to the trash", _to_trash(numbered(going), _revision)),
        compile_scoped(f"{name}: remove them", delete(TASKS).where(*_living)),
    )


def _more(by: ColumnElement[int]) -> Update:
    return bump_revision(by, task_count=COUNTERS.c.task_count + by, trash_count=COUNTERS.c.trash_count - by)


def _to_tasks(rows: CTE, revision: ColumnElement[int]) -> ReturningInsert[Any]:
    values: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in _CONTENT}
    values |= {
        "user_id": owner,
        "parent_id": case((rows.c.id == task_id, VALUES["parent_id"]), else_=rows.c.parent_id),
        "list_id": bindparam("list_id", type_=BigInteger),
        "revision": revision - rows.c.place + 1,
        "updated_at": func.now(),
    }
    return insert(TASKS).from_select(list(values), select(*values.values())).returning(*shown(TASKS))


def _bring_back() -> Select[Any]:
    # Two statements, for each has an index of its own.
    content = [DELETED.c[name] for name in _CONTENT]
    itself = delete(DELETED).where(*in_trash, DELETED.c.id == task_id).returning(*content).cte("itself")
    subtasks = delete(DELETED).where(*in_trash, _subtasks).returning(*content).cte("subtasks")
    back = numbered(union_all(select(*itself.c), select(*subtasks.c)).cte("back"))
    counted = _more(how_many(back)).returning(COUNTERS.c.revision).cte("counted")
    living = _to_tasks(back, counted.c.revision).cte("living")
    return select(*living.c).where(living.c.id == task_id)


def _bring_back_in_steps(name: str) -> tuple[Statement, ...]:
    these = (*in_trash, or_(DELETED.c.id == task_id, _subtasks))
    coming = select(*(DELETED.c[name] for name in _CONTENT)).where(*these).cte("coming")
    counted = _more(how_many(coming)).returning(COUNTERS.c.revision)
    return (
        compile_scoped(f"{name}: count them", counted, bumps_revision=True),
        compile_scoped(f"{name}: write them to the tasks", _to_tasks(numbered(coming), _revision)),
        compile_scoped(f"{name}: remove them", delete(DELETED).where(*these)),
        GET,
    )


TRASHED = compile_scoped(
    "get a deleted task", select(*shown(DELETED)).where(*in_trash, DELETED.c.id == task_id), row_to_task
)
COUNT_TRASHED_SUBTASKS = compile_scoped(
    "count what was deleted with a task",
    select(func.count().label("count")).select_from(DELETED).where(*in_trash, _subtasks),
)

_REMOVE = "delete a task with its subtasks"
REMOVE = compile_scoped(_REMOVE, _remove(), bumps_revision=True, steps=_remove_in_steps(_REMOVE))

_BRING_BACK = "restore a task with its subtasks"
BRING_BACK = compile_scoped(
    _BRING_BACK, _bring_back(), row_to_task, bumps_revision=True, steps=_bring_back_in_steps(_BRING_BACK)
)
