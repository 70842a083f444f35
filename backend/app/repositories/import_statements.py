"""Statements of an import, each compiled once (see scoping.py). They run in a transaction that has locked the list."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Insert,
    Select,
    Table,
    Update,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from backend.app.repositories.arrays import rows_of_arrays
from backend.app.repositories.mapping import COUNTERS, DELETED, TASKS, in_trash, in_utc, owner
from backend.app.repositories.scoping import compile_scoped

NAMES = tuple(column.name for column in TASKS.c if column.name != "user_id")
# What an import compares: a task that does not differ is not written. What has once been compound stays so.
_COMPARED = [name for name in NAMES if name not in ("id", "revision", "compound")]

_mine = TASKS.c.user_id == owner
_ids = bindparam("ids", type_=ARRAY(BigInteger))


def _write() -> Insert:
    rows, columns = rows_of_arrays(TASKS, NAMES)
    new = upsert(TASKS).from_select(["user_id", *NAMES], select(owner, *columns.values()).select_from(rows))
    put: dict[str, ColumnElement[Any]] = {name: new.excluded[name] for name in (*_COMPARED, "revision")}
    put["compound"] = or_(TASKS.c.compound, new.excluded.compound)
    return new.on_conflict_do_update(index_elements=[TASKS.c.user_id, TASKS.c.id], set_=put)


def _differing(table: Table, *conditions: ColumnElement[bool]) -> Select[Any]:
    rows, columns = rows_of_arrays(TASKS, NAMES)
    ours = tuple_(*(table.c[name] for name in _COMPARED))
    theirs = tuple_(*(columns[name] for name in _COMPARED))
    return (
        select(table.c.id, in_utc(table.c.created_at))
        .select_from(table.join(rows, table.c.id == rows.c.id))
        .where(*conditions, ours.is_distinct_from(theirs))
    )


def _moves() -> FromClause:
    """Which tasks get which ids and revisions in the trash."""
    arrays = [bindparam(name, type_=ARRAY(BigInteger)) for name in ("ids", "new_ids", "revisions")]
    return func.unnest(*arrays).table_valued("id", "new_id", "revision").render_derived()


def _keep() -> ReturningInsert[Any]:
    moves = _moves()
    values: dict[str, ColumnElement[Any]] = {column.name: TASKS.c[column.name] for column in TASKS.c}
    values |= {"user_id": owner, "id": moves.c.new_id, "revision": moves.c.revision, "deleted_at": func.now()}
    values["position"] = literal("")  # no two tasks have the same one
    rows = select(*values.values()).select_from(TASKS.join(moves, TASKS.c.id == moves.c.id))
    rows = rows.where(_mine, TASKS.c.id == any_(_ids))
    return insert(DELETED).from_select(list(values), rows).returning(DELETED.c.id)


def _keep_trashed() -> Update:
    moves = _moves()
    moved = {"id": moves.c.new_id, "revision": moves.c.revision, "deleted_with": null(), "position": literal("")}
    return update(DELETED).values(**moved).where(*in_trash, DELETED.c.id == any_(_ids), DELETED.c.id == moves.c.id)


def _misplaced() -> Select[Any]:
    """Subtasks of what is no task, is a subtask itself, or in another list; and subtasks that have subtasks."""
    parent, part = TASKS.alias("parent"), TASKS.alias("part")
    is_parent = (
        parent.c.user_id == owner,
        parent.c.id == TASKS.c.parent_id,
        parent.c.parent_id.is_(None),
        parent.c.list_id.is_not_distinct_from(TASKS.c.list_id),
    )
    has_part = (part.c.user_id == owner, part.c.parent_id == TASKS.c.id)
    wrong = or_(not_(select(parent.c.id).where(*is_parent).exists()), select(part.c.id).where(*has_part).exists())
    return select(TASKS.c.id).where(_mine, TASKS.c.id == any_(_ids), TASKS.c.parent_id.is_not(None), wrong)


KNOWN = compile_scoped(
    "find the tasks that are known", select(TASKS.c.id, TASKS.c.due_date).where(_mine, TASKS.c.id == any_(_ids))
)
DIFFERING = compile_scoped("find the tasks that differ from a file's", _differing(TASKS, _mine))
TRASHED = compile_scoped(
    "find the tasks that are in the trash",
    select(DELETED.c.id, DELETED.c.due_date).where(*in_trash, DELETED.c.id == any_(_ids)),
)
TRASHED_DIFFERING = compile_scoped(
    "find the tasks in the trash that differ from a file's", _differing(DELETED, *in_trash)
)
KEEP = compile_scoped("write to the trash what is replaced", _keep())
KEEP_TRASHED = compile_scoped("number anew in the trash what is replaced", _keep_trashed())
WRITE = compile_scoped("import tasks", _write())
UNTRASH = compile_scoped(
    "take over deleted ids", delete(DELETED).where(DELETED.c.user_id == owner, DELETED.c.id == any_(_ids))
)
MARK = compile_scoped(
    "mark tasks as parents",
    update(TASKS).values(compound=true()).where(_mine, TASKS.c.id == any_(_ids), not_(TASKS.c.compound)),
)
MISPLACED = compile_scoped("find subtasks at the wrong place", _misplaced())
CROWDED = compile_scoped(
    "find tasks with too many subtasks",
    select(TASKS.c.parent_id)
    .where(_mine, TASKS.c.parent_id == any_(_ids))
    .group_by(TASKS.c.parent_id)
    .having(func.count() > bindparam("max_subtasks", type_=BigInteger)),
)
FINISH = compile_scoped(
    "end an import",
    update(COUNTERS)
    .values(
        revision=bindparam("revision", type_=BigInteger),
        horizon=func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision),
        task_count=COUNTERS.c.task_count + bindparam("created", type_=BigInteger),
        last_task_id=func.greatest(COUNTERS.c.last_task_id, bindparam("last_task_id", type_=BigInteger)),
        # An import takes ids over from the trash and adds to it: the next delete counts anew.
        trash_count=null(),
        tombstone_count=null(),
    )
    .where(COUNTERS.c.user_id == owner)
    .returning(COUNTERS.c.revision),
    bumps_revision=True,
)
