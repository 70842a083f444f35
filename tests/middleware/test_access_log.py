"""The access log: every request is one line, which tells nothing that it should not."""

import asyncio
import io
import json
import re

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.app.auth.principal import Principal
from backend.app.main import create_app
from tests.middleware.conftest import Lines
from tests.support.applications import client_for, running, settings_for
from tests.support.asgi import ask, failing, fine
from tests.support.raw_http import HTTP, bearer, exchange, request, served
from tests.support.tokens import new_user, token

MEMBERS = ["time", "level", "event", "method", "route", "status", "ms", "request_id", "user_id"]


async def test_a_request_is_one_line_with_just_these_members(lines: Lines) -> None:
    """Time in UTC, level, event, method, route, status, milliseconds, request id, user id; and nothing else."""
    await ask(fine)

    (line,) = lines()
    assert list(line) == MEMBERS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["level"], line["event"], line["method"], line["status"]) == ("info", "request", "GET", 200)
    assert (line["route"], line["user_id"]) == (None, None)
    assert 0 <= line["ms"] < 10_000


TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("sent", "followed"),
    [
        (b"00-%b-%b-01" % (TRACE, PARENT), True),
        (b"00-%b-%b-00" % (TRACE, PARENT), True),
        (b"cc-%b-%b-01-what-comes-later" % (TRACE, PARENT), True),
        (b"ff-%b-%b-01" % (TRACE, PARENT), False),
        (b"00-%b-%b-01" % (b"0" * 32, PARENT), False),
        (b"00-%b-%b-01" % (TRACE, b"0" * 16), False),
        (b"00-%b-%b-01" % (TRACE.upper(), PARENT), False),
        (b"00-%b-%b-01\n" % (TRACE, PARENT), False),
        (b"00-%b-%b" % (TRACE, PARENT), False),
        (b"eyJhbGciOiJIUzI1NiJ9.e30.x", False),
        (b"", False),
    ],
)
async def test_a_line_names_the_callers_trace(lines: Lines, sent: bytes, followed: bool) -> None:
    """As the W3C's Trace Context has it, also where no spans are made; anything else is left out."""
    await ask(fine, (b"traceparent", sent))

    (line,) = lines()
    assert line.get("trace_id") == (TRACE.decode() if followed else None)
    assert set(line) - set(MEMBERS) <= {"trace_id"}


async def test_a_refusal_is_told_apart_in_the_log(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence that the caller was told, which holds nothing of the request."""
    async with running(create_app(settings_for(database_url))) as app, client_for(app) as client:
        capsys.readouterr()
        await client.get("/api/x/tasks", headers={"Authorization": f"Bearer {token('x', exp=1)}"})
        await client.get("/api/x/tasks")
        await asyncio.sleep(0)
        refused = [json.loads(line) for line in capsys.readouterr().out.strip().split("\n")]

    assert [(line["status"], line["reason"]) for line in refused] == [
        (401, "The token has expired."),
        (403, "The user id in the path must be the one in the token."),
    ]


@pytest.mark.parametrize("hostile", ["\r\n", "\n{}", '"', "\u2028", "\x1b[31m", "\x00"])
@pytest.mark.usefixtures("lines")
async def test_a_line_cannot_be_broken(written: io.StringIO, hostile: str) -> None:
    """Whatever stands in a field, the line is one line and reads back as it was."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["principal"] = Principal(f"u{hostile}1")
        await fine(scope, receive, send)

    await ask(named, method=f"GET{hostile}")

    text = written.getvalue()
    assert text.count("\n") == 1
    assert json.loads(text)["user_id"] == f"u{hostile}1"
    assert json.loads(text)["method"] == f"GET{hostile}"


async def test_an_abandoned_request_is_logged_and_stays_abandoned(lines: Lines) -> None:
    """Cancellation is nobody's mistake: it goes on, and the line has no status."""
    with pytest.raises(asyncio.CancelledError):
        await ask(failing(asyncio.CancelledError()))

    assert [line["status"] for line in lines()] == [None]


async def test_the_log_of_the_whole_application_holds_no_secret(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the token, title, description, query, path or header that a caller sent, on success and on refusal."""
    application = create_app(settings_for(database_url, log_level="debug"))

    async def broken(request: Request) -> Response:
        raise ValueError((await request.body()).decode())

    application.router.add_route("/api/{user_id}/broken", broken, methods=["POST"])
    async with running(application) as app, client_for(app) as client:
        tasks = f"/api/{client.user_id}/tasks"
        fields = {"X-Se3ret": "se3ret", "User-Agent": "se3ret", "Cookie": "a=se3ret"}
        answers = [
            await client.post(tasks, json={"title": "se3ret", "description": "se3ret"}, headers=fields),
            await client.post(tasks, json={"title": 1, "se3ret": 1}, headers=fields),
            await client.get(f"{tasks}?se3ret=se3ret", headers=fields),
            await client.get(f"{tasks}/se3ret", headers=fields),
            await client.get("/api/se3ret/tasks", headers=fields),
            await client.get("/se3ret", headers=fields),
            await client.post(f"/api/{client.user_id}/broken", content=b"se3ret", headers=fields),
            await client.get(tasks, headers={"Authorization": f"Bearer {token('se3ret', secret='s' * 40)}"}),
        ]
        sent = client.headers["Authorization"].removeprefix("Bearer ")

    written = capsys.readouterr().out
    assert [answer.status_code for answer in answers] == [201, 422, 422, 422, 403, 404, 500, 401]
    assert written.count('"event":"request"') == 8
    assert "se3ret" not in written
    assert not any(part in written for part in sent.split("."))


async def test_a_quiet_log_has_no_line_per_request(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With LOG_LEVEL=warning only what went wrong is there."""
    async with running(create_app(settings_for(database_url, log_level="warning"))) as app, client_for(app) as client:
        await client.get("/health")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("http", HTTP)
async def test_requests_of_one_connection_are_each_their_own_users(app: FastAPI, http: str, lines: Lines) -> None:
    """Two users, nobody and the public path, all sent at once with large bodies: nobody is taken for another."""
    alice, bob = new_user(), new_user()
    title = {user: f"of {user} " + "x" * 150 for user in (alice, bob)}

    def create(user: str) -> bytes:
        body = json.dumps({"title": title[user], "description": "y" * 1000}).encode().ljust(60_000)
        fields = (bearer(user), "Content-Type: application/json", f"Content-Length: {len(body)}")
        return request(f"/api/{user}/tasks", *fields, method="POST", body=body, last=False)

    def read(user: str, path_of: str) -> bytes:
        return request(f"/api/{path_of}/tasks", bearer(user), last=False)

    turns = [
        *(create(alice), create(bob), request(f"/api/{alice}/tasks", last=False), request("/health", last=False)),
        *(read(alice, alice), read(bob, bob), read(bob, alice), read(alice, bob), read(alice, alice)),
        request("/health"),
    ]

    async with served(app, http=http) as port:
        answers = await exchange(port, *turns)

    assert [answer.status for answer in answers] == [201, 201, 401, 200, 200, 200, 403, 403, 200, 200]
    seen = [{task["title"] for task in json.loads(answers[turn].body)} for turn in (4, 5, 8)]
    assert seen == [{title[alice]}, {title[bob]}, {title[alice]}]
    assert [line["user_id"] for line in lines()] == [alice, bob, None, None, alice, bob, bob, alice, alice, None]
