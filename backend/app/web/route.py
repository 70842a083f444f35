"""How every route reads a request and sends its answer: our one APIRoute class.

Handlers are ordinary FastAPI handlers, and FastAPI documents them; the reading is ours, because the contract is
stricter than FastAPI's defaults (bodies that are not JSON are 400, ids are plain decimals, unknown query parameters
are 422).
"""

from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain.errors import InvalidField, OperationFailed
from backend.app.web.body import BodyReader
from backend.app.web.body_room import BodyPlace
from backend.app.web.conditional import check_without_tag
from backend.app.web.forms import Solver, UnsupportedForm, refuse_unsupported_handler
from backend.app.web.owner_session import owner_session
from backend.app.web.parameters import HeaderReader, refuse_query
from backend.app.web.pipeline import respond
from backend.app.web.request_turns import turn_of
from backend.app.web.responses import ApiResponse
from backend.app.web.services import services_of
from backend.app.web.signature import ONE_QUERY, Signature
from backend.app.web.validation import as_problem

_IF_MATCH, _IF_NONE_MATCH = HeaderReader(b"if-match"), HeaderReader(b"if-none-match")

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

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """HEAD is answered wherever GET is (RFC 9110, section 9.3.2); responses leave the body out."""
        match, child_scope = super().matches(scope)
        if match is Match.PARTIAL and self._answers_head(scope):
            return Match.FULL, child_scope
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answers_head(scope):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _answers_head(self, scope: Scope) -> bool:
        return scope["method"] == "HEAD" and "GET" in (self.methods or ())

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route as an ASGI application, for the fast path; the framework's is this in four layers more."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    def get_route_handler(self) -> Handler:
        signature = self._signature
        readers, providers, body = signature.readers, signature.providers, signature.body
        parameters, guards = signature.for_fastapi, self.dependencies
        solver = Solver(self.path_format, guards, parameters) if parameters or guards else None
        known_query = frozenset[str]() if solver is None else solver.query_names
        takes_query, takes_session = signature.takes_query, signature.takes_session
        # What creates something finds nothing there that a condition could name.
        has_tag = _IF_MATCH in readers.values() or self.status_code == HTTPStatus.CREATED
        if takes_query and known_query:
            raise UnsupportedForm(self.endpoint, ONE_QUERY)

        async def handle(request: Request, place: BodyPlace | None = None) -> ApiResponse:
            try:
                document = None if body is None else await body.read(request, place)
                if body is None and (turn := turn_of(request)) is not None:
                    await turn
                solved = {} if solver is None else await solver.solve(request, self.dependency_overrides_provider)
                if request.scope["query_string"] and not takes_query:
                    refuse_query(request, known_query)
                arguments = {name: read(request) for name, read in readers.items()}
                if body is not None:
                    arguments[body.name] = await body.validate(document)
                if not has_tag:
                    check_without_tag(request.scope["method"], _IF_MATCH(request), _IF_NONE_MATCH(request))

                def make(transaction: OwnerSession | None) -> Awaitable[ApiResponse]:
                    session = owner_session(request) if transaction is None and takes_session else transaction
                    provided = {name: provide(request, session) for name, provide in providers.items()}
                    answer: Awaitable[ApiResponse] = self.endpoint(**arguments, **solved, **provided)
                    return answer

                return await respond(request, BodyReader.contents_of(document), make)
            except (InvalidField, OperationFailed) as error:
                raise as_problem(error) from None
            except HTTPException as error:
                raise problems.HTTPError(error.status_code, str(error.detail), error.headers) from error

        return _in_room(body, handle)


def _in_room(body: BodyReader | None, handle: Callable[..., Coroutine[Any, Any, ApiResponse]]) -> Handler:
    """A large body waits for room before it is read."""
    if body is None or not body.is_long:
        return handle

    async def handle_in_room(request: Request) -> ApiResponse:
        room, user_id = services_of(request.scope).body_room, request.state.principal.user_id
        async with room.entered(user_id, body.size_at_most(request)) as place:
            return await handle(request, place)

    return handle_in_room
