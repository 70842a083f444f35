"""Better Auth's session cookies -> Principal: `session_data` as a JWT, together with the signed `session_token`.

Knows Better Auth's names and claims; it is switched on by AUTH_COOKIE. Who may write with a cookie is decided in
`middleware/jwt.py`: a browser sends cookies for pages that did not ask its user.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from backend.app.auth.principal import Principal, is_valid_user_id
from backend.app.auth.signatures import InvalidToken, Signatures, refuse

SECURE_PREFIX = "__Secure-"
# Better Auth splits a cookie into no more pieces than this.
CHUNKS_MAX = 100
EXPIRED = "The session cookie has expired. Ask Better Auth for the session (authClient.getSession()), which renews it."

UNREADABLE = (
    "The session cookie is not a JWT that is signed with the shared secret: in Better Auth set cookieCache.strategy to "
    "jwt, and leave sessionCookieCache of the jwt plugin off."
)


class SessionCookies:
    """Verifies that both cookies are Better Auth's, belong together, and have not expired."""

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        prefix: str,
        version: str,
        secure: bool,
        leeway: int,
        cache_size: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prefix` and `version` as in Better Auth's `cookiePrefix` and `cookieCache.version`.

        `secure`: only cookies that were set over https (`__Secure-`) count. `leeway` in seconds. `cache_size` is how
        many verified sessions are remembered.
        """
        self._signatures = Signatures(secrets, published=False)
        self._secrets = [secret.encode() for secret in secrets]
        self._names = [f"{SECURE_PREFIX}{prefix}."] if secure else [f"{SECURE_PREFIX}{prefix}.", f"{prefix}."]
        self._version = version
        self._leeway = leeway
        self._clock = clock
        self._verified = lru_cache(maxsize=cache_size)(self._verify)

    def principal(self, header: str) -> Principal | None:
        """Who is signed in, from the Cookie header; None where it has no session. Raises InvalidToken."""
        cookies = _cookies(header)
        # A cookie that only https can have set goes before one that any page of the domain may have set.
        name = next((name for name in self._names if f"{name}session_token" in cookies), None)
        if name is None:
            return None
        data = _joined(cookies, f"{name}session_data")
        if not data:
            refuse(EXPIRED, "expired")
        try:
            principal, good_until = self._verified(unquote(cookies[f"{name}session_token"]), data)
        except InvalidToken:
            raise
        except Exception:  # noqa: BLE001 - as with tokens: hostile ones make the library raise anything
            refuse("The session cookie cannot be read.", "session")
        if self._clock() >= good_until:
            refuse(EXPIRED, "expired")
        return principal

    def _verify(self, session_token: str, data: str) -> tuple[Principal, float]:
        """The principal, and until when both the cookie and its session are good (seconds)."""
        token, _, signature = session_token.rpartition(".")
        if not any(hmac.compare_digest(signature.encode(), _signature(secret, token)) for secret in self._secrets):
            refuse("The session cookie's signature does not match.", "session")
        try:
            claims = self._signatures.open(data).claims
        except InvalidToken:
            refuse(UNREADABLE, "session")
        session, user = claims.get("session"), claims.get("user")
        if not isinstance(session, dict) or not isinstance(user, dict):
            refuse(UNREADABLE, "session")
        if not token or session.get("token") != token:
            refuse("The two session cookies are of different sessions.", "session")
        user_id = user.get("id")
        if not isinstance(user_id, str) or not is_valid_user_id(user_id) or session.get("userId") != user_id:
            refuse("The session cookie names no user, or two.", "session")
        if claims.get("version", "1") != self._version:
            refuse(EXPIRED, "expired")
        good_until = min(_seconds(claims["exp"]) + self._leeway, _timestamp(session["expiresAt"]))
        return Principal(user_id, good_until), good_until


def _signature(secret: bytes, token: str) -> bytes:
    """As Better Auth signs a cookie: HMAC-SHA-256, base64 with padding."""
    return base64.b64encode(hmac.digest(secret, token.encode(), hashlib.sha256))


def _seconds(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError("not a NumericDate (RFC 7519, section 2)")
    return float(value)


def _timestamp(text: str) -> float:
    """JSON of a JavaScript Date: RFC 3339 with an offset."""
    point = datetime.fromisoformat(text)
    if point.tzinfo is None:
        raise ValueError("without an offset")
    return point.timestamp()


def _cookies(header: str) -> dict[str, str]:
    """RFC 6265, section 4.2.1. Of two cookies with one name the first counts, as Better Auth reads them."""
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, separator, value = pair.strip(" \t").partition("=")
        if separator:
            cookies.setdefault(name, value.removeprefix('"').removesuffix('"'))
    return cookies


def _joined(cookies: Mapping[str, str], name: str) -> str:
    if name in cookies:
        return unquote(cookies[name])
    pieces: list[str] = []
    while len(pieces) < CHUNKS_MAX and (piece := cookies.get(f"{name}.{len(pieces)}")) is not None:
        pieces.append(unquote(piece))
    return "".join(pieces)
