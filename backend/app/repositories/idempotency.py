"""The answers to writes that a client may repeat: kept in the transaction of the write itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, SmallInteger, Text, any_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import BindParameter

from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER
from backend.app.models import metadata
from backend.app.repositories.scoping import compile_scoped

# How many of a user's keys that are too old a keyed write removes.
SWEPT_AT_ONCE = 100

_keys = metadata.tables["idempotency_keys"]

_owner: BindParameter[str] = bindparam(OWNER, type_=Text)
_key: BindParameter[str] = bindparam("key", type_=Text)
_fingerprint: BindParameter[str] = bindparam("fingerprint", type_=Text)
_now: BindParameter[datetime] = bindparam("now", type_=DateTime(timezone=True))
_kept_from: BindParameter[datetime] = bindparam("kept_from", type_=DateTime(timezone=True))
_mine = _keys.c.user_id == _owner

# Waits for another transaction that has the same key, until that ends. One that is too old is as none.
CLAIM = compile_scoped(
    "claim an idempotency key",
    upsert(_keys)
    .values(user_id=_owner, key=_key, fingerprint=_fingerprint, created_at=_now)
    .on_conflict_do_update(
        index_elements=[_keys.c.user_id, _keys.c.key],
        set_={"fingerprint": _fingerprint, "created_at": _now, "status": None, "headers": None, "body": None},
        where=_keys.c.created_at < _kept_from,
    )
    .returning(_keys.c.key),
)
FIND = compile_scoped(
    "find the answer to an idempotency key",
    select(_keys.c.fingerprint, _keys.c.status, _keys.c.headers, _keys.c.body).where(_mine, _keys.c.key == _key),
)
_old = select(_keys.c.key).where(_mine, _keys.c.created_at < _kept_from).limit(SWEPT_AT_ONCE).scalar_subquery()
KEEP = compile_scoped(
    "keep the answer to an idempotency key",
    update(_keys)
    .values(
        status=bindparam("status", type_=SmallInteger),
        headers=bindparam("headers", type_=Text),
        body=bindparam("body", type_=Text),
    )
    .where(_mine, _keys.c.key == _key)
    .add_cte(delete(_keys).where(_mine, _keys.c.key == any_(_old)).cte("swept")),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to the first request with a key; `headers` is JSON."""

    fingerprint: str
    status: int
    headers: str
    body: str


class IdempotencyKeyRepository:
    """The caller's keys and answers, in the transaction of the write that they belong to."""

    __slots__ = ("_kept", "_session")

    def __init__(self, session: OwnerSession, *, kept_seconds: float) -> None:
        self._session = session
        self._kept = timedelta(seconds=kept_seconds)

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        """The answer that the key has already, or None: then it is this transaction's.

        Waits while another transaction has the key. Raises RequestTimeout when that takes longer than a statement may.
        """
        now = datetime.now(UTC)
        times = {"now": now, "kept_from": now - self._kept}
        if await self._session.run(CLAIM, key=key, fingerprint=fingerprint, **times):
            return None
        [found] = await self._session.run(FIND, key=key)  # PostgreSQL has locked the row that was in the way
        return Answer(**found)

    async def keep(self, key: str, *, status: int, headers: str, body: str) -> None:
        """Keep the answer, and remove keys that are too old."""
        kept_from = datetime.now(UTC) - self._kept
        await self._session.run(KEEP, key=key, status=status, headers=headers, body=body, kept_from=kept_from)
