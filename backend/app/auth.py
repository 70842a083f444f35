"""Token text -> Principal. Knows JOSE and claims; knows no HTTP and no SQL.

What Better Auth signs, and which of its tokens must not be let in, is told in README.md ("Connecting Better Auth").
"""

import base64
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import orjson
from authlib.oauth2.rfc6750 import BearerTokenValidator, InvalidTokenError
from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import OctKey
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry
from starlette.authentication import BaseUser

ALGORITHM = "HS256"
# RFC 9068, section 2.1 names at+jwt; a token for another purpose says so here (RFC 8725, section 3.11).
ACCEPTED_TYPES = frozenset({"jwt", "at+jwt"})
# Keys or extensions that the token itself would choose (RFC 8725, sections 3.1 and 3.10).
REFUSED_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
# Header, payload, signature (RFC 7515, section 7.1).
SEGMENTS = 3
USER_ID_MAX_CHARACTERS = 255


class InvalidToken(InvalidTokenError):
    """The token is refused; `description` is one sentence for the caller and holds nothing of the token."""

    description: str


@dataclass(frozen=True, slots=True)
class Principal(BaseUser):
    """The caller. `user_id` comes from a verified token and from nowhere else."""

    user_id: str

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.user_id

    @property
    def identity(self) -> str:
        return self.user_id


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
    """Verifies access tokens that are signed with the shared secret (HS256)."""

    def __init__(
        self,
        secret: str,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        max_lifetime: int,
        leeway: int,
        max_length: int,
        cache_size: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`max_lifetime` and `leeway` in seconds, `max_length` in characters.

        `cache_size` is how many verified signatures are remembered; a refused token is never remembered.
        """
        super().__init__()
        self._key = OctKey.import_key(secret.encode())
        self._max_lifetime = max_lifetime
        self._leeway = leeway
        self._max_length = max_length
        self._clock = clock
        self._times = JWTClaimsRegistry(lambda: int(clock()), leeway, exp={"essential": True})
        expected: dict[str, ClaimsOption] = {
            name: {"essential": True, "value": value} for name, value in (("iss", issuer), ("aud", audience)) if value
        }
        self._parties = JWTClaimsRegistry(None, 0, **expected)
        self._verified = lru_cache(maxsize=cache_size)(self._verify)

    def authenticate_token(self, token_string: str) -> VerifiedToken:
        """The token's contents, if its signature and everything that does not depend on the clock hold.

        Raises InvalidToken. Hostile tokens make the JOSE library raise TypeError, RecursionError and others, so
        nothing that goes wrong while reading one is told apart from a refusal.
        """
        if len(token_string) > self._max_length:
            _refuse("The token is too long.")
        try:
            return self._verified(token_string)
        except InvalidToken:
            raise
        except Exception:  # noqa: BLE001 - see above
            _refuse("The token cannot be read.")

    def validate_token(self, token: VerifiedToken, scopes: Any = None, request: Any = None) -> None:  # noqa: ARG002 - authlib's signature
        """Compare the times with the clock (RFC 7519, sections 4.1.4 to 4.1.6). Raises InvalidToken."""
        if token.good_from <= self._clock() < token.good_until:
            return
        try:
            self._times.validate(token.claims)
        except ExpiredTokenError:
            _refuse("The token has expired.")
        except JoseError as error:
            _refuse(_claim_sentence(error))
        if token.claims["exp"] > self._clock() + self._max_lifetime + self._leeway:
            _refuse("The token would live longer than this service allows.")

    def principal(self, token_string: str) -> Principal:
        """Who is calling. Raises InvalidToken."""
        token = self.authenticate_token(token_string)
        self.validate_token(token)
        return token.principal

    def _verify(self, token: str) -> VerifiedToken:
        segments = token.split(".")
        if len(segments) != SEGMENTS:
            _refuse("The token is not a signed JWT: it must have three parts.")
        header, _, _ = (_base64url(segment) for segment in segments)
        _check_header(_json_object(header))
        payload = self._signed_payload(token)
        claims = _json_object(payload)
        try:
            # Only these: the library would compare the times as well, and with no leeway.
            self._parties.validate({name: claims[name] for name in ("iss", "aud") if name in claims})
        except JoseError as error:
            _refuse(_claim_sentence(error))
        times: dict[str, Any] = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        return VerifiedToken(Principal(_user_id(claims)), times, *self._good_between(times))

    def _good_between(self, times: dict[str, Any]) -> tuple[float, float]:
        """A second inside what the JOSE library would allow; nothing where it has to look at the values first."""
        if not (times.keys() >= {"exp"} and all(type(value) in (int, float) for value in times.values())):
            return math.inf, -math.inf
        exp = times["exp"]
        begins = max(exp - self._max_lifetime, times.get("iat", 0), times.get("nbf", 0)) - self._leeway
        return begins + 1, exp + self._leeway - 1

    def _signed_payload(self, token: str) -> bytes:
        try:
            signed = jws.deserialize_compact(token, self._key, algorithms=[ALGORITHM])
        except JoseError:
            _refuse("The token's signature does not match.")
        return signed.payload or b""


def _refuse(description: str) -> NoReturn:
    raise InvalidToken(description=description)


def _base64url(segment: str) -> bytes:
    """RFC 7515, section 2: no padding, no other alphabet, and only the one spelling of the last character."""
    decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        _refuse("The token is not encoded as base64url without padding.")
    return decoded


def _json_object(text: bytes) -> dict[str, Any]:
    document = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    orjson.loads(text)  # bounds the depth, which the standard library leaves to the interpreter: 3.13 has no bound
    if not isinstance(document, dict):
        _refuse("The token's parts must be JSON objects.")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        _refuse("The token names a member twice.")
    return members


def _no_constant(_: str) -> NoReturn:
    _refuse("The token holds a number that JSON does not know.")


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") != ALGORITHM:
        _refuse(f"The token must be signed with {ALGORITHM}.")
    if not REFUSED_HEADERS.isdisjoint(header):
        _refuse("The token's header asks for a key or an extension that is not accepted.")
    if str(header.get("typ", "JWT")).lower() not in ACCEPTED_TYPES:
        _refuse("The token is of another type: typ must be JWT or at+jwt.")
    if not isinstance(header.get("kid", ""), str):
        _refuse("The token's kid must be a string.")


def _user_id(claims: dict[str, Any]) -> str:
    """`sub`, or `user_id` where there is no `sub`.

    No other claim will do: Better Auth signs e-mail-verification tokens with the same secret, and those carry `email`
    and `userId`.
    """
    named = [claims[name] for name in ("sub", "user_id") if name in claims]
    if not named:
        _refuse("The token names no user: sub is missing.")
    user_id = named[0]
    if not all(other == user_id for other in named):
        _refuse("The token names two users: sub and user_id differ.")
    if not isinstance(user_id, str) or not _is_user_id(user_id):
        _refuse(
            f"The token's sub must be 1 to {USER_ID_MAX_CHARACTERS} characters without a slash or control characters."
        )
    return user_id


def _is_user_id(text: str) -> bool:
    return (
        1 <= len(text) <= USER_ID_MAX_CHARACTERS
        and text == text.strip()
        and not any(c == "/" or c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text)
    )


def _claim_sentence(error: JoseError) -> str:
    claim = getattr(error, "claim", "claims")
    return (
        f"The token has no {claim}."
        if isinstance(error, MissingClaimError)
        else f"The token's {claim} is not accepted."
    )
