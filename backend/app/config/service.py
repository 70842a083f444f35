"""The settings of the service."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from backend.app.config.database import DatabaseSettings
from backend.app.config.values import (
    PORT_MAX,
    HeaderNames,
    HttpUrl,
    LowerCase,
    Origins,
    Quotable,
    Rate,
    RedisUrl,
    SharedSecret,
    VersionedSecrets,
)

# Whether each connection prepares its statements: auto is "unless the URL names a transaction pooler".
Prepare = Literal["auto", "on", "off"]
# Whose tasks a user may take over, beside their own.
Claimed = Literal["off", "anonymous", "any"]

# Where OpenTelemetry's specification looks for a collector that nobody has named.
OTLP_COLLECTOR = "http://localhost:4318"

_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class Settings(DatabaseSettings):
    """Everything that can be set. `.env.example` says what each is for; times are in seconds, sizes in bytes."""

    better_auth_secret: SharedSecret | None = None
    better_auth_secrets: VersionedSecrets = ()
    better_auth_url: HttpUrl | None = None
    better_auth_jwks_url: HttpUrl | None = None
    jwks_ttl: float = Field(default=300.0, ge=1)
    jwks_cooldown: float = Field(default=30.0, ge=1)
    jwks_timeout: float = Field(default=5.0, gt=0)
    jwks_max_waiting: int = Field(default=50, ge=1)
    jwks_max_bytes: int = Field(default=256 * 1024, ge=1024)

    jwt_issuer: Quotable | None = None
    jwt_audience: Quotable | None = None
    jwt_max_lifetime: int = Field(default=30 * 24 * 3600, ge=60)
    jwt_leeway: int = Field(default=30, ge=0, le=300)
    jwt_max_length: int = Field(default=8192, ge=256)
    jwt_cache_size: int = Field(default=2048, ge=0)

    auth_cookie: bool = False
    auth_cookie_prefix: str = Field(default="better-auth", pattern=r"^[A-Za-z0-9_.-]+$")
    auth_cookie_version: str = "1"
    claim: Annotated[Claimed, LowerCase] = "anonymous"

    cors_origins: Origins = ("http://localhost:3000",)
    cors_allow_headers: HeaderNames = ()

    database_pool_size: int = Field(default=10, ge=1)
    database_connections_per_user: int | None = Field(default=None, ge=1)
    database_pool_timeout: float = Field(default=3.0, gt=0)
    database_connect_timeout: float = Field(default=5.0, gt=0)
    database_statement_timeout: float = Field(default=5.0, ge=0.001)
    database_prepare: Prepare = "auto"
    fast_path: Literal["on", "off"] = "on"

    request_timeout: float = Field(default=15.0, gt=0)
    max_body_bytes: int = Field(default=64 * 1024, ge=1024)
    max_header_bytes: int = Field(default=32 * 1024, ge=1024)
    header_timeout: float = Field(default=10.0, gt=0)
    send_timeout: float = Field(default=30.0, gt=0)
    max_pipelined_requests: int = Field(default=8, ge=1)
    response_cache_bytes: int = Field(default=16 * 1024 * 1024, ge=0)
    response_cache_max_age: float = Field(default=60, ge=0)
    max_requests: int = Field(default=1000, ge=1)
    max_requests_per_user: int = Field(default=100, ge=1)
    max_batch_bytes: int = Field(default=512 * 1024, ge=1024)
    max_import_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_foreign_import_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_body_memory_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_answer_memory_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_concurrent_imports: int = Field(default=2, ge=1)
    body_room_timeout: float = Field(default=5.0, gt=0)
    max_tasks_per_user: int = Field(default=100_000, ge=1)
    max_subtasks: int = Field(default=200, ge=1)
    max_lists: int = Field(default=500, ge=1, le=1000)
    max_completions: int = Field(default=10_000, ge=1)
    max_apply_tasks: int = Field(default=1_000, ge=1)
    max_idempotency_keys_per_user: int = Field(default=10_000, ge=1)
    max_idempotency_bytes_per_user: int = Field(default=16 * 1024 * 1024, ge=1024 * 1024)

    rate_limit_per_user: Rate = "1200/minute"
    rate_limit_per_address: Rate = "300/minute"
    rate_limit_max_names: int = Field(default=50_000, ge=1)
    rate_limit_storage: RedisUrl | None = None

    events_interval: float = Field(default=1.0, gt=0)
    events_heartbeat: float = Field(default=15.0, gt=0)
    events_lifetime: float = Field(default=3600.0, gt=0)
    max_streams: int = Field(default=1000, ge=0)
    max_streams_per_user: int = Field(default=10, ge=0)

    metrics_port: int | None = Field(default=None, ge=1, le=PORT_MAX)
    metrics_host: str = "127.0.0.1"

    # OpenTelemetry's own names; its SDK reads more of them, and from the environment alone.
    otel_sdk_disabled: bool = False
    otel_traces_exporter: Literal["otlp", "none"] | None = None
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    otel_exporter_otlp_traces_endpoint: HttpUrl | None = None
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str | None = None

    log_level: Annotated[Literal["debug", "info", "warning", "error"], LowerCase] = "info"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The shared secrets, the one that signs first: BETTER_AUTH_SECRETS wins over BETTER_AUTH_SECRET."""
        single = () if self.better_auth_secret is None else (self.better_auth_secret,)
        return tuple(secret.get_secret_value() for secret in self.better_auth_secrets or single)

    @property
    def connections_per_user(self) -> int:
        """A third of the pool and at least 2, unless it is set; never more than there are."""
        share = self.database_connections_per_user or max(2, self.database_pool_size // 3)
        return min(share, self.database_pool_size)

    @property
    def jwks_url(self) -> str | None:
        """Where Better Auth publishes its keys. Like Better Auth, takes a URL with a path as the one of its API."""
        if self.better_auth_jwks_url or self.better_auth_url is None:
            return self.better_auth_jwks_url
        api = self.better_auth_url if urlsplit(self.better_auth_url).path else f"{self.better_auth_url}/api/auth"
        return f"{api}/jwks"

    @property
    def traces_url(self) -> str | None:
        """Where spans are sent; None where there are none."""
        given = self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint
        if self.otel_sdk_disabled or self.otel_traces_exporter == "none" or not (given or self.otel_traces_exporter):
            return None
        return self.otel_exporter_otlp_traces_endpoint or f"{given or OTLP_COLLECTOR}/v1/traces"

    @property
    def better_auth_origin(self) -> str | None:
        """What Better Auth writes as iss and aud: its URL without a path."""
        if self.better_auth_url is None:
            return None
        parts = urlsplit(self.better_auth_url)
        default_port = {"https": ":443", "http": ":80"}[parts.scheme]
        return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port)}"

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if not self.secrets and self.jwks_url is None:
            raise ValueError(
                "BETTER_AUTH_SECRET or BETTER_AUTH_URL is required: the secret that you share with Better Auth, or the "
                "URL under which Better Auth publishes its keys. Set one in the environment or in .env; "
                "`./scripts/dev.sh` writes a .env for development, and .env.example describes every setting"
            )
        if self.auth_cookie and not self.secrets:
            raise ValueError("AUTH_COOKIE needs BETTER_AUTH_SECRET: Better Auth signs its cookies with it")
        if self.better_auth_jwks_url and not (self.better_auth_url or (self.jwt_issuer and self.jwt_audience)):
            raise ValueError(
                "BETTER_AUTH_JWKS_URL needs JWT_ISSUER and JWT_AUDIENCE, or BETTER_AUTH_URL to take both from: "
                "Better Auth signs other tokens with the same keys, for other services"
            )
        return self

    @model_validator(mode="after")
    def _https_for_keys(self) -> Self:
        url = self.jwks_url
        if url is not None and url.startswith("http://") and self.environment != "development":
            raise ValueError(
                "BETTER_AUTH_URL and BETTER_AUTH_JWKS_URL must use https:// outside development: "
                "whoever can change the answer on its way chooses the keys"
            )
        return self

    @model_validator(mode="after")
    def _https_origins_in_production(self) -> Self:
        for origin in self.cors_origins if self.environment == "production" else ():
            if origin.startswith("http://") and not _LOOPBACK.fullmatch(origin):
                raise ValueError(
                    "CORS_ORIGINS must use https:// in production: anyone on the way can rewrite an http page"
                )
        return self
