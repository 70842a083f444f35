"""What the coordinator of a Citus cluster sends to its nodes for a statement: its log shows it, EXPLAIN does not."""

import contextlib
import re
from collections.abc import Iterable

import psycopg2

from backend.app.db.statement import OWNER, Statement
from tests.support.statements import sample

# The role that the policies confine, and which every statement runs as.
ROLE = "SELECT DISTINCT polroles[1]::regrole::text FROM pg_policy WHERE polname = 'own_rows'"
SERVER = re.compile(r"on server .*@(\S+) connectionId")
# One row in each table, for the values that `sample` has.
ROWS = (
    "INSERT INTO public.task_lists (user_id, last_task_id, task_count, revision) VALUES (%(owner)s, 1, 1, 1)",
    "INSERT INTO public.tasks (user_id, id, title, revision) VALUES (%(owner)s, 1, 'a', 1)",
    "INSERT INTO public.deleted_tasks (user_id, id, title, revision, deleted_at) VALUES (%(owner)s, 1, 'a', 1, now())",
    "INSERT INTO public.idempotency_keys (user_id, key, fingerprint, created_at) VALUES (%(owner)s, 'a', 'a', now())",
)


def servers(notices: Iterable[str]) -> set[str]:
    """The nodes that are named in what citus.log_remote_commands has noted."""
    return {found for notice in notices for found in SERVER.findall(notice)}


class RemoteLog:
    """Runs statements as the API sends them to a cluster, undoes them, and tells which nodes were sent anything."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._notices: list[str] = []
        self._connection.notices = self._notices
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SET citus.log_remote_commands = on")
            # Passed on to the nodes, as the API does it.
            cursor.execute("SET citus.propagate_set_commands = 'local'")
            cursor.execute(ROLE)
            [(self._role,)] = cursor.fetchall()

    def close(self) -> None:
        self._connection.close()

    def add_rows(self, owner: str) -> None:
        """Give a new user what the statements can meet."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SET LOCAL app.user_id = %s", [owner])
            for row in ROWS:
                cursor.execute(row, {OWNER: owner})

    def servers(self, statement: Statement, owner: str) -> set[str]:
        """The nodes that were sent anything."""
        with self._connection.cursor() as cursor:  # psycopg2 begins, in a message of its own
            cursor.execute("SET LOCAL app.user_id = %s", [owner])
            cursor.execute(f"SET LOCAL ROLE {self._role}")
            self._notices.clear()
            with contextlib.suppress(
                psycopg2.IntegrityError
            ):  # a row that is there already was looked for all the same
                cursor.execute(statement.text, {**sample(statement), OWNER: owner})
        found = servers(self._notices)
        self._connection.rollback()
        return found
