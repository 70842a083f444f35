"""Migration 0016: texts that older programs have stored are sorted and found as those that are written now."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.config import Config

from backend.app.domain import keys
from tests.support.old_databases import migrated_to
from tests.support.postgres import Server

NAME = "renewed"
STORED = "SELECT user_id, id, title, description, title_key, description_key FROM {} ORDER BY 1, 2"
TEXTS = [("🧹 sweep", None), ("plain", "τῷ"), ("plain", "plain"), ("Été", "끝")]


@pytest.fixture
def alembic(server: Server) -> Iterator[Config]:
    """A database as 0015 left it, with more tasks than a batch and keys of another program."""
    with migrated_to(server, NAME, "0015") as made:
        for user in ("alice", "bob"):
            server.execute(
                f"INSERT INTO task_lists (user_id, last_task_id, task_count, revision) VALUES ('{user}', 9, 0, 1); "
                "INSERT INTO tasks (user_id, id, title, description, title_key, description_key, revision) "
                f"SELECT '{user}', n, 'é', 'plain', 'old', 'kept', 1 FROM generate_series(11, 1200) n",
                database=NAME,
            )
        for number, (title, description) in enumerate(TEXTS, 1):
            described = "NULL" if description is None else f"'{description}'"
            server.execute(
                "INSERT INTO tasks (user_id, id, title, description, title_key, description_key, revision) "
                f"VALUES ('alice', {number}, '{title}', {described}, '{keys.title_key(title)}', 'old', 1); "
                "INSERT INTO deleted_tasks "
                "(user_id, id, title, description, title_key, description_key, revision, deleted_at) "
                f"VALUES ('alice', {number + 10_000}, '{title}', {described}, 'old', 'old', 1, now())",
                database=NAME,
            )
        yield made


@pytest.mark.parametrize("table", ["tasks", "deleted_tasks"])
def test_texts_beyond_ascii_get_their_keys(server: Server, alembic: Config, table: str) -> None:
    """Others keep theirs, which are the same in every version; and all of it may be run again."""
    command.upgrade(alembic, "head")
    command.downgrade(alembic, "0015")
    command.upgrade(alembic, "head")

    stored = server.execute(STORED.format(table), database=NAME)
    policies = server.execute("SELECT 1 FROM pg_policies WHERE policyname = 'search_keys'", database=NAME)
    assert (len(stored) >= len(TEXTS), policies) == (True, [])
    for _, _, title, description, title_key, description_key in stored:
        if title.isascii() and (description or "").isascii():
            assert description_key == "old"
        else:
            described = None if description is None else keys.description_key(description)
            assert (title_key, description_key) == (keys.title_key(title), described)
