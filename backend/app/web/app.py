"""The FastAPI application, and the fast path: what a request to one of our routes skips of the framework.

`FAST_PATH=off` sends every request through the framework, with the same answers.
"""

from collections.abc import Awaitable
from re import Pattern
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette._utils import get_route_path
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app.observability.observer import NO_TELEMETRY
from backend.app.web import openapi
from backend.app.web.route import StrictRoute


class TasksAPI(FastAPI):
    """A FastAPI application with our OpenAPI document and, with `fast_path`, our dispatcher in place of the router.

    The fast path leaves out Starlette's outermost error handler (ErrorsMiddleware answers every error), FastAPI's
    telemetry and body limit (both off), and its exit stacks (StrictRoute refuses dependencies with `yield`).
    """

    def __init__(self, *, fast_path: bool, public_paths: frozenset[str], **options: Any) -> None:
        self.fast_path = fast_path
        self.public_paths = public_paths
        super().__init__(**options)
        self._is_direct = fast_path and options.get("telemetry") is NO_TELEMETRY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request goes to the middleware at once where FastAPI's and Starlette's layers would do no more."""
        if scope.get("root_path"):
            tidy_prefix(scope)
        stack = self.middleware_stack
        if stack is None or scope["type"] != "http" or self.root_path or not self._is_direct:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await stack(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; it is made on first use."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self, self.public_paths)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """The middleware in the order that the application lists it, around the dispatcher."""
        if not self.fast_path:
            return super().build_middleware_stack()
        handlers: dict[Any, Any] = dict(self.exception_handlers)
        framework = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=handlers)
        stack: ASGIApp = RouteDispatcher(self, otherwise=framework)
        for middleware in reversed(self.user_middleware):
            stack = middleware.cls(stack, *middleware.args, **middleware.kwargs)
        return stack


def tidy_prefix(scope: Scope) -> None:
    """Take the prefix of a proxy for what it is, however `--root-path` spells it: `/backend`, `backend` or `/backend/`.

    The server puts it before every path as it is spelled, and links would lead nowhere.
    """
    given, path = scope["root_path"], scope["path"]
    root_path = f"/{given.strip('/')}".rstrip("/")
    if root_path != given:
        scope["root_path"], scope["path"] = root_path, root_path + path.removeprefix(given)


def answered_methods(route: BaseRoute) -> set[str]:
    """The methods of a route, with HEAD wherever GET is (RFC 9110, section 9.3.2)."""
    methods = set(getattr(route, "methods", None) or ())
    return methods | {"HEAD"} if "GET" in methods else methods


class RouteDispatcher:
    """Calls the StrictRoute that matches method and path; any other request (404, 405, /docs) goes to the framework."""

    def __init__(self, app: FastAPI, *, otherwise: ASGIApp) -> None:
        self.otherwise = otherwise
        self.routes: dict[str, list[tuple[Pattern[str], StrictRoute]]] = {}
        for route in (route for route in app.routes if isinstance(route, StrictRoute)):
            for method in answered_methods(route):
                self.routes.setdefault(method, []).append((route.path_regex, route))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            path = get_route_path(scope)
            for pattern, route in self.routes.get(scope["method"], ()):
                if found := pattern.match(path):
                    scope["route"], scope["path_params"] = route, found.groupdict()
                    return route.answer(scope, receive, send)
        return self.otherwise(scope, receive, send)
