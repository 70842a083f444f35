"""The recorded completions of one user that another one takes over (claim.py has the transaction with both)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    insert,
    select,
    tuple_,
)
from sqlalchemy.sql.dml import ReturningInsert

from backend.app.db.session import OwnerSession
from backend.app.repositories.arrays import SEPARATOR, is_list, rows_of_arrays
from backend.app.repositories.completion_records import COMPLETIONS, of_mine
from backend.app.repositories.mapping import owner
from backend.app.repositories.scoping import compile_scoped

ROWS_AT_ONCE: Final = 200
_NAMES: Final = [column.name for column in COMPLETIONS.c if column.name != "user_id"]
_at = COMPLETIONS.c.completed_at
_place = (_at, COMPLETIONS.c.task_id)


def _some() -> Select[Any]:
    # A moment as PostgreSQL's text, which comes back as the same one.
    columns = [cast(_at, Text).label(name) if name == _at.key else COMPLETIONS.c[name] for name in _NAMES]
    here = tuple_(bindparam("after", type_=DateTime(timezone=True)), bindparam("after_task", type_=BigInteger))
    limit = bindparam("limit", type_=Integer)
    return select(*columns).where(of_mine, tuple_(*_place) > here).order_by(*_place).limit(limit)


def _write() -> ReturningInsert[Any]:
    rows, columns = rows_of_arrays(COMPLETIONS, _NAMES)
    columns["reopened"] = cast(columns["reopened"], ARRAY(BigInteger))
    chosen = select(owner, *columns.values()).select_from(rows)
    return insert(COMPLETIONS).from_select(["user_id", *columns], chosen).returning(COMPLETIONS.c.task_id)


SOME = compile_scoped("read rows of completions", _some())
WRITE = compile_scoped("write rows of completions", _write())


async def move_completions(
    mine: OwnerSession,
    theirs: OwnerSession,
    moved: Callable[[int | None], int | None],
    revisions: Mapping[int, int],
    revision: int,
) -> int:
    """Write the other user's completions for the caller's tasks that theirs have become. May raise Unavailable.

    `moved` has the new id of a task, and `revisions` the new revisions of those that repeat by their old ones: where
    a completion is the last thing that has happened to its task it can still be undone, and then the one before. Each
    gets one of the revisions after `revision`, so that the caller's clients hear of it; the result is the last one.
    """
    place: tuple[str, int] = ("-infinity", 0)
    while rows := await theirs.run(SOME, after=place[0], after_task=place[1], limit=ROWS_AT_ONCE):
        place = (rows[-1]["completed_at"], rows[-1]["task_id"])
        for row in rows:
            revision += 1
            row["sync_revision"] = revision
            row["task_id"] = moved(row["task_id"])
            row["reopened"] = [str(part) for part in map(moved, row["reopened"] or ()) if part is not None] or None
            row["revision"] = revisions.get(row["revision"], _foreign(row["revision"]))
            row["revision_before"] = None if row["revision_before"] is None else _foreign(row["revision_before"])
        await mine.run(WRITE, **{f"of_{name}": [_sent(row, name) for row in rows] for name in _NAMES})
        await asyncio.sleep(0)
    return revision


def _foreign(revision: int) -> int:
    """A revision of another list: completions of a task find each other by it, and no task has it here."""
    return -abs(revision)


def _sent(row: dict[str, Any], name: str) -> Any:
    value = row[name]
    return SEPARATOR.join(value) if is_list(COMPLETIONS, name) and value is not None else value
