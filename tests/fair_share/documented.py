"""The heaviest request that the OpenAPI document allows for each operation, made from the document alone."""

import json
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

METHODS: Final = frozenset({"get", "put", "post", "patch", "delete"})
# Where the document sets no bound.
STRING_LENGTH: Final = 200
# The longest list, by how deep it stands: what is sent must be made and encoded here first.
LIST_LENGTHS: Final = (1_000, 1_000, 20, 20, 1)


class Request(NamedTuple):
    """One request of an attacker."""

    method: str
    path: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


def heaviest_requests(document: dict[str, Any], user_id: str) -> list[tuple[str, Request]]:
    """For every operation below the user's own path, its id and the request with all lists and texts at their limit."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                found.append((operation["operationId"], _heaviest(document, user_id, path, method, operation)))
    return found


def _heaviest(document: dict[str, Any], user_id: str, path: str, method: str, operation: dict[str, Any]) -> Request:
    query: dict[str, Any] = {}
    for parameter in (_resolved(document, told) for told in operation.get("parameters", ())):
        value = value_at_limit(document, parameter.get("schema", {}))
        if parameter["in"] == "query" and parameter["name"] != "cursor":
            query[parameter["name"]] = value
    own = path.replace("{user_id}", quote(user_id, safe="")).replace("{task_id}", "1")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = None if content is None else json.dumps(value_at_limit(document, content["schema"])).encode()
    headers = () if body is None else (("Content-Type", "application/json"),)
    return Request(method.upper(), f"{own}?{urlencode(query, doseq=True)}" if query else own, body, headers)


def value_at_limit(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911 - a kind of schema each
    """The largest value of a schema; where there are several kinds, of the last one, which is seldom null."""
    schema = _resolved(document, schema)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = [kind for kind in schema[several] if kind.get("type") != "null"]
            return value_at_limit(document, kinds[-1], depth)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][-1]
    match schema.get("type"):
        case "array":
            most = LIST_LENGTHS[min(depth, len(LIST_LENGTHS) - 1)]
            length = min(schema.get("maxItems", most), most)
            return [value_at_limit(document, schema.get("items", {}), depth + 1) for _ in range(length)]
        case "object":
            members = schema.get("properties", {})
            return {name: value_at_limit(document, member, depth + 1) for name, member in members.items()}
        case "integer" | "number":
            return schema.get("maximum", 1)
        case "boolean":
            return True
        case _:
            return "x" * schema.get("maxLength", STRING_LENGTH)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)
