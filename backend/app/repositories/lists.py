"""The lists that a user makes: read, made, renamed and moved. `list_trash.py` deletes and restores them.

A write is a transaction, which locks the caller's counter first, so that revisions become visible in their order.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    literal,
    not_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Row
from backend.app.domain import positions
from backend.app.domain.errors import InvalidField
from backend.app.domain.preconditions import Expected
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED_LISTS,
    NAMED_LISTS,
    bump_revision,
    in_utc,
    owner,
    rfc3339,
)
from backend.app.repositories.moves import LIST_ORDER, Neighbours
from backend.app.repositories.query_statements import GET_COUNTERS
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.lists import ListCreate, ListStatus

NamedList = dict[str, Any]

SHOWN = ("user_id", "id", "name", "position", "archived", "revision", "created_at", "updated_at")
_list_id = bindparam("list_id", type_=BigInteger)
_revision = bindparam("revision", type_=BigInteger)
this_list = (NAMED_LISTS.c.user_id == owner, NAMED_LISTS.c.id == _list_id)


def shown_list(table: Table) -> list[ColumnElement[Any]]:
    """What is shown of a list, with timestamps in UTC."""
    columns = [table.c[name] for name in SHOWN]
    return [in_utc(column) if isinstance(column.type, DateTime) else column for column in columns]


def row_to_list(row: Row) -> NamedList:
    """A row of `shown_list`; one from the trash ends with when it was deleted."""
    found = dict(zip(SHOWN, row, strict=False))
    for name in ("created_at", "updated_at"):
        found[name] = rfc3339(found[name])
    return found if len(row) == len(SHOWN) else {**found, "deleted_at": rfc3339(row[-1])}


def _beside_revision(table: Table, *conditions: ColumnElement[bool], order_by: Any) -> Select[Any]:
    """The revision beside each list; beside nulls where there is none, and no row for who never wrote anything."""
    columns = shown_list(table) + ([in_utc(DELETED_LISTS.c.deleted_at)] if table is DELETED_LISTS else [])
    rows = select(*columns).where(table.c.user_id == owner, *conditions).order_by(*order_by).subquery("page")
    listed = select(COUNTERS.c.revision.label("list_revision"), *rows.c)
    return listed.select_from(COUNTERS.outerjoin(rows, literal(True))).where(COUNTERS.c.user_id == owner)


_BY_POSITION = (NAMED_LISTS.c.position, NAMED_LISTS.c.id)
_LAST_DELETED_FIRST = (DELETED_LISTS.c.revision.desc(),)
LIST_LISTS = {
    ListStatus.ALL: compile_scoped("list lists", _beside_revision(NAMED_LISTS, order_by=_BY_POSITION)),
    ListStatus.ACTIVE: compile_scoped(
        "list active lists", _beside_revision(NAMED_LISTS, not_(NAMED_LISTS.c.archived), order_by=_BY_POSITION)
    ),
    ListStatus.ARCHIVED: compile_scoped(
        "list archived lists", _beside_revision(NAMED_LISTS, NAMED_LISTS.c.archived == true(), order_by=_BY_POSITION)
    ),
    ListStatus.DELETED: compile_scoped(
        "list deleted lists",
        _beside_revision(DELETED_LISTS, not_(DELETED_LISTS.c.purged), order_by=_LAST_DELETED_FIRST),
    ),
}
GET_LIST = compile_scoped("get a list", select(*shown_list(NAMED_LISTS)).where(*this_list), row_to_list)
REVISION_OF_LIST = compile_scoped("get a list's own revision", select(NAMED_LISTS.c.revision).where(*this_list))

COUNT_LISTS = compile_scoped(
    "count lists", select(func.count().label("lists")).select_from(NAMED_LISTS).where(NAMED_LISTS.c.user_id == owner)
)
# Those in the trash keep their places.
_POSITIONS = union_all(
    *(
        # A purge leaves none.
        select(table.c.position).where(table.c.user_id == owner, table.c.position != "")
        for table in (NAMED_LISTS, DELETED_LISTS)
    )
).subquery("positions")
LAST_POSITION = compile_scoped("find the last list", select(func.max(_POSITIONS.c.position).label("position")))
CREATE_LIST = compile_scoped(
    "create a list",
    insert(NAMED_LISTS)
    .values(
        user_id=owner,
        id=_list_id,
        name=bindparam("name", type_=Text),
        archived=bindparam("archived", type_=Boolean),
        position=bindparam("position", type_=Text),
        revision=_revision,
    )
    .returning(*shown_list(NAMED_LISTS)),
    row_to_list,
)
COUNT_CREATED = compile_scoped(
    "count a new list", bump_revision(last_list_id=_list_id).returning(COUNTERS.c.revision), bumps_revision=True
)


def _update() -> ReturningUpdate[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    return (
        update(NAMED_LISTS)
        .values(
            name=func.coalesce(bindparam("name", type_=Text), NAMED_LISTS.c.name),
            archived=func.coalesce(bindparam("archived", type_=Boolean), NAMED_LISTS.c.archived),
            revision=counted.c.revision,
            updated_at=func.now(),
        )
        .where(*this_list)
        .returning(*shown_list(NAMED_LISTS))
    )


UPDATE_LIST = compile_scoped("update a list", _update(), row_to_list, bumps_revision=True)


def _move() -> ReturningUpdate[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    position = bindparam("position", type_=Text)
    change = update(NAMED_LISTS).values(position=position, revision=counted.c.revision, updated_at=func.now())
    return change.where(*this_list).returning(*shown_list(NAMED_LISTS))


MOVE_LIST = compile_scoped("move a list", _move(), row_to_list, bumps_revision=True)


async def get_list(session: OwnerSession, list_id: int, expected: Expected = None) -> NamedList:
    """Raises ListNotFound, or PreconditionFailed where the list's revision is not an expected one."""
    return expected_list(await session.run(GET_LIST, list_id=list_id), expected)


def expected_list(found: list[NamedList], expected: Expected) -> NamedList:
    """The list that was found. Raises ListNotFound, or PreconditionFailed where its revision is not an expected one."""
    if not found:
        raise problems.ListNotFound
    if expected is not None and not expected.holds(found[0]["revision"]):
        raise problems.PreconditionFailed
    return found[0]


class ListQueries:
    """The caller's lists as they are at one moment. Any method may raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def all(self, status: ListStatus) -> tuple[list[NamedList], int]:
        """Those in this state, in their order, and the revision at that moment."""
        rows = await self._session.rows(LIST_LISTS[status])
        found = [row_to_list(row[1:]) for row in rows if row[1] is not None]
        return found, rows[0][0] if rows else 0

    async def get(self, list_id: int) -> NamedList:
        """Raises ListNotFound."""
        return await get_list(self._session, list_id)

    async def revision_of(self, list_id: int) -> int:
        """The list's own revision. Raises ListNotFound."""
        found = await self._session.rows(REVISION_OF_LIST, list_id=list_id)
        if not found:
            raise problems.ListNotFound
        return int(found[0][0])


class ListRepository:
    """Writes of the caller's lists. Any method may raise Unavailable."""

    __slots__ = ("_max_lists", "_session")

    def __init__(self, session: OwnerSession, *, max_lists: int) -> None:
        self._session = session
        self._max_lists = max_lists

    async def create(self, new: ListCreate) -> NamedList:
        """Raises ListLimitReached."""
        async with self._session.transaction() as session:
            [counter] = await session.run(GET_COUNTERS)
            [count] = await session.run(COUNT_LISTS)
            if count["lists"] >= self._max_lists:
                raise problems.ListLimitReached(self._max_lists)
            [last] = await session.run(LAST_POSITION)
            number = {"list_id": counter["last_list_id"] + 1}
            position = positions.behind(last["position"])
            [made] = await session.run(
                CREATE_LIST, **number, **new.model_dump(), position=position, revision=counter["revision"] + 1
            )
            await session.run(COUNT_CREATED, **number)
        return made

    async def update(self, list_id: int, changes: dict[str, Any], expected: Expected = None) -> NamedList:
        """Change what is in `changes`. Raises ListNotFound or PreconditionFailed."""
        async with self._session.transaction() as session:
            await get_list(session, list_id, expected)
            values = {name: changes.get(name) for name in ("name", "archived")}
            [written] = await session.run(UPDATE_LIST, list_id=list_id, **values)
        return written

    async def move(self, list_id: int, after: int | None, expected: Expected = None) -> NamedList:
        """Put a list right after another one, or to the front where that is None; where it is already, nothing changes.

        Raises ListNotFound, PreconditionFailed, or InvalidField for a list that it cannot come after.
        """
        async with self._session.transaction() as session:
            known = await get_list(session, list_id, expected)
            neighbours = Neighbours(session, LIST_ORDER, list_id)
            if after is None:
                position = await neighbours.in_front()
            else:
                other = await session.run(GET_LIST, list_id=after)
                if not other or after == list_id:
                    raise InvalidField(("after",), "must be another list of yours, or null")
                position = await neighbours.behind(other[0]["position"], after)
            if position == known["position"]:
                return known
            [moved] = await session.run(MOVE_LIST, list_id=list_id, position=position)
        return moved
