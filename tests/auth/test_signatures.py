"""Which key may verify which token: the truth table of algorithms and keys, and of published keys."""

import base64
import hashlib
import hmac
import itertools
import json
import re
from typing import Any

import pytest

from backend.app.auth.signatures import InvalidToken, Signatures, UnknownKey, Unusable, read_published
from tests.support.key_server import MAKE, SigningKey
from tests.support.token_table import NOW, SECRET, sign

CLAIMS = {"sub": "u1", "exp": NOW + 900}
KEYS = {algorithm: SigningKey(algorithm) for algorithm in MAKE}
OTHERS = {algorithm: SigningKey(algorithm, kid=key.kid) for algorithm, key in KEYS.items()}


def signatures(*published: dict[str, Any], secrets: tuple[str, ...] = ()) -> Signatures:
    found = Signatures(secrets, published=True)
    found.replace(read_published(json.dumps({"keys": published}).encode())[0])
    return found


EVERY_KEY = [key.jwk for key in KEYS.values()]


@pytest.mark.parametrize("algorithm", MAKE)
def test_every_algorithm_of_better_auth_is_verified(algorithm: str) -> None:
    signed = signatures(*EVERY_KEY).open(KEYS[algorithm].sign(CLAIMS))

    assert (signed.claims, signed.algorithm, signed.is_shared) == (CLAIMS, algorithm, False)


@pytest.mark.parametrize("algorithm", MAKE)
def test_a_key_that_names_no_algorithm_serves_its_kind(algorithm: str) -> None:
    jwk = {name: value for name, value in KEYS[algorithm].jwk.items() if name != "alg"}

    assert signatures(jwk).open(KEYS[algorithm].sign(CLAIMS)).claims == CLAIMS


def hmac_with(secret: bytes, key: SigningKey) -> str:
    """The classic confusion: a public key, which everybody has, used as the secret."""
    header = {"alg": "HS256", "kid": key.kid}
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, CLAIMS)
    )
    tag = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"


RSA, ED = KEYS["RS256"], KEYS["EdDSA"]
CONFUSED = {
    "another key of the same kid": OTHERS["EdDSA"].sign(CLAIMS),
    **{f"{alg}, forged under its kid": OTHERS[alg].sign(CLAIMS) for alg in MAKE},
    "RS256 key, PS256 signature": SigningKey.sign(RSA, CLAIMS, alg="PS256"),
    "HS256 with the public PEM": hmac_with(RSA.key.as_pem(private=False), RSA),
    "HS256 with the JWK": hmac_with(json.dumps(RSA.jwk).encode(), RSA),
    "HS256 with the bare Ed25519 key": hmac_with(base64.urlsafe_b64decode(ED.jwk["x"] + "="), ED),
    "HS256 with the kid": hmac_with(ED.kid.encode(), ED),
    "HS256 with nothing": hmac_with(b"", ED),
    "no kid": sign(b'{"alg":"EdDSA"}', json.dumps(CLAIMS).encode()),
    "kid null": sign(b'{"alg":"EdDSA","kid":null}', json.dumps(CLAIMS).encode()),
    "kid of another algorithm's key": sign(
        json.dumps({"alg": "ES256", "kid": ED.kid}).encode(), json.dumps(CLAIMS).encode()
    ),
    "an unknown kid": SigningKey().sign(CLAIMS),
    "a signature cut off": KEYS["ES256"].sign(CLAIMS)[:-4],
    "a JWK of its own": ED.sign(CLAIMS, jwk=ED.jwk),
    "typ of the session cache": ED.sign(CLAIMS, typ="better-auth.session-cache+jwt"),
    **{
        f"alg {alg}": sign(json.dumps({"alg": alg, "kid": ED.kid}).encode(), json.dumps(CLAIMS).encode())
        for alg in ("none", "HS384", "HS512", "RS384", "RS512", "PS512", "ES384", "ES256K", "Ed25519", "Ed448", "eddsa")
    },
}


@pytest.mark.parametrize("secrets", [(), (SECRET,)], ids=["keys", "keys and a secret"])
@pytest.mark.parametrize("text", CONFUSED.values(), ids=CONFUSED.keys())
def test_no_key_verifies_what_it_is_not_for(text: str, secrets: tuple[str, ...]) -> None:
    with pytest.raises(InvalidToken) as refusal:
        signatures(*EVERY_KEY, secrets=secrets).open(text)

    assert re.fullmatch(r"[ !#-\[\]-~]+", refusal.value.description)


def test_both_ways_may_be_configured_together() -> None:
    """While one moves from one to the other, a token's algorithm decides."""
    both = signatures(*EVERY_KEY, secrets=(SECRET,))

    assert both.open(sign(b'{"alg":"HS256"}', json.dumps(CLAIMS).encode())).is_shared
    assert not both.open(ED.sign(CLAIMS)).is_shared


@pytest.mark.parametrize(
    ("text", "secrets", "published", "sentence"),
    [
        (
            ED.sign(CLAIMS),
            (SECRET,),
            False,
            "signed with EdDSA, which needs Better Auth's public keys: set BETTER_AUTH_URL",
        ),
        (RSA.sign(CLAIMS), (SECRET,), False, "signed with RS256, which needs Better Auth's public keys"),
        (
            sign(b'{"alg":"HS256"}', b"{}"),
            (),
            True,
            "signed with HS256, which needs the secret: set BETTER_AUTH_SECRET",
        ),
        (sign(b'{"alg":"none"}', b"{}"), (SECRET,), False, "must be signed with HS256."),
        (sign(b'{"alg":"none"}', b"{}"), (), True, "must be signed with ES256 or ES512 or EdDSA or PS256 or RS256."),
        (sign(b'{"alg":"EdDSA"}', b"{}"), (), True, "names no key: kid is missing"),
    ],
)
def test_a_refusal_says_what_to_configure(text: str, secrets: tuple[str, ...], published: bool, sentence: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        Signatures(secrets, published=published).open(text)

    assert sentence in refusal.value.description


def test_every_listed_secret_verifies() -> None:
    """Rotation: what the old secret signed is good until it is taken off the list."""
    old, new = SECRET, f"{SECRET}-new"
    signed = {secret: sign(b'{"alg":"HS256"}', json.dumps(CLAIMS).encode(), secret=secret) for secret in (old, new)}
    rotating, rotated = Signatures([new, old], published=False), Signatures([new], published=False)

    assert rotating.open(signed[old]).claims == rotating.open(signed[new]).claims == rotated.open(signed[new]).claims
    with pytest.raises(InvalidToken, match="signature"):
        rotated.open(signed[old])


def test_a_key_that_is_no_longer_published_verifies_nothing() -> None:
    keys = signatures(ED.jwk)
    keys.open(ED.sign(CLAIMS))

    keys.replace(read_published(json.dumps({"keys": [RSA.jwk]}).encode())[0])

    with pytest.raises(UnknownKey):
        keys.open(ED.sign(CLAIMS))


def without(jwk: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in jwk.items() if key != name}


SMALL_RSA = {**RSA.jwk, "n": base64.urlsafe_b64encode(b"\xc1" + b"\x01" * 127).rstrip(b"=").decode()}
UNUSABLE = {
    "not an object": 1,
    "null": None,
    "empty": {},
    "no kid": without(ED.jwk, "kid"),
    "kid a number": {**ED.jwk, "kid": 1},
    "no kty": without(ED.jwk, "kty"),
    "kty a list": {**ED.jwk, "kty": ["OKP"]},
    "no x": without(ED.jwk, "x"),
    "x too short": {**ED.jwk, "x": "AAAA"},
    "x not base64url": {**ED.jwk, "x": "!"},
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
    "alg HS256 on a public key": {**RSA.jwk, "alg": "HS256"},
    "alg none": {**ED.jwk, "alg": "none"},
    "alg of another kind": {**ED.jwk, "alg": "RS256"},
    "alg a list": {**ED.jwk, "alg": ["EdDSA"]},
    "for encryption": {**RSA.jwk, "use": "enc"},
    "only to sign": {**ED.jwk, "key_ops": ["sign"]},
    "a private key": {**ED.key.as_dict(private=True), "kid": "k"},
    "Ed448": {**ED.jwk, "crv": "Ed448"},
    "X25519": {**ED.jwk, "crv": "X25519"},
    "P-384": {**KEYS["ES256"].jwk, "crv": "P-384", "alg": "ES384"},
    "secp256k1": {**KEYS["ES256"].jwk, "crv": "secp256k1"},
    "a point that is not on the curve": {**KEYS["ES256"].jwk, "y": KEYS["ES256"].jwk["x"]},
    "RSA of 1024 bits": SMALL_RSA,
}


@pytest.mark.filterwarnings("ignore:Key size should be")  # the library's word on it; ours is the fault
@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_key_that_cannot_be_used_is_skipped(jwk: Any) -> None:
    """The others go on working, and its fault is told without anything of the key."""
    keys, faults = read_published(json.dumps({"keys": [jwk, ED.jwk]}).encode())

    assert list(keys) == [(ED.kid, "EdDSA")]
    assert len(faults) == 1
    assert faults[0].startswith("key 1: ")
    assert not any(value in faults[0] for value in (ED.jwk["x"], RSA.jwk["n"], ED.kid))


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"\xff", b"<html>"])
def test_what_is_no_jwks_is_refused_whole(document: bytes) -> None:
    with pytest.raises(Unusable):
        read_published(document)


def test_of_two_keys_with_one_name_the_first_counts() -> None:
    first, second = KEYS["EdDSA"], OTHERS["EdDSA"]
    for ours, theirs in itertools.permutations((first, second)):
        keys = signatures(ours.jwk, theirs.jwk)
        assert keys.open(ours.sign(CLAIMS)).claims == CLAIMS
        with pytest.raises(InvalidToken):
            keys.open(theirs.sign(CLAIMS))
