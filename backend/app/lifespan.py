"""What lives as long as the process: what the middleware is made of, and what is opened at the start and closed again.

Libraries that only some settings need are imported only where they are asked for.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from backend.app import problems
from backend.app.auth.session_cookie import SessionCookies
from backend.app.auth.signatures import PublishedKeys, Signatures
from backend.app.auth.tokens import Parties, TokenVerifier
from backend.app.config import Settings
from backend.app.db.citus import CITUS
from backend.app.db.database import Database
from backend.app.db.preamble import POSTGRESQL
from backend.app.db.row_security import Expectations
from backend.app.domain.keys import load_collator
from backend.app.observability.logging import configure_logging
from backend.app.observability.observer import Gauges, Observer, combined
from backend.app.problems import StartupError
from backend.app.ratelimit.limiter import RateLimit
from backend.app.repositories.idempotency import KeyLimits
from backend.app.server import process, shutdown
from backend.app.server.protocol import CONNECTION_LIMITS, ConnectionLimits
from backend.app.web.answer_room import AnswerRoom
from backend.app.web.body_room import BodyRoom
from backend.app.web.idempotency import ANSWER_SECONDS, IdempotentWrites
from backend.app.web.request_turns import RequestTurns
from backend.app.web.response_cache import ResponseCache
from backend.app.web.services import Services
from backend.app.web.subscriptions import Subscriptions
from backend.app.web.turns import Turns

if TYPE_CHECKING:
    from backend.app.auth.jwks import RemoteKeys

log = logging.getLogger("tasks")


@dataclass(frozen=True)
class Components:
    """What the middleware is made of: it is there before the application starts, and opens nothing."""

    observer: Observer
    verifier: TokenVerifier
    remote_keys: "RemoteKeys | None"
    session_cookies: SessionCookies | None
    user_rate_limit: RateLimit
    address_rate_limit: RateLimit


def components(settings: Settings, *, version: str, untraced: frozenset[str]) -> Components:
    """As the settings ask for. Requests to `untraced` paths make no spans. Raises StartupError."""
    signatures = Signatures(settings.secrets, published=settings.jwks_url is not None)
    verifier = _verifier(settings, signatures)
    storage = None if settings.rate_limit_storage is None else settings.rate_limit_storage.get_secret_value()
    names = settings.rate_limit_max_names
    return Components(
        observer=_observer(settings, version, untraced),
        verifier=verifier,
        remote_keys=_remote_keys(settings, signatures, verifier),
        session_cookies=_session_cookies(settings) if settings.auth_cookie else None,
        user_rate_limit=RateLimit(settings.rate_limit_per_user, storage, max_names=names),
        address_rate_limit=RateLimit(settings.rate_limit_per_address, storage, max_names=names),
    )


class Lifespan:
    """The application's lifespan: everything that is opened at its start, and closed at its end in reverse order."""

    def __init__(self, settings: Settings, components: Components) -> None:
        self._settings = settings
        self._components = components

    @contextlib.asynccontextmanager
    async def __call__(self, app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        settings, components = self._settings, self._components
        configure_logging(settings.log_level)
        load_collator()
        process.use_own_protocol()
        process.end_with_parent()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(_flush_log)
            if components.remote_keys is not None:
                await stack.enter_async_context(components.remote_keys.kept_fresh())
            for rate_limit in (components.user_rate_limit, components.address_rate_limit):
                stack.push_async_callback(rate_limit.close)
            url = stack.enter_context(_database_url(settings))
            database = _database(url, settings, components.observer)
            stack.push_async_callback(database.close)
            services = app.state.services = _services(settings, components, database)
            stack.enter_context(shutdown.graceful_shutdown(services.subscriptions.close))
            stack.enter_context(components.observer.running(_gauges(services)))
            # A database that is away does not keep the program from starting; a wall that is missing does.
            with contextlib.suppress(problems.Unavailable):
                await database.verify_isolation()
            stack.enter_context(process.rare_garbage_collection())
            yield {CONNECTION_LIMITS: _connection_limits(settings)}


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        settings.max_header_bytes, settings.header_timeout, settings.send_timeout, settings.max_pipelined_requests
    )


def _services(settings: Settings, components: Components, database: Database) -> Services:
    return Services(
        settings=settings,
        observer=components.observer,
        database=database,
        idempotent_writes=IdempotentWrites(
            wait_seconds=max(settings.request_timeout - ANSWER_SECONDS, 0),
            limits=KeyLimits(
                settings.idempotency_ttl,
                settings.max_idempotency_keys_per_user,
                settings.max_idempotency_bytes_per_user,
            ),
        ),
        response_cache=ResponseCache(max_bytes=settings.response_cache_bytes, max_age=settings.response_cache_max_age),
        subscriptions=Subscriptions(
            interval=settings.events_interval,
            max_streams=settings.max_streams,
            max_streams_per_user=settings.max_streams_per_user,
        ),
        body_room=BodyRoom(
            max_bytes=settings.max_body_memory_bytes,
            max_bytes_per_user=settings.max_import_bytes,
            max_at_once=settings.max_concurrent_imports,
            wait_timeout=settings.body_room_timeout,
        ),
        answer_room=AnswerRoom(max_bytes=settings.max_answer_memory_bytes),
        turns=Turns(),
        request_turns=RequestTurns(),
        user_rate_limit=components.user_rate_limit,
        address_rate_limit=components.address_rate_limit,
        verifier=components.verifier,
        remote_keys=components.remote_keys,
    )


def _gauges(services: Services) -> Gauges:
    pool, subscriptions = services.database.pool, services.subscriptions
    return Gauges(
        pool_in_use=lambda: pool.in_use,
        pool_waiting=lambda: pool.waiting,
        pool_size=lambda: pool.size,
        event_streams=lambda: subscriptions.count,
    )


def _database(url: str, settings: Settings, observer: Observer) -> Database:
    return Database(
        url,
        pool_size=settings.database_pool_size,
        connections_per_owner=settings.connections_per_user,
        pool_timeout=settings.database_pool_timeout,
        connect_timeout=settings.database_connect_timeout,
        statement_timeout=settings.database_statement_timeout,
        prepare=settings.database_prepare,
        on_missing_wall=_end_program,
        preamble=CITUS if settings.database_cluster else POSTGRESQL,
        expectations=Expectations(settings.database_role, no_neighbours=settings.environment != "development"),
        observer=observer,
    )


def _database_url(settings: Settings) -> contextlib.AbstractContextManager[str]:
    if settings.database_url is not None:
        return contextlib.nullcontext(settings.database_url.get_secret_value())
    from backend.app.db import embedded  # noqa: PLC0415 - Alembic and the wheel are loaded in development only

    return embedded.joined(migrate=True)


def _end_program(refusal: StartupError) -> None:
    """A wall turned out to be missing while serving: nothing is answered from this database any more."""
    log.critical(str(refusal))
    process.end()


def _flush_log() -> None:
    for handler in log.handlers:
        handler.flush()


def _observer(settings: Settings, version: str, untraced: frozenset[str]) -> Observer:
    observers: list[Observer] = []
    if settings.metrics_port is not None:
        from backend.app.observability.metrics import Metrics  # noqa: PLC0415 - loaded only where something is measured

        observers.append(Metrics(settings.metrics_host, settings.metrics_port))
    if settings.traces_url is not None:
        from backend.app.observability.tracing import Tracing  # noqa: PLC0415 - OpenTelemetry's SDK, likewise

        headers = settings.otel_exporter_otlp_headers
        observers.append(
            Tracing(
                settings.traces_url,
                headers=None if headers is None else headers.get_secret_value(),
                service_name=settings.otel_service_name,
                version=version,
                untraced=untraced,
            )
        )
    return combined(observers)


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
        max_waiting=settings.jwks_max_waiting,
    )


def _session_cookies(settings: Settings) -> SessionCookies:
    return SessionCookies(
        settings.secrets,
        prefix=settings.auth_cookie_prefix,
        version=settings.auth_cookie_version,
        secure=settings.environment == "production",
        leeway=settings.jwt_leeway,
        cache_size=settings.jwt_cache_size,
    )
