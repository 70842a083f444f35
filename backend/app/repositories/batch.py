"""Several writes of one caller, made together or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.errors import InvalidField, OperationFailed
from backend.app.repositories.mapping import Task
from backend.app.repositories.task_moves import MoveRepository
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.batch import Complete, Create, Move, Named, Operation, Restore, Update

Result = dict[str, Any]


class BatchRepository:
    """Runs operations on the caller's tasks in one transaction. May raise Unavailable."""

    __slots__ = ("_limits", "_session")

    def __init__(self, session: OwnerSession, *, max_tasks: int, max_subtasks: int, max_completions: int) -> None:
        self._session = session
        self._limits = {"max_tasks": max_tasks, "max_subtasks": max_subtasks, "max_completions": max_completions}

    async def run(self, operations: list[Operation]) -> list[Result]:
        """A status for each operation, as its own request would have had it, and the task where there is one.

        Raises OperationFailed for the first that cannot be made; then none is.
        """
        results: list[Result] = []
        async with self._session.transaction() as session:
            batch = _Batch(TaskRepository(session, **self._limits), MoveRepository(session))
            for number, operation in enumerate(operations):
                try:
                    results.append(await batch.make(operation))
                except problems.Unavailable:  # which is no fault of the operation's
                    raise
                except problems.Problem as problem:
                    raise OperationFailed(number, problem) from None
                except InvalidField as error:
                    path = ("operations", number, *error.path)
                    raise OperationFailed(number, InvalidField(path, error.detail)) from None
        return results


class _Batch:
    """The tasks, and what ids the references of this batch stand for."""

    def __init__(self, tasks: TaskRepository, moves: MoveRepository) -> None:
        self._tasks = tasks
        self._moves = moves
        self._ids: dict[str, int] = {}

    async def make(self, operation: Operation) -> Result:
        match operation:
            case Create():
                return {"status": 201, "task": await self._create(operation)}
            case Update(changes=changes):
                named = self._named(operation)
                with _within("changes"):
                    task = await self._tasks.update(named, changes.changes(), operation.expected)
                return {"status": 200, "task": task}
            case Complete():
                return {"status": 200, "task": await self._complete(operation)}
            case Move():
                named = self._named(operation)
                moved = await self._moves.move(named, operation.after, operation.asked_list, operation.expected)
                return {"status": 200, "task": moved}
            case Restore():
                return {"status": 200, "task": await self._tasks.restore(self._named(operation), operation.expected)}
        await self._tasks.delete(self._named(operation), operation.expected)
        return {"status": 204}

    async def _complete(self, operation: Complete) -> Task:
        return await self._tasks.complete(
            self._named(operation), operation.completed, operation.expected, skip_missed=operation.skip_missed
        )

    async def _create(self, operation: Create) -> Task:
        new, ref = operation.task, operation.parent_ref
        if ref is not None:
            new = new.model_copy(update={"parent_id": self._id(ref, "parent_ref")})
        try:
            task = await self._tasks.create(new)
        except InvalidField as error:  # of the parent or the list, which are compared with what is stored
            path = ("parent_ref",) if ref is not None and error.path == ("parent_id",) else ("task", *error.path)
            raise InvalidField(path, error.detail) from None
        if operation.ref is not None:
            self._ids[operation.ref] = task["id"]
        return task

    def _named(self, operation: Named) -> int:
        return self._id(operation.ref, "ref") if operation.id is None else operation.id

    def _id(self, ref: str | None, member: str) -> int:
        if ref not in self._ids:
            raise InvalidField((member,), "must be the ref of a create before this one")
        return self._ids[ref]


@contextmanager
def _within(member: str) -> Iterator[None]:
    """What is wrong inside stands in this member of the operation."""
    try:
        yield
    except InvalidField as error:
        raise InvalidField((member, *error.path), error.detail) from None
