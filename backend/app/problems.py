"""Every error this API can answer, one class each (RFC 9457); how it looks on the wire is known here alone.

Any layer raises a problem; `middleware/observe.py` answers it.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import orjson

MEDIA_TYPE = "application/problem+json"
REALM = "tasks"
CHALLENGE = (b"www-authenticate", f'Bearer realm="{REALM}"'.encode())

# As ASGI has them: lower-case names, and values.
RawHeaders = list[tuple[bytes, bytes]]

# Why there is no good token, for who counts them; few, and fixed.
TokenFault = Literal[
    "missing",
    "malformed",
    "kind",
    "algorithm",
    "key",
    "signature",
    "issuer",
    "audience",
    "expired",
    "times",
    "user",
    "session",
]


class Problem(Exception):
    """An answer with status 4xx or 5xx.

    `slug` makes the stable `type` (`urn:tasks:problem:<slug>`), `detail` is a sentence that a person can act on.
    Neither ever holds anything of the request, so that nothing leaks to whoever reads an error.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    detail: str

    def __init__(self, detail: str | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)

    def headers(self) -> RawHeaders:
        """Headers that HTTP asks for beside the body, such as Allow or Retry-After."""
        return []

    def members(self) -> dict[str, Any]:
        """Members of the body beyond the five standard ones (RFC 9457, section 3.2)."""
        return {}

    def body(self, request_id: str) -> bytes:
        """The problem as JSON; the request id, which also names the `instance`, finds the log line."""
        document = {
            "type": f"urn:tasks:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:tasks:request:{request_id}",
            "request_id": request_id,
            **self.members(),
        }
        return orjson.dumps(document)


class MalformedRequest(Problem):
    status, slug, title = 400, "malformed-request", "The request is malformed"
    detail = "The request could not be read."


class MalformedJSON(Problem):
    status, slug, title = 400, "malformed-json", "The body is not JSON"
    detail = "Send one JSON document in UTF-8."


class UnknownCursor(Problem):
    status, slug, title = 400, "unknown-cursor", "The cursor is not one of ours"
    detail = (
        "Take `cursor` from the Link header of the page before, with the same filters, or leave it out to start again."
    )


class Unauthenticated(Problem):
    """401 for a request without a token: RFC 6750, section 3.1 asks for a challenge without an error code."""

    status, slug, title = 401, "unauthenticated", "Who is calling?"
    detail = "Send `Authorization: Bearer <token>` with a token from Better Auth."
    fault: TokenFault = "missing"

    def headers(self) -> RawHeaders:
        return [CHALLENGE]


class InvalidToken(Unauthenticated):
    """401 for a token that was sent and is not good; `detail` must be quotable in a header (RFC 6750, section 3)."""

    slug, title = "invalid-token", "The token is not valid"
    detail = "The token is not valid."

    def __init__(self, detail: str | None = None, fault: TokenFault = "malformed") -> None:
        self.fault = fault
        super().__init__(detail)

    def headers(self) -> RawHeaders:
        challenge = f'Bearer realm="{REALM}", error="invalid_token", error_description="{self.detail}"'
        return [(b"www-authenticate", challenge.encode())]


class NotYours(Problem):
    status, slug, title = 403, "not-yours", "This path belongs to another user"
    detail = "The user id in the path must be the one in the token."


class ForeignPage(Problem):
    status, slug, title = 403, "foreign-page", "This page may not write for its visitor"
    detail = (
        "A write with the session cookie must come from a page of an allowed origin (CORS_ORIGINS). "
        "Other programs send a bearer token."
    )


class NoSuchRoute(Problem):
    status, slug, title = 404, "no-such-route", "There is nothing at this path"
    detail = "Tasks are under `/api/{user_id}/tasks`."


class TaskNotFound(Problem):
    status, slug, title = 404, "task-not-found", "No such task"
    detail = "You have no task with this id."


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "This path does not know this method"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"Use one of: {self.allow}.")

    def headers(self) -> RawHeaders:
        return [(b"allow", self.allow.encode())]


class NotAcceptable(Problem):
    status, slug, title = 406, "not-acceptable", "There is no such format"

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__(f"`Accept` must allow one of: {', '.join(offered)}.")


class KeyInUse(Problem):
    """409: RFC 9110, section 15.5.10; the IETF's draft on Idempotency-Key asks for it."""

    status, slug, title = 409, "key-in-use", "A write with a key is under way"
    detail = "Another write of yours with an Idempotency-Key has not ended yet. Repeat this one in a moment."

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"1")]


class StartAgain(Problem):
    """410: what was deleted since then is not all known any more (RFC 9110, section 15.5.11)."""

    status, slug, title = 410, "start-again", "Changes since then are not known"
    detail = "This revision is too old, or not one of yours. Forget your copy and start again from 0."


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "The task has changed"
    detail = (
        "`If-Match` does not name the task's current ETag. Get the task again and repeat the change on what it is now."
    )


class BodyTooLarge(Problem):
    status, slug, title = 413, "body-too-large", "The body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have {limit} bytes.")


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "The body's media type is not supported"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)}, in UTF-8 and without Content-Encoding.")


class Invalid(Problem):
    """422; `errors` holds a pointer into the request and a sentence for each fault, and never what was sent."""

    status, slug, title = 422, "invalid", "The request is not valid"
    detail = "See `errors` for what to change."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__()

    def members(self) -> dict[str, Any]:
        return {"errors": self.errors}


class KeyReused(Problem):
    status, slug, title = 422, "key-reused", "This key belongs to another request"
    detail = "This Idempotency-Key was sent with another request. Make a new key for every write."


class OperationFailed(Problem):
    """What an operation of a batch was refused with, and which one it was; nothing of the batch was made."""

    def __init__(self, operation: int, problem: Problem) -> None:
        self.operation = operation
        self.problem = problem
        # So that it is answered as the operation's own request would have been.
        self.status, self.slug = problem.status, problem.slug  # type: ignore[misc] # the instance's, not the class's
        self.title = problem.title  # type: ignore[misc] # as above
        super().__init__(f"{problem.detail} Nothing of the batch was made.")

    def members(self) -> dict[str, Any]:
        return {**self.problem.members(), "operation": self.operation}


class TooManyTasks(Problem):
    status, slug, title = 422, "too-many-tasks", "You have as many tasks as one user may have"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A user may have {limit} tasks. Delete some first.")


class TooManyStreams(Problem):
    status, slug, title = 429, "too-many-streams", "Too many streams are open"
    detail = "Close a stream of yours, or try again in a moment."

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"10")]


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too many requests"
    detail = "Ask less often; `Retry-After` says when the next request is answered."

    def __init__(self, retry_after: int = 1) -> None:
        """In seconds."""
        self.retry_after = retry_after
        super().__init__()

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"%d" % self.retry_after)]


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "The request's headers are too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"All headers together may have {limit} bytes.")


class InternalError(Problem):
    status, slug, title = 500, "internal-error", "Something went wrong on our side"
    detail = "Report the request id; the log knows more."


class Unavailable(Problem):
    """503: the same request may succeed a little later, and Retry-After says when to try (seconds)."""

    status, slug, title = 503, "unavailable", "The service cannot answer right now"
    detail = "Try again in a moment."
    retry_after: ClassVar[int] = 1

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"%d" % self.retry_after)]


class DatabaseUnavailable(Unavailable):
    """503. `trying_again` says whether the program itself may do so at once."""

    slug, title = "database-unavailable", "The database cannot be used right now"
    detail = "The database is away or still being set up. Try again in a moment."
    retry_after = 2
    trying_again: Literal["useless", "safe", "safe for what changes nothing twice"] = "useless"


class Overloaded(Unavailable):
    slug, title = "overloaded", "Too many requests are waiting for the database"
    detail = "Every database connection is in use. Try again in a moment."


class Busy(Unavailable):
    slug, title = "busy", "Too many requests are under way"
    detail = "The service answers as many requests at once as it may. Try again in a moment."


class KeysUnavailable(Unavailable):
    slug, title = "keys-unavailable", "The token cannot be verified right now"
    detail = (
        "The token's key is not known yet, and Better Auth, which publishes the keys, cannot be reached. Try again."
    )
    retry_after = 5


class TooSlow(Unavailable):
    slug, title = "too-slow", "The request took too long"
    detail = (
        "The request was given up. A change that it asked for may or may not have been made: read before you repeat it."
    )


def documented(*classes: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of an operation that can answer these problems."""
    responses: dict[int | str, dict[str, Any]] = {}
    for problem in classes:
        entry = responses.setdefault(
            problem.status,
            {
                "description": problem.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        example = {
            "type": f"urn:tasks:problem:{problem.slug}",
            "title": problem.title,
            "status": problem.status,
            "detail": getattr(problem, "detail", problem.title),
            "instance": "urn:tasks:request:4bf92f3577b34da6",
            "request_id": "4bf92f3577b34da6",
        }
        entry["content"][MEDIA_TYPE]["examples"][problem.slug] = {"value": example}
    return responses


SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An error as RFC 9457 describes it.",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "Stable name of the problem; compare this, not the title."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence that a person can act on."},
        "instance": {"type": "string", "description": "Names this occurrence; holds the request id."},
        "request_id": {
            "type": "string",
            "description": "Also in the X-Request-ID header and in the server's log.",
        },
        "operation": {
            "type": "integer",
            "description": "Of a batch: which operation was refused, counted from 0.",
        },
        "errors": {
            "type": "array",
            "description": "With status 422: every fault of the request.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "`#/title` for a member of the body (RFC 6901), `?limit` for a query parameter, "
                        "`{task_id}` for a part of the path.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
