"""Token text -> Principal: what an access token must say. Knows claims; knows no HTTP, no SQL and no keys.

What Better Auth signs, and which of its tokens must be refused, is told in docs/better-auth.md.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from authlib.oauth2.rfc6750 import BearerTokenValidator
from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwt import JWTClaimsRegistry

from backend.app.auth.principal import USER_ID_MAX_CHARACTERS, Principal, is_valid_user_id
from backend.app.auth.signatures import InvalidToken, Signatures, UnknownKey, refuse

# How Better Auth's own session tokens look: 32 letters and digits, and in a cookie a signature behind them.
_SESSION_TOKEN = re.compile(r"[A-Za-z0-9]{32}(\.[A-Za-z0-9+/%=]{43,60})?")


@dataclass(frozen=True, slots=True)
class Parties:
    """Who a token must be from and for (RFC 7519, sections 4.1.1 and 4.1.3); None is not checked."""

    issuer: str | None = None
    audience: str | None = None

    def check(self, claims: dict[str, Any]) -> None:
        """Raises InvalidToken, with what was expected and never what came."""
        if self.issuer is not None and claims.get("iss") != self.issuer:
            refuse(f"The token's iss must be {self.issuer}.", "issuer")
        audience = claims.get("aud")
        if self.audience is not None and self.audience not in (audience if isinstance(audience, list) else [audience]):
            refuse(f"The token's aud must be {self.audience}.", "audience")


ANYONE = Parties()


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a good signature vouches for. The times are still to be compared with the clock.

    `good_from` and `good_until` are the seconds between which that comparison is known to succeed.
    """

    principal: Principal
    claims: dict[str, Any]
    good_from: float
    good_until: float


class TokenVerifier(BearerTokenValidator):
    """Verifies access tokens, whichever key has signed them."""

    def __init__(
        self,
        signatures: Signatures,
        *,
        shared: Parties = ANYONE,
        published: Parties = ANYONE,
        max_lifetime: int,
        leeway: int,
        max_length: int,
        cache_size: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`shared` is for tokens that are signed with a secret, `published` for those with one of Better Auth's keys.

        `max_lifetime` and `leeway` in seconds, `max_length` in characters. `cache_size` is how many verified signatures
        are remembered; a refused token is never remembered.
        """
        super().__init__()
        self._signatures = signatures
        self._shared = shared
        self._published = published
        self._max_lifetime = max_lifetime
        self._leeway = leeway
        self._max_length = max_length
        self._clock = clock
        self._times = JWTClaimsRegistry(lambda: int(clock()), leeway, exp={"essential": True})
        self._verified = lru_cache(maxsize=cache_size)(self._verify)

    def forget(self) -> None:
        """Look at every signature anew: the keys have changed."""
        self._verified.cache_clear()

    def authenticate_token(self, token_string: str) -> VerifiedToken:
        """The token's contents, if its signature and everything that does not depend on the clock hold.

        Raises InvalidToken. Hostile tokens make the JOSE library raise TypeError, RecursionError and others, so
        nothing that goes wrong while reading one is told apart from a refusal.
        """
        if len(token_string) > self._max_length:
            refuse("The token is too long.")
        try:
            return self._verified(token_string)
        except InvalidToken:
            raise
        except Exception:  # noqa: BLE001 - see above
            refuse("The token cannot be read.")

    def validate_token(self, token: VerifiedToken, scopes: Any = None, request: Any = None) -> None:  # noqa: ARG002 - authlib's signature
        """Compare the times with the clock (RFC 7519, sections 4.1.4 to 4.1.6). Raises InvalidToken."""
        if token.good_from <= self._clock() < token.good_until:
            return
        try:
            self._times.validate(token.claims)
        except ExpiredTokenError:
            refuse("The token has expired.", "expired")
        except JoseError as error:
            refuse(_claim_sentence(error), "times")
        if token.claims["exp"] > self._clock() + self._max_lifetime + self._leeway:
            refuse("The token would live longer than this service allows.", "times")

    def principal(self, token_string: str) -> Principal:
        """Who is calling. Raises InvalidToken, or UnknownKey where a look at the published keys may help."""
        token = self.authenticate_token(token_string)
        self.validate_token(token)
        return token.principal

    def _verify(self, token: str) -> VerifiedToken:
        if _SESSION_TOKEN.fullmatch(token):
            refuse(
                "This is a session token, which only Better Auth can read. Send the JWT from authClient.token().",
                "kind",
            )
        signed = self._signatures.open(token)
        claims = signed.claims
        (self._shared if signed.is_shared else self._published).check(claims)
        times: dict[str, Any] = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        good_from, good_until = self._good_between(times)
        return VerifiedToken(_principal(claims, good_until), times, good_from, good_until)

    def _good_between(self, times: dict[str, Any]) -> tuple[float, float]:
        """A second inside what the JOSE library would allow; nothing where it has to look at the values first."""
        if not (times.keys() >= {"exp"} and all(type(value) in (int, float) for value in times.values())):
            return math.inf, -math.inf
        exp = times["exp"]
        begins = max(exp - self._max_lifetime, times.get("iat", 0), times.get("nbf", 0)) - self._leeway
        return begins + 1, exp + self._leeway - 1


async def current_principal(
    verifier: TokenVerifier, token: str, renew_keys: Callable[[], Awaitable[None]] | None
) -> Principal:
    """Who a token names; `renew_keys` is called for a key that is not known.

    Raises InvalidToken, and what `renew_keys` raises.
    """
    try:
        return verifier.principal(token)
    except UnknownKey:
        if renew_keys is None:
            raise
        await renew_keys()
        return verifier.principal(token)


def _principal(claims: dict[str, Any], good_until: float) -> Principal:
    return Principal(_user_id(claims), good_until, is_anonymous=claims.get("isAnonymous") is True)


def _user_id(claims: dict[str, Any]) -> str:
    """`sub`, or `user_id` where there is no `sub`.

    No other claim will do: Better Auth signs e-mail-verification tokens with the same secret, and those carry `email`
    and `userId`.
    """
    named = [claims[name] for name in ("sub", "user_id") if name in claims]
    if not named:
        refuse("The token names no user: sub is missing.", "user")
    user_id = named[0]
    if not all(other == user_id for other in named):
        refuse("The token names two users: sub and user_id differ.", "user")
    if not isinstance(user_id, str) or not is_valid_user_id(user_id):
        refuse(
            f"The token's sub must be 1 to {USER_ID_MAX_CHARACTERS} characters without a slash or control characters.",
            "user",
        )
    return user_id


def _claim_sentence(error: JoseError) -> str:
    claim = getattr(error, "claim", "claims")
    return (
        f"The token has no {claim}."
        if isinstance(error, MissingClaimError)
        else f"The token's {claim} is not accepted."
    )
