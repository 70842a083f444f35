"""How a process leaves: who has connected is let in, and who has not is refused, with nothing in between."""

import asyncio
import errno
import multiprocessing
import select
import signal
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.app.server import shutdown
from backend.app.server.protocol import Protocol
from tests.support.programs import PATIENCE_SECONDS, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can shut a door that stands open")


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class Uvicorn:
    """What is known of a server that listens here and was told to end."""

    def __init__(self, *listening: socket.socket, http: Any = Protocol, fd: int | None = None) -> None:
        self.should_exit = False
        self.config = SimpleNamespace(http_protocol_class=http, fd=fd)
        self.servers = [SimpleNamespace(sockets=[each]) for each in listening]
        self.told: list[int] = []

    def handle_exit(self, received: int, _: Any) -> None:
        self.should_exit = True
        self.told.append(received)


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@linux
def test_nobody_is_reset_at_a_door_that_is_shut(door: socket.socket) -> None:
    """Who waits with a request is let in; who comes later hears nothing, and is refused when the door is gone."""
    address = door.getsockname()
    with socket.create_connection(address, PATIENCE_SECONDS) as early, socket.socket() as later:
        early.sendall(b"a request")
        assert shutdown.shut([door.fileno()])
        later.setblocking(False)
        later.connect_ex(address)
        assert shutdown.waiting([door.fileno()])
        accepted, _ = door.accept()
        with accepted:
            assert accepted.recv(100) == b"a request"
        assert not shutdown.waiting([door.fileno()])
        assert select.select([], [later], [], 0)[1] == []
        door.close()
        assert select.select([], [later], [], PATIENCE_SECONDS)[1] == [later]

        assert later.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


@linux
async def test_the_server_is_told_when_nobody_waits_any_more(door: socket.socket, handled: None) -> None:
    """Not before: it would close the door on them."""
    server, first = Uvicorn(door), asyncio.Event()
    signal.signal(signal.SIGTERM, server.handle_exit)
    with shutdown.graceful_shutdown(first.set), socket.create_connection(door.getsockname(), PATIENCE_SECONDS):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(first.wait(), PATIENCE_SECONDS)
        await asyncio.sleep(2 * shutdown.OPENING)
        assert not server.told
        door.accept()[0].close()
        await asyncio.to_thread(until, lambda: server.told)

    assert server.told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


async def test_where_a_door_cannot_be_shut_the_server_is_told_at_once(
    door: socket.socket, handled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system, and in a sandbox that does not let it."""
    monkeypatch.setattr(shutdown, "SO_ATTACH_FILTER", 0x7FFF)
    server = Uvicorn(door)
    signal.signal(signal.SIGTERM, server.handle_exit)
    with shutdown.graceful_shutdown(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        assert server.told == [signal.SIGTERM]


def test_only_ones_own_doors_are_shut(door: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others go on accepting from those that are inherited or shared; a unix socket is no door of this kind."""
    with socket.socket(socket.AF_UNIX) as local:
        table = {
            "alone": (Uvicorn(door), [door.fileno()]),
            "another protocol, as gunicorn has": (Uvicorn(door, http=HttpToolsProtocol), []),
            "systemd's socket": (Uvicorn(door, fd=3), []),
            "a unix socket": (Uvicorn(local), []),
            "a server without a configuration": (SimpleNamespace(should_exit=False), []),
        }
        assert {name: shutdown.own_listeners(server) for name, (server, _) in table.items()} == {
            name: doors for name, (_, doors) in table.items()
        }
        monkeypatch.setattr(multiprocessing, "parent_process", object)
        assert shutdown.own_listeners(Uvicorn(door)) == []
