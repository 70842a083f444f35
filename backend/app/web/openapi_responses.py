"""Responses and their headers as several routes describe them in the OpenAPI document."""

from backend.app import problems
from backend.app.problems import documented

_ETAG = {"ETag": {"description": "The task's revision, quoted.", "schema": {"type": "string"}}}
LIST_ETAG = {"ETag": {"description": "The list's revision, quoted.", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Where the new task is.", "schema": {"type": "string"}}}
LINK = {
    "Link": {
        "description": 'The next page, with `rel="next"`, where there is one (RFC 8288).',
        "schema": {"type": "string"},
    }
}

_COUNT = {
    "X-Total-Count": {
        "description": "How many tasks all pages hold, with `Prefer: count=exact`.",
        "schema": {"type": "integer"},
    },
    "Preference-Applied": {"description": "The preference that was heeded (RFC 7240).", "schema": {"type": "string"}},
}

INVALID = documented(problems.ValidationFailed)
CURSOR = documented(problems.InvalidCursor, problems.PreconditionFailed)
FOUND = documented(problems.TaskNotFound, problems.PreconditionFailed)
CONDITIONAL = documented(problems.TaskNotFound, problems.PreconditionFailed)
RESTORED = documented(
    problems.TaskNotFound, problems.PreconditionFailed, problems.ValidationFailed, problems.TaskLimitReached
)
BODY = documented(problems.MalformedJSON, problems.BodyTooLarge, problems.UnsupportedMediaType)
CAPPED = documented(problems.ValidationFailed, problems.TaskLimitReached)
