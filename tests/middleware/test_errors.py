"""Errors: every request has an id and one answer, whatever goes wrong further in, and no answer leaks anything."""

import gc
import io
import re

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from backend.app import problems
from backend.app.main import create_app
from tests.middleware.conftest import Lines
from tests.support.applications import client_for, running, settings_for
from tests.support.asgi import ask, failing, fine
from tests.support.raw_http import HTTP, exchange, request, served
from tests.support.tokens import new_user, token

MADE = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([b"a"], True),
        ([b"Az0._-"], True),
        ([b"x" * 64], True),
        ([b"first", b"second"], True),
        ([], False),
        ([b""], False),
        ([b"x" * 65], False),
        ([b"a b"], False),
        ([b"a\r\nSet-Cookie: x=1"], False),
        ([b"a\n"], False),
        ([b'"},{"a":"'], False),
        ([b"<script>"], False),
        ([b"\xc3\xa9"], False),
        ([b"a\x00"], False),
    ],
    ids=[
        *("short", "every kind of character", "64", "two"),
        *("none", "empty", "65", "blank", "CRLF", "newline", "JSON", "markup", "not ASCII", "NUL"),
    ],
)
async def test_a_request_has_one_id(lines: Lines, sent: list[bytes], kept: bool) -> None:
    """The caller's, if it is plain, else one of ours; header, application and log line all have the same."""
    start, body = await ask(fine, *((b"x-request-id", value) for value in sent))

    (answered,) = [value for name, value in start["headers"] if name == b"x-request-id"]
    (line,) = lines()
    assert answered == body["body"] == line["request_id"].encode()
    assert (answered == sent[0]) if kept else MADE.fullmatch(answered.decode())


async def test_ids_of_ours_differ() -> None:
    """Two requests are never taken for one."""
    answers = [(await ask(fine))[1]["body"] for _ in range(100)]

    assert len(set(answers)) == 100


async def test_an_answer_keeps_its_own_headers() -> None:
    """The id is added, and how it is to be read; nothing is taken away."""
    start, _ = await ask(fine, (b"x-request-id", b"r1"))

    assert start["headers"] == [(b"x-own", b"1"), (b"x-request-id", b"r1"), (b"x-content-type-options", b"nosniff")]


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/docs", "/nowhere", "/api/{me}/tasks", "/api/bob/tasks"])
async def test_no_answer_is_taken_for_another_type(database_url: str, path: str) -> None:
    """Whatever is answered, and to whomever: once, by every route and every refusal."""
    app = create_app(settings_for(database_url, environment="development"))
    async with running(app), client_for(app) as client:
        answers = [
            await client.get(path.format(me=client.user_id), headers=sent) for sent in ({}, {"Authorization": "x"})
        ]

    assert [answer.headers.get_list("x-content-type-options") for answer in answers] == [["nosniff"]] * 2


@pytest.mark.parametrize(
    ("problem", "extra"),
    [
        (problems.RouteNotFound(), {}),
        (problems.AuthenticationRequired(), {b"www-authenticate": b'Bearer realm="tasks"'}),
        (problems.MethodNotAllowed(["PUT", "GET"]), {b"allow": b"GET, PUT"}),
        (problems.DatabaseUnavailable(), {b"retry-after": b"2"}),
        (problems.RequestTimeout(), {b"retry-after": b"1"}),
    ],
    ids=lambda value: getattr(value, "slug", None),
)
async def test_a_problem_is_answered(lines: Lines, problem: problems.Problem, extra: dict[bytes, bytes]) -> None:
    """Whichever layer raises it: its status, body and headers, never to be stored, and one line with its status."""
    start, body = await ask(failing(problem), (b"x-request-id", b"r1"))

    assert start["status"] == problem.status
    assert dict(start["headers"]) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body["body"])).encode(),
        b"cache-control": b"no-store",
        b"x-request-id": b"r1",
        b"x-content-type-options": b"nosniff",
        **extra,
    }
    assert body["body"] == problem.body("r1")
    assert [line["status"] for line in lines()] == [problem.status]


class Cruel(Exception):
    """Cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("se3ret\r\n{}"),
        KeyError("se3ret"),
        Cruel("se3ret"),
        ExceptionGroup("se3ret", [ValueError("se3ret")]),
        RecursionError("se3ret"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_unexpected_exception_is_a_500(written: io.StringIO, lines: Lines, error: Exception) -> None:
    """The caller learns the request id; the log learns kind and place; nobody learns the message."""
    start, body = await ask(failing(error), (b"x-request-id", b"r1"))

    line, unexpected = lines()
    assert (start["status"], body["body"]) == (500, problems.InternalError().body("r1"))
    assert list(unexpected) == ["time", "level", "event", "error", "at", "request_id"]
    assert (unexpected["level"], unexpected["error"], unexpected["request_id"]) == ("error", type(error).__name__, "r1")
    assert re.fullmatch(r"asgi\.py:\d+ fails", unexpected["at"][-1])
    assert (line["status"], line["request_id"]) == (500, "r1")
    assert b"se3ret" not in body["body"]
    assert "se3ret" not in written.getvalue()


async def test_a_failure_in_mid_answer_ends_it(lines: Lines) -> None:
    """What has been sent cannot be taken back: no second status, and the line keeps the first."""

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise problems.RequestTimeout

    sent = await ask(fails_late)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["status"] for line in lines()] == [200]


@pytest.mark.parametrize(
    "field", ["X-Request-ID: a\nSet-Cookie: x=1", "X-Request-ID: a\rb", "X-Request-ID: a\x00b"], ids=["LF", "CR", "NUL"]
)
@pytest.mark.parametrize("http", HTTP)
async def test_a_request_id_cannot_split_an_answer(app: FastAPI, http: str, field: str) -> None:
    """Over the wire a broken header is refused by the server, or only its harmless part is an id."""
    async with served(app, http=http) as port:
        (answer,) = await exchange(port, request("/health", field))

    assert answer.status in (200, 400)
    assert "set-cookie" not in answer.headers
    assert answer.headers.get("x-request-id", "a") == "a"


@pytest.mark.parametrize(
    ("path", "query", "authorization", "status"),
    [
        ("/api/{user_id}/tasks", b"", b"", 401),
        ("/api/{user_id}/tasks", b"", b"Bearer a.b.c", 401),
        ("/api/somebody-else/tasks", b"", None, 403),
        ("/api/{user_id}/tasks/1", b"", None, 404),
        ("/api/{user_id}/tasks", b"limit=0", None, 422),
    ],
)
async def test_a_refusal_leaves_nothing_to_the_garbage_collector(
    app: FastAPI, path: str, query: bytes, authorization: bytes | None, status: int
) -> None:
    """A circle in each refusal would stop the process for milliseconds whenever those of a flood are collected."""
    user_id = new_user()
    bearer_token = f"Bearer {token(user_id)}".encode() if authorization is None else authorization

    async def refused() -> int:
        told: list[int] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            told.extend([message["status"]] if "status" in message else ())

        headers = [(b"authorization", bearer_token)]
        scope = {"type": "http", "method": "GET", "path": path.format(user_id=user_id), "headers": headers}
        await app({**scope, "query_string": query, "state": {}}, receive, send)
        return told[0]

    first = await refused()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await refused()
        left = gc.collect()
    finally:
        gc.enable()

    assert first == status
    assert left < 20
