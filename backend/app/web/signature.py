"""What StrictRoute reads of a request for a handler, compiled once from the handler's signature."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import params
from pydantic import BaseModel
from starlette.requests import Request

from backend.app.web.body import BODY_LIMIT, JSON, BodyLimit, BodyReader, MediaTypes
from backend.app.web.foreign.formats import OtherApps
from backend.app.web.forms import ONE_BODY, UnsupportedForm
from backend.app.web.owner_session import Session
from backend.app.web.parameters import (
    CompletionId,
    CompletionIdReader,
    HeaderReader,
    IdReader,
    ListId,
    QueryReader,
    TaskId,
)

Reader = Callable[[Request], Any]

ONE_QUERY: Final = "put every query parameter into one model: `Annotated[Model, Query()]`."
_IDS: Final[list[tuple[Any, Callable[[str], Reader]]]] = [
    (get_args(TaskId)[1], IdReader),
    (get_args(ListId)[1], IdReader),
    (get_args(CompletionId)[1], CompletionIdReader),
]


# Takes the request and the session, which is None for factories that take none.
Provide = Callable[[Request, Any], Any]


@dataclass(frozen=True, slots=True)
class _Provider:
    """What makes something of the request and the caller's session, such as a repository."""

    provide: Provide
    takes_session: bool


class Signature:
    """The parameters of a handler: those that StrictRoute reads, and in `for_fastapi` all others."""

    def __init__(self, endpoint: Callable[..., Any]) -> None:
        """Raises UnsupportedForm."""
        self.readers: dict[str, Reader] = {}
        self.providers: dict[str, Provide] = {}
        self.takes_session = False
        self.body: BodyReader | None = None
        self.for_fastapi: list[inspect.Parameter] = []
        self._endpoint = endpoint
        hints = get_type_hints(endpoint, include_extras=True)
        for name, parameter in inspect.signature(endpoint).parameters.items():
            self._add(parameter.replace(annotation=hints.get(name, parameter.empty)))
        queries = [reader for reader in self.readers.values() if isinstance(reader, QueryReader)]
        if len(queries) > 1:
            raise UnsupportedForm(endpoint, ONE_QUERY)
        self.takes_query = bool(queries)

    def _add(self, parameter: inspect.Parameter) -> None:
        if any(isinstance(mark, params.Body) for mark in (parameter.default, *get_args(parameter.annotation)[1:])):
            raise UnsupportedForm(self._endpoint, ONE_BODY)  # before FastAPI asks for python-multipart
        match _reader(parameter):
            case None:
                self.for_fastapi.append(parameter)
            case BodyReader() as body if self.body is not None:
                raise UnsupportedForm(self._endpoint, f"put `{body.name}` and `{self.body.name}` into one body.")
            case BodyReader() as body:
                self.body = body
            case _Provider(provide, takes_session):
                self.providers[parameter.name] = provide
                self.takes_session |= takes_session
            case reader:
                self.readers[parameter.name] = reader


def _reader(parameter: inspect.Parameter) -> Reader | BodyReader | _Provider | None:
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
        case params.Depends(dependency=factory) if factory is not None:
            return _provider(factory)
        case params.Query() if _is_model(base):
            return QueryReader(base)
        case params.Header(alias=str(header)) if base == str | None and parameter.default is None:
            return HeaderReader(header.lower().encode())
        case params.Path():
            return next((reader(parameter.name) for known, reader in _IDS if mark is known), None)
    return None


def _body(parameter: inspect.Parameter, base: Any, marks: list[Any]) -> BodyReader | None:
    alternatives = get_args(base) or (base,)
    if not _is_model(alternatives[0]) or parameter.default not in (None, parameter.empty):
        return None
    accepted = next((mark.accepted for mark in marks if isinstance(mark, MediaTypes)), (JSON,))
    limit = next((mark.setting for mark in marks if isinstance(mark, BodyLimit)), BODY_LIMIT)
    optional = type(None) in alternatives
    others = next((mark for mark in marks if isinstance(mark, OtherApps)), None)
    return BodyReader(parameter.name, alternatives[0], optional=optional, accepted=accepted, limit=limit, others=others)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _provider(factory: Callable[..., Any]) -> _Provider | None:
    """A factory that takes nothing but the request and the caller's session: nothing is solved for it.

    It is called anew inside the transaction of a keyed write. None for any other dependency.
    """
    if not (inspect.isfunction(factory) or inspect.isclass(factory)) or _runs_later(factory):
        return None
    make: Callable[..., Any] = factory
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    match [hints.get(name) for name in inspect.signature(factory).parameters]:
        case [first] if first is Request:
            return _Provider(lambda request, _: make(request), takes_session=False)
        case [first] if first == Session:
            return _Provider(lambda _, session: make(session), takes_session=True)
        case [first, second] if first is Request and second == Session:
            return _Provider(make, takes_session=True)
    return None


def _runs_later(factory: Callable[..., Any]) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(is_kind(factory) for is_kind in kinds)
