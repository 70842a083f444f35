"""Which FastAPI forms a handler on StrictRoute may use; any other is refused when the module is imported.

Parameters that StrictRoute does not read itself are solved by FastAPI, so they mean what FastAPI's documentation says.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final, get_type_hints

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant, solve_dependencies
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request

from backend.app import problems
from backend.app.problems import Problem, RawHeaders
from backend.app.web.responses import ApiResponse
from backend.app.web.validation import ERRORS_MAX

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_STACKS: Final = ("fastapi_inner_astack", "fastapi_function_astack")
ONE_BODY: Final = "declare one pydantic model as the handler's body; Form, File and Body() are not supported."
_NO_SECURITY: Final = "use Depends in place of Security; the middleware has checked the token."
_NO_SOCKET: Final = "take `request: Request`; WebSocket and HTTPConnection are not supported."
# What FastAPI found in a signature (attributes of Dependant), and what to write instead.
_SENTENCES: Final = {
    "cookie_params": "read cookies with `request.cookies`; Cookie() is not supported.",
    "body_params": ONE_BODY,
    "background_tasks_param_name": "do the work before the answer; BackgroundTasks is not supported.",
    "response_param_name": "give headers to `ApiResponse(200, body, etag=...)`; a Response parameter is not supported.",
    "websocket_param_name": _NO_SOCKET,
    "http_connection_param_name": _NO_SOCKET,
    "security_scopes_param_name": _NO_SECURITY,
    "own_oauth_scopes": _NO_SECURITY,
}
_PREFIXES: Final = {"query": "?", "path": "", "header": ""}


class UnsupportedForm(TypeError):
    """A handler or a dependency is written in a way that StrictRoute does not support."""

    def __init__(self, function: Callable[..., Any], sentence: str) -> None:
        super().__init__(f"{getattr(function, '__qualname__', function)}: {sentence}")


class HTTPProblem(Problem):
    """A FastAPI HTTPException as a problem document with the same status and headers."""

    slug: ClassVar[str] = "http-error"
    title: ClassVar[str] = "The request was refused"

    def __init__(self, error: StarletteHTTPException) -> None:
        super().__init__(str(error.detail))
        self.status = error.status_code  # type: ignore[misc] # a class variable of every other problem
        self._headers = dict(error.headers or {})

    def headers(self) -> RawHeaders:
        """The headers of the HTTPException, such as WWW-Authenticate."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self._headers.items()]


class Solver:
    """The guards of a route, and those parameters of its handler that FastAPI reads."""

    def __init__(self, path: str, guards: Sequence[params.Depends], parameters: Sequence[inspect.Parameter]) -> None:
        """`path` is the route's, with its parameters in braces. Raises UnsupportedForm."""
        self._dependant = get_dependant(path=path, call=_taking(parameters))
        self._dependant.dependencies[:0] = [
            get_parameterless_sub_dependant(depends=guard, path=path) for guard in guards
        ]
        for dependant in _tree(self._dependant):
            _refuse_unsupported(dependant)
        self.query_names = frozenset(
            field.alias for dependant in _tree(self._dependant) for field in dependant.query_params
        )

    async def solve(self, request: Request, overrides: Any) -> dict[str, Any]:
        """The arguments by name; dependencies run once a request. Raises ValidationFailed and what a guard raises."""
        for name in _STACKS:  # FastAPI asks for them; they stay empty, as dependencies with `yield` are refused
            request.scope.setdefault(name, AsyncExitStack())
        solved = await solve_dependencies(
            request=request,
            dependant=self._dependant,
            dependency_overrides_provider=overrides,
            async_exit_stack=request.scope[_STACKS[0]],
            embed_body_fields=False,
        )
        if solved.errors:
            raise problems.ValidationFailed([_error(error) for error in solved.errors[:ERRORS_MAX]])
        return solved.values


def refuse_unsupported_handler(endpoint: Callable[..., Any]) -> None:
    """Raises UnsupportedForm for a handler that is not `async def` or does not declare an ApiResponse as its result."""
    if not inspect.iscoroutinefunction(endpoint):
        raise UnsupportedForm(endpoint, "write `async def`; run what blocks with `asyncio.to_thread`.")
    returned = get_type_hints(endpoint).get("return")
    if not (isinstance(returned, type) and issubclass(returned, ApiResponse)):
        raise UnsupportedForm(endpoint, "return an ApiResponse, and annotate it: `-> ApiResponse`.")
    for parameter in inspect.signature(endpoint).parameters.values():
        if parameter.kind in _VARIADIC:
            raise UnsupportedForm(endpoint, f"name every parameter in place of `{parameter}`.")


def _refuse_unsupported(dependant: Dependant) -> None:
    call: Callable[..., Any] = dependant.call or Solver
    result = call if inspect.isroutine(call) or isinstance(call, type) else type(call).__call__
    if inspect.isgeneratorfunction(result) or inspect.isasyncgenfunction(result):
        raise UnsupportedForm(call, "return the value in place of `yield`, and use `async with` in the handler.")
    for attribute, sentence in _SENTENCES.items():
        if getattr(dependant, attribute):
            raise UnsupportedForm(call, sentence)


def _taking(parameters: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    """A function with these parameters only, for FastAPI to look at."""

    def handler_parameters() -> None: ...

    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    handler_parameters.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined] # inspect reads it
    return handler_parameters


def _tree(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _tree(dependency)


def _error(error: dict[str, Any]) -> dict[str, str]:
    place, name = error["loc"][0], str(error["loc"][1])
    pointer = f"{{{name}}}" if place == "path" else _PREFIXES.get(place, "") + name
    return {"pointer": pointer, "detail": error["msg"]}
