"""One write on all tasks that filters find: in one transaction that has locked the list."""

from sqlalchemy import ARRAY, BigInteger, Integer, any_, bindparam, func, not_, select

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.errors import InvalidField
from backend.app.repositories.mapping import TASKS, Task, owner, row_to_task, shown
from backend.app.repositories.query_statements import filter_values, filters
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.subtasks import TaskTree
from backend.app.repositories.trash import trim_trash
from backend.app.schemas.apply import ApplyComplete, ApplyDelete, ApplyMove, ApplyUpdate
from backend.app.schemas.task import Changes

Operation = ApplyComplete | ApplyDelete | ApplyUpdate | ApplyMove

_ids = bindparam("ids", type_=ARRAY(BigInteger))

MATCHING = compile_scoped(
    "find what a write is applied to",
    select(*shown(TASKS)).where(*filters(TASKS)).order_by(TASKS.c.id).limit(bindparam("limit", type_=Integer)),
    row_to_task,
)
TAKEN_ALONG = compile_scoped(
    "count the subtasks that go with what a write is applied to",
    select(func.count().label("count"))
    .select_from(TASKS)
    .where(TASKS.c.user_id == owner, TASKS.c.parent_id == any_(_ids), not_(TASKS.c.id == any_(_ids))),
)


class ApplyRepository:
    """Writes many of the caller's tasks at once. May raise Unavailable."""

    __slots__ = ("_max_applied", "_max_completions", "_max_subtasks", "_max_trash", "_session")

    def __init__(
        self, session: OwnerSession, *, max_applied: int, max_subtasks: int, max_trash: int, max_completions: int
    ) -> None:
        self._session = session
        self._max_completions = max_completions
        self._max_applied = max_applied
        self._max_subtasks = max_subtasks
        self._max_trash = max_trash

    async def apply(self, operation: Operation) -> list[int]:
        """The ids of the tasks that were found, each of which is written as its own request would write it.

        Raises CountDiffers where these are not as many as expected, or InvalidField for too many tasks, and for a
        change that one of them cannot take; then none is written.
        """
        limits = {"max_subtasks": self._max_subtasks, "max_completions": self._max_completions}
        async with TaskTree.locked(self._session, **limits) as tree:
            values = filter_values(operation.where)
            found = await tree.session.run(MATCHING, **values, limit=self._max_applied + 1)
            self._check_count(len(found))
            if operation.expect is not None and len(found) != operation.expect:
                raise problems.CountDiffers(len(found))
            trash_count = await self._write(tree, operation, found)
        if isinstance(operation, ApplyDelete) and found:
            await trim_trash(self._session, trash_count, max_trash=self._max_trash)
        return [task["id"] for task in found]

    async def _write(self, tree: TaskTree, operation: Operation, found: list[Task]) -> int | None:
        """How many tasks are in the trash after a delete; None where nobody has counted yet."""
        trash_count = None
        match operation:
            case ApplyUpdate(changes=edits):
                for task in found:
                    await _change(tree, task, edits.changes(), "changes")
            case ApplyMove(list_id=list_id):
                for task in await self._roots(tree, found):
                    await _change(tree, task, {"list_id": list_id})
            case ApplyComplete(completed=done, skip_missed=skip_missed):
                for task in await self._roots(tree, found) if done else found:
                    await tree.settle(task, done, skip_missed=skip_missed)
            case _:
                for task in await self._roots(tree, found):
                    trash_count = (await tree.remove(task))["trash_count"]
        return trash_count

    async def _roots(self, tree: TaskTree, found: list[Task]) -> list[Task]:
        """Without the subtasks that go with their parents. Raises InvalidField where these take too many along."""
        ids = {task["id"] for task in found}
        [counted] = await tree.session.run(TAKEN_ALONG, ids=list(ids))
        self._check_count(len(found) + counted["count"])
        return [task for task in found if task["parent_id"] not in ids]

    def _check_count(self, count: int) -> None:
        if count > self._max_applied:
            raise InvalidField(("where",), f"must find at most {self._max_applied} tasks, with those that go with them")


async def _change(tree: TaskTree, task: Task, changes: Changes, *member: str) -> None:
    """Make the changes, which stand in this member of what was sent."""
    try:
        await tree.change(task, changes)
    except InvalidField as error:
        detail = f"{error.detail} (the task with the id {task['id']})"
        raise InvalidField((*member, *error.path), detail) from None
