"""Indexes for what tasks are found and sorted by, and the sort key of titles that were there before.

Made beside running requests: nothing here locks a table for longer than a moment, and all of it may be run again.
"""

import unicodedata

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BATCH = 1000
INDEXES = {
    "ix_tasks_user_id_revision": ["user_id", "revision"],
    "ix_tasks_user_id_title_key_id": ["user_id", "title_key", "id"],
    "ix_tasks_user_id_due_at_id": ["user_id", "due_at", "id"],
    "ix_tasks_user_id_priority_id": ["user_id", "priority", "id"],
    "ix_tasks_user_id_parent_id_id": ["user_id", "parent_id", "id"],
}
ONLY = {"ix_tasks_user_id_parent_id_id": sa.text("parent_id IS NOT NULL")}

NEXT = sa.text(
    "SELECT user_id, id, title FROM tasks WHERE (user_id, id) > (:user_id, :id) AND title_key = '' "
    "ORDER BY user_id, id LIMIT :batch"
)
# Again title_key = '': whoever has written the task meanwhile knows better.
FILL = sa.text(
    "UPDATE tasks SET title_key = made.title_key "
    "FROM unnest(CAST(:users AS text[]), CAST(:ids AS bigint[]), CAST(:made_keys AS text[])) "
    "AS made(user_id, id, title_key) "
    "WHERE tasks.user_id = made.user_id AND tasks.id = made.id AND tasks.title_key = ''"
)


def upgrade() -> None:
    # A statement of its own for each: row-level security is forced on the owner as well, who has no policy.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '5s'")
        op.execute("DROP POLICY IF EXISTS sort_keys ON tasks")
        op.execute("CREATE POLICY sort_keys ON tasks TO CURRENT_USER USING (true)")
        if not context.is_offline_mode():
            _fill()
        op.execute("DROP POLICY sort_keys ON tasks")
        # An index is built beside running requests, and waits for the longest of them.
        op.execute("RESET lock_timeout")
        for name, columns in INDEXES.items():
            # One that was cut short is there, and not valid.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.create_index(name, "tasks", columns, postgresql_where=ONLY.get(name), postgresql_concurrently=True)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name in INDEXES:
        op.drop_index(name, "tasks")


def _fill() -> None:
    connection = op.get_bind()
    place = {"user_id": "", "id": 0}
    while rows := connection.execute(NEXT, {**place, "batch": BATCH}).all():
        users, ids, titles = ([*column] for column in zip(*rows, strict=True))
        connection.execute(FILL, {"users": users, "ids": ids, "made_keys": [_title_key(title) for title in titles]})
        place = {"user_id": users[-1], "id": ids[-1]}


def _title_key(title: str) -> str:
    """As this release of the program made it; 0007 makes it anew by another rule."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))[:200]
