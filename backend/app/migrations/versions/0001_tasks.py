"""Tasks, their per-user counter, and the role and policies that confine a transaction to one user."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLE = "tasks_api"
TABLES = ("task_lists", "tasks")

# Roles belong to the whole cluster: another database, or a migration running at this moment, may be making the same
# one.
CREATE_ROLE = f"""
DO $$ BEGIN
  CREATE ROLE {ROLE} NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""

# The loop is for a migration of another database that grants at the same moment. Where this user may not grant,
# somebody who may has to; the check at the app's start says so.
JOIN_ROLE = f"""
DO $$ BEGIN
  FOR attempt IN 1..10 LOOP
    BEGIN
      EXECUTE format('GRANT {ROLE} TO %I', current_user);
      EXIT;
    EXCEPTION
      WHEN insufficient_privilege THEN EXIT;
      WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
    END;
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "task_lists",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("last_task_id", sa.BigInteger(), nullable=False),
        sa.Column("task_count", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_task_lists")),
        sa.CheckConstraint("user_id <> ''", name=op.f("ck_task_lists_user_id")),
        sa.CheckConstraint("task_count >= 0", name=op.f("ck_task_lists_task_count")),
    )
    op.create_table(
        "tasks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("completed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_tasks")),
        sa.ForeignKeyConstraint(["user_id"], ["task_lists.user_id"], name=op.f("fk_tasks_user_id")),
        sa.CheckConstraint("id > 0", name=op.f("ck_tasks_id")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("ck_tasks_title")),
        sa.CheckConstraint("char_length(description) <= 1000", name=op.f("ck_tasks_description")),
    )
    op.create_index("ix_tasks_user_id_completed_id", "tasks", ["user_id", "completed", "id"])
    op.execute(CREATE_ROLE)
    op.execute(JOIN_ROLE)
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON task_lists TO {ROLE}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO {ROLE}")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_rows ON {table} TO {ROLE} "
            "USING (user_id = current_setting('app.user_id', true)) "
            "WITH CHECK (user_id = current_setting('app.user_id', true))"
        )


def downgrade() -> None:
    # The role stays: it belongs to the cluster, and another database may be using it.
    for table in reversed(TABLES):
        op.execute(f"REVOKE ALL ON {table} FROM {ROLE}")
        op.drop_table(table)
