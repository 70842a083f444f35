"""Hostile input on every route: each is a 4xx with one error shape, and nothing is echoed, lost or hung."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app.domain.limits import ID_MAX
from tests.support.applications import Client, client_for

JSON = {"Content-Type": "application/json"}


async def post(client: Client, content: Any, **headers: str) -> Any:
    return await client.post(f"/api/{client.user_id}/tasks", content=content, headers={**JSON, **headers})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'\xef\xbb\xbf{"title":"t"}', 400),
        (b'{"title":"\xff"}', 400),
        (b'{"title":"\\ud800"}', 400),
        (b'{"title":NaN}', 400),
        (b"[" * 60_000, 400),
        (b'{"title":1e999}', 400),
        (b'{"title":"a\\u0000b"}', 422),
        (b'{"title":"t","description":"\\u0000"}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"title"', 422),
        (b"{}", 422),
        (b'{"title":null}', 422),
        (b'{"title":1}', 422),
        (b'{"title":["t"]}', 422),
        (b'{"title":""}', 422),
        ('{"title":" \u2003\\t\\n"}'.encode(), 422),
        (('{"title":"' + "🦊" * 201 + '"}').encode(), 422),
        (b'{"title":"t","description":"' + b"x" * 1001 + b'"}', 422),
        (b'{"title":"t","completed":"true"}', 422),
        (b'{"title":"t","completed":1}', 422),
        (b'{"title":"t","completed":null}', 422),
        (b'{"title":"t","user_id":"bob"}', 422),
        (b'{"title":"t","id":7}', 422),
        (b'{"title":"t","created_at":"2026-01-01T00:00:00Z"}', 422),
        (b'{"title":"t","a/b~c":1}', 422),
        (('{"title":"' + "🦊" * 200 + '"}').encode(), 201),
        (b'{"title":"first","title":"last"}', 201),
    ],
)
async def test_a_body_is_answered_as_the_contract_says(client: Client, body: bytes, status: int) -> None:
    """400 for what is no JSON, 422 for JSON that is no task, and no fault of ours for anything."""
    answer = await post(client, body)

    assert answer.status_code == status
    if status == 422:
        assert all(
            set(error) == {"pointer", "detail"} and error["pointer"][0] == "#" for error in answer.json()["errors"]
        )


async def test_a_422_says_where_and_never_what(client: Client) -> None:
    """The pointer leads to the member; its value is nowhere in the answer."""
    answer = await post(client, b'{"title":"' + b"se3ret" * 40 + b'","description":["se3ret"],"a/b~c":"se3ret"}')

    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/title", "#/description", "#/a~1b~0c"]
    assert "se3ret" not in answer.text


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize("streamed", [False, True], ids=["with a length", "in chunks"])
async def test_a_body_over_the_limit_is_413(client: Client, streamed: bool) -> None:
    """Whether its length was announced or not."""
    answer = await post(client, chunks(100_000) if streamed else b"x" * 100_000)

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 201),
        ({"Content-Type": 'Application/JSON;charset="UTF-8"'}, 201),
        ({"Content-Encoding": "identity"}, 201),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/merge-patch+json"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Length": "many"}, 400),
        ({"Content-Length": "9" * 5000}, 400),
    ],
)
async def test_headers_of_a_body(client: Client, headers: dict[str, str], status: int) -> None:
    """Only JSON in UTF-8, not compressed, with a length that is a number."""
    assert (await post(client, b'{"title":"t"}', **headers)).status_code == status


async def test_a_toggle_with_a_body_of_another_type_is_415(client: Client) -> None:
    """An empty body toggles whatever the type; one that says something must be JSON."""
    await post(client, b'{"title":"t"}')

    answer = await client.patch(
        f"/api/{client.user_id}/tasks/1/complete", content=b"x", headers={"Content-Type": "text/plain"}
    )

    assert answer.status_code == 415


@pytest.mark.parametrize(
    "task_id",
    ["0", "-1", "+1", "007", "1.0", "1e3", "1_000", "٣", " 1", str(ID_MAX + 1), "9" * 5000, "x", "1%00", "1;x"],
)
async def test_an_id_is_a_plain_decimal(client: Client, task_id: str) -> None:
    """Anything else is 422 on every route, and the largest that is one is just not there."""
    tasks = f"/api/{client.user_id}/tasks"
    statuses = {
        (await client.get(f"{tasks}/{task_id}")).status_code,
        (await client.delete(f"{tasks}/{task_id}")).status_code,
        (await client.patch(f"{tasks}/{task_id}/complete")).status_code,
    }

    assert statuses == {422}
    assert (await client.get(f"{tasks}/{ID_MAX}")).status_code == 404


BAD_LIMITS = ("0", "-1", "501", "+5", "5.0", "1_0", "", "%D9%A3", "100000000000000000000", "5&limit=6", "%ff")


@pytest.mark.parametrize(
    "query",
    ["user_id=bob", "status=done", "status=", "STATUS=all", "x", "%ff=1", *(f"limit={limit}" for limit in BAD_LIMITS)],
)
async def test_a_query_is_taken_exactly(client: Client, query: str) -> None:
    """Unknown, repeated and odd parameters are 422, on the list and where there are none to have."""
    tasks = f"/api/{client.user_id}/tasks"

    answers = [await client.get(f"{tasks}?{query}"), await client.get(f"{tasks}/1?{query}")]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert all(error["pointer"].startswith("?") for answer in answers for error in answer.json()["errors"])


async def test_headers_change_neither_method_nor_path(client: Client) -> None:
    """Allow names every method of the path, and no header overrides what the request line says."""
    tasks = f"/api/{client.user_id}/tasks"
    all_of_them = await client.delete(tasks)
    one = await client.post(f"{tasks}/1")
    tricks = {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/api/bob/tasks", "X-Forwarded-Prefix": "/api/bob"}
    tricked = await client.get(tasks, headers=tricks)

    assert (all_of_them.status_code, all_of_them.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (one.status_code, one.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")
    assert (tricked.status_code, tricked.json()) == (200, [])


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("http://localhost:3001", False),
        ("https://localhost:3000", False),
        ("http://localhost:3000.evil.example", False),
        ("http://LOCALHOST:3000", False),
        ("null", False),
    ],
)
async def test_cors_knows_exact_origins(app: FastAPI, origin: str, allowed: bool) -> None:
    """A preflight needs no token, and errors can be read by the page, where the origin is one of ours."""
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "if-match",
    }
    async with client_for(app) as client:
        tasks = f"/api/{client.user_id}/tasks"
        seen = [
            await client.get(tasks, headers={"Origin": origin}),
            await client.get("/api/bob/tasks", headers={"Origin": origin}),
            await client.get(f"{tasks}/9", headers={"Origin": origin}),
            await client.post(tasks, content=b"x" * 70_000, headers={"Origin": origin, **JSON}),
        ]
        del client.headers["Authorization"]
        seen.append(await client.get(tasks, headers={"Origin": origin}))
        asked = await client.options(tasks, headers=preflight)

    assert [answer.status_code for answer in seen] == [200, 403, 404, 413, 401]
    assert {answer.headers.get("access-control-allow-origin") for answer in seen} == {origin if allowed else None}
    assert all("Origin" in answer.headers["vary"] for answer in seen)
    assert asked.status_code == (200 if allowed else 400)
    assert asked.headers.get("access-control-allow-origin") == (origin if allowed else None)
    exposed = (
        "Accept, Accept-Encoding, Accept-Patch, Allow, Content-Disposition, ETag, Idempotency-Replayed, Link, "
        "Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID, "
        "X-Total-Count"
    )
    assert {answer.headers["access-control-expose-headers"] for answer in seen} == {exposed}


async def test_a_client_that_goes_away_ends_its_request(app: FastAPI) -> None:
    """A body that ends early is no task."""
    async with client_for(app) as client:
        authorization = client.headers["authorization"].encode()
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/api/{client.user_id}/tasks",
            "query_string": b"",
            "headers": [(b"authorization", authorization), (b"content-type", b"application/json")],
        }
        sent: list[Any] = []

        async def gone() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, gone, send)
        listed = await client.get(f"/api/{client.user_id}/tasks")

    assert sent[0]["status"] == 400
    assert listed.json() == []


async def test_a_query_that_says_nothing_is_no_query(client: Client) -> None:
    """A lone separator names no parameter."""
    assert (await client.get(f"/api/{client.user_id}/tasks/1?&")).status_code == 404
