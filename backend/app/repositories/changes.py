"""What has changed since a revision: tasks, lists and completions that were written, and the ids of what is gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    Label,
    Select,
    SmallInteger,
    Table,
    bindparam,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.completion_ids import completion_id
from backend.app.repositories.completion_records import COMPLETIONS, DELETED_COMPLETIONS, PLAN
from backend.app.repositories.completions import completion_of
from backend.app.repositories.lists import SHOWN, NamedList, row_to_list
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED,
    DELETED_LISTS,
    NAMED_LISTS,
    TASKS,
    Task,
    in_utc,
    owner,
    rfc3339,
    row_to_task,
    shown,
)
from backend.app.repositories.scoping import compile_scoped


class _Kind(IntEnum):
    """What a row of the changes is about."""

    TASK = 0
    DELETED_TASK = 1
    LIST = 2
    DELETED_LIST = 3
    COMPLETION = 4
    DELETED_COMPLETION = 5


# The columns of a task in which a row tells what it is about, by the table's own.
_NAMED = {name: name for name in ("user_id", "id", "revision")}
_OF_LIST = {name: name for name in SHOWN if name not in ("name", "archived")} | {
    "title": "name",
    "completed": "archived",
}
# An id of a completion is made of the task's and the moment.
_OF_COMPLETION = {name: name for name in ("user_id", "completed_at", "title", *PLAN, "reminders")} | {
    "id": "task_id",
    "revision": "sync_revision",
}
_OF_DELETED_COMPLETION = {name: name for name in ("user_id", "completed_at", "revision")} | {"id": "task_id"}

_since = bindparam("since", type_=BigInteger)
_limit = bindparam("limit", type_=Integer)


def _kind(kind: "_Kind") -> Label[int]:
    return literal(kind.value, SmallInteger).label("kind")


def _as_task(table: Table, names: Mapping[str, str]) -> list[ColumnElement[Any]]:
    """What is told of a row in the columns of a task: those that are named, and nulls."""
    found = {name: table.c[own] for name, own in names.items()}
    columns = []
    for column in shown(TASKS):
        value = found.get(str(column.key), null())
        is_moment = isinstance(column.type, DateTime) and column.key in found
        columns.append(in_utc(value) if is_moment else cast(value, column.type).label(column.key))
    return columns


def _changes() -> Select[Any]:
    """Beside the list's revision and horizon: what was changed, and of what was deleted what names it, by revision."""
    told = {
        _Kind.TASK: (TASKS, shown(TASKS)),
        _Kind.DELETED_TASK: (DELETED, _as_task(DELETED, _NAMED)),
        _Kind.LIST: (NAMED_LISTS, _as_task(NAMED_LISTS, _OF_LIST)),
        _Kind.DELETED_LIST: (DELETED_LISTS, _as_task(DELETED_LISTS, _NAMED)),
        _Kind.COMPLETION: (COMPLETIONS, _as_task(COMPLETIONS, _OF_COMPLETION)),
        _Kind.DELETED_COMPLETION: (DELETED_COMPLETIONS, _as_task(DELETED_COMPLETIONS, _OF_DELETED_COMPLETION)),
    }
    pages = []
    for kind, (table, columns) in told.items():
        revision = table.c.sync_revision if table is COMPLETIONS else table.c.revision
        changed = select(*columns, _kind(kind)).where(table.c.user_id == owner, revision > _since)
        pages.append(changed.order_by(revision).limit(_limit).subquery(kind.name.lower()))
    changes = union_all(*(select(*page.c) for page in pages)).subquery("changes")
    horizon = func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision).label("horizon")
    listed = select(COUNTERS.c.revision.label("list_revision"), horizon, *changes.c)
    return listed.select_from(COUNTERS.outerjoin(changes, literal(True))).where(COUNTERS.c.user_id == owner)


CHANGES = compile_scoped("list changes", _changes())


@dataclass(frozen=True, slots=True)
class Changes:
    """Newest states in the order of their revisions. Asking again with `revision` as `since` goes on from here."""

    tasks: list[Task]
    deleted: list[int]
    lists: list[NamedList]
    deleted_lists: list[int]
    completions: list[dict[str, Any]]
    deleted_completions: list[str]
    revision: int
    has_more: bool


class ChangeQueries:
    """The caller's changes. May raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def since(self, since: int, limit: int) -> Changes:
        """At most `limit` changes after a revision; after 0 all tasks there are.

        A place in such a copy at which deletions are not all known is given as a negative number: whoever has that has
        begun with 0, and needs no others than those that are. Raises SyncTokenExpired for a revision from which on
        deletions are not all known, and for one that is not of this list.
        """
        rows = await self._session.rows(CHANGES, since=abs(since), limit=limit + 1)
        revision, horizon = rows[0][:2] if rows else (0, 0)
        if abs(since) > revision or 0 < since < horizon:
            raise problems.SyncTokenExpired
        found = sorted((row[2:] for row in rows if row[2] is not None), key=_revision)
        page = found[:limit]
        if has_more := len(found) > limit:
            revision = _revision(page[-1])
            revision = -revision if since <= 0 and revision < horizon else revision
        told = {kind: [row[:-1] for row in page if row[-1] == kind] for kind in _Kind}
        return Changes(
            tasks=[row_to_task(row) for row in told[_Kind.TASK]],
            deleted=[row[_ID] for row in told[_Kind.DELETED_TASK] if since != 0],
            lists=[row_to_list(tuple(row[place] for place in _PLACES_OF_LIST)) for row in told[_Kind.LIST]],
            deleted_lists=[row[_ID] for row in told[_Kind.DELETED_LIST] if since != 0],
            completions=[_completion(row) for row in told[_Kind.COMPLETION]],
            deleted_completions=[_completion_id(row) for row in told[_Kind.DELETED_COMPLETION] if since != 0],
            revision=revision,
            has_more=has_more,
        )


_NAMES = [column.key for column in shown(TASKS)]
_ID, _REVISION, _COMPLETED_AT = (_NAMES.index(name) for name in ("id", "revision", "completed_at"))
_PLACES_OF_LIST = [_NAMES.index(name) for own in SHOWN for name, of in _OF_LIST.items() if of == own]
_PLACES_OF_COMPLETION = [_NAMES.index(name) for name in ("id", "completed_at", "title", *PLAN, "reminders")]


def _moment(row: tuple[Any, ...]) -> datetime:
    return datetime.fromisoformat(rfc3339(row[_COMPLETED_AT]))


def _completion(row: tuple[Any, ...]) -> dict[str, Any]:
    return completion_of((*(row[place] for place in _PLACES_OF_COMPLETION), True), _moment(row))


def _completion_id(row: tuple[Any, ...]) -> str:
    return completion_id(row[_ID], _moment(row))


def _revision(row: tuple[Any, ...]) -> int:
    return int(row[_REVISION])
