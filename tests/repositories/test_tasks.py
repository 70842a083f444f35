"""The repository under concurrency: real connections, real locks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from backend.app import problems
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from backend.app.domain.enums import Status
from backend.app.domain.preconditions import Precondition
from backend.app.repositories.queries import TaskQueries
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate
from tests.support.applications import database_for
from tests.support.postgres import Server
from tests.support.tokens import new_user

CAP = 1000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool of ten connections on the shared database."""
    async with database_for(database_url) as database:
        yield database


def tasks_of(database: Database, user_id: str, *, cap: int = CAP) -> TaskRepository:
    return TaskRepository(OwnerSession(database, user_id), max_tasks=cap, max_subtasks=10, max_completions=100)


def found_by(mine: TaskRepository) -> TaskQueries:
    """What the same caller finds."""
    return TaskQueries(mine.session)


async def counters(database: Database, user_id: str) -> tuple[int, int, int]:
    text = f"SELECT last_task_id, task_count, revision FROM public.task_lists WHERE user_id = %({OWNER})s"
    columns = ("last_task_id", "task_count", "revision")
    [row] = await OwnerSession(database, user_id).run(Statement("counters", text, columns))
    return row["last_task_id"], row["task_count"], row["revision"]


async def test_concurrent_creates_number_without_gap(database: Database) -> None:
    """Fifty tasks that one user creates at once get the ids 1 to 50 and fifty revisions in a row."""
    user_id = new_user()
    mine = tasks_of(database, user_id)

    created = await asyncio.gather(*(mine.create(TaskCreate(title=f"task {n}")) for n in range(50)))

    assert sorted(task["id"] for task in created) == list(range(1, 51))
    by_id = sorted(created, key=lambda task: task["id"])
    revisions = [task["revision"] for task in by_id]
    assert revisions == list(range(revisions[0], revisions[0] + 50))
    assert await counters(database, user_id) == (50, 50, revisions[-1])


@pytest.mark.parametrize("toggles", [50, 51])
async def test_concurrent_toggles_are_all_counted(database: Database, toggles: int) -> None:
    """No toggle is lost: an even number of them changes nothing, an odd number turns the task over."""
    mine = tasks_of(database, new_user())
    task = await mine.create(TaskCreate(title="toggled"))

    answers = await asyncio.gather(*(mine.complete(task["id"], None) for _ in range(toggles)))

    after = await found_by(mine).get(task["id"])
    assert after["completed"] is (toggles % 2 == 1)
    assert sorted(answer["revision"] for answer in answers) == [task["revision"] + n + 1 for n in range(toggles)]


async def test_an_if_match_race_has_one_winner(database: Database) -> None:
    """Of forty writers that expect the same revision one succeeds, the others are told, and nothing else changes."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    task = await mine.create(TaskCreate(title="raced for"))

    writes = (mine.update(task["id"], {"title": f"winner {n}"}, Precondition((task["revision"],))) for n in range(40))
    answers = await asyncio.gather(*writes, return_exceptions=True)

    winners = [answer for answer in answers if isinstance(answer, dict)]
    assert len(winners) == 1
    assert sum(isinstance(answer, problems.PreconditionFailed) for answer in answers) == 39
    assert await found_by(mine).get(task["id"]) == winners[0]
    assert (await counters(database, user_id))[2] == task["revision"] + 1


async def test_a_delete_race_counts_once(database: Database) -> None:
    """Of twenty deletes of one task one succeeds, and the user's count of tasks falls by one."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    task, _ = [await mine.create(TaskCreate(title=title)) for title in ("deleted", "kept")]

    answers = await asyncio.gather(*(mine.delete(task["id"]) for _ in range(20)), return_exceptions=True)

    assert answers.count(None) == 1
    assert sum(isinstance(answer, problems.TaskNotFound) for answer in answers) == 19
    assert (await counters(database, user_id))[:2] == (2, 1)


async def test_the_cap_holds_under_concurrency(database: Database) -> None:
    """A user at the cap gets not one task more, however many are created at once, and room is made by deleting."""
    user_id = new_user()
    mine = tasks_of(database, user_id, cap=10)

    answers = await asyncio.gather(
        *(mine.create(TaskCreate(title="one of many")) for _ in range(30)), return_exceptions=True
    )

    assert sum(isinstance(answer, problems.TaskLimitReached) for answer in answers) == 20
    assert (await counters(database, user_id))[:2] == (10, 10)
    await mine.delete(3)
    assert (await mine.create(TaskCreate(title="in its place")))["id"] == 11


async def test_a_refused_write_changes_nothing(database: Database) -> None:
    """A write to a missing task, or one that is not as expected, leaves the counter where it was."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    task = await mine.create(TaskCreate(title="as it was"))
    before = await counters(database, user_id)

    for refused in (
        mine.update(99, {"title": "x"}),
        mine.complete(task["id"], None, Precondition((1,))),
        mine.complete(task["id"], None, Precondition(())),
        mine.delete(task["id"], Precondition((task["revision"] - 1,))),
        mine.delete(99, Precondition((task["revision"],))),
    ):
        with pytest.raises((problems.TaskNotFound, problems.PreconditionFailed)):
            await refused

    assert await counters(database, user_id) == before
    assert await found_by(mine).get(task["id"]) == task


async def test_a_walk_through_pages_meets_each_old_task_once_while_another_inserts(database: Database) -> None:
    """Pages are cut by id, so what is inserted meanwhile moves no boundary."""
    mine = tasks_of(database, new_user())
    for n in range(25):
        await mine.create(TaskCreate(title=f"old {n}"))

    met: list[int] = []
    place = None
    while not met or place is not None:
        page = await found_by(mine).page(TaskPageQuery(limit=4), place)
        met += [task["id"] for task in page.found]
        place = page.following
        await mine.create(TaskCreate(title="new"))

    assert met == list(range(25, 0, -1))


@pytest.mark.parametrize("status", [Status.PENDING, Status.COMPLETED])
async def test_a_status_filter_shows_only_that_state(database: Database, status: Status) -> None:
    """`pending` and `completed` divide the user's tasks between them, newest first."""
    mine = tasks_of(database, new_user())
    for n in range(6):
        await mine.create(TaskCreate(title=f"task {n}", completed=n % 2 == 0))

    page = await found_by(mine).page(TaskPageQuery(status=status), None)

    assert [task["id"] for task in page.found] == ([6, 4, 2] if status is Status.PENDING else [5, 3, 1])
    assert page.following is None


async def test_revisions_of_someone_who_comes_back_are_above_every_old_one(
    database: Database, database_url: str, server: Server
) -> None:
    """A first revision is the time in milliseconds, so an ETag from before an erasure never matches again."""
    user_id = new_user()
    mine = tasks_of(database, user_id)
    old = await mine.create(TaskCreate(title="before"))
    name = database_url.partition("@/")[2].partition("?")[0]
    server.execute(f"DELETE FROM tasks WHERE user_id = '{user_id}'", database=name)
    server.execute(f"DELETE FROM task_lists WHERE user_id = '{user_id}'", database=name)

    new = await mine.create(TaskCreate(title="after"))

    assert new["id"] == 1
    assert new["revision"] > old["revision"]
