"""The answers to writes that a client may repeat: kept in the transaction of the write itself."""

import math
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    DateTime,
    LargeBinary,
    ScalarSelect,
    SmallInteger,
    Text,
    Update,
    any_,
    bindparam,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.models import metadata
from backend.app.repositories.arrays import array_of
from backend.app.repositories.mapping import COUNTERS, owner
from backend.app.repositories.scoping import compile_scoped

# How many of a user's keys that are too old a keyed write removes.
SWEPT_AT_ONCE = 100
# From how many bytes on a body is stored compressed; level 1 is zlib's fastest, about 10 ms for a megabyte.
COMPRESSED_FROM_BYTES = 1024
COMPRESSION_LEVEL = 1
# What a key takes beside its texts, about (bytes).
OVERHEAD_BYTES = 200

_keys = metadata.tables["idempotency_keys"]

_key: BindParameter[str] = bindparam("key", type_=Text)
_fingerprint: BindParameter[str] = bindparam("fingerprint", type_=Text)
_now: BindParameter[datetime] = bindparam("now", type_=DateTime(timezone=True))
_kept_from: BindParameter[datetime] = bindparam("kept_from", type_=DateTime(timezone=True))
_mine = _keys.c.user_id == owner

# One that is too old is as none.
CLAIM = compile_scoped(
    "claim an idempotency key",
    upsert(_keys)
    .values(user_id=owner, key=_key, fingerprint=_fingerprint, created_at=_now)
    .on_conflict_do_update(
        index_elements=[_keys.c.user_id, _keys.c.key],
        set_={
            "fingerprint": _fingerprint,
            "created_at": _now,
            **dict.fromkeys(("status", "headers", "body", "compressed_body")),
        },
        where=_keys.c.created_at < _kept_from,
    )
    .returning(_keys.c.key),
)
FIND = compile_scoped(
    "find the answer to an idempotency key",
    select(_keys.c.fingerprint, _keys.c.status, _keys.c.headers, _keys.c.body, _keys.c.compressed_body).where(
        _mine, _keys.c.key == _key
    ),
)


def _octets() -> ColumnElement[int]:
    """What a key takes, about (bytes)."""
    octets: ColumnElement[int] = literal(OVERHEAD_BYTES)
    for column in (_keys.c.key, _keys.c.headers, _keys.c.body, _keys.c.compressed_body):
        octets += func.coalesce(func.octet_length(column), 0)
    return octets


def _keep() -> Update:
    kept = (
        update(_keys)
        .values(
            status=bindparam("status", type_=SmallInteger),
            headers=bindparam("headers", type_=Text),
            body=bindparam("body", type_=Text),
            compressed_body=bindparam("compressed_body", type_=LargeBinary),
        )
        .where(_mine, _keys.c.key == _key)
        .returning(_octets().label("octets"))
        .cte("kept")
    )
    old = array_of(select(_keys.c.key).where(_mine, _keys.c.created_at < _kept_from).limit(SWEPT_AT_ONCE))
    swept = delete(_keys).where(_mine, _keys.c.key == any_(old)).returning(_octets().label("octets")).cte("swept")

    def total(rows: Any, what: Any) -> ScalarSelect[Any]:
        return select(func.coalesce(what, 0)).select_from(rows).scalar_subquery()

    return (
        update(COUNTERS)
        .values(
            key_count=COUNTERS.c.key_count + 1 - total(swept, func.count()),
            key_bytes=COUNTERS.c.key_bytes
            + total(kept, func.sum(kept.c.octets))
            - total(swept, func.sum(swept.c.octets)),
        )
        .where(COUNTERS.c.user_id == owner)
        .returning(COUNTERS.c.key_count, COUNTERS.c.key_bytes)
        .add_cte(kept, swept)
    )


def _all(what: Any) -> ScalarSelect[Any]:
    return select(func.coalesce(what, 0)).select_from(_keys).where(_mine).scalar_subquery()


KEEP = compile_scoped("keep the answer to an idempotency key", _keep())
# The counts may be too high, where a purge has removed keys or a key was taken anew: nobody is refused for that.
COUNT = compile_scoped(
    "count the idempotency keys",
    update(COUNTERS)
    .values(key_count=_all(func.count()), key_bytes=_all(func.sum(_octets())))
    .where(COUNTERS.c.user_id == owner)
    .returning(COUNTERS.c.key_count, COUNTERS.c.key_bytes),
)
OLDEST = compile_scoped(
    "find the oldest idempotency key", select(func.min(_keys.c.created_at).label("created_at")).where(_mine)
)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How long a user's keys are kept (seconds), and how many of them with how many bytes of answers."""

    kept_seconds: float
    max_keys: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to the first request with a key; `headers` is JSON."""

    fingerprint: str
    status: int
    headers: str
    body: bytes


class IdempotencyKeyRepository:
    """The caller's keys and answers, in the transaction of the write that they belong to."""

    __slots__ = ("_kept", "_limits", "_session")

    def __init__(self, session: OwnerSession, limits: KeyLimits) -> None:
        self._session = session
        self._limits = limits
        self._kept = timedelta(seconds=limits.kept_seconds)

    async def claim(self, key: str, fingerprint: str) -> Answer | None:
        """The answer that the key has already, or None: then it is this transaction's.

        Waits while another transaction of the caller is open. Raises RequestTimeout when that takes longer than a
        statement may.
        """
        now = datetime.now(UTC)
        times = {"now": now, "kept_from": now - self._kept}
        if await self._session.run(CLAIM, key=key, fingerprint=fingerprint, **times):
            return None
        [found] = await self._session.run(FIND, key=key)  # PostgreSQL has locked the row that was in the way
        short, compressed = found.pop("body"), found.pop("compressed_body")
        body = short.encode() if compressed is None else zlib.decompress(compressed)
        return Answer(**found, body=body)

    async def keep(self, key: str, *, status: int, headers: str, body: bytes) -> None:
        """Keep the answer, and remove keys that are too old.

        Raises IdempotencyLimitReached, which undoes the transaction, where the caller has too many keys or bytes.
        """
        kept_from = datetime.now(UTC) - self._kept
        long = len(body) >= COMPRESSED_FROM_BYTES
        texts = {
            "headers": headers,
            "body": None if long else body.decode(),
            "compressed_body": zlib.compress(body, COMPRESSION_LEVEL) if long else None,
        }
        counts = await self._session.run(KEEP, key=key, status=status, kept_from=kept_from, **texts)
        if counts and self._may_be_over(counts[0]):
            [counted] = await self._session.run(COUNT)
            if self._may_be_over(counted):
                raise problems.IdempotencyLimitReached(await self._seconds_until_room())

    def _may_be_over(self, counts: dict[str, Any]) -> bool:
        """Whether there are too many keys or bytes, or nobody has counted them yet."""
        if counts["key_count"] is None:
            return True
        return bool(counts["key_count"] > self._limits.max_keys or counts["key_bytes"] > self._limits.max_bytes)

    async def _seconds_until_room(self) -> int:
        [oldest] = await self._session.run(OLDEST)
        until: timedelta = oldest["created_at"] + self._kept - datetime.now(UTC)
        return max(1, math.ceil(until.total_seconds()))
