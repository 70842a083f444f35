"""Errors about how a request is written (RFC 9110)."""

from collections.abc import Iterable, Mapping
from typing import Any

from backend.app.problems.base import Problem, RawHeaders


class MalformedRequest(Problem):
    status, slug, title = 400, "malformed-request", "Malformed request"
    detail = "The request could not be read."


class MalformedJSON(Problem):
    status, slug, title = 400, "malformed-json", "Malformed JSON"
    detail = "Send one JSON document in UTF-8."


class InvalidCursor(Problem):
    status, slug, title = 400, "invalid-cursor", "Invalid cursor"
    detail = (
        "Take `cursor` from the Link header of the page before, with the same filters, or leave it out to start again."
    )


class RouteNotFound(Problem):
    status, slug, title = 404, "route-not-found", "Route not found"
    detail = "Tasks are under `/api/{user_id}/tasks`."


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "Method not allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"Use one of: {self.allow}.")

    def headers(self) -> RawHeaders:
        return [(b"allow", self.allow.encode())]


class NotAcceptable(Problem):
    status, slug, title = 406, "not-acceptable", "Not acceptable"

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__(f"`Accept` must allow one of: {', '.join(offered)}.")


class IdempotencyKeyInUse(Problem):
    """409: RFC 9110, section 15.5.10; the IETF's draft on Idempotency-Key asks for it."""

    status, slug, title = 409, "idempotency-key-in-use", "Idempotency key in use"
    detail = "Another write of yours with an Idempotency-Key has not ended yet. Repeat this one in a moment."

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"1")]


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "Precondition failed"
    detail = (
        "`If-Match` does not name the task's current ETag. Get the task again and repeat the change on what it is now."
    )


class BodyTooLarge(Problem):
    status, slug, title = 413, "body-too-large", "Body too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have {limit} bytes.")


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(f"Send the body as {' or '.join(accepted)}, in UTF-8 and without Content-Encoding.")


class ValidationFailed(Problem):
    """422; `errors` holds a pointer into the request and a sentence for each fault, and never what was sent."""

    status, slug, title = 422, "validation-failed", "Validation failed"
    detail = "See `errors` for what to change."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__()

    def members(self) -> dict[str, Any]:
        return {"errors": self.errors}


class IdempotencyKeyReused(Problem):
    status, slug, title = 422, "idempotency-key-reused", "Idempotency key reused"
    detail = "This Idempotency-Key was sent with another request. Make a new key for every write."


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "Request headers too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"All headers together may have {limit} bytes.")


class HTTPError(Problem):
    """A FastAPI HTTPException that a handler or a guard raised, with the same status, sentence and headers."""

    slug, title = "http-error", "The request was refused"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc] # a class variable of every other problem
        self._headers = dict(headers or {})

    def headers(self) -> RawHeaders:
        """The headers of the HTTPException, such as WWW-Authenticate."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self._headers.items()]
