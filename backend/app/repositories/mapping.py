"""How a task looks on its way out of the database, and on its way in."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    String,
    Table,
    Text,
    Update,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.selectable import CTE
from sqlalchemy.types import TypeEngine

from backend.app.db.statement import OWNER, Row
from backend.app.domain import due_dates
from backend.app.domain.enums import Priority, RecurrenceFrom
from backend.app.domain.keys import description_key, tag_key, title_key
from backend.app.domain.positions import unmoved
from backend.app.domain.reminders import next_moment
from backend.app.models import metadata

Task = dict[str, Any]

TASKS = metadata.tables["tasks"]
DELETED = metadata.tables["deleted_tasks"]
# One row for each user. The lists that a user makes are those of NAMED_LISTS.
COUNTERS = metadata.tables["task_lists"]
NAMED_LISTS = metadata.tables["lists"]
DELETED_LISTS = metadata.tables["deleted_lists"]

# Priorities sort by meaning.
PRIORITY_NUMBERS: Final[dict[Priority | None, int]] = {None: 0, Priority.LOW: 1, Priority.MEDIUM: 2, Priority.HIGH: 3}
_PRIORITIES: Final[dict[int | None, str | None]] = {
    None: None,
    **{number: priority and priority.value for priority, number in PRIORITY_NUMBERS.items()},
}
_SHOWN = (
    "user_id",
    "id",
    "title",
    "description",
    "completed",
    "completed_at",
    "priority",
    "due_date",
    "time_zone",
    "recurrence",
    "after_completion",
    "tags",
    "reminders",
    "parent_id",
    "list_id",
    "position",
    "revision",
    "created_at",
    "updated_at",
    "on_schedule",
    "start_date",
)

# By `after_completion` and `on_schedule`.
_RECURRENCE_FROM: Final = {
    (False, False): RecurrenceFrom.DUE_DATE.value,
    (True, False): RecurrenceFrom.COMPLETION.value,
    (False, True): RecurrenceFrom.SCHEDULE.value,
}

owner: BindParameter[str] = bindparam(OWNER, type_=Text)
task_id: BindParameter[int] = bindparam("task_id", type_=BigInteger)

# The deleted tasks that can be restored. An index has this condition without COALESCE; PostgreSQL might read all of it.
in_trash: Final = (DELETED.c.user_id == owner, not_(func.coalesce(DELETED.c.purged, false())))


def plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """A column's type for a parameter, which has no collation: that is the column's."""
    return Text() if isinstance(type_, String) else type_


def _parameters(*names: str) -> dict[str, BindParameter[Any]]:
    return {name: bindparam(name, type_=plain(TASKS.c[name].type)) for name in names}


# The columns that a write brings, as parameters of their names.
VALUES: Final = _parameters(
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
        "recurrence",
        "after_completion",
        "tags",
        "tag_keys",
        "parent_id",
    )
)
# Those that few tasks have: only statements of their own bring them.
RARE_VALUES: Final = _parameters("on_schedule", "start_date", "start_at")
NO_DUE_DATE: Final = "infinity"
NEVER: Final = cast(literal(NO_DUE_DATE, Text), DateTime(timezone=True))


def shown(table: Table) -> list[ColumnElement[Any]]:
    """What is shown of a task. Timestamps leave the database in UTC, whatever time zone the session is in."""
    return [
        in_utc(column) if isinstance(column.type, DateTime) else column for column in (table.c[name] for name in _SHOWN)
    ]


def in_utc(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A timestamp as UTC, whose text `rfc3339` takes."""
    return func.timezone("UTC", column, type_=DateTime()).label(column.key)


def row_to_task(row: Row) -> Task:
    """A row of `shown` as a task, or a task of nothing where the row is one of nulls."""
    (
        user_id,
        number,
        title,
        description,
        completed,
        completed_at,
        priority,
        due_date,
        time_zone,
        recurrence,
        after_completion,
        tags,
        reminders,
        parent_id,
        list_id,
        position,
        revision,
        created_at,
        updated_at,
        on_schedule,
        start_date,
    ) = row
    task = {
        "user_id": user_id,
        "id": number,
        "title": title,
        "description": description,
        "completed": completed,
        "completed_at": completed_at and rfc3339(completed_at),
        "priority": _PRIORITIES[priority],
        "start_date": start_date,
        "due_date": due_date,
        "time_zone": time_zone,
        "recurrence": recurrence,
        "recurrence_from": recurrence and _RECURRENCE_FROM[bool(after_completion), bool(on_schedule)],
        "tags": tags,
        "reminders": reminders or [],
        "remind_at": None,
        "parent_id": parent_id,
        "list_id": list_id,
        "position": position or (number and unmoved(number)),
        "revision": revision,
        "created_at": created_at and rfc3339(created_at),
        "updated_at": updated_at and rfc3339(updated_at),
    }
    if reminders:
        task["remind_at"] = next_moment(task)
    return task


def bump_revision(by: Any = 1, **values: Any) -> Update:
    """The caller's counters, so many revisions further, and with these values."""
    return (
        update(COUNTERS)
        .values(
            revision=COUNTERS.c.revision + by,
            horizon=func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision),
            **values,
        )
        .where(COUNTERS.c.user_id == owner)
    )


def completion(done: ColumnElement[bool]) -> ColumnElement[Any]:
    """What becomes of a task's `completed_at` when `completed` becomes this."""
    kept = case((not_(done), NEVER), (TASKS.c.completed, TASKS.c.completed_at))
    # COALESCE(kept, now()), and null for `NEVER`. Citus takes now() in an UPDATE, but not within CASE or COALESCE.
    return func.nullif(func.greatest(kept, func.least(kept, func.now())), NEVER)


def numbered(rows: CTE) -> CTE:
    """The rows with places from 1 on: each gets a revision of its own, so that no page of changes splits a write.

    They are found once. Where PostgreSQL takes a user for one with a single task, it would find them anew for each row
    that it joins them with: 3 seconds for the 2,500 tasks of somebody's first import.
    """
    found = select(*rows.c, func.row_number().over(order_by=rows.c.id).label("place"))
    return found.cte("numbered").prefix_with("MATERIALIZED", dialect="postgresql")


def how_many(rows: CTE) -> ColumnElement[int]:
    """The number of rows, as a value in another statement."""
    return select(func.count()).select_from(rows).scalar_subquery()


def rfc3339(timestamp: str) -> str:
    """PostgreSQL's text of a timestamp in UTC, which db/connection.py hands on, with a T and a Z."""
    return f"{timestamp[:10]}T{timestamp[11:]}Z"


def task_to_columns(members: Mapping[str, Any]) -> dict[str, Any]:
    """The columns for some members of a task, `due_at` only for those that have both a due date and a time zone."""
    columns = {name: value for name, value in members.items() if name in VALUES or name in RARE_VALUES}
    if "title" in members:
        columns["title_key"] = title_key(members["title"])
    if "description" in members:
        text = members["description"]
        columns["description_key"] = None if text is None else description_key(text)
    if "priority" in members:
        columns["priority"] = PRIORITY_NUMBERS[members["priority"]]
    if "tags" in members:
        columns["tag_keys"] = [tag_key(tag) for tag in members["tags"]]
    if "due_date" in members:
        text = members["due_date"]
        columns["due_at"] = NO_DUE_DATE if text is None else due_dates.due_at(text, members.get("time_zone"))
    if "start_date" in members:
        text = members["start_date"]
        columns["start_at"] = None if text is None else due_dates.start_at(text, members.get("time_zone"))
    if "recurrence" in members:
        repeats = members["recurrence"] is not None
        columns["after_completion"] = repeats and members["recurrence_from"] == RecurrenceFrom.COMPLETION
        columns["on_schedule"] = repeats and members["recurrence_from"] == RecurrenceFrom.SCHEDULE
    return columns
