"""Live: what a stream tells, when it ends, and what it never costs."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app.main import create_app
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.event_streams import PATIENCE, listening
from tests.support.programs import SECRET, clone, free_port, serving, until
from tests.support.tasks import create, path
from tests.support.tokens import new_user, token
from tests.support.ways import messages
from tests.support.wire import wire_to

INTERVAL = 0.05


@pytest.fixture
async def live(database_url: str) -> AsyncIterator[FastAPI]:
    """An application that looks often."""
    async with running(create_app(settings_for(database_url, events_interval=INTERVAL))) as app:
        yield app


@pytest.fixture
async def mine(live: FastAPI) -> AsyncIterator[Client]:
    async with client_for(live) as client:
        yield client


async def test_a_stream_tells_of_changes(live: FastAPI, mine: Client) -> None:
    """Where things are at once, then each change, whoever made it; never of another user's."""
    async with listening(live, mine.user_id) as stream, client_for(live, mine.user_id) as other_tab:
        assert (await stream.next(), await stream.revision()) == ("retry: 2000\n\n", 0)
        made = await create(mine)
        assert await stream.revision() == made["revision"]
        async with client_for(live) as stranger:
            await create(stranger)
        await other_tab.delete(path(mine, made["id"]))
        assert await stream.revision() == made["revision"] + 1

    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["cache-control"] == "private, no-cache, no-transform"


@pytest.mark.parametrize(
    ("query", "header", "hears"),
    [("", "", True), ("?lastEventId=", "", True), ("?lastEventId={}", "", False), ("?lastEventId=0", "{}", False)],
)
async def test_a_stream_is_resumed_by_its_address(
    live: FastAPI, mine: Client, query: str, header: str, hears: bool
) -> None:
    """Libraries that stand in for EventSource write the id there; the header counts where both are sent."""
    revision = (await create(mine))["revision"]
    known = header.format(revision)
    async with listening(live, mine.user_id, query=query.format(revision), Last_Event_ID=known) as stream:
        await stream.next()
        told = await stream.next()

    assert ("event: changed" in told) is hears


async def test_an_address_names_an_id_of_the_stream(mine: Client) -> None:
    """As the header must; and another spelling is told the right one."""
    malformed = await mine.get(f"/api/{mine.user_id}/events?lastEventId=x")
    unknown = await mine.get(f"/api/{mine.user_id}/events?last_event_id=1")

    assert (malformed.status_code, unknown.status_code) == (400, 422)
    assert "`lastEventId`" in unknown.text


async def test_a_stream_is_resumed(live: FastAPI, mine: Client) -> None:
    """Who has missed something hears of it at once; who has not gets a sign of life."""
    made = await create(mine)
    async with listening(live, mine.user_id, Last_Event_ID=str(made["revision"] - 1)) as behind:
        await behind.next()
        assert (
            await behind.next()
            == f'event: changed\ndata: {{"revision":{made["revision"]}}}\nid: {made["revision"]}\n\n'
        )
    async with listening(live, mine.user_id, Last_Event_ID=str(made["revision"])) as up_to_date:
        await up_to_date.next()
        assert await up_to_date.next() == ": ping\n\n"
        await mine.delete(path(mine, made["id"]))
        assert await up_to_date.revision() == made["revision"] + 1


async def test_an_erasure_is_a_change(live: FastAPI, mine: Client) -> None:
    """Although no revision is left to tell."""
    await create(mine)
    async with listening(live, mine.user_id) as stream:
        await stream.revision()
        await mine.delete(f"/api/{mine.user_id}")
        assert await stream.revision() == 0


@pytest.mark.parametrize("known", ["x", "-1", "1.0", "1" * 20, "1,2"])
async def test_an_id_that_is_not_ours_is_400(live: FastAPI, mine: Client, known: str) -> None:
    answer = await mine.get(f"/api/{mine.user_id}/events", headers={"Last-Event-ID": known})

    assert answer.status_code == 400


async def test_a_quiet_stream_gives_signs_of_life(database_url: str) -> None:
    """Comments, so that nobody on the way takes it for dead."""
    app = create_app(settings_for(database_url, events_heartbeat=0.02))
    async with running(app), listening(app, new_user()) as stream:
        await stream.revision()
        assert [await stream.next() for _ in range(3)] == [": ping\n\n"] * 3


async def test_a_stream_ends_with_its_token(database_url: str) -> None:
    """And outlives, while nothing happens, the time that a request may take."""
    app = create_app(settings_for(database_url, request_timeout=0.2, jwt_leeway=1))
    async with running(app), listening(app, new_user(), expires=2) as stream:
        started = time.monotonic()
        await stream.ended()

    assert 0.5 < time.monotonic() - started < 5
    assert stream.status == 200


async def test_streams_of_a_user_share_one_look(database_url: str) -> None:
    """Ten streams ask the database as often as one, and none of them holds a connection."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = create_app(settings_for(url, events_interval=0.2, database_pool_size=1))
        await stack.enter_async_context(running(app))
        user_id = new_user()
        streams = [await stack.enter_async_context(listening(app, user_id)) for _ in range(10)]
        for stream in streams:
            await stream.revision()
        before, started = wire.queries, time.monotonic()

        async with client_for(app, user_id) as client:
            made = await create(client)  # the pool's one connection is free
        heard = [await stream.revision() for stream in streams]
        looks = (wire.queries - before) / messages(1) - 1

        assert heard == [made["revision"]] * 10
        # One at the beginning and one a tick, which may come early by the clock's resolution.
        assert looks <= (time.monotonic() - started + 0.02) / 0.2 + 1
        assert wire.connections == 1


async def test_there_are_so_many_streams(database_url: str) -> None:
    """Over it is 429; a stream that has ended makes room, also one whose client just went away."""
    app = create_app(settings_for(database_url, max_streams=3, max_streams_per_user=2))
    alice, bob = new_user(), new_user()
    async with (
        running(app),
        client_for(app, alice) as hers,
        client_for(app, bob) as his,
        contextlib.AsyncExitStack() as stack,
    ):
        first = await stack.enter_async_context(listening(app, alice))
        second = await stack.enter_async_context(listening(app, alice))
        await first.revision()
        await second.revision()
        per_user = await hers.get(f"/api/{alice}/events")
        third = await stack.enter_async_context(listening(app, bob))
        await third.revision()
        in_all = await his.get(f"/api/{bob}/events")
        first.gone.set()
        await first.ended()
        again = await stack.enter_async_context(listening(app, alice))
        await again.revision()

    assert [answer.status_code for answer in (per_user, in_all)] == [429, 429]
    assert per_user.json()["type"] == "urn:tasks:problem:too-many-event-streams"
    assert per_user.headers["retry-after"] == "10"


@pytest.mark.parametrize("bound", ["max_streams", "max_streams_per_user"])
async def test_no_stream_is_let_in_where_there_may_be_none(database_url: str, bound: str) -> None:
    """A bound of 0 turns the streams off, also for the first of a user."""
    app = create_app(settings_for(database_url, **{bound: 0}))
    async with running(app), client_for(app) as client:
        answer = await client.get(f"/api/{client.user_id}/events")

    assert answer.status_code == 429


async def test_a_stream_outlives_the_database(database_url: str) -> None:
    """Looks that fail are made again; who connects meanwhile is told to come back."""
    async with contextlib.AsyncExitStack() as stack:
        wire, url = await stack.enter_async_context(wire_to(database_url))
        app = create_app(settings_for(url, events_interval=INTERVAL, database_connect_timeout=0.5))
        await stack.enter_async_context(running(app))
        client = await stack.enter_async_context(client_for(app))
        stream = await stack.enter_async_context(listening(app, client.user_id))
        await stream.revision()
        wire.refusing = True
        await wire.cut()
        refused = await client.get(f"/api/{client.user_id}/events")
        wire.refusing = False
        made = await create(client)

        assert await stream.revision() == made["revision"]
        assert refused.status_code == 503


async def test_a_slow_reader_hears_of_the_newest_only(live: FastAPI, mine: Client) -> None:
    """Nothing is queued up for somebody who does not read."""
    async with listening(live, mine.user_id) as stream:
        await stream.revision()
        stream.reads.clear()
        for _ in range(30):
            made = await create(mine)
            await asyncio.sleep(INTERVAL / 5)
        stream.reads.set()
        heard = [await stream.revision()]
        while heard[-1] != made["revision"]:
            heard.append(await stream.revision())

    assert len(heard) <= 3


async def test_a_reader_that_stalls_is_cut(database_url: str) -> None:
    """What it is sent has to be taken within the time of a request."""
    app = create_app(settings_for(database_url, request_timeout=0.2, events_heartbeat=0.01))
    async with running(app), listening(app, new_user()) as stream:
        await stream.revision()
        stream.reads.clear()
        await stream.ended()
        assert app.state.services.subscriptions._count == 0  # noqa: SLF001 - its place is free


async def test_an_ending_process_opens_no_stream(live: FastAPI, mine: Client) -> None:
    """Open ones end, new ones are refused."""
    async with listening(live, mine.user_id) as stream:
        await stream.revision()
        live.state.services.subscriptions.close()
        await stream.ended()

    assert (await mine.get(f"/api/{mine.user_id}/events")).status_code == 503


class Uvicorn:
    """What is known of a server that is told to end."""

    def __init__(self) -> None:
        self.should_exit = False

    def handle_exit(self, *_: Any) -> None:
        self.should_exit = True


async def test_a_servers_signal_ends_streams_first(database_url: str) -> None:
    """The server's own handler is called as well, and is in its place again when the application has ended."""
    server, before = Uvicorn(), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        app = create_app(settings_for(database_url))
        async with running(app), listening(app, new_user()) as stream:
            await stream.revision()
            signal.raise_signal(signal.SIGTERM)
            await stream.ended()
        assert server.should_exit
        assert signal.getsignal(signal.SIGTERM) == server.handle_exit
        async with running(create_app(settings_for(database_url))):
            signal.signal(signal.SIGTERM, before)  # somebody else's since then
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)


def opened(port: int, user_id: str = "u1") -> socket.socket:
    """A raw connection on which a stream has begun. Raises ConnectionError where another answer has."""
    bearer = token(user_id, secret=SECRET)
    head = (
        f"GET /api/{user_id}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
    with contextlib.ExitStack() as closing:
        connection = closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        connection.sendall(head.encode())
        seen = b""
        while b"event: changed" not in seen:
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionError(seen)
            seen += piece
        closing.pop_all()
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--reload",)], ids=["alone", "workers", "reload"])
def test_a_program_ends_with_open_streams(tmp_path: Path, number: int, options: tuple[str, ...]) -> None:
    """Soon, and not when the last reader has had enough."""
    project, port = clone(tmp_path / "project"), free_port()
    with serving(project, port, *options) as process, opened(port) as one, opened(port) as other:
        process.send_signal(number)
        process.wait(PATIENCE)
        for connection in (one, other):
            while connection.recv(4096):
                pass


def test_a_reload_does_not_wait_for_streams(tmp_path: Path) -> None:
    """As under ./scripts/dev.sh: the changed program serves at once, and streams begin anew."""
    project, port = clone(tmp_path / "project"), free_port()
    with serving(project, port, "--reload"), opened(port) as stream:
        changed = project / "backend/app/routes/health.py"
        changed.write_text(changed.read_text() + "\n")
        while stream.recv(4096):
            pass
        until(lambda: reopened(port))


def reopened(port: int) -> bool:
    with contextlib.suppress(OSError), opened(port):
        return True
    return False
