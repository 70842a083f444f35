"""The settings that a migration or a purge needs, and how settings are read."""

from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.app.config.values import PostgresUrl, RoleName
from backend.app.problems import StartupError

# What the tables are spread over, beside one PostgreSQL.
Cluster = Literal["citus"]

PROJECT_ROOT = Path(__file__).resolve().parents[3]


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
    database_url: PostgresUrl | None = None
    database_direct_url: PostgresUrl | None = None
    database_cluster: Cluster | None = None
    database_role: RoleName | None = None
    idempotency_ttl: float = Field(default=24 * 3600.0, ge=1)

    @property
    def maintenance_url(self) -> str | None:
        """Where migrations and the purge connect: past a pooler, and as a user who may do more than serve."""
        url = self.database_direct_url or self.database_url
        return None if url is None else url.get_secret_value()

    @property
    def maintenance_setting(self) -> str:
        """Which setting names it."""
        return "DATABASE_URL" if self.database_direct_url is None else "DATABASE_DIRECT_URL"

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
