"""The application in reading order: middleware from the outside in, the routes, and what lives as long as the process.

`uvicorn backend.app.main:app` serves it; importing this module reads no settings and opens nothing.
"""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Never

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match

from backend.app import config, problems
from backend.app.auth.session_cookie import SessionCookies
from backend.app.auth.signatures import PublishedKeys, Signatures
from backend.app.auth.tokens import Parties, TokenVerifier
from backend.app.config import Settings
from backend.app.db.citus import ClusterDatabase
from backend.app.db.database import Database
from backend.app.middleware.jwt import AuthenticationMiddleware
from backend.app.middleware.limits import LimitsMiddleware
from backend.app.middleware.observe import ObserveMiddleware, configure_logging
from backend.app.middleware.path_guard import PathGuardMiddleware
from backend.app.middleware.rate_limit import AnonymousRateLimit, UserRateLimit
from backend.app.problems import StartupError
from backend.app.ratelimit.limiter import RateLimit
from backend.app.routes import account, batch, changes, events, health, tags, tasks, transfer
from backend.app.server import shutdown
from backend.app.server.protocol import CONNECTION_LIMITS, ConnectionLimits
from backend.app.web import app as fast_path
from backend.app.web import openapi
from backend.app.web.idempotency import BEFORE_DEADLINE, IdempotentWrites
from backend.app.web.response_cache import ResponseCache
from backend.app.web.subscriptions import Subscriptions

if TYPE_CHECKING:
    from backend.app.auth.jwks import RemoteKeys
    from backend.app.observability.metrics import Metrics
    from backend.app.observability.tracing import Tracing

VERSION = "0.1.0"
LIVENESS_PATH = "/health"
PUBLIC_PATHS = frozenset({LIVENESS_PATH, "/health/ready"})
DOCUMENTATION_PATHS = frozenset(
    {"/docs", "/docs/init.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"}
)
# What pages may send: the API's own, and what browsers' tracing adds (W3C Trace Context, Baggage, Sentry).
ALLOWED_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer"),
    *("X-Request-ID", "X-Requested-With", "traceparent", "tracestate", "baggage", "sentry-trace"),
)

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
GARBAGE_THRESHOLDS = (20_000, 20, 20)

log = logging.getLogger("tasks")


def create_app(settings: Settings) -> FastAPI:
    """The whole stack for these settings. Connections are opened when the application starts, not here."""
    documented = settings.environment != "production"
    public_paths = PUBLIC_PATHS | DOCUMENTATION_PATHS if documented else PUBLIC_PATHS
    signatures = Signatures(settings.secrets, published=settings.jwks_url is not None)
    verifier = _verifier(settings, signatures)
    remote_keys = _remote_keys(settings, signatures, verifier)
    per_user, per_address = _rate_limits(settings)
    metrics, tracing = _metrics(settings), _tracing(settings)
    app = FastAPI(
        title="Tasks",
        version=VERSION,
        summary="Tasks of many users, where each reaches only their own.",
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
                allow_headers=(*ALLOWED_HEADERS, *settings.cors_allow_headers),
                allow_credentials=True,
                expose_headers=(
                    "ETag",
                    "Idempotency-Replayed",
                    "Link",
                    "Location",
                    "Preference-Applied",
                    "RateLimit",
                    "RateLimit-Policy",
                    "Retry-After",
                    "X-Request-ID",
                    "X-Total-Count",
                ),
            ),
            Middleware(ObserveMiddleware, metrics=metrics, tracing=tracing),
            Middleware(
                LimitsMiddleware,
                max_header_bytes=settings.max_header_bytes,
                request_timeout=settings.request_timeout,
                max_requests=settings.max_requests,
                always_answered=frozenset({LIVENESS_PATH}),
            ),
            Middleware(AnonymousRateLimit, limit=per_address),
            Middleware(
                AuthenticationMiddleware,
                verifier=verifier,
                public_paths=public_paths,
                renew_keys=None if remote_keys is None else remote_keys.look_again,
                cookies=_session_cookies(settings) if settings.auth_cookie else None,
                own_origins=settings.cors_origins,
            ),
            Middleware(UserRateLimit, limit=per_user),
            Middleware(PathGuardMiddleware, public_paths=public_paths),
        ],
        exception_handlers={HTTPException: _raise_problem},
        redirect_slashes=False,
        docs_url=None,
        openapi_url="/openapi.json" if documented else None,
        redoc_url=None,
        telemetry=NO_TELEMETRY if tracing is None else tracing.config,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.writes = IdempotentWrites(
        wait_seconds=max(settings.request_timeout - BEFORE_DEADLINE, 0), kept_seconds=settings.idempotency_ttl
    )
    app.state.answers = ResponseCache(max_bytes=settings.response_cache_bytes, max_age=settings.response_cache_max_age)
    app.state.remote_keys = remote_keys
    app.state.metrics, app.state.tracing = metrics, tracing
    app.state.rate_limits = (per_user, per_address)
    app.state.streams = Subscriptions(
        interval=settings.events_interval, most=settings.max_streams, most_per_user=settings.max_streams_per_user
    )
    # Without include_router, which matches every request against its prefixes once more.
    for module in (tasks, tags, batch, changes, events, transfer, account, health):
        app.router.routes.extend(module.router.routes)
    if documented:
        from backend.app.routes import docs  # noqa: PLC0415 - production does not carry Swagger UI

        app.router.routes.extend(docs.routes())
    document: dict[str, Any] = {}

    def describe() -> dict[str, Any]:
        if not document:
            document.update(openapi.describe(app, public_paths))
        return document

    app.openapi = describe  # type: ignore[method-assign] # FastAPI's documented way to extend the document
    if settings.fast_path == "on":
        fast_path.shorten(app)
    return app


def _verifier(settings: Settings, signatures: Signatures) -> TokenVerifier:
    origin = settings.better_auth_origin
    return TokenVerifier(
        signatures,
        shared=Parties(settings.jwt_issuer, settings.jwt_audience),
        published=Parties(settings.jwt_issuer or origin, settings.jwt_audience or origin),
        max_lifetime=settings.jwt_max_lifetime,
        leeway=settings.jwt_leeway,
        max_length=settings.jwt_max_length,
        cache_size=settings.jwt_cache_size,
    )


def _remote_keys(settings: Settings, signatures: Signatures, verifier: TokenVerifier) -> "RemoteKeys | None":
    if settings.jwks_url is None:
        return None
    from backend.app.auth.jwks import RemoteKeys  # noqa: PLC0415 - an HTTP client is loaded only where keys are fetched

    def replace(keys: PublishedKeys) -> None:
        signatures.replace(keys)
        verifier.forget()

    return RemoteKeys(
        settings.jwks_url,
        replace=replace,
        ttl=settings.jwks_ttl,
        cooldown=settings.jwks_cooldown,
        timeout=settings.jwks_timeout,
        max_bytes=settings.jwks_max_bytes,
    )


def _metrics(settings: Settings) -> "Metrics | None":
    if settings.metrics_port is None:
        return None
    from backend.app.observability.metrics import Metrics  # noqa: PLC0415 - loaded only where something is measured

    return Metrics()


def _tracing(settings: Settings) -> "Tracing | None":
    if settings.traces_url is None:
        return None
    from backend.app.observability.tracing import Tracing  # noqa: PLC0415 - OpenTelemetry's SDK is loaded only where it is asked for

    headers = settings.otel_exporter_otlp_headers
    return Tracing(
        settings.traces_url,
        headers=None if headers is None else headers.get_secret_value(),
        service_name=settings.otel_service_name,
        version=VERSION,
        untraced=PUBLIC_PATHS,
    )


def _rate_limits(settings: Settings) -> tuple[RateLimit, RateLimit]:
    storage = None if settings.rate_limit_storage is None else settings.rate_limit_storage.get_secret_value()
    return RateLimit(settings.rate_limit_per_user, storage), RateLimit(settings.rate_limit_per_address, storage)


def _session_cookies(settings: Settings) -> SessionCookies:
    return SessionCookies(
        settings.secrets,
        prefix=settings.auth_cookie_prefix,
        version=settings.auth_cookie_version,
        secure=settings.environment == "production",
        leeway=settings.jwt_leeway,
        cache_size=settings.jwt_cache_size,
    )


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    settings: Settings = app.state.settings
    configure_logging(settings.log_level)
    _end_with_parent()
    keys = app.state.remote_keys
    async with contextlib.AsyncExitStack() as stack:
        if keys is not None:
            await stack.enter_async_context(keys.kept_fresh())
        for rate_limit in app.state.rate_limits:
            stack.push_async_callback(rate_limit.close)
        stack.enter_context(shutdown.graceful_shutdown(app.state.streams.close))
        url = stack.enter_context(_database_url(settings))
        app.state.database = database = _database(app, url)
        stack.enter_context(_observed(app))
        try:
            # A database that is away does not keep the program from starting; a wall that is missing does.
            with contextlib.suppress(problems.Unavailable):
                await database.verify_isolation()
            _settle_garbage()
            yield {
                CONNECTION_LIMITS: ConnectionLimits(
                    settings.max_header_bytes,
                    settings.header_timeout,
                    settings.send_timeout,
                    settings.max_pipelined_requests,
                )
            }
        finally:
            gc.unfreeze()
            await database.close()
            for handler in log.handlers:
                handler.flush()


def _database(app: FastAPI, url: str) -> Database:
    settings: Settings = app.state.settings
    options: dict[str, Any] = {
        "pool_size": settings.database_pool_size,
        "pool_timeout": settings.database_pool_timeout,
        "connect_timeout": settings.database_connect_timeout,
        "statement_timeout": settings.database_statement_timeout,
        "prepare": settings.database_prepare,
        "on_isolation_failure": _end_program,
        "metrics": app.state.metrics,
    }
    tracing: Tracing | None = app.state.tracing
    if tracing is None:
        return (ClusterDatabase if settings.database_cluster else Database)(url, **options)
    from backend.app.db import traced  # noqa: PLC0415 - as with what it stands on

    kind = traced.TracedClusterDatabase if settings.database_cluster else traced.TracedDatabase
    return kind(url, tracing=tracing, **options)


@contextlib.contextmanager
def _observed(app: FastAPI) -> Iterator[None]:
    """Answer Prometheus and send spans, as far as the settings ask for it."""
    settings: Settings = app.state.settings
    metrics: Metrics | None = app.state.metrics
    tracing: Tracing | None = app.state.tracing
    with contextlib.ExitStack() as stack:
        if tracing is not None:
            stack.enter_context(tracing.exported())
        if metrics is not None and settings.metrics_port is not None:
            pool, streams = app.state.database.pool, app.state.streams
            metrics.look_at(lambda: pool.in_use, lambda: pool.waiting, lambda: pool.size, lambda: streams.count)
            parent = multiprocessing.parent_process()
            supervisor = None if parent is None else parent.pid
            stack.enter_context(metrics.served(settings.metrics_host, settings.metrics_port, supervisor=supervisor))
        yield


def _settle_garbage() -> None:
    """Spare the garbage collector what lives as long as the process, and most of its runs: requests make no cycles."""
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _end_with_parent() -> None:
    """End when uvicorn's reloader or supervisor was killed: its processes would live on and keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _parent_ended, parent.sentinel)


def _parent_ended(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    signal.raise_signal(signal.SIGTERM)


def _database_url(settings: Settings) -> contextlib.AbstractContextManager[str]:
    if settings.database_url is not None:
        return contextlib.nullcontext(settings.database_url.get_secret_value())
    from backend.app.db import embedded  # noqa: PLC0415 - Alembic and the wheel are loaded in development only

    return embedded.joined(migrate=True)


def _end_program(refusal: StartupError) -> None:
    """A wall turned out to be missing while serving: nothing is answered from this database any more."""
    log.critical(str(refusal))
    signal.raise_signal(signal.SIGTERM)


async def _raise_problem(request: Request, error: Exception) -> Never:
    """Starlette's 404 and 405 as problems; Allow names every method of the path, not only its first route's."""
    if isinstance(error, HTTPException) and error.status_code == problems.MethodNotAllowed.status:
        matching = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
        raise problems.MethodNotAllowed({method for route in matching for method in route.methods})
    raise problems.RouteNotFound


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
