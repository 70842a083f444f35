"""Errors about who is calling (RFC 6750)."""

from typing import Literal

from backend.app.problems.availability import Unavailable
from backend.app.problems.base import Problem, RawHeaders

REALM = "tasks"
CHALLENGE = (b"www-authenticate", f'Bearer realm="{REALM}"'.encode())

# Why there is no good token, for who counts them; few, and fixed.
TokenFault = Literal[
    "missing",
    "malformed",
    "kind",
    "algorithm",
    "key",
    "signature",
    "issuer",
    "audience",
    "expired",
    "times",
    "user",
    "session",
]


class AuthenticationRequired(Problem):
    """401 for a request without a token: RFC 6750, section 3.1 asks for a challenge without an error code."""

    status, slug, title = 401, "authentication-required", "Authentication required"
    detail = "Send `Authorization: Bearer <token>` with a token from Better Auth."
    fault: TokenFault = "missing"

    def headers(self) -> RawHeaders:
        return [CHALLENGE]


class InvalidToken(AuthenticationRequired):
    """401 for a token that was sent and is not good; `detail` must be quotable in a header (RFC 6750, section 3)."""

    slug, title = "invalid-token", "Invalid token"
    detail = "The token is not valid."

    def __init__(self, detail: str | None = None, fault: TokenFault = "malformed") -> None:
        self.fault = fault
        super().__init__(detail)

    def headers(self) -> RawHeaders:
        challenge = f'Bearer realm="{REALM}", error="invalid_token", error_description="{self.detail}"'
        return [(b"www-authenticate", challenge.encode())]


class UserMismatch(Problem):
    status, slug, title = 403, "user-mismatch", "The path belongs to another user"
    detail = "The user id in the path must be the one in the token."


class CrossSiteRequest(Problem):
    status, slug, title = 403, "cross-site-request", "Cross-site request refused"
    detail = (
        "A request with the session cookie must come from a page of an allowed origin (CORS_ORIGINS). "
        "Other programs send a bearer token."
    )


class SigningKeysUnavailable(Unavailable):
    slug, title = "signing-keys-unavailable", "Signing keys unavailable"
    detail = (
        "The token's key is not known yet, and Better Auth, which publishes the keys, cannot be reached. Try again."
    )

    def __init__(self, retry_after: int = 5) -> None:
        """In seconds."""
        self.seconds = retry_after
        super().__init__()

    def headers(self) -> RawHeaders:
        return [(b"retry-after", b"%d" % self.seconds)]
