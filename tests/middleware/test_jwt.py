"""Authentication: which requests are somebody's, what the others are told word for word, and what goes further in."""

import asyncio
import json
import time
from typing import Any, NoReturn

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from backend.app import problems
from backend.app.auth.principal import Principal
from backend.app.auth.signatures import InvalidToken, Signatures
from backend.app.auth.tokens import TokenVerifier
from backend.app.main import create_app
from backend.app.middleware.jwt import AuthenticationMiddleware
from tests.support.applications import Client, client_for, settings_for
from tests.support.key_server import SigningKey
from tests.support.raw_http import HTTP, exchange, read_answer, request, served
from tests.support.token_table import sign
from tests.support.tokens import SECRET, new_user, token

NO_TOKEN = 'Bearer realm="tasks"'
LIFETIME, LEEWAY = 3600, 30


def claims(**changes: Any) -> bytes:
    return json.dumps({"sub": "u1", "exp": int(time.time()) + 900, **changes}).encode()


def raw(header: Any = None, payload: bytes | None = None) -> str:
    """A token with the right signature, whatever its header and payload are."""
    return sign(
        json.dumps({"alg": "HS256"} if header is None else header).encode(),
        claims() if payload is None else payload,
        secret=SECRET,
    )


NOW = int(time.time())
REFUSALS = {
    "no token after the scheme": ("", "The token is not a signed JWT: it must have three parts."),
    "five parts": ("a.b.c.d.e", "The token is not a signed JWT: it must have three parts."),
    "too long": (raw(payload=claims(x="x" * 8192)), "The token is too long."),
    "the other alphabet": (f"{raw()}+", "The token is not encoded as base64url without padding."),
    "padding": (f"{raw()}=", "The token is not encoded as base64url without padding."),
    "non-canonical": ("eyJhbGciOiJIUzI1NiJ9.e30.AB", "The token is not encoded as base64url without padding."),
    "header an array": (raw(header=[]), "The token's parts must be JSON objects."),
    "payload an array": (raw(payload=b"[]"), "The token's parts must be JSON objects."),
    "payload not JSON": (raw(payload=b"{"), "The token cannot be read."),
    "duplicate sub": (raw(payload=b'{"sub":"u1","sub":"u2"}'), "The token names a member twice."),
    "NaN": (raw(payload=b'{"sub":"u1","exp":NaN}'), "The token holds a number that JSON does not know."),
    "alg none": (raw({"alg": "none"}), "The token must be signed with HS256."),
    "alg EdDSA": (
        raw({"alg": "EdDSA", "kid": "k"}),
        "The token is signed with EdDSA, which needs Better Auth's public keys: set BETTER_AUTH_URL.",
    ),
    "a session token": (
        "k3J9sZabcdefghijklmnopqrstuvwxyz",
        "This is a session token, which only Better Auth can read. Send the JWT from authClient.token().",
    ),
    "a signed session token": (
        f"k3J9sZabcdefghijklmnopqrstuvwxyz.{'A' * 42}%2B%3D",
        "This is a session token, which only Better Auth can read. Send the JWT from authClient.token().",
    ),
    "no alg": (raw({"typ": "JWT"}), "The token names no algorithm: alg is missing."),
    "jku": (
        raw({"alg": "HS256", "jku": "https://evil.example"}),
        "The token's header asks for a key or an extension that is not accepted.",
    ),
    "crit": (
        raw({"alg": "HS256", "crit": ["exp"]}),
        "The token's header asks for a key or an extension that is not accepted.",
    ),
    "session-cache typ": (
        raw({"alg": "HS256", "typ": "better-auth.session-cache+jwt"}),
        "The token is of another type: typ must be JWT or at+jwt.",
    ),
    "kid a number": (raw({"alg": "HS256", "kid": 1}), "The token's kid must be a string."),
    "other secret": (token("u1", secret="x" * 40), "The token's signature does not match."),
    "e-mail verification": (
        token(email="a@example.com", userId="u1"),
        "The token names no user: sub is missing.",
    ),
    "sub and user_id": (raw(payload=claims(user_id="u2")), "The token names two users: sub and user_id differ."),
    "sub with a slash": (
        token("a/b"),
        "The token's sub must be 1 to 255 characters without a slash or control characters.",
    ),
    "expired": (raw(payload=claims(exp=NOW - LEEWAY)), "The token has expired."),
    "no exp": (raw(payload=b'{"sub":"u1"}'), "The token has no exp."),
    "exp a string": (raw(payload=claims(exp="soon")), "The token's exp is not accepted."),
    "exp too far": (raw(payload=claims(exp=2**62)), "The token would live longer than this service allows."),
    "nbf in the future": (raw(payload=claims(nbf=NOW + 900)), "The token's nbf is not accepted."),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_bad_token_is_answered_word_for_word(app: FastAPI, text: str, sentence: str) -> None:
    """401 with RFC 6750's challenge, and the same sentence in header and body."""
    async with client_for(app, "u1") as client:
        client.headers["Authorization"] = f"Bearer {text}"
        answer = await client.get("/api/u1/tasks", headers={"X-Request-ID": "r1"})

    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == [
        f'Bearer realm="tasks", error="invalid_token", error_description="{sentence}"'
    ]
    assert answer.json() == {
        "type": "urn:tasks:problem:invalid-token",
        "title": problems.InvalidToken.title,
        "status": 401,
        "detail": sentence,
        "instance": "urn:tasks:request:r1",
        "request_id": "r1",
    }


@pytest.mark.parametrize(
    ("parties", "sentence"),
    [
        ({"aud": "tasks"}, "The token's iss must be https://app."),
        ({"iss": "https://app"}, "The token's aud must be tasks."),
        ({"iss": "https://app/", "aud": "tasks"}, "The token's iss must be https://app."),
        ({"iss": "https://app", "aud": ["Tasks"]}, "The token's aud must be tasks."),
    ],
    ids=["no iss", "no aud", "another iss", "another aud"],
)
async def test_a_token_for_another_service_is_told_which_claim(parties: dict[str, Any], sentence: str) -> None:
    """The settings reach the verifier, and the challenge names the claim but not what it should be."""
    application = create_app(
        settings_for("postgresql://nobody@localhost/none", jwt_issuer="https://app", jwt_audience="tasks")
    )
    async with client_for(application, "u1") as client:
        client.headers["Authorization"] = f"Bearer {token('u1', **parties)}"
        answer = await client.get("/api/u1/tasks")

    assert (answer.status_code, answer.json()["detail"]) == (401, sentence)


GOOD = token("u1")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic dTE6cGFzc3dvcmQ="},
        {"Authorization": GOOD},
        {"Authorization": f"Token {GOOD}"},
        {"Authorization": f"Bearer{GOOD}"},
        {"Authorization": f"Bearer:{GOOD}"},
        {"Authorization": f"Bearer\t{GOOD}"},
        {"Cookie": f"better-auth.session_data={GOOD}; Authorization=Bearer {GOOD}"},
        {"X-Authorization": f"Bearer {GOOD}"},
        {"Proxy-Authorization": f"Bearer {GOOD}"},
        {"X-Forwarded-User": "u1"},
    ],
    ids=[
        *("nothing", "empty", "Basic", "no scheme", "another scheme", "no blank", "colon", "tab"),
        *("cookie", "X-Authorization", "Proxy-Authorization", "X-Forwarded-User"),
    ],
)
@pytest.mark.parametrize("path", ["/api/u1/tasks", "/api/u2/tasks", "/nowhere", f"/api/u1/tasks?access_token={GOOD}"])
async def test_a_request_without_a_bearer_token_is_asked_for_one(
    app: FastAPI, path: str, fields: dict[str, str]
) -> None:
    """RFC 6750, section 3.1: no error code where no token was sent; where the path leads does not show."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        answer = await client.get(path, headers=fields)

    assert (answer.status_code, answer.headers.get_list("www-authenticate")) == (401, [NO_TOKEN])
    assert answer.json()["type"] == "urn:tasks:problem:authentication-required"


async def test_a_token_in_the_body_is_not_read(app: FastAPI) -> None:
    """RFC 6750, section 2.2 would allow it; this service does not."""
    async with client_for(app, "u1") as client:
        del client.headers["Authorization"]
        answer = await client.post("/api/u1/tasks", data={"access_token": GOOD})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, NO_TOKEN)


@pytest.mark.parametrize(
    "value",
    [f"Bearer {GOOD} ", f"Bearer \t{GOOD}", f"Bearer {GOOD}, Bearer {GOOD}", f"Bearer {GOOD};x=1", f'Bearer "{GOOD}"'],
    ids=["a blank after", "a tab", "two in one field", "parameter", "quoted"],
)
async def test_nothing_stands_around_a_token(value: str) -> None:
    """The token is all that follows the blanks, as it is."""
    inner = Inner()

    with pytest.raises(problems.InvalidToken):
        await middleware(inner)(scope_with((b"authorization", value.encode())), nothing, nothing)

    assert inner.scopes == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_read_in_any_case(client: Client, scheme: str) -> None:
    """RFC 9110, section 11.1."""
    client.headers["Authorization"] = f"{scheme} {token(client.user_id)}"

    assert (await client.get(f"/api/{client.user_id}/tasks")).status_code == 200


@pytest.mark.parametrize("blanks", [1, 2, 3, 100])
async def test_one_or_more_blanks_follow_the_scheme(client: Client, blanks: int) -> None:
    """RFC 9110, section 11.4: credentials are a scheme, 1*SP, and the token."""
    client.headers["Authorization"] = f"Bearer{' ' * blanks}{token(client.user_id)}"

    assert (await client.get(f"/api/{client.user_id}/tasks")).status_code == 200


async def test_public_paths_ignore_tokens(app: FastAPI) -> None:
    """A bad token, another scheme and two headers are all the same to a path that anybody may read."""
    async with client_for(app) as client:
        del client.headers["Authorization"]
        fields: list[list[tuple[str, str]]] = [
            [],
            [("Authorization", "Bearer rubbish")],
            [("Authorization", "Basic x")],
            [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        ]
        answers = [
            await client.get(path, headers=sent)
            for path in ("/health", "/health/ready", "/docs", "/openapi.json")
            for sent in fields
        ]

    assert [answer.status_code for answer in answers] == [200] * 16


class Inner:
    """Notes the scopes that reach it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, *_: Any) -> None:
        self.scopes.append(scope)


async def nothing(*_: Any) -> NoReturn:
    raise AssertionError("authentication neither reads a body nor answers")


def middleware(app: Any) -> AuthenticationMiddleware:
    signatures = Signatures([SECRET], published=False)
    verifier = TokenVerifier(signatures, max_lifetime=LIFETIME, leeway=LEEWAY, max_length=8192, cache_size=10)
    return AuthenticationMiddleware(app, verifier=verifier, public_paths=frozenset({"/health"}))


def scope_with(*headers: tuple[bytes, bytes], kind: str = "http", path: str = "/api/u1") -> Scope:
    return {"type": kind, "path": path, "headers": list(headers)}


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_caller_is_in_the_scope(kind: str) -> None:
    """For our handlers in `state`, for Starlette's own means in `user` and `auth`."""
    inner, user = Inner(), new_user()

    await middleware(inner)(
        scope_with((b"authorization", f"Bearer {token(user)}".encode()), kind=kind), nothing, nothing
    )

    (scope,) = inner.scopes
    assert scope["state"] == {"principal": Principal(user)}
    assert scope["user"] == Principal(user)
    assert scope["auth"].scopes == ["authenticated"]


async def test_nobody_is_in_the_scope_of_a_public_path() -> None:
    """Even with a good token: what is public does not depend on who is calling."""
    inner = Inner()

    await middleware(inner)(scope_with((b"authorization", f"Bearer {GOOD}".encode()), path="/health"), nothing, nothing)

    assert {"user", "auth", "state"}.isdisjoint(inner.scopes[0])


@pytest.mark.parametrize(
    "path", ["/health/", "//health", "/HEALTH", "/health/x", "/health ", "/api/../health", "health"]
)
async def test_public_paths_are_exact(path: str) -> None:
    """What only looks like a public path needs a token."""
    with pytest.raises(problems.AuthenticationRequired):
        await middleware(Inner())(scope_with(path=path), nothing, nothing)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ([], problems.AuthenticationRequired),
        ([(b"authorization", b"Bearer x")], problems.InvalidToken),
        ([(b"authorization", b"Bearer \xff\xfe")], problems.InvalidToken),
        ([(b"authorization", b"\xff")], problems.AuthenticationRequired),
        ([(b"authorization", f"Bearer {GOOD}".encode())] * 2, problems.InvalidToken),
        ([(b"authorization", b"Basic x"), (b"authorization", f"Bearer {GOOD}".encode())], problems.InvalidToken),
    ],
    ids=["none", "bad", "not ASCII", "scheme not ASCII", "the same twice", "Basic and Bearer"],
)
async def test_who_is_refused_does_not_get_in(
    kind: str, headers: list[tuple[bytes, bytes]], refusal: type[problems.Problem]
) -> None:
    """The refusal is raised, nothing is read and nothing further in is called."""
    inner = Inner()

    with pytest.raises(refusal) as raised:
        await middleware(inner)(scope_with(*headers, kind=kind), nothing, nothing)

    assert type(raised.value) is refusal
    assert inner.scopes == []


async def test_a_key_that_nobody_looks_for_is_unknown() -> None:
    """Without a place to look the refusal stands."""
    key = SigningKey()
    verifier = TokenVerifier(
        Signatures([], published=True), max_lifetime=LIFETIME, leeway=LEEWAY, max_length=8192, cache_size=10
    )
    guard = AuthenticationMiddleware(Inner(), verifier=verifier, public_paths=frozenset())

    with pytest.raises(problems.InvalidToken, match="kid names no key"):
        await guard(scope_with((b"authorization", f"Bearer {key.token('u1', 'x')}".encode())), nothing, nothing)


async def test_two_headers_are_refused_in_words_of_their_own(app: FastAPI) -> None:
    """Which of them a proxy looked at cannot be known, so neither counts."""
    async with client_for(app, "u1") as client:
        good = client.headers.pop("Authorization")
        answer = await client.get("/api/u1/tasks", headers=[("Authorization", good), ("Authorization", good)])

    assert answer.headers["www-authenticate"] == (
        'Bearer realm="tasks", error="invalid_token", '
        'error_description="The request has more than one Authorization header."'
    )


@pytest.mark.parametrize(
    "error",
    [InvalidToken(description="of the application"), ValueError("x"), problems.TaskNotFound(), KeyError("user")],
    ids=lambda error: type(error).__name__,
)
async def test_what_fails_further_in_is_no_authentication_failure(error: Exception) -> None:
    """An error of the application's own leaves as the same object, even one of our own kind."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await middleware(fails)(scope_with((b"authorization", f"Bearer {GOOD}".encode())), nothing, nothing)

    assert raised.value is error


async def test_the_lifespan_needs_no_token() -> None:
    """What is no request passes as it is."""
    inner = Inner()

    await middleware(inner)({"type": "lifespan"}, nothing, nothing)

    assert inner.scopes == [{"type": "lifespan"}]


@pytest.mark.parametrize("http", HTTP)
async def test_who_is_calling_is_settled_before_the_body(app: FastAPI, http: str) -> None:
    """The 401 comes while the body is still to come; a token in the trailers behind it would be too late."""
    user = new_user()
    head = request(f"/api/{user}/tasks", "Content-Type: application/json", "Transfer-Encoding: chunked", method="POST")

    async with served(app, http=http) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        answer = await asyncio.wait_for(read_answer(reader), 10)
        writer.close()
        await writer.wait_closed()

    assert (answer.status, answer.headers["www-authenticate"]) == (401, NO_TOKEN)


@pytest.mark.parametrize("http", HTTP)
async def test_a_trailer_makes_nobody_somebody_else(app: FastAPI, http: str) -> None:
    """A second token behind the body is ignored or one too many; the other user's path stays closed either way."""
    user, other = new_user(), new_user()
    fields = ("Content-Type: application/json", "Transfer-Encoding: chunked", f"Authorization: Bearer {token(user)}")
    body = f"0\r\nAuthorization: Bearer {token(other)}\r\n\r\n".encode()

    async with served(app, http=http) as port:
        ((status, *_),) = await exchange(port, request(f"/api/{other}/tasks", *fields, method="POST", body=body))

    assert status == {"httptools": 401, "h11": 403}[http]
