"""Observation: every request has an id, one line and one answer, and none of them tells what it should not."""

import asyncio
import gc
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from backend.app import problems
from backend.app.main import create_app
from backend.app.middleware.observe import BufferedHandler, JSONFormatter, ObserveMiddleware, configure_logging
from tests.middleware.test_path_guard import HTTP, bearer, exchange, request, served
from tests.support.applications import client_for, running, settings_for
from tests.support.tokens import new_user, token

MEMBERS = ["time", "level", "event", "method", "route", "status", "ms", "request_id", "user_id"]
MADE = re.compile(r"[0-9a-f]{16}")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> io.StringIO:
    """Where the log is written during a test."""
    return io.StringIO()


@pytest.fixture
def lines(written: io.StringIO) -> Iterator[Lines]:
    """What was logged, read line by line; afterwards the log is as it was."""
    loggers = [logging.getLogger(name) for name in ("tasks", "uvicorn.access")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    configure_logging("info")
    loggers[0].handlers = [logging.StreamHandler(written)]
    loggers[0].handlers[0].setFormatter(JSONFormatter())

    yield lambda: [json.loads(line) for line in written.getvalue().split("\n") if line]

    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


async def ask(app: Any, *headers: tuple[bytes, bytes], method: str = "GET") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": list(headers)}
    await ObserveMiddleware(app)(scope, receive, send)
    return sent


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": scope["state"]["request_id"].encode()})


def failing(error: BaseException) -> Any:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return fails


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
        scope["state"]["user_id"] = f"u{hostile}1"
        await fine(scope, receive, send)

    await ask(named, method=f"GET{hostile}")

    text = written.getvalue()
    assert text.count("\n") == 1
    assert json.loads(text)["user_id"] == f"u{hostile}1"
    assert json.loads(text)["method"] == f"GET{hostile}"


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

    unexpected, line = lines()
    assert (start["status"], body["body"]) == (500, problems.InternalError().body("r1"))
    assert list(unexpected) == ["time", "level", "event", "error", "at", "request_id"]
    assert (unexpected["level"], unexpected["error"], unexpected["request_id"]) == ("error", type(error).__name__, "r1")
    assert re.fullmatch(r"test_observe\.py:\d+ fails", unexpected["at"][-1])
    assert (line["status"], line["request_id"]) == (500, "r1")
    assert b"se3ret" not in body["body"]
    assert "se3ret" not in written.getvalue()


async def test_an_abandoned_request_is_logged_and_stays_abandoned(lines: Lines) -> None:
    """Cancellation is nobody's mistake: it goes on, and the line has no status."""
    with pytest.raises(asyncio.CancelledError):
        await ask(failing(asyncio.CancelledError()))

    assert [line["status"] for line in lines()] == [None]


async def test_a_failure_in_mid_answer_ends_it(lines: Lines) -> None:
    """What has been sent cannot be taken back: no second status, and the line keeps the first."""

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise problems.RequestTimeout

    sent = await ask(fails_late)

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert [line["status"] for line in lines()] == [200]


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


class Written(io.StringIO):
    """A stream that counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def lines_on(stream: Any) -> logging.Logger:
    logger = logging.Logger("together", logging.INFO)
    logger.addHandler(BufferedHandler(stream))
    return logger


async def test_lines_of_one_turn_are_written_together() -> None:
    """In their order, at the end of the loop's turn, in one write."""
    stream = Written()
    logger = lines_on(stream)

    for word in ("one", "two", "three"):
        logger.info(word)
    before = list(stream.writes)
    await asyncio.sleep(0)

    assert (before, stream.writes) == ([], ["one\ntwo\nthree\n"])


async def test_a_warning_does_not_wait() -> None:
    """Nor does what was logged before it."""
    stream = Written()
    logger = lines_on(stream)

    logger.info("before")
    logger.warning("now")

    assert stream.writes == ["before\nnow\n"]


def test_without_a_loop_every_line_is_written_at_once() -> None:
    """While the program starts and ends there may be none."""
    stream = Written()
    logger = lines_on(stream)

    logger.info("starting")

    assert stream.writes == ["starting\n"]


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """A closed pipe or file loses the line, and no more."""
    stream = Written()
    logger = lines_on(stream)
    stream.close()

    logger.warning("lost")


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
