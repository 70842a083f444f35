"""DATABASE_CLUSTER=citus on a PostgreSQL that is none: what is sent, what is asked of the login, what is distributed.

Citus itself is in no package of Debian's or PyPI's: a stand-in has its functions' names and notes what is called. With
CITUS_DATABASE_URL the suite runs on a cluster: see tests/support/cluster.py.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from backend.app import problems
from backend.app.db import embedded
from backend.app.db.citus import CITUS
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from backend.app.main import create_app
from backend.app.migrations import distribution
from backend.app.models import metadata
from backend.app.problems import StartupError
from tests.conftest import confined_login
from tests.support.applications import client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.programs import clone, environment
from tests.support.tokens import new_user
from tests.support.wire import Wire, wire_to

FAILING = f"DO $$ BEGIN RAISE SQLSTATE '%%s'; END $$; SELECT %({OWNER})s"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of this module's own, in which the API's role may log in: roles belong to the whole of one."""
    with embedded.joined(tmp_path_factory.mktemp("cluster")) as url:
        server = Server(url)
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute(f"CREATE ROLE tasks_login LOGIN IN ROLE {server.role()}")
        confined_login(server)
        server.login = server.role()
        yield server


@contextlib.asynccontextmanager
async def cluster_at(url: str, **options: Any) -> AsyncIterator[Database]:
    limits = {"pool_size": 1, "pool_timeout": 5.0, "connect_timeout": 5.0, "statement_timeout": 5.0}
    database = Database(url, **{**limits, "on_missing_wall": print, "preamble": CITUS, **options})
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def wired(server: Server, name: str, **options: Any) -> AsyncIterator[tuple[Wire, Database]]:
    async with wire_to(server.api_url(name)) as (wire, url), cluster_at(url, **options) as database:
        await database.check()
        wire.texts.clear()
        yield wire, database


def opening(owner: str) -> list[str]:
    return [
        "BEGIN",
        f"SET LOCAL app.user_id = '{owner}'",
        "SET LOCAL search_path = pg_catalog, pg_temp",
        "SET LOCAL statement_timeout = 5000",
        "SET LOCAL idle_in_transaction_session_timeout = 5000",
    ]


async def test_each_setting_is_a_message_of_its_own(own_server: Server) -> None:
    """Through the whole application: the settings reach the nodes of the rows only in this way."""
    user_id = new_user()
    with own_server.new_database() as name:
        async with wire_to(own_server.api_url(name)) as (wire, url):
            settings = settings_for(url, database_cluster="citus")
            async with running(create_app(settings)) as app, client_for(app, user_id) as client:
                wire.texts.clear()
                created = await client.post(f"/api/{user_id}/tasks", json={"title": "one"})
                alone = list(wire.texts)
                wire.texts.clear()
                batch = {"operations": [{"op": "complete", "id": 1}, {"op": "delete", "id": 1}]}
                made = await client.post(f"/api/{user_id}/batch", json=batch)
                together = list(wire.texts)

    assert (created.status_code, made.status_code) == (201, 200)
    assert alone[:5] == opening(user_id)
    # The list, the task.
    assert [text[:6] for text in alone[5:]] == ["INSERT", "INSERT", "COMMIT"]
    assert together[:5] == opening(user_id)
    assert together[5].startswith("INSERT INTO public.task_lists AS list (user_id, ")
    # To complete is one statement. To delete, the task is read, then reminders go, and what goes is counted, copied,
    # removed.
    steps = ["WITH c", "SELECT", "DELETE", "WITH g", "WITH g", "DELETE", "COMMIT"]
    assert [text[:6] for text in together[6:]] == steps
    # No message holds two statements, and none takes another role.
    assert [text for text in [*alone, *together] if ";" in text or "ROLE" in text] == []


INSERT_IN_A_CTE = re.compile(r"\(\s*INSERT INTO", re.IGNORECASE)


async def test_writes_run_in_steps(own_server: Server) -> None:
    """With the answers that one PostgreSQL gives, and without a message that a cluster would send to every node."""
    user_id = new_user()
    url = f"/api/{user_id}/tasks"
    with own_server.new_database() as name:
        async with wire_to(own_server.api_url(name)) as (wire, wired_url):
            settings = settings_for(wired_url, database_cluster="citus", max_tasks_per_user=2)
            async with running(create_app(settings)) as app, client_for(app, user_id) as client:
                parent = await client.post(url, json={"title": "parent"})
                part = await client.post(url, json={"title": "part", "parent_id": 1, "completed": True})
                over = await client.post(url, json={"title": "one too many"})
                refused = await client.delete(f"{url}/2", headers={"If-Match": '"1"'})
                kept = await client.get(f"{url}/2")
                missing = await client.delete(f"{url}/3")
                deleted = await client.delete(f"{url}/1")
                left = await client.get(url)
                restored = await client.post(f"{url}/1/restore")
                back = await client.get(url)
                exact = await client.delete(f"{url}/2", headers={"If-Match": f'"{back.json()[0]["revision"]}"'})

    assert [answer.status_code for answer in (parent, part, over)] == [201, 201, 422]
    assert [answer.status_code for answer in (refused, kept, missing)] == [412, 200, 404]
    assert [answer.status_code for answer in (deleted, restored, exact)] == [204, 200, 204]
    assert (left.json(), restored.json()) == ([], back.json()[1])
    for before, after in zip((part.json(), parent.json()), back.json(), strict=True):
        assert after["revision"] > before["revision"]
        assert {**before, "revision": 0, "updated_at": ""} == {**after, "revision": 0, "updated_at": ""}
    assert [text for text in wire.texts if INSERT_IN_A_CTE.search(text)] == []


@pytest.mark.parametrize("owner", ["o'neil", "back\\slash", "%(x)s", "a;b--", 'quo"te', "ünïcödé", "🦊", "$1"])
async def test_an_owner_is_only_ever_a_value(own_server: Server, owner: str) -> None:
    """Whatever characters a user id has, in a statement alone and in a transaction."""
    who = Statement("who", f"SELECT current_user, current_setting('app.user_id'), %({OWNER})s", ("role", "seen", "own"))
    with own_server.new_database() as name:
        async with cluster_at(own_server.api_url(name)) as database:
            [alone] = await OwnerSession(database, owner).run(who)
            async with database.transaction(owner) as session:
                [together] = await session.run(who)
            left = await database._execute("SELECT current_setting('app.user_id', true)", {})  # noqa: SLF001 - what the next one would see

    assert alone == together == {"role": own_server.role(), "seen": owner, "own": owner}
    assert left == [("",)]


@pytest.mark.parametrize(
    ("sqlstate", "problem"),
    [
        ("08006", problems.DatabaseUnavailable),  # a node that is lost: connection failure
        ("57P01", problems.DatabaseUnavailable),
        ("40P01", problems.DatabaseUnavailable),
        ("XX000", problems.DatabaseUnavailable),  # a node that is lost after it was written to
        ("57014", problems.RequestTimeout),
    ],
)
async def test_what_a_node_fails_with_is_a_503_for_its_users(
    own_server: Server, sqlstate: str, problem: type[problems.Problem]
) -> None:
    """The transaction is ended, and the connection serves the next one, whose rows are elsewhere."""
    failing = Statement("failing", FAILING.replace("%%s", sqlstate), ("owner",))
    fine = Statement("fine", f"SELECT %({OWNER})s", ("owner",))
    with own_server.new_database() as name:
        async with wired(own_server, name) as (wire, database):
            with pytest.raises(problem):
                await OwnerSession(database, "lost").run(failing)
            assert wire.texts[-1] == "ROLLBACK"
            assert await OwnerSession(database, "elsewhere").run(fine) == [{"owner": "elsewhere"}]
            assert wire.connections == 1


async def test_a_connection_that_is_lost_is_not_asked_to_roll_back(own_server: Server) -> None:
    """The caller is told to come back, and the next statement has a new connection."""
    fine = Statement("fine", f"SELECT %({OWNER})s", ("owner",))
    with own_server.new_database() as name:
        async with wired(own_server, name) as (wire, database):
            wire.lose_after(3, once=True)
            with pytest.raises(problems.DatabaseUnavailable) as away:
                await OwnerSession(database, "u").run(fine)
            assert await OwnerSession(database, "u").run(fine) == [{"owner": "u"}]

    assert away.value.retry is problems.Retry.IF_IDEMPOTENT


# Stands for the name of the role, which the database gives it.
THE_ROLE = "the_role"
RESET = "ALTER ROLE the_role RESET citus.propagate_set_commands"
SET = "ALTER ROLE the_role SET citus.propagate_set_commands = 'local'"


@pytest.mark.parametrize(
    ("plant", "restore", "login", "sentence"),
    [
        ("SELECT 1", "SELECT 1", "tasks_login", "the user of DATABASE_URL is tasks_login, and on a cluster must be"),
        (RESET, SET, "the_role", "ALTER ROLE the_role SET citus.propagate_set_commands = 'local'"),
        ("ALTER ROLE the_role BYPASSRLS", "ALTER ROLE the_role NOBYPASSRLS", "the_role", "can bypass row-level"),
        ("ALTER TABLE tasks OWNER TO the_role", "SELECT 1", "the_role", "role the_role owns tasks"),
        ("ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY", "SELECT 1", "the_role", "is not forced on tasks"),
    ],
    ids=["another login", "settings stay here", "bypass", "owner", "not forced"],
)
async def test_a_missing_brick_is_named(
    own_server: Server, plant: str, restore: str, login: str, sentence: str
) -> None:
    """Wall 4 on a cluster: as on one PostgreSQL, and what is asked of the login besides."""
    with own_server.new_database() as name:
        role = own_server.role()
        own_server.execute(plant.replace(THE_ROLE, role), database=name)
        try:
            async with cluster_at(own_server.database_url(name, login.replace(THE_ROLE, role))) as database:
                with pytest.raises(StartupError) as refusal:
                    await database.verify_isolation()
        finally:
            own_server.execute(restore.replace(THE_ROLE, role), database=name)

    assert sentence.replace(THE_ROLE, role) in str(refusal.value)


async def test_the_walls_stand_as_they_are_migrated(own_server: Server) -> None:
    """The role itself, with Citus told to hand settings on, is served."""
    with own_server.new_database() as name:
        async with cluster_at(own_server.api_url(name)) as database:
            await database.verify_isolation()


# In Citus' catalog and with its functions' names: what is called is noted, with what it found.
STAND_IN = """
CREATE TABLE pg_dist_partition (logicalrelid regclass);
CREATE TABLE calls (number bigserial, call text);
CREATE FUNCTION create_distributed_table(name regclass, by text, colocate_with text DEFAULT 'default') RETURNS void
LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT relforcerowsecurity FROM pg_class WHERE oid = name) THEN
    RAISE 'COPY FROM not supported with row-level security';
  END IF;
  INSERT INTO pg_dist_partition VALUES (name);
  INSERT INTO calls (call) VALUES (format('%s by %s with %s', name, by, colocate_with));
END $$;
CREATE FUNCTION truncate_local_data_after_distributing_table(name regclass) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT count(*) FROM pg_dist_partition) < 6 THEN
    RAISE 'a table that is not distributed refers to this one';
  END IF;
  INSERT INTO calls (call) VALUES (format('truncate %s', name));
END $$;
SET allow_system_table_mods = on;
INSERT INTO pg_extension VALUES (99999, 'citus', 10, 2200, false, '14.0', NULL, NULL);
"""


class StandIn:
    """A database in which Citus seems to be, and is migrated for it."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        self.alembic: Config = embedded.alembic_for(server.database_url(name))
        self.alembic.attributes["cluster"] = "citus"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._server.execute(statement, database=self._name)

    def calls(self) -> list[str]:
        return [call for [call] in self.execute("SELECT call FROM calls ORDER BY number")]

    def unforced(self) -> list[str]:
        names = ", ".join(f"'{name}'" for name in metadata.tables)
        found = self.execute(f"SELECT relname FROM pg_class WHERE relname IN ({names}) AND NOT relforcerowsecurity")
        return [name for [name] in found]


@pytest.fixture
def stand_in(own_server: Server) -> Iterator[StandIn]:
    with own_server.new_database(migrated=False) as name:
        own_server.execute(STAND_IN, database=name)
        yield StandIn(own_server, name)


OTHERS = sorted(set(metadata.tables) - {"task_lists"})


def test_a_migration_distributes_every_table_beside_the_lists(stand_in: StandIn) -> None:
    """The lists first, for the others refer to them; each by its user; and row-level security is forced again."""
    command.upgrade(stand_in.alembic, "head")

    first, *others = stand_in.calls()
    assert first == "task_lists by user_id with default"
    assert others[0] == "lists by user_id with task_lists"
    assert sorted(others[: len(OTHERS)]) == [f"{table} by user_id with task_lists" for table in OTHERS]
    assert sorted(others[len(OTHERS) :]) == sorted(f"truncate {table}" for table in metadata.tables)
    assert stand_in.unforced() == []


def test_new_tables_join_those_that_are_distributed_already(stand_in: StandIn) -> None:
    """The lists before the tasks refer to them; row-level security is forced again on both."""
    command.upgrade(stand_in.alembic, "0008")
    for table in ("task_lists", "tasks", "deleted_tasks", "idempotency_keys"):
        stand_in.execute(f"INSERT INTO pg_dist_partition VALUES ('{table}')")

    command.upgrade(stand_in.alembic, "head")

    made = [call for call in stand_in.calls() if "truncate" not in call]
    new = ("lists", "deleted_lists", "deleted_completions", "reminders", "completions")
    assert made == [f"{table} by user_id with task_lists" for table in new]
    assert stand_in.unforced() == []


def test_what_is_distributed_is_left_as_it_is(stand_in: StandIn) -> None:
    """A second migration distributes nothing, and makes up for what was cut short in the first."""
    command.upgrade(stand_in.alembic, "head")
    stand_in.execute("ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY")
    stand_in.execute("DELETE FROM calls")

    command.upgrade(stand_in.alembic, "head")

    # Rows that were left on the coordinator, of users who were erased since then, too.
    assert sorted(stand_in.calls()) == sorted(f"truncate {table}" for table in metadata.tables)
    assert stand_in.unforced() == []


def test_a_database_that_was_migrated_is_distributed_when_it_is_set(stand_in: StandIn) -> None:
    """Moving from one PostgreSQL to a cluster is the setting and `alembic upgrade head`."""
    stand_in.alembic.attributes["cluster"] = None
    command.upgrade(stand_in.alembic, "head")
    assert stand_in.calls() == []

    stand_in.alembic.attributes["cluster"] = "citus"
    command.upgrade(stand_in.alembic, "head")

    assert len(stand_in.calls()) == 2 * len(metadata.tables)


@pytest.mark.parametrize("asked", [command.current, command.check], ids=["current", "check"])
def test_looking_distributes_nothing(stand_in: StandIn, asked: Any) -> None:
    """Nor does a migration that is not the last."""
    command.upgrade(stand_in.alembic, "0003")
    stand_in.alembic.attributes["cluster"] = None
    command.upgrade(stand_in.alembic, "head")
    stand_in.alembic.attributes["cluster"] = "citus"
    with contextlib.suppress(CommandError):  # `check` sees the tables of the stand-in
        asked(stand_in.alembic)

    assert stand_in.calls() == []


def test_a_database_that_is_no_cluster_is_not_migrated(own_server: Server) -> None:
    """The refusal is a sentence, and comes before anything is done."""
    with own_server.new_database(migrated=False) as name:
        alembic = embedded.alembic_for(own_server.database_url(name))
        alembic.attributes["cluster"] = "citus"
        with pytest.raises(CommandError, match="this database has no extension citus"):
            command.upgrade(alembic, "head")
        there = own_server.execute("SELECT to_regclass('alembic_version')", database=name)

    assert there == [(None,)]


def test_a_refusal_has_no_traceback(own_server: Server, tmp_path: Path) -> None:
    """As a person runs it."""
    refused = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=clone(tmp_path), env=environment(DATABASE_URL=own_server.url, DATABASE_CLUSTER="citus"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = refused.stdout + refused.stderr

    assert refused.returncode != 0
    assert "DATABASE_CLUSTER is citus, and this database has no extension citus" in told
    assert "Traceback" not in told


def test_each_statement_of_the_distribution_is_one(stand_in: StandIn) -> None:
    """A cluster takes DDL one statement per message."""
    sent = [statement for table in metadata.tables for statement in distribution.statements(table)]

    assert [statement for statement in sent if ";" in statement] == []
