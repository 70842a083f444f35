"""What an import that keeps the file's ids writes over the caller's tasks, which go to the trash under new ids."""

from collections.abc import Collection

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.repositories import import_statements as statements
from backend.app.repositories.import_rows import TAKEN_MAX, Arrays, is_another, only, respelled, revised
from backend.app.repositories.list_import import FOLLOW_PARENTS
from backend.app.repositories.reminders import renew_reminders
from backend.app.repositories.trash import TRIMMED_AT_ONCE, trim_trash


class Replacement:
    """An import that keeps the file's ids, batch by batch, in a transaction that has locked the list."""

    def __init__(self, session: OwnerSession, *, revision: int, last_id: int, check: bool) -> None:
        """`revision` and `last_id` are the last ones that are given; `check`: refuse to replace another task."""
        self.created: set[int] = set()
        self.changed: set[int] = set()
        # The last revision that was given.
        self.revision = revision
        self._session = session
        self._last_id = last_id
        self._check = check
        self._taken: list[int] = []
        self._replaced = 0

    async def write(self, batch: Arrays, first: int) -> None:
        """Write those of a batch that are new, or differ from the task with their id; `first` is its place in the file.

        Raises IdsTaken as soon as there are as many to name as a refusal names.
        """
        ids = batch["of_id"]
        known = {row["id"]: row["due_date"] for row in await self._session.run(statements.KNOWN, ids=ids)}
        batch = respelled(batch, known)
        new = [task_id for task_id in ids if task_id not in known]
        living = await self._differing(batch, known)
        if self._check:
            self._note_taken(batch, living, first)
        trashed = await self._trashed(batch, new) if new else {}
        await self._keep(statements.KEEP, list(living))
        await self._keep(statements.KEEP_TRASHED, list(trashed))
        if new:
            await self._session.run(statements.UNTRASH, ids=new)
        if new or living:
            writing = only(batch, {*new, *living})
            await self._session.run(statements.WRITE, **revised(writing, self.revision))
            await renew_reminders(self._session, writing["of_id"])
            self.revision += len(writing["of_id"])
        self.created.update(new)
        self.changed.update(living)

    async def finish(self, *, max_trash: int) -> None:
        """Count what was written, and purge what the trash has too much."""
        last = self._last_id if self._replaced else max(self.created, default=0)
        counts = {"created": len(self.created), "last_task_id": last}
        await self._session.run(statements.FINISH, revision=self.revision, **counts)
        for _ in range(0, self._replaced, TRIMMED_AT_ONCE):
            await trim_trash(self._session, None, max_trash=max_trash)

    async def follow_parents(self, ids: list[int]) -> None:
        """Put the subtasks of these tasks into their lists, also those that are not in the file."""
        followed = await self._session.run(FOLLOW_PARENTS, ids=ids, revision=self.revision)
        self.revision += len(followed)

    def refuse_taken(self) -> None:
        """Raises IdsTaken where a task of the caller's is not the file's of the same id."""
        if self._taken:
            raise problems.IdsTaken([f"#/tasks/{number}/id" for number in self._taken[:TAKEN_MAX]])

    async def _differing(self, batch: Arrays, known: Collection[int]) -> dict[int, str]:
        """When those of the known tasks were made that are not as in the file, by their ids."""
        if not known:
            return {}
        rows = await self._session.run(statements.DIFFERING, **only(batch, known))
        return {row["id"]: row["created_at"] for row in rows}

    async def _trashed(self, batch: Arrays, new: list[int]) -> dict[int, str]:
        """Likewise of the tasks in the trash."""
        trashed = {row["id"]: row["due_date"] for row in await self._session.run(statements.TRASHED, ids=new)}
        if not trashed:
            return {}
        rows = await self._session.run(statements.TRASHED_DIFFERING, **respelled(only(batch, trashed), trashed))
        return {row["id"]: row["created_at"] for row in rows}

    def _note_taken(self, batch: Arrays, living: dict[int, str], first: int) -> None:
        for number, (task_id, created_at) in enumerate(zip(batch["of_id"], batch["of_created_at"], strict=True), first):
            if task_id in living and is_another(created_at, living[task_id]):
                self._taken.append(number)
        if len(self._taken) >= TAKEN_MAX:
            self.refuse_taken()

    async def _keep(self, statement: Statement, ids: list[int]) -> None:
        """Give what is replaced a place of its own in the trash, before it is written over."""
        if not ids:
            return
        places = range(1, len(ids) + 1)
        new_ids, revisions = ([last + place for place in places] for last in (self._last_id, self.revision))
        await self._session.run(statement, ids=ids, new_ids=new_ids, revisions=revisions)
        self._last_id, self.revision = new_ids[-1], revisions[-1]
        self._replaced += len(ids)
