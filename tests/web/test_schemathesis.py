"""The API attacked from its own OpenAPI document: valid and invalid requests, and every check that schemathesis has."""

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.python import asgi
from schemathesis.schemas import BaseSchema

from backend.app.main import create_app
from tests.support.applications import settings_for
from tests.support.tokens import new_user, token

OPERATIONS = [
    ("GET", "/api/{user_id}/tasks"),
    ("POST", "/api/{user_id}/tasks"),
    ("GET", "/api/{user_id}/tasks/{task_id}"),
    ("PUT", "/api/{user_id}/tasks/{task_id}"),
    ("PATCH", "/api/{user_id}/tasks/{task_id}"),
    ("DELETE", "/api/{user_id}/tasks/{task_id}"),
    ("PATCH", "/api/{user_id}/tasks/{task_id}/complete"),
    ("POST", "/api/{user_id}/tasks/{task_id}/restore"),
    ("PATCH", "/api/{user_id}/tasks/{task_id}/move"),
    ("PATCH", "/api/{user_id}/lists/{list_id}/move"),
    ("GET", "/api/{user_id}/lists"),
    ("POST", "/api/{user_id}/lists"),
    ("GET", "/api/{user_id}/lists/{list_id}"),
    ("PATCH", "/api/{user_id}/lists/{list_id}"),
    ("DELETE", "/api/{user_id}/lists/{list_id}"),
    ("POST", "/api/{user_id}/lists/{list_id}/restore"),
    ("POST", "/api/{user_id}/tasks/apply"),
    ("GET", "/api/{user_id}/completions"),
    ("DELETE", "/api/{user_id}/completions/{completion_id}"),
    ("DELETE", "/api/{user_id}/trash"),
    ("DELETE", "/api/{user_id}/trash/{task_id}"),
    ("GET", "/api/{user_id}/tags"),
    ("POST", "/api/{user_id}/batch"),
    ("GET", "/api/{user_id}/changes"),
    ("GET", "/api/{user_id}/events"),
    ("GET", "/api/{user_id}/export"),
    ("POST", "/api/{user_id}/import"),
    ("POST", "/api/{user_id}/claim"),
    ("DELETE", "/api/{user_id}"),
    ("GET", "/health"),
    ("GET", "/health/ready"),
]
# Nothing of these is described by a schema that could be violated.
WITHOUT_INPUT = {"/health", "/health/ready"}
ATTACKS = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if path not in WITHOUT_INPUT or mode is GenerationMode.POSITIVE
]
# What names something that is not there, or was made by the server.
REFERENCES = ("parent_id", "parent_ref", "list_id", "position")
# What a valid request may meet beside success: a task that is not there, or not as If-Match expects it; and a cursor is
# valid only if it came from the page before, which no schema can say.
REFUSALS_OF_VALID = {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "412"]}}
# So is a revision only if it is of this list.
REFUSALS_OF_VALID_PAGES = {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "400", "410", "412"]}}
REFUSALS_OF_STREAMS = REFUSALS_OF_VALID_PAGES | {"response_schema_conformance": {"enabled": False}}
REFUSALS_OF_PUT_BACK = {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "412", "422"]}}
REFUSALS_OF_CLAIM = {"positive_data_acceptance": {"expected-statuses": ["2xx", "422"]}}
REFUSALS_OF_IMPORT = REFUSALS_OF_CLAIM | {"negative_data_rejection": {"enabled": False}}
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": REFUSALS_OF_VALID,
        "operations": [
            {"include-operation-id": name, "checks": REFUSALS_OF_VALID_PAGES}
            for name in ("list_tasks", "list_tags", "list_changes", "list_completions")
        ]
        + [
            # `id` and `user_id` must be the path's, which no schema can say.
            {"include-operation-id": "replace_task", "checks": REFUSALS_OF_PUT_BACK},
            # The document has an event's data, for clients that are made from it; here the whole event is compared.
            {"include-operation-id": "listen", "checks": REFUSALS_OF_STREAMS},
            # No schema can say which token is a good one.
            {"include-operation-id": "claim", "checks": REFUSALS_OF_CLAIM},
            # Nor which text is a calendar.
            {"include-operation-id": "import", "checks": REFUSALS_OF_IMPORT},
        ],
    }
)
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
    app = create_app(settings_for(database_url, events_lifetime=0.01))  # streams that end by themselves
    yield schemathesis.openapi.from_asgi("/openapi.json", app, config=CONFIG)
    asgi.shutdown_lifespans()


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
@pytest.mark.parametrize(("method", "path", "mode"), ATTACKS)
def test_answers_are_as_documented(schema: BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    """No 500, no undocumented answer; valid requests are served, invalid ones and those without a token refused."""
    user_id = new_user()
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    schema["/api/{user_id}/tasks"]["POST"].Case(
        path_parameters={"user_id": user_id}, body={"title": "there already"}, media_type="application/json"
    ).call_and_validate(headers=headers)
    operation = schema[path][method]
    mine = {"user_id": user_id} if "{user_id}" in path else {}
    known: dict[str, Any] = {**mine, **{name: 1 for name in ("task_id", "list_id") if f"{{{name}}}" in path}}
    if "{completion_id}" in path:
        known["completion_id"] = "1-1767225600000000"

    @BOUNDED
    @given(
        st.one_of(
            operation.as_strategy(mode, path_parameters=mine),
            operation.as_strategy(mode, path_parameters=known),
        )
    )
    def attack(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE and case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = secrets.token_hex()  # valid once, and then for the same request only
        if mode is GenerationMode.POSITIVE:
            body = sensible(case.body)
            if repr(body) != repr(case.body):  # 1 == 1.0
                case.body = body
            if case.query and case.query.get("status") == "deleted":
                case.query.pop("sort", None)  # the trash has two orders only
            for name in ("parent_id", "list_id", "task_id"):
                if case.query and isinstance(case.query.get(name), float):
                    case.query[name] = int(case.query[name])
        else:
            assume(is_sent(case, {parameter.name for parameter in operation.query}))
        case.call_and_validate(headers=headers)

    attack()


def is_sent(case: Case[Any], documented: set[str]) -> bool:
    """Whether what makes the query invalid is sent: of a parameter too many whose value is empty, nothing is."""
    too_many = {name: value for name, value in (case.query or {}).items() if name not in documented}
    return not too_many or urlencode(too_many, doseq=True) != ""


# A zone that there is, a start that is before any due date, and moments that every zone's calendar has. (A due date
# cannot be cleared of what repeats.)
SENSIBLE = {
    "time_zone": "Europe/Berlin",
    "start_date": "0001-01-02",
    "reminders": ["2026-12-24T09:00:00+01:00"],  # a form does not say how long a duration may be, nor of what it is
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


def sensible(node: Any) -> Any:
    """A valid body, with what no schema can say: which zones there are, which rules come again, which tasks exist."""
    if isinstance(node, list):
        return [sensible(element) for element in node]
    if isinstance(node, float):
        return int(node)  # to JSON Schema, 1.0 is an integer
    if not isinstance(node, dict):
        return node
    told: dict[str, Any] = {
        name: None if value is None or name == "after" else SENSIBLE.get(name, sensible(value))
        for name, value in node.items()
        if name not in REFERENCES and (name, value) != ("due_date", None)
    }
    if told.get("recurrence") is not None:
        told |= {"recurrence": "FREQ=DAILY", "due_date": "2026-12-24"}
    if told.get("completed") is False:
        told.pop("skip_missed", None)  # only what is completed moves on
    if "op" in told and told["op"] != "create":
        told = {**told, "id": 1}
        told.pop("ref", None)
    if "tasks" in told:
        told["tasks"] = [{**task, "id": number} for number, task in enumerate(told["tasks"], 1)]
        lists = enumerate(told.get("lists", ()), 10)
        told["lists"] = [{**one, "id": number, "position": f"b{number}"} for number, one in lists]
    told.pop("completed_at", None)  # only a completed task may have one
    if isinstance(told.get("tags"), list):
        told["tags"] = told["tags"][:1]  # two may be the same in another case
    return told


def test_every_operation_is_attacked(schema: BaseSchema) -> None:
    """The list above is the document's."""
    documented = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]

    assert {(operation.method.upper(), operation.path) for operation in documented} == set(OPERATIONS)
