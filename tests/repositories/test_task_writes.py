"""The statements with few parameters write what the one with all of them writes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.domain.enums import Priority
from backend.app.domain.first_revision import first_revision
from backend.app.repositories import task_writes
from backend.app.repositories.mapping import TASKS, owner, task_id, task_to_columns
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.task import TaskCreate, TaskReplace
from tests.support.applications import database_for
from tests.support.repositories import repository
from tests.support.tokens import new_user

# Two rows differ in these whoever writes them.
OF_THE_ROW = {"id", "user_id", "revision", "created_at", "updated_at"}
EVERYTHING = compile_scoped("all of a task", select(TASKS).where(TASKS.c.user_id == owner, TASKS.c.id == task_id))
PLANNED = TaskCreate(
    title="before",
    description="Before",
    priority=Priority.HIGH,
    due_date="2026-12-24",
    time_zone="Europe/Berlin",
    tags=["A"],
)
TEXTS = [("after", None), ("Ångström", "mit Öl")]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_for(database_url) as database:
        yield database


async def stored(mine: TaskRepository, number: int) -> dict[str, Any]:
    [row] = await mine.session.run(EVERYTHING, task_id=number)
    return {name: value for name, value in row.items() if name not in OF_THE_ROW}


@pytest.mark.parametrize(("title", "description"), TEXTS)
async def test_a_new_text_is_stored_as_any_task(database: Database, title: str, description: str | None) -> None:
    """Whichever statement has created it."""
    mine = repository(database, new_user())
    new = TaskCreate(title=title, description=description)
    columns = task_to_columns(new.model_dump())

    by_few = await mine.create(new)
    [by_all] = await mine.session.run(task_writes.CREATE, **columns, max_tasks=10, first_revision=first_revision())

    assert await stored(mine, by_few["id"]) == await stored(mine, by_all["id"])


@pytest.mark.parametrize(("title", "description"), TEXTS)
async def test_a_text_in_place_of_everything(database: Database, title: str, description: str | None) -> None:
    """What is replaced by a text is as if each member had been cleared, and stays completed."""
    mine = repository(database, new_user())
    first, second = [await mine.create(PLANNED) for _ in range(2)]
    for task in (first, second):
        await mine.complete(task["id"], completed=True)
    replaced = TaskReplace(title=title, description=description).changes(0, "")

    await mine.update(first["id"], replaced, whole=True)
    await mine.update(second["id"], {**replaced, "completed": True}, whole=True)

    one, other = await stored(mine, first["id"]), await stored(mine, second["id"])
    assert one.pop("completed_at") is not None
    assert other.pop("completed_at") is not None
    assert one == other


@pytest.mark.parametrize("changed", [("title",), ("description",), ("title", "description")], ids="+".join)
async def test_a_changed_text_leaves_the_rest(database: Database, changed: tuple[str, ...]) -> None:
    """As with a priority that stays what it was."""
    mine = repository(database, new_user())
    first, second = [await mine.create(PLANNED) for _ in range(2)]
    text: dict[str, Any] = {"title": "after", "description": None}
    changes: Any = {name: text[name] for name in changed}

    await mine.update(first["id"], changes)
    changes["priority"] = Priority.HIGH
    await mine.update(second["id"], changes)

    assert await stored(mine, first["id"]) == await stored(mine, second["id"])


@pytest.mark.parametrize(
    ("changes", "whole", "write"),
    [
        ({"title": "a"}, False, task_writes.UPDATE_TEXT[frozenset({"title"})]),
        ({"description": "a"}, False, task_writes.UPDATE_TEXT[frozenset({"description"})]),
        ({"title": "a", "priority": Priority.LOW}, False, task_writes.UPDATE),
        ({"completed": True}, False, task_writes.UPDATE),
        (TaskReplace(title="a").changes(0, ""), True, task_writes.REPLACE_BY_TEXT),
        (TaskReplace(title="a", completed=True).changes(0, ""), True, task_writes.UPDATE),
        (TaskReplace(title="a", tags=["b"]).changes(0, ""), True, task_writes.UPDATE),
    ],
    ids=["title", "description", "title and priority", "completed", "whole", "whole and completed", "whole and tags"],
)
async def test_the_statement_with_the_fewest_parameters_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch, changes: Any, whole: bool, write: task_writes.Write
) -> None:
    """And no other: it would cost what it does not need."""
    mine = repository(database, new_user())
    task = await mine.create(TaskCreate(title="before"))
    sent = []
    rows = OwnerSession.rows

    async def watched(session: OwnerSession, statement: Any, **parameters: Any) -> Any:
        sent.append(statement)
        return await rows(session, statement, **parameters)

    monkeypatch.setattr(OwnerSession, "rows", watched)
    await mine.update(task["id"], changes, whole=whole)

    # On a cluster the same one passes a session twice: its own, and the transaction's.
    assert sent
    assert all(statement == write.plain for statement in sent)
