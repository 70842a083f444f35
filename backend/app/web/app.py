"""The lean path: what a request to one of our routes skips of the framework.

Nothing is decided here. `FAST_PATH=off` takes every request the framework's own way, with the same answers.
"""

import contextlib
from re import Pattern
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.app.problems import RawHeaders
from backend.app.web.route import StrictRoute


def shorten(app: FastAPI) -> None:
    """Have our middleware and routes called directly, in the order that the application lists them.

    Left out are the framework's outermost error handler (`observe` answers every error), its telemetry and body limit
    (off; `route.py` has its own) and its exit stacks (for dependencies with `yield`, of which there are none).
    """

    def build_stack() -> ASGIApp:
        handlers: dict[Any, Any] = dict(app.exception_handlers)
        framework = ExceptionMiddleware(AsyncExitStackMiddleware(app.router), handlers=handlers)
        stack: ASGIApp = Shortcut(app, otherwise=framework)
        for middleware in reversed(app.user_middleware):
            kind: Any = middleware.cls
            stack = (KnownOrigins if kind is CORSMiddleware else kind)(stack, *middleware.args, **middleware.kwargs)
        return stack

    app.build_middleware_stack = build_stack  # type: ignore[method-assign] # Starlette asks for it on first use


class Shortcut:
    """Finds a route of ours among those of the request's method; all else (404, 405, /docs) goes to the framework."""

    def __init__(self, app: FastAPI, *, otherwise: ASGIApp) -> None:
        self.otherwise = otherwise
        self.routes: dict[str, list[tuple[Pattern[str], StrictRoute]]] = {}
        for route in (route for route in app.routes if isinstance(route, StrictRoute)):
            for method in route.methods or ():
                self.routes.setdefault(method, []).append((route.path_regex, route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = get_route_path(scope)
            for pattern, route in self.routes.get(scope["method"], ()):
                if found := pattern.match(path):
                    scope["route"], scope["path_params"] = route, found.groupdict()
                    await route.answer(scope, receive, send)
                    return
        await self.otherwise(scope, receive, send)


class KnownOrigins(CORSMiddleware):
    """Starlette's CORS, asked once what it adds to an answer for each origin instead of once a request."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, **options)
        self.added = {origin.encode(): self._adds({"origin": origin}) for origin in self.allow_origins}
        self.added_for_strangers = self._adds({"origin": "null"})
        self.added_without_origin = self._adds({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await super().__call__(scope, receive, send)
            return
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        added = self.added_without_origin if origin is None else self.added.get(origin, self.added_for_strangers)

        async def with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self.app(scope, receive, with_cors)

    def _adds(self, request_headers: dict[str, str]) -> RawHeaders:
        """What the library adds to an answer without headers."""
        message: Message = {"type": "http.response.start", "status": 200, "headers": []}

        async def nowhere(_: Message) -> None: ...

        with contextlib.suppress(StopIteration):  # it waits for nothing, so its first step is its last
            self.send(message, nowhere, Headers(request_headers)).send(None)
        return list(message["headers"])
