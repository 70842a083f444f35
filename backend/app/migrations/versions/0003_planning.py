"""What tasks need to be planned, found, undone and synchronised. Columns only: no table is rewritten or read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLE = "tasks_api"
PURGE_ROLE = "tasks_purge"
NO_TAGS = sa.text("'{}'")

# See 0001_tasks.py: roles belong to the whole cluster.
CREATE_PURGE_ROLE = f"""
DO $$ BEGIN
  CREATE ROLE {PURGE_ROLE} NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
JOIN_PURGE_ROLE = f"""
DO $$ BEGIN
  FOR attempt IN 1..10 LOOP
    BEGIN
      EXECUTE format('GRANT {PURGE_ROLE} TO %I', current_user);
      EXIT;
    EXCEPTION
      WHEN insufficient_privilege THEN EXIT;
      WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
    END;
  END LOOP;
END $$
"""


def _planned() -> list[sa.Column[object]]:
    return [
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_date", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("recurrence", sa.Text(), nullable=True),
        sa.Column("after_completion", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=NO_TAGS, nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("compound", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("title_key", sa.Text(collation="C"), server_default=sa.text("''"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("'infinity'"), nullable=False),
        sa.Column("tag_keys", sa.ARRAY(sa.Text()), server_default=NO_TAGS, nullable=False),
    ]


def upgrade() -> None:
    # Who waits for this lock holds up everybody behind: rather give up, and migrate again in a quieter moment.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("task_lists", sa.Column("horizon", sa.BigInteger(), nullable=True))
    for column in _planned():
        op.add_column("tasks", column)
    op.create_table(
        "deleted_tasks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("completed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        *_planned(),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_with", sa.BigInteger(), nullable=True),
        sa.Column("purged", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_deleted_tasks")),
        sa.ForeignKeyConstraint(["user_id"], ["task_lists.user_id"], name=op.f("fk_deleted_tasks_user_id")),
    )
    op.create_index("ix_deleted_tasks_user_id_revision", "deleted_tasks", ["user_id", "revision"])
    for name, indexed, only in (
        ("ix_deleted_tasks_user_id_id", "id", "NOT purged"),
        ("ix_deleted_tasks_kept_user_id_revision", "revision", "NOT purged"),
        ("ix_deleted_tasks_user_id_deleted_with", "deleted_with", "deleted_with IS NOT NULL"),
    ):
        op.create_index(name, "deleted_tasks", ["user_id", indexed], postgresql_where=sa.text(only))
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON deleted_tasks TO {ROLE}")
    op.execute("ALTER TABLE deleted_tasks ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE deleted_tasks FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY own_rows ON deleted_tasks TO {ROLE} "
        "USING (user_id = current_setting('app.user_id', true)) "
        "WITH CHECK (user_id = current_setting('app.user_id', true))"
    )
    _let_purge()


def _let_purge() -> None:
    """A role for `scripts/purge.py`, which works for all users: it reaches the trash and old keys, and no task."""
    op.execute(CREATE_PURGE_ROLE)
    op.execute(JOIN_PURGE_ROLE)
    op.execute(f"GRANT SELECT, UPDATE, DELETE ON deleted_tasks TO {PURGE_ROLE}")
    op.execute(f"GRANT SELECT (user_id, key, created_at), DELETE ON idempotency_keys TO {PURGE_ROLE}")
    op.execute(f"GRANT SELECT (user_id, horizon), UPDATE (horizon) ON task_lists TO {PURGE_ROLE}")
    for table in ("deleted_tasks", "idempotency_keys", "task_lists"):
        op.execute(f"CREATE POLICY purge ON {table} TO {PURGE_ROLE} USING (true)")


def downgrade() -> None:
    for table in ("idempotency_keys", "task_lists"):
        op.execute(f"DROP POLICY purge ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM {PURGE_ROLE}")
    # Without this, rights to single columns would stay.
    op.execute(f"REVOKE ALL (user_id, horizon) ON task_lists FROM {PURGE_ROLE}")
    op.execute(f"REVOKE ALL (user_id, key, created_at) ON idempotency_keys FROM {PURGE_ROLE}")
    op.execute(f"REVOKE ALL ON deleted_tasks FROM {ROLE}, {PURGE_ROLE}")
    op.drop_table("deleted_tasks")
    for column in reversed(_planned()):
        op.drop_column("tasks", column.name)
    op.drop_column("task_lists", "horizon")
