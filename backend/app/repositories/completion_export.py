"""What an export has of the completions of repeating tasks: the oldest first, some at a time."""

from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Integer, Select, bindparam, select, tuple_

from backend.app.db.session import OwnerSession
from backend.app.db.statement import Row
from backend.app.repositories.completion_records import COMPLETIONS, PLAN, of_mine
from backend.app.repositories.mapping import in_utc, rfc3339
from backend.app.repositories.scoping import compile_scoped

# A moment as it is written, and a task: where a page begins.
Place = tuple[str, int]
FIRST: Final[Place] = ("-infinity", 0)
# So many rows are read in some milliseconds of the event loop, however long their texts are.
ROWS_AT_ONCE: Final = 200
_place: Final = (COMPLETIONS.c.completed_at, COMPLETIONS.c.task_id)
_shown: Final = [COMPLETIONS.c[name] for name in ("title", *PLAN, "reminders")]


def _page() -> Select[Any]:
    here = tuple_(bindparam("after", type_=DateTime(timezone=True)), bindparam("after_task", type_=BigInteger))
    found = select(COMPLETIONS.c.task_id, in_utc(COMPLETIONS.c.completed_at), *_shown)
    found = found.where(of_mine, tuple_(*_place) > here).order_by(*_place)
    return found.limit(bindparam("limit", type_=Integer))


PAGE = compile_scoped("export completions", _page())


class CompletionExport:
    """The caller's completions for a file. May raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def page(self, place: Place) -> tuple[list[dict[str, Any]], Place | None]:
        """Those after a place, and the place of the next page; None where this is the last."""
        rows = await self._session.rows(PAGE, after=place[0], after_task=place[1], limit=ROWS_AT_ONCE)
        following = (rfc3339(rows[-1][1]), rows[-1][0]) if len(rows) == ROWS_AT_ONCE else None
        return [_exported(row) for row in rows], following


def _exported(row: Row) -> dict[str, Any]:
    task, when, title, due_date, start_date, recurrence, reminders = row
    return {
        "task_id": task,
        "completed_at": rfc3339(when),
        "title": title,
        "due_date": due_date,
        "start_date": start_date,
        "recurrence": recurrence,
        "reminders": reminders or [],
    }
