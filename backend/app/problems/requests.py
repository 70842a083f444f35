"""Errors about how a request is written (RFC 9110)."""

from collections.abc import Iterable, Mapping
from typing import Any

from backend.app.problems.base import Problem, RawHeaders


class MalformedRequest(Problem):
    status, slug, title = 400, "malformed-request", "Malformed request"
    cause = (
        "The request breaks HTTP's rules, for example with two contradicting lengths or a header that is not well-"
        "formed."
    )
    remedy = "Correct the request; repeating it as it is does not help. `detail` says which part could not be read."
    detail = "The request could not be read."


class MalformedJSON(Problem):
    status, slug, title = 400, "malformed-json", "Malformed JSON"
    cause = "The body is not JSON, or not encoded in UTF-8."
    remedy = "Send one JSON document, as `JSON.stringify` writes it."
    detail = "Send one JSON document in UTF-8."


class InvalidCursor(Problem):
    status, slug, title = 400, "invalid-cursor", "Invalid cursor"
    cause = "The cursor was not made by this server, or it was made for other filters or another order."
    remedy = "Follow the `Link` header as it is, or leave `cursor` out to begin with the first page."
    detail = (
        "Take `cursor` from the Link header of the page before, with the same filters, or leave it out to start again."
    )


class RouteNotFound(Problem):
    status, slug, title = 404, "route-not-found", "Route not found"
    cause = "No route has this path."
    remedy = "Compare the path with the list of routes in [api.md](api.md#routes). Paths have no slash at the end."
    detail = "Tasks are under `/api/{user_id}/tasks`."


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "Method not allowed"
    cause = "The path exists, but not with this method."
    remedy = "Use one of the methods in the `Allow` header."

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"Use one of: {self.allow}.")

    def headers(self) -> RawHeaders:
        return [(b"allow", self.allow.encode())]


class NotAcceptable(Problem):
    status, slug, title = 406, "not-acceptable", "Not acceptable"
    cause = "The `Accept` header allows none of the media types that the route can answer with."
    remedy = "Send one of the media types that `detail` names, or leave `Accept` out."

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__(f"`Accept` must allow one of: {', '.join(offered)}.")


class IdempotencyKeyInUse(Problem):
    """409: RFC 9110, section 15.5.10; the IETF's draft on Idempotency-Key asks for it."""

    status, slug, title = 409, "idempotency-key-in-use", "Idempotency key in use"
    cause = "A write with an `Idempotency-Key` of the same user is still running."
    remedy = "Repeat the request after the seconds in `Retry-After`, with the same key."
    detail = "Another write of yours with an Idempotency-Key has not ended yet. Repeat this one in a moment."
    retry_after = 1


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "Precondition failed"
    cause = (
        "The current revision is not one that `If-Match` names, because somebody has changed it in between; "
        "or it is one that `If-None-Match` on a write names."
    )
    remedy = "Read it again, apply the change to what it is now, and send the new ETag."
    detail = (
        "`If-Match` does not name the current ETag. Get the task or list again and repeat the change on what it is now."
    )


class BodyTooLarge(Problem):
    status, slug, title = 413, "body-too-large", "Body too large"
    cause = "The body has more bytes than the route accepts."
    remedy = (
        "Send less at once, for example an import in several files. `detail` has the limit, which an operator can "
        "raise."
    )

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have {limit} bytes.")


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"
    cause = "The `Content-Type` is not one that the route reads, or the body is compressed or not in UTF-8."
    remedy = "Send the media type that `detail` names, in UTF-8 and without `Content-Encoding`."

    def __init__(self, accepted: Iterable[str], *, of_patch: bool = False, of_coding: bool = False) -> None:
        """`of_patch`: of PATCH (RFC 5789, section 2.2); `of_coding`: because of Content-Encoding."""
        self.accepted = tuple(accepted)
        self._fields = ["accept", *(["accept-patch"] if of_patch else [])]
        self._of_coding = of_coding
        super().__init__(f"Send the body as {' or '.join(self.accepted)}, in UTF-8 and without Content-Encoding.")

    def headers(self) -> RawHeaders:
        """What would be taken (RFC 9110, sections 12.5.1, 12.5.3 and 15.5.16)."""
        if self._of_coding:
            return [(b"accept-encoding", b"identity")]
        return [(name.encode(), ", ".join(self.accepted).encode()) for name in self._fields]


class ValidationFailed(Problem):
    """422; `errors` holds a pointer into the request and a sentence for each fault, and never what was sent."""

    status, slug, title = 422, "validation-failed", "Validation failed"
    cause = (
        "The request is well-formed, but a member of the body, a query parameter or a part of the path has a value "
        "that is not allowed, or is not known."
    )
    remedy = "Correct each fault in `errors`: `pointer` names the place, and `detail` says what is allowed there."
    detail = "See `errors` for what to change."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__()

    def members(self) -> dict[str, Any]:
        return {"errors": self.errors}


class IdempotencyKeyReused(Problem):
    status, slug, title = 422, "idempotency-key-reused", "Idempotency key reused"
    cause = "The `Idempotency-Key` was already used for a write with another method, path or body."
    remedy = "Make a new key for each write, and send the old key only with the same write."
    detail = "This Idempotency-Key was sent with another request. Make a new key for every write."


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "Request headers too large"
    cause = "All request headers together have more bytes than the server accepts."
    remedy = "Send fewer or shorter headers; large cookies are the usual reason."

    def __init__(self, limit: int) -> None:
        super().__init__(f"All headers together may have {limit} bytes.")


class MethodNotImplemented(Problem):
    status, slug, title = 501, "method-not-implemented", "Method not implemented"
    cause = "The method is none that HTTP's registry of methods has. Methods are written in capital letters."
    remedy = "Send `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`."
    detail = "No such method is known here. Methods are written in capital letters, such as `GET`."


class HTTPError(Problem):
    """A FastAPI HTTPException that a handler or a guard raised, with the same status, sentence and headers."""

    status, slug, title = 400, "http-error", "The request was refused"
    cause = (
        "A handler or a guard has raised an HTTPException. Its status is the answer's, so it may be another than 400."
    )
    remedy = "Read `detail`, which is the sentence that was raised."

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc] # a class variable of every other problem
        self._headers = dict(headers or {})

    def headers(self) -> RawHeaders:
        """The headers of the HTTPException, such as WWW-Authenticate."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self._headers.items()]
