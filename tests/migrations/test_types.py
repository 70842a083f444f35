"""Migration 0008: bounds become domains' on a filled database, which is neither rewritten nor left without them."""

from collections.abc import Iterator

import psycopg2
import pytest
from alembic import command
from alembic.config import Config

from backend.app.db import embedded
from tests.support.postgres import Server

NAME = "types"
TASK = "INSERT INTO tasks (user_id, id, title, description, revision) VALUES ('a', {}, {}, {}, 1)"
FILES = (
    "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('tasks', 'task_lists', 'pk_tasks', 'pk_task_lists', "
    "'ix_tasks_user_id_revision') ORDER BY 1"
)
INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'tasks'::regclass AND indisvalid ORDER BY 1"
REFUSED = {
    "no number": TASK.format(0, "'x'", "NULL"),
    "no title": TASK.format(2, "''", "NULL"),
    "a title of 201 characters": TASK.format(2, "repeat('ä', 201)", "NULL"),
    "a description of 1,001 characters": TASK.format(2, "'x'", "repeat('ä', 1001)"),
    "fewer than no tasks": "UPDATE task_lists SET task_count = -1",
    "no owner": "INSERT INTO task_lists (user_id, last_task_id, task_count, revision) VALUES ('', 1, 1, 1)",
}


@pytest.fixture
def alembic(server: Server) -> Iterator[Config]:
    """A database as 0007 left it, with a task at its bounds."""
    server.execute(f"CREATE DATABASE {NAME}")
    made = embedded.alembic_for(server.database_url(NAME))
    command.upgrade(made, "0007")
    fill = "INSERT INTO task_lists (user_id, last_task_id, task_count, revision) VALUES ('a', 1, 0, 1); "
    server.execute(fill + TASK.format(1, "repeat('ä', 200)", "repeat('ä', 1000)"), database=NAME)
    yield made
    server.execute(f"DROP DATABASE {NAME}")


def refused(server: Server) -> dict[str, bool]:
    """What the database refuses, asked by one whom no row-level security holds."""
    found = {}
    for name, statement in REFUSED.items():
        try:
            server.execute(statement, database=NAME)
        except psycopg2.errors.CheckViolation:
            found[name] = True
        else:
            found[name] = False
    return found


def test_the_same_is_refused_and_nothing_is_rewritten(server: Server, alembic: Config) -> None:
    """Before, after, and on the way back; a table that is written anew would be locked meanwhile."""
    files, indexes = server.execute(FILES, database=NAME), server.execute(INDEXES, database=NAME)
    assert refused(server) == dict.fromkeys(REFUSED, True)

    command.upgrade(alembic, "0008")

    assert refused(server) == dict.fromkeys(REFUSED, True)
    assert server.execute(FILES, database=NAME) == files
    command.downgrade(alembic, "0007")
    assert refused(server) == dict.fromkeys(REFUSED, True)
    assert server.execute(INDEXES, database=NAME) == indexes


def test_one_that_was_cut_short_is_run_again(server: Server, alembic: Config) -> None:
    """The domains were there already, and an index was not."""
    command.upgrade(alembic, "0008")
    indexes = server.execute(INDEXES, database=NAME)
    server.execute(
        "UPDATE alembic_version SET version_num = '0007'; DROP INDEX ix_tasks_open_user_id_id", database=NAME
    )

    command.upgrade(alembic, "0008")

    assert refused(server) == dict.fromkeys(REFUSED, True)
    assert server.execute(INDEXES, database=NAME) == indexes
