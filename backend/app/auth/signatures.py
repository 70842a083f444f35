"""Token text -> claims whose signature holds: which key may verify which token (RFC 7515, RFC 8725).

Knows JOSE and keys; knows no user and no clock. The token's algorithm alone decides which keys are asked: HS256 the
shared secrets, the others the keys that Better Auth publishes, never both.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from authlib.oauth2.rfc6750 import InvalidTokenError
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from backend.app.problems import TokenFault

SHARED_ALGORITHM = "HS256"
# RFC 7517: what a published key is, and the algorithms that it may verify where it does not name one itself.
PUBLISHED_KEYS: dict[tuple[str, str | None], tuple[type[Key], tuple[str, ...]]] = {
    ("OKP", "Ed25519"): (OKPKey, ("EdDSA",)),
    ("EC", "P-256"): (ECKey, ("ES256",)),
    ("EC", "P-521"): (ECKey, ("ES512",)),
    ("RSA", None): (RSAKey, ("RS256", "PS256")),
}
PUBLISHED_ALGORITHMS = frozenset(name for _, names in PUBLISHED_KEYS.values() for name in names)
# RFC 7518, section 3.3.
RSA_MIN_BITS = 2048

# RFC 9068, section 2.1 names at+jwt; a token for another purpose says so here (RFC 8725, section 3.11).
ACCEPTED_TYPES = frozenset({"jwt", "at+jwt"})
# Keys or extensions that the token itself would choose (RFC 8725, sections 3.1 and 3.10).
REFUSED_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
# Header, payload, signature (RFC 7515, section 7.1).
SEGMENTS = 3

# By key id and algorithm.
PublishedKeys = Mapping[tuple[str, str], Key]


class InvalidToken(InvalidTokenError):
    """The token is refused; `description` is one sentence for the caller and holds nothing of the token."""

    description: str

    def __init__(self, description: str, fault: TokenFault = "malformed") -> None:
        super().__init__(description=description)
        self.fault = fault


class UnknownKey(InvalidToken):
    """The token names a key that is not among the known ones; a look at the published keys may help."""


def refuse(description: str, fault: TokenFault = "malformed") -> NoReturn:
    """Raises InvalidToken; `description` goes to the caller (RFC 6750), `fault` into the metrics."""
    raise InvalidToken(description, fault)


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token whose signature holds."""

    algorithm: str
    claims: dict[str, Any]

    @property
    def is_shared(self) -> bool:
        """Signed with the shared secret, and not with a key that Better Auth keeps for itself."""
        return self.algorithm == SHARED_ALGORITHM


class Signatures:
    """The keys that this service trusts."""

    def __init__(self, secrets: Sequence[str], *, published: bool) -> None:
        """`secrets` are used as UTF-8 and all verify, the first one soonest; `published`: keys come in `replace`."""
        self._secrets = [OctKey.import_key(secret.encode()) for secret in secrets]
        self._published: PublishedKeys | None = {} if published else None

    def replace(self, published: PublishedKeys) -> None:
        """From now on these are the published keys, and no others."""
        self._published = published

    def open(self, token: str) -> SignedToken:
        """Raises InvalidToken, UnknownKey where the token's key is not known, and for hostile tokens much else."""
        segments = token.split(".")
        if len(segments) != SEGMENTS:
            refuse("The token is not a signed JWT: it must have three parts.")
        header, payload, _ = (_base64url(segment) for segment in segments)
        members = json_object(header)
        _check_header(members)
        algorithm = members["alg"]
        if not any(_is_signed(token, key) for key in self._keys(algorithm, members)):
            refuse("The token's signature does not match.", "signature")
        return SignedToken(algorithm, json_object(payload))

    def _keys(self, algorithm: str, header: dict[str, Any]) -> Sequence[Key]:
        if algorithm == SHARED_ALGORITHM:
            if not self._secrets:
                refuse(
                    f"The token is signed with {SHARED_ALGORITHM}, which needs the secret: set BETTER_AUTH_SECRET.",
                    "key",
                )
            return self._secrets
        if algorithm not in PUBLISHED_ALGORITHMS:
            refuse(f"The token must be signed with {' or '.join(self._algorithms())}.", "algorithm")
        if self._published is None:
            refuse(
                f"The token is signed with {algorithm}, which needs Better Auth's public keys: set BETTER_AUTH_URL.",
                "key",
            )
        if "kid" not in header:
            refuse("The token names no key: kid is missing.", "key")
        key = self._published.get((header["kid"], algorithm))
        if key is None:
            raise UnknownKey("The token's kid names no key that Better Auth publishes for its alg.", "key")
        return [key]

    def _algorithms(self) -> list[str]:
        return [
            *([SHARED_ALGORITHM] if self._secrets else []),
            *(sorted(PUBLISHED_ALGORITHMS) if self._published is not None else []),
        ]


def _is_signed(token: str, key: Key) -> bool:
    try:
        jws.deserialize_compact(token, key, registry=SignatureRegistry())
    except JoseError:
        return False
    return True


class SignatureRegistry(jws.JWSRegistry):
    """Without a warning on every use of "EdDSA": RFC 9864 has new names for it, which Better Auth does not write."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]  # that it is accepted here was settled with the choice of the key


class Unusable(ValueError):
    """A JWKS document, or one of its keys, that verifies nothing here."""


def read_published(document: bytes) -> tuple[PublishedKeys, list[str]]:
    """The keys of a JWKS document, and what is wrong with each one that cannot be used.

    Raises Unusable if it is no JWKS (RFC 7517, section 5).
    """
    try:
        members = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise Unusable("not JSON") from None
    listed = members.get("keys") if isinstance(members, dict) else None
    if not isinstance(listed, list):
        raise Unusable("not a JWKS: it has no list of keys")
    keys: dict[tuple[str, str], Key] = {}
    faults = []
    for number, jwk in enumerate(listed, 1):
        try:
            kid, algorithms, key = _published_key(jwk)
        except Unusable as error:
            faults.append(f"key {number}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one key, the others go on working
            faults.append(f"key {number}: it cannot be read ({type(error).__name__})")
        else:
            for algorithm in algorithms:
                keys.setdefault((kid, algorithm), key)
    return keys, faults


def _published_key(jwk: dict[str, Any]) -> tuple[str, tuple[str, ...], Key]:
    kind, algorithms = PUBLISHED_KEYS.get((jwk["kty"], jwk.get("crv")), (None, ()))
    if kind is None:
        raise Unusable("it is of a kind that signs nothing accepted here")
    if "d" in jwk:
        raise Unusable("it is a private key, which nobody should publish")
    if not isinstance(jwk["kid"], str):
        raise Unusable("its kid is not a string")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise Unusable("it is not for signatures")
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    if not algorithms:
        raise Unusable("its alg is not accepted, or not for this kind of key")
    key = kind.import_key(jwk)
    if isinstance(key, RSAKey) and key.public_key.key_size < RSA_MIN_BITS:
        raise Unusable(f"it has fewer than {RSA_MIN_BITS} bits")
    return jwk["kid"], algorithms, key


def _check_header(header: dict[str, Any]) -> None:
    if not isinstance(header.get("alg"), str):
        refuse("The token names no algorithm: alg is missing.", "algorithm")
    if not REFUSED_HEADERS.isdisjoint(header):
        refuse("The token's header asks for a key or an extension that is not accepted.")
    if str(header.get("typ", "JWT")).lower() not in ACCEPTED_TYPES:
        refuse("The token is of another type: typ must be JWT or at+jwt.", "kind")
    if not isinstance(header.get("kid", ""), str):
        refuse("The token's kid must be a string.")


def _base64url(segment: str) -> bytes:
    """RFC 7515, section 2: no padding, no other alphabet, and only the one spelling of the last character."""
    decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        refuse("The token is not encoded as base64url without padding.")
    return decoded


def json_object(text: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8 with no member named twice. Raises InvalidToken, ValueError or RecursionError."""
    document = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    orjson.loads(text)  # bounds the depth, which the standard library leaves to the interpreter: 3.13 has no bound
    if not isinstance(document, dict):
        refuse("The token's parts must be JSON objects.")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        refuse("The token names a member twice.")
    return members


def _no_constant(_: str) -> NoReturn:
    refuse("The token holds a number that JSON does not know.")
