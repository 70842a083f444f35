"""Tasks that come from an export: all of them, or none."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.enums import ImportIds
from backend.app.domain.errors import InvalidField
from backend.app.repositories import import_statements as statements
from backend.app.repositories.arrays import looked_at, slices
from backend.app.repositories.completion_import import CompletionImport
from backend.app.repositories.import_positions import Places, new_positions
from backend.app.repositories.import_replacement import Replacement
from backend.app.repositories.import_rows import NewIds, arrays_in_steps, revised
from backend.app.repositories.list_import import ListImport
from backend.app.repositories.query_statements import GET_COUNTERS
from backend.app.repositories.reminders import renew_reminders
from backend.app.schemas.transfer import ArchivedCompletion, ArchivedList, ArchivedTask

# How many tasks a statement writes: to write those with the longest texts into it takes some ten milliseconds.
BATCH: Final = 250
# How many ids a statement names that looks at tasks or marks them.
IDS_AT_ONCE: Final = 5_000

_NOT_IN_FILE: Final = "must be another task of this file, in the same list, which is no subtask itself"
_NO_PARENT: Final = "must be another task, in the same list, which is no subtask itself"


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the tasks of a file, and whether they got the caller's next ids or kept the file's."""

    ids: ImportIds
    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class _Import:
    """What is imported, and the transaction that does it, which has locked the list; `counters` are as it began."""

    session: OwnerSession
    counters: Mapping[str, int]
    tasks: list[ArchivedTask]
    lists: ListImport
    completions: CompletionImport


class ImportRepository:
    """Brings tasks in. May raise Unavailable."""

    __slots__ = ("_max_completions", "_max_lists", "_max_subtasks", "_max_tasks", "_session")

    def __init__(
        self, session: OwnerSession, *, max_tasks: int, max_subtasks: int, max_lists: int, max_completions: int
    ) -> None:
        self._session = session
        self._max_completions = max_completions
        self._max_lists = max_lists
        self._max_tasks = max_tasks
        self._max_subtasks = max_subtasks

    async def import_tasks(
        self,
        tasks: list[ArchivedTask],
        ids: ImportIds | None = None,
        lists: Sequence[ArchivedList] = (),
        completions: Sequence[ArchivedCompletion] = (),
        *,
        dry_run: bool = False,
    ) -> Count:
        """Add tasks and lists under the caller's next ids (NEW), or put them in place of those with their ids (KEEP).

        Without `ids`, a file whose tasks name the caller is put in place, and any other one is added. Of the tasks what
        is replaced goes to the trash under a new id. Completions come with their tasks, and those that are there stay.
        With `dry_run` all of this is undone again.

        Raises TaskLimitReached, ListLimitReached, InvalidField for a parent that cannot be one, or a list or a task
        that is not there, or IdsTaken where `ids` is not given and a task or list of the caller's with an id of the
        file is another one.
        """
        owners = {one.user_id for one in lists}
        async for some in looked_at(tasks):
            owners |= {task.user_id for task in some}
        is_own = owners <= {self._session.owner}
        chosen = ids or (ImportIds.KEEP if is_own else ImportIds.NEW)
        opened = self._session.transaction_undone if dry_run else self._session.transaction
        async with opened() as session:
            [counters] = await session.run(GET_COUNTERS)
            listed = ListImport(session, lists, max_lists=self._max_lists)
            await listed.write(counters, new=chosen is ImportIds.NEW, check=ids is None)
            await listed.check_tasks(tasks, new=chosen is ImportIds.NEW)
            completed = CompletionImport(session, completions, max_completions=self._max_completions)
            await completed.check_tasks(tasks)
            file = _Import(session, counters, tasks, listed, completed)
            if chosen is ImportIds.NEW:
                return Count(chosen, await self._add(file), 0, 0)
            made = await self._replace(file, check=ids is None)
        created, changed = len(made.created), len(made.changed)
        return Count(chosen, created, changed, len(tasks) - created - changed)

    async def _add(self, file: _Import) -> int:
        """Write the tasks under the ids after the caller's last one, in the order of their ids in the file."""
        session, tasks, last_id = file.session, file.tasks, file.counters["last_task_id"]
        if file.counters["task_count"] + len(tasks) > self._max_tasks:
            raise problems.TaskLimitReached(self._max_tasks)
        if not tasks:
            await file.lists.finish()
            return 0
        await self._check_parents_in_file(tasks)
        in_order = await _in_order(tasks)
        ids = await _next_ids(in_order, last_id)
        parents = await _parents(tasks)
        new = NewIds(ids, file.lists.new_ids, await _new_positions(session, in_order, ids))
        revision = file.lists.revision
        for batch in slices(in_order, BATCH):
            await session.run(statements.WRITE, **revised(await arrays_in_steps(batch, parents, new), revision))
            await renew_reminders(session, [ids[task.id] for task in batch if task.reminders])
            revision += len(batch)
        revision = await file.completions.write(revision, ids)
        counts = {"created": len(tasks), "last_task_id": last_id + len(tasks)}
        await session.run(statements.FINISH, revision=revision, **counts)
        return len(tasks)

    async def _check_parents_in_file(self, tasks: list[ArchivedTask]) -> None:
        """Raises InvalidField: nothing of the caller's is touched, so a parent is in the file."""
        possible, counts = set[tuple[int, int | None]](), Counter[int | None]()
        async for some in looked_at(tasks):
            possible |= {(task.id, task.list_id) for task in some if task.parent_id is None}
            counts.update(task.parent_id for task in some)
        for number, task in enumerate(tasks):
            if task.parent_id is not None and (task.parent_id, task.list_id) not in possible:
                raise _invalid(number, _NOT_IN_FILE)
            if task.parent_id is not None and counts[task.parent_id] > self._max_subtasks:
                raise self._crowded(number)
            if number % BATCH == 0:
                await asyncio.sleep(0)

    async def _replace(self, file: _Import, *, check: bool) -> Replacement:
        """Write the tasks under the file's ids; `check`: refuse to replace another task."""
        replacement = await _write_in_place(file, check=check)
        if not replacement.created and not replacement.changed:
            file.lists.revision = await file.completions.write(file.lists.revision)
            await file.lists.finish()
            return replacement
        if file.counters["task_count"] + len(replacement.created) > self._max_tasks:
            raise problems.TaskLimitReached(self._max_tasks)
        await self._check_parents(file.session, file.tasks)
        for some in slices(file.tasks, IDS_AT_ONCE):
            await replacement.follow_parents([task.id for task in some])
        replacement.revision = await file.completions.write(replacement.revision)
        await replacement.finish(max_trash=self._max_tasks)
        return replacement

    async def _check_parents(self, session: OwnerSession, tasks: list[ArchivedTask]) -> None:
        """Raises InvalidField for a parent that cannot be one, and marks the others as parents."""
        parents, wrong, full = list(await _parents(tasks)), set[int](), set[int]()
        for some in slices(tasks, IDS_AT_ONCE):
            wrong |= {row["id"] for row in await session.run(statements.MISPLACED, ids=[task.id for task in some])}
        for ids in slices(parents, IDS_AT_ONCE):
            crowded = await session.run(statements.CROWDED, ids=ids, max_subtasks=self._max_subtasks)
            full |= {row["parent_id"] for row in crowded}
        for number, task in enumerate(tasks if wrong or full else ()):
            if task.id in wrong:
                raise _invalid(number, _NO_PARENT)
            if task.parent_id in full:
                raise self._crowded(number)
        for ids in slices(parents, IDS_AT_ONCE):
            await session.run(statements.MARK, ids=ids)

    def _crowded(self, number: int) -> InvalidField:
        return _invalid(number, f"must be a task with at most {self._max_subtasks} subtasks")


async def _next_ids(tasks: list[ArchivedTask], last_id: int) -> dict[int, int]:
    """The ids that follow the last one, by those in the file."""
    ids: dict[int, int] = {}
    for some in slices(tasks, IDS_AT_ONCE):
        await asyncio.sleep(0)
        ids |= {task.id: number for number, task in enumerate(some, last_id + len(ids) + 1)}
    return ids


async def _write_in_place(file: _Import, *, check: bool) -> Replacement:
    last_id, ids = file.counters["last_task_id"], set[int]()
    async for some in looked_at(file.tasks):
        ids |= {task.id for task in some}
        last_id = max(last_id, *(task.id for task in some))
    replacement = Replacement(file.session, revision=file.lists.revision, last_id=last_id, check=check)
    parents = await _parents(file.tasks)
    places = Places(file.session, ids)
    for number, batch in enumerate(slices(file.tasks, BATCH)):
        await replacement.write(await places.freed(await arrays_in_steps(batch, parents)), number * BATCH)
    replacement.refuse_taken()
    return replacement


async def _new_positions(session: OwnerSession, tasks: list[ArchivedTask], ids: dict[int, int]) -> dict[int, str]:
    moved, unmoved = list[tuple[int, str]](), list[int]()
    async for some in looked_at(tasks):
        moved += [(task.id, task.position) for task in some if task.position]
        unmoved += [task.id for task in some if not task.position]
    if not moved:
        return {}
    return await new_positions(session, moved, unmoved, ids.__getitem__)


async def _in_order(tasks: list[ArchivedTask]) -> list[ArchivedTask]:
    """By their ids in the file."""
    ids, ordered = list[int](), list[ArchivedTask]()
    async for some in looked_at(tasks):
        ids += [task.id for task in some]
    async for places in looked_at(sorted(range(len(ids)), key=ids.__getitem__)):
        ordered += [tasks[place] for place in places]
    return ordered


async def _parents(tasks: list[ArchivedTask]) -> set[int]:
    found: set[int] = set()
    async for some in looked_at(tasks):
        found |= {task.parent_id for task in some if task.parent_id is not None}
    return found


def _invalid(number: int, detail: str) -> InvalidField:
    return InvalidField(("tasks", number, "parent_id"), detail)
