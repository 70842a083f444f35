"""Lists of a user's own, the list that a task is in, and the order that a user gives to tasks and lists.

Made beside running requests: nothing here locks a table for longer than a moment, and all of it may be run again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from backend.app.migrations import distribution

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("lists", "deleted_lists")
TASK_TABLES = ("tasks", "deleted_tasks")
# Only tasks that are in a list, or were moved: a plain write touches none of these.
INDEXES = {
    "ix_tasks_user_id_list_id_position_id": ("tasks", "user_id, list_id, position, id", "list_id IS NOT NULL"),
    "ix_tasks_user_id_position_id": ("tasks", "user_id, position, id", "position <> ''"),
    "ix_deleted_tasks_user_id_position_id": ("deleted_tasks", "user_id, position, id", "position <> ''"),
    "ix_deleted_tasks_user_id_deleted_with_list_id": (
        "deleted_tasks",
        "user_id, deleted_with_list, id",
        "deleted_with_list IS NOT NULL",
    ),
}

# The roles of this database that the policies of the other tables are for.
ROLES = """
  api constant text := (
    SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = 'public.task_lists'::regclass AND p.polname = 'own_rows' AND r.rolname <> 'tasks_api');
  purge constant text := (
    SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = 'public.deleted_tasks'::regclass AND p.polname = 'purge' AND r.rolname <> 'tasks_purge');
"""
RIGHTS = f"""
DO $$ DECLARE {ROLES} name text;
BEGIN
  FOREACH name IN ARRAY '{{{", ".join(TABLES)}}}'::text[] LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO %I', name, api);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('DROP POLICY IF EXISTS own_rows ON public.%I', name);
    EXECUTE format('CREATE POLICY own_rows ON public.%I TO %I USING (user_id = current_setting(''app.user_id'', true)) '
                   'WITH CHECK (user_id = current_setting(''app.user_id'', true))', name, api);
  END LOOP;
  EXECUTE format('GRANT SELECT, UPDATE, DELETE ON public.deleted_lists TO %I', purge);
  DROP POLICY IF EXISTS purge ON public.deleted_lists;
  EXECUTE format('CREATE POLICY purge ON public.deleted_lists TO %I USING (true)', purge);
END $$
"""
OF_A_LIST = "fk_tasks_user_id_list_id"
# No rule that older programs could break: they know no lists, and leave the column as it is.
REFERENCES = f"""
DO $$ BEGIN
  ALTER TABLE lists ADD CONSTRAINT fk_lists_user_id FOREIGN KEY (user_id) REFERENCES task_lists (user_id);
  ALTER TABLE deleted_lists ADD CONSTRAINT fk_deleted_lists_user_id
    FOREIGN KEY (user_id) REFERENCES task_lists (user_id);
  ALTER TABLE tasks ADD CONSTRAINT {OF_A_LIST} FOREIGN KEY (user_id, list_id) REFERENCES lists (user_id, id) NOT VALID;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # As in 0005: a cluster refuses a change to all nodes at once after one to a table of its own.
    op.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    op.execute("ALTER TABLE task_lists ADD COLUMN IF NOT EXISTS last_list_id bigint")
    for table in TASK_TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS list_id bigint")
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS position text COLLATE \"C\" DEFAULT '' NOT NULL")
    op.execute("ALTER TABLE deleted_tasks ADD COLUMN IF NOT EXISTS deleted_with_list bigint")
    _make("lists")
    _make(
        "deleted_lists",
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purged", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(RIGHTS)
    if not context.is_offline_mode() and distribution.is_distributed(op.get_bind(), "tasks"):
        for table in TABLES:
            distribution.distribute_table(op.get_bind(), table)
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(REFERENCES)
    # Built beside running requests; all of the above may be run again where this is cut short.
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {OF_A_LIST}")
        for name, (table, columns, only) in INDEXES.items():
            # One that was cut short is there, and not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} ({columns}) WHERE {only}")


def _make(table: str, *more: sa.Column[Any]) -> None:
    op.create_table(
        table,
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("position", sa.Text(collation="C"), nullable=False),
        sa.Column("archived", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        *more,
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f(f"pk_{table}")),
        if_not_exists=True,
    )
    op.create_index(f"ix_{table}_user_id_revision", table, ["user_id", "revision"], if_not_exists=True)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"ALTER TABLE tasks DROP CONSTRAINT {OF_A_LIST}")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("deleted_tasks", "deleted_with_list")
    for table in reversed(TASK_TABLES):
        op.drop_column(table, "position")
        op.drop_column(table, "list_id")
    op.drop_column("task_lists", "last_list_id")
