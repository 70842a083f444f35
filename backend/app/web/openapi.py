"""The OpenAPI 3.1 document: what FastAPI knows of the routes, and what the middleware around them adds to every one."""

from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from backend.app import problems
from backend.app.domain.limits import ID_MAX
from backend.app.web.body import MediaTypes
from backend.app.web.idempotency import UNSAFE_METHODS
from backend.app.web.openapi_responses import SHARED_HEADERS, add_headers

LICENSE: Final = {"name": "MIT", "identifier": "MIT"}
# Wherever the document itself is served; behind a prefix FastAPI puts the prefix before it.
SERVERS: Final = [{"url": "/", "description": "The server that this document comes from"}]
DESCRIPTION: Final = (
    "Every path of a user lies below `/api/{user_id}`, and only the user whose token it is gets anything there. "
    "Errors are problem documents (RFC 9457)."
)
TAGS: Final = [
    {"name": "tasks", "description": "The caller's tasks: one by one, in lists, in batches, and what has changed."},
    {"name": "lists", "description": "The caller's lists, which tasks are in."},
    {"name": "account", "description": "All of the caller's tasks at once: as a file, from a file, and erased."},
    {"name": "health", "description": "For whoever runs the service. Needs no token."},
]
# A reader ignores header parameters of these names: media types and security say the same (OpenAPI 3.1, 4.8.12.2).
IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})

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
METHODS = frozenset({"get", "put", "post", "patch", "delete"})
# Schemas of FastAPI's own errors.
NEVER_ANSWERED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, public_paths: frozenset[str]) -> dict[str, Any]:
    """The document, made on first use."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=DESCRIPTION,
        license_info=LICENSE,
        servers=SERVERS,
        tags=TAGS,
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    for unused in NEVER_ANSWERED:
        schemas.pop(unused, None)
    schemas["Problem"] = problems.SCHEMA
    document["components"]["securitySchemes"] = {"bearer": BEARER}
    document["components"]["headers"] = SHARED_HEADERS
    _add_media_types(document["paths"], app)
    for path, item in document["paths"].items():
        is_public = path in public_paths
        for method in METHODS & item.keys():
            _describe_operation(item[method], is_public=is_public, is_keyed=method.upper() in UNSAFE_METHODS)
        if not is_public:
            item["parameters"] = [USER_ID]
    described: dict[str, Any] = _with_integers(document)
    return described


def _describe_operation(operation: dict[str, Any], *, is_public: bool, is_keyed: bool) -> None:
    operation["security"] = [] if is_public else [{"bearer": []}]
    _drop_ignored_headers(operation)
    for parameter in operation["parameters"]:
        _drop_null_of_parameter(parameter)
    _drop_null(operation.get("requestBody", {}))
    responses = operation["responses"]
    _drop_fastapis(responses)
    for added in (ANYWHERE,) if is_public else (ANYWHERE, BEHIND_TOKEN):
        _add(responses, added)
    if is_keyed:
        operation["parameters"].append(IDEMPOTENCY_KEY)
        _add(responses, KEYED)
    add_headers(responses, is_public=is_public, is_keyed=is_keyed)


def _add_media_types(paths: dict[str, Any], app: FastAPI) -> None:
    """Each media type that a body may have. FastAPI knows of one."""
    for route in (route for route in app.routes if isinstance(route, APIRoute)):
        for method in route.methods or ():
            content = paths[route.path_format].get(method.lower(), {}).get("requestBody", {}).get("content", {})
            for media_type in _accepted(route):
                content.setdefault(media_type, next(iter(content.values())))


def _accepted(route: APIRoute) -> tuple[str, ...]:
    for annotation in get_type_hints(route.endpoint, include_extras=True).values():
        if get_origin(annotation) is Annotated:
            for mark in get_args(annotation):
                if isinstance(mark, MediaTypes):
                    return tuple(mark.accepted)
    return ()


def _drop_ignored_headers(operation: dict[str, Any]) -> None:
    operation["parameters"] = [
        parameter
        for parameter in operation.get("parameters", [])
        if parameter["in"] != "header" or parameter["name"].lower() not in IGNORED_HEADERS
    ]


def _add(responses: dict[str, Any], added: dict[int | str, dict[str, Any]]) -> None:
    for status, response in added.items():
        _merge(responses.setdefault(str(status), {"description": response["description"], "content": {}}), response)


def _drop_null(body: dict[str, Any]) -> None:
    """FastAPI documents a body that may be left out as one that may be null."""
    for content in body.get("content", {}).values():
        alternatives = content["schema"].get("anyOf", [])
        if {"type": "null"} in alternatives:
            content["schema"] = alternatives[0]


def _drop_null_of_parameter(parameter: dict[str, Any]) -> None:
    """A parameter is left out and never null; clients that could send null would send the word."""
    schema = parameter["schema"]
    alternatives = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(alternatives) == 1:
        del schema["anyOf"]
        parameter["schema"] = {**alternatives[0], **schema}
    elif alternatives:
        schema["anyOf"] = alternatives


def _with_integers(node: Any) -> Any:
    """A copy that says of each integer that it may have 64 bits: in some languages integers have 32 unless told so.

    FastAPI makes floating-point numbers of their bounds. Those are whole numbers in the copy.
    """
    if isinstance(node, list):
        return [_with_integers(element) for element in node]
    if not isinstance(node, dict):
        return node
    copy = {name: _with_integers(value) for name, value in node.items()}
    if copy.get("type") == "integer":
        bounds = {name: min(int(copy[name]), ID_MAX) for name in ("minimum", "maximum") if name in copy}
        copy |= {"format": "int64", **bounds}
    return copy


def _drop_fastapis(responses: dict[str, Any]) -> None:
    """Of what FastAPI documents: its own 422 where a handler has parameters, and the type of a stream."""
    described = responses.get("422", {}).get("content", {})
    described.pop("application/json", None)
    for content in responses.get("200", {}).get("content", {}).values():
        # And it gives a text's type to a stream whose kinds are told.
        if "anyOf" in content.get("schema", {}):
            content["schema"].pop("type", None)


def _merge(into: dict[str, Any], response: dict[str, Any]) -> None:
    for media_type, content in response["content"].items():
        known = into.setdefault("content", {}).setdefault(media_type, {"schema": content["schema"], "examples": {}})
        known["examples"] = {**known["examples"], **content["examples"]}
