"""A Citus cluster in place of one PostgreSQL: the same statements, in more messages, from a login that is confined.

Citus hands `SET LOCAL` on to the nodes that hold the rows only where it is a message of its own inside a transaction
(of several statements in one message it would hand on all the text), and `SET LOCAL ROLE` not at all.
"""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from backend.app.db import row_security
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Row, Statement


class ClusterDatabase(Database):
    """The database behind the API where DATABASE_CLUSTER is set. Works on a single PostgreSQL as well."""

    def __init__(
        self,
        url: str,
        *,
        statement_timeout: float,
        expectations: row_security.Expectations = row_security.Expectations(),  # noqa: B008 - it never changes
        **options: Any,
    ) -> None:
        """As `Database`; the user of the URL must be the role that the tables are confined to."""
        expectations = dataclasses.replace(expectations, cluster=True)
        super().__init__(url, statement_timeout=statement_timeout, expectations=expectations, **options)
        milliseconds = round(statement_timeout * 1000)
        self._opening = (
            "BEGIN",
            f"SET LOCAL {row_security.OWNER_SETTING} = %({OWNER})s",
            row_security.SEARCH_PATH.removesuffix("; "),
            f"SET LOCAL statement_timeout = {milliseconds}",
            # A process that stops between two messages must not keep the locks.
            f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}",
        )

    async def run(self, statement: Statement, owner: str, parameters: Mapping[str, Any]) -> list[Row]:
        """As `Database.run`; when Unavailable is raised, the statement may have been committed."""
        async with self._together(owner, "", *self._opening) as session:
            return await session.rows(statement, **parameters)

    def transaction(self, owner: str) -> contextlib.AbstractAsyncContextManager[OwnerSession]:
        """As `Database.transaction`."""
        return self._together(owner, "", *self._opening, row_security.LOCK_LIST)
