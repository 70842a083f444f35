"""Everything of one caller, in whatever table it is."""

from typing import Any

from sqlalchemy import Select, delete, func, select, true

from backend.app.db.session import OwnerSession
from backend.app.models import metadata
from backend.app.repositories.mapping import COUNTERS, owner
from backend.app.repositories.scoping import compile_scoped

_keys = metadata.tables["idempotency_keys"]
_others = [table for table in metadata.sorted_tables if table is not COUNTERS]


def _erase() -> Select[Any]:
    # A key without an answer is the one that this very write was sent with: its repetition must not erase again.
    spared = {_keys: _keys.c.status.is_not(None)}
    gone = [
        delete(table)
        .where(table.c.user_id == owner, spared.get(table, true()))
        .returning(table.c.user_id)
        .cte(f"gone_{table.name}")
        for table in _others
    ]
    counted = select(*(select(func.count()).select_from(cte).scalar_subquery().label(cte.name) for cte in gone))
    return counted.add_cte(delete(COUNTERS).where(COUNTERS.c.user_id == owner).cte("gone_counter"))


ERASE = compile_scoped("erase everything", _erase())


async def erase_rows(session: OwnerSession) -> int:
    """Remove everything of the session's owner, in its transaction. How many tasks there were."""
    [gone] = await session.run(ERASE)
    return int(gone["gone_tasks"])


class AccountRepository:
    """The caller's data as a whole."""

    __slots__ = ("_session",)

    def __init__(self, session: OwnerSession) -> None:
        self._session = session

    async def erase(self) -> int:
        """Remove everything of the caller, in one transaction. How many tasks there were."""
        async with self._session.transaction() as session:
            return await erase_rows(session)
