"""What keeps a user's trash bounded: the oldest is purged, and the oldest tombstones are forgotten."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    ScalarSelect,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    not_,
    select,
    update,
)

from backend.app.db.session import OwnerSession
from backend.app.models import purged_contents
from backend.app.repositories.arrays import array_of
from backend.app.repositories.completion_records import gone_with
from backend.app.repositories.mapping import COUNTERS, DELETED, owner, plain
from backend.app.repositories.scoping import compile_scoped

# How many tasks a statement purges or forgets, and one delete at most: a lowered limit is reached step by step.
TRIMMED_AT_ONCE: Final = 1000

_mine = DELETED.c.user_id == owner
_surplus = bindparam("surplus", type_=BigInteger)
_counts = (COUNTERS.c.trash_count, COUNTERS.c.tombstone_count)


def _emptied(column: str, value: Any) -> ColumnElement[Any]:
    type_ = plain(DELETED.c[column].type)
    return cast(literal(value, Text), type_) if isinstance(type_, DateTime) and value else literal(value, type_)


def emptied_contents() -> dict[str, Any]:
    """What a purge writes into a row of the trash: nothing is left but that the task is gone."""
    emptied = {column: _emptied(column, value) for column, value in purged_contents().items()}
    return {**emptied, "deleted_with": None, "purged": literal(True)}


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    return select(func.count()).select_from(DELETED).where(_mine, *conditions).scalar_subquery()


def _oldest(*conditions: ColumnElement[bool]) -> ColumnElement[Any]:
    """The ids of so many."""
    return array_of(select(DELETED.c.id).where(_mine, *conditions).order_by(DELETED.c.revision).limit(_surplus))


def _purge() -> Update:
    purged = (
        update(DELETED)
        .values(emptied_contents())
        .where(_mine, DELETED.c.id == any_(_oldest(not_(DELETED.c.purged))))
        .returning(DELETED.c.id)
        .cte("purged")
    )
    gone = select(func.count()).select_from(purged).scalar_subquery()
    # No new revision: those that purged tasks were deleted with are what clients hear of.
    counts = {"trash_count": COUNTERS.c.trash_count - gone, "tombstone_count": COUNTERS.c.tombstone_count + gone}
    return update(COUNTERS).values(**counts).where(COUNTERS.c.user_id == owner).add_cte(*gone_with(purged))


def _forget() -> Update:
    these = DELETED.c.id == any_(_oldest(DELETED.c.purged))
    forgotten = delete(DELETED).where(_mine, these).returning(DELETED.c.revision).cte("forgotten")
    last = select(func.max(forgotten.c.revision)).scalar_subquery()
    count = select(func.count()).select_from(forgotten).scalar_subquery()
    horizon = func.greatest(func.coalesce(COUNTERS.c.horizon, COUNTERS.c.revision), last)
    return (update(COUNTERS).values(horizon=horizon, tombstone_count=COUNTERS.c.tombstone_count - count)).where(
        COUNTERS.c.user_id == owner
    )


COUNT = compile_scoped(
    "count the trash",
    update(COUNTERS)
    .values(trash_count=_count(not_(DELETED.c.purged)), tombstone_count=_count(DELETED.c.purged))
    .where(COUNTERS.c.user_id == owner)
    .returning(*_counts),
)
PURGE = compile_scoped("purge the oldest of the trash", _purge().returning(*_counts))
FORGET = compile_scoped("forget the oldest purged tasks", _forget().returning(*_counts))


async def trim_trash(
    session: OwnerSession, trash_count: int | None, *, max_trash: int, most: int = TRIMMED_AT_ONCE
) -> None:
    """Purge the oldest of the trash beyond `max_trash` tasks, and forget as many purged ones beyond as many.

    At most `most` of each, in steps of TRIMMED_AT_ONCE.

    `trash_count` is the list's count after a delete; None where nobody has counted yet. A client that has not heard of
    what is forgotten is answered 410 by /changes. May raise Unavailable.
    """
    if trash_count is not None and trash_count <= max_trash:
        return
    async with session.transaction() as together:
        counts = await together.run(COUNT) if trash_count is None else [{"trash_count": trash_count}]
        for _ in range(0, most, TRIMMED_AT_ONCE):
            if not counts or (surplus := counts[0]["trash_count"] - max_trash) <= 0:
                return
            counts = await together.run(PURGE, surplus=min(surplus, TRIMMED_AT_ONCE))
            if (surplus := counts[0]["tombstone_count"] - max_trash) > 0:
                await together.run(FORGET, surplus=min(surplus, TRIMMED_AT_ONCE))
