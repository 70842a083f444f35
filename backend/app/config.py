"""Settings from the environment and `.env`; the only module that reads either.

A value that would make the service unsafe is refused here, before anything starts, with a sentence that says what to
do.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.app.problems import StartupError
from backend.app.ratelimit.limit import parse_limit

# Whether each connection prepares its statements: auto is "unless the URL names a transaction pooler".
Prepare = Literal["auto", "on", "off"]
# Whose tasks a user may take over, beside their own.
Claimed = Literal["off", "anonymous", "any"]
# What the tables are spread over, beside one PostgreSQL.
Cluster = Literal["citus"]

PROJECT_ROOT = Path(__file__).resolve().parents[2]

# What Better Auth signs with when it was given no secret: everybody knows it.
BETTER_AUTH_PUBLIC_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105 - refused below, not used
SECRET_MIN_CHARACTERS = 32
PORT_MAX = 65535
# PostgreSQL cuts longer names off (NAMEDATALEN); two roles are made of one name, the other with `_purge` behind it.
ROLE_MAX_BYTES = 63 - len("_purge")
# What releases before this one used, in every database of a server.
SHARED_ROLE = "tasks_api"
# Where OpenTelemetry's specification looks for a collector that nobody has named.
OTLP_COLLECTOR = "http://localhost:4318"

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?")
_URL = re.compile(r"https?://(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")
_QUOTABLE = re.compile(r"[ !#-\[\]-~]+")
# RFC 9110, section 5.1, without `*`: with credentials it means a header of that name.
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")
_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


def _safe_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text == BETTER_AUTH_PUBLIC_SECRET:
        raise ValueError(
            "is the public default that Better Auth uses when it has no secret, so anyone can sign tokens with it. "
            "Make one with `openssl rand -base64 32` and give it to both Better Auth and this backend"
        )
    if len(text) < SECRET_MIN_CHARACTERS:
        raise ValueError(
            f"has fewer than {SECRET_MIN_CHARACTERS} characters. Make one with `openssl rand -base64 32` "
            "and give it to both Better Auth and this backend"
        )
    return secret


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _versioned_secrets(value: object) -> object:
    """`2:new,1:old`, as Better Auth reads it: a version, a colon, the secret; the first one signs."""
    if not isinstance(value, str):
        return value
    secrets: dict[int, SecretStr] = {}
    for entry in value.split(","):
        version, colon, secret = entry.strip().partition(":")
        if not (colon and version.isdecimal() and version.isascii()):
            raise ValueError("must be versions with their secrets, the newest first: `2:new,1:old`")
        if int(version) in secrets:
            raise ValueError("has a version twice: each must be unique")
        secrets[int(version)] = SecretStr(secret.strip())
    return tuple(secrets.values())


def _origin_with_path(url: str) -> str:
    if not _URL.fullmatch(url) or int(urlsplit(url).netloc.rpartition("]")[2].partition(":")[2] or 0) > PORT_MAX:
        raise ValueError("must be an http or https URL such as https://app.example.com, without a query")
    return url.rstrip("/")


def _quotable(text: str) -> str:
    if not _QUOTABLE.fullmatch(text):
        raise ValueError("must be printable ASCII without quotes and backslashes: refusals quote it in a header")
    return text


def _postgres_url(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    if scheme not in ("postgres", "postgresql") or not separator:
        raise ValueError("must start with postgresql:// (or postgres://). Paste the URL as your provider shows it")
    return SecretStr(f"postgresql://{rest}")


def _role_name(name: str) -> str:
    if len(name.encode()) > ROLE_MAX_BYTES or not name.isprintable() or name.startswith("pg_") or name == SHARED_ROLE:
        raise ValueError(
            f"must be a role of this database's own: at most {ROLE_MAX_BYTES} bytes, without control characters, "
            f"not {SHARED_ROLE} and not beginning with pg_"
        )
    return name


def _rate(text: str) -> str:
    parse_limit(text)
    return text


def _redis_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "redis+unix://")):
        raise ValueError("must be the URL of a Redis: redis://host:6379/0 (rediss:// with TLS)")
    return url


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _exact_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin == "*":
            raise ValueError(
                "must not be `*`: browsers refuse it together with credentials. "
                "List the exact origins of your frontends, separated by commas"
            )
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "must be exact origins in lower case such as https://app.example.com, separated by commas: "
                "scheme, host and port, with no path and no slash at the end"
            )
    return origins


def _header_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError("must be names of headers such as X-Client-Version, separated by commas, and not `*`")
    return names


class DatabaseSettings(BaseSettings):
    """What a migration or a purge needs to know: which environment, where the database is, what is kept how long."""

    model_config = SettingsConfigDict(
        env_file=PROJECT_ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "staging", "production"] = "development"
    database_url: Annotated[SecretStr, AfterValidator(_postgres_url)] | None = None
    database_direct_url: Annotated[SecretStr, AfterValidator(_postgres_url)] | None = None
    database_cluster: Cluster | None = None
    database_role: Annotated[str, AfterValidator(_role_name)] | None = None
    idempotency_ttl: float = Field(default=24 * 3600.0, ge=1)

    @property
    def maintenance_url(self) -> str | None:
        """Where migrations and the purge connect: past a pooler, and as a user who may do more than serve."""
        url = self.database_direct_url or self.database_url
        return None if url is None else url.get_secret_value()

    @model_validator(mode="after")
    def _database_beside_its_direct_url(self) -> Self:
        for name, value in (
            ("DATABASE_DIRECT_URL", self.database_direct_url),
            ("DATABASE_CLUSTER", self.database_cluster),
        ):
            if value is not None and self.database_url is None:
                raise ValueError(f"{name} needs DATABASE_URL: the database that requests are answered from")
        return self

    @model_validator(mode="after")
    def _database_outside_development(self) -> Self:
        if self.database_url is None and self.environment != "development":
            raise ValueError(
                f"DATABASE_URL is required when ENVIRONMENT is {self.environment}. "
                "Set it to the postgresql:// URL of your database"
            )
        return self


class Settings(DatabaseSettings):
    """Everything that can be set. `.env.example` says what each is for; times are in seconds, sizes in bytes."""

    better_auth_secret: Annotated[SecretStr, AfterValidator(_safe_secret)] | None = None
    better_auth_secrets: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_safe_secret)], ...], NoDecode, BeforeValidator(_versioned_secrets)
    ] = ()
    better_auth_url: Annotated[str, AfterValidator(_origin_with_path)] | None = None
    better_auth_jwks_url: Annotated[str, AfterValidator(_origin_with_path)] | None = None
    jwks_ttl: float = Field(default=300.0, ge=1)
    jwks_cooldown: float = Field(default=30.0, ge=1)
    jwks_timeout: float = Field(default=5.0, gt=0)
    jwks_max_waiting: int = Field(default=50, ge=1)
    jwks_max_bytes: int = Field(default=256 * 1024, ge=1024)

    jwt_issuer: Annotated[str, AfterValidator(_quotable)] | None = None
    jwt_audience: Annotated[str, AfterValidator(_quotable)] | None = None
    jwt_max_lifetime: int = Field(default=30 * 24 * 3600, ge=60)
    jwt_leeway: int = Field(default=30, ge=0, le=300)
    jwt_max_length: int = Field(default=8192, ge=256)
    jwt_cache_size: int = Field(default=2048, ge=0)

    auth_cookie: bool = False
    auth_cookie_prefix: str = Field(default="better-auth", pattern=r"^[A-Za-z0-9_.-]+$")
    auth_cookie_version: str = "1"
    claim: Annotated[Claimed, BeforeValidator(_lower_case)] = "anonymous"

    cors_origins: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_comma_separated), AfterValidator(_exact_origins)
    ] = ("http://localhost:3000",)
    cors_allow_headers: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_comma_separated), AfterValidator(_header_names)
    ] = ()

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
    max_concurrent_imports: int = Field(default=2, ge=1)
    body_room_timeout: float = Field(default=5.0, gt=0)
    max_tasks_per_user: int = Field(default=100_000, ge=1)
    max_subtasks: int = Field(default=200, ge=1)
    max_lists: int = Field(default=500, ge=1, le=1000)
    max_completions: int = Field(default=10_000, ge=1)
    max_apply_tasks: int = Field(default=1_000, ge=1)
    max_idempotency_keys_per_user: int = Field(default=10_000, ge=1)
    max_idempotency_bytes_per_user: int = Field(default=16 * 1024 * 1024, ge=1024 * 1024)

    rate_limit_per_user: Annotated[str, AfterValidator(_rate)] = "1200/minute"
    rate_limit_per_address: Annotated[str, AfterValidator(_rate)] = "300/minute"
    rate_limit_max_names: int = Field(default=50_000, ge=1)
    rate_limit_storage: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None

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
    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_origin_with_path)] | None = None
    otel_exporter_otlp_traces_endpoint: Annotated[str, AfterValidator(_origin_with_path)] | None = None
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str | None = None

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower_case)] = "info"

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


AnySettings = TypeVar("AnySettings", bound=DatabaseSettings)


def load(kind: type[AnySettings]) -> AnySettings:
    """Read settings of this kind from the environment and `.env`.

    Raises StartupError with one sentence per refused variable; no sentence ever holds a value.
    """
    try:
        return kind()
    except ValidationError as error:
        # `from None`: the original carries the input.
        raise StartupError("\n".join(_sentence(dict(e)) for e in error.errors(include_input=False))) from None


def _sentence(error: dict[str, object]) -> str:
    location = error["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name} {message}.".strip() if name else f"{message}."
