"""What the caller has completed.

An occurrence of a task that repeats has a row of its own (`completion_records.py`). Every other completion is the task
itself, living or in the trash, for as long as it stays completed: a plain toggle writes nothing more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    Select,
    Table,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Row
from backend.app.domain.completion_ids import completion_id, named_completion
from backend.app.domain.due_dates import first_moment
from backend.app.domain.limits import ID_MAX
from backend.app.repositories.completion_records import COMPLETIONS, PLAN
from backend.app.repositories.mapping import DELETED, TASKS, in_utc, owner, rfc3339
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.completions import CompletionQuery

# Before every moment, and after.
_FIRST: Final = "-infinity"
_LAST: Final = "infinity"

_after, _before, _at = (bindparam(name, type_=DateTime(timezone=True)) for name in ("after", "before", "at"))
_at_task = bindparam("at_task", type_=BigInteger)
_only = bindparam("only_task", type_=BigInteger)
_limit = bindparam("limit", type_=Integer)

# Where completions are, which column has the task's id, and whether these tasks moved on. A purge leaves no
# `completed_at` in the trash.
_SOURCES: Final = (
    (COMPLETIONS, COMPLETIONS.c.task_id, True),
    (TASKS, TASKS.c.id, False),
    (DELETED, DELETED.c.id, False),
)


def _within(table: Table, task: ColumnElement[int], *, of_task: bool) -> list[ColumnElement[bool]]:
    when = table.c.completed_at
    return [table.c.user_id == owner, when >= _after, when < _before, *([task == _only] if of_task else [])]


def _page(table: Table, task: ColumnElement[int], *, moved_on: bool, of_task: bool) -> Select[Any]:
    when = table.c.completed_at
    shown = [table.c[name] for name in ("title", *PLAN, "reminders")]
    found = select(task.label("task_id"), in_utc(when), *shown, literal(moved_on).label("moved_on"))
    found = found.where(*_within(table, task, of_task=of_task), tuple_(when, task) < tuple_(_at, _at_task))
    return found.order_by(when.desc(), task.desc()).limit(_limit)


def _list(*, of_task: bool) -> Select[Any]:
    """A page of each source, along its index: to be merged."""
    pages = [
        _page(table, task, moved_on=moved_on, of_task=of_task).subquery(table.name)
        for table, task, moved_on in _SOURCES
    ]
    found = union_all(*(select(*page.c) for page in pages)).subquery("found")
    return select(*found.c)


def _count(*, of_task: bool) -> Select[Any]:
    counts = [
        select(func.count()).select_from(table).where(*_within(table, task, of_task=of_task)).scalar_subquery()
        for table, task, _ in _SOURCES
    ]
    return select((counts[0] + counts[1] + counts[2]).label("found"))


# By whether they are those of one task.
LIST = {
    False: compile_scoped("list completions", _list(of_task=False)),
    True: compile_scoped("list completions of a task", _list(of_task=True)),
}
COUNT = {
    False: compile_scoped("count completions", _count(of_task=False)),
    True: compile_scoped("count completions of a task", _count(of_task=True)),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Completions, the newest first, and where the next page begins if there is one."""

    found: list[dict[str, Any]]
    following: tuple[str] | None


class CompletionQueries:
    """What the caller has completed. May raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def page(self, query: CompletionQuery, place: tuple[Any, ...] | None) -> Page:
        """Those that the query asks for, from this place on or from the newest. Raises InvalidCursor."""
        at_task, at = (ID_MAX, _LAST) if place is None else _read(place)
        statement = LIST[query.task_id is not None]
        rows = await self._session.rows(statement, **_bounds(query), at=at, at_task=at_task, limit=query.limit + 1)
        found = _newest_first(rows)[: query.limit + 1]
        following = (found[query.limit - 1]["id"],) if len(found) > query.limit else None
        return Page(found[: query.limit], following)

    async def count(self, query: CompletionQuery) -> int:
        """How many there are on all pages of the query."""
        [counted] = await self._session.run(COUNT[query.task_id is not None], **_bounds(query))
        return int(counted["found"])


def _bounds(query: CompletionQuery) -> dict[str, Any]:
    only = {} if query.task_id is None else {"only_task": query.task_id}
    return {
        "after": _FIRST if query.after is None else first_moment(query.after),
        "before": _LAST if query.before is None else first_moment(query.before),
        **only,
    }


def _read(place: tuple[Any, ...]) -> tuple[int, datetime]:
    match place:
        case (str(text),) if (named := named_completion(text)) is not None:
            return named
        case _:
            raise problems.InvalidCursor


def _newest_first(rows: Iterable[Row]) -> list[dict[str, Any]]:
    moments = [(datetime.fromisoformat(rfc3339(row[1])), row) for row in rows]
    moments.sort(key=lambda one: (one[0], one[1][0]), reverse=True)
    return [completion_of(row, moment) for moment, row in moments]


def completion_of(row: Row, moment: datetime) -> dict[str, Any]:
    """A completion as it is answered: of its task, `completed_at`, title, plan and reminders, and whether it moved on.

    `moment` is `completed_at` once more.
    """
    task, when, title, due_date, start_date, recurrence, reminders, moved_on = row
    return {
        "id": completion_id(task, moment),
        "task_id": task,
        "title": title,
        "completed_at": rfc3339(when),
        "due_date": due_date,
        "start_date": start_date,
        "recurrence": recurrence,
        "reminders": reminders or [],
        "moved_on": moved_on,
    }
