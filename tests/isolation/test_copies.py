"""A copy of a database on the same PostgreSQL server, such as staging is of production, gets roles of its own."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg2
import pytest
from alembic import command

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from backend.app.db.row_security import Expectations
from backend.app.problems import StartupError
from backend.app.schemas.task import TaskCreate
from tests.support.applications import database_for
from tests.support.postgres import Server
from tests.support.programs import environment
from tests.support.repositories import repository

STRICT = Expectations(no_neighbours=True)
NAMES = ("live", "copied")


@pytest.fixture
def copied(both: Server) -> Iterator[Server]:
    """A database that is served, and its copy, each with an owner and a login that serves it; before 16, strictly."""
    for name in NAMES:
        both.execute(f"CREATE ROLE {name}_owner LOGIN CREATEROLE")
        both.execute(f"CREATE ROLE {name}_app LOGIN")
    both.execute("CREATE DATABASE live OWNER live_owner")
    embedded.bring_up_to_date(both.database_url("live", "live_owner"))
    both.execute("CREATE DATABASE copied TEMPLATE live OWNER copied_owner")
    both.execute("GRANT live_owner TO copied_owner; REASSIGN OWNED BY live_owner TO copied_owner", database="copied")
    both.execute("ALTER DATABASE live OWNER TO live_owner; REVOKE live_owner FROM copied_owner")
    both.execute(f"GRANT {both.role(database='live')} TO live_app, copied_app")
    for name in NAMES:
        both.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        both.execute(f"GRANT CONNECT ON DATABASE {name} TO {name}_owner, {name}_app")
    try:
        yield both
    finally:
        for name in NAMES:
            both.execute(f"DROP DATABASE {name} WITH (FORCE)")
        made = "rolname LIKE 'tasks\\_api\\_live%' OR rolname LIKE 'tasks\\_api\\_copied%' OR rolname LIKE 'copy\\_%'"
        [(roles,)] = both.execute(f"SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE {made}")
        both.execute(f"DROP ROLE {roles}, live_owner, live_app, copied_owner, copied_app")


def own_role(server: Server, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.own_role"],
        cwd=PROJECT_ROOT,
        env=environment(**{"DATABASE_URL": server.database_url("copied", "copied_owner"), **settings}),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def rights(server: Server, name: str) -> list[tuple[object, ...]]:
    """What the roles may do and which policies name them, without the roles' names."""
    kinds = "CASE WHEN r LIKE '%_purge' THEN 'purge' WHEN r LIKE '%_deliver' THEN 'deliver' ELSE 'api' END"
    return server.execute(
        f"SELECT {kinds}, what FROM (SELECT roles[1]::text AS r, tablename || policyname AS what FROM pg_policies "
        "UNION SELECT grantee, table_name || privilege_type || column_name FROM information_schema.column_privileges "
        "WHERE table_schema = 'public') AS found WHERE r NOT LIKE '%owner' ORDER BY 1, 2",
        database=name,
    )


@pytest.mark.parametrize("setting", [None, "copy_of_live"])
async def test_a_copy_gets_roles_of_its_own(copied: Server, setting: str | None) -> None:
    """The refusal names the program; afterwards each is served, and neither login can name the other's users."""
    for name in NAMES:
        copied.execute(f"ALTER ROLE {name}_owner NOCREATEROLE")
    before, role = rights(copied, "copied"), copied.role(database="live")
    async with database_for(copied.database_url("copied", "copied_app"), expectations=STRICT) as database:
        with pytest.raises(
            StartupError, match=r"copy of another one of the server, first: python -m scripts\.own_role"
        ):
            await database.verify_isolation()

    copied.execute("ALTER ROLE copied_owner CREATEROLE")
    done = own_role(copied, **({} if setting is None else {"DATABASE_ROLE": setting}))
    again = own_role(copied, **({} if setting is None else {"DATABASE_ROLE": setting}))
    copied.execute("ALTER ROLE copied_owner NOCREATEROLE")
    own = copied.role(database="copied")
    copied.execute(f"GRANT {own} TO copied_app; REVOKE {role} FROM copied_app")

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert f'confined to "{own}"' in done.stdout
    assert "already" in again.stdout
    assert own == setting or own.startswith("tasks_api_copied_")
    assert rights(copied, "copied") == before == rights(copied, "live")
    for name in NAMES:
        async with database_for(copied.database_url(name, f"{name}_app"), expectations=STRICT) as database:
            await repository(database, "alice").create(TaskCreate(title=f"in {name}"))
    for user, name, other in (("copied_app", "live", role), ("live_app", "copied", own)):
        copied.execute(f"GRANT CONNECT ON DATABASE {name} TO {user}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            copied.run_as(user, name, f"SET ROLE {other}")
    command.check(embedded.alembic_for(copied.database_url("copied", "copied_owner")))


def test_a_name_is_made_as_the_migration_makes_it(copied: Server) -> None:
    """So that a copy is as a database that was made anew."""
    assert own_role(copied).returncode == 0
    role = copied.role(database="copied")
    copied.execute("DROP DATABASE copied WITH (FORCE)")
    copied.execute("CREATE DATABASE copied OWNER copied_owner")
    embedded.bring_up_to_date(copied.database_url("copied", "copied_owner"))

    assert copied.role(database="copied") == role


def test_what_is_not_migrated_or_no_copy_is_a_sentence(copied: Server) -> None:
    copied.execute("DROP POLICY own_rows ON task_lists; DROP POLICY purge ON deleted_tasks", database="copied")
    for table in ("tasks", "lists", "reminders", "completions", "deleted_completions", "idempotency_keys"):
        copied.execute(f"DROP POLICY IF EXISTS deliver ON {table}", database="copied")

    refused, embedded_one = own_role(copied), own_role(copied, DATABASE_URL="")

    assert (refused.returncode, embedded_one.returncode) == (1, 1)
    assert "alembic upgrade head" in refused.stderr
    assert "set DATABASE_URL to the copy" in embedded_one.stderr
