"""Keys for search, and the keys of titles and tags made anew: by the Unicode Collation Algorithm, and with NFKC.

Made beside running requests: nothing here locks a table for longer than a moment, and all of it may be run again.
"""

import json

import sqlalchemy as sa
from alembic import context, op

from backend.app.domain import keys

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH = 1000
TABLES = ("tasks", "deleted_tasks")

NEXT = (
    "SELECT user_id, id, title, description, tags FROM {table} WHERE (user_id, id) > (:user_id, :id) "
    "ORDER BY user_id, id LIMIT :batch"
)
# Title, description and tags once more: whoever has written the task meanwhile knows better.
FILL = (
    "UPDATE {table} AS t SET title_key = made.title_key, description_key = made.description_key, "
    "tag_keys = ARRAY(SELECT jsonb_array_elements_text(made.tag_keys)) "
    "FROM jsonb_to_recordset(CAST(:made AS jsonb)) AS made("
    "user_id text, id bigint, title text, description text, tags jsonb, title_key text, description_key text, "
    "tag_keys jsonb) "
    "WHERE t.user_id = made.user_id AND t.id = made.id AND t.title = made.title "
    "AND t.description IS NOT DISTINCT FROM made.description "
    "AND t.tags = ARRAY(SELECT jsonb_array_elements_text(made.tags))"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.execute(f'ALTER TABLE {table} ADD COLUMN IF NOT EXISTS description_key text COLLATE "C"')
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
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.drop_column(table, "description_key")


def _fill(table: str) -> None:
    connection = op.get_bind()
    position = {"user_id": "", "id": 0}
    while rows := connection.execute(sa.text(NEXT.format(table=table)), {**position, "batch": BATCH}).all():
        made = [_row(*row) for row in rows]
        connection.execute(sa.text(FILL.format(table=table)), {"made": json.dumps(made)})
        position = {"user_id": made[-1]["user_id"], "id": made[-1]["id"]}


def _row(user_id: str, number: int, title: str, description: str | None, tags: list[str]) -> dict[str, object]:
    return {
        "user_id": user_id,
        "id": number,
        "title": title,
        "description": description,
        "tags": tags,
        "title_key": keys.title_key(title),
        "description_key": None if description is None else keys.description_key(description),
        "tag_keys": [keys.tag_key(tag) for tag in tags],
    }
