"""Other logins of the same PostgreSQL server, on every version that is there: what they can create, lock and become."""

import contextlib

import psycopg2
import pytest
from alembic import command

from backend.app.db import embedded
from backend.app.db.session import OwnerSession
from backend.app.repositories.queries import TaskQueries
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate
from tests.support.applications import database_for
from tests.support.postgres import Server
from tests.support.repositories import repository

# Operators and functions that fit our statements' arguments better than PostgreSQL's own, which take any array.
HOSTILE = """
CREATE TABLE loot (title text); GRANT INSERT ON loot TO PUBLIC;
CREATE FUNCTION fits(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.loot SELECT title FROM public.tasks; RETURN true; END $$;
CREATE FUNCTION unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.loot SELECT title FROM public.tasks; RETURN; END $$;
CREATE OPERATOR @> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = fits);
CREATE OPERATOR = (LEFTARG = text[], RIGHTARG = text[], FUNCTION = fits);
"""


OLD_TASK = (
    "SET LOCAL ROLE tasks_api", "SET LOCAL app.user_id = 'alice'",
    "INSERT INTO task_lists VALUES ('alice', 2000, 2000, 2000, 2000)",
    "INSERT INTO tasks (user_id, id, title, revision) SELECT 'alice', n, 'secret', n FROM generate_series(1, 2000) n",
)  # fmt: skip
READ = ("SET LOCAL app.user_id = 'alice'", "SELECT count(*) FROM tasks")


def test_two_deployments_of_one_server_cannot_name_each_others_users(both: Server) -> None:
    """Both come from the role that they shared, filled; each goes on serving, and reads no other any more."""
    for name in ("one", "two"):
        both.execute(f"CREATE ROLE {name}_owner LOGIN CREATEROLE")
        both.execute(f"CREATE ROLE {name}_app LOGIN")
        both.execute(f"CREATE DATABASE {name} OWNER {name}_owner")
        both.execute(f"GRANT CONNECT ON DATABASE {name} TO {name}_app")
        alembic = embedded.alembic_for(both.database_url(name, f"{name}_owner"))
        command.upgrade(alembic, "0004")
        both.execute(f"GRANT tasks_api TO {name}_app")
        both.run_as(f"{name}_app", name, *OLD_TASK)
    both.execute("GRANT tasks_api TO one_app, two_app")
    before = both.run_as("two_app", "one", "SET LOCAL ROLE tasks_api", *READ)

    roles = {}
    for name in ("one", "two"):
        alembic = embedded.alembic_for(both.database_url(name, f"{name}_owner"))
        command.upgrade(alembic, "0005")
        assert both.run_as(f"{name}_app", name, "SET LOCAL ROLE tasks_api", *READ) == [(2000,)]  # it serves on
        command.upgrade(alembic, "head")
        command.check(alembic)
        roles[name] = both.role(database=name)

    assert before == [(2000,)]
    assert roles["one"] != roles["two"]
    for name, other in (("one", "two"), ("two", "one")):
        assert both.run_as(f"{name}_app", name, f"SET LOCAL ROLE {roles[name]}", *READ) == [(2000,)]
        for user in (f"{other}_app", f"{other}_owner"):
            for role in (roles[name], "tasks_api"):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    both.run_as(user, name, f"SET LOCAL ROLE {role}", *READ)
    both.execute("DROP ROLE tasks_api")  # nothing in either database depends on it


@pytest.mark.parametrize("name", ["similar-name", "similar_name", "SimilarName", "n" * 63, "Größe, 100%"])
def test_a_role_is_named_after_its_database(both: Server, name: str) -> None:
    """Whatever a database is called, within PostgreSQL's 63 bytes, and never like that of another."""
    both.execute(f'CREATE DATABASE "{name}"')
    embedded.bring_up_to_date(both.database_url(name.replace("%", "%25")))
    role = both.role(database=name) if "%" not in name else both.role(database="Größe, 100%25")

    deliver = f"{role[:55]}_deliver"
    names = f"'{role}', '{role}_purge', '{deliver}'"
    [(count,)] = both.execute(f"SELECT count(*) FROM pg_roles WHERE rolname IN ({names})")
    assert count == 3
    assert max(len(f"{role}_purge".encode()), len(deliver.encode())) <= 63


def test_the_setting_names_the_role(both: Server) -> None:
    """DATABASE_ROLE, quoted where it has to be; the way down takes its rights away."""
    both.execute("CREATE DATABASE named")
    alembic = embedded.alembic_for(both.database_url("named"))
    alembic.attributes["role"] = 'Rows of "us", 100%'
    command.upgrade(alembic, "head")
    both.execute("GRANT CONNECT ON DATABASE named TO PUBLIC")

    assert both.role(database="named") == 'Rows of "us", 100%'
    command.downgrade(alembic, "0004")
    rights = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee LIKE 'Rows of%'"
    assert both.execute(rights, database="named") == [(0,)]
    command.upgrade(alembic, "head")


async def test_what_others_create_is_never_called(both: Server) -> None:
    """Where nobody looks at who may CREATE, too: neither by a statement nor by the check of the walls."""
    both.execute("CREATE DATABASE open_to_all")
    embedded.bring_up_to_date(both.database_url("open_to_all"))
    both.execute(f"CREATE ROLE served LOGIN IN ROLE {both.role(database='open_to_all')}")
    both.execute("CREATE ROLE tenant LOGIN")
    both.execute("GRANT CREATE ON SCHEMA public TO PUBLIC", database="open_to_all")
    both.run_as("tenant", "open_to_all", HOSTILE)

    async with database_for(both.database_url("open_to_all", "served")) as database:
        await repository(database, "victim").create(TaskCreate(title="secret", tags=["home"]))
        page = await TaskQueries(OwnerSession(database, "victim")).page(TaskPageQuery(tag=["home"]), None)

    assert [task["title"] for task in page.found] == ["secret"]
    assert both.execute("SELECT * FROM loot", database="open_to_all") == []


async def test_an_advisory_lock_of_a_neighbour_holds_nobody_up(both: Server) -> None:
    """Any login may take any: a transaction waits for the user's own row alone."""
    both.execute("CREATE DATABASE locked")
    embedded.bring_up_to_date(both.database_url("locked"))
    both.execute(f"CREATE ROLE locked_app LOGIN IN ROLE {both.role(database='locked')}")
    both.execute("CREATE ROLE locker LOGIN")
    connection = psycopg2.connect(both.database_url("locked", "locker"))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('victim', 0))")
        async with database_for(both.database_url("locked", "locked_app"), statement_timeout=2.0) as database:
            tasks = repository(database, "victim")
            parent = await tasks.create(TaskCreate(title="parent"))
            part = await tasks.create(TaskCreate(title="part", parent_id=parent["id"]))

    assert part["parent_id"] == parent["id"]
