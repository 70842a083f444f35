"""What has changed since a revision: the tasks that were written, and the ids of those that were deleted."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, bindparam, cast, func, literal, null, select, union_all

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.repositories.mapping import DELETED, LISTS, TASKS, Task, owner, row_to_task, shown
from backend.app.repositories.scoping import compile_scoped

_since = bindparam("since", type_=BigInteger)
_limit = bindparam("limit", type_=Integer)


def _changes() -> Select[Any]:
    """Beside the list's revision and horizon: changed tasks, and of deleted ones what names them; each in its order."""
    written = select(*shown(TASKS)).where(TASKS.c.user_id == owner, TASKS.c.revision > _since)
    named = [
        column if column.key in ("user_id", "id", "revision") else cast(null(), column.type).label(column.key)
        for column in shown(DELETED)
    ]
    deleted = select(*named).where(DELETED.c.user_id == owner, DELETED.c.revision > _since)
    pages = [
        written.order_by(TASKS.c.revision).limit(_limit).subquery("written"),
        deleted.order_by(DELETED.c.revision).limit(_limit).subquery("deleted"),
    ]
    changes = union_all(*(select(*page.c) for page in pages)).subquery("changes")
    horizon = func.coalesce(LISTS.c.horizon, LISTS.c.revision).label("horizon")
    listed = select(LISTS.c.revision.label("list_revision"), horizon, *changes.c)
    return listed.select_from(LISTS.outerjoin(changes, literal(True))).where(LISTS.c.user_id == owner)


CHANGES = compile_scoped("list changes", _changes())


@dataclass(frozen=True, slots=True)
class Changes:
    """Newest states in the order of their revisions. Asking again with `revision` as `since` goes on from here."""

    tasks: list[Task]
    deleted: list[int]
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
        return Changes(
            tasks=[row_to_task(row) for row in page if row[_TITLE] is not None],
            deleted=[row[_ID] for row in page if row[_TITLE] is None and since != 0],
            revision=revision,
            has_more=has_more,
        )


_NAMES = [column.key for column in shown(TASKS)]
_ID, _TITLE, _REVISION = (_NAMES.index(name) for name in ("id", "title", "revision"))


def _revision(row: tuple[Any, ...]) -> int:
    return int(row[_REVISION])
