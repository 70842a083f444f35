"""Wall 4 in the catalog: what must stand there, and that each brick that is missing is named."""

from collections.abc import Iterator

import pytest

from backend.app import problems
from backend.app.db import embedded
from backend.app.main import create_app
from backend.app.problems import StartupError
from tests.support.applications import client_for, database_for, running, settings_for
from tests.support.postgres import Server


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of this module's own: roles belong to the whole cluster, and they are changed here."""
    with embedded.joined(tmp_path_factory.mktemp("cluster")) as url:
        server = Server(url)
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute("CREATE ROLE tasks_login LOGIN IN ROLE tasks_api")
        yield server


ALTER = "ALTER TABLE tasks"
POLICY = "CREATE POLICY extra ON tasks"
NOTES = """
    CREATE TABLE notes (user_id text); GRANT SELECT, INSERT ON notes TO tasks_api;
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""
FAULTS = {
    "off": (f"{ALTER} DISABLE ROW LEVEL SECURITY", "", "row-level security is off on tasks"),
    "not forced": (f"{ALTER} NO FORCE ROW LEVEL SECURITY", "", "row-level security is not forced on tasks"),
    "no policy": ("DROP POLICY own_rows ON tasks", "", "no policy confines tasks to its owner"),
    "wider USING": ("ALTER POLICY own_rows ON tasks USING (true)", "", "a policy opens tasks to more"),
    "wider CHECK": ("ALTER POLICY own_rows ON tasks WITH CHECK (true)", "", "a policy opens tasks to more"),
    "one more policy": (f"{POLICY} USING (true)", "", "a policy opens tasks to more"),
    "one more for reading": (f"{POLICY} FOR SELECT TO tasks_api USING (completed)", "", "a policy opens tasks to more"),
    "bypass": ("ALTER ROLE tasks_api BYPASSRLS", "ALTER ROLE tasks_api NOBYPASSRLS", "can bypass row-level security"),
    "superuser": (
        "ALTER ROLE tasks_api SUPERUSER",
        "ALTER ROLE tasks_api NOSUPERUSER",
        "can bypass row-level security",
    ),
    "member": (
        "GRANT pg_read_all_data TO tasks_api",
        "REVOKE pg_read_all_data FROM tasks_api",
        "tasks_api is a member of pg_read_all_data",
    ),
    "owner": (f"{ALTER} OWNER TO tasks_api", "", "role tasks_api owns tasks"),
    "grant": ("GRANT SELECT ON alembic_version TO tasks_api", "", "tasks_api may use alembic_version"),
    "new table": (
        "CREATE TABLE notes (user_id text); GRANT SELECT ON notes TO tasks_api",
        "",
        "row-level security is off on notes",
    ),
    "new table for everybody": (
        "CREATE TABLE notes (user_id text); GRANT SELECT ON notes TO PUBLIC",
        "",
        "row-level security is off on notes",
    ),
    "new table that is open": (
        f"{NOTES}; CREATE POLICY own_rows ON notes TO tasks_api USING (true)",
        "",
        "no policy confines notes to its owner",
    ),
    "new table of nobody": (
        "CREATE TABLE notes (title text); GRANT SELECT ON notes TO tasks_api",
        "",
        "tasks_api may use notes, which is not a table of this program",
    ),
    "view": (
        "CREATE VIEW all_tasks AS SELECT * FROM tasks; GRANT SELECT ON all_tasks TO tasks_api",
        "",
        "row-level security is off on all_tasks",
    ),
    "no membership": (
        "REVOKE tasks_api FROM tasks_login",
        "GRANT tasks_api TO tasks_login",
        "user tasks_login may not SET ROLE tasks_api",
    ),
    "no role": (
        "ALTER ROLE tasks_api RENAME TO other",
        "ALTER ROLE other RENAME TO tasks_api",
        "the role that statements run as does not exist",
    ),
}


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
            f"{NOTES}; CREATE POLICY own_rows ON notes TO tasks_api USING {own} WITH CHECK {own}",
            database=name,
        )
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            await database.verify_isolation()


@pytest.mark.parametrize(("plant", "restore", "sentence"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_missing_brick_is_named(own_server: Server, plant: str, restore: str, sentence: str) -> None:
    """Whatever opens the wall, the program refuses to serve and says what it is."""
    with own_server.new_database() as name:
        own_server.execute(plant, database=name)
        try:
            async with database_for(own_server.database_url(name, "tasks_login")) as database:
                with pytest.raises(StartupError) as refusal:
                    await database.verify_isolation()
        finally:
            if restore:
                own_server.execute(restore)

    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE tasks",
        "ALTER TABLE tasks DROP COLUMN revision",
        "REVOKE SELECT ON tasks FROM tasks_api",
        "DROP TABLE tasks; DROP TABLE deleted_tasks; DROP TABLE task_lists",
    ],
)
async def test_a_database_that_is_not_migrated_is_waited_for(own_server: Server, change: str) -> None:
    """Missing tables, columns or grants are no breach: 503 until the migration has run."""
    with own_server.new_database() as name:
        own_server.execute(change, database=name)
        async with database_for(own_server.database_url(name, "tasks_login")) as database:
            with pytest.raises(problems.DatabaseUnavailable, match="not migrated"):
                await database.check()


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
    """Policies, CHECKs and grants, word for word."""
    policies = server.execute(
        "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2",
        database="migrated",
    )
    checks = server.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY 1, 2",
        database="migrated",
    )
    grants = server.execute(
        "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) "
        "FROM information_schema.role_table_grants WHERE grantee = 'tasks_api' GROUP BY 1 ORDER BY 1",
        database="migrated",
    )
    role = server.execute(
        "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb, rolinherit FROM pg_roles "
        "WHERE rolname = 'tasks_api'"
    )

    confined = "(user_id = current_setting('app.user_id'::text, true))"
    # Another role's, which works for all users and reaches no living task.
    purge = ("purge", "PERMISSIVE", "{tasks_purge}", "ALL", "true", None)
    own_rows = ("own_rows", "PERMISSIVE", "{tasks_api}", "ALL", confined, confined)
    tables = ("deleted_tasks", "idempotency_keys", "task_lists", "tasks")
    assert policies == sorted(
        [(table, *own_rows) for table in tables] + [(table, *purge) for table in tables if table != "tasks"]
    )
    assert checks == [
        ("idempotency_keys", "ck_idempotency_keys_user_id", "CHECK ((user_id <> ''::text))"),
        ("task_lists", "ck_task_lists_task_count", "CHECK ((task_count >= 0))"),
        ("task_lists", "ck_task_lists_user_id", "CHECK ((user_id <> ''::text))"),
        ("tasks", "ck_tasks_description", "CHECK ((char_length(description) <= 1000))"),
        ("tasks", "ck_tasks_id", "CHECK ((id > 0))"),
        ("tasks", "ck_tasks_title", "CHECK (((char_length(title) >= 1) AND (char_length(title) <= 200)))"),
    ]
    everything = "DELETE INSERT SELECT UPDATE"
    assert grants == [(table, everything) for table in tables]
    assert role == [(False, False, False, False, False, False)]
