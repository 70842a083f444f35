"""When a task can be begun: as it was given, and the moment of it, in both tables."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("tasks", "deleted_tasks")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.add_column(table, sa.Column("start_date", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("start_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.drop_column(table, "start_at")
        op.drop_column(table, "start_date")
