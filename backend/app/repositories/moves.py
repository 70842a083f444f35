"""Moving a task or a list to another place of its order: one row, and one revision.

Statements run in a transaction that has locked the counter, so no two tasks get the same position. What is in the trash
keeps its place, and counts as a neighbour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement, Tuple

from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.domain import positions
from backend.app.domain.errors import InvalidField
from backend.app.domain.positions import NEIGHBOURS_MAX, POSITION_CHARACTERS, POSITION_CHARACTERS_MAX, NoRoomError
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED,
    DELETED_LISTS,
    NAMED_LISTS,
    TASKS,
    bump_revision,
    how_many,
    numbered,
    owner,
)
from backend.app.repositories.scoping import compile_scoped

_moving = bindparam("moving", type_=BigInteger)
_low = bindparam("low", type_=Text)
_low_id = bindparam("low_id", type_=BigInteger)
_end = bindparam("end", type_=Text)

Place = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NeighbourStatements:
    """The statements of one order: of tasks, or of lists."""

    first: Statement
    following: Statement
    before: Statement
    after: Statement
    renew: Statement
    renew_deleted: Statement

    @classmethod
    def of(cls, living: Table, deleted: Table) -> "NeighbourStatements":
        def nearest(
            name: str, condition: Callable[[Table], list[ColumnElement[bool]]], *, limit: int, last_first: bool = False
        ) -> Statement:
            return compile_scoped(
                f"{name} of {living.name}", _nearest(living, deleted, condition, limit=limit, last_first=last_first)
            )

        return cls(
            first=nearest("find the first place", lambda _: [], limit=1),
            following=nearest("find the following place", lambda table: [_key(table) > _here], limit=1),
            before=nearest(
                "find the places before one",
                lambda table: [table.c.position > _end, _key(table) <= _here],
                limit=NEIGHBOURS_MAX + 1,
                last_first=True,
            ),
            after=nearest(
                "find the places after one",
                lambda table: [table.c.position < _end, _key(table) > _here],
                limit=NEIGHBOURS_MAX + 1,
            ),
            renew=compile_scoped(f"give {living.name} new places", _renew(living), bumps_revision=True),
            renew_deleted=compile_scoped(f"give {deleted.name} new places", _renew_deleted(deleted)),
        )


_here = tuple_(_low, _low_id)


def _key(table: Table) -> Tuple:
    return tuple_(table.c.position, table.c.id)


def _nearest(
    living: Table,
    deleted: Table,
    condition: Callable[[Table], list[ColumnElement[bool]]],
    *,
    limit: int,
    last_first: bool,
) -> Select[Any]:
    """Those of both tables that are not the one that moves, each in its order."""
    pages = []
    for table in (living, deleted):
        columns = (table.c.position, table.c.id)
        page = select(table.c.id, table.c.position, literal(table is living).label("living")).where(
            table.c.user_id == owner, table.c.position != "", table.c.id != _moving, *condition(table)
        )
        page = page.order_by(*(column.desc() if last_first else column for column in columns)).limit(limit)
        pages.append(page.subquery(table.name))
    places = union_all(*(select(*page.c) for page in pages)).subquery("places")
    return select(*places.c)


def _new_places() -> TableValuedAlias:
    arrays = (bindparam("ids", type_=ARRAY(BigInteger)), bindparam("places", type_=ARRAY(Text)))
    return func.unnest(*arrays).table_valued("id", "position").render_derived()


def _renew(table: Table) -> ReturningUpdate[Any]:
    rows = _new_places()
    changing = numbered(select(rows.c.id, rows.c.position).cte("changing"))
    counted = bump_revision(how_many(changing)).returning(COUNTERS.c.revision).cte("counted")
    values = {"position": changing.c.position, "revision": counted.c.revision - changing.c.place + 1}
    change = update(table).values(**values, updated_at=func.now())
    return change.where(table.c.user_id == owner, table.c.id == changing.c.id).returning(table.c.revision)


def _renew_deleted(table: Table) -> Update:
    # Nobody hears of what is in the trash, so it needs no new revision.
    rows = _new_places()
    return update(table).values(position=rows.c.position).where(table.c.user_id == owner, table.c.id == rows.c.id)


TASK_ORDER: Final = NeighbourStatements.of(TASKS, DELETED)
LIST_ORDER: Final = NeighbourStatements.of(NAMED_LISTS, DELETED_LISTS)


class Neighbours:
    """What stands around the place that one moves to. Any method may raise Unavailable."""

    def __init__(self, session: OwnerSession, order: NeighbourStatements, moving: int) -> None:
        """`moving` is the id of the one that moves: where it stands now does not count."""
        self._session = session
        self._order = order
        self._moving = moving

    async def in_front(self) -> str:
        """A position in front of all others."""
        found = await self._session.run(self._order.first, moving=self._moving)
        return positions.before(min((row["position"] for row in found), default=None))

    async def behind(self, low: str, low_id: int) -> str:
        """A position right behind the one with this position and id.

        Where it would be long, at most 200 neighbours are given new positions, which make room. Raises InvalidField
        where there is no room nevertheless.
        """
        here = {"moving": self._moving, "low": low, "low_id": low_id}
        found = await self._session.run(self._order.following, **here)
        try:
            position = positions.between(low, min((row["position"] for row in found), default=None))
        except NoRoomError:
            return await self._make_room(here)
        return position if len(position) <= POSITION_CHARACTERS else await self._make_room(here)

    async def _make_room(self, here: dict[str, Any]) -> str:
        """Spread the neighbours evenly over more room, with the most room at the place itself."""
        start, end = positions.cell(here["low"])
        before = _sorted(await self._session.run(self._order.before, **here, end=start), last_first=True)
        after = _sorted(await self._session.run(self._order.after, **here, end=end), last_first=False)
        spreads = [
            found
            for share in (0, NEIGHBOURS_MAX // 2, NEIGHBOURS_MAX)
            if (found := _spread(start, before, after, share))
        ]
        shortest = min(spreads, key=lambda found: max(map(len, found[1])), default=None)
        if shortest is None or max(map(len, shortest[1])) > POSITION_CHARACTERS_MAX:
            raise InvalidField(("after",), "has no room behind it; name another one")
        neighbours, places, own = shortest
        for statement, living in ((self._order.renew, True), (self._order.renew_deleted, False)):
            some = [
                (one["id"], place) for one, place in zip(neighbours, places, strict=True) if one["living"] is living
            ]
            if some:
                await self._session.run(statement, ids=[one for one, _ in some], places=[place for _, place in some])
        return own


def _sorted(rows: list[Place], *, last_first: bool) -> list[Place]:
    """The nearest ones of both tables; one more than are given new positions."""
    return sorted(rows, key=lambda row: (row["position"], row["id"]), reverse=last_first)[: NEIGHBOURS_MAX + 1]


def _spread(
    start: str, before: list[Place], after: list[Place], share: int
) -> tuple[list[Place], list[str], str] | None:
    """The neighbours of whom at least `share` stand before the place if there are as many; their positions; its own.

    None where there is no room between those beyond them.
    """
    behind = after[: NEIGHBOURS_MAX - min(share, len(before), NEIGHBOURS_MAX)]
    ahead = before[: NEIGHBOURS_MAX - len(behind)]
    low = before[len(ahead)]["position"] if len(ahead) < len(before) else start
    high = after[len(behind)]["position"] if len(behind) < len(after) else None
    try:
        places = list(positions.spread(low, high, len(ahead) + 1 + len(behind), len(ahead)))
    except NoRoomError:
        return None
    own = places.pop(len(ahead))
    return [*reversed(ahead), *behind], places, own
