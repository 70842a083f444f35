"""Moves of tasks: after another one of the same list and parent, or to the front; also into another list."""

from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, func, update
from sqlalchemy.sql.dml import ReturningUpdate

from backend.app.db.session import OwnerSession
from backend.app.domain.enums import AnyList
from backend.app.domain.errors import InvalidField
from backend.app.domain.preconditions import Expected
from backend.app.repositories.mapping import COUNTERS, TASKS, Task, bump_revision, owner, row_to_task, shown, task_id
from backend.app.repositories.moves import TASK_ORDER, Neighbours
from backend.app.repositories.placement import PUT_SUBTASKS_INTO_LIST, list_of
from backend.app.repositories.query_statements import GET
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.subtasks import expected_task


def _move() -> ReturningUpdate[Any]:
    counted = bump_revision().returning(COUNTERS.c.revision).cte("counted")
    return (
        update(TASKS)
        .values(
            position=bindparam("position", type_=Text),
            list_id=bindparam("list_id", type_=BigInteger),
            revision=counted.c.revision,
            updated_at=func.now(),
        )
        .where(TASKS.c.user_id == owner, TASKS.c.id == task_id)
        .returning(*shown(TASKS))
    )


MOVE = compile_scoped("move a task", _move(), row_to_task, bumps_revision=True)


class MoveRepository:
    """Gives the caller's tasks an order of their own. May raise Unavailable."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def move(self, task_id: int, after: int | None, list_id: int | AnyList | None, expected: Expected) -> Task:
        """Put a task right after another one, or to the front where that is None.

        Nothing is written where it is there already. Raises TaskNotFound, PreconditionFailed, or InvalidField for a
        list or another task that it cannot be in or after.
        """
        async with self._session.transaction() as session:
            task = expected_task(await session.run(GET, task_id=task_id), expected)
            parent = task if task["parent_id"] is not None else None  # which is in its parent's list
            wanted = await list_of(session, list_id, parent, otherwise=task["list_id"])
            neighbours = Neighbours(session, TASK_ORDER, task_id)
            if after is None:
                position = await neighbours.in_front()
            else:
                other = await self._other(session, after, {**task, "list_id": wanted})
                position = await neighbours.behind(other["position"], other["id"])
            if (position, wanted) == (task["position"], task["list_id"]):
                return task
            [moved] = await session.run(MOVE, task_id=task_id, position=position, list_id=wanted)
            if wanted != task["list_id"]:
                await session.run(PUT_SUBTASKS_INTO_LIST, task_id=task_id, list_id=wanted)
        return moved

    async def _other(self, session: OwnerSession, after: int, task: Task) -> Task:
        found = await session.run(GET, task_id=after)
        beside = [one for one in found if all(one[name] == task[name] for name in ("list_id", "parent_id"))]
        if not beside or after == task["id"]:
            raise InvalidField(("after",), "must be another task of the same list and the same parent, or null")
        return beside[0]
