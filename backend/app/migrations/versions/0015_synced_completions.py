"""Completions for clients that keep a copy: a revision of their own, and the traces of those that were taken back.

Made beside running requests: nothing here locks a table for longer than a moment, and all of it may be run again.
"""

import sqlalchemy as sa
from alembic import context, op

from backend.app.migrations import distribution

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BATCH = 1000
INDEX = "ix_completions_user_id_sync_revision"
# A list's revisions begin with the time in microseconds since 1970, far above this.
BELOW_REVISIONS = 10**12

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
  ALTER TABLE public.deleted_completions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.deleted_completions TO %I', api);
  DROP POLICY IF EXISTS own_rows ON public.deleted_completions;
  EXECUTE format('CREATE POLICY own_rows ON public.deleted_completions TO %I '
                 'USING (user_id = current_setting(''app.user_id'', true)) '
                 'WITH CHECK (user_id = current_setting(''app.user_id'', true))', api);
  EXECUTE format('GRANT SELECT, DELETE ON public.deleted_completions TO %I', purge);
  DROP POLICY IF EXISTS purge ON public.deleted_completions;
  EXECUTE format('CREATE POLICY purge ON public.deleted_completions TO %I USING (true)', purge);
END $$
"""
# To the list and not to the task: PostgreSQL would look for completions at every delete of a task.
REFERENCE = """
DO $$ BEGIN
  ALTER TABLE deleted_completions ADD CONSTRAINT fk_deleted_completions_user_id
    FOREIGN KEY (user_id) REFERENCES task_lists (user_id);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$
"""
LAST = sa.text("SELECT coalesce(max(sync_revision), 0) FROM completions WHERE sync_revision < :below")
NEXT = sa.text(
    "SELECT user_id, task_id, completed_at FROM completions WHERE sync_revision IS NULL "
    "AND (user_id, task_id, completed_at) > (:user_id, :task_id, CAST(:completed_at AS timestamptz)) "
    "ORDER BY user_id, task_id, completed_at LIMIT :batch"
)
FILL = sa.text(
    "UPDATE completions SET sync_revision = made.number "
    "FROM unnest(CAST(:users AS text[]), CAST(:tasks AS bigint[]), CAST(:moments AS timestamptz[]), "
    "CAST(:numbers AS bigint[])) AS made(user_id, task_id, completed_at, number) "
    "WHERE completions.user_id = made.user_id AND completions.task_id = made.task_id "
    "AND completions.completed_at = made.completed_at AND completions.sync_revision IS NULL"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # As in 0005: a cluster refuses a change to all nodes at once after one to a table of its own.
    op.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    op.execute("ALTER TABLE completions ADD COLUMN IF NOT EXISTS sync_revision bigint")
    op.create_table(
        "deleted_completions",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "task_id", "completed_at", name=op.f("pk_deleted_completions")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_deleted_completions_user_id_revision", "deleted_completions", ["user_id", "revision"], if_not_exists=True
    )
    op.execute(RIGHTS)
    if not context.is_offline_mode() and distribution.is_distributed(op.get_bind(), "task_lists"):
        distribution.distribute_table(op.get_bind(), "deleted_completions")
        op.execute("ALTER TABLE deleted_completions FORCE ROW LEVEL SECURITY")
    op.execute(REFERENCE)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '5s'")
        # Row-level security is forced on the owner as well, who has no policy.
        op.execute("DROP POLICY IF EXISTS sync_revisions ON completions")
        op.execute("CREATE POLICY sync_revisions ON completions TO CURRENT_USER USING (true)")
        if not context.is_offline_mode():
            _fill()
        op.execute("DROP POLICY sync_revisions ON completions")
        op.execute("RESET lock_timeout")
        # One that was cut short is there, and not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX} ON completions (user_id, sync_revision)")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("deleted_completions")
    op.drop_index(INDEX, "completions")
    op.drop_column("completions", "sync_revision")


def _fill() -> None:
    """Number what is there below every list's revisions: a full copy begins with it, and nobody else hears of it.

    No two of a user's may have the same number, or a page of changes could end between them.
    """
    connection = op.get_bind()
    last = connection.execute(LAST, {"below": BELOW_REVISIONS}).scalar_one()
    place = {"user_id": "", "task_id": 0, "completed_at": "-infinity"}
    while rows := connection.execute(NEXT, {**place, "batch": BATCH}).all():
        users, tasks, moments = ([*column] for column in zip(*rows, strict=True))
        numbers = list(range(last + 1, last + 1 + len(rows)))
        connection.execute(FILL, {"users": users, "tasks": tasks, "moments": moments, "numbers": numbers})
        place = {"user_id": users[-1], "task_id": tasks[-1], "completed_at": moments[-1]}
        last = numbers[-1]
