"""Parents, parts and the trash under concurrency: real connections, real locks."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from backend.app import problems
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from backend.app.domain.enums import Status
from backend.app.domain.errors import InvalidField
from backend.app.repositories.queries import TaskQueries
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate
from tests.support.applications import database_for
from tests.support.tokens import new_user


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_for(database_url) as database:
        yield database


def tasks_of(database: Database, user_id: str) -> TaskRepository:
    return TaskRepository(OwnerSession(database, user_id), max_tasks=1000, max_subtasks=50, max_completions=100)


async def consistent(database: Database, user_id: str) -> None:
    """The count is right, no revision is given twice, every part's parent is a task of its own, and the list's revision
    is the last one."""
    text = f"SELECT task_count, revision FROM public.task_lists WHERE user_id = %({OWNER})s"
    [row] = await OwnerSession(database, user_id).run(Statement("counters", text, ("task_count", "revision")))
    finder = TaskQueries(OwnerSession(database, user_id))
    living = (await finder.page(TaskPageQuery(limit=500), None)).found
    trash = (await finder.page(TaskPageQuery(limit=500, status=Status.DELETED), None)).found
    alone = {task["id"] for task in living if task["parent_id"] is None}
    revisions = [task["revision"] for task in living + trash]
    assert row["task_count"] == len(living)
    assert len(set(revisions)) == len(revisions)
    assert max(revisions) <= row["revision"]
    assert {task["parent_id"] for task in living} - {None} <= alone
    assert not {task["id"] for task in living} & {task["id"] for task in trash}


@pytest.mark.parametrize("was_parent", [False, True], ids=["first part", "another part"])
async def test_a_part_that_comes_while_its_parent_is_completed(database: Database, was_parent: bool) -> None:
    """Is completed with it, or came later: whichever of the two has the lower revision was first."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    for _ in range(25):
        parent = await mine.create(TaskCreate(title="parent"))
        if was_parent:
            await mine.create(TaskCreate(title="part", parent_id=parent["id"]))

        part, done = await asyncio.gather(
            mine.create(TaskCreate(title="part", parent_id=parent["id"])), mine.complete(parent["id"], completed=True)
        )

        now = await TaskQueries(mine.session).get(part["id"])
        assert now["completed"] == (part["revision"] < done["revision"])
    await consistent(database, user_id)


async def test_a_part_that_comes_while_its_parent_is_deleted(database: Database) -> None:
    """Goes with it, or is refused: no part is left without its parent."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    for _ in range(25):
        parent = await mine.create(TaskCreate(title="parent"))

        part, deleted = await asyncio.gather(
            mine.create(TaskCreate(title="part", parent_id=parent["id"])), mine.delete(parent["id"]),
            return_exceptions=True,
        )  # fmt: skip

        assert deleted is None
        assert isinstance(part, dict | InvalidField)
        with pytest.raises(problems.TaskNotFound):
            await TaskQueries(mine.session).get(parent["id"])
    await consistent(database, user_id)


async def test_two_tasks_do_not_become_each_others_part(database: Database) -> None:
    """One of the two is refused, whoever is first."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    for _ in range(20):
        one, other = [await mine.create(TaskCreate(title="t")) for _ in range(2)]

        answers = await asyncio.gather(
            mine.update(one["id"], {"parent_id": other["id"]}), mine.update(other["id"], {"parent_id": one["id"]}),
            return_exceptions=True,
        )  # fmt: skip

        assert sorted(type(answer).__name__ for answer in answers) == ["InvalidField", "dict"]
    await consistent(database, user_id)


async def test_the_last_place_among_parts_is_given_once(database: Database) -> None:
    """However many ask for it at once."""
    user_id = new_user()
    mine = TaskRepository(OwnerSession(database, user_id), max_tasks=1000, max_subtasks=5, max_completions=100)
    parent = await mine.create(TaskCreate(title="parent"))

    answers = await asyncio.gather(
        *(mine.create(TaskCreate(title="part", parent_id=parent["id"])) for _ in range(12)), return_exceptions=True
    )

    assert sum(isinstance(answer, dict) for answer in answers) == 5
    await consistent(database, user_id)


async def test_a_repeating_task_moves_on_once_for_each_completion(database: Database) -> None:
    """None of twelve at once is lost."""
    mine = tasks_of(database, new_user())
    task = await mine.create(TaskCreate(title="daily", due_date="2026-01-01", recurrence="FREQ=DAILY"))

    await asyncio.gather(*(mine.complete(task["id"], completed=True) for _ in range(12)))

    assert (await TaskQueries(mine.session).get(task["id"]))["due_date"] == "2026-01-13"


async def test_a_storm_leaves_everything_in_order(database: Database) -> None:
    """Two hundred writes of every kind at once: no deadlock, no wrong count, no revision twice."""
    user_id = new_user()
    mine, choose = tasks_of(database, user_id), random.Random(3)  # noqa: S311 - no secret
    for n in range(1, 13):
        await mine.create(TaskCreate(title="t", parent_id=None if n < 5 else 1 + n % 4))

    def some_write() -> Any:
        number = choose.randint(1, 14)
        writes: list[Callable[[], Any]] = [
            lambda: mine.create(TaskCreate(title="t", parent_id=choose.choice([None, number]))),
            lambda: mine.update(number, {"title": "x"}),
            lambda: mine.update(number, {"parent_id": choose.choice([None, 1, 2])}),
            lambda: mine.complete(number, None),
            lambda: mine.delete(number),
            lambda: mine.restore(number),
        ]
        return choose.choice(writes)()

    answers = await asyncio.gather(*(some_write() for _ in range(200)), return_exceptions=True)

    unexpected = [
        a for a in answers if isinstance(a, BaseException) and not isinstance(a, problems.TaskNotFound | InvalidField)
    ]
    assert unexpected == []
    await consistent(database, user_id)
