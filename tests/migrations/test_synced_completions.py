"""Migration 0015: completions that were there are told to a full copy, in pages that split none of them."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.config import Config

from tests.support.old_databases import migrated_to
from tests.support.postgres import Server

NAME = "synced"
USERS = {"alice": 1500, "bob": 3}
INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'completions'::regclass AND indisvalid"


@pytest.fixture
def alembic(server: Server) -> Iterator[Config]:
    """A database as 0014 left it, with more completions than a batch; its owner is no superuser."""
    with migrated_to(server, NAME, "0014") as made:
        for user, count in USERS.items():
            server.execute(
                f"INSERT INTO task_lists (user_id, last_task_id, task_count, revision) VALUES ('{user}', 9, 0, 10^15); "
                f"INSERT INTO completions (user_id, task_id, completed_at, title, revision) SELECT '{user}', n % 9 + 1,"
                f" timestamptz '2026-01-01' + n * interval '1 second', 'x', 10^15 FROM generate_series(1, {count}) n",
                database=NAME,
            )
        yield made


def numbers(server: Server, user: str) -> list[int]:
    rows = f"SELECT sync_revision FROM completions WHERE user_id = '{user}' ORDER BY 1"
    return [number for (number,) in server.execute(rows, database=NAME)]


def test_each_gets_a_number_of_its_own_below_all_revisions(server: Server, alembic: Config) -> None:
    """The owner, on whom row-level security is forced, fills them in."""
    command.upgrade(alembic, "head")
    command.check(alembic)

    for user, count in USERS.items():
        found = numbers(server, user)
        assert len(set(found)) == count
        assert (found[0] > 0, found[-1] < 10**12) == (True, True)
    policies = server.execute("SELECT policyname FROM pg_policies WHERE tablename = 'completions'", database=NAME)
    assert sorted(policies) == [("own_rows",), ("purge",)]
    assert ("ix_completions_user_id_sync_revision",) in server.execute(INDEXES, database=NAME)


def test_one_that_was_cut_short_is_run_again(server: Server, alembic: Config) -> None:
    """Some were numbered, the index was not there; what an older program has written since has a number, too."""
    command.upgrade(alembic, "0015")
    before = numbers(server, "alice")
    server.execute(
        "UPDATE alembic_version SET version_num = '0014'; DROP INDEX ix_completions_user_id_sync_revision; "
        "UPDATE completions SET sync_revision = NULL WHERE user_id = 'bob' OR task_id < 5",
        database=NAME,
    )

    command.upgrade(alembic, "0015")

    assert len(set(numbers(server, "alice"))) == len(before)
    assert len(set(numbers(server, "bob"))) == USERS["bob"]
    assert ("ix_completions_user_id_sync_revision",) in server.execute(INDEXES, database=NAME)


def test_the_way_back_leaves_completions_as_they_were(server: Server, alembic: Config) -> None:
    """Without what the newer program has written beside them."""
    command.upgrade(alembic, "0015")
    server.execute("INSERT INTO deleted_completions VALUES ('bob', 1, now(), 5, now())", database=NAME)

    command.downgrade(alembic, "0014")

    assert server.execute("SELECT count(*) FROM completions", database=NAME) == [(sum(USERS.values()),)]
    command.upgrade(alembic, "0015")
    assert server.execute("SELECT count(*) FROM deleted_completions", database=NAME) == [(0,)]
