"""Errors about how a request is written (RFC 9110)."""

from collections.abc import Iterable
from typing import Any

from backend.app.problems.base import Problem, RawHeaders


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


class NoSuchRoute(Problem):
    status, slug, title = 404, "no-such-route", "There is nothing at this path"
    detail = "Tasks are under `/api/{user_id}/tasks`."


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


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "The request's headers are too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"All headers together may have {limit} bytes.")
