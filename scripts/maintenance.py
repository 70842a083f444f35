"""The database of the programs that work for all users beside the API: which role they have in it, and transactions."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from backend.app.config import DatabaseSettings
from backend.app.db import dsn, embedded
from backend.app.db.row_security import SET_SEARCH_PATH, quoted
from backend.app.models import SCHEMA
from backend.app.problems import StartupError

# The role of this database that a policy is for. Databases of one server had shared `tasks_purge` once.
FIND_ROLE: Final = """
SELECT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
WHERE p.polrelid = to_regclass(%(table)s) AND p.polname = %(policy)s AND r.rolname <> 'tasks_purge'
"""


@contextlib.contextmanager
def database_url(settings: DatabaseSettings) -> Iterator[str]:
    """The URL of maintenance, or of the embedded database, which runs meanwhile. Raises StartupError."""
    if settings.maintenance_url is not None:
        yield dsn.checked(settings.maintenance_url, settings.maintenance_setting)
    else:
        with embedded.joined() as url:
            yield url


class Maintenance:
    """Transactions of the role whose policy lets it reach the rows of all users."""

    def __init__(self, connection: Any, *, table: str, policy: str, timeout: str, cluster: bool) -> None:
        """`timeout` is a statement that bounds the others of a transaction.

        Raises StartupError where the database is not migrated, or where on a cluster the login is not the role.
        """
        self._connection = connection
        self._timeout = timeout
        role = self._role_of(table, policy)
        if cluster:
            self._require_login(role)
        self._become = None if cluster else f"SET LOCAL ROLE {quoted(role)}"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction."""
        with self._connection, self._connection.cursor() as cursor:
            # One for each message, or a cluster would not hand it on.
            for setting in filter(None, (self._become, SET_SEARCH_PATH, self._timeout)):
                cursor.execute(setting, {})
            yield cursor

    def _role_of(self, table: str, policy: str) -> str:
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(f"{SET_SEARCH_PATH};{FIND_ROLE}", {"table": f"{SCHEMA}.{table}", "policy": policy})
            found = cursor.fetchone()
        if found is None:
            raise StartupError("the database is not migrated to this version yet: run `alembic upgrade head`.")
        return str(found[0])

    def _require_login(self, role: str) -> None:
        """On a cluster nobody can become another role; and another login would see no rows, as if there were none."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SELECT session_user")
            if cursor.fetchone() != (role,):
                raise StartupError(f"on a cluster it logs in as {role} itself: set DATABASE_DIRECT_URL to such a URL.")
