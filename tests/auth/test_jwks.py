"""Better Auth's keys over a real wire: when they are fetched, and what happens while it is away, slow or lying."""

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app import problems
from backend.app.auth import jwks
from backend.app.main import create_app
from tests.support.applications import client_for, running, settings_for
from tests.support.key_server import KeyServer, SigningKey, http, key_server
from tests.support.tokens import new_user, token

COOLDOWN = 30.0


@contextlib.asynccontextmanager
async def trusting(server: KeyServer, database_url: str, **changes: Any) -> AsyncIterator[FastAPI]:
    """The application with BETTER_AUTH_URL alone, no secret."""
    options = {"better_auth_secret": None, "better_auth_url": server.url, "environment": "development"}
    async with running(create_app(settings_for(database_url, **{**options, **changes}))) as app:
        yield app


async def status(app: FastAPI, text: str, user_id: str) -> int:
    async with client_for(app) as client:
        answer = await client.get(f"/api/{user_id}/tasks", headers={"Authorization": f"Bearer {text}"})
    return answer.status_code


async def answered(app: FastAPI, text: str) -> Any:
    async with client_for(app) as client:
        return await client.get("/api/x/tasks", headers={"Authorization": f"Bearer {text}"})


async def test_the_url_alone_is_enough(database_url: str) -> None:
    """Keys from its jwks, issuer and audience its origin, no secret."""
    key, user = SigningKey(), new_user()
    async with key_server(key) as server, trusting(server, database_url) as app:
        assert await status(app, key.token(user, server.url), user) == 200
        assert await status(app, key.token(user, server.url), new_user()) == 403
        assert await status(app, token(user), user) == 401  # signed with a secret: none is configured


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"iss": "https://elsewhere.example"}, "iss must be {url}."),
        ({"iss": "{url}/api/auth"}, "iss must be {url}."),
        ({"aud": "a-client-of-the-oauth-provider"}, "aud must be {url}."),
        ({"aud": ["a", "b"]}, "aud must be {url}."),
        ({"exp": 1}, "expired"),
        ({"sub": None}, "sub must be"),
    ],
)
async def test_better_auths_other_tokens_are_refused(claims: dict[str, Any], sentence: str, database_url: str) -> None:
    """The oauth-provider signs id tokens and access tokens with the same keys, for others."""
    key = SigningKey()
    async with key_server(key) as server, trusting(server, database_url) as app:
        changed = {k: v.format(url=server.url) if isinstance(v, str) else v for k, v in claims.items()}
        answer = await answered(app, key.token("x", server.url, **changed))

    assert answer.status_code == 401
    assert sentence.format(url=server.url) in answer.json()["detail"]
    assert "elsewhere" not in answer.text


@pytest.mark.parametrize(
    ("settings", "claims", "expected"),
    [
        ({}, {}, 200),
        ({"jwt_issuer": "https://i.example"}, {}, 401),
        ({"jwt_issuer": "https://i.example"}, {"iss": "https://i.example"}, 200),
        ({"jwt_audience": "tasks"}, {}, 401),
        ({"jwt_audience": "tasks"}, {"aud": ["tasks", "x"]}, 200),
    ],
)
async def test_explicit_parties_override_the_origin(
    settings: dict[str, Any], claims: dict[str, Any], expected: int, database_url: str
) -> None:
    key, user = SigningKey(), new_user()
    async with key_server(key) as server, trusting(server, database_url, **settings) as app:
        assert await status(app, key.token(user, server.url, **claims), user) == expected


async def test_a_secret_beside_the_keys_has_no_derived_parties(database_url: str) -> None:
    """Tokens signed with the secret have whatever iss and aud they had before; explicit settings are for both."""
    key, user = SigningKey(), new_user()
    async with key_server(key) as server:
        both = {"better_auth_secret": settings_for(database_url).better_auth_secret}
        async with trusting(server, database_url, **both) as app:
            assert await status(app, token(user), user) == 200
            assert await status(app, key.token(user, server.url), user) == 200
        async with trusting(server, database_url, **both, jwt_issuer="https://i.example") as app:
            assert await status(app, token(user), user) == 401
            assert await status(app, token(user, iss="https://i.example"), user) == 200


async def test_rotation_at_better_auth_needs_no_restart(database_url: str) -> None:
    """A new key is fetched on its first token; one that is gone verifies nothing, also not a remembered token."""
    old, new, user = SigningKey(), SigningKey("ES256"), new_user()
    async with key_server(old) as server, trusting(server, database_url, jwks_cooldown=1) as app:
        signed = old.token(user, server.url)
        assert await status(app, signed, user) == 200

        server.publish(old, new)
        assert await status(app, new.token(user, server.url), user) == 200
        assert await status(app, signed, user) == 200
        assert server.asked == 2

        server.publish(new)
        await forget_the_last_look(app)
        assert (await answered(app, SigningKey().token("x", server.url))).status_code == 401
        assert await status(app, signed, user) == 503  # the keys may have changed once more, nobody looks before
        await forget_the_last_look(app)
        assert await status(app, signed, user) == 401
        assert await status(app, new.token(user, server.url), user) == 200


async def forget_the_last_look(app: FastAPI) -> None:
    """As if the cooldown had passed."""
    app.state.services.remote_keys._looked = -1e9  # noqa: SLF001 - the alternative is to wait


async def test_a_thousand_unknown_keys_are_one_fetch(database_url: str) -> None:
    """Made-up key ids cannot make this service a burden for Better Auth, nor itself slow."""
    key = SigningKey()
    async with key_server(key) as server, trusting(server, database_url) as app:
        assert await status(app, key.token("x", server.url), "x") == 200
        before = server.asked
        stranger = SigningKey()
        texts = [stranger.sign({"sub": "x"}, kid=f"kid-{n}") for n in range(1_000)]

        async with client_for(app) as client:

            async def told(text: str) -> int:
                answer = await client.get("/api/x/tasks", headers={"Authorization": f"Bearer {text}"})
                return answer.status_code

            statuses = await asyncio.gather(*(told(text) for text in texts[:900]))
            statuses += [await told(text) for text in texts[900:]]

        assert set(statuses) == {401, 503}
        assert statuses.count(401) <= 50  # as many wait for the one fetch
        assert server.asked - before == 1
        await forget_the_last_look(app)
        assert "kid names no key" in (await answered(app, texts[0])).json()["detail"]


async def test_a_rotation_beside_an_attack_signs_nobody_out(database_url: str) -> None:
    """After a made-up kid a really new key is 503 with the time to wait, never 401, and good when it is over."""
    old, new, user = SigningKey(), SigningKey(), new_user()
    async with key_server(old) as server, trusting(server, database_url) as app:
        # The first may have joined the look at the start; after the second the cooldown has begun.
        made_up = [(await answered(app, SigningKey().token("x", server.url))).status_code for _ in range(2)]
        assert made_up in ([401, 401], [401, 503])
        server.publish(old, new)

        refused = [await answered(app, new.token(user, server.url)) for _ in range(20)]
        assert {answer.status_code for answer in refused} == {503}
        assert 1 <= int(refused[0].headers["retry-after"]) <= COOLDOWN
        assert await status(app, old.token(user, server.url), user) == 200
        assert server.asked == 2

        await forget_the_last_look(app)
        assert await status(app, new.token(user, server.url), user) == 200


async def test_few_wait_for_a_key_server_that_hangs_and_strangers_are_counted(database_url: str) -> None:
    """A hundred made-up kids: few wait, the others are answered at once, and their address reaches its limit."""
    key, user = SigningKey(), new_user()
    options = {"jwks_timeout": 0.3, "jwks_max_waiting": 2, "rate_limit_per_address": "50/minute"}
    async with key_server(key) as server, trusting(server, database_url, **options) as app:
        assert await status(app, key.token(user, server.url), user) == 200
        server.answer = hang

        strangers = [asyncio.create_task(answered(app, SigningKey().token("x", server.url))) for _ in range(100)]
        assert await status(app, key.token(user, server.url), user) == 200
        done, _ = await asyncio.wait(strangers, timeout=0.2)
        assert len(done) >= 98 - 2
        statuses = [(await stranger).status_code for stranger in strangers]

    assert (statuses.count(503), statuses.count(429)) == (50, 50)


async def test_while_better_auth_is_away_known_keys_go_on(database_url: str) -> None:
    """Who has a token of a known key notices nothing; an unknown one is 503, not 401: it may be good."""
    key, new, user = SigningKey(), SigningKey(), new_user()
    async with key_server(key) as server, trusting(server, database_url) as app:
        assert await status(app, key.token(user, server.url), user) == 200
        await server.stop()

        answer = await answered(app, new.token("x", server.url))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["type"] == "urn:tasks:problem:signing-keys-unavailable"
        assert await status(app, key.token(user, server.url), user) == 200
        assert await status(app, key.token(new_user(), server.url), user) == 403

        server.publish(key, new)
        await server.start()
        await forget_the_last_look(app)
        assert await status(app, new.token(user, server.url), user) == 200


async def test_the_start_does_not_need_better_auth(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts, answers 503 for tokens, and finds the keys by itself once they are there."""
    monkeypatch.setattr(jwks, "FIRST_RETRY_SECONDS", 0.05)
    key, user = SigningKey(), new_user()
    async with key_server(key) as server:
        await server.stop()
        async with trusting(server, database_url) as app:
            assert (await answered(app, key.token("x", server.url))).status_code == 503
            await server.start()
            await server.until_asked(1)
            assert await status(app, key.token(user, server.url), user) == 200


async def test_a_look_that_failed_is_not_the_last_one(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better Auth was away when somebody came with a new key: it is found by itself, long before the next look."""
    monkeypatch.setattr(jwks, "FIRST_RETRY_SECONDS", 0.05)
    old, new, user = SigningKey(), SigningKey(), new_user()
    async with key_server(old) as server, trusting(server, database_url) as app:
        assert await status(app, old.token(user, server.url), user) == 200
        await server.stop()
        assert await status(app, new.token(user, server.url), user) == 503

        server.publish(old, new)
        await server.start()
        await server.until_asked(2)
        assert await status(app, new.token(user, server.url), user) == 200


async def test_keys_are_renewed_outside_of_requests(database_url: str) -> None:
    """After the TTL they are fetched again though nobody asks for an unknown one."""
    old, new, user = SigningKey(), SigningKey(), new_user()
    async with key_server(old) as server, trusting(server, database_url, jwks_ttl=1) as app:
        assert await status(app, old.token(user, server.url), user) == 200
        server.publish(new)
        await server.until_asked(3)  # the answer to the second was read by then
        assert await status(app, old.token(user, server.url), user) == 401
        assert await status(app, new.token(user, server.url), user) == 200


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", **{"content-length": "100000"}))
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


def saying(answer: bytes) -> Any:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return say


EVIL = SigningKey()
KEYS_OF_EVIL = json.dumps({"keys": [EVIL.jwk]}).encode()
LARGE = KEYS_OF_EVIL + b" " * 300_000
LIES = {
    "hangs": hang,
    "drips": drip,
    "redirects": saying(http(KEYS_OF_EVIL, "302 Found", location="/elsewhere") + http(KEYS_OF_EVIL)),
    "404": saying(http(KEYS_OF_EVIL, "404 Not Found")),
    "500": saying(http(KEYS_OF_EVIL, "500 Internal Server Error")),
    "HTML": saying(http(b"<html></html>")),
    "no keys": saying(http(b"{}")),
    "an empty list of keys": saying(http(b'{"keys":[]}')),
    "no usable key": saying(http(b'{"keys":[{"kty":"oct","k":"x","kid":"x"}]}')),
    "too large": saying(http(LARGE)),
    "too large, chunked": saying(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)
    ),
    "gzip": saying(http(gzip.compress(KEYS_OF_EVIL), **{"content-encoding": "gzip"})),
    "not HTTP": saying(b"hello\r\n\r\n"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_key_server_that_hangs_or_lies_takes_nothing_away(lie: Any, database_url: str) -> None:
    """Known keys go on working, unknown ones are 503 in bounded time, and the rest of the service is not held up."""
    key, user = SigningKey(), new_user()
    async with key_server(key) as server, trusting(server, database_url, jwks_timeout=0.3) as app:
        assert await status(app, key.token(user, server.url), user) == 200
        server.answer = lie

        started = time.monotonic()
        unknown = asyncio.create_task(answered(app, EVIL.token("x", server.url)))
        assert await status(app, key.token(user, server.url), user) == 200
        assert (await unknown).status_code == 503
        assert time.monotonic() - started < 5

        server.answer = None
        await forget_the_last_look(app)
        assert (await answered(app, EVIL.token("x", server.url))).status_code == 401


async def test_who_stops_waiting_does_not_stop_the_fetch(database_url: str) -> None:
    """A client that hangs up while the keys are fetched leaves the others waiting for the same answer."""
    key, new, user = SigningKey(), SigningKey(), new_user()
    async with key_server(key) as server, trusting(server, database_url) as app:
        assert await status(app, key.token(user, server.url), user) == 200
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def slow(writer: asyncio.StreamWriter) -> None:
            asked.set()
            await go_on.wait()
            server.publish(key, new)
            server.answer = None
            writer.write(http(json.dumps({"keys": server.keys}).encode()))

        server.answer = slow
        first = asyncio.create_task(status(app, new.token(user, server.url), user))
        await asked.wait()
        second = asyncio.create_task(status(app, new.token(user, server.url), user))
        first.cancel()
        await asyncio.wait([first])
        go_on.set()

        assert await second == 200
        assert server.asked == 2


async def test_a_skipped_key_is_told_in_the_log(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The others go on working, and who looks at the log learns why that one does not."""
    key, user = SigningKey(), new_user()
    async with key_server(key) as server:
        server.keys.insert(0, {"kty": "OKP", "crv": "Ed25519", "kid": "broken"})
        async with trusting(server, database_url) as app:
            assert await status(app, key.token(user, server.url), user) == 200

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "a key is skipped" in line]
    assert json.loads(line)["reason"].startswith("key 1: it cannot be read")


async def test_whatever_goes_wrong_there_is_a_next_try() -> None:
    """The HTTP client raises groups of exceptions as well, here for a port that there is not."""
    keys = jwks.RemoteKeys(
        "http://localhost:99999", replace=lambda _: None, ttl=1, cooldown=COOLDOWN, timeout=1, max_bytes=1024
    )
    async with keys.kept_fresh():
        with pytest.raises(problems.SigningKeysUnavailable):
            await keys.look_again()


async def test_what_was_not_started_fetches_nothing() -> None:
    """Outside of its lifetime there is no client to fetch with."""
    keys = jwks.RemoteKeys(
        "http://127.0.0.1:1", replace=lambda _: None, ttl=1, cooldown=COOLDOWN, timeout=1, max_bytes=1024
    )
    with pytest.raises(problems.SigningKeysUnavailable):
        await keys.look_again()
