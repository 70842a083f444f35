"""How path parameters, query strings and headers are read."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, get_origin
from urllib.parse import parse_qsl

from fastapi import Path
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from backend.app import problems
from backend.app.domain.completion_ids import FORM, is_completion_id
from backend.app.domain.limits import ID_MAX
from backend.app.web.validation import ERRORS_MAX, describe_unknown, errors_of

QUERIES_REMEMBERED: Final = 1024
QUERY_REMEMBERED_BYTES: Final = 256
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")

TaskId = Annotated[int, Path(description="The task's id: a plain decimal.", ge=1, le=ID_MAX, examples=[1])]
ListId = Annotated[int, Path(description="The list's id: a plain decimal.", ge=1, le=ID_MAX, examples=[1])]

CompletionId = Annotated[
    str,
    Path(description="The completion's id, as the list has it.", pattern=f"^{FORM}$", examples=["1-1767225600000000"]),
]


@dataclass(frozen=True, slots=True)
class IdReader:
    """The id of a task or a list in the path; `name` is the parameter's."""

    name: str

    def __call__(self, request: Request) -> int:
        text = request.scope["path_params"][self.name]
        if not _DECIMAL.fullmatch(text) or (number := int(text)) > ID_MAX:
            raise problems.ValidationFailed(
                [{"pointer": f"{{{self.name}}}", "detail": f"must be a decimal from 1 to {ID_MAX}"}]
            )
        return number


@dataclass(frozen=True, slots=True)
class CompletionIdReader:
    """The id of a completion in the path; `name` is the parameter's."""

    name: str

    def __call__(self, request: Request) -> str:
        text: str = request.scope["path_params"][self.name]
        if not is_completion_id(text):
            detail = "must be an id that the list of completions has"
            raise problems.ValidationFailed([{"pointer": f"{{{self.name}}}", "detail": detail}])
        return text


@dataclass(frozen=True, slots=True)
class HeaderReader:
    """A header's value, or None; `name` is in lower case, as ASGI has it."""

    name: bytes

    def __call__(self, request: Request) -> str | None:
        """The field's lines joined as RFC 9110, section 5.2 says."""
        lines = [value.decode("latin-1") for name, value in request.scope["headers"] if name == self.name]
        return ", ".join(lines) if lines else None


class QueryReader:
    """The query string as a model."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        # Parameters that may be repeated.
        self._several = {name for name, field in model.model_fields.items() if get_origin(field.annotation) is tuple}
        self._known = lru_cache(maxsize=QUERIES_REMEMBERED)(self._read)

    def __call__(self, request: Request) -> BaseModel:
        """The same query string always means the same, and clients send few different ones."""
        text = request.scope["query_string"]
        return (self._known if len(text) <= QUERY_REMEMBERED_BYTES else self._read)(text)

    def _read(self, text: bytes) -> BaseModel:
        values: dict[str, Any] = {}
        for name, value in _query_pairs(text):
            if name in self._several:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise problems.ValidationFailed([{"pointer": f"?{name}", "detail": "this parameter may be given once"}])
            else:
                values[name] = value
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise problems.ValidationFailed(errors_of(error, "?", values, [self.model])) from None


def _query_pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("latin-1"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise problems.ValidationFailed(
            [{"pointer": "?", "detail": "the query string must be percent-encoded UTF-8"}]
        ) from None


def refuse_query(request: Request, known: frozenset[str] = frozenset()) -> None:
    """Raises ValidationFailed for query parameters that are not among the known ones."""
    names = [name for name, _ in _query_pairs(request.scope["query_string"]) if name not in known]
    if names:
        errors = [{"pointer": f"?{name}", "detail": describe_unknown(name, known)} for name in names[:ERRORS_MAX]]
        raise problems.ValidationFailed(errors)
