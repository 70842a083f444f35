"""What opens wall 4, how it is closed again where that is of the whole server, and what the program says of it."""

# Stands for the name of the role, which the database gives it.
THE_ROLE = "the_role"
ALTER = "ALTER TABLE tasks"
POLICY = "CREATE POLICY extra ON tasks"
NOTES = """
    CREATE TABLE notes (user_id text); GRANT SELECT, INSERT ON notes TO the_role;
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""
DROP_REPORTER = "DROP OWNED BY reporter CASCADE; DROP ROLE reporter"
FAULTS = {
    "off": (f"{ALTER} DISABLE ROW LEVEL SECURITY", "", "row-level security is off on tasks"),
    "not forced": (f"{ALTER} NO FORCE ROW LEVEL SECURITY", "", "row-level security is not forced on tasks"),
    "no policy": ("DROP POLICY own_rows ON tasks", "", "no policy confines tasks to its owner"),
    "wider USING": ("ALTER POLICY own_rows ON tasks USING (true)", "", "a policy opens tasks to more"),
    "wider CHECK": ("ALTER POLICY own_rows ON tasks WITH CHECK (true)", "", "a policy opens tasks to more"),
    "one more policy": (f"{POLICY} USING (true)", "", "a policy opens tasks to more"),
    "one more for reading": (f"{POLICY} FOR SELECT TO the_role USING (completed)", "", "a policy opens tasks to more"),
    "bypass": ("ALTER ROLE the_role BYPASSRLS", "ALTER ROLE the_role NOBYPASSRLS", "can bypass row-level security"),
    "superuser": (
        "ALTER ROLE the_role SUPERUSER",
        "ALTER ROLE the_role NOSUPERUSER",
        "can bypass row-level security",
    ),
    "member": (
        "GRANT pg_read_all_data TO the_role",
        "REVOKE pg_read_all_data FROM the_role",
        "the_role is a member of pg_read_all_data",
    ),
    "owner": (f"{ALTER} OWNER TO the_role", "", "role the_role owns tasks"),
    "grant": ("GRANT SELECT ON alembic_version TO the_role", "", "the_role may use alembic_version"),
    "new table": (
        "CREATE TABLE notes (user_id text); GRANT SELECT ON notes TO the_role",
        "",
        "row-level security is off on notes",
    ),
    "new table for everybody": (
        "CREATE TABLE notes (user_id text); GRANT SELECT ON notes TO PUBLIC",
        "",
        "row-level security is off on notes",
    ),
    "new table that is open": (
        f"{NOTES}; CREATE POLICY own_rows ON notes TO the_role USING (true)",
        "",
        "no policy confines notes to its owner",
    ),
    "new table of nobody": (
        "CREATE TABLE notes (title text); GRANT SELECT ON notes TO the_role",
        "",
        "the_role may use notes, which is not a table of this program",
    ),
    "view": (
        "CREATE VIEW all_tasks AS SELECT * FROM tasks; GRANT SELECT ON all_tasks TO the_role",
        "",
        "row-level security is off on all_tasks",
    ),
    "no membership": (
        "REVOKE the_role FROM tasks_login",
        "GRANT the_role TO tasks_login",
        "user tasks_login may not SET ROLE the_role",
    ),
    "no role": (
        "DROP POLICY own_rows ON task_lists",
        "",
        "the role that statements run as does not exist",
    ),
    "foreign member": (
        "CREATE ROLE neighbour LOGIN IN ROLE the_role",
        "DROP ROLE neighbour",
        "administrator runs: REVOKE the_role FROM neighbour",
    ),
    "foreign member of the purge's role": (
        "CREATE ROLE neighbour LOGIN IN ROLE the_role_purge",
        "DROP ROLE neighbour",
        "administrator runs: REVOKE the_role_purge FROM neighbour",
    ),
    "foreign group": (
        "CREATE ROLE neighbours IN ROLE the_role",
        "DROP ROLE neighbours",
        "user neighbours is a member of role the_role",
    ),
    "makes roles": (
        "ALTER ROLE the_role CREATEROLE",
        "ALTER ROLE the_role NOCREATEROLE",
        "the_role may give itself the rights of others",
    ),
    "member of another that the tables know": (
        "CREATE ROLE reporter; GRANT SELECT ON tasks TO reporter; GRANT reporter TO the_role",
        DROP_REPORTER,
        "the_role is a member of reporter",
    ),
    "more than the policies confine": (
        "GRANT TRUNCATE, TRIGGER ON tasks TO the_role",
        "",
        "runs: REVOKE TRIGGER, TRUNCATE ON public.tasks FROM the_role",
    ),
    "more for everybody": (
        "GRANT REFERENCES (id) ON lists TO PUBLIC",
        "",
        "runs: REVOKE REFERENCES ON public.lists FROM PUBLIC",
    ),
    "everything for another": (
        "CREATE ROLE reporter; GRANT ALL ON tasks, lists TO reporter; REVOKE MAINTAIN ON tasks, lists FROM reporter",
        DROP_REPORTER,
        "REVOKE DELETE, REFERENCES, TRIGGER, TRUNCATE, UPDATE ON public.lists, public.tasks FROM reporter",
    ),
    "maintenance for another": (
        "CREATE ROLE reporter; GRANT MAINTAIN ON tasks TO reporter",
        DROP_REPORTER,
        "REVOKE MAINTAIN ON public.tasks FROM reporter",
    ),
    "a trigger of another": (
        """CREATE ROLE reporter;
        CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        ALTER FUNCTION steal() OWNER TO reporter;
        CREATE TRIGGER steal BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION steal()""",
        DROP_REPORTER,
        "a trigger on tasks, or a table that refers to tasks, belongs to reporter",
    ),
    "a table of another that refers to it": (
        """CREATE ROLE reporter; CREATE SCHEMA AUTHORIZATION reporter;
        CREATE TABLE reporter.held (user_id text, id bigint, FOREIGN KEY (user_id, id) REFERENCES public.tasks);
        ALTER TABLE reporter.held OWNER TO reporter""",
        DROP_REPORTER,
        "a table that refers to tasks, belongs to reporter",
    ),
    "everybody may connect": (
        "DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO PUBLIC', current_database()); END $$",
        "",
        "every login of this server may connect",
    ),
    "everybody may create": (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ),
    "somebody may create": (
        "CREATE ROLE builder; GRANT CREATE ON SCHEMA public TO builder",
        "DROP OWNED BY builder; DROP ROLE builder",
        "REVOKE CREATE ON SCHEMA public FROM builder",
    ),
}
