"""Reminders, and the role that delivers them: it reads of a task what it tells, and writes when it tries again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CONTENT = ("tasks", "deleted_tasks")

# The role that the tables are confined to has the name that 0005 gave it, and this one is named after it.
NAMES = """
  api constant text := (
    SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = to_regclass('public.task_lists') AND p.polname = 'own_rows' AND r.rolname <> 'tasks_api');
  deliver constant text := left(api, 55) || '_deliver';
"""

# Roles belong to the whole server, as 0005 says.
MAKE_ROLE = f"""
DO $$ DECLARE {NAMES}
BEGIN
  BEGIN
    EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', deliver);
  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
  END;
  FOR attempt IN 1..10 LOOP
    BEGIN
      EXECUTE format('GRANT %I TO %I', deliver, current_user);
      EXIT;
    EXCEPTION
      WHEN insufficient_privilege THEN EXIT;
      WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
    END;
  END LOOP;
END $$
"""

RIGHTS = f"""
DO $$ DECLARE {NAMES}
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.reminders TO %I', api);
  EXECUTE format('CREATE POLICY own_rows ON public.reminders TO %I '
                 'USING (user_id = current_setting(''app.user_id'', true)) '
                 'WITH CHECK (user_id = current_setting(''app.user_id'', true))', api);
  EXECUTE format('GRANT SELECT, UPDATE (try_at, tries), DELETE ON public.reminders TO %I', deliver);
  EXECUTE format('CREATE POLICY deliver ON public.reminders TO %I USING (true)', deliver);
  EXECUTE format('GRANT SELECT (user_id, id, title, due_date, time_zone, completed) ON public.tasks TO %I', deliver);
  EXECUTE format('CREATE POLICY deliver ON public.tasks FOR SELECT TO %I USING (true)', deliver);
END $$
"""

BACK = f"""
DO $$ DECLARE {NAMES}
BEGIN
  DROP POLICY deliver ON public.tasks;
  EXECUTE format(
    'REVOKE ALL (user_id, id, title, due_date, time_zone, completed) ON public.tasks FROM %I', deliver);
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Roles first, and all nodes one after the other: a cluster refuses a new role after a change to its tables.
    op.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    op.execute(MAKE_ROLE)
    for table in CONTENT:
        op.add_column(table, sa.Column("reminders", sa.ARRAY(sa.Text()), nullable=True))
    op.create_table(
        "reminders",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("user_id", "task_id", "remind_at", name=op.f("pk_reminders")),
        # To the list and not to the task: PostgreSQL would look for reminders at every delete of a task.
        sa.ForeignKeyConstraint(["user_id"], ["task_lists.user_id"], name=op.f("fk_reminders_user_id")),
    )
    op.create_index("ix_reminders_user_id_try_at", "reminders", ["user_id", "try_at"])
    op.create_index("ix_reminders_try_at_user_id", "reminders", ["try_at", "user_id"])
    op.execute("ALTER TABLE reminders ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE reminders FORCE ROW LEVEL SECURITY")
    op.execute(RIGHTS)


def downgrade() -> None:
    # The role stays, without any right: PostgreSQL drops none that another session may be using.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("reminders")
    op.execute(BACK)
    for table in reversed(CONTENT):
        op.drop_column(table, "reminders")
