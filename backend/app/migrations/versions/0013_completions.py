"""What was completed of a task that repeats: a row for each occurrence, with what the task was before."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# The roles of this database that the policies of the other tables are for.
RIGHTS = """
DO $$ DECLARE
  api constant text := (
    SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = 'public.task_lists'::regclass AND p.polname = 'own_rows' AND r.rolname <> 'tasks_api');
  purge constant text := (
    SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = 'public.deleted_tasks'::regclass AND p.polname = 'purge' AND r.rolname <> 'tasks_purge');
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.completions TO %I', api);
  EXECUTE format('CREATE POLICY own_rows ON public.completions TO %I '
                 'USING (user_id = current_setting(''app.user_id'', true)) '
                 'WITH CHECK (user_id = current_setting(''app.user_id'', true))', api);
  -- What has to be known to delete them, and nothing of what they hold: these are of living tasks, too.
  EXECUTE format('GRANT SELECT (user_id, task_id), DELETE ON public.completions TO %I', purge);
  EXECUTE format('CREATE POLICY purge ON public.completions TO %I USING (true)', purge);
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # As in 0005: a cluster refuses a change to all nodes at once after one to a table of its own.
    op.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    op.create_table(
        "completions",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("due_date", sa.Text(), nullable=True),
        sa.Column("start_date", sa.Text(), nullable=True),
        sa.Column("recurrence", sa.Text(), nullable=True),
        sa.Column("reminders", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("reopened", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("revision_before", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", "task_id", "completed_at", name=op.f("pk_completions")),
        # To the list and not to the task: PostgreSQL would look for completions at every delete of a task.
        sa.ForeignKeyConstraint(["user_id"], ["task_lists.user_id"], name=op.f("fk_completions_user_id")),
    )
    op.create_index(
        "ix_completions_user_id_completed_at_task_id", "completions", ["user_id", "completed_at", "task_id"]
    )
    op.execute("ALTER TABLE completions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE completions FORCE ROW LEVEL SECURITY")
    op.execute(RIGHTS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("completions")
