"""The truth table of tokens, without HTTP: what is let in, and what is not."""

import base64
import contextlib
import hashlib
import hmac
import json
import re
from typing import Any

import psutil
import pytest

from backend.app.auth.signatures import InvalidToken, Signatures
from backend.app.auth.tokens import Parties, TokenVerifier

SECRET = "a-secret-of-the-tests-that-is-long-enough"
NOW = 1_800_000_000
LEEWAY, LIFETIME = 30, 3600
HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS: dict[str, Any] = {"sub": "u1", "iat": NOW, "exp": NOW + 900}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header: bytes, payload: bytes, *, secret: str = SECRET, digest: Any = hashlib.sha256) -> str:
    signed = f"{base64url(header)}.{base64url(payload)}"
    return f"{signed}.{base64url(hmac.new(secret.encode(), signed.encode(), digest).digest())}"


def token(header: Any = None, claims: Any = None, **options: Any) -> str:
    """A token signed as it is, whatever its header and claims say."""
    chosen = [json.dumps(part).encode() for part in (header or HEADER, CLAIMS if claims is None else claims)]
    return sign(*chosen, **options)


def with_header(**changes: Any) -> str:
    return token({**HEADER, **changes})


def with_claims(**changes: Any) -> str:
    return token(claims={name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...})


def with_payload(text: str | bytes) -> str:
    return sign(json.dumps(HEADER).encode(), text if isinstance(text, bytes) else text.encode())


def verifier(now: float = NOW, **options: Any) -> TokenVerifier:
    limits: dict[str, Any] = {
        "max_lifetime": LIFETIME,
        "leeway": LEEWAY,
        "max_length": 8192,
        "cache_size": 100,
    }
    signatures = Signatures([SECRET], published=False)
    return TokenVerifier(signatures, clock=lambda: now, **{**limits, **options})


GOOD = token()
SIGNED, _, SIGNATURE = GOOD.rpartition(".")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def respelled(segment: str) -> str:
    """The same bytes with another last character: bits that base64 does not use."""
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) + 1]


REFUSED: dict[str, str] = {
    "empty": "",
    "a word": "token",
    "two parts": SIGNED,
    "four parts": f"{GOOD}.x",
    "five parts (JWE)": ".".join([base64url(b'{"alg":"dir","enc":"A256GCM"}'), "", "AA", "AA", "AA"]),
    "an opaque session token": "k3J9sZ.abcdefghijklmnopqrstuvwxyz",
    "JSON serialisation": json.dumps({"protected": SIGNED.split(".")[0], "payload": "", "signature": SIGNATURE}),
    "nested": with_payload(GOOD),
    "no signature": f"{SIGNED}.",
    "truncated signature": GOOD[:-2],
    "altered signature": f"{SIGNED}.{'A' if SIGNATURE[0] != 'A' else 'B'}{SIGNATURE[1:]}",
    "non-canonical last character": f"{SIGNED}.{respelled(SIGNATURE)}",
    "padding": f"{GOOD}=",
    "a blank": f"{GOOD} ",
    "a blank before": f" {GOOD}",
    "a newline": f"{GOOD}\n",
    "the other alphabet": f"{SIGNED}.+/{SIGNATURE[2:]}",
    "other secret": token(secret="another-secret-that-is-long-enough-too"),
    "empty secret": token(secret=""),
    **{
        f"alg {alg!r}": with_header(alg=alg)
        for alg in ("none", "None", "NONE", "nOnE", "", None, ["HS256"], 1, "hs256")
    },
    "alg none without signature": base64url(b'{"alg":"none"}') + "." + SIGNED.split(".")[1] + ".",
    "no alg": token({"typ": "JWT"}),
    "HS384 with the right key": token({"alg": "HS384"}, digest=hashlib.sha384),
    "HS512 with the right key": token({"alg": "HS512"}, digest=hashlib.sha512),
    "RS256": with_header(alg="RS256"),
    "EdDSA": with_header(alg="EdDSA"),
    "header an array": sign(b"[]", json.dumps(CLAIMS).encode()),
    "header not JSON": sign(b"{", json.dumps(CLAIMS).encode()),
    "duplicate alg": sign(b'{"alg":"none","alg":"HS256"}', json.dumps(CLAIMS).encode()),
    **{f"kid {kid!r}": with_header(kid=kid) for kid in (1, None, ["a"], ("b",))},
    **{
        f"{name} in the header": with_header(**{name: value})
        for name, value in {
            "jku": "https://evil.example/jwks",
            "x5u": "https://evil.example/x5u",
            "jwk": {"kty": "oct", "k": "AA"},
            "x5c": ["AA"],
            "crit": ["exp"],
            "b64": False,
        }.items()
    },
    "crit empty": with_header(crit=[]),
    "crit a number": with_header(crit=1),
    **{
        f"typ {typ!r}": with_header(typ=typ)
        for typ in ("JWE", "better-auth.session-cache+jwt", "", 1, ["JWT"], "id+jwt")
    },
    "payload not JSON": with_payload("{"),
    "payload an array": with_payload("[]"),
    "payload UTF-16": with_payload(json.dumps(CLAIMS).encode("utf-16")),
    "payload with BOM": with_payload(b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "payload not UTF-8": with_payload(b'{"sub":"\xff"}'),
    "payload 2,000 deep": with_payload(f'{{"sub":"u1","exp":{NOW + 900},"a":{"[" * 2000}{"]" * 2000}}}'),
    "duplicate sub": with_payload(f'{{"sub":"u1","sub":"u2","exp":{NOW + 900}}}'),
    "duplicate exp": with_payload(f'{{"sub":"u1","exp":1,"exp":{NOW + 900}}}'),
    "no user": with_claims(sub=...),
    **{
        f"sub {sub!r}": with_claims(sub=sub)
        for sub in (
            1,
            None,
            ["u1"],
            {"id": "u1"},
            True,
            "",
            " ",
            " u1",
            "u1 ",
            "u1\n",
            "u\x001",
            "u1\x7f",
            "u1\x85",
            "a/b",
            "/",
            "x" * 256,
        )
    },
    "sub a lone surrogate": with_payload(f'{{"sub":"\\ud800","exp":{NOW + 900}}}'),
    "sub and user_id differ": with_claims(user_id="u2"),
    "sub null beside user_id": with_claims(sub=None, user_id="u1"),
    "e-mail verification token": with_claims(sub=..., email="a@example.com", userId="u1"),
    "only id": with_claims(sub=..., id="u1"),
    "cookie cache token": with_claims(sub=..., user={"id": "u1"}, session={"userId": "u1"}),
    "exp missing": with_claims(exp=...),
    **{f"exp {exp!r}": with_claims(exp=exp) for exp in (None, str(NOW + 900), True, [NOW + 900], -1, 0, 10**30)},
    "exp NaN": with_payload('{"sub":"u1","exp":NaN}'),
    "exp 1e999": with_payload('{"sub":"u1","exp":1e999}'),
    "exp Infinity": with_payload('{"sub":"u1","exp":Infinity}'),
    "exp just past the leeway": with_claims(exp=NOW - LEEWAY),
    "exp just past the lifetime": with_claims(exp=NOW + LIFETIME + LEEWAY + 1),
    "iat in the future": with_claims(iat=NOW + LEEWAY + 1),
    "iat a string": with_claims(iat="now"),
    "nbf in the future": with_claims(nbf=NOW + LEEWAY + 1),
    "nbf a string": with_claims(nbf="now"),
    "nbf NaN": with_payload(f'{{"sub":"u1","exp":{NOW + 900},"nbf":NaN}}'),
    "too long": with_claims(padding="x" * 8192),
}

ACCEPTED = {
    "as Better Auth signs it": GOOD,
    "typ absent": token({"alg": "HS256"}),
    "typ jwt": with_header(typ="jwt"),
    "typ at+jwt": with_header(typ="at+jwt"),
    "kid is ignored": with_header(kid="../../etc/passwd' OR 1=1"),
    "user_id without sub": with_claims(sub=..., user_id="u1"),
    "sub and user_id agree": with_claims(user_id="u1"),
    "other claims": with_claims(email="a@example.com", id="u2", name="Bob"),
    "exp within the leeway": with_claims(exp=NOW - LEEWAY + 1),
    "exp at the lifetime": with_claims(exp=NOW + LIFETIME),
    "exp a float": with_claims(exp=NOW + 900.5),
    "iat within the leeway": with_claims(iat=NOW + LEEWAY),
    "no iat": with_claims(iat=...),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_token_is_refused(text: str) -> None:
    """Every token that is not exactly what Better Auth signs for an API is refused in quotable words."""
    with pytest.raises(InvalidToken) as refusal:
        verifier().principal(text)

    assert re.fullmatch(r"[ !#-\[\]-~]+", refusal.value.description)
    assert not set(re.findall(r"[\w-]{12,}", text)) & set(re.findall(r"[\w-]{12,}", refusal.value.description))


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_token_is_accepted(text: str) -> None:
    """What Better Auth signs is let in, as the user in `sub` and nobody else."""
    assert verifier().principal(text).user_id == "u1"


@pytest.mark.parametrize(
    "sub", ["1", "a" * 255, "ünï", "user@example.com", "a b", "0198c1d2-7f3a-7000-8000-000000000000", "..", "%2F", "🦊"]
)
def test_any_plain_user_id_is_accepted(sub: str) -> None:
    """Better Auth's ids may be any text of the application's choice."""
    assert verifier().principal(with_claims(sub=sub)).user_id == sub


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"iss": "https://app", "aud": "tasks"}, True),
        ({"iss": "https://app", "aud": ["other", "tasks"]}, True),
        ({"iss": "https://app/", "aud": "tasks"}, False),
        ({"iss": ["https://app"], "aud": "tasks"}, False),
        ({"aud": "tasks"}, False),
        ({"iss": "https://app"}, False),
        ({"iss": "https://app", "aud": "Tasks"}, False),
        ({"iss": "https://app", "aud": []}, False),
        ({"iss": "https://app", "aud": ["other"]}, False),
        ({"iss": "https://app", "aud": 1}, False),
    ],
)
def test_issuer_and_audience_are_checked_when_configured(claims: dict[str, Any], accepted: bool) -> None:
    """A token for another service of the same issuer is refused, and so is one from elsewhere."""
    strict = verifier(shared=Parties("https://app", "tasks"))

    if accepted:
        assert strict.principal(with_claims(**claims)).user_id == "u1"
    else:
        with pytest.raises(InvalidToken):
            strict.principal(with_claims(**claims))


def test_a_remembered_token_still_expires() -> None:
    """The cache remembers signatures only: the clock is asked every time."""
    now = [float(NOW)]
    limits: dict[str, Any] = {"max_lifetime": LIFETIME, "leeway": LEEWAY, "max_length": 8192, "cache_size": 100}
    ageing = TokenVerifier(Signatures([SECRET], published=False), clock=lambda: now[0], **limits)
    ageing.principal(GOOD)

    now[0] += 900 + LEEWAY

    with pytest.raises(InvalidToken, match="expired"):
        ageing.principal(GOOD)


def test_bad_tokens_leave_memory_flat() -> None:
    """Of 100,000 different bad tokens none is remembered."""
    busy, process = verifier(cache_size=200_000), psutil.Process()

    def send(numbers: range) -> None:
        for number in numbers:
            with contextlib.suppress(InvalidToken):
                # Every tenth gets as far as a signature to compare; the others are refused for their shape.
                busy.principal(f"{SIGNED[:-8]}{number:08d}.{SIGNATURE}" if number % 10 == 0 else f"{SIGNED}.{number}")

    send(range(2_000))
    before = process.memory_info().rss
    send(range(2_000, 102_000))

    assert process.memory_info().rss - before < 4_000_000


def test_a_principal_is_a_starlette_user() -> None:
    """Whatever speaks Starlette's interface learns the same user."""
    principal = verifier().principal(GOOD)

    assert (principal.is_authenticated, principal.display_name, principal.identity) == (True, "u1", "u1")
