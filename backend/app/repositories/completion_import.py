"""The completions of an export on their way in, for an import that has locked the list (imports.py)."""

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Delete, any_, bindparam, delete, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningInsert

from backend.app.db.session import OwnerSession
from backend.app.domain.errors import InvalidField
from backend.app.repositories.arrays import SEPARATOR, looked_at, rows_of_arrays, slices
from backend.app.repositories.completion_records import (
    COMPLETIONS,
    DELETED_COMPLETIONS,
    PLAN,
    deleted_of_mine,
    oldest_kept,
    trim_completions,
)
from backend.app.repositories.mapping import in_utc, owner, rfc3339
from backend.app.repositories.scoping import compile_scoped
from backend.app.schemas.transfer import ArchivedCompletion, ArchivedTask

# How many rows a statement writes, and how many completions are looked at before other requests get their turn.
ROWS_AT_ONCE: Final = 250
AT_ONCE: Final = 1000
# No task has this revision: what is imported cannot be taken back, as if its task had changed since.
_CHANGED_SINCE: Final = 0

_KEY: Final = ("task_id", "completed_at")
_NAMES: Final = (*_KEY, "title", *PLAN, "reminders", "sync_revision")
# What completions are sorted by: a moment and a task.
Age = tuple[datetime, int]
_FIRST: Final[Age] = (datetime.min.replace(tzinfo=UTC), 0)


def _write() -> ReturningInsert[Any]:
    """Those that are there already stay as they are."""
    rows, columns = rows_of_arrays(COMPLETIONS, _NAMES)
    values = {"user_id": owner, **columns, "revision": literal(_CHANGED_SINCE, BigInteger)}
    new = upsert(COMPLETIONS).from_select(list(values), select(*values.values()).select_from(rows))
    kept = new.on_conflict_do_nothing(index_elements=[COMPLETIONS.c.user_id, *(COMPLETIONS.c[n] for n in _KEY)])
    return kept.returning(COMPLETIONS.c.sync_revision)


def _take_over() -> Delete:
    _, columns = rows_of_arrays(DELETED_COMPLETIONS, _KEY)
    # Not as a pair within a list of pairs, which Citus writes down wrongly for its nodes.
    these = [DELETED_COMPLETIONS.c[name] == columns[name] for name in _KEY]
    # Said once more, so that PostgreSQL looks for them along the key, and not among all of the user's.
    of_these = DELETED_COMPLETIONS.c.task_id == any_(bindparam("of_task_id", type_=ARRAY(BigInteger)))
    return delete(DELETED_COMPLETIONS).where(deleted_of_mine, of_these, *these)


OLDEST_KEPT = compile_scoped(
    "find the oldest completion that is kept",
    oldest_kept(in_utc(COMPLETIONS.c.completed_at), COMPLETIONS.c.task_id),
)
WRITE = compile_scoped("import completions", _write())
TAKE_OVER = compile_scoped("take over completions that were taken back", _take_over())


class CompletionImport:
    """The completions of a file. May raise Unavailable."""

    def __init__(
        self, session: OwnerSession, completions: Sequence[ArchivedCompletion], *, max_completions: int
    ) -> None:
        """`max_completions`: so many are kept of a user, the newest."""
        self._session = session
        self._completions = completions
        self._max_completions = max_completions

    async def check_tasks(self, tasks: Sequence[ArchivedTask]) -> None:
        """Raises InvalidField for a completion of a task that is not in the file."""
        if not self._completions:
            return
        there: set[int] = set()
        async for some in looked_at(tasks):
            there |= {task.id for task in some}
        for number, one in enumerate(self._completions):
            if one.task_id not in there:
                raise InvalidField(("completions", number, "task_id"), "must be a task of this file")
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def write(self, revision: int, new_ids: Mapping[int, int] | None = None) -> int:
        """Write those that are not there yet, under the new ids of their tasks where these are given.

        Each gets one of the revisions after this one; the result is the last that was given. Only the newest are
        written, so that the same file twice changes nothing.
        """
        before = last = revision
        for some in slices(await self._newest(new_ids), ROWS_AT_ONCE):
            rows = [_row(one, new_ids, number) for number, one in enumerate(some, revision + 1)]
            revision += len(rows)
            arrays = {f"of_{name}": [row[name] for row in rows] for name in _NAMES}
            written = await self._session.rows(WRITE, **arrays)
            last = max((row[0] for row in written), default=last)
            if new_ids is None and written:
                await self._session.run(TAKE_OVER, **{f"of_{name}": arrays[f"of_{name}"] for name in _KEY})
        if last > before:
            await trim_completions(self._session, max_completions=self._max_completions)
        return last

    async def _newest(self, new_ids: Mapping[int, int] | None) -> list[ArchivedCompletion]:
        """Of the file, those that would be kept beside what is there; the oldest first."""
        if not self._completions:
            return []

        def age(one: ArchivedCompletion) -> Age:
            return one.completed_at, one.task_id if new_ids is None else new_ids[one.task_id]

        oldest = await self._oldest_kept()
        sorted_parts = []
        for start in range(0, len(self._completions), AT_ONCE):
            part = [one for one in self._completions[start : start + AT_ONCE] if age(one) >= oldest]
            sorted_parts.append(sorted(part, key=age, reverse=True))
            await asyncio.sleep(0)
        found: list[ArchivedCompletion] = []
        for one in islice(heapq.merge(*sorted_parts, key=age, reverse=True), self._max_completions):
            found.append(one)
            if len(found) % AT_ONCE == 0:
                await asyncio.sleep(0)
        return found[::-1]

    async def _oldest_kept(self) -> Age:
        rows = await self._session.rows(OLDEST_KEPT, kept_before=self._max_completions - 1)
        return (datetime.fromisoformat(rfc3339(rows[0][0])), rows[0][1]) if rows else _FIRST


def _row(one: ArchivedCompletion, new_ids: Mapping[int, int] | None, revision: int) -> dict[str, Any]:
    members = one.model_dump()
    return {
        **members,
        "task_id": members["task_id"] if new_ids is None else new_ids[members["task_id"]],
        "reminders": SEPARATOR.join(members["reminders"]) or None,
        "sync_revision": revision,
    }
