"""How every route reads a request and sends its answer: our one APIRoute class.

Handlers are ordinary FastAPI handlers, and FastAPI documents them; the reading is ours, because the contract is
stricter than FastAPI's defaults (bodies that are not JSON are 400, ids are plain decimals, unknown query parameters
are 422).
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from backend.app.db.session import OwnerSession
from backend.app.web.body import BODY_LIMIT, JSON, BodyLimit, MediaTypes, _Body
from backend.app.web.idempotency import key_of
from backend.app.web.parameters import _Header, _PathId, _Query, _refuse_query
from backend.app.web.responses import ApiResponse
from backend.app.web.retry import again
from backend.app.web.services import services_of

Reader = Callable[[Request], Any]
Handler = Callable[[Request], Coroutine[Any, Any, ApiResponse]]


class StrictRoute(APIRoute):
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

        async def handle(request: Request) -> ApiResponse:
            document = None if body is None else await body.read(request)
            if request.scope["query_string"] and not takes_query:
                _refuse_query(request)
            arguments = {name: read(request) for name, read in readers.items()}
            if body is not None:
                arguments[body.name] = (
                    await asyncio.to_thread(body.validate, document) if body.is_long else body.validate(document)
                )

            async def make() -> ApiResponse:
                # After everything was read: a keyed write gives the repository its own transaction.
                provided = {name: provide(request) for name, provide in providers.items()}
                answer: ApiResponse = await self.endpoint(**arguments, **provided)
                return answer

            return await _made(request, document, make)

        return handle


async def _made(request: Request, document: Any, make: Callable[[], Coroutine[Any, Any, ApiResponse]]) -> ApiResponse:
    """What the handler answers; tried again where that is safe, and made once where a write has a key."""
    services = services_of(request.scope)
    observer = services.observer
    if request.scope["method"] == "GET":
        return await again(make, changes_nothing_twice=True, observer=observer)
    services.response_cache.forget(request.state.principal.user_id)
    key = key_of(request)
    if key is None:
        return await again(make, changes_nothing_twice=False, observer=observer)
    writes = services.idempotent_writes
    return await again(lambda: writes.once(request, key, document, make), changes_nothing_twice=True, observer=observer)


def owner_session(request: Request) -> OwnerSession:
    """The database as whoever the token names; nothing of the path gets here. A keyed write has brought its own."""
    scope = request.scope
    known: OwnerSession | None = scope["state"].get("session")
    return known or OwnerSession(services_of(scope).database, scope["state"]["principal"].user_id)


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
