"""What clients that are made from the OpenAPI document need of it. tests/interop/test_clients.py makes them."""

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from backend.app.domain.limits import ID_MAX
from backend.app.web.idempotency import UNSAFE_METHODS

METHODS = {"get", "put", "post", "patch", "delete"}
FIRST_ERROR = 400


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in app.openapi()["paths"].items():
        for method in METHODS & item.keys():
            yield method.upper(), path, item[method]


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document: a schema is one of them."""
    if isinstance(node, list):
        for element in node:
            yield from schemas(element)
    if isinstance(node, dict):
        yield node
        for member in node.values():
            yield from schemas(member)


def of_type(app: FastAPI, name: str) -> list[dict[str, Any]]:
    return [schema for schema in schemas(app.openapi()) if schema.get("type") == name]


def test_the_document_names_its_server(app: FastAPI) -> None:
    """A client asks where the document came from."""
    assert [server["url"] for server in app.openapi()["servers"]] == ["/"]


def test_a_change_may_be_a_merge_patch(app: FastAPI) -> None:
    """RFC 7396's media type, beside JSON's."""
    body = app.openapi()["paths"]["/api/{user_id}/tasks/{task_id}"]["patch"]["requestBody"]

    assert list(body["content"]) == ["application/json", "application/merge-patch+json"]


def test_every_header_that_the_middleware_sends_is_told(app: FastAPI) -> None:
    """By success and by problem."""
    for method, path, operation in operations(app):
        for status, response in operation["responses"].items():
            public, failed = path.startswith("/health"), int(status) >= FIRST_ERROR
            expected = {"X-Request-ID"}
            expected |= {"RateLimit", "RateLimit-Policy"} if not public and (not failed or status == "429") else set()
            expected |= {"Idempotency-Replayed"} if method in UNSAFE_METHODS and not failed else set()
            expected |= {"Retry-After"} if status in {"409", "429", "503"} else set()
            expected |= {"WWW-Authenticate"} if status == "401" else set()
            assert expected <= response["headers"].keys(), (method, path, status)


def test_no_parameter_is_ignored_or_null(app: FastAPI) -> None:
    """OpenAPI's readers ignore three headers; and a parameter that is null is sent as the word, or not at all."""
    for _, _, operation in operations(app):
        for parameter in operation["parameters"]:
            assert parameter["name"].lower() not in {"accept", "content-type", "authorization"}
            assert {"type": "null"} not in parameter["schema"].get("anyOf", [])
            assert len(parameter["schema"].get("anyOf", ["a", "b"])) > 1


def test_every_body_has_a_schema(app: FastAPI) -> None:
    """Of requests and answers: a client without it has no type."""
    contents = [schema["content"] for schema in schemas(app.openapi()) if isinstance(schema.get("content"), dict)]

    assert len(contents) > 100
    assert [content for found in contents for content in found.values() if not content.get("schema")] == []


def test_no_pattern_is_lost_in_a_type(app: FastAPI) -> None:
    """A text with a format becomes an object of its own in typed clients, and is written as their language does."""
    texts = of_type(app, "string")

    assert [text for text in texts if "format" in text and "pattern" in text] == []
    assert all(re.compile(text["pattern"]) for text in texts if "pattern" in text)


def test_integers_have_as_many_bits_as_revisions_need(app: FastAPI) -> None:
    """And exact bounds: a floating-point number cannot say the largest id."""
    integers = of_type(app, "integer")
    bounds = [number[name] for number in integers for name in ("minimum", "maximum") if name in number]

    assert {number["format"] for number in integers} == {"int64"}
    assert {type(bound) for bound in bounds} == {int}
    assert max(bounds) == ID_MAX


def test_what_a_task_may_be_answered_with_can_be_put_back(app: FastAPI) -> None:
    """By clients that check types: a member that may be null in a task may be null in what replaces it."""
    components = app.openapi()["components"]["schemas"]

    for name, schema in components["Task"]["properties"].items():
        for taken in (components["TaskReplace"], components["ArchivedTask"]):
            if {"type": "null"} in schema.get("anyOf", []):
                assert {"type": "null"} in taken["properties"][name]["anyOf"], name
