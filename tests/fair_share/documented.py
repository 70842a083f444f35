"""The heaviest request that the OpenAPI document allows for each operation, made from the document alone."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

METHODS: Final = frozenset({"get", "put", "post", "patch", "delete"})
# What JSON numbers are exact to; the document has larger ones as floats.
INTEGER_MAX: Final = 2**53 - 1
# Where the document sets no bound.
STRING_LENGTH: Final = 200
# The longest list, by how deep it stands: what is sent must be made and encoded here first.
LIST_LENGTHS: Final = (1_000, 1_000, 20, 20, 1)
# What names another thing, which is not there: a request with it would be refused before it costs anything.
REFERENCES: Final = frozenset(
    {
        "cursor",
        "expect",
        "parent_id",
        "parent_ref",
        "list_id",
        "task_id",
        "if_match",
        "user_id",
        "position",
        "lastEventId",
    }
)
# What a user may have fewer of than a list may be long (MAX_LISTS).
COUNTS: Final = {"lists": 500}
# What names another thing and must be there: null.
NULLED: Final = frozenset({"after"})
# What must be another one in each member of a list.
COUNTED: Final[dict[str, Callable[[int], Any]]] = {
    "id": lambda number: number,
    "ref": lambda number: f"ref{number}",
    "position": lambda number: f"a0{number}V",
    "completed_at": lambda number: f"2027-12-24T10:{number // 60:02}:{number % 60:02}+01:00",
}
FORMATS: Final = {"date": "2027-12-24", "date-time": "2027-12-24T10:00:00+01:00"}


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
        if parameter["in"] == "query" and parameter["name"] not in REFERENCES:
            query[parameter["name"]] = value
    own = path.replace("{user_id}", quote(user_id, safe="")).replace("{task_id}", "1").replace("{list_id}", "1")
    own = own.replace("{completion_id}", "2-1767225600000000")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = None if content is None else json.dumps(value_at_limit(document, content["schema"])).encode()
    headers = () if body is None else (("Content-Type", "application/json"),)
    return Request(method.upper(), f"{own}?{urlencode(query, doseq=True)}" if query else own, body, headers)


def value_at_limit(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911 - a kind of schema each
    """The largest value of a schema that is accepted; of several kinds of objects the first, of others the longest."""
    schema = _resolved(document, schema)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = [kind for kind in schema[several] if kind.get("type") != "null" and not _is_form(kind)]
            values = [value_at_limit(document, kind, depth) for kind in kinds]
            return values[0] if isinstance(values[0], dict) else max(values, key=lambda value: len(json.dumps(value)))
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema.get("default", schema["enum"][-1])
    if "maxLength" not in schema and schema.get("examples") and schema.get("type") not in ("array", "boolean"):
        return schema["examples"][0]
    match schema.get("type"):
        case "array":
            most = LIST_LENGTHS[min(depth, len(LIST_LENGTHS) - 1)]
            length = min(schema.get("maxItems", most), most)
            members = _resolved(document, schema.get("items", {}))
            if "enum" in members:
                return members["enum"][:length]
            member = value_at_limit(document, members, depth + 1)
            return [_different(member, number) for number in range(1, length + 1)]
        case "object":
            own = schema.get("properties", {})
            optional = REFERENCES - set(schema.get("required", ()))
            taken = {name: member for name, member in own.items() if name not in optional}
            made = {name: value_at_limit(document, member, depth + 1) for name, member in taken.items()}
            return (
                made
                | {name: made[name][:most] for name, most in COUNTS.items() if name in made}
                | dict.fromkeys(NULLED & set(made))
            )
        case "integer" | "number":
            return min(int(schema.get("maximum", 1)), INTEGER_MAX)
        case "boolean":
            return True
        case _:
            return FORMATS.get(schema.get("format", ""), "x" * schema.get("maxLength", STRING_LENGTH))


def _is_form(schema: dict[str, Any]) -> bool:
    """Whether it is a text of a form that has no length: another kind that stands beside it is made instead."""
    return "pattern" in schema and "maxLength" not in schema


def _different(member: Any, number: int) -> Any:
    """The member of a list with this number: no two may have the same text, id or name."""
    if isinstance(member, str):
        return member[: -len(str(number))] + str(number)
    if not isinstance(member, dict):
        return member
    counted = {name: COUNTED[name](number) for name in COUNTED if name in member}
    return {**member, **counted}


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}
