"""The OpenAPI document: valid, complete, and what the middleware does is in it."""

from typing import Any

from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

IDS = {
    *("list_tasks", "create_task", "get_task", "replace_task", "update_task", "delete_task", "complete_task"),
    *("health", "ready"),
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
