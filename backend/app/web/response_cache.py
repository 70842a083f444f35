"""What was answered before, sent again where it still holds (RFC 9111, section 4.3, on the server's side).

Answers are remembered under the principal's id, and never sent unasked: each time the database, confined to that user,
must name the revision that the answer has as its ETag. So a write of any process is seen at once, and a wall that
holds a user off holds them off what is remembered too.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request

from backend.app.web.conditional import etag, if_none_match_matches, require_match
from backend.app.web.responses import ApiResponse
from backend.app.web.services import services_of

# The answers of one user take no more than the memory divided by this.
USER_SHARE: Final = 16
# What an answer takes beside its body and its key, about (bytes).
OVERHEAD_BYTES: Final = 1024
# A request whose path, query and Prefer are longer together is not remembered (bytes).
KEY_MAX_BYTES: Final = 1024

# What makes two requests of a user the same.
Key = tuple[str | bytes, ...]


@dataclass(slots=True)
class _Remembered:
    """One user's answers, and when the first of them was given."""

    since: float
    replies: dict[Key, ApiResponse] = field(default_factory=dict)
    size: int = 0


class ResponseCache:
    """What this process remembers; whoever asked longest ago is forgotten first."""

    def __init__(self, *, max_bytes: int, max_age: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`max_bytes` of all answers together, 0 to remember none; `max_age` in seconds."""
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._users: OrderedDict[str, _Remembered] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are taken, about."""
        return self._size

    def find(self, user_id: str, key: Key) -> ApiResponse | None:
        """What the same request was answered with, which is good only while its ETag is."""
        remembered = self._users.get(user_id)
        if remembered is None:
            return None
        if self._clock() - remembered.since > self._max_age:
            self.forget(user_id)
            return None
        self._users.move_to_end(user_id)
        return remembered.replies.get(key)

    def keep(self, user_id: str, key: Key, reply: ApiResponse) -> None:
        """Remember an answer in place of the one before."""
        size, share = _size(key, reply), self._max_bytes // USER_SHARE
        if size > share or _key_size(key) > KEY_MAX_BYTES:
            return
        remembered = self._users.get(user_id)
        if remembered is None or remembered.size + size > share:
            self.forget(user_id)
            remembered = self._users[user_id] = _Remembered(self._clock())
        before = remembered.replies.get(key)
        added = size - (0 if before is None else _size(key, before))
        remembered.replies[key] = reply
        remembered.size += added
        self._size += added
        while self._size > self._max_bytes:
            self.forget(next(iter(self._users)))

    def forget(self, user_id: str) -> None:
        """Drop what is remembered of a user, who writes: it is about to be of no use."""
        remembered = self._users.pop(user_id, None)
        if remembered is not None:
            self._size -= remembered.size


def _size(key: Key, reply: ApiResponse) -> int:
    return len(reply.body) + _key_size(key) + OVERHEAD_BYTES


def _key_size(key: Key) -> int:
    return sum(len(part) for part in key)


class CachedResponses:
    """The answers to this request of whoever the token names."""

    def __init__(self, request: Request) -> None:
        scope = request.scope
        self._answers: ResponseCache = services_of(scope).response_cache
        self._user_id: str = scope["state"]["principal"].user_id
        prefer = [value for name, value in scope["headers"] if name == b"prefer"]
        self._key: Key = (scope.get("root_path", ""), scope["path"], scope["query_string"], *prefer)

    async def answer(
        self,
        if_match: str | None,
        if_none_match: str | None,
        revision: Callable[[], Awaitable[int]],
        make: Callable[[], Awaitable[ApiResponse]],
        *,
        vary: str | None = None,
    ) -> ApiResponse:
        """304 where the client has it already, the answer from before where that still holds, or else what is made.

        `make` answers with the revision as ETag, and with this `vary`, which a 304 has, too (RFC 9110, section 15.4.5).
        Raises PreconditionFailed where If-Match names another.
        """
        known = self._answers.find(self._user_id, self._key)
        if known is not None or if_none_match is not None or if_match is not None:
            tag = etag(await revision())
            require_match(if_match, tag)
            if if_none_match_matches(if_none_match, tag):
                return ApiResponse(304, etag=tag) if vary is None else ApiResponse(304, etag=tag, vary=vary)
            if known is not None and known.fields["etag"] == tag:
                return known
        made = await make()
        self._answers.keep(self._user_id, self._key, made)
        return made
