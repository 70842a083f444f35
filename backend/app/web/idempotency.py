"""`Idempotency-Key`: a write that is repeated is made once, and answered with what was answered first.

A keyed write is one transaction: the key is claimed, the write is made, the answer is kept. A refusal changes nothing
and is not kept, so the key may be tried again. The field follows the IETF's draft-ietf-httpapi-idempotency-key-header.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from starlette.requests import Request

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.repositories.idempotency import IdempotencyKeyRepository, KeyLimits
from backend.app.web.owner_session import owner_session
from backend.app.web.responses import ApiResponse

# Makes the write in this transaction.
Write = Callable[[OwnerSession], Awaitable[ApiResponse]]

HEADER: Final = b"idempotency-key"
UNSAFE_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Bare, or a string of RFC 8941 (section 3.3.3) without escapes.
_KEY = re.compile(r'"(?P<quoted>[ !#-\[\]-~]{1,255})"|(?P<bare>[!#-\[\]-~]{1,255})')
# How long before the request's own deadline a request that waits for another with its key is answered (seconds).
ANSWER_SECONDS: Final = 0.5


def idempotency_key(request: Request) -> str | None:
    """The key of a write, if it has one. Raises MalformedRequest."""
    sent = [value for name, value in request.scope["headers"] if name == HEADER]
    if not sent:
        return None
    found = _KEY.fullmatch(sent[0].decode("latin-1")) if len(sent) == 1 else None
    if found is None:
        raise problems.MalformedRequest(
            "Idempotency-Key must be sent once: 1 to 255 printable ASCII characters, bare or in double quotes."
        )
    return found["quoted"] or found["bare"]


class IdempotentWrites:
    """The keyed writes of this process."""

    def __init__(self, *, wait_seconds: float, limits: KeyLimits) -> None:
        """`wait_seconds`: how long a request waits for another with its key; `limits`: what is kept of a user's."""
        self._wait = wait_seconds
        self._limits = limits
        self._under_way: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, request: Request, key: str, document: Any, write: Write) -> ApiResponse:
        """The answer of `write`, made now in a transaction of the caller's, or before.

        `document` is the body that was read, if there was one.

        Raises IdempotencyKeyReused when the key was another request's, and IdempotencyKeyInUse when that request does
        not end in time; IdempotencyLimitReached when too many answers of the user are kept already, and then nothing is
        made.
        """
        session = owner_session(request)
        deadline = time.monotonic() + self._wait
        # A user's keyed writes are made one after the other. In this process, who comes second waits here, and not on a
        # database connection: nobody can take more than one of those from the others.
        lock = self._under_way.setdefault(session.owner, asyncio.Lock())
        try:
            async with asyncio.timeout(self._wait):
                await lock.acquire()
        except TimeoutError:
            raise problems.IdempotencyKeyInUse from None
        try:
            while True:
                try:
                    return await self._attempt(session, key, _fingerprint(request, document), write)
                except problems.IdempotencyKeyInUse:
                    if time.monotonic() > deadline:
                        raise
        finally:
            lock.release()

    async def _attempt(self, session: OwnerSession, key: str, fingerprint: str, write: Write) -> ApiResponse:
        async with session.transaction() as transaction:
            answers = IdempotencyKeyRepository(transaction, self._limits)
            try:
                known = await answers.claim(key, fingerprint)
            except problems.RequestTimeout:  # another process makes this write at the moment
                raise problems.IdempotencyKeyInUse from None
            if known is None:
                made = await write(transaction)
                fields = orjson.dumps(made.fields).decode()
                await answers.keep(key, status=made.status_code, headers=fields, body=bytes(made.body))
                return made
        if known.fingerprint != fingerprint:
            raise problems.IdempotencyKeyReused
        return ApiResponse(known.status, known.body, **orjson.loads(known.headers), idempotency_replayed="true")


def _fingerprint(request: Request, document: Any) -> str:
    """What makes two requests the same: method, path, query, condition and contents."""
    scope = request.scope
    # If-Match stands without its name, as in the answers that releases kept which knew no other condition.
    conditions = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-match"]
    conditions += [
        f"if-none-match: {value.decode('latin-1')}" for name, value in scope["headers"] if name == b"if-none-match"
    ]
    body = document if isinstance(document, dict | list) else None
    parts = [scope["method"], scope["path"], scope["query_string"].decode("latin-1"), conditions, body]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
