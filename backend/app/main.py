"""The application in reading order: middleware from the outside in, then the routes.

`uvicorn backend.app.main:app` serves it; importing this module reads no settings and opens nothing.
"""

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match

from backend.app import config, problems
from backend.app.config import Settings
from backend.app.lifespan import Components, Lifespan, components
from backend.app.middleware import cors
from backend.app.middleware.access_log import AccessLogMiddleware
from backend.app.middleware.cors import KnownOriginsCORS
from backend.app.middleware.errors import ErrorsMiddleware
from backend.app.middleware.jwt import AuthenticationMiddleware
from backend.app.middleware.limits import LimitsMiddleware, UserRequestLimit
from backend.app.middleware.path_guard import PathGuardMiddleware
from backend.app.middleware.rate_limit import AnonymousRateLimit, UserRateLimit
from backend.app.problems import StartupError
from backend.app.routes import (
    account,
    apply,
    batch,
    changes,
    claim,
    completions,
    events,
    health,
    lists,
    tags,
    tasks,
    transfer,
    trash,
)
from backend.app.web.app import TasksAPI, answered_methods
from backend.app.web.responses import ApiResponse

VERSION = "0.1.0"
LIVENESS_PATH = "/health"
PUBLIC_PATHS = frozenset({LIVENESS_PATH, "/health/ready"})
DOCUMENTATION_PATHS = frozenset(
    {"/", "/docs", "/docs/init.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"}
)


def create_app(settings: Settings) -> FastAPI:
    """The whole stack for these settings. Connections are opened when the application starts, not here."""
    documented = settings.environment != "production"
    public_paths = PUBLIC_PATHS | DOCUMENTATION_PATHS if documented else PUBLIC_PATHS
    parts = components(settings, version=VERSION, untraced=PUBLIC_PATHS)
    app = TasksAPI(
        fast_path=settings.fast_path == "on",
        public_paths=public_paths,
        title="Tasks",
        version=VERSION,
        summary="Tasks of many users, where each reaches only their own.",
        middleware=_middleware(settings, parts, public_paths),
        exception_handlers={HTTPException: _answer_unmatched},
        redirect_slashes=False,
        docs_url=None,
        openapi_url="/openapi.json" if documented else None,
        redoc_url=None,
        telemetry=parts.observer.telemetry,
        lifespan=Lifespan(settings, parts),
    )
    # Without include_router, which matches every request against its prefixes once more.
    of_tasks = (tasks, lists, completions, trash, tags, apply, batch)
    for module in (*of_tasks, changes, events, transfer, claim, account, health):
        app.router.routes.extend(module.router.routes)
    if documented:
        from backend.app.routes import docs  # noqa: PLC0415 - production does not carry Swagger UI

        app.router.routes.extend(docs.routes())
    return app


def _middleware(settings: Settings, parts: Components, public_paths: frozenset[str]) -> list[Middleware]:
    """From the outside in."""
    return [
        Middleware(
            KnownOriginsCORS if settings.fast_path == "on" else CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=cors.METHODS,
            allow_headers=(*cors.REQUEST_HEADERS, *settings.cors_allow_headers),
            allow_credentials=True,
            allow_private_network=True,
            expose_headers=cors.ANSWER_HEADERS,
        ),
        Middleware(ErrorsMiddleware, observer=parts.observer),
        Middleware(AccessLogMiddleware, observer=parts.observer),
        Middleware(
            LimitsMiddleware,
            max_header_bytes=settings.max_header_bytes,
            request_timeout=settings.request_timeout,
            max_requests=settings.max_requests,
            always_answered=frozenset({LIVENESS_PATH}),
        ),
        Middleware(AnonymousRateLimit, limit=parts.address_rate_limit),
        Middleware(
            AuthenticationMiddleware,
            verifier=parts.verifier,
            public_paths=public_paths,
            renew_keys=None if parts.remote_keys is None else parts.remote_keys.look_again,
            cookies=parts.session_cookies,
            own_origins=settings.cors_origins,
        ),
        Middleware(UserRateLimit, limit=parts.user_rate_limit),
        Middleware(UserRequestLimit, max_requests=settings.max_requests_per_user),
        Middleware(PathGuardMiddleware, public_paths=public_paths),
    ]


async def _answer_unmatched(request: Request, error: Exception) -> ApiResponse:
    """Starlette's 404 and 405 as problems; Allow names every method of the path, not only its first route's.

    OPTIONS is answered with it (RFC 9110, section 9.3.7): some proxies ask so whether a process lives.
    """
    if not isinstance(error, HTTPException) or error.status_code != problems.MethodNotAllowed.status:
        raise problems.RouteNotFound
    matching = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in matching for method in answered_methods(route)}
    if request.method == "OPTIONS":
        return ApiResponse(204, allow=", ".join(sorted({*methods, "OPTIONS"})))
    raise problems.MethodNotAllowed(methods)


def __getattr__(name: str) -> FastAPI:
    """`app`, made when uvicorn asks for it (PEP 562)."""
    if name != "app":
        raise AttributeError(name)
    try:
        app = create_app(config.load(Settings))
    except StartupError as refusal:
        raise SystemExit(f"Refusing to start.\n{refusal}") from None
    globals()["app"] = app
    return app
