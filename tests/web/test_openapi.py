"""The OpenAPI document: valid, complete, and what the middleware does is in it."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

IDS = {
    *("list_tasks", "create_task", "get_task", "replace_task", "update_task", "delete_task", "complete_task"),
    *("apply", "empty_trash", "purge_task"),
    *(
        "restore_task",
        "list_tags",
        "batch",
        "list_changes",
        "listen",
        "export",
        "import",
        "claim",
        "erase",
        "health",
        "ready",
    ),
    *("list_lists", "create_list", "get_list", "update_list", "delete_list", "restore_list"),
    *("move_task", "move_list"),
    *("list_completions", "undo_completion"),
}


def operations(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    return [
        (path, {**operation, "parameters": [*item.get("parameters", []), *operation.get("parameters", [])]})
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


def test_the_document_is_valid(app: FastAPI) -> None:
    """OpenAPI 3.1, with the operation ids that clients are generated from."""
    document = app.openapi()

    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert {operation["operationId"] for _, operation in operations(app)} == IDS
    assert document is app.openapi()


def test_only_health_is_public(app: FastAPI) -> None:
    """Everything else needs a bearer token and has the user id in its path."""
    for path, operation in operations(app):
        public = path.startswith("/health")
        assert operation["security"] == ([] if public else [{"bearer": []}])
        assert ("user_id" in [parameter["name"] for parameter in operation["parameters"]]) is not public


def test_every_parameter_and_problem_is_described(app: FastAPI) -> None:
    """No parameter without a description, no status from 400 on without the problem schema."""
    for path, operation in operations(app):
        assert all(parameter.get("description") for parameter in operation["parameters"])
        expected = {"400", "422", "431", "500", "503"} | (set() if path.startswith("/health") else {"401", "403"})
        assert expected <= set(operation["responses"])
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
                assert response["content"]["application/problem+json"]["examples"]


def test_every_example_fits_its_schema(app: FastAPI) -> None:
    """Examples of bodies, answers, parameters and schema members are valid where they stand."""
    document = app.openapi()
    examples = list(examples_in(document))
    unfit = [
        (example, error.message)
        for schema, example in examples
        for error in OAS31Validator(
            {**schema, "components": document["components"]}, format_checker=oas31_format_checker
        ).iter_errors(example)
    ]

    assert unfit == []
    assert len(examples) > 50


def test_an_example_that_does_not_fit_would_be_seen() -> None:
    """The check's own failing sample."""
    schema = {"type": "integer", "examples": ["one"]}

    [(found, example)] = examples_in({"limit": {"schema": schema}})

    assert not OAS31Validator(found).is_valid(example)


def examples_in(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every example in the document, with the schema that it is an example of."""
    if isinstance(node, list):
        for element in node:
            yield from examples_in(element)
    if not isinstance(node, dict):
        return
    # In a schema examples are a list, beside one an object of `value`s; a parameter may also have one `example`.
    match node:
        case {"schema": schema, "examples": dict(named)}:
            yield from ((schema, example["value"]) for example in named.values())
        case {"examples": list(plain)}:
            yield from ((node, example) for example in plain)
        case {"schema": schema, "example": single}:
            yield schema, single
    for member in node.values():
        yield from examples_in(member)


def test_bounds_are_said_in_words_of_json_schema(app: FastAPI) -> None:
    """pydantic leaves `ge` where a validator hides the type; a client's generator would not know it."""
    [limit] = [
        parameter
        for parameter in app.openapi()["paths"]["/api/{user_id}/tasks"]["get"]["parameters"]
        if parameter["name"] == "limit"
    ]

    assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 500)


def test_a_body_that_may_be_left_out_is_never_null(app: FastAPI) -> None:
    """Turning a task over takes no body; `null` is 422."""
    body = app.openapi()["paths"]["/api/{user_id}/tasks/{task_id}/complete"]["patch"]["requestBody"]

    assert not body.get("required")
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Completion"}
