"""The API attacked from its own OpenAPI document: valid and invalid requests, and every check that schemathesis has."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.python import asgi
from schemathesis.schemas import BaseSchema

from backend.app.main import create_app
from tests.conftest import new_user, settings_for, token

OPERATIONS = [
    ("GET", "/api/{user_id}/tasks"),
    ("POST", "/api/{user_id}/tasks"),
    ("GET", "/api/{user_id}/tasks/{task_id}"),
    ("PUT", "/api/{user_id}/tasks/{task_id}"),
    ("PATCH", "/api/{user_id}/tasks/{task_id}"),
    ("DELETE", "/api/{user_id}/tasks/{task_id}"),
    ("PATCH", "/api/{user_id}/tasks/{task_id}/complete"),
    ("GET", "/health"),
    ("GET", "/health/ready"),
]
BOUNDED = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def schema(database_url: str) -> Iterator[BaseSchema]:
    """The real application, which schemathesis starts and asks over ASGI, as its document describes it."""
    yield schemathesis.openapi.from_asgi("/openapi.json", create_app(settings_for(database_url)))
    asgi.shutdown_lifespans()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_documented(schema: BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    """No 500, no undocumented answer, valid requests are served, invalid ones and those without a token are refused."""
    user_id = new_user()
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    schema["/api/{user_id}/tasks"]["POST"].Case(
        path_parameters={"user_id": user_id}, body={"title": "there already"}, media_type="application/json"
    ).call_and_validate(headers=headers)
    operation = schema[path][method]
    mine = {"user_id": user_id} if "{user_id}" in path else {}
    known = {**mine, "task_id": 1} if "{task_id}" in path else mine

    @BOUNDED
    @given(
        st.one_of(
            operation.as_strategy(mode, path_parameters=mine),
            operation.as_strategy(mode, path_parameters=known),
        )
    )
    def attack(case: Case) -> None:
        case.call_and_validate(headers=headers)

    attack()


def test_every_operation_is_attacked(schema: BaseSchema) -> None:
    """The list above is the document's."""
    documented = [result.ok() for result in schema.get_all_operations()]

    assert {(operation.method.upper(), operation.path) for operation in documented} == set(OPERATIONS)
