"""The settings of `scripts/deliver.py`: who is told of reminders, and how often."""

import base64
import binascii
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from backend.app.config.database import DatabaseSettings
from backend.app.config.values import PORT_MAX, HttpUrl

# Standard Webhooks: a secret has a prefix, and 24 to 64 bytes in base64 behind it.
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_MIN_BYTES, SECRET_MAX_BYTES = 24, 64
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def _webhook_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        length = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
    except binascii.Error:
        length = 0
    if not text.startswith(SECRET_PREFIX) or not SECRET_MIN_BYTES <= length <= SECRET_MAX_BYTES:
        raise ValueError(
            f"must be {SECRET_PREFIX} and {SECRET_MIN_BYTES} to {SECRET_MAX_BYTES} random bytes in base64. Make one "
            f'with `echo "{SECRET_PREFIX}$(openssl rand -base64 32)"` and give it to the receiver, too'
        )
    return secret


class DeliverySettings(DatabaseSettings):
    """Times are in seconds. Nobody but the operator says where reminders go."""

    reminder_url: HttpUrl | None = None
    reminder_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = None
    reminder_interval: float = Field(default=5.0, gt=0)
    reminder_connections: int = Field(default=8, ge=1)
    reminder_timeout: float = Field(default=10.0, gt=0)
    reminder_tries: int = Field(default=5, ge=1)
    reminder_retry_delay: float = Field(default=30.0, gt=0)
    reminder_max_age: float = Field(default=24 * 3600.0, gt=0)
    reminder_metrics_port: int | None = Field(default=None, ge=1, le=PORT_MAX)
    metrics_host: str = "127.0.0.1"

    @property
    def secret_key(self) -> bytes:
        """The bytes that messages are signed with."""
        secret = "" if self.reminder_secret is None else self.reminder_secret.get_secret_value()
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX))

    @model_validator(mode="after")
    def _somewhere_to_tell(self) -> Self:
        if self.reminder_url is None or self.reminder_secret is None:
            raise ValueError(
                "REMINDER_URL and REMINDER_SECRET are required: where reminders are sent, and what signs them. "
                f'Make a secret with `echo "{SECRET_PREFIX}$(openssl rand -base64 32)"`'
            )
        host = urlsplit(self.reminder_url).netloc.partition(":")[0] if "[" not in self.reminder_url else "[::1]"
        if self.reminder_url.startswith("http://") and host not in _LOCAL and self.environment != "development":
            raise ValueError("REMINDER_URL must use https:// outside development, or name this machine (localhost)")
        if self.reminder_retry_delay <= self.reminder_timeout:
            raise ValueError(
                "REMINDER_RETRY_DELAY must be longer than REMINDER_TIMEOUT: a try must be over before the next one"
            )
        return self
