"""Room for large answers: how many bytes of them a process keeps until they are read, and whose they are.

What a client does not read waits in the process until SEND_TIMEOUT: without a bound, a user who asks again and again
and reads nothing takes all of its memory.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from backend.app import problems

# An answer up to this size is not counted (bytes).
SMALL_ANSWER_BYTES: Final = 64 * 1024
# The part of the room that is one user's at most.
SHARE: Final = 4


class AnswerRoom:
    """The large answers of this process that are being sent."""

    def __init__(self, *, max_bytes: int) -> None:
        """`max_bytes` of all answers together. One that is larger is sent alone."""
        self._max_bytes = max_bytes
        self._bytes: Counter[str] = Counter()

    @property
    def held_bytes(self) -> int:
        """Bytes of answers that are not read yet."""
        return self._bytes.total()

    def check(self, user_id: str) -> None:
        """Raises TooManyRequestsOfUser where what the user has not read takes their share: nothing more is done."""
        if self._bytes and self._bytes[user_id] >= self._max_bytes // SHARE:
            raise problems.TooManyRequestsOfUser("answers_of_user")

    @contextmanager
    def entered(self, user_id: str, size: int, *, refusable: bool) -> Iterator[None]:
        """Count an answer of `size` bytes while it is sent.

        Raises TooManyRequestsOfUser or TooManyConcurrentRequests where there is no room for it and it is `refusable`: a
        write was made, and must be answered.
        """
        if refusable:
            self._require_room(user_id, size)
        self._bytes[user_id] += size
        try:
            yield
        finally:
            self._bytes[user_id] -= size
            if not self._bytes[user_id]:
                del self._bytes[user_id]

    def _require_room(self, user_id: str, size: int) -> None:
        own = self._bytes.get(user_id, 0)
        if own and own + size > self._max_bytes // SHARE:
            raise problems.TooManyRequestsOfUser("answers_of_user")
        if self._bytes and self.held_bytes + size > self._max_bytes:
            raise problems.TooManyConcurrentRequests("answers")
