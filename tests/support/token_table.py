"""Tokens byte for byte: how they are signed, which are accepted, and which are refused for what reason."""

import base64
import hashlib
import hmac
import json
from typing import Any

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
