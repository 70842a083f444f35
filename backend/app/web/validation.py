"""pydantic's findings as the errors of a problem, without what was sent."""

from collections.abc import Collection, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from backend.app import problems
from backend.app.domain.errors import InvalidField, OperationFailed
from backend.app.web.suggestions import suggest

ERRORS_MAX: Final = 20


def errors_of(
    error: ValidationError, prefix: str, document: Any, models: Sequence[type[BaseModel]]
) -> list[dict[str, str]]:
    """The first findings as a problem's `errors`, without what was sent; `prefix` begins each pointer.

    A name that is not known may have meant one that the models have at its place.
    """
    errors = []
    for finding in findings_of(error)[:ERRORS_MAX]:
        location = finding["loc"]
        path = _within(document, location, absent=finding["type"] == "missing")
        if finding["type"] == "extra_forbidden":
            detail = describe_unknown(str(location[-1]), names_at(models, location))
        else:
            detail = _sentence(finding["msg"])
        errors.append({"pointer": prefix + _json_pointer(path) if path else prefix.rstrip("/"), "detail": detail})
    return errors


def findings_of(error: ValidationError) -> list[ErrorDetails]:
    """What pydantic found wrong, without what was sent."""
    return error.errors(include_url=False, include_context=False, include_input=False)


def models_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models of the objects that an annotation stands for, also in a list of them."""
    found: list[type[BaseModel]] = []
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        found += models_of(annotation.model_fields["root"].annotation)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found.append(annotation)
    for inner in get_args(annotation):
        found += models_of(inner)
    return tuple(found)


def names_at(models: Sequence[type[BaseModel]], location: tuple[int | str, ...]) -> frozenset[str]:
    """The names that the members of the object have which this location of a finding lies in."""
    for part in location[:-1]:
        within = [
            inner
            for model in models
            if part in model.model_fields
            for inner in models_of(model.model_fields[str(part)].annotation)
        ]
        # An index stays with the members of the list, and the tag of an alternative chooses it.
        models = within or [model for model in models if _has_tag(model, part)] or models
    return frozenset(name for model in models for name in model.model_fields)


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _within(document: Any, location: tuple[int | str, ...], *, absent: bool) -> list[int | str]:
    """The location without the names of alternatives, which pydantic puts between the members' own."""
    path: list[int | str] = []
    for number, part in enumerate(location, 1):
        if absent and number == len(location):
            path.append(part)
            continue
        # A list of something else may stand where an alternative is named.
        within_list = isinstance(document, list) and isinstance(part, int)
        named = within_list or (isinstance(document, dict) and part in document)
        if named:
            path.append(part)
            document = document[part]
    return path


def _json_pointer(location: list[int | str]) -> str:
    """RFC 6901, section 4."""
    return "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location)


def describe_unknown(name: str, known: Collection[str]) -> str:
    """What is said of a name that is not known here, with the one that was meant."""
    meant = suggest(name, known)
    return "is not known here" if meant is None else f"is not known here; did you mean `{meant}`?"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")


def as_problem(error: InvalidField | OperationFailed) -> problems.Problem:
    """A repository's finding as an answer, with a JSON pointer into the body that was sent."""
    if isinstance(error, OperationFailed):
        inner = error.error
        problem = as_problem(inner) if isinstance(inner, InvalidField) else inner
        return problems.BatchOperationFailed(error.number, problem)
    pointer = "/".join(("#", _json_pointer(list(error.path)))) if error.path else "#"
    return problems.ValidationFailed([{"pointer": pointer, "detail": error.detail}])
