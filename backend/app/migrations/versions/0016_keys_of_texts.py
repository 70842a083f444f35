"""Keys of titles and descriptions beyond ASCII, made anew: younger symbols, the small iota, and long Korean texts.

Made beside running requests: nothing here locks a table for longer than a moment, and all of it may be run again.
"""

import sqlalchemy as sa
from alembic import context, op

from backend.app.domain import keys

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BATCH = 1000
TABLES = ("tasks", "deleted_tasks")

NEXT = (
    "SELECT user_id, id, title, description, title_key, description_key FROM {table} "
    "WHERE (user_id, id) > (:user_id, :id) AND (octet_length(title) > char_length(title) "
    "OR octet_length(description) > char_length(description)) ORDER BY user_id, id LIMIT :batch"
)
# Title and description once more: whoever has written the task meanwhile knows better.
FILL = (
    "UPDATE {table} AS t SET title_key = made.title_key, description_key = made.description_key "
    "FROM unnest(CAST(:users AS text[]), CAST(:ids AS bigint[]), CAST(:titles AS text[]), "
    "CAST(:descriptions AS text[]), CAST(:title_keys AS text[]), CAST(:description_keys AS text[])) "
    "AS made(user_id, id, title, description, title_key, description_key) "
    "WHERE t.user_id = made.user_id AND t.id = made.id AND t.title = made.title "
    "AND t.description IS NOT DISTINCT FROM made.description"
)


def upgrade() -> None:
    # A statement of its own for each: row-level security is forced on the owner as well, who has no policy.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '5s'")
        for table in TABLES:
            op.execute(f"DROP POLICY IF EXISTS search_keys ON {table}")
            op.execute(f"CREATE POLICY search_keys ON {table} TO CURRENT_USER USING (true)")
            if not context.is_offline_mode():
                _fill(table)
            op.execute(f"DROP POLICY search_keys ON {table}")
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    """Keys stay: those of an older program differ from them as they differ from each other."""


def _fill(table: str) -> None:
    connection = op.get_bind()
    position = {"user_id": "", "id": 0}
    while rows := connection.execute(sa.text(NEXT.format(table=table)), {**position, "batch": BATCH}).all():
        made = [
            (row.user_id, row.id, row.title, row.description, title_key, description_key)
            for row in rows
            if (made_keys := _keys(row.title, row.description)) != (row.title_key, row.description_key)
            for title_key, description_key in [made_keys]
        ]
        if made:
            names = ("users", "ids", "titles", "descriptions", "title_keys", "description_keys")
            columns = ([*column] for column in zip(*made, strict=True))
            connection.execute(sa.text(FILL.format(table=table)), dict(zip(names, columns, strict=True)))
        position = {"user_id": rows[-1].user_id, "id": rows[-1].id}


def _keys(title: str, description: str | None) -> tuple[str, str | None]:
    return keys.title_key(title), None if description is None else keys.description_key(description)
