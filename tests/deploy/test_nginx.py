"""The shipped nginx configuration in front of the API: what passes, what does not, and whom
it says a request is from."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from backend.app import problems
from backend.app.config import Settings
from tests.deploy.proxy import DEPLOY, ORIGINS, Proxy, needs_nginx, processes, proxy
from tests.support.postgres import Server
from tests.support.programs import PATIENCE_SECONDS, SECRET
from tests.support.tokens import new_user, token

pytestmark = needs_nginx

CONFIGURATION = (DEPLOY / "nginx/nginx.conf").read_text()
# How many refusals an address has in each of the two processes, and how many places each process has for requests.
REFUSALS, PLACES = 3, 10
SLOW = 60
UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Two API processes behind it; its patience with a slow client is shorter than what is shipped."""
    with server.new_database() as name:
        settings = {
            "ENVIRONMENT": "production",
            "CORS_ORIGINS": "https://app.example.com",
            "DATABASE_URL": server.database_url(name, "tasks_login"),
            "RATE_LIMIT_PER_ADDRESS": f"{REFUSALS}/hour",
            "MAX_REQUESTS": str(PLACES),
        }
        with (
            processes(2, **settings) as two,
            proxy(
                tmp_path_factory.mktemp("nginx"),
                [process.port for process in two],
                client_header_timeout="1s",
                client_body_timeout="1s",
            ) as running,
        ):
            yield running


@pytest.fixture
async def client(nginx: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with nginx.client("alice") as client:
        yield client


def opened(there: Proxy) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", there.port), timeout=PATIENCE_SECONDS)
    return there.tls.wrap_socket(connection, server_hostname="127.0.0.1")


def head(method: str, path: str, *headers: str, user_id: str = "alice") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: api",
        f"Authorization: Bearer {token(user_id, secret=SECRET)}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_of(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of one answer, and its body; nginx may go on listening for a moment after it has refused a body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    top, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", top)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return top, body


async def until_end(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            received += piece
    return received


async def test_ordinary_requests_pass_unchanged(client: httpx.AsyncClient) -> None:
    """Statuses, bodies, ETags, locations and encoded paths are the API's."""
    user = new_user()
    client.headers["Authorization"] = f"Bearer {token(user, secret=SECRET)}"
    created = await client.post(f"/api/{user}/tasks", json={"title": "Milk"})
    mine = created.headers["location"]
    answers = [
        await client.get(mine, headers={"If-None-Match": created.headers["etag"]}),
        await client.put(mine, json={"title": "Bread"}, headers={"If-Match": created.headers["etag"]}),
        await client.patch(f"{mine}/complete"),
        await client.request("DELETE", mine, headers={"If-Match": created.headers["etag"]}),
        await client.delete(mine),
        await client.get("/api/someone-else/tasks"),
        await client.get("/api%2Fsomeone-else%2Ftasks"),
        await client.get(f"//api/{user}/tasks"),
        await client.post(f"/api/{user}/tasks", content=b"x" * 70_000, headers={"Content-Type": "application/json"}),
        await client.get("/health"),
    ]

    assert created.status_code == 201
    assert [answer.status_code for answer in answers] == [304, 200, 200, 412, 204, 403, 403, 404, 413, 200]
    assert answers[8].json()["request_id"] == answers[8].headers["x-request-id"]


PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
EVERYWHERE = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/alice/tasks", {}, 200),
        ("DELETE", "/api/alice/tasks/999", {}, 404),
        ("GET", "/api/bob/tasks", {}, 403),
        ("GET", "/api/alice/tasks", {"Authorization": ""}, 401),
        ("OPTIONS", "/api/alice/tasks", PREFLIGHT, 200),
        ("GET", "/health", {}, 200),
        # nginx' own: what is kept inside, too large by far, malformed, and a method that no path has.
        ("GET", "/health/ready", {}, 404),
        ("GET", "/health%2Fready", {}, 404),
        ("TRACE", "/api/alice/tasks", {}, 405),
        ("POST", "/api/alice/tasks", {"Content-Length": "200000"}, 413),
        ("GET", "/../etc/passwd", {}, 400),
        ("GET", f"/{'x' * 40_000}", {}, 431),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_every_answer_has_each_header_once(
    nginx: Proxy, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """The API's answers, the refusals and what nginx answers itself, which is a problem document too."""
    with opened(nginx) as connection:
        lines = [f"{name}: {value}" for name, value in headers.items() if name != "Authorization"]
        request = head(method, path, *lines, "Connection: close")
        if "Authorization" in headers:
            request = re.sub(rb"Authorization: [^\r]+\r\n", b"", request)
        connection.sendall(request)
        top, body = answer_of(connection)

    first, *fields = top.decode().split("\r\n")
    found = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    assert first.split()[1] == str(status)
    assert sorted(each for each in found if each[0] in EVERYWHERE) == sorted(EVERYWHERE.items())
    assert ("server", "nginx") in found
    if status >= 400:
        assert [value for name, value in found if name == "content-type"] == ["application/problem+json"]
        assert json.loads(body)["status"] == status


MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
TITLES = {kind.slug: kind.title for kind in vars(problems).values()
          if isinstance(kind, type) and issubclass(kind, problems.Problem) and hasattr(kind, "slug")}  # fmt: skip
OWN = [
    ("GET", "/%ZZ", b"", 400, "malformed-request"),
    ("GET", "/api/alice/tasks", b"Host: again\r\n", 400, "malformed-request"),
    ("POST", "/api/alice/tasks", b"Transfer-Encoding: gzip\r\n", 400, "malformed-request"),
    ("GET", "/health/ready", b"", 404, "route-not-found"),
    ("GET", "/.nginx/malformed", b"", 404, "route-not-found"),
    ("TRACE", "/", b"", 405, "method-not-allowed"),
    ("POST", "/api/alice/tasks", b"Content-Length: 200000\r\n", 413, "body-too-large"),
    ("POST", "/api/alice/batch", b"Content-Length: 2000000\r\n", 413, "body-too-large"),
    ("POST", "/api/alice/import", b"Content-Length: 30000000\r\n", 413, "body-too-large"),
    ("GET", f"/{'x' * 40_000}", b"", 431, "headers-too-large"),
    ("GET", "/", b"X-Field: " + b"x" * 40_000 + b"\r\n", 431, "headers-too-large"),
]


@pytest.mark.parametrize(("method", "path", "fields", "status", "slug"), OWN, ids=lambda value: str(value)[:40])
def test_what_nginx_answers_itself_is_a_problem_of_the_apis(  # noqa: PLR0917 - the columns of a table
    nginx: Proxy, method: str, path: str, fields: bytes, status: int, slug: str
) -> None:
    """With every member, the title, the id and the cache rule that the API's answer would have."""
    with opened(nginx) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n".encode() + fields + b"\r\n"
        )
        top, body = answer_of(connection)

    problem, request_id = json.loads(body), header_of(top, "x-request-id")
    assert set(problem) == MEMBERS
    assert (problem["type"], problem["title"]) == (f"urn:tasks:problem:{slug}", TITLES[slug])
    assert int(top.split()[1]) == problem["status"] == status
    assert (problem["request_id"], problem["instance"]) == (request_id, f"urn:tasks:request:{request_id}")
    assert header_of(top, "content-type") == "application/problem+json"
    assert header_of(top, "cache-control") == "no-store"


def header_of(top: bytes, name: str) -> str | None:
    """The only value of a header; None where there is none."""
    values = [
        value for found, value in re.findall(r"(?m)^([^:\r]+): ([^\r]*)\r?$", top.decode()) if found.lower() == name
    ]
    assert len(values) <= 1, values
    return str(values[0]) if values else None


def test_a_method_that_nginx_refuses_has_its_allow(nginx: Proxy) -> None:
    """RFC 9110, section 15.5.6: those of all paths, where the API has those of one."""
    found = []
    for method, path in (("TRACE", "/api/alice/tasks"), ("DELETE", "/health")):
        with opened(nginx) as connection:
            connection.sendall(head(method, path, "Connection: close"))
            found.append(header_of(answer_of(connection)[0], "allow"))

    assert found == ["DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT", "GET, HEAD"]


def test_http_1_0_needs_no_host(nginx: Proxy) -> None:
    """Monitors send such requests, and the API behind nginx is asked in HTTP/1.1."""
    with opened(nginx) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        top, body = answer_of(connection)

    assert (top.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b'{"status":"ok"}')


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (ORIGINS[0], ORIGINS[0]),
        (ORIGINS[1], ORIGINS[1]),
        ("https://evil.example", None),
        (f"{ORIGINS[0]}.evil.example", None),
        (f"evil{ORIGINS[0]}", None),
        (ORIGINS[0].removesuffix("m"), None),
        (f"{ORIGINS[0]}, {ORIGINS[1]}", None),
        ("https://app.example.com|https://app.example.com", None),
        ("https://appxexample.com", None),
        ("null", None),
        (None, "*"),
    ],
)
def test_a_page_of_ours_may_read_what_nginx_answers_itself(
    nginx: Proxy, origin: str | None, allowed: str | None
) -> None:
    """As what the API answers: else a page sees that something failed, and not what. Other pages may not."""
    field = "" if origin is None else f"Origin: {origin}\r\n"
    with opened(nginx) as connection:
        connection.sendall(f"GET /health/ready HTTP/1.1\r\nHost: api\r\n{field}Connection: close\r\n\r\n".encode())
        top, _ = answer_of(connection)

    assert header_of(top, "access-control-allow-origin") == allowed
    assert header_of(top, "access-control-allow-credentials") == (None if allowed in (None, "*") else "true")
    assert "X-Request-ID" in (header_of(top, "access-control-expose-headers") or ("" if allowed else "X-Request-ID"))
    assert header_of(top, "vary") == "Origin"


async def test_the_exposed_headers_are_those_of_the_api(client: httpx.AsyncClient) -> None:
    """nginx' list for its own answers is a copy."""
    answers = [await client.get(path, headers={"Origin": ORIGINS[0]}) for path in ("/health", "/health/ready")]

    assert [answer.headers["x-request-id"] != "" for answer in answers] == [True, True]
    assert len({answer.headers["access-control-expose-headers"] for answer in answers}) == 1
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ORIGINS[0]}


@pytest.mark.parametrize(
    ("sent", "taken"), [("a-client.s_id", True), ("x" * 64, True), ("x" * 65, False), ('"', False)]
)
async def test_nginx_and_the_api_give_a_request_one_id(client: httpx.AsyncClient, sent: str, taken: bool) -> None:
    """The client's, where the API would accept it, also in what nginx answers itself."""
    answers = [await client.get(path, headers={"X-Request-ID": sent}) for path in ("/health", "/health/ready")]

    assert [answer.headers["x-request-id"] == sent for answer in answers] == [taken, taken]


@pytest.mark.parametrize(("path", "size"), [("batch", 400_000), ("import", 15_000_000)])
@pytest.mark.parametrize("user", [None, "alice"], ids=["stranger", "user"])
async def test_a_large_body_is_not_collected_before_the_token_is_asked_for(
    nginx: Proxy, path: str, size: int, user: str | None
) -> None:
    """The answer comes before the body: a stranger's is never kept, and a user's is counted by the API as it comes."""
    request = head("POST", f"/api/alice/{path}", f"Content-Length: {size}", user_id=user or "alice")
    if user is None:
        request = re.sub(rb"Authorization: [^\r]+\r\n", b"", request)
    else:
        request = request.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n")
    async with connected(nginx) as (reader, writer):
        writer.write(request + b"x" * 1000)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await reader.readuntil(b"\r\n\r\n")

    # Who may send it is told that nobody reads plain text.
    assert answer.startswith(b"HTTP/1.1 401" if user is None else b"HTTP/1.1 415")


async def test_plain_http_is_neither_served_nor_redirected(nginx: Proxy) -> None:
    """A token in the clear is to be noticed."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{nginx.plain_port}/api/alice/tasks")

    assert (answer.status_code, answer.text) == (403, "Use https.\n")


async def test_events_arrive_as_they_happen(nginx: Proxy) -> None:
    """Over HTTP/1.1: what is there at once, and a change while the stream goes on."""
    user = new_user()
    async with nginx.client(user) as client, client.stream("GET", f"/api/{user}/events") as stream:
        lines = stream.aiter_lines()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await anext(lines) == "retry: 2000"
            await client.post(f"/api/{user}/tasks", json={"title": "Milk"})
            while await anext(lines) != "event: changed":
                pass

    assert stream.headers["content-type"].startswith("text/event-stream")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_http_2_is_spoken(nginx: Proxy) -> None:
    """Events too: a browser has few connections, and each open tab has a stream."""
    seen = subprocess.run(
        ["curl", "--silent", "--no-buffer", "--http2", "--include", "--max-time", "1",
         "--cacert", str(nginx.folder / "tls/fullchain.pem"),
         "-H", f"Authorization: Bearer {token('alice', secret=SECRET)}", f"{nginx.url}/api/alice/events"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert seen.stdout.startswith("HTTP/2 200")
    assert "retry: 2000" in seen.stdout


async def test_an_address_is_who_connects_and_not_what_they_say(nginx: Proxy) -> None:
    """Refusals count for the address of the connection, whatever X-Forwarded-For or Forwarded the client made up."""
    statuses: dict[str, list[int]] = {}
    for address in ("127.0.0.7", "127.0.0.8"):
        async with nginx.client(address=address) as stranger:
            statuses[address] = [
                (
                    await stranger.get(
                        "/api/alice/tasks",
                        headers={"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": f"for=198.51.100.{number}"},
                    )
                ).status_code
                for number in range(2 * REFUSALS + 2)
            ]
    async with nginx.client(address="127.0.0.9") as other, nginx.client("alice", address="127.0.0.7") as user:
        told_off = (await other.get("/api/alice/tasks", headers={"X-Forwarded-For": "127.0.0.7"})).status_code
        served = (await user.get("/api/alice/tasks")).status_code

    # Each of the two processes counts for itself: all of what both allow, and then no more.
    assert [Counter(found) for found in statuses.values()] == [Counter({401: 2 * REFUSALS, 429: 2})] * 2
    assert (told_off, served) == (401, 200)


@contextlib.asynccontextmanager
async def connected(there: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """For who sends and listens at once; a TLS socket that two threads use at once may crash the interpreter."""
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port, ssl=there.tls, server_hostname="127.0.0.1")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def dripping(there: Proxy, begun: bytes) -> AsyncIterator[list[asyncio.Task[bytes]]]:
    """So many clients that have begun so and send a byte every now and then; what each hears until the end."""

    async def drip() -> None:
        while (await asyncio.wait(heard, timeout=0.2))[1]:
            for _, writer in connections:
                if not writer.is_closing():
                    writer.write(b"x")

    async with contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(there)) for _ in range(SLOW)]
        for _, writer in connections:
            writer.write(begun)
        heard = [asyncio.create_task(until_end(reader)) for reader, _ in connections]
        tasks = [*heard, asyncio.create_task(drip())]
        try:
            yield heard
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def served_meanwhile(there: Proxy) -> list[int]:
    """What others are answered: as many at once as the processes have places."""
    user = new_user()
    async with there.client(user) as client:
        statuses = []
        for _ in range(5):
            at_once = (client.get(f"/api/{user}/tasks") for _ in range(PLACES))
            statuses += [answer.status_code for answer in await asyncio.gather(*at_once)]
        return statuses


async def test_slow_heads_hold_nobody_up_and_are_cut(nginx: Proxy) -> None:
    """A byte now and then is no reason to wait: the time is that of the whole head."""
    async with dripping(nginx, b"GET /api/alice/tasks HTTP/1.1\r\nHost: api\r\nX-Slow: ") as heard:
        statuses = await served_meanwhile(nginx)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(*heard)

    assert statuses == [200] * 5 * PLACES
    assert set(answers) == {b""}


async def test_slow_bodies_take_no_place_in_the_api(nginx: Proxy) -> None:
    """More of them than the API has places: nginx waits for all of a body before it asks."""
    begun = head("POST", "/api/alice/tasks", "Content-Type: application/json", "Content-Length: 1000")
    assert SLOW > 2 * PLACES
    async with dripping(nginx, begun):
        statuses = await served_meanwhile(nginx)

    assert statuses == [200] * 5 * PLACES


def memory(there: Proxy) -> int:
    """Bytes that nginx has, all of its processes together."""
    master = psutil.Process(int((there.folder / "nginx.pid").read_text()))
    return sum(process.memory_info().rss for process in (master, *master.children()))


async def test_64_mb_of_headers_are_not_kept(nginx: Proxy) -> None:
    """They are refused after what is allowed, nothing of the rest is kept, and others are served meanwhile."""
    with opened(nginx) as greedy:

        def send() -> bytes:
            greedy.sendall(b"GET /api/alice/tasks HTTP/1.1\r\nHost: api\r\n")
            with contextlib.suppress(OSError):
                for number in range(64 * 1024):
                    greedy.sendall(b"X-Field-%d: %s\r\n" % (number, b"x" * 1000))
            return greedy.recv(4096)

        before = memory(nginx)
        sending = asyncio.create_task(asyncio.to_thread(send))
        statuses = await served_meanwhile(nginx)
        answer = await sending
        grown = memory(nginx) - before

    assert answer.startswith(b"HTTP/1.1 431")
    assert statuses == [200] * 5 * PLACES
    assert grown < 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("directive", "setting", "most"),
    [
        (r"large_client_header_buffers (\d+ \d+k)", "max_header_bytes", 3),
        (r"\n    client_max_body_size (\w+)", "max_body_bytes", 3),
        (r"batch\$ \{\s+client_max_body_size (\w+)", "max_batch_bytes", 3),
        (r"import\$ \{\s+client_max_body_size (\w+)", "max_import_bytes", 3),
    ],
    ids=["headers", "body", "batch", "import"],
)
def test_nginx_lets_pass_what_the_api_may_take_and_little_more(directive: str, setting: str, most: int) -> None:
    """So that the API's own answer says what the limit is, and nobody sends nginx what the API refuses."""
    [found] = re.findall(directive, CONFIGURATION)
    sizes = [int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([km]?)", found)]
    allowed = sizes[0] if len(sizes) == 1 else sizes[0] * sizes[1]
    default = Settings.model_fields[setting].default

    assert default < allowed < most * default
    assert sizes[-1] >= default


def test_times_are_in_their_order() -> None:
    """Of two that wait for each other, the one who knows more gives up first."""
    unit = (DEPLOY / "tasks@.service").read_text()
    dockerfile = (DEPLOY / "Dockerfile").read_text()

    def seconds(pattern: str, text: str = CONFIGURATION) -> list[float]:
        return [float(found) for found in re.findall(pattern, text)]

    fields = Settings.model_fields
    [keep_alive] = set(
        seconds(r"--timeout-keep-alive\W+(\d+)", unit) + seconds(r"--timeout-keep-alive\W+(\d+)", dockerfile)
    )
    [graceful] = set(
        seconds(r"--timeout-graceful-shutdown\W+(\d+)", unit)
        + seconds(r"--timeout-graceful-shutdown\W+(\d+)", dockerfile)
    )
    [upstream] = seconds(r"upstream tasks \{[^}]+keepalive_timeout (\d+)s")
    reading, events = seconds(r"proxy_read_timeout (\d+)s")

    assert upstream < keep_alive
    assert fields["request_timeout"].default < reading < graceful < min(seconds(r"TimeoutStopSec=(\d+)", unit))
    assert fields["events_heartbeat"].default * 2 < events
    assert seconds(r"stop_grace_period: (\d+)s", (DEPLOY / "compose.yaml").read_text())[0] > graceful


class Breaking:
    """A process that reads a request and ends the connection without an answer; `seen` has the methods."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.forwarded: set[tuple[bytes, ...]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            top = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", top.lower())
            if length:
                await reader.readexactly(int(length[1]))
            self.seen.append(top.split()[0].decode())
            self.forwarded.add(tuple(re.findall(rb"(?i)\r\n((?:x-)?forwarded(?:-for)?: [^\r]*)", top)))
        writer.close()


async def test_nothing_is_sent_twice_that_would_be_made_twice(tmp_path: Path) -> None:
    """Two processes break off in the middle: what is idempotent is tried at the other; POST and PATCH are not."""
    breaking = Breaking()
    async with (
        await asyncio.start_server(breaking.serve, "127.0.0.1", 0) as one,
        await asyncio.start_server(breaking.serve, "127.0.0.1", 0) as other,
    ):
        ports = [each.sockets[0].getsockname()[1] for each in (one, other)]
        with contextlib.ExitStack() as stack:
            running = await asyncio.to_thread(stack.enter_context, proxy(tmp_path, ports))
            breaking.seen.clear()
            async with running.client("alice") as client:
                client.headers.update({"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"})
                answers = [
                    await client.request(method, "/api/alice/tasks/1?q=a-title-of-mine", json={"title": "x"})
                    for method in ("GET", "PUT", "POST", "PATCH", "DELETE")
                ]

    assert Counter(breaking.seen) == {"GET": 2, "PUT": 2, "POST": 1, "PATCH": 1, "DELETE": 2}
    # An error that quoted the request would have its query.
    assert "a-title-of-mine" not in (tmp_path / "error.log").read_text() + (tmp_path / "access.log").read_text()
    assert breaking.forwarded == {(b"X-Forwarded-For: 127.0.0.1",)}
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert {answer.json()["type"] for answer in answers} == {"urn:tasks:problem:unavailable"}
    assert {frozenset(answer.json()) for answer in answers} == {frozenset(MEMBERS)}
    assert all(answer.json()["request_id"] == answer.headers["x-request-id"] for answer in answers)


async def test_who_is_refused_a_connection_is_served_by_the_other(nginx: Proxy, tmp_path: Path) -> None:
    """Writes too, for nothing was sent: one process is gone, and nobody notices."""
    upstreams = [int(port) for port in re.findall(r":(\d+) ", (nginx.folder / "upstream.conf").read_text())]
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))  # and does not listen
        with contextlib.ExitStack() as stack:
            ports = [gone.getsockname()[1], upstreams[0]]
            running = await asyncio.to_thread(stack.enter_context, proxy(tmp_path, ports))
            user = new_user()
            async with running.client(user) as client:
                created = [await client.post(f"/api/{user}/tasks", json={"title": "x"}) for _ in range(6)]
                deleted = [await client.delete(answer.headers["location"]) for answer in created]

    assert [answer.status_code for answer in created + deleted] == [201] * 6 + [204] * 6


async def test_the_log_says_who_and_what_without_secrets(nginx: Proxy) -> None:
    """No path, query or token, in the error log neither; the request's id finds the API's line."""
    async with nginx.client("alice") as client:
        answer = await client.get("/api/alice/tasks", params={"q": "a-title-of-mine"})
        await client.get("/api/alice/tasks", headers={"Authorization": "Bearer a-token-of-mine"})
    logged = (nginx.folder / "access.log").read_text()
    errors = (nginx.folder / "error.log").read_text()
    lines = [json.loads(line) for line in logged.splitlines()]
    [line] = [line for line in lines if line["request_id"] == answer.headers["x-request-id"]]

    assert (line["client"], line["method"], line["status"]) == ("127.0.0.1", "GET", 200)
    assert not re.search(r"a-title-of-mine|a-token-of-mine|alice|Bearer|eyJ", logged + errors)
