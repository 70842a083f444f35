"""Errors that are no fault of the request's contents: the server cannot answer it right now, or not so often."""

from typing import Literal

from backend.app.problems.base import Problem


class TooManyEventStreams(Problem):
    status, slug, title = 429, "too-many-event-streams", "Too many event streams"
    detail = "Close a stream of yours, or try again in a moment."
    retry_after = 10


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too many requests"
    detail = "Ask less often; `Retry-After` says when the next request is answered."

    def __init__(self, retry_after: int = 1, counted_by: Literal["user", "address"] = "user") -> None:
        """`retry_after` in seconds; `counted_by` says whose requests were counted."""
        self.retry_after = retry_after
        self.counted_by = counted_by
        super().__init__()


class IdempotencyLimitReached(Problem):
    """429: `Retry-After` says when the oldest key is forgotten (seconds)."""

    status, slug, title = 429, "idempotency-limit-reached", "Idempotency limit reached"
    detail = (
        "As many answers to your writes with an Idempotency-Key are kept as may be. Nothing was changed. Try again "
        "when `Retry-After` says, or send the write without a key."
    )

    def __init__(self, retry_after: int = 1) -> None:
        """In seconds."""
        self.retry_after = retry_after
        super().__init__()


class TooManyRequestsOfUser(Problem):
    """429: the caller's own requests have all of the caller's share of something; nobody else is refused for it."""

    status, slug, title = 429, "too-many-requests-of-user", "Too many requests of one user at once"
    detail = "Wait for answers to your other requests before you send more."
    retry_after = 1


class InternalError(Problem):
    status, slug, title = 500, "internal-error", "Internal error"
    detail = "Report the request id; the log knows more."


class Unavailable(Problem):
    """503: the same request may succeed a little later, and Retry-After says when to try (seconds)."""

    status, slug, title = 503, "unavailable", "Service unavailable"
    detail = "Try again in a moment."
    retry_after = 1


class DatabaseUnavailable(Unavailable):
    """503. `trying_again` says whether the program itself may do so at once."""

    slug, title = "database-unavailable", "Database unavailable"
    detail = "The database is away or still being set up. Try again in a moment."
    retry_after = 2
    trying_again: Literal["useless", "safe", "safe for what changes nothing twice"] = "useless"


class DatabaseOverloaded(Unavailable):
    slug, title = "database-overloaded", "Database overloaded"
    detail = "Every database connection is in use. Try again in a moment."


class TooManyConcurrentRequests(Unavailable):
    slug, title = "too-many-concurrent-requests", "Too many concurrent requests"
    detail = "The service answers as many requests at once as it may. Try again in a moment."


class RequestTimeout(Unavailable):
    slug, title = "request-timeout", "Request timeout"
    detail = (
        "The request was given up. A change that it asked for may or may not have been made: read before you repeat it."
    )
