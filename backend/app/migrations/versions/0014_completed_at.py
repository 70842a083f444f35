"""When tasks were completed: an index in both tables, of those that are. May be run again where it is cut short."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = ("tasks", "deleted_tasks")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in TABLES:
            # One that was cut short is there, and not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS ix_{table}_user_id_completed_at_id")
            op.execute(
                f"CREATE INDEX CONCURRENTLY ix_{table}_user_id_completed_at_id ON {table} "
                "(user_id, completed_at, id) WHERE completed_at IS NOT NULL"
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in reversed(TABLES):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS ix_{table}_user_id_completed_at_id")
