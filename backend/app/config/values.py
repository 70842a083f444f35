"""What one variable may hold. A type refuses an unsafe or misspelt value with a sentence that says what to do."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from backend.app.config.pasted_url import postgres_url
from backend.app.ratelimit.limit import parse_limit

# What Better Auth signs with when it was given no secret: everybody knows it.
BETTER_AUTH_PUBLIC_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105 - refused below, not used
SECRET_MIN_CHARACTERS = 32
PORT_MAX = 65535
# PostgreSQL cuts longer names off (NAMEDATALEN); two roles are made of one name, the other with `_purge` behind it.
ROLE_MAX_BYTES = 63 - len("_purge")
# What releases before this one used, in every database of a server.
SHARED_ROLE = "tasks_api"

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?")
_URL = re.compile(r"https?://(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")
_QUOTABLE = re.compile(r"[ !#-\[\]-~]+")
# RFC 9110, section 5.1, without `*`: with credentials it means a header of that name.
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")


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


def _http_url(url: str) -> str:
    if not _URL.fullmatch(url) or int(urlsplit(url).netloc.rpartition("]")[2].partition(":")[2] or 0) > PORT_MAX:
        raise ValueError("must be an http or https URL such as https://app.example.com, without a query")
    return url.rstrip("/")


def _quotable(text: str) -> str:
    if not _QUOTABLE.fullmatch(text):
        raise ValueError("must be printable ASCII without quotes and backslashes: refusals quote it in a header")
    return text


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


LowerCase = BeforeValidator(_lower_case)
SharedSecret = Annotated[SecretStr, AfterValidator(_safe_secret)]
VersionedSecrets = Annotated[tuple[SharedSecret, ...], NoDecode, BeforeValidator(_versioned_secrets)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(postgres_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
RoleName = Annotated[str, AfterValidator(_role_name)]
Quotable = Annotated[str, AfterValidator(_quotable)]
Rate = Annotated[str, AfterValidator(_rate)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated), AfterValidator(_exact_origins)]
HeaderNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated), AfterValidator(_header_names)]
