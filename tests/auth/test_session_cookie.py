"""Better Auth's session cookies: which of them are somebody's, and from which pages they may write."""

import base64
import json
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app.auth.session_cookie import CHUNKS_MAX, SessionCookies
from backend.app.auth.signatures import InvalidToken
from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.session_cookies import NOW, TOKEN, claims, claims_now, cookie_token, signed_data
from tests.support.tokens import SECRET, new_user, token

PAGE = {"Origin": "http://localhost:3000"}


def cookie(session_token: str | None = None, session_data: str | None = None, name: str = "better-auth") -> str:
    token, contents = session_token or cookie_token(), session_data or signed_data()
    return f"{name}.session_token={token}; {name}.session_data={contents}"


def cookies(now: float = NOW, **changes: Any) -> SessionCookies:
    options: dict[str, Any] = {
        "prefix": "better-auth",
        "version": "1",
        "secure": False,
        "leeway": 30,
        "cache_size": 10,
    }
    return SessionCookies(changes.pop("secrets", [SECRET]), clock=lambda: now, **{**options, **changes})


def chunked(text: str, size: int, name: str = "better-auth.session_data") -> str:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return "; ".join(f"{name}.{number}={piece}" for number, piece in reversed(list(enumerate(pieces))))


def session(**changes: Any) -> dict[str, Any]:
    return claims(session={**claims()["session"], **changes})


OTHER = "x" * 40
REFUSED = {
    "no session_data": f"better-auth.session_token={cookie_token()}",
    "session_data empty": f"better-auth.session_token={cookie_token()}; better-auth.session_data=",
    "session_token unsigned": cookie(TOKEN),
    "session_token of another secret": cookie(cookie_token(secret=OTHER)),
    "session_token of another session": cookie(cookie_token("B" * 32)),
    "session_token empty": cookie(cookie_token(""), signed_data(session(token=""))),
    "session_token a signature only": cookie("." + cookie_token().partition(".")[2]),
    "session_data of another secret": cookie(session_data=signed_data(secret=OTHER)),
    "session_data altered": cookie(session_data=signed_data()[:-2]),
    "compact": cookie(session_data=base64.urlsafe_b64encode(json.dumps(claims()).encode()).decode().rstrip("=")),
    "a JWE": cookie(session_data="a.b.c.d.e"),
    "alg none": cookie(session_data=signed_data(header={"alg": "none"})),
    "alg EdDSA": cookie(session_data=signed_data(header={"alg": "EdDSA", "kid": "k"})),
    "typ of the jwt plugin": cookie(
        session_data=signed_data(header={"alg": "HS256", "typ": "better-auth.session-cache+jwt"})
    ),
    "an access token": cookie(session_data=signed_data({"sub": "u1", "exp": NOW + 300})),
    "an e-mail verification token": cookie(
        session_data=signed_data({"email": "a@b.c", "userId": "u1", "exp": NOW + 300})
    ),
    "session null": cookie(session_data=signed_data(claims(session=None))),
    "user null": cookie(session_data=signed_data(claims(user=None))),
    "user a list": cookie(session_data=signed_data(claims(user=["u1"]))),
    "userId of another": cookie(session_data=signed_data(session(userId="u2"))),
    "no userId": cookie(session_data=signed_data(session(userId=None))),
    **{
        f"user id {user_id!r}": cookie(session_data=signed_data(claims(user_id)))
        for user_id in (1, "", "a/b", None, "x" * 256)
    },
    "expired": cookie(session_data=signed_data(claims(exp=NOW - 30))),
    "no exp": cookie(session_data=signed_data({k: v for k, v in claims().items() if k != "exp"})),
    "exp text": cookie(session_data=signed_data(claims(exp="soon"))),
    "exp true": cookie(session_data=signed_data(claims(exp=True))),
    "session over": cookie(session_data=signed_data(session(expiresAt="2027-01-15T07:59:59.999Z"))),
    "session's end missing": cookie(session_data=signed_data(session(expiresAt=None))),
    "session's end without an offset": cookie(session_data=signed_data(session(expiresAt="2030-01-01T00:00:00"))),
    "session's end no date": cookie(session_data=signed_data(session(expiresAt="never"))),
    "another version": cookie(session_data=signed_data(claims(version="2"))),
    "a piece is missing": f"better-auth.session_token={cookie_token()}; better-auth.session_data.1={signed_data()}",
}


@pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED.keys())
def test_a_cookie_is_refused(header: str) -> None:
    """Whatever is not exactly Better Auth's pair of cookies is nobody's, and the sentence holds nothing of it."""
    with pytest.raises(InvalidToken) as refusal:
        cookies().principal(header)

    assert "cookie" in refusal.value.description
    assert TOKEN not in refusal.value.description


NOBODY = {
    "empty": "",
    "others": "theme=dark; better-auth=1; session_token=x",
    "only session_data": f"better-auth.session_data={signed_data()}",
    "another prefix": cookie(name="other"),
    "no value": "better-auth.session_token",
    "another case": cookie().replace("better-auth.", "Better-Auth."),
}


@pytest.mark.parametrize("header", NOBODY.values(), ids=NOBODY.keys())
def test_without_a_session_it_is_nobody(header: str) -> None:
    assert cookies().principal(header) is None


LONG = signed_data(claims(user={"id": "u1", "bio": "x" * 9000}))
ACCEPTED: dict[str, tuple[str, dict[str, Any]]] = {
    "as Better Auth sets them": (cookie(), {}),
    "among others": (f"a=b; {cookie()}; theme=dark", {}),
    "without blanks": (cookie().replace("; ", ";"), {}),
    "quoted": (cookie(session_data=f'"{signed_data()}"'), {}),
    "set over https": (cookie(name="__Secure-better-auth"), {"secure": True}),
    "set over https, not asked for": (cookie(name="__Secure-better-auth"), {}),
    "with a prefix": (cookie(name="my-app"), {"prefix": "my-app"}),
    "in pieces": (f"better-auth.session_token={cookie_token()}; {chunked(LONG, 3900)}", {}),
    "an old secret": (cookie(cookie_token(secret=OTHER), signed_data(secret=OTHER)), {"secrets": [SECRET, OTHER]}),
    "another version": (cookie(session_data=signed_data(claims(version="7"))), {"version": "7"}),
    "no version": (cookie(session_data=signed_data({k: v for k, v in claims().items() if k != "version"})), {}),
    "within the leeway": (cookie(session_data=signed_data(claims(exp=NOW - 29))), {}),
}


@pytest.mark.parametrize(("header", "options"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_cookie_is_accepted(header: str, options: dict[str, Any]) -> None:
    principal = cookies(**options).principal(header)

    assert principal is not None
    assert principal.user_id == "u1"


def test_only_https_counts_where_it_is_asked_for() -> None:
    """In production a cookie that a plain http page may have set is as none."""
    assert cookies(secure=True).principal(cookie()) is None


def test_a_secure_cookie_goes_before_a_plain_one() -> None:
    theirs = cookie(session_data=signed_data(claims("theirs")))
    mine = cookie(session_data=signed_data(claims("mine")), name="__Secure-better-auth")
    both = f"{theirs}; {mine}"

    principal = cookies().principal(both)

    assert principal is not None
    assert principal.user_id == "mine"


def test_of_two_cookies_with_one_name_the_first_counts() -> None:
    """As Better Auth reads them: the second may have been set for the whole domain by a neighbour."""
    twice = f"{cookie(session_data=signed_data(claims('mine')))}; {cookie(session_data=signed_data(claims('theirs')))}"

    principal = cookies().principal(twice)

    assert principal is not None
    assert principal.user_id == "mine"


def test_pieces_of_the_two_kinds_are_not_mixed() -> None:
    """A secure session_token does not make plain session_data good."""
    with pytest.raises(InvalidToken, match="expired"):
        cookies().principal(
            f"__Secure-better-auth.session_token={cookie_token()}; better-auth.session_data={signed_data()}"
        )


def test_there_is_an_end_to_the_pieces() -> None:
    text = signed_data(claims(user={"id": "u1", "bio": "x" * 9000}))
    header = f"better-auth.session_token={cookie_token()}; {chunked(text, len(text) // CHUNKS_MAX - 1)}"

    with pytest.raises(InvalidToken):
        cookies().principal(header)


def test_a_remembered_session_still_ends() -> None:
    """The clock is asked on every request."""
    now = [float(NOW)]
    ageing = SessionCookies(
        [SECRET], prefix="better-auth", version="1", secure=False, leeway=30, cache_size=10, clock=lambda: now[0]
    )
    assert ageing.principal(cookie()) is not None

    now[0] += 330

    with pytest.raises(InvalidToken, match="expired"):
        ageing.principal(cookie())


@pytest.fixture(scope="module")
async def app(database_url: str) -> Any:
    async with running(create_app(settings_for(database_url, auth_cookie=True))) as app:
        yield app


def browser(app: FastAPI) -> Client:
    """A client that has nothing but what its requests are given."""
    client = client_for(app)
    del client.headers["Authorization"]
    return client


def signed_in(user_id: str) -> dict[str, str]:
    return {"Cookie": cookie(session_data=signed_data(claims_now(user_id)))}


async def test_the_cookie_stands_in_for_a_token(app: FastAPI) -> None:
    """On the user's own path, and there only."""
    user = new_user()
    async with browser(app) as client:
        written = await client.post(
            f"/api/{user}/tasks", headers={**signed_in(user), **PAGE}, json={"title": "by cookie"}
        )
        mine = await client.get(f"/api/{user}/tasks", headers=signed_in(user))
        theirs = await client.get(f"/api/{new_user()}/tasks", headers=signed_in(user))

    assert (written.status_code, mine.status_code, theirs.status_code) == (201, 200, 403)
    assert [task["title"] for task in mine.json()] == ["by cookie"]
    assert {answer.headers["cache-control"] for answer in (written, mine)} == {"private, no-cache"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://localhost:3000"}, 201),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://api.example", "Sec-Fetch-Site": "same-origin"}, 201),
        ({}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost:3000.evil.example"}, 403),
        ({"Origin": "http://localhost:3001"}, 403),
        ({"Origin": "https://localhost:3000"}, 403),
        ({"Origin": "HTTP://LOCALHOST:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Referer": "http://localhost:3000/"}, 403),
    ],
    ids=str,
)
async def test_only_a_page_of_ours_writes_with_the_cookie(headers: dict[str, str], expected: int, app: FastAPI) -> None:
    """A browser sends the cookie for every page; Origin and Sec-Fetch-Site tell which one asked."""
    user = new_user()
    async with browser(app) as client:
        answer = await client.post(f"/api/{user}/tasks", headers={**signed_in(user), **headers}, json={"title": "x"})
        rows = (await client.get(f"/api/{user}/tasks", headers=signed_in(user))).json()

    assert answer.status_code == expected
    assert len(rows) == (1 if expected == 201 else 0)
    if expected == 403:
        assert answer.json()["type"] == "urn:tasks:problem:cross-site-request"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 200),
        ({}, 200),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Origin": "http://evil.localhost", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "nested-navigate"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
    ids=str,
)
async def test_only_a_page_of_ours_reads_with_the_cookie(
    method: str, headers: dict[str, str], expected: int, app: FastAPI
) -> None:
    """A page that cannot read the answer would still spend its visitor's rate limit and streams; links get nothing."""
    user = new_user()
    async with browser(app) as client:
        answer = await client.request(method, f"/api/{user}/tasks", headers={**signed_in(user), **headers})

    assert (answer.status_code == 403) == (expected == 403), answer.status_code


async def test_a_page_of_another_origin_spends_nothing_of_its_visitors(database_url: str) -> None:
    """Neither their rate limit nor their streams, whatever path it asks for."""
    user = new_user()
    settings = settings_for(database_url, auth_cookie=True, rate_limit_per_user="2/hour", max_streams_per_user=1)
    foreign = {**signed_in(user), "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
    async with running(create_app(settings)) as application, browser(application) as client:
        paths = (f"/api/{user}/events", f"/api/{user}/tasks", "/anything", "/api/somebody/events")
        refused = [await client.get(path, headers=foreign) for path in paths]
        own = [await client.get(f"/api/{user}/tasks", headers={**signed_in(user), **PAGE}) for _ in range(3)]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert {answer.json()["type"] for answer in refused} == {"urn:tasks:problem:cross-site-request"}
    assert [answer.status_code for answer in own] == [200, 200, 429]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_unsafe_method_is_asked_where_it_comes_from(method: str, app: FastAPI) -> None:
    user = new_user()
    async with browser(app) as client:
        answer = await client.request(method, f"/api/{user}/tasks/1", headers=signed_in(user))

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:tasks:problem:cross-site-request")


async def test_two_origins_are_none_of_ours(app: FastAPI) -> None:
    """Whichever of them the browser wrote."""
    user = new_user()
    headers = [*signed_in(user).items(), ("Origin", "http://localhost:3000"), ("Origin", "http://evil.example")]
    async with browser(app) as client:
        answer = await client.post(f"/api/{user}/tasks", headers=headers, json={"title": "x"})

    assert answer.status_code == 403


async def test_a_bearer_token_wins(app: FastAPI) -> None:
    """Even a bad one: who sends a token means it. Another scheme counts as no token."""
    mine, other = new_user(), new_user()
    async with browser(app) as client:

        async def told(authorization: str, path: str) -> int:
            headers = {**signed_in(mine), "Authorization": authorization}
            answer = await client.get(f"/api/{path}/tasks", headers=headers)
            return answer.status_code

        assert await told(f"Bearer {token(other)}", other) == 200
        assert await told(f"Bearer {token(other)}", mine) == 403
        assert await told("Bearer x", mine) == 401
        assert await told("Basic dTpw", mine) == 200
        assert (
            await client.post(
                f"/api/{other}/tasks",
                headers={**signed_in(mine), "Authorization": f"Bearer {token(other)}", "Origin": "http://evil.example"},
                json={"title": "x"},
            )
        ).status_code == 201  # a token is no ambient authority: no page has it by accident


async def test_a_bad_cookie_is_told_apart_from_none(app: FastAPI) -> None:
    async with browser(app) as client:
        none = await client.get("/api/u1/tasks", headers={"Cookie": "theme=dark"})
        expired = await client.get("/api/u1/tasks", headers={"Cookie": cookie()})

    assert none.headers["www-authenticate"] == 'Bearer realm="tasks"'
    assert expired.status_code == 200  # its times are in the future of this clock
    async with browser(app) as client:
        gone = await client.get("/api/u1/tasks", headers={"Cookie": f"better-auth.session_token={cookie_token()}"})
    assert "authClient.getSession()" in gone.headers["www-authenticate"]


async def test_a_split_cookie_header_is_one(app: FastAPI) -> None:
    """RFC 9113, section 8.2.3."""
    user = new_user()
    parts = signed_in(user)["Cookie"].split("; ")
    async with browser(app) as client:
        answer = await client.get(f"/api/{user}/tasks", headers=[("Cookie", part) for part in parts])

    assert answer.status_code == 200


async def test_cookies_are_ignored_unless_they_are_switched_on(database_url: str) -> None:
    async with running(create_app(settings_for(database_url))) as app, browser(app) as client:
        user = new_user()
        answer = await client.get(f"/api/{user}/tasks", headers=signed_in(user))

    assert answer.headers["www-authenticate"] == 'Bearer realm="tasks"'
