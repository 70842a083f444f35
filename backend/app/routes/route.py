"""How every route reads a request and sends its answer: our one APIRoute class.

Handlers are ordinary FastAPI handlers, and FastAPI documents them; the reading is ours, because the contract is
stricter than FastAPI's defaults (bodies that are not JSON are 400, ids are plain decimals, unknown query parameters
are 422).
"""

import asyncio
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import orjson
from fastapi import Path, params
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from backend.app import problems
from backend.app.db import OwnerSession
from backend.app.routes.again import again
from backend.app.routes.once import Writes, key_of
from backend.app.routes.reply import Reply
from backend.app.schemas.task import ID_MAX

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
ERRORS_MAX: Final = 20
LENGTH_MAX_DIGITS: Final = 18
QUERIES_REMEMBERED: Final = 1024
QUERY_REMEMBERED_BYTES: Final = 256
NO_BODY: Final = object()
BODY_LIMIT: Final = "max_body_bytes"
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")

TaskId = Annotated[int, Path(description="The task's id: a plain decimal.", ge=1, le=ID_MAX, examples=[1])]


@dataclass(frozen=True, slots=True)
class MediaTypes:
    """Annotates a body that may be sent as something beside application/json."""

    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Annotates a body with a size limit of its own: the name of the setting.

    Such a body may take long to look through, which is done beside the event loop.
    """

    setting: str


Reader = Callable[[Request], Any]
Handler = Callable[[Request], Coroutine[Any, Any, Reply]]


class ContractRoute(APIRoute):
    """Calls the handler with what its annotations ask for.

    A pydantic model is the body, `Annotated[Model, Query()]` the query string, `TaskId` the id in the path,
    `Annotated[..., Header(alias=...)]` a header's value or None, and `Annotated[..., Depends(provider)]` what the
    provider makes of the request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._answer = self.get_route_handler()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route as an ASGI application of its own, for `lean.py`: the framework's is this in four layers more."""
        reply = await self._answer(Request(scope, receive, send))
        await reply(scope, receive, send)

    def get_route_handler(self) -> Handler:
        readers: dict[str, Reader] = {}
        providers: dict[str, Reader] = {}
        body: _Body | None = None
        for name, annotation in get_type_hints(self.endpoint, include_extras=True).items():
            if name in inspect.signature(self.endpoint).parameters:
                reader = _reader(name, annotation)
                if isinstance(reader, _Body):
                    body = reader
                elif isinstance(reader, _Provider):
                    providers[name] = reader.provide
                else:
                    readers[name] = reader
        takes_query = any(isinstance(reader, _Query) for reader in readers.values())

        async def handle(request: Request) -> Reply:
            document = None if body is None else await body.read(request)
            if request.scope["query_string"] and not takes_query:
                _refuse_query(request)
            arguments = {name: read(request) for name, read in readers.items()}
            if body is not None:
                arguments[body.name] = (
                    await asyncio.to_thread(body.validate, document) if body.is_long else body.validate(document)
                )

            async def make() -> Reply:
                # After everything was read: a keyed write gives the repository its own transaction.
                provided = {name: provide(request) for name, provide in providers.items()}
                answer: Reply = await self.endpoint(**arguments, **provided)
                return answer

            return await _made(request, document, make)

        return handle


async def _made(request: Request, document: Any, make: Callable[[], Coroutine[Any, Any, Reply]]) -> Reply:
    """What the handler answers; tried again where that is safe, and made once where a write has a key."""
    metrics = request.app.state.metrics
    if request.scope["method"] == "GET":
        return await again(make, changes_nothing_twice=True, metrics=metrics)
    request.app.state.answers.forget(request.state.principal.user_id)
    key = key_of(request)
    if key is None:
        return await again(make, changes_nothing_twice=False, metrics=metrics)
    writes: Writes = request.app.state.writes
    return await again(lambda: writes.once(request, key, document, make), changes_nothing_twice=True, metrics=metrics)


def session_of_caller(request: Request) -> OwnerSession:
    """The database as whoever the token names; nothing of the path gets here. A keyed write has brought its own."""
    scope = request.scope
    known: OwnerSession | None = scope["state"].get("session")
    return known or OwnerSession(scope["app"].state.database, scope["state"]["principal"].user_id)


@dataclass(frozen=True, slots=True)
class _Provider:
    """What makes something of the request that is not read from it, such as the caller's repository."""

    provide: Reader


def _reader(name: str, annotation: Any) -> "Reader | _Body | _Provider":
    base, *marks = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    for mark in marks:
        match mark:
            case params.Depends(dependency=provider) if provider is not None:
                return _Provider(provider)
            case params.Query():
                return _Query(base)
            case params.Header(alias=str(header)):
                return _Header(header.lower().encode())
            case params.Path():
                return _PathId(name)
    accepted = next((mark.accepted for mark in marks if isinstance(mark, MediaTypes)), (JSON,))
    alternatives = get_args(base) or (base,)
    limit = next((mark.setting for mark in marks if isinstance(mark, BodyLimit)), BODY_LIMIT)
    return _Body(name, alternatives[0], optional=type(None) in alternatives, accepted=accepted, limit=limit)


@dataclass(frozen=True, slots=True)
class _PathId:
    name: str

    def __call__(self, request: Request) -> int:
        text = request.scope["path_params"][self.name]
        if not _DECIMAL.fullmatch(text) or (number := int(text)) > ID_MAX:
            raise problems.Invalid([{"pointer": f"{{{self.name}}}", "detail": f"must be a decimal from 1 to {ID_MAX}"}])
        return number


@dataclass(frozen=True, slots=True)
class _Header:
    name: bytes

    def __call__(self, request: Request) -> str | None:
        """The field's lines joined as RFC 9110, section 5.2 says."""
        lines = [value.decode("latin-1") for name, value in request.scope["headers"] if name == self.name]
        return ", ".join(lines) if lines else None


class _Query:
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
                raise problems.Invalid([{"pointer": "?", "detail": "this parameter may be given once"}])
            else:
                values[name] = value
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise problems.Invalid(_errors(error, "?", values)) from None


def _query_pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("latin-1"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise problems.Invalid([{"pointer": "?", "detail": "the query string must be percent-encoded UTF-8"}]) from None


def _refuse_query(request: Request) -> None:
    names = [name for name, _ in _query_pairs(request.scope["query_string"])]
    if names:
        errors = [{"pointer": f"?{name}", "detail": "this parameter is not known here"} for name in names[:ERRORS_MAX]]
        raise problems.Invalid(errors)


@dataclass(frozen=True, slots=True)
class _Body:
    name: str
    model: type[BaseModel]
    optional: bool
    accepted: tuple[str, ...]
    limit: str

    @property
    def is_long(self) -> bool:
        return self.limit != BODY_LIMIT

    async def read(self, request: Request) -> Any:
        """The JSON document, or NO_BODY: 413 as soon as it is too large, 415 unread where the headers say so."""
        headers = request.scope["headers"]
        limit: int = getattr(request.app.state.settings, self.limit)
        if _announced_length(headers) > limit:
            raise problems.BodyTooLarge(limit)
        acceptable = _is_json(headers, self.accepted)
        if not acceptable and not self.optional:
            raise problems.UnsupportedMediaType(self.accepted)
        body = await _read(request.receive, limit)
        if not body and self.optional:
            return NO_BODY
        if not acceptable:
            raise problems.UnsupportedMediaType(self.accepted)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise problems.MalformedJSON from None

    def validate(self, document: Any) -> BaseModel | None:
        if document is NO_BODY:
            return None
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise problems.Invalid(_errors(error, "#/", document)) from None


def _announced_length(headers: list[tuple[bytes, bytes]]) -> int:
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if not announced.isdigit() or len(announced) > LENGTH_MAX_DIGITS:
        raise problems.MalformedRequest("Content-Length must be a number of bytes.")
    return int(announced)


async def _read(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise problems.MalformedRequest("The body ended early.")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise problems.BodyTooLarge(limit)
        more = message.get("more_body", False)
    return b"".join(pieces)


def _is_json(headers: list[tuple[bytes, bytes]], accepted: tuple[str, ...]) -> bool:
    fields: Mapping[bytes, bytes] = dict(headers)
    media_type, _, parameters = fields.get(b"content-type", b"").decode("latin-1").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    return (
        media_type.strip() in accepted
        and charset in ("", "charset=utf-8")
        and fields.get(b"content-encoding", b"identity").lower() == b"identity"
    )


def _errors(error: ValidationError, prefix: str, document: Any) -> list[dict[str, str]]:
    """pydantic's findings without what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = []
    for e in found[:ERRORS_MAX]:
        location = _within(document, e["loc"], absent=e["type"] == "missing")
        pointer = prefix + _json_pointer(location) if location else prefix.rstrip("/")
        errors.append({"pointer": pointer, "detail": _sentence(e["msg"])})
    return errors


def _within(document: Any, location: tuple[int | str, ...], *, absent: bool) -> list[int | str]:
    """The location without the names of alternatives, which pydantic puts between the members' own."""
    path: list[int | str] = []
    for number, part in enumerate(location, 1):
        if absent and number == len(location):
            path.append(part)
            continue
        named = isinstance(document, list) or (isinstance(document, dict) and part in document)
        if named:
            path.append(part)
            document = document[part]
    return path


def _json_pointer(location: list[int | str]) -> str:
    """RFC 6901, section 4."""
    return "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")
