"""Wall 4 in the catalog: what must stand there, and that each brick that is missing is named."""

import re
from collections.abc import Iterator

import psycopg2
import pytest

from backend.app import problems
from backend.app.db import embedded
from backend.app.db.row_security import Expectations
from backend.app.main import create_app
from backend.app.models import metadata
from backend.app.problems import StartupError
from backend.app.schemas.task import TaskCreate
from tests.support.applications import client_for, database_for, running, settings_for
from tests.support.postgres import Server
from tests.support.repositories import repository
from tests.support.tokens import new_user
from tests.support.wall_faults import FAULTS, NOTES, THE_ROLE


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of this module's own: roles belong to the whole cluster, and they are changed here."""
    with embedded.joined(tmp_path_factory.mktemp("cluster")) as url:
        server = Server(url)
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute(f"CREATE ROLE tasks_login LOGIN IN ROLE {server.role()}")
        yield server


async def test_the_walls_stand_after_the_migration(own_server: Server) -> None:
    """A login that owns nothing and may become tasks_api is served."""
    with own_server.new_database() as name:
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            await database.verify_isolation()


async def test_a_table_of_a_newer_release_is_no_fault_where_it_is_confined(own_server: Server) -> None:
    """A migration comes before the program that needs it: the one that serves until then is not stopped by it."""
    own = "(user_id = current_setting('app.user_id', true))"
    with own_server.new_database() as name:
        own_server.execute(
            f"{NOTES}; CREATE POLICY own_rows ON notes TO the_role USING {own} WITH CHECK {own}".replace(
                THE_ROLE, own_server.role()
            ),
            database=name,
        )
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            await database.verify_isolation()


@pytest.mark.parametrize(("plant", "restore", "sentence"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_missing_brick_is_named(own_server: Server, plant: str, restore: str, sentence: str) -> None:
    """Whatever opens the wall, the program refuses to serve and says what it is."""
    with own_server.new_database() as name:
        role = own_server.role()
        own_server.execute(plant.replace(THE_ROLE, role), database=name)
        try:
            url = own_server.database_url(name, "tasks_login")
            async with database_for(url, expectations=Expectations(no_neighbours=True)) as database:
                with pytest.raises(StartupError) as refusal:
                    await database.verify_isolation()
        finally:
            if restore:
                own_server.execute(restore.replace(THE_ROLE, role), database=name)

    assert sentence.replace(THE_ROLE, role) in str(refusal.value)


async def test_the_two_statements_that_mend_it_do(own_server: Server) -> None:
    """What the refusal names is run word for word, and then the program serves."""
    expectations = Expectations(no_neighbours=True)
    with own_server.new_database() as name:
        own_server.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
        url = own_server.database_url(name, "tasks_login")
        async with database_for(url, expectations=expectations) as database:
            with pytest.raises(StartupError) as refusal:
                await database.verify_isolation()
            [statements] = re.findall(r"runs: (REVOKE CONNECT .*?; GRANT CONNECT .*? TO \w+)\.", str(refusal.value))
            own_server.execute(statements)
            await database.verify_isolation()


async def test_in_development_neighbours_are_nobodys_business(own_server: Server) -> None:
    """Whoever tries it on a database that was made by hand is not asked for grants."""
    with own_server.new_database() as name:
        own_server.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
        own_server.execute("GRANT CREATE ON SCHEMA public TO PUBLIC", database=name)
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            await database.verify_isolation()


@pytest.mark.parametrize(("named", "served"), [(True, True), (False, False)])
async def test_the_role_is_the_one_that_the_setting_names(own_server: Server, named: bool, served: bool) -> None:
    """DATABASE_ROLE is compared with what the tables are confined to."""
    role = own_server.role() if named else "another"
    with own_server.new_database() as name:
        url = own_server.database_url(name, "tasks_login")
        async with database_for(url, expectations=Expectations(role=role)) as database:
            if served:
                await database.verify_isolation()
            else:
                with pytest.raises(StartupError, match="DATABASE_ROLE is another, and the tables are confined to"):
                    await database.verify_isolation()


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE tasks",
        "ALTER TABLE tasks DROP COLUMN revision",
        "REVOKE SELECT ON tasks FROM the_role",
        "REVOKE UPDATE ON lists FROM the_role",
        "ALTER POLICY own_rows ON task_lists TO tasks_api",
        f"DROP TABLE {', '.join(metadata.tables)}",
    ],
)
async def test_a_database_that_is_not_migrated_is_waited_for(own_server: Server, change: str) -> None:
    """Missing tables, columns or grants are no breach: 503 until the migration has run."""
    with own_server.new_database() as name:
        own_server.execute(change.replace(THE_ROLE, own_server.role()), database=name)
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            with pytest.raises(problems.DatabaseUnavailable, match="not migrated"):
                await database.check()


async def test_a_role_that_gets_another_name_is_served_on(own_server: Server) -> None:
    """The request that meets it is 503, and the next one looks what the role is called now."""
    role = own_server.role()
    with own_server.new_database() as name:
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            tasks = repository(database, new_user())
            await tasks.create(TaskCreate(title="before"))
            own_server.execute(f"ALTER ROLE {role} RENAME TO renamed")
            try:
                with pytest.raises(problems.DatabaseUnavailable):
                    await tasks.create(TaskCreate(title="meets it"))

                assert (await tasks.create(TaskCreate(title="after")))["id"] == 2
            finally:
                own_server.execute(f"ALTER ROLE renamed RENAME TO {role}")


async def test_a_right_that_is_taken_away_is_looked_into(own_server: Server) -> None:
    """The statement that meets it is a fault; before the next one the walls are looked at, which says what is wrong."""
    with own_server.new_database() as name:
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            tasks = repository(database, new_user())
            await tasks.create(TaskCreate(title="before"))
            own_server.execute(f"REVOKE {own_server.role()} FROM tasks_login")
            try:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    await tasks.create(TaskCreate(title="meets it"))
                with pytest.raises(StartupError, match="may not SET ROLE"):
                    await tasks.create(TaskCreate(title="after"))
            finally:
                own_server.execute(f"GRANT {own_server.role()} TO tasks_login")


async def test_the_first_contact_looks_before_it_asks(
    own_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wall that falls while the database is away is found before any statement: 503, and the program is ended."""
    signals: list[int] = []
    monkeypatch.setattr("signal.raise_signal", signals.append)
    with own_server.new_database(migrated=False) as name:
        application = create_app(settings_for(own_server.database_url(name, "tasks_login")))
        async with running(application) as app, client_for(app) as client:
            before = await client.get(f"/api/{client.user_id}/tasks")
            embedded.bring_up_to_date(own_server.database_url(name))
            own_server.execute("ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY", database=name)
            after = await client.get(f"/api/{client.user_id}/tasks")

    assert (before.status_code, after.status_code) == (503, 503)
    assert len(signals) == 1
    assert "row-level security is not forced on tasks" in capsys.readouterr().out


async def test_a_missing_wall_keeps_the_program_from_starting(own_server: Server) -> None:
    """At the start it is no 503 but a refusal."""
    with own_server.new_database() as name:
        own_server.execute("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", database=name)

        with pytest.raises(StartupError, match="row-level security is off on tasks"):
            async with running(create_app(settings_for(own_server.database_url(name, "tasks_login")))):
                pass


def test_the_catalog_holds_what_alembic_does_not_see(server: Server) -> None:
    """Policies, CHECKs, domains and grants, word for word."""
    policies = server.execute(
        "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2",
        database="migrated",
    )
    checks = server.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2",
        database="migrated",
    )
    domains = server.execute(
        "SELECT t.typname::text, format_type(t.typbasetype, NULL), pg_get_constraintdef(c.oid) FROM pg_type t "
        "JOIN pg_constraint c ON c.contypid = t.oid WHERE t.typnamespace = 'public'::regnamespace ORDER BY 1",
        database="migrated",
    )
    grants = server.execute(
        "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) "
        f"FROM information_schema.role_table_grants WHERE grantee = '{server.role()}' GROUP BY 1 ORDER BY 1",
        database="migrated",
    )
    role = server.execute(
        "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb, rolinherit FROM pg_roles "
        f"WHERE rolname = '{server.role()}'"
    )

    confined = "(user_id = current_setting('app.user_id'::text, true))"
    # Another role's, which works for all users and reaches no living task.
    purge = ("purge", "PERMISSIVE", f"{{{server.role('purge')}}}", "ALL", "true", None)
    own_rows = ("own_rows", "PERMISSIVE", f"{{{server.role()}}}", "ALL", confined, confined)
    # And one that delivers reminders: it changes those, and reads of tasks what it tells.
    deliver = ("deliver", "PERMISSIVE", f"{{{server.role('deliver')}}}")
    tables = [
        *("completions", "deleted_completions", "deleted_lists", "deleted_tasks", "idempotency_keys", "lists"),
        *("reminders", "task_lists", "tasks"),
    ]
    assert policies == sorted(
        [
            *((table, *own_rows) for table in tables),
            *((table, *purge) for table in tables if table not in ("tasks", "lists", "reminders")),
            ("reminders", *deliver, "ALL", "true", None),
            ("tasks", *deliver, "SELECT", "true", None),
        ]
    )
    assert checks == [
        ("idempotency_keys", "ck_idempotency_keys_user_id", "CHECK ((user_id <> ''::text))"),
        ("task_lists", "ck_task_lists_user_id", "CHECK ((user_id <> ''::text))"),
    ]
    assert domains == [
        ("task_count", "bigint", "CHECK ((VALUE >= 0)) NOT VALID"),
        ("task_description", "text", "CHECK ((char_length(VALUE) <= 1000)) NOT VALID"),
        ("task_id", "bigint", "CHECK ((VALUE > 0)) NOT VALID"),
        ("task_title", "text", "CHECK (((char_length(VALUE) >= 1) AND (char_length(VALUE) <= 200))) NOT VALID"),
    ]
    everything = "DELETE INSERT SELECT UPDATE"
    assert grants == [(table, everything) for table in tables]
    assert role == [(False, False, False, False, False, False)]
