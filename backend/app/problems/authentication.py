"""Errors about who is calling (RFC 6750)."""

from typing import Any, Literal

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
    cause = "The request has no bearer token and no session cookie that is accepted."
    remedy = "Sign in with Better Auth and send its JWT as `Authorization: Bearer <token>`."
    detail = "Send `Authorization: Bearer <token>` with a token from Better Auth."
    fault: TokenFault = "missing"

    def headers(self) -> RawHeaders:
        return [CHALLENGE]


class InvalidToken(AuthenticationRequired):
    """401 for a token that was sent and is not good; `detail` must be quotable in a header (RFC 6750, section 3)."""

    slug, title = "invalid-token", "Invalid token"
    cause = (
        "A token was sent, but it has expired, its signature or a claim is wrong, or it is not a JWT for this service."
    )
    remedy = (
        "Read `detail`, which names the fault. Take a new token from Better Auth; if that one is refused too, compare"
        " the settings of both sides."
    )
    detail = "The token is not valid."

    def __init__(self, detail: str | None = None, fault: TokenFault = "malformed") -> None:
        self.fault = fault
        super().__init__(detail)

    def headers(self) -> RawHeaders:
        challenge = f'Bearer realm="{REALM}", error="invalid_token", error_description="{self.detail}"'
        return [(b"www-authenticate", challenge.encode())]


class ClaimedTokenRefused(Problem):
    """422: the caller's own token is good, but the one in the body is not."""

    status, slug, title = 422, "claimed-token-refused", "Token in the body refused"
    cause = (
        "The token in the body has expired, its signature or a claim is wrong, or it is not a JWT for this service. It "
        "must be as good as the one in `Authorization`."
    )
    remedy = "Read `errors`, which names the fault. Take a new token of the other user from Better Auth."
    detail = "The token in the body is not valid. See `errors` for why."

    def __init__(self, reason: str) -> None:
        """`reason` is a sentence that holds nothing of the token."""
        self.reason = reason
        super().__init__()

    def members(self) -> dict[str, Any]:
        return {"errors": [{"pointer": "#/token", "detail": self.reason}]}


class ClaimNotAllowed(Problem):
    status, slug, title = 403, "claim-not-allowed", "Claim not allowed"
    cause = (
        "The server lets nobody take over the tasks of another user (`CLAIM=off`), or only those of an anonymous user "
        "of Better Auth (`CLAIM=anonymous`), and the token in the body has no `isAnonymous: true`."
    )
    remedy = (
        "Send the anonymous user's token. Where `definePayload` makes the token's contents, let it keep `isAnonymous`. "
        "An operator can set `CLAIM`."
    )
    detail = "Only the tasks of an anonymous user can be claimed here: the token in the body has no isAnonymous."


class UserMismatch(Problem):
    status, slug, title = 403, "user-mismatch", "The path belongs to another user"
    cause = "The token is good, but the user id in the path is not the one in the token."
    remedy = "Use the token's `sub` as the user id in the path."
    detail = "The user id in the path must be the one in the token."


class CrossSiteRequest(Problem):
    status, slug, title = 403, "cross-site-request", "Cross-site request refused"
    cause = "A browser sent the session cookie with a request from a page whose origin is not allowed."
    remedy = "Add the page's origin to `CORS_ORIGINS`, or send a bearer token instead of the cookie."
    detail = (
        "A request with the session cookie must come from a page of an allowed origin (CORS_ORIGINS). "
        "Other programs send a bearer token."
    )


class SigningKeysUnavailable(Unavailable):
    slug, title = "signing-keys-unavailable", "Signing keys unavailable"
    cause = (
        "The token names a signing key that the server has not seen yet, and Better Auth's keys could not be fetched."
    )
    remedy = (
        "Wait for the seconds in `Retry-After` and repeat the request. An operator checks that the server reaches "
        "`BETTER_AUTH_URL`."
    )
    detail = (
        "The token's key is not known yet, and Better Auth, which publishes the keys, cannot be reached. Try again."
    )

    def __init__(self, retry_after: int = 5) -> None:
        """In seconds."""
        self.retry_after = retry_after
        super().__init__()
