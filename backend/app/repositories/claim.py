"""Moves everything of one user to another: the only place where a transaction has the statements of two owners.

Each statement has one owner, and row-level security shows it only their rows: what is moved is read as the one and
written as the other.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Table

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.repositories.account import erase_rows
from backend.app.repositories.arrays import SEPARATOR, is_list
from backend.app.repositories.claim_statements import IDS, MOVED, ROWS, WRITE, names_of
from backend.app.repositories.completion_claim import move_completions
from backend.app.repositories.completion_records import trim_completions
from backend.app.repositories.import_positions import ALL_PLACES, new_positions
from backend.app.repositories.import_statements import FINISH
from backend.app.repositories.list_claim import move_lists
from backend.app.repositories.list_trash import purge_lists
from backend.app.repositories.mapping import DELETED, TASKS
from backend.app.repositories.query_statements import GET_COUNTERS
from backend.app.repositories.reminders import renew_reminders, take_over_reminders
from backend.app.repositories.trash import TRIMMED_AT_ONCE, trim_trash

# How many ids, and how many rows, are read at once: some milliseconds of the event loop, however long their texts are.
IDS_AT_ONCE: Final = 2000
ROWS_AT_ONCE: Final = 200
# Columns that name a task of the same user.
REFERENCES: Final = frozenset({"id", "parent_id", "deleted_with"})
LIST_REFERENCES: Final = frozenset({"list_id", "deleted_with_list"})


@dataclass(frozen=True, slots=True)
class Claimed:
    """How many tasks have moved, and how many of the trash."""

    tasks: int
    deleted_tasks: int


class ClaimRepository:
    """Takes over what another user has, who must have been verified as the caller was. May raise Unavailable."""

    __slots__ = ("_max_completions", "_max_lists", "_max_tasks", "_session")

    def __init__(self, session: OwnerSession, *, max_tasks: int, max_lists: int, max_completions: int) -> None:
        self._session = session
        self._max_completions = max_completions
        self._max_lists = max_lists
        self._max_tasks = max_tasks

    async def claim(self, other: str) -> Claimed:
        """Move all lists and tasks of the other user, and their trash, under the caller's next ids, and erase them.

        In one transaction. A second time there is nothing left, and nothing changes. Raises TaskLimitReached, or
        ListLimitReached.
        """
        async with self._session.transaction_with(other) as (mine, theirs):
            ids = {table: await _ids(theirs, table) for table in MOVED}
            [counts] = await mine.run(GET_COUNTERS)
            if counts["task_count"] + len(ids[TASKS]) > self._max_tasks:
                raise problems.TaskLimitReached(self._max_tasks)
            lists = await move_lists(mine, theirs, counts, max_lists=self._max_lists)
            # Who has never made any has no completions: a purge takes those of a task with it.
            if lists or any(ids.values()):
                await _Move(mine, theirs, ids, counts, lists).move(max_trash=self._max_tasks)
                await trim_completions(mine, max_completions=self._max_completions)
            if lists:
                await purge_lists(mine, keep=self._max_lists, max_tombstones=self._max_lists)
            await erase_rows(theirs)
        return Claimed(len(ids[TASKS]), len(ids[DELETED]))


class _Move:
    """Reads rows as the one user, and writes them as the other, each with a new id and a new revision."""

    def __init__(
        self,
        mine: OwnerSession,
        theirs: OwnerSession,
        ids: dict[Table, "array[int]"],
        counts: dict[str, int],
        lists: dict[int, int],
    ) -> None:
        self._mine = mine
        self._theirs = theirs
        self._ids = ids
        # A task's new id is told by its place among all of them, so that their order stays.
        self._in_order = array("q", sorted(ids[TASKS] + ids[DELETED]))
        self._last_id = counts["last_task_id"]
        self._revision = counts["revision"] + len(lists)
        # New ids of lists by their old ones.
        self._lists = lists
        self._positions: dict[int, str] = {}
        # Of tasks that repeat, by their old ones.
        self._new_revisions: dict[int, int] = {}

    async def move(self, *, max_trash: int) -> None:
        await self._place()
        for table in MOVED:
            async for rows in self._batches(table):
                arrays = self._arrays(table, rows)
                await self._mine.run(WRITE[table], **arrays)
                if table is TASKS:
                    repeating = zip(rows, arrays["of_revision"], strict=True)
                    self._new_revisions |= {
                        row["revision"]: new for row, new in repeating if row["recurrence"] is not None
                    }
                    reminding = zip(rows, arrays["of_id"], strict=True)
                    new_ids = {row["id"]: task_id for row, task_id in reminding if row["reminders"]}
                    await renew_reminders(self._mine, list(new_ids.values()))
                    await take_over_reminders(self._mine, self._theirs, new_ids)
                self._revision += len(rows)
        self._revision = await move_completions(
            self._mine, self._theirs, self._moved, self._new_revisions, self._revision
        )
        last = self._last_id + len(self._in_order)
        created = len(self._ids[TASKS])
        await self._mine.run(FINISH, revision=self._revision, created=created, last_task_id=last)
        for _ in range(0, len(self._ids[DELETED]), TRIMMED_AT_ONCE):
            await trim_trash(self._mine, None, max_trash=max_trash)

    async def _batches(self, table: Table) -> AsyncIterator[list[dict[str, Any]]]:
        ids = self._ids[table]
        for first, end in pairwise([*range(0, len(ids), ROWS_AT_ONCE), len(ids)]):
            yield await self._theirs.run(ROWS[table], ids=ids[first:end].tolist())
            await asyncio.sleep(0)

    def _arrays(self, table: Table, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
        arrays: dict[str, list[Any]] = {}
        for name in names_of(table):
            values = [row[name] for row in rows]
            if name == "position":
                values = [self._positions.get(row["id"], "") for row in rows]
            elif name in LIST_REFERENCES:
                values = [self._lists.get(list_id) for list_id in values]
            elif name in REFERENCES:
                values = [self._moved(task_id) for task_id in values]
            elif is_list(table, name):
                values = [None if members is None else SEPARATOR.join(members) for members in values]
            arrays[f"of_{name}"] = values
        arrays["of_revision"] = list(range(self._revision + 1, self._revision + 1 + len(rows)))
        return arrays

    async def _place(self) -> None:
        """Give those a position that somebody moved."""
        moved = [(row["id"], row["position"]) for row in await self._theirs.run(ALL_PLACES)]
        if moved:
            ids = {task_id for task_id, _ in moved}
            unmoved = [task_id for task_id in self._in_order if task_id not in ids]
            self._positions = await new_positions(self._mine, moved, unmoved, self._new_id)

    def _new_id(self, task_id: int) -> int:
        return self._last_id + bisect_left(self._in_order, task_id) + 1

    def _moved(self, task_id: int | None) -> int | None:
        """The new id of a task; None of one that is gone."""
        if task_id is None:
            return None
        place = bisect_left(self._in_order, task_id)
        is_there = place < len(self._in_order) and self._in_order[place] == task_id
        return self._last_id + place + 1 if is_there else None


async def _ids(theirs: OwnerSession, table: Table) -> "array[int]":
    """The ids of all that is moved of a table, in their order."""
    ids = array("q")
    while rows := await theirs.rows(IDS[table], after_id=ids[-1] if ids else 0, most=IDS_AT_ONCE):
        ids.extend(task_id for (task_id,) in rows)
    return ids
