"""Every way in which Better Auth hands a user to a backend works, or is refused with what to configure."""

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from backend.app.main import create_app
from tests.interop.conftest import OLD_SECRET, PASSWORD, Person, anonymously, note, signed_up
from tests.support.applications import client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.programs import clone, free_port, serving
from tests.support.tokens import SECRET

Take = Callable[[Person], Awaitable[dict[str, str]]]
PAGE = "http://localhost:3000"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def token(person: Person) -> dict[str, str]:
    return bearer(await person.token())


async def session_header(person: Person) -> dict[str, str]:
    return bearer((await person.get("/api/auth/get-session")).headers["set-auth-jwt"])


async def opaque(person: Person) -> dict[str, str]:
    return bearer(person.answer.headers["set-auth-token"])


async def opaque_unsigned(person: Person) -> dict[str, str]:
    return bearer(person.answer.json()["token"])


async def cookies(person: Person) -> dict[str, str]:
    return {"Cookie": person.cookie}


async def only_session_token(person: Person) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{n}={v}" for n, v in person.cookies.items() if "session_token" in n)}


async def session_data_as_token(person: Person) -> dict[str, str]:
    return bearer(person.cookies["better-auth.session_data"])


async def mailed_link(person: Person) -> dict[str, str]:
    return bearer((await person.get("/test/mails")).json()[-1])


async def oauth_tokens(person: Person) -> dict[str, Any]:
    """The authorization code flow with PKCE, for a client that the person trusts."""
    created = await person.get("/test/client")
    assert created.status_code == 200, created.text
    client = created.json()
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "client_id": client["client_id"],
        "response_type": "code",
        "redirect_uri": client["redirect_uris"][0],
        "scope": "openid",
        "state": "s",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    granted = await person.get(f"/api/auth/oauth2/authorize?{httpx.QueryParams(query)}")
    location = granted.headers.get("location") or granted.json()["url"]
    answer = await person.client.post(
        "/api/auth/oauth2/token",
        data={
            "grant_type": "authorization_code",
            "code": parse_qs(urlsplit(location).query)["code"][0],
            "redirect_uri": client["redirect_uris"][0],
            "code_verifier": verifier,
        },
        auth=(client["client_id"], client["client_secret"]),
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def oauth_id_token(person: Person) -> dict[str, str]:
    return bearer((await oauth_tokens(person))["id_token"])


async def oauth_access_token(person: Person) -> dict[str, str]:
    return bearer((await oauth_tokens(person))["access_token"])


URL, SHARED, COOKIE = "url", "shared", "cookie"
ACCEPTED = "200"
TABLE: list[tuple[str, str, Take, str, str]] = [
    ("default", "jwt(), as it comes", token, URL, ACCEPTED),
    ("default", "set-auth-jwt of get-session", session_header, URL, ACCEPTED),
    ("ES256", "keyPairConfig ES256", token, URL, ACCEPTED),
    ("ES512", "keyPairConfig ES512", token, URL, ACCEPTED),
    ("RS256", "keyPairConfig RS256", token, URL, ACCEPTED),
    ("PS256", "keyPairConfig PS256", token, URL, ACCEPTED),
    ("payload", "definePayload", token, URL, ACCEPTED),
    ("shared", "sign with the secret", token, SHARED, ACCEPTED),
    ("rotated", "secrets 2:new,1:old", token, SHARED, ACCEPTED),
    ("cookie", "session cookie, jwt", cookies, COOKIE, ACCEPTED),
    ("chunks", "session cookie, in pieces", cookies, COOKIE, ACCEPTED),
    ("prefix", "session cookie, prefix, secure, version", cookies, f"{COOKIE} my-app 7", ACCEPTED),
    (
        "default",
        "jwt(), only the secret is set",
        token,
        SHARED,
        "signed with EdDSA, which needs Better Auth's public keys",
    ),
    ("ignored", "jwt: { alg: HS256 }, which it ignores", token, SHARED, "signed with EdDSA"),
    ("shared", "sign with the secret, only the URL is set", token, URL, "signed with HS256, which needs the secret"),
    ("audience", "jwt: { audience }", token, URL, "aud must be http"),
    ("instant", "expirationTime: 3600", token, URL, "has expired"),
    ("default", "bearer(): signed session token", opaque, URL, "only Better Auth can read"),
    ("default", "session token", opaque_unsigned, URL, "only Better Auth can read"),
    ("cookie", "session_data as a bearer token", session_data_as_token, SHARED, "names no user"),
    ("cookie", "session cookie, not switched on", cookies, SHARED, "Send `Authorization: Bearer"),
    ("cookie", "session_token alone", only_session_token, COOKIE, "getSession()"),
    ("cookie", "session cookie, another prefix", cookies, f"{COOKIE} my-app 1", "Send `Authorization: Bearer"),
    ("cookie", "session cookie, another version", cookies, f"{COOKIE} better-auth 7", "getSession()"),
    ("compact", "session cookie, compact", cookies, COOKIE, "set cookieCache.strategy to jwt"),
    ("jwe", "session cookie, jwe", cookies, COOKIE, "set cookieCache.strategy to jwt"),
    ("signed", "session cookie, sessionCookieCache", cookies, COOKIE, "leave sessionCookieCache"),
    ("shared", "e-mail verification token", mailed_link, SHARED, "names no user"),
    ("oauth", "oauth-provider, id token", oauth_id_token, URL, "iss must be http"),
    ("oauth", "oauth-provider, id token, its iss is ours", oauth_id_token, f"{URL} /api/auth", "aud must be http"),
    ("oauth", "oauth-provider, access token", oauth_access_token, URL, "only Better Auth can read"),
]


@contextlib.asynccontextmanager
async def backend(kind: str, url: str, database_url: str) -> AsyncIterator[FastAPI]:
    """The application as the three ways of configuring it are described in docs/better-auth.md."""
    name, *more = kind.split()
    options: dict[str, Any] = {"environment": "development"}
    if name == URL:
        options |= {"better_auth_secret": None, "better_auth_url": url}
        options |= {"jwt_issuer": f"{url}{more[0]}"} if more else {}
    if name == COOKIE:
        prefix, version = more or ("better-auth", "1")
        options |= {"auth_cookie": True, "auth_cookie_prefix": prefix, "auth_cookie_version": version}
    async with running(create_app(settings_for(database_url, **options))) as app:
        yield app


def algorithm(credentials: dict[str, str]) -> str:
    """What signed it, from the first JWT there is."""
    texts = credentials.get("Authorization", credentials.get("Cookie", "")).replace("; ", "=").replace(" ", "=")
    for text in texts.split("="):
        with contextlib.suppress(ValueError):
            members = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))
            if isinstance(members, dict) and "alg" in members:
                return f"{members['alg']}{' (JWE)' if 'enc' in members else ''}"
    return "none"


async def told(app: FastAPI, user_id: str, credentials: dict[str, str]) -> tuple[str, str]:
    """The status of the person's own list, of somebody else's, and the sentence of a refusal."""
    async with client_for(app) as client:
        del client.headers["Authorization"]
        mine = await client.get(f"/api/{user_id}/tasks", headers=credentials)
        theirs = await client.get("/api/somebody-else/tasks", headers=credentials)
    if mine.status_code == 200:
        return "200", str(theirs.status_code)
    return mine.json()["detail"], str(theirs.status_code)


@pytest.mark.parametrize("row", TABLE, ids=[row[1] for row in TABLE])
async def test_what_better_auth_hands_out(
    row: tuple[str, str, Take, str, str], better_auth: dict[str, str], database_url: str
) -> None:
    """A real sign-up at a real Better Auth, and what it gives that person."""
    mode, what, take, kind, expected = row
    more = {"about": "x" * 9000} if mode == "chunks" else {}
    async with signed_up(better_auth[mode], **more) as person:
        credentials = await take(person)
        async with backend(kind, better_auth[mode], database_url) as app:
            mine, theirs = await told(app, person.user_id, credentials)

    note(what, algorithm(credentials), expected, mine)
    assert expected in mine
    assert theirs == ("403" if expected == ACCEPTED else "401")
    if mode == "chunks":
        assert "better-auth.session_data.1" in credentials["Cookie"]
    if mode == "prefix":
        assert "__Secure-my-app.session_data" in credentials["Cookie"]


async def test_keys_rotate_at_better_auth_while_this_serves(better_auth: dict[str, str], database_url: str) -> None:
    """The old key's tokens are good as long as Better Auth publishes it, and the new one's at once."""
    url = better_auth["default"]
    async with signed_up(url) as person, backend(URL, url, database_url) as app:
        old = await token(person)
        assert await told(app, person.user_id, old) == ("200", "403")

        await person.get("/test/expire-keys")
        new = await token(person)
        assert kid(new) != kid(old)
        assert await told(app, person.user_id, new) == ("200", "403")
        assert await told(app, person.user_id, old) == ("200", "403")
        note("the key rotates, new key", algorithm(new), ACCEPTED, "200")

        await person.get("/test/drop-keys")
        async with backend(URL, url, database_url) as restarted:
            mine, _ = await told(restarted, person.user_id, old)
            assert "names no key that Better Auth publishes" in mine
            assert await told(restarted, person.user_id, new) == ("200", "403")
        note("the key rotates, old key withdrawn", algorithm(old), "names no key that Better Auth publishes", mine)


def kid(credentials: dict[str, str]) -> str:
    header = credentials["Authorization"].removeprefix("Bearer ").partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=="))["kid"])


async def test_secrets_rotate_without_downtime(better_auth: dict[str, str], database_url: str) -> None:
    """With both secrets listed, what Better Auth signed before and after it changed its secret is good."""
    listed = {"better_auth_secret": None, "better_auth_secrets": f"2:{OLD_SECRET},1:{SECRET}"}
    async with (
        signed_up(better_auth["shared"]) as person,
        running(create_app(settings_for(database_url, **listed))) as app,
    ):
        signed_before = await token(person)
        assert await told(app, person.user_id, signed_before) == ("200", "403")
        note("an older secret of BETTER_AUTH_SECRETS", algorithm(signed_before), ACCEPTED, "200")


async def test_both_may_be_configured_together(better_auth: dict[str, str], database_url: str) -> None:
    """While one moves from the secret to Better Auth's own keys."""
    options = {"better_auth_url": better_auth["default"], "environment": "development"}
    async with running(create_app(settings_for(database_url, **options))) as app:
        for mode in ("default", "shared"):
            async with signed_up(better_auth[mode]) as person:
                assert await told(app, person.user_id, await token(person)) == ("200", "403")


async def test_who_deletes_their_account_is_erased(better_auth: dict[str, str], server: Server, tmp_path: Path) -> None:
    """By the hook of docs/better-auth.md; and where the tasks cannot be erased, the account stays."""
    url, port = better_auth["leaving"], free_port()
    with server.new_database() as name:
        settings = {"BETTER_AUTH_URL": url, "DATABASE_URL": server.database_url(name, "tasks_login")}
        async with signed_up(url) as person:
            tasks = f"http://127.0.0.1:{port}/api/{person.user_id}/tasks"
            leave: dict[str, Any] = {"json": {"password": PASSWORD}, "headers": {"Cookie": person.cookie}}
            await person.get(f"/test/api?url=http://127.0.0.1:{port}")

            assert (
                await person.client.post("/api/auth/delete-user", **leave)
            ).status_code >= 500  # nobody serves there yet
            with serving(clone(tmp_path), port, **settings):
                await person.client.post(tasks, json={"title": "x"}, headers=await token(person))
                assert server.execute("SELECT count(*) FROM tasks", database=name) == [(1,)]
                gone = await person.client.post("/api/auth/delete-user", **leave)

            assert gone.status_code == 200, gone.text
            assert server.execute("SELECT count(*) FROM task_lists", database=name) == [(0,)]
            assert (await person.get("/api/auth/get-session")).json() is None


async def test_the_tasks_of_an_anonymous_user_move_into_the_account(
    better_auth: dict[str, str], server: Server, tmp_path: Path
) -> None:
    """As docs/better-auth.md says: anonymous, three tasks, sign up, and they are there, with one id each.

    Where the tasks cannot be moved, the anonymous user stays, and the next sign-in moves them.
    """
    url, port = better_auth["anonymous"], free_port()
    api = f"http://127.0.0.1:{port}/api"
    account = {"email": "somebody@example.com", "password": PASSWORD, "name": "A"}
    with server.new_database() as name:
        settings = {"BETTER_AUTH_URL": url, "DATABASE_URL": server.database_url(name, "tasks_login")}
        async with anonymously(url) as person:
            await person.get(f"/test/api?url=http://127.0.0.1:{free_port()}")  # nobody serves there
            with serving(clone(tmp_path), port, **settings):
                made = [
                    await person.client.post(
                        f"{api}/{person.user_id}/tasks", json={"title": t}, headers=await token(person)
                    )
                    for t in ("one", "two", "three")
                ]
                cookie = {"Cookie": person.cookie}
                failed = await person.client.post("/api/auth/sign-up/email", json=account, headers=cookie)
                await person.get(f"/test/api?url=http://127.0.0.1:{port}")
                signed_in = await person.client.post("/api/auth/sign-in/email", json=account, headers=cookie)
                person.cookies.clear()
                person.keep(signed_in)
                user_id = signed_in.json()["user"]["id"]
                listed = await person.client.get(f"{api}/{user_id}/tasks", headers=await token(person))

    assert [answer.status_code for answer in made] == [201] * 3
    assert failed.status_code >= 500
    assert signed_in.status_code == 200
    assert [(task["id"], task["title"]) for task in listed.json()] == [(3, "three"), (2, "two"), (1, "one")]
    assert {task["user_id"] for task in listed.json()} == {user_id} != {person.user_id}


async def test_a_write_with_the_cookie_needs_a_page_of_ours(better_auth: dict[str, str], database_url: str) -> None:
    async with (
        signed_up(better_auth["cookie"]) as person,
        backend(COOKIE, better_auth["cookie"], database_url) as app,
        client_for(app) as client,
    ):
        del client.headers["Authorization"]
        tasks = f"/api/{person.user_id}/tasks"
        statuses = [
            (await client.post(tasks, json={"title": "x"}, headers={"Cookie": person.cookie, **headers})).status_code
            for headers in ({"Origin": PAGE}, {"Origin": "http://evil.example"}, {})
        ]

    assert statuses == [201, 403, 403]
