"""How every route reads a request and sends its answer: our one APIRoute class.

Handlers are ordinary FastAPI handlers, and FastAPI documents them; the reading is ours, because the contract is
stricter than FastAPI's defaults (bodies that are not JSON are 400, ids are plain decimals, unknown query parameters
are 422).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from backend.app.db.session import OwnerSession
from backend.app.web.forms import HTTPProblem, Solver, UnsupportedForm, refuse_unsupported_handler
from backend.app.web.idempotency import key_of
from backend.app.web.parameters import _refuse_query
from backend.app.web.responses import ApiResponse
from backend.app.web.retry import again
from backend.app.web.services import services_of
from backend.app.web.signature import ONE_QUERY, Signature

Handler = Callable[[Request], Coroutine[Any, Any, ApiResponse]]


class StrictRoute(APIRoute):
    """Calls the handler with what its annotations ask for.

    Read here, once compiled: a pydantic model is the body, `Annotated[Model, Query()]` the query string, `TaskId` the
    id in the path, `Annotated[str | None, Header(alias=...)]` a header's value or None, and a dependency that takes
    nothing but the request. FastAPI solves guards and every other parameter; `forms.py` refuses what neither supports.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        refuse_unsupported_handler(endpoint)
        self._signature = Signature(endpoint)
        super().__init__(path, endpoint, **options)
        self._answer = self.get_route_handler()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route as an ASGI application, for the fast path; the framework's is this in four layers more."""
        reply = await self._answer(Request(scope, receive, send))
        await reply(scope, receive, send)

    def get_route_handler(self) -> Handler:
        signature = self._signature
        readers, providers, body = signature.readers, signature.providers, signature.body
        parameters, guards = signature.for_fastapi, self.dependencies
        solver = Solver(self.path_format, guards, parameters) if parameters or guards else None
        known_query = frozenset[str]() if solver is None else solver.query_names
        takes_query = signature.takes_query
        if takes_query and known_query:
            raise UnsupportedForm(self.endpoint, ONE_QUERY)

        async def handle(request: Request) -> ApiResponse:
            document = None if body is None else await body.read(request)
            solved = {} if solver is None else await solver.solve(request, self.dependency_overrides_provider)
            if request.scope["query_string"] and not takes_query:
                _refuse_query(request, known_query)
            arguments = {name: read(request) for name, read in readers.items()}
            if body is not None:
                arguments[body.name] = (
                    await asyncio.to_thread(body.validate, document) if body.is_long else body.validate(document)
                )

            async def make() -> ApiResponse:
                # After everything was read: a keyed write gives the repository its own transaction.
                provided = {name: provide(request) for name, provide in providers.items()}
                answer: ApiResponse = await self.endpoint(**arguments, **solved, **provided)
                return answer

            return await _made(request, document, make)

        async def handle_with_problems(request: Request) -> ApiResponse:
            try:
                return await handle(request)
            except HTTPException as error:
                raise HTTPProblem(error) from error

        return handle_with_problems


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
