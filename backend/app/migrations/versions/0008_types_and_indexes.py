"""Bounds as domains in place of CHECKs, and only the indexes that earn what they cost every write.

PostgreSQL parses a CHECK anew for each execution, and keeps a domain's constraint for the session. Made beside running
requests: no table is read or rewritten under a lock, and all of it may be run again.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Domain: the table, its column, the type that the column had, the bound, and the CHECK that said it before.
DOMAINS = {
    "task_id": ("tasks", "id", "bigint", "VALUE > 0", "id > 0"),
    "task_title": (
        "tasks", "title", "text",
        "char_length(VALUE) BETWEEN 1 AND 200", "char_length(title) BETWEEN 1 AND 200",
    ),
    "task_description": (
        "tasks", "description", "text",
        "char_length(VALUE) <= 1000", "char_length(description) <= 1000",
    ),
    "task_count": ("task_lists", "task_count", "bigint", "VALUE >= 0", "task_count >= 0"),
}  # fmt: skip
# A list is sorted from the user's rows where it is sorted by these.
DROPPED = {
    "ix_tasks_user_id_completed_id": ["user_id", "completed", "id"],
    "ix_tasks_user_id_title_key_id": ["user_id", "title_key", "id"],
    "ix_tasks_user_id_due_at_id": ["user_id", "due_at", "id"],
    "ix_tasks_user_id_priority_id": ["user_id", "priority", "id"],
}
# A change of `id`'s type would build this one anew, under a lock.
PARENTS = "ix_tasks_user_id_parent_id_id"
OPEN = "ix_tasks_open_user_id_id"
# Each write changes the user's row in task_lists: the next version of it finds room on its page.
FILLFACTOR = 60


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {PARENTS}")
    if context.is_offline_mode() or not _is_done():
        _make_domains()
    with op.get_context().autocommit_block():
        # One that was cut short is there, and not valid.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {OPEN}")
        _create_parents()
        op.create_index(
            OPEN, "tasks", ["user_id", "id"], postgresql_where=sa.text("NOT completed"), postgresql_concurrently=True
        )
        for name in DROPPED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"ALTER TABLE task_lists SET (fillfactor = {FILLFACTOR})")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE task_lists RESET (fillfactor)")
        for name, columns in DROPPED.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, "tasks", columns, postgresql_concurrently=True)
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {OPEN}")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {PARENTS}")
    op.execute("SET LOCAL lock_timeout = '5s'")
    for domain, (table, column, type_, _, check) in DOMAINS.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_}")
        # Every row is within the bound already: the domain has seen to it.
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column} CHECK ({check}) NOT VALID")
        op.execute(f"DROP DOMAIN {domain}")
    with op.get_context().autocommit_block():
        for table, column, *_ in DOMAINS.values():
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{column}")
        _create_parents()


def _is_done() -> bool:
    return bool(op.get_bind().scalar(sa.text("SELECT to_regtype('public.task_count') IS NOT NULL")))


def _make_domains() -> None:
    """In one transaction, so that there is no moment without the bounds.

    The domain has none when the column gets its type, or PostgreSQL would rewrite the table; and it is NOT VALID, or
    PostgreSQL would read it under a lock: every row is within the bound already, for the CHECK has seen to it.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    for domain, (table, column, type_, bound, _) in DOMAINS.items():
        op.execute(f"CREATE DOMAIN {domain} AS {type_}")
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{column}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {domain}")
        op.execute(f"ALTER DOMAIN {domain} ADD CONSTRAINT bound CHECK ({bound}) NOT VALID")


def _create_parents() -> None:
    op.create_index(
        PARENTS,
        "tasks",
        ["user_id", "parent_id", "id"],
        postgresql_where=sa.text("parent_id IS NOT NULL"),
        postgresql_concurrently=True,
        if_not_exists=True,
    )
