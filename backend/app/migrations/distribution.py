"""How the tables become those of a Citus cluster: spread over its nodes by `user_id`, all rows of a user on one.

Alembic calls this after a migration; what is distributed already is left as it is, so it may be run again.
"""

from collections.abc import Sequence

from alembic.util import CommandError
from sqlalchemy import Connection, text

# The others refer to these, in this order.
FIRST = "task_lists"
REFERRED_TO = (FIRST, "lists")
COLUMN = "user_id"

CITUS = text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")
DISTRIBUTED = text("SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass(:name))")


def require_citus(connection: Connection) -> None:
    """Raises CommandError where the database is no cluster: a migration must not do half of its work."""
    if not connection.execute(CITUS).scalar():
        raise CommandError(
            "DATABASE_CLUSTER is citus, and this database has no extension citus. Make it on the coordinator and on "
            "every node (CREATE EXTENSION citus), or unset DATABASE_CLUSTER."
        )


def distribute(connection: Connection, tables: Sequence[str]) -> None:
    """Distribute what is not yet, with the rows that are there, on a connection that commits each statement.

    The API does not start meanwhile: row-level security is not forced on the owner while a table's rows are copied,
    for COPY takes none where it is.
    """
    rest = [table for table in tables if table not in REFERRED_TO]
    for table in (*REFERRED_TO, *rest):
        if not connection.execute(DISTRIBUTED, {"name": table}).scalar():
            distribute_table(connection, table)
        # Also where a run before this one was cut short.
        connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
    for table in tables:
        # The rows that were there stay behind where they were, out of sight: of every table, for a run before this one
        # may have been cut short after it distributed some.
        connection.execute(text(f"SELECT truncate_local_data_after_distributing_table('{table}')"))


def is_distributed(connection: Connection, table: str) -> bool:
    """Whether this table is spread over a cluster already: then a new one must be before it can refer to that."""
    return bool(connection.execute(CITUS).scalar() and connection.execute(DISTRIBUTED, {"name": table}).scalar())


def distribute_table(connection: Connection, table: str) -> None:
    """Spread one table beside the first; afterwards row-level security must be forced on its owner again."""
    for statement in statements(table):
        connection.execute(text(statement))


def statements(table: str) -> list[str]:
    """What distributes a table, one statement for each message, as a cluster takes DDL."""
    beside = "" if table == FIRST else f", colocate_with => '{FIRST}'"
    return [
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        f"SELECT create_distributed_table('{table}', '{COLUMN}'{beside})",
    ]
