"""Settings from the environment and `.env`; the only module that reads either.

A value that would make the service unsafe is refused here, before anything starts, with a sentence that says what to
do.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# Whether each connection prepares its statements: auto is "unless the URL names a transaction pooler".
Prepare = Literal["auto", "on", "off"]

PROJECT_ROOT = Path(__file__).resolve().parents[2]

# What Better Auth signs with when it was given no secret: everybody knows it.
BETTER_AUTH_PUBLIC_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105 - refused below, not used
SECRET_MIN_CHARACTERS = 32

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?")
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


def _postgres_url(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    if scheme not in ("postgres", "postgresql") or not separator:
        raise ValueError("must start with postgresql:// (or postgres://). Paste the URL as your provider shows it")
    return SecretStr(f"postgresql://{rest}")


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


class DatabaseSettings(BaseSettings):
    """What a migration needs to know: which environment, and where the database is."""

    model_config = SettingsConfigDict(
        env_file=PROJECT_ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "staging", "production"] = "development"
    database_url: Annotated[SecretStr, AfterValidator(_postgres_url)] | None = None

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

    better_auth_secret: Annotated[SecretStr, AfterValidator(_safe_secret)]
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_max_lifetime: int = Field(default=30 * 24 * 3600, ge=60)
    jwt_leeway: int = Field(default=30, ge=0, le=300)
    jwt_max_length: int = Field(default=8192, ge=256)
    jwt_cache_size: int = Field(default=2048, ge=0)

    cors_origins: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_comma_separated), AfterValidator(_exact_origins)
    ] = ("http://localhost:3000",)

    database_pool_size: int = Field(default=10, ge=1)
    database_pool_timeout: float = Field(default=3.0, gt=0)
    database_connect_timeout: float = Field(default=5.0, gt=0)
    database_statement_timeout: float = Field(default=5.0, ge=0.001)
    database_prepare: Prepare = "auto"
    lean_path: Literal["on", "off"] = "on"

    request_timeout: float = Field(default=15.0, gt=0)
    max_body_bytes: int = Field(default=64 * 1024, ge=1024)
    max_header_bytes: int = Field(default=32 * 1024, ge=1024)
    max_tasks_per_user: int = Field(default=100_000, ge=1)

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _https_origins_in_production(self) -> Self:
        for origin in self.cors_origins if self.environment == "production" else ():
            if origin.startswith("http://") and not _LOOPBACK.fullmatch(origin):
                raise ValueError(
                    "CORS_ORIGINS must use https:// in production: anyone on the way can rewrite an http page"
                )
        return self


class RefusedToStart(Exception):
    """The program must not serve as things are; the message tells the person who starts it what to do."""


AnySettings = TypeVar("AnySettings", bound=DatabaseSettings)


def load(kind: type[AnySettings]) -> AnySettings:
    """Read settings of this kind from the environment and `.env`.

    Raises RefusedToStart with one sentence per refused variable; no sentence ever holds a value.
    """
    try:
        return kind()
    except ValidationError as error:
        # `from None`: the original carries the input.
        raise RefusedToStart("\n".join(_sentence(dict(e)) for e in error.errors(include_input=False))) from None


def _sentence(error: dict[str, object]) -> str:
    location = error["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else ""
    if error["type"] == "missing":
        return (
            f"{name} is required. Set it in the environment or in .env; `./scripts/dev.sh` writes a .env for "
            "development, and .env.example describes every setting."
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name} {message}.".strip() if name else f"{message}."
