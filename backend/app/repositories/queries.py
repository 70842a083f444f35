"""What is read of the caller's tasks: one, a page of them, how many, their tags."""

from dataclasses import dataclass
from typing import Any

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Row
from backend.app.domain.enums import Status
from backend.app.domain.positions import unmoved
from backend.app.repositories.mapping import (
    DELETED,
    TASKS,
    Task,
    rfc3339,
    row_to_task,
    shown,
)
from backend.app.repositories.page_positions import PagePosition
from backend.app.repositories.query_statements import (
    COUNT,
    FIND,
    FIND_PLACED,
    FIND_PLACED_IN_LIST,
    GET,
    LIST,
    PLACED,
    REVISION,
    REVISION_OF,
    TAGS,
    filter_values,
    unmoved_bound,
)
from backend.app.repositories.sorting import ORDERS, Order
from backend.app.schemas.queries import TaskPageQuery

_SHOWN = len(shown(TASKS))
_ID, _REVISION, _POSITION = (
    [column.key for column in shown(TASKS)].index(name) for name in ("id", "revision", "position")
)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, where the next page starts if there is one, and the list's revision at that moment.

    `changed_since` is the revision of the first page where the pages that follow leave out all that was changed since.
    """

    found: list[dict[str, Any]]
    following: tuple[Any, ...] | None
    revision: int
    changed_since: int | None = None


class TaskQueries:
    """The caller's tasks as they are at one moment. Any method may raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def revision(self) -> int:
        """The revision of the last change; 0 if there never was one."""
        found = await self._session.rows(REVISION)
        return found[0][0] if found else 0

    async def revision_of(self, task_id: int) -> int:
        """The task's revision. Raises TaskNotFound."""
        found = await self._session.rows(REVISION_OF, task_id=task_id)
        if not found:
            raise problems.TaskNotFound
        return int(found[0][0])

    async def get(self, task_id: int) -> Task:
        """Raises TaskNotFound."""
        found = await self._session.run(GET, task_id=task_id)
        if not found:
            raise problems.TaskNotFound
        return found[0]

    async def page(self, query: TaskPageQuery, place: tuple[Any, ...] | None) -> Page:
        """The tasks that the query asks for from this place on, or from the beginning. Raises InvalidCursor."""
        start = PagePosition.first(query.sort) if place is None else PagePosition.read(query.sort, place)
        if query.is_usual:
            return await self._newest(query, before=start.key[0])
        table = DELETED if query.status is Status.DELETED else TASKS
        order = ORDERS[start.order]
        starts = {f"after_{name}": part for name, part in zip(order.names, start.key, strict=True)}
        if start.order in PLACED:
            return _page(query, start, await self._placed(query, start))
        rows = await self._session.rows(
            FIND[table, start.order], **filter_values(query), **starts, limit=query.limit + 1
        )
        return _page(query, start, rows)

    async def _placed(self, query: TaskPageQuery, start: PagePosition) -> list[Row]:
        """The rows in the order that the user made, each with its place at the end."""
        reverse = PLACED[start.order]
        key, task_id = start.key
        statement = FIND_PLACED_IN_LIST[reverse] if isinstance(query.list_id, int) else FIND_PLACED[reverse]
        bounds = {"after_position": key, "after_id": task_id, "unmoved": unmoved_bound(key, task_id, reverse=reverse)}
        rows = await self._session.rows(statement, **filter_values(query), **bounds, limit=query.limit + 1)
        there = [row for row in rows if row[1] is not None]
        placed = [(*row, row[_POSITION + 1] or unmoved(row[_ID + 1]), row[_ID + 1]) for row in there]
        placed.sort(key=lambda row: row[-2:], reverse=reverse)
        return placed[: query.limit + 1] or rows

    async def count(self, query: TaskPageQuery) -> int:
        """How many tasks the query finds on all of its pages."""
        table = DELETED if query.status is Status.DELETED else TASKS
        [counted] = await self._session.run(COUNT[table], **filter_values(query))
        return int(counted["found"])

    async def tags(self, place: tuple[Any, ...], *, limit: int) -> Page:
        """The tags of the caller's tasks from this place on, with how many have each. Raises InvalidCursor."""
        match place:
            case (str(after),) if "\0" not in after:
                rows = await self._session.rows(TAGS, after_tag=after, limit=limit + 1)
            case _:
                raise problems.InvalidCursor
        revision = rows[0][0] if rows else 0
        rows = [row[1:] for row in rows if row[1] is not None]
        found = [{"tag": tag, "open": pending, "total": total} for _, tag, pending, total in rows[:limit]]
        return Page(found, (rows[limit - 1][0],) if len(rows) > limit else None, revision)

    async def _newest(self, query: TaskPageQuery, before: int) -> Page:
        rows = await self._session.rows(LIST[query.status], before=before, limit=query.limit + 1)
        found = [row_to_task(row[1:]) for row in rows[: query.limit] if row[1] is not None]
        more = len(rows) > query.limit
        return Page(found, (found[-1]["id"],) if more else None, rows[0][0] if rows else 0)


def _page(query: TaskPageQuery, start: PagePosition, rows: list[Row]) -> Page:
    """The page that these rows make: one more than its limit were asked for, each beside the list's revision."""
    revision = rows[0][0] if rows else 0
    rows = [row[1:] for row in rows if row[1] is not None]
    kept = [row for row in rows if not start.passes_over(row[_ID], row[_REVISION])]
    listed = kept[: query.limit]
    found = [row_to_task(row[:_SHOWN]) for row in listed]
    if query.status is Status.DELETED:
        for task, row in zip(found, listed, strict=True):
            task["deleted_at"] = rfc3339(row[-1])
            task["remind_at"] = None
    ids = [task["id"] for task in found]
    if len(rows) <= query.limit:
        following = start.after_end(ids, revision)
    else:
        # Where tasks were passed over the page is shorter, and the next one starts after all that was read.
        last = listed[-1] if len(kept) > query.limit else rows[-1]
        following = start.after(_place(ORDERS[start.order], last), ids, revision)
    if following is None:
        return Page(found, None, revision)
    return Page(found, following.parts(), revision, following.moment if following.forgets else None)


def _place(order: Order, row: Row) -> tuple[Any, ...]:
    place = row[_SHOWN : _SHOWN + len(order.names)]
    # Timestamps come as text in UTC that does not say so.
    return tuple(
        f"{part}+00" if name == "due_at" and not part.endswith("infinity") else part
        for name, part in zip(order.names, place, strict=True)
    )
