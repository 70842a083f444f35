"""What StrictRoute reads of a request for a handler, compiled once from the handler's signature."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import params
from pydantic import BaseModel
from starlette.requests import Request

from backend.app.web.body import BODY_LIMIT, JSON, BodyLimit, MediaTypes, _Body
from backend.app.web.forms import ONE_BODY, UnsupportedForm
from backend.app.web.parameters import TaskId, _Header, _PathId, _Query

Reader = Callable[[Request], Any]

ONE_QUERY: Final = "put every query parameter into one model: `Annotated[Model, Query()]`."
_TASK_ID: Final = get_args(TaskId)[1]


@dataclass(frozen=True, slots=True)
class _Provider:
    """What makes something of the request that is not read from it, such as the caller's repository."""

    provide: Reader


class Signature:
    """The parameters of a handler: those that StrictRoute reads, and in `for_fastapi` all others."""

    def __init__(self, endpoint: Callable[..., Any]) -> None:
        """Raises UnsupportedForm."""
        self.readers: dict[str, Reader] = {}
        self.providers: dict[str, Reader] = {}
        self.body: _Body | None = None
        self.for_fastapi: list[inspect.Parameter] = []
        self._endpoint = endpoint
        hints = get_type_hints(endpoint, include_extras=True)
        for name, parameter in inspect.signature(endpoint).parameters.items():
            self._add(parameter.replace(annotation=hints.get(name, parameter.empty)))
        queries = [reader for reader in self.readers.values() if isinstance(reader, _Query)]
        if len(queries) > 1:
            raise UnsupportedForm(endpoint, ONE_QUERY)
        self.takes_query = bool(queries)

    def _add(self, parameter: inspect.Parameter) -> None:
        if any(isinstance(mark, params.Body) for mark in (parameter.default, *get_args(parameter.annotation)[1:])):
            raise UnsupportedForm(self._endpoint, ONE_BODY)  # before FastAPI asks for python-multipart
        match _reader(parameter):
            case None:
                self.for_fastapi.append(parameter)
            case _Body() as body if self.body is not None:
                raise UnsupportedForm(self._endpoint, f"put `{body.name}` and `{self.body.name}` into one body.")
            case _Body() as body:
                self.body = body
            case _Provider(provide):
                self.providers[parameter.name] = provide
            case reader:
                self.readers[parameter.name] = reader


def _reader(parameter: inspect.Parameter) -> Reader | _Body | _Provider | None:
    """What reads this parameter; None where FastAPI does."""
    annotation = parameter.annotation
    base, *marks = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    known = (params.Param, params.Depends)
    if isinstance(parameter.default, known):
        return None
    mark = next((mark for mark in marks if isinstance(mark, known)), None)
    return _body(parameter, base, marks) if mark is None else _marked(parameter, base, mark)


def _marked(parameter: inspect.Parameter, base: Any, mark: Any) -> Reader | _Provider | None:
    match mark:
        case params.Security():
            return None
        case params.Depends(dependency=provider) if provider is not None and _takes_only_request(provider):
            return _Provider(provider)
        case params.Query() if _is_model(base):
            return _Query(base)
        case params.Header(alias=str(header)) if base == str | None and parameter.default is None:
            return _Header(header.lower().encode())
        case params.Path() if mark is _TASK_ID:
            return _PathId(parameter.name)
    return None


def _body(parameter: inspect.Parameter, base: Any, marks: list[Any]) -> _Body | None:
    alternatives = get_args(base) or (base,)
    if not _is_model(alternatives[0]) or parameter.default not in (None, parameter.empty):
        return None
    accepted = next((mark.accepted for mark in marks if isinstance(mark, MediaTypes)), (JSON,))
    limit = next((mark.setting for mark in marks if isinstance(mark, BodyLimit)), BODY_LIMIT)
    optional = type(None) in alternatives
    return _Body(parameter.name, alternatives[0], optional=optional, accepted=accepted, limit=limit)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _takes_only_request(provider: Callable[..., Any]) -> bool:
    """Such as a repository's factory: nothing is solved for it, and it is called anew inside a keyed transaction."""
    parameters = list(inspect.signature(provider).parameters.values())
    if not (inspect.isfunction(provider) or inspect.isclass(provider)) or len(parameters) != 1:
        return False
    hints = get_type_hints(provider.__init__ if inspect.isclass(provider) else provider)
    runs_later = inspect.iscoroutinefunction(provider) or inspect.isgeneratorfunction(provider)
    is_request = hints.get(parameters[0].name) is Request
    return is_request and not runs_later and not inspect.isasyncgenfunction(provider)
