"""Other logins of the same PostgreSQL server: they neither stop the program nor are called by a migration."""

import contextlib
import re
from collections.abc import AsyncIterator

import psycopg2
import pytest
from alembic import command
from alembic.util import CommandError

from backend.app.db import embedded
from backend.app.db.database import Database
from backend.app.db.row_security import Expectations
from backend.app.problems import StartupError
from tests.support.applications import database_for
from tests.support.postgres import Server

# What a login does that was let in and is no more than that, and one that may make roles: nothing of it is ours.
HARMLESS = {
    "a table for everybody": ("lodger", "CREATE TEMP TABLE t (user_id text); GRANT ALL ON t TO PUBLIC"),
    "a table for our role": ("lodger", "CREATE TEMP TABLE t (title text); GRANT ALL ON t TO the_role"),
    "a schema for everybody": (
        "lodger",
        "GRANT USAGE ON SCHEMA lodger TO PUBLIC; CREATE TABLE lodger.t (user_id text); GRANT ALL ON lodger.t TO PUBLIC",
    ),
    "a role of its own for our role": ("maker", "CREATE ROLE made; GRANT made TO the_role"),
}


@pytest.fixture
async def guarded(both: Server) -> AsyncIterator[tuple[Server, Database]]:
    """A database as an operator leaves it, with a login `app` that serves it, and `lodger` and `maker` beside it."""
    both.execute("CREATE DATABASE guarded")
    embedded.bring_up_to_date(both.database_url("guarded"))
    both.execute(f"CREATE ROLE app LOGIN IN ROLE {both.role(database='guarded')}")
    both.execute("CREATE ROLE lodger LOGIN")
    both.execute("CREATE ROLE maker LOGIN CREATEROLE")
    both.execute("CREATE SCHEMA AUTHORIZATION lodger", database="guarded")
    both.execute("REVOKE CONNECT ON DATABASE guarded FROM PUBLIC")
    both.execute("GRANT CONNECT ON DATABASE guarded TO app, lodger, maker")
    try:
        url = both.database_url("guarded", "app")
        async with database_for(url, expectations=Expectations(no_neighbours=True)) as database:
            yield both, database
    finally:
        both.execute("DROP DATABASE guarded WITH (FORCE)")
        both.execute("DROP ROLE IF EXISTS app, lodger, maker, made")


@pytest.mark.parametrize(("user", "statement"), HARMLESS.values(), ids=HARMLESS.keys())
async def test_no_neighbour_stops_the_program(guarded: tuple[Server, Database], user: str, statement: str) -> None:
    """A missing wall ends it, so nothing that others may do on their own is one."""
    server, database = guarded
    connection = psycopg2.connect(server.database_url("guarded", user))
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement.replace("the_role", server.role(database="guarded")))

        await database.verify_isolation()


async def test_who_may_become_anybody_is_named(guarded: tuple[Server, Database]) -> None:
    """Before PostgreSQL 16 a login with CREATEROLE lets itself in, as whoever serves the database."""
    server, database = guarded
    server.execute("REVOKE CONNECT ON DATABASE guarded FROM maker")
    url = server.database_url("guarded", "maker")
    with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
        server.run_as("maker", "postgres", "GRANT app TO maker")
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        await database.verify_isolation()
    else:
        with pytest.raises(StartupError, match="administrator runs: ALTER ROLE maker NOCREATEROLE"):
            await database.verify_isolation()


# What a migration would call in place of PostgreSQL's own, and where somebody else may put such a thing.
FOREIGN = {
    "an operator": (
        """CREATE FUNCTION equal(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = equal)""",
        'operator public."=" belongs to lodger',
    ),
    "a function": (
        "CREATE FUNCTION format(text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
        "function public.format belongs to lodger",
    ),
    "a type": ("CREATE DOMAIN task_number AS bigint", "type public.task_number belongs to lodger"),
}


@pytest.mark.parametrize(("statement", "sentence"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_migration_calls_nothing_of_others(both: Server, statement: str, sentence: str) -> None:
    """It runs as the owner of the tables, and names functions without their schema: such a database is refused."""
    both.execute("CREATE DATABASE foreign_objects")
    both.execute("CREATE ROLE lodger LOGIN")
    try:
        alembic = embedded.alembic_for(both.database_url("foreign_objects"))
        alembic.attributes["no_neighbours"] = True
        command.upgrade(alembic, "0014")
        both.execute("GRANT CREATE ON SCHEMA public TO lodger", database="foreign_objects")
        with pytest.raises(CommandError, match="runs: REVOKE CREATE ON SCHEMA public FROM lodger"):
            command.upgrade(alembic, "head")
        both.run_as("lodger", "foreign_objects", statement)
        both.execute("REVOKE CREATE ON SCHEMA public FROM lodger", database="foreign_objects")

        with pytest.raises(CommandError, match=re.escape(sentence)):
            command.upgrade(alembic, "head")
        both.execute("DROP OWNED BY lodger CASCADE", database="foreign_objects")
        command.upgrade(alembic, "head")
    finally:
        both.execute("DROP DATABASE foreign_objects WITH (FORCE)")
        both.execute("DROP ROLE lodger")


def test_a_schema_of_another_is_not_searched_by_a_migration(both: Server) -> None:
    """PostgreSQL looks into the schema of the user's own name before `public`, whoever made it."""
    both.execute("CREATE DATABASE own_name")
    both.execute("CREATE ROLE lodger LOGIN")
    both.execute("CREATE SCHEMA postgres AUTHORIZATION lodger", database="own_name")
    try:
        alembic = embedded.alembic_for(both.database_url("own_name"))
        alembic.attributes["no_neighbours"] = True
        with pytest.raises(CommandError, match="schema postgres belongs to lodger"):
            command.upgrade(alembic, "head")
    finally:
        both.execute("DROP DATABASE own_name WITH (FORCE)")
        both.execute("DROP ROLE lodger")
