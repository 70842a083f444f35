"""Responses and their headers as several routes describe them in the OpenAPI document."""

from typing import Any, Final

from backend.app import problems
from backend.app.problems import documented

ETAG = {"ETag": {"description": "Its revision, quoted.", "schema": {"type": "string"}}}
LIST_ETAG = {"ETag": {"description": "The list's revision, quoted.", "schema": {"type": "string"}}}
LOCATION = {"Location": {"description": "Where the new one is.", "schema": {"type": "string"}}}
LINK = {
    "Link": {
        "description": 'The next page, with `rel="next"`, where there is one (RFC 8288).',
        "schema": {"type": "string"},
    }
}


def count_of(what: str) -> dict[str, Any]:
    """The headers of a list of these that can be counted."""
    return {
        "X-Total-Count": {
            "description": f"How many {what} all pages hold, with `Prefer: count=exact`.",
            "schema": {"type": "integer"},
        },
        "Preference-Applied": {
            "description": "The preference that was heeded (RFC 7240).",
            "schema": {"type": "string"},
        },
    }


TASK_COUNT = count_of("tasks")

INVALID = documented(problems.ValidationFailed)
CURSOR = documented(problems.InvalidCursor, problems.PreconditionFailed)
CONDITIONAL = documented(problems.TaskNotFound, problems.PreconditionFailed)
APPLIED = documented(problems.ValidationFailed, problems.CountDiffers)
RESTORED = documented(
    problems.TaskNotFound, problems.PreconditionFailed, problems.ValidationFailed, problems.TaskLimitReached
)
LIST_FOUND = documented(problems.ListNotFound, problems.PreconditionFailed, problems.ValidationFailed)
COMPLETION_FOUND = documented(problems.CompletionNotFound, problems.PreconditionFailed, problems.ValidationFailed)
LIST_RESTORED = documented(
    problems.ListNotFound,
    problems.PreconditionFailed,
    problems.ValidationFailed,
    problems.ListLimitReached,
    problems.TaskLimitReached,
)
BODY = documented(problems.MalformedJSON, problems.BodyTooLarge, problems.UnsupportedMediaType)
CAPPED = documented(problems.ValidationFailed, problems.TaskLimitReached)

# Headers that the middleware sends, whatever the route.
SHARED_HEADERS: Final[dict[str, Any]] = {
    "X-Request-ID": {
        "description": "Names the request in the server's log; the one that was sent, where it was well-formed.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "How many more requests are allowed, and for how many seconds (a draft of the IETF).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "How many requests are allowed in how many seconds (a draft of the IETF).",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "`true` where this is the stored answer of the first write with the same `Idempotency-Key`.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "In how many seconds the same request may succeed (RFC 9110, section 10.2.3).",
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {
        "description": "What kind of token is asked for, and what is wrong with the one that was sent (RFC 6750).",
        "schema": {"type": "string"},
    },
}
# By status: what HTTP asks for beside a problem.
_OF_PROBLEMS: Final = {
    "401": ("WWW-Authenticate",),
    "409": ("Retry-After",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
_FIRST_ERROR: Final = 400


def add_headers(responses: dict[str, Any], *, is_public: bool, is_keyed: bool) -> None:
    """Name the middleware's headers in each response of an operation."""
    for status, response in responses.items():
        names = ["X-Request-ID", *_OF_PROBLEMS.get(status, ())]
        if not is_public and (int(status) < _FIRST_ERROR or status == "429"):
            names += ["RateLimit", "RateLimit-Policy"]
        if is_keyed and int(status) < _FIRST_ERROR:
            names.append("Idempotency-Replayed")
        headers = response.setdefault("headers", {})
        headers |= {name: {"$ref": f"#/components/headers/{name}"} for name in names}
