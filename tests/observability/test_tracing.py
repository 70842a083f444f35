"""Traces: what a collector is told of requests and statements, and what it is not."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app.config import PROJECT_ROOT
from backend.app.main import create_app
from tests.support.applications import client_for, running, settings_for
from tests.support.collector import Collector, Span, collecting
from tests.support.programs import PATIENCE_SECONDS, UVICORN, environment, free_port, serving
from tests.support.tasks import KEY, create, path
from tests.support.tokens import SECRET, new_user
from tests.support.wire import wire_to

TASK = "/api/{user_id}/tasks/{task_id}"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SERVER, CLIENT = 2, 3


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@contextlib.asynccontextmanager
async def traced(database_url: str, collector: Collector, **changes: Any) -> AsyncIterator[FastAPI]:
    """An application whose last spans have come when it has ended."""
    settings = settings_for(database_url, otel_exporter_otlp_endpoint=collector.url, **changes)
    async with running(create_app(settings)) as app:
        yield app


def of_kind(kind: int, collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.kind == kind]


def told(span: Span) -> tuple[str, int, dict[str, Any]]:
    return span.name, span.kind, span.attributes


@pytest.mark.parametrize("fast_path", ["on", "off"])
async def test_a_request_is_a_span_and_so_is_its_statement(
    database_url: str, collector: Collector, fast_path: str
) -> None:
    """Under the route's pattern, with the statement below it; on the lean path too."""
    async with traced(database_url, collector, fast_path=fast_path) as app, client_for(app) as mine:
        await create(mine)
        await mine.get(path(mine, 1))
        await mine.get(path(mine, 2))

    written, read, looked = of_kind(CLIENT, collector)
    made, got, missed = of_kind(SERVER, collector)
    common = {"http.request.method": "GET", "url.scheme": "http", "network.protocol.version": "1.1"}
    assert told(got) == (f"GET {TASK}", SERVER, {**common, "http.route": TASK, "http.response.status_code": 200})
    assert told(missed) == (f"GET {TASK}", SERVER, {**common, "http.route": TASK, "http.response.status_code": 404})
    assert told(read) == ("get a task", CLIENT, {"db.system.name": "postgresql", "db.query.summary": "get a task"})
    assert (made.name, written.name) == ("POST /api/{user_id}/tasks", "create a task of a text alone")
    assert [span.parent_id for span in (written, read, looked)] == [span.span_id for span in (made, got, missed)]
    assert [span.parent_id for span in (made, got, missed)] == [""] * 3
    assert not any(span.failed for span in collector.spans)
    assert read.resource["service.name"] == "tasks"


async def test_a_transaction_is_a_span_around_its_statements(database_url: str, collector: Collector) -> None:
    """So it is seen what a batch waits for."""
    operations = [{"op": "create", "ref": "a", "task": {"title": "x"}}, {"op": "create", "task": {"title": "y"}}]
    async with traced(database_url, collector) as app, client_for(app) as mine:
        made = await mine.post(f"/api/{mine.user_id}/batch", json={"operations": operations})
        assert made.status_code == 200

    *statements, transaction = of_kind(CLIENT, collector)
    [request] = of_kind(SERVER, collector)
    assert (transaction.name, transaction.parent_id) == ("transaction", request.span_id)
    assert [span.name for span in statements].count("create a task of a text alone") == 2
    assert {span.parent_id for span in statements} == {transaction.span_id}


async def test_a_keyed_write_is_one_transaction(database_url: str, collector: Collector) -> None:
    """What its handler does in a transaction of its own is in that one."""
    batch = {"operations": [{"op": "create", "task": {"title": "x"}}]}
    async with traced(database_url, collector) as app, client_for(app) as mine:
        assert (await mine.post(f"/api/{mine.user_id}/batch", json=batch, headers=KEY)).status_code == 200

    *statements, transaction = of_kind(CLIENT, collector)
    assert {span.parent_id for span in statements} == {transaction.span_id}
    assert [span.name for span in of_kind(CLIENT, collector)].count("transaction") == 1


async def test_errors_are_told_by_their_type(database_url: str, collector: Collector) -> None:
    """A database that is away, and a fault of ours; no message, for it may hold values."""
    async with wire_to(database_url) as (wire, url), traced(url, collector) as app, client_for(app) as mine:

        @app.get("/api/{user_id}/breaks")
        async def breaks() -> None:
            raise ValueError("a message with a canary")

        await create(mine)
        wire.lose_after(1)
        assert (await mine.patch(path(mine, 1), json={"title": "x"})).status_code == 503
        assert (await mine.get(f"/api/{mine.user_id}/breaks")).status_code == 500
        wire.mend()

    _, statement = of_kind(CLIENT, collector)
    _, away, broken = of_kind(SERVER, collector)
    assert (statement.failed, statement.attributes["error.type"]) == (True, "DatabaseUnavailable")
    assert (away.failed, away.attributes["error.type"]) == (True, "503")
    assert (broken.failed, broken.attributes["error.type"]) == (True, "500")
    assert {span.message for span in collector.spans} == {""}
    assert b"canary" not in b"".join(collector.bodies)


async def test_a_trace_goes_on_and_the_log_names_it(
    database_url: str, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the caller's `traceparent` says (W3C); the line has the span that the collector has,
    and where none is made the caller's trace."""
    async with traced(database_url, collector) as app, client_for(app) as mine:
        await mine.get(path(mine), headers={"traceparent": TRACEPARENT})
        await mine.get(path(mine))
        await mine.get(path(mine), headers={"traceparent": "00-not-a-trace"})
        await mine.get("/health", headers={"traceparent": TRACEPARENT})

    requests = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    spans = of_kind(SERVER, collector)
    followed, fresh, garbled = spans
    assert (followed.trace_id, followed.parent_id) == (TRACE, PARENT)
    assert len({TRACE, fresh.trace_id, garbled.trace_id}) == 3
    assert [(line.get("trace_id"), line.get("span_id")) for line in requests] == [
        *((span.trace_id, span.span_id) for span in spans),
        (TRACE, None),
    ]


async def test_probes_make_no_spans(database_url: str, collector: Collector) -> None:
    """They come every few seconds, and tell nothing."""
    async with traced(database_url, collector) as app, client_for(app) as mine:
        await mine.get("/health")
        await mine.get("/health/ready")
        await mine.get("/api/x/tasks")

    assert [told(span)[0] for span in collector.spans] == ["GET"]


async def test_nothing_that_a_caller_writes_leaves(database_url: str, collector: Collector) -> None:
    """Neither user ids and titles nor tokens, paths, queries, hosts, methods or states, wherever they were put."""
    user = f"canary-{new_user()}"
    hostile = {
        "Host": "canary.example",
        "User-Agent": "canary",
        "traceparent": TRACEPARENT,
        "tracestate": "canary=canary",
        "baggage": "canary=canary",
        "X-Request-ID": "canary",
        "X-Forwarded-For": "canary",
        "Idempotency-Key": "canary",
        "Cookie": "canary=canary",
    }
    async with traced(database_url, collector) as app, client_for(app, user) as mine:
        sent = mine.headers["Authorization"].removeprefix("Bearer ")
        mine.headers.update(hostile)
        await create(mine, title="canary", description="canary", tags=["canary"])
        await mine.get(f"{path(mine)}?q=canary&tag=canary")
        await mine.get(f"{path(mine)}?canary=canary")
        await mine.get(f"/api/{user}/canary")
        await mine.get("/canary?token=canary")
        await mine.request("CANARY", path(mine))
        await mine.get(path(mine, 1), headers={"Authorization": "Bearer canary"})
        await mine.patch(path(mine, 1), content=b"canary", headers={"Content-Type": "application/canary"})
        await mine.options(path(mine), headers={"Origin": "https://canary.example"})
        await mine.delete(f"/api/{user}")

    everything = b"".join(collector.bodies)
    assert b"canary" not in everything.lower()
    assert sent.encode() not in everything
    assert SECRET.encode() not in everything
    assert not any(span.state or span.more for span in collector.spans)
    assert len(of_kind(SERVER, collector)) == 10


async def test_it_is_sent_as_the_settings_say(database_url: str, collector: Collector) -> None:
    """With headers, the service's name, and to the whole URL where that is given."""
    settings = settings_for(
        database_url,
        otel_exporter_otlp_endpoint="http://unused.invalid",
        otel_exporter_otlp_traces_endpoint=f"{collector.url}/of/traces",
        otel_exporter_otlp_headers="x-key=of%20ours,other=1",
        otel_service_name="todo",
    )
    async with running(create_app(settings)) as app, client_for(app) as mine:
        await mine.get(path(mine))

    assert collector.spans[0].resource["service.name"] == "todo"
    [(target, headers)] = collector.requests
    assert target == "/of/traces"
    assert (headers["x-key"], headers["other"]) == ("of ours", "1")


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, None),
        ({"otel_traces_exporter": "otlp"}, "http://localhost:4318/v1/traces"),
        ({"otel_exporter_otlp_endpoint": "https://c.example/otlp/"}, "https://c.example/otlp/v1/traces"),
        ({"otel_exporter_otlp_traces_endpoint": "https://c.example/t"}, "https://c.example/t"),
        ({"otel_exporter_otlp_endpoint": "https://c.example", "otel_traces_exporter": "none"}, None),
        ({"otel_exporter_otlp_endpoint": "https://c.example", "otel_sdk_disabled": True}, None),
        ({"otel_traces_exporter": "otlp", "otel_sdk_disabled": True}, None),
    ],
    ids=str,
)
def test_when_spans_are_sent_and_where(changes: dict[str, Any], url: str | None) -> None:
    """As OpenTelemetry's specification reads its variables, but for the default: nobody asked, nothing is sent."""
    assert settings_for("postgresql://h/d", **changes).traces_url == url


async def test_a_collector_that_hangs_does_not_hold_up_the_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans are lost then, and nothing else; answers do not wait for it either."""
    monkeypatch.setattr("backend.app.observability.tracing.ENDING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = settings_for(database_url, otel_exporter_otlp_endpoint=url)
        async with running(create_app(settings)) as app, client_for(app) as mine:
            assert (await mine.get(path(mine))).status_code == 200
            begun = time.monotonic()

        assert time.monotonic() - begun < 5


def test_the_real_program_sends_spans_of_every_worker(database_url: str, collector: Collector) -> None:
    """By the environment alone; the last ones when it ends."""
    port = free_port()
    settings = {"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": database_url}
    with serving(
        PROJECT_ROOT, port, "--workers", "2", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings
    ) as process:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.sendall(b"GET /api/u1/tasks HTTP/1.0\r\nHost: x\r\n\r\n")
                while asking.recv(4096):
                    pass
        process.terminate()
        process.wait(PATIENCE_SECONDS)

    assert len(collector.wait_for(20)) == 20


def test_without_the_packages_it_is_a_sentence() -> None:
    """Which ones, and how to go on without."""
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; import uvicorn; uvicorn.main()"
    values = environment(BETTER_AUTH_SECRET=SECRET, DATABASE_URL="postgresql://h/d", OTEL_TRACES_EXPORTER="otlp")
    ended = subprocess.run(
        [sys.executable, "-c", hidden, *UVICORN[3:], "--port", str(free_port())], cwd=PROJECT_ROOT, env=values,
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip

    assert "pip install --group tracing" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode != 0
