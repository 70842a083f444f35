"""How problems stand in the OpenAPI document."""

from typing import Any

from backend.app.problems.base import MEDIA_TYPE, Problem


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
