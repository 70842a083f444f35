"""Empty the trash of all users: python -m scripts.purge --older-than 30d [--forget-older-than 400d]

Works in small batches and may run beside everything else, from cron, and twice at once.
"""

import argparse
import contextlib
import re
import sys
from datetime import timedelta
from typing import Any

import psycopg2

from backend.app import config
from backend.app.config import DatabaseSettings
from backend.app.models import SCHEMA, purged_contents
from backend.app.problems import StartupError
from scripts.maintenance import Maintenance, database_url

BATCH = 500
FORGET_AT_LEAST = timedelta(days=1)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

# For all users, or for one: a cluster takes only statements that say for every table whose rows they mean.
# The list is locked first, as every write of the API does; what a write has locked is left for the next run.
LOCK_LISTS = f"""
  SELECT user_id FROM {SCHEMA}.task_lists WHERE user_id IN (SELECT user_id FROM old)
  AND (%(user)s IS NULL OR user_id = %(user)s) FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - put together of constants
PURGE = f"""
WITH old AS (
  SELECT user_id, id FROM {SCHEMA}.deleted_tasks WHERE NOT purged AND deleted_at < now() - %(age)s
  AND (%(user)s IS NULL OR user_id = %(user)s) LIMIT %(batch)s
), lists AS ({LOCK_LISTS}), gone AS (
  UPDATE {SCHEMA}.deleted_tasks AS gone SET purged = true, deleted_with = NULL,
    {", ".join(f"{column} = %({column})s" for column in purged_contents())}
  FROM old, lists WHERE gone.user_id = old.user_id AND gone.id = old.id AND lists.user_id = old.user_id
  AND NOT gone.purged AND (%(user)s IS NULL OR gone.user_id = %(user)s)
  RETURNING gone.user_id, gone.id
), undone AS (
  DELETE FROM {SCHEMA}.completions AS done USING gone WHERE done.user_id = gone.user_id AND done.task_id = gone.id
  AND (%(user)s IS NULL OR done.user_id = %(user)s)
), untold AS (
  DELETE FROM {SCHEMA}.deleted_completions AS back USING gone WHERE back.user_id = gone.user_id
  AND back.task_id = gone.id AND (%(user)s IS NULL OR back.user_id = %(user)s)
), counted AS (
  SELECT user_id, count(*) AS purged FROM gone GROUP BY user_id
), told AS (
  UPDATE {SCHEMA}.task_lists AS list SET trash_count = list.trash_count - counted.purged,
    tombstone_count = list.tombstone_count + counted.purged
  FROM counted WHERE list.user_id = counted.user_id AND (%(user)s IS NULL OR list.user_id = %(user)s)
)
SELECT count(*) FROM gone
"""  # noqa: S608 - put together of constants
PURGE_LISTS = f"""
WITH old AS (
  SELECT user_id, id FROM {SCHEMA}.deleted_lists WHERE NOT purged AND deleted_at < now() - %(age)s
  AND (%(user)s IS NULL OR user_id = %(user)s) LIMIT %(batch)s
), lists AS ({LOCK_LISTS}), gone AS (
  UPDATE {SCHEMA}.deleted_lists AS gone SET purged = true, name = '', position = '', archived = false
  FROM old, lists WHERE gone.user_id = old.user_id AND gone.id = old.id AND lists.user_id = old.user_id
  AND NOT gone.purged AND (%(user)s IS NULL OR gone.user_id = %(user)s)
  RETURNING gone.user_id
)
SELECT count(*) FROM gone
"""  # noqa: S608 - put together of constants


def _forget(table: str, *key: str, where: str = "", counts: str = "") -> str:
    """A client that has not heard of these has to start again: its list says so from the same moment on."""
    names = ", ".join(("user_id", *key))
    same = " AND ".join(f"gone.{name} = old.{name}" for name in ("user_id", *key))
    return f"""
WITH old AS (
  SELECT {names} FROM {SCHEMA}.{table} WHERE {where}deleted_at < now() - %(age)s
  AND (%(user)s IS NULL OR user_id = %(user)s) LIMIT %(batch)s
), lists AS ({LOCK_LISTS}), forgotten AS (
  DELETE FROM {SCHEMA}.{table} AS gone USING old, lists
  WHERE {same} AND lists.user_id = old.user_id AND (%(user)s IS NULL OR gone.user_id = %(user)s)
  RETURNING gone.user_id, gone.revision
), last AS (
  SELECT user_id, max(revision) AS revision, count(*) AS forgotten FROM forgotten GROUP BY user_id
), told AS (
  UPDATE {SCHEMA}.task_lists AS list SET horizon = CASE WHEN list.horizon IS NOT NULL THEN
    greatest(list.horizon, last.revision) END{counts}
  FROM last WHERE list.user_id = last.user_id AND (%(user)s IS NULL OR list.user_id = %(user)s)
)
SELECT count(*) FROM forgotten
"""  # noqa: S608 - put together of constants


FORGET = _forget(
    "deleted_tasks", "id", where="purged AND ", counts=", tombstone_count = list.tombstone_count - last.forgotten"
)
FORGET_LISTS = _forget("deleted_lists", "id", where="purged AND ")
FORGET_COMPLETIONS = _forget("deleted_completions", "task_id", "completed_at")
KEYS = f"""
DELETE FROM {SCHEMA}.idempotency_keys AS known USING (
  SELECT user_id, key FROM {SCHEMA}.idempotency_keys WHERE created_at < now() - %(age)s
  AND (%(user)s IS NULL OR user_id = %(user)s) LIMIT %(batch)s
) AS old WHERE known.user_id = old.user_id AND known.key = old.key AND (%(user)s IS NULL OR known.user_id = %(user)s)
"""  # noqa: S608 - put together of constants


def _users(table: str, where: str) -> str:
    return f"SELECT DISTINCT user_id FROM {SCHEMA}.{table} WHERE {where} < now() - %(age)s"  # noqa: S608 - of constants


# On a cluster the only question to all nodes: whose turn it is.
USERS = {
    PURGE: _users("deleted_tasks", "NOT purged AND deleted_at"),
    FORGET: _users("deleted_tasks", "purged AND deleted_at"),
    PURGE_LISTS: _users("deleted_lists", "NOT purged AND deleted_at"),
    FORGET_LISTS: _users("deleted_lists", "purged AND deleted_at"),
    FORGET_COMPLETIONS: _users("deleted_completions", "deleted_at"),
    KEYS: _users("idempotency_keys", "created_at"),
}


def age(text: str) -> timedelta:
    """`30d`, `12h` or `90m`."""
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError("must be a number of days, hours or minutes: 30d, 12h, 90m")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def old_enough(text: str) -> timedelta:
    """An age at which tombstones may be forgotten."""
    found = age(text)
    if found < FORGET_AT_LEAST:
        raise argparse.ArgumentTypeError("must be at least 1d: clients would have to start again all the time")
    return found


class Purge:
    """Removes what is old in small transactions, each of one statement."""

    def __init__(self, connection: Any, *, cluster: bool) -> None:
        """Raises StartupError where the database is not migrated, or this login may not purge."""
        self._cluster = cluster
        self._maintenance = Maintenance(
            connection,
            table="deleted_tasks",
            policy="purge",
            timeout="SET LOCAL lock_timeout = '5s'",
            cluster=cluster,
        )

    def run(self, statement: str, older_than: timedelta) -> int:
        """How many rows the statement was about, in as many transactions as it takes. Raises psycopg2.Error."""
        values = {"age": older_than, "batch": BATCH, **purged_contents()}
        users: list[str | None] = [None]
        if self._cluster:
            with self._maintenance.transaction() as cursor:
                cursor.execute(USERS[statement], values)
                users = [user for (user,) in cursor]
        return sum(self._of_user(statement, {**values, "user": user}) for user in users)

    def _of_user(self, statement: str, values: dict[str, Any]) -> int:
        total = 0
        while True:
            with self._maintenance.transaction() as cursor:
                cursor.execute(statement, values)
                done: int = cursor.fetchone()[0] if cursor.description else cursor.rowcount
            total += done
            if done < BATCH:
                return total


def main() -> None:
    """Exits with 1 and a sentence where the database cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m scripts.purge", description=__doc__)
    parser.add_argument(
        "--older-than", type=age, required=True, help="remove what was deleted so long ago, such as 30d"
    )
    parser.add_argument(
        "--forget-older-than",
        type=old_enough,
        help="also remove the tombstones of what was deleted so long ago: clients that were not in sync since then "
        "have to start again",
    )
    options = parser.parse_args()
    try:
        settings = config.load(DatabaseSettings)
        with database_url(settings) as url, contextlib.closing(psycopg2.connect(url)) as connection:
            purge = Purge(connection, cluster=settings.database_cluster is not None)
            purged = purge.run(PURGE, options.older_than)
            lists = purge.run(PURGE_LISTS, options.older_than)
            forgotten = 0
            if options.forget_older_than:
                tombstones = (FORGET, FORGET_LISTS, FORGET_COMPLETIONS)
                forgotten = sum(purge.run(statement, options.forget_older_than) for statement in tombstones)
            keys = purge.run(KEYS, timedelta(seconds=settings.idempotency_ttl))
    except (StartupError, psycopg2.Error) as error:
        sys.exit(f"Nothing more is purged: {str(error).strip()}")
    print(f"Purged {purged} deleted tasks and {lists} lists, forgot {forgotten}, removed {keys} old idempotency keys.")


if __name__ == "__main__":
    main()
