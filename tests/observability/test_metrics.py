"""What is measured, and that it stays small whatever is sent; who answers Prometheus, on which port."""

import asyncio
import contextlib
import http.client
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import orjson
import psycopg2
import pytest
from fastapi import FastAPI, Request, Response

from backend.app import problems
from backend.app.config import PROJECT_ROOT
from backend.app.main import create_app
from backend.app.observability.metrics import Metrics
from backend.app.observability.observer import Gauges
from backend.app.problems import StartupError
from tests.support.applications import Client, client_for, database_for, running, settings_for
from tests.support.event_streams import listening
from tests.support.postgres import Server
from tests.support.programs import PATIENCE_SECONDS, UVICORN, clone, environment, free_port, serving, until
from tests.support.scraping import Series, named, scraped, text
from tests.support.tasks import KEY, create, exported_task, path
from tests.support.token_table import REFUSED
from tests.support.tokens import SECRET, new_user, token
from tests.support.wire import Wire, wire_to

TASKS = "/api/{user_id}/tasks"


class Measured:
    """An application that is measured, and what Prometheus sees of it."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self.app = app
        self.port = port

    async def seen(self) -> dict[Series, float]:
        return await asyncio.to_thread(scraped, self.port)

    async def counted(self, name: str) -> dict[tuple[str, ...], float]:
        return named(await self.seen(), name)


@contextlib.asynccontextmanager
async def measured_on(database_url: str, **changes: Any) -> AsyncIterator[Measured]:
    port = free_port()
    async with running(create_app(settings_for(database_url, metrics_port=port, **changes))) as app:
        yield Measured(app, port)


@pytest.fixture
async def measured(database_url: str) -> AsyncIterator[Measured]:
    """An application that nothing was asked of yet."""
    async with measured_on(database_url) as measured:
        yield measured


@pytest.fixture
async def mine(measured: Measured) -> AsyncIterator[Client]:
    """A new user's client of it."""
    async with client_for(measured.app) as client:
        yield client


@pytest.mark.parametrize("fast_path", ["on", "off"])
async def test_requests_are_counted_by_route_and_status(database_url: str, fast_path: str) -> None:
    """And timed by route, under the route's pattern; what leads nowhere is one route."""
    async with measured_on(database_url, fast_path=fast_path) as measured, client_for(measured.app) as mine:
        await create(mine)
        await mine.get(path(mine, 1))
        await mine.get(path(mine, 2))
        await mine.get("/api/somebody/tasks")
        await mine.get(f"/api/{mine.user_id}/nothing")
        await mine.get("/health")

        assert await measured.counted("tasks_requests_total") == {
            ("POST", TASKS, "201"): 1,
            ("GET", f"{TASKS}/{{task_id}}", "200"): 1,
            ("GET", f"{TASKS}/{{task_id}}", "404"): 1,
            ("GET", "none", "403"): 1,
            ("GET", "none", "404"): 1,
            ("GET", "/health", "200"): 1,
        }
        assert await measured.counted("tasks_request_duration_seconds_count") == {
            ("POST", TASKS): 1,
            ("GET", f"{TASKS}/{{task_id}}"): 2,
            ("GET", "none"): 2,
            ("GET", "/health"): 1,
        }
        assert await measured.counted("tasks_problems_total") == {
            ("task-not-found",): 1,
            ("user-mismatch",): 1,
            ("route-not-found",): 1,
        }


def test_durations_are_counted_up_to_each_bound() -> None:
    """The bound included, as Prometheus has it; what takes longest is in +Inf alone."""
    metrics = Metrics("127.0.0.1", 0)
    scope = {"method": "GET", "route": SimpleNamespace(path=TASKS)}
    for seconds in (0.0004, 0.001, 0.0011, 0.3, 60):
        metrics.request_answered(scope, 200, seconds)

    labels = {"method": "GET", "route": TASKS}
    of = partial(metrics.registry.get_sample_value, "tasks_request_duration_seconds_bucket")
    bounds = ("0.001", "0.0025", "0.25", "0.5", "15.0", "+Inf")
    assert [of({**labels, "le": bound}) for bound in bounds] == [2, 3, 3, 4, 4, 5]
    assert metrics.registry.get_sample_value("tasks_request_duration_seconds_count", labels) == 5
    assert metrics.registry.get_sample_value("tasks_request_duration_seconds_sum", labels) == pytest.approx(60.3025)


async def test_an_unexpected_exception_is_counted(measured: Measured, mine: Client) -> None:
    """As the 500 that it is answered with."""

    async def breaks(request: Request) -> Response:
        raise ValueError("of the test")

    measured.app.add_route("/api/{user_id}/breaks", breaks)
    await mine.get(f"/api/{mine.user_id}/breaks")

    assert await measured.counted("tasks_problems_total") == {("internal-error",): 1}
    assert await measured.counted("tasks_requests_total") == {("GET", "none", "500"): 1}


async def test_a_client_that_is_gone_is_counted(measured: Measured) -> None:
    """As nginx does: 499."""
    headers = [(b"authorization", f"Bearer {token('u1')}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/u1/tasks", "query_string": b"", "headers": headers}

    async def gone() -> dict[str, str]:
        raise asyncio.CancelledError

    async def nowhere(message: Any) -> None: ...

    with pytest.raises(asyncio.CancelledError):
        await measured.app(scope, gone, nowhere)

    assert await measured.counted("tasks_requests_total") == {("POST", TASKS, "499"): 1}


JSON_TYPE = {"Content-Type": "application/json"}
FAULTS: dict[str, dict[str, str]] = {
    "missing": {},
    "malformed": {"Authorization": "Bearer x"},
    "kind": {"Authorization": f"Bearer {token('u1', header={'typ': 'secevent+jwt'})}"},
    "algorithm": {"Authorization": f"Bearer {REFUSED['HS384 with the right key']}"},
    "key": {"Authorization": f"Bearer {REFUSED['RS256']}"},
    "signature": {"Authorization": f"Bearer {token('u1', secret='x' * 32)}"},
    "issuer": {"Authorization": f"Bearer {token('u1', iss='https://else.example', aud='tasks')}"},
    "audience": {"Authorization": f"Bearer {token('u1', iss='https://app.example', aud='else')}"},
    "expired": {"Authorization": f"Bearer {token('u1', iss='https://app.example', aud='tasks', exp=1)}"},
    "times": {"Authorization": f"Bearer {token('u1', iss='https://app.example', aud='tasks', exp=1 << 40)}"},
    "user": {"Authorization": f"Bearer {token(iss='https://app.example', aud='tasks')}"},
    "session": {"Cookie": "better-auth.session_token=x.y; better-auth.session_data=z"},
}


async def test_rejected_tokens_are_counted_by_reason(database_url: str) -> None:
    """Each fault under its own name, and there are no others."""
    parties = {"jwt_issuer": "https://app.example", "jwt_audience": "tasks", "auth_cookie": True}
    async with measured_on(database_url, **parties) as measured, client_for(measured.app, "u1") as client:
        client.headers.clear()
        for headers in FAULTS.values():
            assert (await client.get("/api/u1/tasks", headers=headers)).status_code == 401

        assert await measured.counted("tasks_rejected_tokens_total") == {(fault,): 1 for fault in FAULTS}

    assert set(FAULTS) == set(get_args(problems.TokenFault))


async def test_who_asks_too_often_is_counted(database_url: str) -> None:
    """Users and addresses apart."""
    limits = {"rate_limit_per_user": "2/minute", "rate_limit_per_address": "1/minute"}
    async with measured_on(database_url, **limits) as measured, client_for(measured.app) as client:
        for _ in range(5):
            await client.get(path(client))
        for _ in range(3):
            await client.get(path(client), headers={"Authorization": "Bearer x"})

        assert await measured.counted("tasks_rate_limited_total") == {("user",): 3, ("address",): 2}


async def test_bounds_that_are_met_are_counted(database_url: str) -> None:
    """Each under its own name, also where an operation of a batch meets it."""
    bounds = {"max_tasks_per_user": 2, "max_streams": 0, "max_idempotency_keys_per_user": 1, "max_import_bytes": 70_000}
    async with measured_on(database_url, **bounds) as measured, client_for(measured.app) as client:
        user = f"/api/{client.user_id}"
        created = [
            await client.post(f"{user}/tasks", json={"title": "x"}, headers={"Idempotency-Key": key})
            for key in ("first", "second")
        ]
        await create(client)
        batch = {"operations": [{"op": "create", "task": {"title": "x"}}]}
        refused = [
            await client.get(f"{user}/events"),
            await client.post(f"{user}/tasks", json={"title": "x"}),
            await client.post(f"{user}/batch", json=batch),
            # More room than one user's share, which is that of the largest import.
            await client.post(f"{user}/batch", content=orjson.dumps(batch).ljust(70_001), headers=JSON_TYPE),
        ]

        assert [answer.status_code for answer in (*created, *refused)] == [201, 429, 429, 422, 422, 429]
        assert await measured.counted("tasks_limits_met_total") == {
            ("idempotency",): 1,
            ("streams",): 1,
            ("stored_tasks",): 2,
            ("bodies_of_user",): 1,
        }


def test_each_bound_is_named_by_a_problem() -> None:
    """No series is there that nothing can move."""
    raised = [
        problems.TooManyConcurrentRequests(),
        problems.TooManyRequestsOfUser(),
        problems.TooManyRequestsOfUser("connections_of_user"),
        problems.TooManyConcurrentRequests("bodies"),
        problems.TooManyRequestsOfUser("bodies_of_user"),
        problems.TooManyConcurrentRequests("answers"),
        problems.TooManyRequestsOfUser("answers_of_user"),
        problems.DatabaseOverloaded(),
        problems.TooManyEventStreams(),
        problems.IdempotencyLimitReached(),
        problems.TaskLimitReached(1),
        problems.ListLimitReached(1),
    ]

    assert {problem.bound for problem in raised} == set(get_args(problems.Bound))


@pytest.fixture
async def wired(database_url: str) -> AsyncIterator[tuple[Measured, Client, Wire]]:
    """A measured application with two connections, whose wire to the database can be cut and held up."""
    async with (
        wire_to(database_url) as (wire, url),
        measured_on(url, database_pool_size=2) as measured,
        client_for(measured.app) as client,
    ):
        await create(client)
        yield measured, client, wire


async def test_lost_connections_and_retries_are_counted(wired: tuple[Measured, Client, Wire]) -> None:
    """A read whose answer was lost is answered all the same, and seen."""
    measured, client, wire = wired
    wire.lose_after(1, once=True)

    assert (await client.get(path(client))).status_code == 200

    assert await measured.counted("tasks_database_errors_total") == {("connection",): 1}
    assert await measured.counted("tasks_retries_total") == {("lost",): 1}


async def test_database_errors_are_counted_by_class(server: Server, database_url: str) -> None:
    """57014, a statement that was given up, is of class 57; a server that is away has no class."""
    connection = psycopg2.connect(server.database_url(database_url.partition("@/")[2].partition("?")[0]))
    async with (
        measured_on(database_url, database_statement_timeout=0.2) as measured,
        client_for(measured.app) as mine,
    ):
        await create(mine)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"SELECT FROM task_lists WHERE user_id = '{mine.user_id}' FOR UPDATE")
            assert (await mine.patch(path(mine, 1), json={"title": "x"})).status_code == 503

        assert await measured.counted("tasks_database_errors_total") == {("57",): 1}

    nowhere = f"postgresql://x@127.0.0.1:{free_port()}/x"
    async with measured_on(nowhere) as measured, client_for(measured.app) as client:
        assert (await client.get(path(client))).status_code == 503

        assert (await measured.counted("tasks_database_errors_total"))["connection",] >= 1


async def test_the_pool_is_seen_at_work(wired: tuple[Measured, Client, Wire]) -> None:
    """How many connections there may be, are in use, and are waited for."""
    measured, client, wire = wired
    wire.hold()
    asking = [asyncio.ensure_future(client.get(path(client))) for _ in range(5)]

    async def pool() -> list[float]:
        seen = await measured.seen()
        names = ("connections_max", "connections_in_use", "requests_waiting")
        return [seen[f"tasks_pool_{name}", ()] for name in names]

    async with asyncio.timeout(10):
        while await pool() != [2, 2, 3]:
            pass
    wire.flow()
    await asyncio.gather(*asking)

    assert await pool() == [2, 0, 0]


async def test_streams_are_counted_while_they_are_open(measured: Measured) -> None:
    """A gauge, for a stream's end may be far."""
    async with listening(measured.app, new_user()) as stream:
        await stream.revision()
        assert await measured.counted("tasks_streams_open") == {(): 1}

    async with asyncio.timeout(10):
        while await measured.counted("tasks_streams_open") != {(): 0}:
            pass


async def test_only_what_was_written_moves_a_list_on(measured: Measured, mine: Client) -> None:
    """Reads do not, nor do writes that were refused, whether by a condition, in a batch or for want of the task."""
    await create(mine)
    await mine.get(path(mine))
    await mine.patch(path(mine, 1), json={"title": "x"}, headers={"If-Match": '"1"'})
    await mine.patch(path(mine, 2), json={"title": "x"})
    await mine.delete(path(mine, 2), headers={"If-Match": "*"})
    refused = [{"op": "create", "task": {"title": "x"}}, {"op": "delete", "id": 9}]
    await mine.post(f"/api/{mine.user_id}/batch", json={"operations": refused})
    assert await measured.counted("tasks_revision_writes_total") == {("create a task of a text alone",): 1}

    etag = (await mine.get(path(mine, 1))).headers["etag"]
    await mine.patch(path(mine, 1), json={"title": "x"}, headers={"If-Match": etag})
    await mine.post(path(mine), json={"title": "once"}, headers=KEY)
    await mine.post(path(mine), json={"title": "once"}, headers=KEY)
    made = [{"op": "create", "task": {"title": "x"}}, {"op": "complete", "id": 1}]
    await mine.post(f"/api/{mine.user_id}/batch", json={"operations": made})
    await mine.delete(path(mine, 1))
    await mine.post(f"/api/{mine.user_id}/import", json=archive(1))

    counted = await measured.counted("tasks_revision_writes_total")
    assert counted["create a task of a text alone",] == 3
    assert counted["update a title, if it is as expected",] == 1
    assert counted["delete a task",] == 1
    assert counted["end an import",] == 1
    assert sum(counted.values()) == 7


def archive(count: int) -> dict[str, Any]:
    """A file of so many tasks."""
    return {"format": "tasks-backend", "version": 1, "tasks": [exported_task(100 + number) for number in range(count)]}


def hostile(number: int) -> list[tuple[str, str, dict[str, str]]]:
    """Requests that no two runs send alike."""
    user, word = new_user(), f"w{number}"
    good = {"Authorization": f"Bearer {token(user)}", "X-Request-ID": word, "Host": f"{word}.example"}
    return [
        (f"X{number}", f"/api/{user}/tasks", good),
        ("GET", f"/api/{user}/tasks/{number}", good),
        ("GET", f"/api/{user}/tasks?q={word}", good),
        ("GET", f"/api/{user}/{word}", good),
        ("GET", f"/{word}", good),
        ("GET", f"/api/{word}/tasks", good),
        ("DELETE", f"/api/{user}/tasks/{number}", {**good, "If-Match": f'"{number}"'}),
        ("GET", "/api/x/tasks", {"Authorization": f"Bearer {token(user, iss=word, exp=number)}"}),
        ("GET", "/api/x/tasks", {"Authorization": f"Bearer {token(user, header={'kid': word, 'typ': word})}"}),
        ("GET", "/api/x/tasks", {"Authorization": f"Bearer {token(user, secret=word * 20)}"}),
        ("GET", "/api/x/tasks", {"Authorization": f"Bearer {word}"}),
        ("GET", "/api/x/tasks", {"Authorization": f"{word} {token(user)}"}),
        ("POST", f"/api/{user}/tasks", {**good, "Content-Type": f"application/{word}"}),
    ]


async def test_what_is_sent_makes_no_series_of_its_own(measured: Measured) -> None:
    """The hundredth hostile client adds nothing that the first has not, and nothing of any of them is told."""

    async def attack(numbers: range) -> set[Series]:
        async with client_for(measured.app) as client:
            client.headers.clear()
            for number in numbers:
                for method, target, headers in hostile(number):
                    await client.request(method, target, headers=headers)
        return set(await measured.seen())

    first = await attack(range(1000, 1001))
    after = await attack(range(1001, 1030))

    assert after == first
    assert re.findall(r"w1\d\d\d|X1\d\d\d|user\d+-", await asyncio.to_thread(text, measured.port)) == []
    methods = {labels[0] for labels in await measured.counted("tasks_requests_total")}
    assert methods == {"GET", "POST", "DELETE", "other"}


def test_off_is_not_even_loaded() -> None:
    """Neither Prometheus' library nor OpenTelemetry's SDK, nor what speaks to Redis."""
    program = (
        "import sys; from backend.app.main import create_app; from tests.support.applications import settings_for; "
        "app = create_app(settings_for('postgresql://h/d')); "
        "off = ('prometheus_client', 'opentelemetry.sdk', 'requests', 'limits', 'redis'); "
        "print([name for name in sys.modules if name.startswith(off)])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout.strip() == "[]"


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens here, and answers nothing that makes sense."""
    with socket.create_server(("127.0.0.1", port)):
        yield


async def test_a_database_without_metrics_measures_nothing(database_url: str) -> None:
    """As Alembic's and the purge's."""
    async with database_for(database_url) as database:
        await database.check()

        assert (database.pool.in_use, database.pool.waiting, database.pool.size) == (0, 0, 10)


def idle() -> Gauges:
    """The gauges of a process that does nothing."""
    return Gauges(*[lambda: 0.0] * 4)


def test_a_taken_port_is_a_sentence() -> None:
    """The port, and what to do."""
    port = free_port()
    with (
        taken(port),
        pytest.raises(StartupError, match=f"port {port} on 127.0.0.1 is taken by another process"),
        Metrics("127.0.0.1", port).running(idle()),
    ):
        pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_a_sentence(host: str) -> None:
    """Not a traceback."""
    with pytest.raises(StartupError, match="METRICS_HOST"), Metrics(host, free_port()).running(idle()):
        pass


@pytest.fixture
def program(database_url: str) -> dict[str, str]:
    """What the program needs in its environment."""
    return {"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": database_url}


def test_each_program_answers_prometheus_on_its_own_port(program: dict[str, str]) -> None:
    """As its METRICS_PORT says; nothing answers when it has ended."""
    ports = [free_port(), free_port()]
    with (
        serving(PROJECT_ROOT, free_port(), METRICS_PORT=str(ports[0]), **program),
        serving(PROJECT_ROOT, free_port(), METRICS_PORT=str(ports[1]), **program),
    ):
        until(lambda: all(started(port) for port in ports))

    assert [started(port) for port in ports] == [None, None]


def test_workers_do_not_share_a_port(program: dict[str, str]) -> None:
    """The second worker ends the program with the sentence that says what to do instead."""
    command = [*UVICORN, "--port", str(free_port()), "--workers", "2"]
    ended = subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment(METRICS_PORT=str(free_port()), **program), capture_output=True,
        text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip

    assert "instead of uvicorn's --workers start a program for each METRICS_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reload_keeps_the_port(tmp_path: Path, program: dict[str, str]) -> None:
    """The new process answers where the old one has."""
    project, port, metrics_port = clone(tmp_path), free_port(), free_port()
    with serving(project, port, "--reload", METRICS_PORT=str(metrics_port), **program):
        before = started(metrics_port)
        (project / "backend/app/main.py").touch()

        until(lambda: started(metrics_port) not in (None, before))

    assert before is not None


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["plain", "workers"])
def test_the_program_ends_where_the_port_is_taken(program: dict[str, str], options: tuple[str, ...]) -> None:
    """With the sentence, no traceback, and a status that says so."""
    port = free_port()
    command = [*UVICORN, "--port", str(free_port()), *options]
    with taken(port):
        ended = subprocess.run(
            command, cwd=PROJECT_ROOT, env=environment(METRICS_PORT=str(port), **program), capture_output=True,
            text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip

    assert f"METRICS_PORT: port {port} on 127.0.0.1 is taken by another process." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode != 0 or options


def started(port: int) -> float | None:
    """When the process that answers here has started; None where there is none."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return scraped(port)["process_start_time_seconds", ()]
    return None
