"""Session cookies as Better Auth signs them."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tests.support.token_table import sign
from tests.support.tokens import SECRET

NOW = 1_800_000_000


TOKEN = "A" * 32


def cookie_token(text: str = TOKEN, secret: str = SECRET) -> str:
    tag = base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256)).decode()
    return quote(f"{text}.{tag}", safe="")


def claims(user_id: Any = "u1", now: float = NOW, **changes: Any) -> dict[str, Any]:
    """What Better Auth puts into session_data."""
    expires = datetime.fromtimestamp(now + 3600, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "session": {"token": TOKEN, "userId": user_id, "expiresAt": expires, "id": "s1"},
        "user": {"id": user_id, "email": "a@example.com"},
        "updatedAt": now * 1000,
        "version": "1",
        "iat": now,
        "exp": now + 300,
        **changes,
    }


def signed_data(
    contents: dict[str, Any] | None = None, header: dict[str, Any] | None = None, secret: str = SECRET
) -> str:
    members = json.dumps({"alg": "HS256"} if header is None else header)
    return sign(members.encode(), json.dumps(claims() if contents is None else contents).encode(), secret=secret)


def claims_now(user_id: str) -> dict[str, Any]:
    return claims(user_id, now=int(time.time()))
