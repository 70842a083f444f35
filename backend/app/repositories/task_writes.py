"""The statements that write one task, compiled at import (see scoping.py); tasks.py chooses among them.

subtasks.py has the writes that change more than one task.

Each write begins by locking the caller's task_lists row, so that a user's revisions are given in the order in which
they become visible, and ends by counting the change there only if a task was really written.

What most writes bring has statements of its own with few parameters: PostgreSQL reads each of them, and computes each
expression, for every execution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Delete,
    Select,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    case,
    cast,
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

from backend.app.db.statement import Statement
from backend.app.models import NO_COUNTS
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED,
    NEVER,
    RARE_VALUES,
    TASKS,
    VALUES,
    bump_revision,
    completion,
    owner,
    row_to_task,
    shown,
    task_id,
)
from backend.app.repositories.scoping import compile_scoped

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
        upsert(COUNTERS)
        .values(user_id=owner, last_task_id=1, task_count=1, revision=begins, horizon=begins, **NO_COUNTS)
        .on_conflict_do_update(
            index_elements=[COUNTERS.c.user_id],
            set_={
                "last_task_id": COUNTERS.c.last_task_id + 1,
                "task_count": COUNTERS.c.task_count + 1,
                "revision": COUNTERS.c.revision + 1,
                "horizon": func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision),
            },
            where=COUNTERS.c.task_count < bindparam("max_tasks", type_=BigInteger),
        )
        .returning(COUNTERS.c.last_task_id, COUNTERS.c.revision)
    )


def _numbered_as(
    last_task_id: ColumnElement[int], revision: ColumnElement[int], brought: Mapping[str, ColumnElement[Any]]
) -> dict[str, ColumnElement[Any]]:
    values: dict[str, ColumnElement[Any]] = {"user_id": owner, "id": last_task_id, "revision": revision}
    if "completed" in brought:
        values["completed_at"] = case((brought["completed"], func.now()))
    if "recurrence" in brought:
        values["compound"] = brought["recurrence"].is_not(None)
    return {**values, **brought}


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
    return select(COUNTERS.c.revision).where(COUNTERS.c.user_id == owner).with_for_update(key_share=True).cte("locked")


def _if_written(written: CTE, change: Update) -> CTE:
    counted = change.where(select(literal(1)).select_from(written).exists())
    return counted.returning(COUNTERS.c.revision, COUNTERS.c.trash_count).cte("counted")


def _as_expected() -> ColumnElement[bool]:
    return TASKS.c.revision == any_(_expected)


@dataclass(frozen=True, slots=True)
class Write:
    """A write in two forms: for a request without If-Match, and for one that names the revisions it may change.

    The first answers a row if it was made. The second answers one if the task is there, which ends with whether this
    write may be made by a statement alone, and begins with nulls if it was not made.
    """

    plain: Statement
    conditional: Statement


def _changed(name: str, *only: ColumnElement[bool], **values: Any) -> Write:
    change = update(TASKS).values(**values, updated_at=func.now()).where(*_this_one, *only)

    def plain() -> Update:
        # Counted first, and only for a task that is there. If it is deleted at this very moment, the number is lost.
        there = select(TASKS.c.id).where(*_this_one, *only).exists()
        counted = bump_revision().where(there).returning(COUNTERS.c.revision).cte("counted")
        return change.values(revision=counted.c.revision).returning(*shown(TASKS))

    def conditional() -> Select[Any]:
        locked = _locked()
        revised = change.values(revision=locked.c.revision + 1).where(_as_expected())
        written = revised.returning(*shown(TASKS)).cte("written")
        return _beside_what_is_there(written, *only).add_cte(_if_written(written, bump_revision()))

    return Write(
        compile_scoped(name, plain(), row_to_task, bumps_revision=True),
        compile_scoped(f"{name}, if it is as expected", conditional(), bumps_revision=True),
    )


def _beside_what_is_there(written: CTE, *only: ColumnElement[bool]) -> Select[Any]:
    there = select(and_(*only).label("alone")).where(*_this_one).cte("there")
    return select(*written.c, there.c.alone).select_from(there.outerjoin(written, literal(True)))


def _deleted(name: str) -> Write:
    def statement(*conditions: ColumnElement[bool]) -> tuple[Select[Any], CTE]:
        locked = _locked()
        removal: Delete = delete(TASKS).where(*_this_one, _alone, locked.c.revision > 0, *conditions)
        gone = removal.returning(*TASKS.c).cte("gone")
        kept: dict[str, ColumnElement[Any]] = {column.name: gone.c[column.name] for column in TASKS.c}
        kept |= {"user_id": owner, "revision": locked.c.revision + 1, "deleted_at": func.now()}
        trashed = insert(DELETED).from_select(list(kept), select(*kept.values())).cte("trashed")
        fewer = bump_revision(task_count=COUNTERS.c.task_count - 1, trash_count=COUNTERS.c.trash_count + 1)
        counted = _if_written(gone, fewer)
        return select(gone.c.id, counted.c.trash_count).select_from(gone.join(counted, literal(True))), trashed

    gone, trashed = statement()
    plain = gone.add_cte(trashed)
    gone, trashed = statement(_as_expected())
    conditional = _beside_what_is_there(gone.cte("written"), _alone).add_cte(trashed)
    return Write(
        compile_scoped(name, plain, bumps_revision=True),
        compile_scoped(f"{name}, if it is as expected", conditional, bumps_revision=True),
    )


_done = func.coalesce(VALUES["completed"], not_(TASKS.c.completed))


def _created(name: str, brought: Mapping[str, ColumnElement[Any]]) -> Statement:
    steps = _create_in_steps(name, brought)
    return compile_scoped(name, _create(brought), row_to_task, bumps_revision=True, steps=steps)


# A text's columns, with its keys for search and order.
TEXT: Final = {name: VALUES[name] for name in ("title", "title_key", "description", "description_key")}

CREATE = _created("create a task", VALUES)
CREATE_TEXT = _created("create a task of a text alone", TEXT)
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
_TITLE = {name: TEXT[name] for name in ("title", "title_key")}
_DESCRIPTION = {name: TEXT[name] for name in ("description", "description_key")}
# By the members that change, where nothing else does.
UPDATE_TEXT: Final = {
    frozenset({"title"}): _changed("update a title", _alone, **_TITLE),
    frozenset({"description"}): _changed("update a description", _alone, **_DESCRIPTION),
    frozenset({"title", "description"}): _changed("update a task's text", _alone, **TEXT),
}
_NO_TAGS = cast(literal("{}", Text), ARRAY(Text))
# A text in place of all that a task has but whether it is completed.
_NOTHING: dict[str, Any] = {
    "priority": 0,
    "due_date": null(),
    "due_at": NEVER,
    "time_zone": null(),
    "start_date": null(),
    "start_at": null(),
    "parent_id": null(),
    "tags": _NO_TAGS,
    "tag_keys": _NO_TAGS,
}
REPLACE_BY_TEXT = _changed("replace a task by a text", _alone, **TEXT, **_NOTHING)
COMPLETE = _changed("complete a task", _alone, completed=_done, completed_at=completion(_done))
DELETE = _deleted("delete a task")
