"""The OpenAPI 3.1 document: what FastAPI knows of the routes, and what the middleware around them adds to every one."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend.app import problems
from backend.app.web.idempotency import UNSAFE_METHODS

# What a request can meet on its way to any route, and on its way to a route that is not public.
ANYWHERE = problems.documented(
    problems.MalformedRequest,
    problems.HeadersTooLarge,
    problems.ValidationFailed,
    problems.InternalError,
    problems.RequestTimeout,
    problems.TooManyConcurrentRequests,
)
BEHIND_TOKEN = problems.documented(
    problems.AuthenticationRequired,
    problems.InvalidToken,
    problems.UserMismatch,
    problems.CrossSiteRequest,
    problems.TooManyRequests,
    problems.TooManyRequestsOfUser,
    problems.SigningKeysUnavailable,
    problems.DatabaseUnavailable,
    problems.DatabaseOverloaded,
    problems.RequestTimeout,
)
KEYED = problems.documented(
    problems.MalformedRequest,
    problems.IdempotencyKeyInUse,
    problems.IdempotencyKeyReused,
    problems.IdempotencyLimitReached,
)
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the write safe to repeat: with the same key it is made once and answered as the first time, "
    "with `Idempotency-Replayed: true`. Bare or in double quotes.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 257,
        "pattern": r'^("[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$',
    },
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
USER_ID = {
    "name": "user_id",
    "in": "path",
    "required": True,
    "description": "Your user id: `sub` of the token. Anyone else's is answered with 403.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "u1",
}
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token from Better Auth: the JWT that authClient.token() returns.",
}
METHODS = ("get", "put", "post", "patch", "delete")


def describe(app: FastAPI, public_paths: frozenset[str]) -> dict[str, Any]:
    """The document, made on first use."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    for unused in (
        "HTTPValidationError",
        "ValidationError",
    ):  # FastAPI's own errors, which are never answered
        schemas.pop(unused, None)
    schemas["Problem"] = problems.SCHEMA
    document["components"]["securitySchemes"] = {"bearer": BEARER}
    for path, item in document["paths"].items():
        public = path in public_paths
        for method in METHODS:
            if method in item:
                _describe_operation(item[method], public)
                if method.upper() in UNSAFE_METHODS:
                    item[method].setdefault("parameters", []).append(IDEMPOTENCY_KEY)
                    _add(item[method]["responses"], KEYED)
        if not public:
            item["parameters"] = [USER_ID]
    return document


def _describe_operation(operation: dict[str, Any], public: bool) -> None:
    operation["security"] = [] if public else [{"bearer": []}]
    _drop_null(operation.get("requestBody", {}))
    responses = operation["responses"]
    _drop_fastapis(responses)
    for added in (ANYWHERE,) if public else (ANYWHERE, BEHIND_TOKEN):
        _add(responses, added)


def _add(responses: dict[str, Any], added: dict[int | str, dict[str, Any]]) -> None:
    for status, response in added.items():
        _merge(responses.setdefault(str(status), {"description": response["description"], "content": {}}), response)


def _drop_null(body: dict[str, Any]) -> None:
    """FastAPI documents a body that may be left out as one that may be null."""
    for content in body.get("content", {}).values():
        alternatives = content["schema"].get("anyOf", [])
        if {"type": "null"} in alternatives:
            content["schema"] = alternatives[0]


def _drop_fastapis(responses: dict[str, Any]) -> None:
    """FastAPI documents its own 422 where a handler has parameters."""
    described = responses.get("422", {}).get("content", {})
    described.pop("application/json", None)


def _merge(into: dict[str, Any], response: dict[str, Any]) -> None:
    for media_type, content in response["content"].items():
        known = into.setdefault("content", {}).setdefault(media_type, {"schema": content["schema"], "examples": {}})
        known["examples"] = {**known["examples"], **content["examples"]}
