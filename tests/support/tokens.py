"""Tokens as Better Auth signs them, and users whom no other test knows."""

import itertools
import secrets
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support import leaks

SECRET = leaks.secret(secrets.token_urlsafe(48))

_numbers = itertools.count(1)


def token(
    user_id: str | None = None, *, secret: str = SECRET, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """A token as Better Auth signs it for this user: HS256, 15 minutes."""
    now = int(time.time())
    contents: dict[str, Any] = {"iat": now, "exp": now + 900, **claims}
    if user_id is not None:
        contents["sub"] = user_id
    return jwt.encode({"alg": "HS256", **(header or {})}, contents, OctKey.import_key(secret))


def new_user() -> str:
    """A user id that no other test has: rows are never shared between tests."""
    return f"user{next(_numbers)}-{secrets.token_hex(4)}"
