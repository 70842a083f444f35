"""Errors that are no fault of the request's contents: the server cannot answer it right now, or not so often."""

from enum import Enum, auto
from typing import Literal

from backend.app.problems.base import Bound, Problem


class Retry(Enum):
    """Whether what failed may be tried again: nothing was done (ALWAYS), or nobody knows (IF_IDEMPOTENT)."""

    NEVER = auto()
    ALWAYS = auto()
    IF_IDEMPOTENT = auto()


class TooManyEventStreams(Problem):
    status, slug, title = 429, "too-many-event-streams", "Too many event streams"
    cause = "The user has as many open event streams as the server allows, or the server has no place for another one."
    remedy = "Close a stream that is not needed, or connect again after the seconds in `Retry-After`."
    detail = "Close a stream of yours, or try again in a moment."
    retry_after = 10
    bound = "streams"


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too many requests"
    cause = "The user, or the address without a valid token, has used up its requests for now."
    remedy = (
        "Wait for the seconds in `Retry-After`. Clients read `RateLimit` and slow down before the limit is reached."
    )
    detail = "Ask less often; `Retry-After` says when the next request is answered."

    def __init__(self, retry_after: int = 1, counted_by: Literal["user", "address"] = "user") -> None:
        """`retry_after` in seconds; `counted_by` says whose requests were counted."""
        self.retry_after = retry_after
        self.counted_by = counted_by
        super().__init__()


class IdempotencyLimitReached(Problem):
    """429: `Retry-After` says when the oldest key is forgotten (seconds)."""

    status, slug, title = 429, "idempotency-limit-reached", "Idempotency limit reached"
    cause = (
        "As many answers of yours are kept as MAX_IDEMPOTENCY_KEYS_PER_USER and MAX_IDEMPOTENCY_BYTES_PER_USER allow."
    )
    remedy = "Wait until the oldest answer is forgotten, or send the write without a key."
    detail = (
        "As many answers to your writes with an Idempotency-Key are kept as may be. Nothing was changed. Try again "
        "when `Retry-After` says, or send the write without a key."
    )

    bound = "idempotency"

    def __init__(self, retry_after: int = 1) -> None:
        """In seconds."""
        self.retry_after = retry_after
        super().__init__()


class TooManyRequestsOfUser(Problem):
    """429: the caller's own requests have all of the caller's share of something; nobody else is refused for it."""

    status, slug, title = 429, "too-many-requests-of-user", "Too many requests of one user at once"
    cause = (
        "Your requests have all of your share: places (MAX_REQUESTS_PER_USER), connections, room for bodies, or room "
        "for answers that you have not read."
    )
    remedy = "Read the answers to your other requests, then repeat this one."
    detail = "Wait for answers to your other requests before you send more."
    retry_after = 1

    def __init__(self, bound: Bound = "requests_of_user") -> None:
        """`bound` says which share it is."""
        self.bound = bound
        super().__init__()


class InternalError(Problem):
    status, slug, title = 500, "internal-error", "Internal error"
    cause = "The server has a bug, or met something that it does not expect."
    remedy = (
        "Report the request id: the server's log has the details under it. Repeat a write only after you have read "
        "whether it was made."
    )
    detail = "Report the request id; the log knows more."


class Unavailable(Problem):
    """503: the same request may succeed a little later, and Retry-After says when to try (seconds)."""

    status, slug, title = 503, "unavailable", "Service unavailable"
    cause = "The server cannot answer right now, for a reason that will pass."
    remedy = "Wait for the seconds in `Retry-After` and repeat the request."
    detail = "Try again in a moment."
    retry_after = 1


class DatabaseUnavailable(Unavailable):
    """503. `retry` says whether the program itself may try again at once."""

    slug, title = "database-unavailable", "Database unavailable"
    cause = "The database cannot be reached, is being migrated, or does not confine users as it must."
    remedy = (
        "Wait for the seconds in `Retry-After` and repeat the request, a write with an `Idempotency-Key`. An operator"
        " reads the log and `GET /health/ready`."
    )
    detail = "The database is away or still being set up. Try again in a moment."
    retry_after = 2
    retry: Retry = Retry.NEVER


class DatabaseOverloaded(Unavailable):
    slug, title = "database-overloaded", "Database overloaded"
    cause = "No database connection became free in time."
    remedy = (
        "Wait for the seconds in `Retry-After` and repeat the request. An operator who sees this often gives the pool"
        " more connections."
    )
    detail = "Every database connection is in use. Try again in a moment."
    bound = "connections"


class TooManyConcurrentRequests(Unavailable):
    slug, title = "too-many-concurrent-requests", "Too many concurrent requests"
    cause = "The server works on as many requests at once as it is allowed to."
    remedy = (
        "Wait for the seconds in `Retry-After` and repeat the request. An operator who sees this often adds a process."
    )
    detail = "The service answers as many requests at once as it may. Try again in a moment."

    def __init__(self, bound: Bound = "requests") -> None:
        """`bound` says what there are as many of as there may be."""
        self.bound = bound
        super().__init__()


class RequestTimeout(Unavailable):
    slug, title = "request-timeout", "Request timeout"
    cause = "The request took longer than the server allows, and was given up."
    remedy = (
        "Read whether the change was made before you repeat it, or repeat it with the same `Idempotency-Key`. Ask for"
        " smaller pages."
    )
    detail = (
        "The request was given up. A change that it asked for may or may not have been made: read before you repeat it."
    )
