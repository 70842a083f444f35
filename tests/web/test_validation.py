"""A body or a query of many members is refused for a few of them: the others are not judged."""

from typing import Any, get_args, get_origin

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from backend.app.main import create_app
from backend.app.schemas.apply import Where
from backend.app.schemas.batch import Batch
from backend.app.schemas.body import UNKNOWN_MEMBERS_JUDGED, Body
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate, TaskPatch, TaskReplace
from backend.app.schemas.transfer import Archive, ArchivedTask
from tests.support.applications import Client, settings_for

# More than any list may have.
TOO_MANY = 200_000


def models_within(kind: Any, found: set[type[BaseModel]]) -> None:
    """Adds every model that is reachable from an annotation."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind not in found:
            found.add(kind)
            for field in kind.model_fields.values():
                models_within(field.annotation, found)
        return
    for part in get_args(kind):
        models_within(part, found)


def requested_models() -> set[type[BaseModel]]:
    """Every model that a handler takes, and those within them."""
    found: set[type[BaseModel]] = set()
    app = create_app(settings_for("postgresql://user@127.0.0.1/none"))
    for route in app.routes:
        if isinstance(route, APIRoute):
            for name, annotation in route.endpoint.__annotations__.items():
                if name != "return":
                    models_within(annotation, found)
    return found


def parts_of(kind: Any) -> list[Any]:
    """The annotation, and what it is made of except the members of its lists."""
    if get_origin(kind) in (list, tuple):
        return [kind]
    return [kind, *(inner for part in get_args(kind) for inner in parts_of(part))]


def holds_list(kind: Any) -> bool:
    return any(get_origin(part) in (list, tuple) for part in parts_of(kind))


LISTS = [
    (model, name)
    for model in sorted(requested_models(), key=lambda model: model.__name__)
    for name, field in model.model_fields.items()
    if holds_list(field.annotation)
]


def test_every_list_is_known() -> None:
    """The walk over the routes finds the lists that there are today, so a later one is found, too."""
    expected = {
        (TaskCreate, "tags"),
        (TaskPatch, "tags"),
        (TaskReplace, "tags"),
        (ArchivedTask, "tags"),
        (Archive, "tasks"),
        (Batch, "operations"),
        (Where, "tag"),
        (TaskPageQuery, "tag"),
        (TaskPageQuery, "priority"),
    }
    assert expected <= set(LISTS)


@pytest.mark.parametrize(("model", "name"), LISTS)
def test_a_list_is_counted_before_its_members_are_judged(model: type[BaseModel], name: str) -> None:
    """One error, of the list itself, and no error of a member."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate({name: [{}] * TOO_MANY})

    locations = [error["loc"] for error in raised.value.errors(include_input=False) if error["loc"][:1] == (name,)]
    assert locations == [(name,)]


@pytest.mark.parametrize("model", dict.fromkeys(model for model, _ in LISTS if issubclass(model, Body)))
def test_few_unknown_members_are_judged(model: type[BaseModel]) -> None:
    """An object of 100,000 unknown members has as many errors for them as an answer shows."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate({f"unknown{number}": 0 for number in range(100_000)})

    unknown = [error for error in raised.value.errors() if error["type"] == "extra_forbidden"]
    assert len(unknown) == UNKNOWN_MEMBERS_JUDGED


def test_known_members_are_judged_beside_many_unknown_ones() -> None:
    """Wherever they stand in the object."""
    members = {**{f"unknown{number}": 0 for number in range(1000)}, "title": 1}

    with pytest.raises(ValidationError) as raised:
        TaskCreate.model_validate(members)

    assert raised.value.errors()[0]["loc"] == ("title",)


async def test_many_tags_are_refused_with_one_error(client: Client) -> None:
    """20,000 numbers where tags are expected: the answer names the list and none of its members."""
    answer = await client.post(f"/api/{client.user_id}/tasks", json={"title": "x", "tags": [1] * 20_000})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "#/tags", "detail": "must have at most 20 members"}]
